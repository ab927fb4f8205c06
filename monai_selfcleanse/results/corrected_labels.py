"""``corrected_labels/``: the labels of a data set, as reviewers have decided.

::

    DIR/labelsTr/a.nii.gz    each label under its own relative path, in its own format
        left_out.csv         cases that reviewers have left out: no label of theirs is here
        provenance.json      who decided what about which label, and all that an export needs

What is kept is a copy of the file. What is redrawn or edited changes structure by structure
(:mod:`monai_selfcleanse.results.drawing`).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ..cases.case import label_file_of
from ..cases.label_file import GivenLabel
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..files import atomic_folder
from ..progress import progress
from .decisions import Decision
from .drawing import Drawing, ReadEdit, Recipe, draw_label, read_edited
from .exclusion import exclusions
from .label_set import check_target
from .provenance import PROVENANCE_FILE, Kind, is_export, provenance, write_json
from .record import JudgedRun, kept_case
from .tables import read_rows, write_rows

__all__ = ["LEFT_OUT_COLUMNS", "LEFT_OUT_FILE", "Applied", "Undecided", "apply_decisions"]

LEFT_OUT_FILE = "left_out.csv"
"""Name of the table of cases that are left out."""

LEFT_OUT_COLUMNS = ("case", "structure", "who", "note")
"""Columns of ``left_out.csv``: a row for each label that has cost its case."""

Undecided = Literal["keep", "redraw", "leave-out"]
"""What becomes of suspects on which nobody has decided."""

KIND: Kind = "corrected labels"

logger = logging.getLogger(__name__)

Decisions = Mapping[tuple[str, int], Decision]
"""Decisions by case and class index."""


@dataclass(frozen=True)
class Applied:
    """What :func:`apply_decisions` has done. Labels are structures of the cases that were copied.

    Attributes:
        directory: the folder written.
        cases: number of cases copied.
        changed: number of these whose file is not the given one.
        kept, redrawn, edited: number of labels that reviewers decided so.
        undecided: number of suspects on which nobody has decided.
        undecided_redrawn: number of these that were redrawn all the same.
        left_out: the cases left out.
        not_judged: cases that the judgement does not know, for they could not be read; for a file that belongs to none,
            its path.
    """

    directory: Path
    cases: int
    changed: int
    kept: int
    redrawn: int
    edited: int
    undecided: int
    undecided_redrawn: int
    left_out: tuple[str, ...]
    not_judged: tuple[str, ...]


def apply_decisions(
    run: JudgedRun,
    decisions: Decisions,
    directory: str | os.PathLike | None = None,
    undecided: Undecided = "keep",
    read_edit: ReadEdit | None = None,
    show_progress: bool = False,
) -> Applied:
    """Write a copy of the labels as reviewers have decided; given labels are only read.

    A redrawn structure is drawn as the reviewer saw it, whether or not the judgement redraws it. A case with a
    structure that is left out is not copied at all: its wrong label would be trained on.

    Args:
        run: the judgement with its cases (:func:`monai_selfcleanse.results.read_record`).
        decisions: by case and class index (:func:`monai_selfcleanse.results.read_decisions`).
        directory: the folder to write; None for ``corrected_labels`` in the run's. It is put in its place as a whole.
            An earlier one is replaced.
        undecided: what becomes of suspects without a decision. ``redraw`` redraws those that ``cleansed_labels/`` has
            redrawn, and keeps the others.
        read_edit: reads what a reviewer has drawn; None for the run's ``edited_labels/``.
        show_progress: show a bar.

    Raises:
        ValueError: the folder holds something else, or labels of the data set; an edited label is missing, damaged, on
            another grid, or has unknown values; the message names it. Nothing is written then.
    """
    if undecided not in get_args(Undecided):
        raise ValueError(f"undecided must be one of {', '.join(get_args(Undecided))}, got {undecided!r}")
    directory = run.folder.corrected_labels if directory is None else Path(directory)
    _check_target(directory, run)
    recipes = _recipes(run.judgement, decisions, undecided)
    left_out = _left_out(run.judgement, decisions, undecided)
    gone = {row["case"] for row in left_out}
    items = [item for item in run.data if case_of(item) not in gone]
    read_edit = read_edit or _edited_in(run)
    voxels: dict[tuple[str, int], int] = {}
    changed = 0
    with atomic_folder(directory, is_export(KIND)) as part:
        for item in progress(items, "labels", show_progress):
            case = case_of(item)
            drawing = draw_label(item, recipes[case], lambda case=case: run.read_seen(case), read_edit)  # type: ignore[misc]
            drawing.save(part / label_file_of(item))
            changed += not drawing.is_as_given
            voxels |= {(case, k): n for k, n in _changes(drawing, recipes[case]).items()}
        write_rows(left_out, LEFT_OUT_COLUMNS, part / LEFT_OUT_FILE)
        write_json(_provenance(run, items, decisions, recipes, undecided, voxels), part / PROVENANCE_FILE)
    number = Counter(one.decision for (case, _), one in decisions.items() if case not in gone)
    open_ones = [(recipes[case_of(item)], k) for item in items for k in recipes[case_of(item)].suspects]
    return Applied(
        directory,
        len(items),
        changed,
        number["keep"],
        number["redraw"],
        number["edit"],
        len(open_ones),
        sum(k in recipe.redrawn for recipe, k in open_ones),
        tuple(dict.fromkeys(row["case"] for row in left_out)),
        _not_judged(run.folder.unreadable),
    )


def _not_judged(table: Path) -> tuple[str, ...]:
    """The cases in ``unreadable.csv``; where a row has none, the file with which its reason begins."""
    rows = read_rows(table) if table.is_file() else ()
    return tuple(row["case"] or row["reason"].partition(": ")[0] for row in rows)


def _recipes(judgement: Judgement, decisions: Decisions, undecided: Undecided) -> dict[str, Recipe]:
    """What becomes of every case's label."""
    suspected, redrawn = judgement.by_case(judgement.suspected), judgement.by_case(judgement.redrawn)
    of_case: dict[str, dict[int, Decision]] = {case: {} for case in judgement.cases}
    for (case, k), decision in decisions.items():
        of_case[case][k] = decision
    out = {}
    for case, decided in of_case.items():
        chosen = {k for k, one in decided.items() if one.decision == "redraw"}
        suspects = [k for k in suspected.get(case, ()) if k not in decided]
        if undecided == "redraw":
            chosen |= {k for k in redrawn.get(case, ()) if k in suspects}
        out[case] = Recipe(
            redrawn=tuple(k for k in judgement.structures if k in chosen),
            edited=tuple(k for k in judgement.structures if k in decided and decided[k].decision == "edit"),
            decided=tuple(k for k in judgement.structures if k in decided),
            suspects=tuple(suspects),
        )
    return out


