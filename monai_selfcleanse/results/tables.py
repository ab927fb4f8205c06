"""Tables as CSV files, written and read.

Names of cases and structures are other people's. A spreadsheet takes a cell that begins with one of ``= + - @``, a tab
or a line break for a formula, which may run programs. So, as OWASP advises ("CSV Injection"), such a text gets an
apostrophe in front, and so does one that begins with apostrophes before such a sign: :func:`read_rows` takes one away
again, and every text is read as it was. Numbers stay as they are.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["open_table", "read_rows", "short_number", "write_rows"]

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How a formula begins, the wide signs of East Asian keyboards among them, and what would be read as one."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE | re.ASCII)


def short_number(value: float) -> float | None:
    """Four digits, for JSON: None, which it has, for NaN, and whole numbers without a point."""
    if math.isnan(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: str | os.PathLike) -> None:
    """Write rows as CSV; numbers keep six digits, so that probabilities keep their order."""
    with open_table(path, columns) as table:
        table.write(rows)


@contextmanager
def open_table(path: str | os.PathLike, columns: Sequence[str]) -> Iterator[Table]:
    """Open a CSV file for rows that come bit by bit. File names that are no text are written as their bytes."""
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writerow({column: _plain(column) for column in columns})
        yield Table(writer)


class Table:
    """A CSV file that is being written."""

    def __init__(self, writer: csv.DictWriter) -> None:
        self._writer = writer

    def write(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows."""
        self._writer.writerows({column: _cell(value) for column, value in row.items()} for row in rows)


def read_rows(path: str | os.PathLike) -> list[dict[str, str]]:
    """The rows of a CSV file of this package, every text as it was before it was written.

    Tables that a spreadsheet has saved are read, too: with a byte order mark, or with semicolons. Cells that a row
    lacks at its end are empty.

    Raises:
        ValueError: a row has more cells than there are columns; the message names file and row.
    """
    with open(path, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
        head = file.readline()
        file.seek(0)
        reader = csv.DictReader(file, delimiter=";" if ";" in head and "," not in head else ",", restval="")
        out = []
        for number, row in enumerate(reader, 2):
            if None in row:
                raise ValueError(
                    f"{path}, row {number}: has more cells than there are columns; put a text with commas in quotes"
                )
            out.append({_as_it_was(column): _as_it_was(value) for column, value in row.items()})
        return out


def _cell(value: Any) -> Any:
    """What stands in a cell: a number to six digits, a text that no spreadsheet takes for a formula."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return _plain(value) if isinstance(value, str) else value


def _plain(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _as_it_was(text: str) -> str:
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text
