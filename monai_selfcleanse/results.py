"""What is left behind of a judgement: report, cleansed labels, and a closing table that says what they are."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .cases import CLEANSED_LABELS
from .export import write_cleansed_labels
from .judgement import Judgement
from .mixture import VERDICTS
from .raters import RATERS_FILE, raters_of, write_raters
from .report import REPORT_FILES, UNREADABLE_FILE, TruthSummary, compare_with_truth, report_rows, write_report
from .store import CaseStore

__all__ = ["RESULTS", "closing_table", "result_files", "set_aside", "write_results"]

RESULTS = (*REPORT_FILES, UNREADABLE_FILE, RATERS_FILE, CLEANSED_LABELS)
"""What :func:`write_results` leaves in a folder."""

Rows = list[tuple[str, str]]
"""Lines of the closing table: what, and its value."""


def write_results(
    directory: str | Path,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: CaseStore,
    source: Mapping[str, Any],
    unreadable: Sequence[tuple[str, str]] = (),
) -> Rows:
    """Write report and ``cleansed_labels/``, and ``raters.csv`` where cases have raters.

    Args:
        directory: the folder.
        judgement: on the labels.
        data: dictionaries of the cases judged, see :mod:`monai_selfcleanse.cases`.
        store: where the last sweep is.
        source: what judged the labels, see :func:`monai_selfcleanse.report.write_report`.
        unreadable: cases that could not be judged, and why.

    Returns:
        What was found, as lines of the closing table.
    """
    names = dict(zip(judgement.structures, judgement.names, strict=True))
    decisions = dict(zip(judgement.structures, judgement.decisions, strict=True))
    ranked = report_rows(
        judgement.cases,
        names,
        judgement.evidence,
        judgement.clean_probability,
        judgement.suspected,
        judgement.redrawn,
        judgement.partial_labels,
    )
    cleansed = Path(directory) / CLEANSED_LABELS
    write_report(directory, ranked, names, decisions, data, store, source, unreadable=unreadable)
    write_cleansed_labels(data, ranked, store, cleansed, source)
    truth = compare_with_truth(
        data, cleansed, judgement.cases, judgement.structures, judgement.clean_probability, judgement.suspected
    )
    rows = _judgement_rows(judgement) + ([] if truth is None else _truth_rows(truth))
    if judgement.suspected.any():
        redrawn = int(judgement.redrawn.sum())
        rows.append(("labels redrawn", f"{redrawn} of the {int(judgement.suspected.sum())} suspected"))
    if raters_of(data):
        rows += write_raters(directory, judgement, data)
    return rows + ([("not judged", f"{len(unreadable)} (see {UNREADABLE_FILE})")] if unreadable else [])


def result_files(directory: str | Path) -> Rows:
    """The paths of what there is in a folder, as lines of the closing table."""
    words = (
        "suspects, ranked",
        "slices to look at",
        "suspects, with pictures",
        "cases not judged",
        "raters compared",
        "cleansed labels",
    )
    paths = {name: (what, str(Path(directory) / name)) for name, what in zip(RESULTS, words, strict=True)}
    page = paths.pop("report.html")
    return [(what, path) for what, path in (page, *paths.values()) if Path(path).exists()]


def closing_table(title: str, rows: Rows, files: Rows) -> str:
    """The table as text of several lines, figures first, then files."""
    width = max(len(name) for name, _ in rows + files)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    lines += [""] * bool(lines and files) + [f"  {name:<{width}}  {value}" for name, value in files]
    return "\n".join([title, "", *lines, ""])


def set_aside(directory: str | Path, *others: str | Path) -> Path | None:
    """Move the results that an earlier run left in a folder to ``earlier/N`` in it; a user may have worked on them.

    Args:
        directory: the folder.
        others: files that belong to the results wherever they lie, such as the weights: a copy goes along, for they may
            be in use.

    Returns:
        Where they are now; None if there were none.
    """
    earlier = [path for path in (Path(directory) / name for name in RESULTS) if path.exists()]
    if not earlier:
        return None
    n = 1
    while (aside := Path(directory) / "earlier" / str(n)).exists():
        n += 1
    aside.mkdir(parents=True)
    for path in earlier:
        path.rename(aside / path.name)
    for other in map(Path, others):
        if other.exists():
            shutil.copy2(other, aside / other.name)
    return aside


def _judgement_rows(judgement: Judgement) -> Rows:
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


def _truth_rows(truth: TruthSummary) -> Rows:
    noisy, clean, suspected = truth.noisy, truth.clean, truth.suspected
    hits = int((suspected & noisy).sum())
    rows = []
    if suspected.any():
        counted = int((suspected & (noisy | clean)).sum())
        rows.append(("  of these truly noisy", f"{hits} of {counted} (precision {hits / max(counted, 1):.2f})"))
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