def _left_out(judgement: Judgement, decisions: Decisions, undecided: Undecided) -> list[dict[str, str]]:
    """Rows of ``left_out.csv``, in the order of the cases."""
    suspected = judgement.by_case(judgement.suspected)
    rows = []
    for case in judgement.cases:
        for k, name in judgement.name_of.items():
            decision = decisions.get((case, k))
            if decision is not None and decision.decision == "leave-out":
                rows.append({"case": case, "structure": name, "who": decision.who, "note": decision.note})
            elif decision is None and undecided == "leave-out" and k in suspected.get(case, ()):
                rows.append({"case": case, "structure": name, "who": "", "note": "an undecided suspect"})
    return rows


def _edited_in(run: JudgedRun) -> ReadEdit:
    """Reads labels from the run's ``edited_labels/``."""

    def read(item: Mapping[str, Any], label: GivenLabel) -> np.ndarray:
        path = run.folder.edited_labels / label_file_of(item)
        if not path.is_file():
            raise ValueError(
                f"{path} is not there, though case {case_of(item)!r} is decided as edited: edit it again, or decide "
                "otherwise"
            )
        return read_edited(path, label, run.judgement.structures)

    return read


def _check_target(directory: Path, run: JudgedRun) -> None:
    """See that nothing which is read, or is somebody's original, lies where the copy goes, nor the copy in it."""
    check_target(directory, run.data, [run.folder.edited_labels, run.folder.cleansed_labels, run.folder.cases])


def _changes(drawing: Drawing, recipe: Recipe) -> dict[int, int]:
    """Number of voxels that the redrawn and edited structures have won or lost."""
    given = drawing.label.index
    return {k: int(np.count_nonzero((drawing.index == k) != (given == k))) for k in {*recipe.redrawn, *recipe.edited}}


def _excluded(judgement: Judgement, decisions: Decisions, recipes: Mapping[str, Recipe]) -> list[dict[str, Any]]:
    """The cases that are better not trained on: those left out, and those with an undecided suspect kept as given."""
    number, rows = {value: k for k, value in judgement.numbers.items()}, []
    for row in judgement.rows():
        k, recipe = number[row["structure"]], recipes[row["case"]]
        decision = decisions.get((row["case"], k))
        if decision is not None and decision.decision == "leave-out":
            rows.append(row | {"reason": f"left out by {decision.who}" if decision.who else "left out"})
        elif k in recipe.suspects and k not in recipe.redrawn:
            rows.append(row)
    return exclusions(rows)


def _provenance(
    run: JudgedRun,
    items: list[dict[str, Any]],
    decisions: Decisions,
    recipes: Mapping[str, Recipe],
    undecided: Undecided,
    voxels: Mapping[tuple[str, int], int],
) -> dict[str, Any]:
    """What ``provenance.json`` says; ``data`` and ``structures`` are there for :mod:`.applied`."""
    judgement = run.judgement
    made_by = {"redraw": "redrawn by what judged the labels", "edit": "edited", "": "redrawn, undecided"}
    labels: dict[str, dict[str, Any]] = {}
    for (case, k), n in voxels.items():
        decision = decisions.get((case, k), Decision(case, judgement.name_of[k], "redraw"))
        by = made_by[decision.decision if (case, k) in decisions else ""]
        said = {"by": by, "who": decision.who, "when": decision.when, "note": decision.note}
        labels.setdefault(case, {})[judgement.name_of[k]] = said | {"voxels": n}
    return provenance({"judged_by": dict(run.source)}) | {
        "export": KIND,
        "run": os.path.abspath(run.folder.path),
        "undecided": undecided,
        "changed": labels,
        "decisions": [asdict(decision) for decision in decisions.values()],
        "recipes": {case_of(item): asdict(recipes[case_of(item)]) for item in items},
        "structures": [
            {"class": k, "value": judgement.numbers[k], "name": name} for k, name in judgement.name_of.items()
        ],
        "data": [kept_case(item) for item in items],
        "excluded": _excluded(judgement, decisions, recipes),
    }
