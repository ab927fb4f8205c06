"""The three files of a report, written together."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from ..files import atomic_path
from ..mixture import FilterDecision
from ..provenance import provenance
from ..store import CaseStore
from .html import write_html
from .rows import REPORT_COLUMNS, open_csv, rounded, write_rows
from .slices import SLICE_COLUMNS
from .suspects import Suspect, look_at_suspects

__all__ = ["REPORT_FILES", "UNREADABLE_COLUMNS", "UNREADABLE_FILE", "write_report"]

REPORT_FILES = ("label_report.csv", "slices.csv", "report.html")
"""What :func:`write_report` leaves in a folder."""

UNREADABLE_FILE = "unreadable.csv"
"""What it leaves beside them where cases could not be judged."""

UNREADABLE_COLUMNS = ("case", "reason")
"""Columns of ``unreadable.csv``; the case is empty for a file that belongs to none."""


def write_report(
    directory: str | Path,
    rows: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
    decisions: Mapping[int, FilterDecision],
    data: Sequence[Mapping[str, Any]],
    store: CaseStore,
    source: Mapping[str, Any],
    n_pictured: int = 200,
    unreadable: Sequence[tuple[str, str]] = (),
) -> None:
    """Write ``label_report.csv``, ``slices.csv`` and ``report.html``, and ``unreadable.csv`` if need be.

    The suspected cases' files are read once, one case at a time. Each file is whole or not there, and none is put in
    its place before all three are written: a full disk leaves an earlier report as it was.

    Args:
        directory: the folder; other files in it are left alone.
        rows: of :func:`monai_selfcleanse.report.report_rows`.
        names: the structures judged and their names.
        decisions: the filter's decision on each structure.
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases`.
        store: where the last sweep is.
        source: what judged the labels, such as ``{"epoch": 60}`` or ``{"model": "models/model.pt"}``; shown in the
            page.
        n_pictured: number of suspects with pictures in the page, the most suspect ones; some 30 kB each.
        unreadable: cases that could not be judged, and why: shown in the page, and written to ``unreadable.csv``.
    """
    report, slices, page = (Path(directory) / name for name in REPORT_FILES)
    with atomic_path(report) as report_part, atomic_path(slices) as slices_part, atomic_path(page) as page_part:
        write_rows(rows, REPORT_COLUMNS, report_part)
        with open_csv(slices_part) as file:
            suspects = _through_csv(look_at_suspects(data, rows, store, n_pictured), file)
            about = provenance(source)
            write_html(page_part, rows, names, decisions, suspects, about, n_pictured, unreadable)
        if unreadable:
            listed = [dict(zip(UNREADABLE_COLUMNS, line, strict=True)) for line in unreadable]
            with atomic_path(Path(directory) / UNREADABLE_FILE) as part:
                write_rows(listed, UNREADABLE_COLUMNS, part)


def _through_csv(suspects: Iterable[Suspect], file: TextIO) -> Iterator[Suspect]:
    """The same suspects, whose slices have been written: slices and pictures come from one reading of a case."""
    writer = csv.DictWriter(file, SLICE_COLUMNS)
    writer.writeheader()
    for suspect in suspects:
        writer.writerows(map(rounded, suspect.slices))
        yield suspect
