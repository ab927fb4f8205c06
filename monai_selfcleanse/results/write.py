"""What is left behind of a judgement: report, cleansed labels, and a closing table that says what they are."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.store import CaseStore, StoreLike
from ..core.judgement import Judgement
from ..earlier_results import set_aside
from ..files import staged
from ..run_folder import RunFolder
from .cleansed_labels import write_cleansed_labels
from .raters import raters_of, write_raters
from .record import write_record
from .report import write_report
from .truth import TruthSummary, compare_with_truth
from .words import VERDICTS

__all__ = ["TableRows", "closing_table", "replace_results", "write_results"]

logger = logging.getLogger(__name__)

TableRows = list[tuple[str, str]]
"""Lines of the closing table: what, and its value."""


def write_results(
    directory: str | os.PathLike,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
    unreadable: Sequence[tuple[str, str]] = (),
    cleansed: bool = True,
    record: bool = True,
    num_workers: int | None = 0,
) -> TableRows:
    """Write report, ``cleansed_labels/`` and record, and ``raters.csv`` where cases have raters.

    Args:
        directory: the folder, see :class:`monai_selfcleanse.run_folder.RunFolder`.
        judgement: on the labels.
        data: dictionaries of the cases judged, see :mod:`monai_selfcleanse.cases.case`.
        store: folder or store of what the last look saw.
        source: what judged the labels, see :func:`monai_selfcleanse.results.write_report`.
        unreadable: cases that could not be judged, and why.
        cleansed: write the cleansed labels, and compare with the truth where there is one.
        record: write the record; without it nothing can go on from the results, as where the cases' files will be gone.
        num_workers: see :func:`monai_selfcleanse.results.label_set.write_labels`.

    Returns:
        What was found, as lines of the closing table.
    """
    folder, store = RunFolder(directory), CaseStore.at(store)
    hints = write_report(folder, judgement, data, store, source, unreadable=unreadable)
    rows = _judgement_rows(judgement)
    if cleansed:
        write_cleansed_labels(folder.cleansed_labels, judgement, data, store, source, num_workers)
        truth = compare_with_truth(judgement, data, folder.cleansed_labels)
        rows += [] if truth is None else _truth_rows(truth)
    if judgement.suspected.any():
        redrawn = int(judgement.redrawn.sum())
        rows.append(("labels redrawn", f"{redrawn} of the {int(judgement.suspected.sum())} suspected"))
    if raters_of(data):
        rows += write_raters(folder.raters, judgement, data)
    if record:
        write_record(folder.record, judgement, data, store, source, hints)
    return rows + ([("not judged", f"{len(unreadable)} (see {folder.unreadable.name})")] if unreadable else [])


def replace_results(folder: RunFolder, write: Callable[[Path], TableRows]) -> TableRows:
    """Have results written beside those of an earlier run, then set these aside and put the new ones in their place.

    Args:
        folder: the output folder; keep other processes out of it meanwhile.
        write: writes to the folder that it is given (:func:`write_results`).

    Returns:
        What ``write`` has returned.
    """

    def make_room() -> None:
        if (aside := set_aside(folder)) is not None:
            logger.info(f"moved the results of an earlier run to {aside}")

    with staged(folder, before=make_room) as part:
        return write(part)


def closing_table(title: str, rows: TableRows, files: TableRows) -> str:
    """The table as text of several lines, figures first, then files."""
    width = max(len(name) for name, _ in rows + files)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    lines += [""] * bool(lines and files) + [f"  {name:<{width}}  {value}" for name, value in files]
    return "\n".join([title, "", *lines, ""])


def _judgement_rows(judgement: Judgement) -> TableRows:
    n_cases, n_structures = judgement.suspected.shape
    rows = [
        ("labels judged", f"{judgement.n_judged} ({n_cases} cases x {n_structures} structures)"),
        ("labels suspected", str(int(judgement.suspected.sum()))),
    ]
    if judgement.partial_labels:
        rows.insert(1, ("labels not annotated", str(n_cases * n_structures - judgement.n_judged)))
    for name, decision, column in zip(judgement.names, judgement.decisions, judgement.suspected.T, strict=True):
        rows.append((f"  {name}", VERDICTS.get(decision.verdict, str(int(column.sum())))))
    return rows


def _truth_rows(truth: TruthSummary) -> TableRows:
    noisy, clean, suspected = truth.noisy, truth.clean, truth.suspected
    hits = int((suspected & noisy).sum())
    rows = []
    if suspected.any():
        known = int((suspected & (noisy | clean)).sum())
        rows.append(("  of these truly noisy", f"{hits} of {known} (precision {hits / max(known, 1):.2f})"))
    if noisy.any():
        n_noisy = int(noisy.sum())
        rows.append(("truly noisy labels found", f"{hits} of {n_noisy} (recall {hits / n_noisy:.2f})"))
        if np.isfinite(truth.auroc):
            rows.append(("AUROC of clean probability", f"{truth.auroc:.3f}"))
    for name, group in (("all labels", np.ones_like(noisy)), ("noisy labels", noisy), ("clean labels", clean)):
        if group.any():
            before, after = truth.given_dice[group].mean(), truth.cleansed_dice[group].mean()
            rows.append((f"Dice to the truth, {name}", f"given {before:.3f}, cleansed {after:.3f}"))
    return rows
