"""Tables as CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

__all__ = ["open_csv", "rounded", "write_rows"]


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: str | Path) -> None:
    """Write rows as CSV; numbers keep six digits, so that probabilities keep their order."""
    with open_csv(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(map(rounded, rows))


def open_csv(path: str | Path) -> TextIO:
    """Open a CSV file for writing. File names that are no text are written as the bytes that they are."""
    return open(path, "w", newline="", encoding="utf-8", errors="surrogateescape")


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its numbers to six digits, as text."""
    return {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
