"""The report: the ranked list, the slices to look at, and the page, written together."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from ..cases.case import files_of
from ..cases.store import StoreLike
from ..core.judgement import REPORT_COLUMNS, Judgement
from ..files import atomic_path
from ..run_folder import RunFolder
from .page.page import write_page
from .provenance import provenance
from .slices import SLICE_COLUMNS
from .suspects import Suspect, illustrate_suspects
from .tables import Table, open_table, write_rows
from .whole_cases import hints_for_whole_cases
from .words import without_folders

__all__ = ["UNREADABLE_COLUMNS", "write_report"]

logger = logging.getLogger(__name__)

UNREADABLE_COLUMNS = ("case", "reason")
"""Columns of ``unreadable.csv``; the case is empty for a file that belongs to none."""


def write_report(
    directory: str | os.PathLike,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
    n_pictured: int = 200,
    unreadable: Sequence[tuple[str, str]] = (),
) -> dict[str, str]:
    """Write ``label_report.csv``, ``slices.csv`` and ``report.html``, and ``unreadable.csv`` if need be.

    A case whose whole label is in the wrong place is named in the log, and so is what would fit
    (:func:`monai_selfcleanse.results.whole_cases.hints_for_whole_cases`). The page says it of each of its suspects.

    The suspected cases' files are read once, one case at a time. Each file is whole or not there, and none is put in
    its place before all of them are written: a full disk leaves an earlier report as it was. Without a case that could
    not be judged, an earlier report's ``unreadable.csv`` is deleted.

    Args:
        directory: the folder; other files in it are left alone.
        judgement: on the labels.
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        store: folder or store of what the last look saw.
        source: what judged the labels, such as ``{"epoch": 60}`` or ``{"model": "models/model.pt"}``; shown in the
            page, which names files without the folders of absolute paths.
        n_pictured: number of suspects with pictures in the page, the most suspect ones; some 30 kB each.
        unreadable: cases that could not be judged, and why: shown in the page, and written to ``unreadable.csv``.

    Returns:
        What would fit, a sentence by case, of cases whose whole label is in the wrong place.

    Raises:
        KeyError: a suspected case is not in ``data``.
    """
    folder = RunFolder(directory)
    hints = hints_for_whole_cases(judgement, store)
    for case, hint in hints.items():
        logger.warning(f"case {case!r}: {hint[0].lower()}{hint[1:]}")
    with (
        atomic_path(folder.label_report) as report,
        atomic_path(folder.slices) as slices,
        atomic_path(folder.page) as page,
        atomic_path(folder.unreadable) if unreadable else nullcontext() as broken,
    ):
        write_rows(judgement.rows(), REPORT_COLUMNS, report)
        with open_table(slices, SLICE_COLUMNS) as table:
            suspects = _through_table(illustrate_suspects(judgement, data, store, n_pictured), table)
            origin = provenance(source)
            files = {os.path.dirname(path): path for case in data for path in files_of(case)}  # one of each folder
            known = {*files.values(), *(v for v in origin.values() if isinstance(v, str))}
            about = {k: without_folders(v, known) if isinstance(v, str) else v for k, v in origin.items()}
            listed = [(case, without_folders(reason, known)) for case, reason in unreadable]
            write_page(page, judgement, suspects, about, n_pictured, listed, hints)
        if broken is not None:
            rows = (dict(zip(UNREADABLE_COLUMNS, line, strict=True)) for line in unreadable)
            write_rows(rows, UNREADABLE_COLUMNS, broken)
    if not unreadable:
        folder.unreadable.unlink(missing_ok=True)
    return hints


def _through_table(suspects: Iterable[Suspect], table: Table) -> Iterator[Suspect]:
    """The same suspects, whose slices have been written: slices and pictures come from one reading of a case."""
    for suspect in suspects:
        table.write(suspect.slices)
        yield suspect
