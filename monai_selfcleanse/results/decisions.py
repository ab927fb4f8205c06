"""``decisions.csv``: what reviewers have decided about labels.

Each decision is a row, added at the end. The last row about a label counts, so that nobody's decision is lost. A row
that a person writes needs the first three columns alone.

=============== =================================================================================================
column          meaning
=============== =================================================================================================
``case``        the case's id
``structure``   the structure's name or its value in label files; empty: every suspect of the case. ``leave-out`` and
                ``undecided`` then hold for the case, whether it has suspects or not
``decision``    ``keep`` the given label, ``redraw`` it, ``edit`` (it is in ``edited_labels/``), ``leave-out`` the
                case, or ``undecided``, which takes an earlier decision back
``who``         the reviewer
``when``        UTC, ISO 8601
``note``        anything
=============== =================================================================================================
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Literal, get_args

from ..core.case_id import as_compared
from ..core.judgement import Judgement
from ..files import atomic_path, waiting_turn
from .tables import read_rows, write_rows

__all__ = ["DECISION_COLUMNS", "Choice", "Decision", "add_decisions", "read_decisions"]

DECISION_COLUMNS = ("case", "structure", "decision", "who", "when", "note")
"""Columns of ``decisions.csv``."""

Choice = Literal["keep", "redraw", "edit", "leave-out", "undecided"]
"""What can be decided about a label."""


@dataclass(frozen=True)
class Decision:
    """One decision about one label.

    Attributes:
        case: the case's id.
        structure: the structure's name.
        decision: what was decided.
        who: the reviewer; empty if unknown.
        when: UTC, ISO 8601; empty if unknown.
        note: the reviewer's words.
    """

    case: str
    structure: str
    decision: Choice
    who: str = ""
    when: str = ""
    note: str = ""

    @classmethod
    def now(cls, case: str, structure: str, decision: Choice, who: str = "", note: str = "") -> Decision:
        """A decision that is made at this moment."""
        return cls(case, structure, decision, who, datetime.now(timezone.utc).isoformat(timespec="seconds"), note)


def add_decisions(
    path: str | os.PathLike, decisions: Iterable[Decision], expect: Callable[[], None] | None = None
) -> None:
    """Add decisions at the end of the file, all or none of them.

    Processes that add at the same moment wait for each other. The file is whole at any time.

    Args:
        path: the file, made where it is missing.
        decisions: the decisions.
        expect: called before they are written, while nobody else adds any; what it raises is passed on, and nothing is
            written then. It may read the file.

    Raises:
        ValueError: the file is no table of decisions.
        OSError: it cannot be written; it is then as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with waiting_turn(path):
        if expect is not None:
            expect()
        rows = _rows(path) if path.exists() else []
        rows += [dict(zip(DECISION_COLUMNS, astuple(decision), strict=True)) for decision in decisions]
        with atomic_path(path) as part:
            write_rows(rows, DECISION_COLUMNS, part)


def read_decisions(path: str | os.PathLike, judgement: Judgement) -> dict[tuple[str, int], Decision]:
    """The decisions in force.

    Args:
        path: the file; one that is not there holds none.
        judgement: the labels that they are about.

    Returns:
        The last decision about each label, by case and class index; labels that are undecided are not in it.

    Raises:
        ValueError: the file is no table of decisions, or a row names an unknown case, structure or decision; the
            message names file, line and remedy.
    """
    path = Path(path)
    out: dict[tuple[str, int], Decision] = {}
    rows = _rows(path) if path.exists() else []
    known = {as_compared(case.strip()): case for case in judgement.cases} | {case: case for case in judgement.cases}
    for line, row in enumerate(rows, 2):
        where = f"{path}, row {line}"
        structure, choice = row["structure"].strip(), row["decision"].strip()
        case = known.get(row["case"]) or known.get(as_compared(row["case"].strip()))
        if case is None:
            raise ValueError(f"{where}: no case {row['case']!r} was judged; label_report.csv lists the cases")
        if choice not in get_args(Choice):
            raise ValueError(f"{where}: {choice!r} is no decision; it may be {', '.join(get_args(Choice))}")
        decided = [k for other, k in out if other == case]
        for k in [_class_of(structure, judgement, where)] if structure else _meant(case, choice, judgement, decided):
            name = judgement.name_of[k]
            decision = Decision(case, name, choice, row["who"], row["when"], row["note"])  # type: ignore[arg-type]
            out.pop((case, k), None)
            if choice != "undecided":
                out[case, k] = decision
    return out


def _meant(case: str, choice: str, judgement: Judgement, decided: Sequence[int]) -> list[int]:
    """The class indices that a row without a structure is about.

    Args:
        case: the case's id.
        choice: what was decided.
        judgement: the labels that decisions are about.
        decided: class indices of the case about which there is a decision.
    """
    suspects = list(judgement.by_case(judgement.suspected).get(case, ()))
    if choice == "undecided":
        return sorted({*suspects, *decided})
    if choice == "leave-out" and not suspects:  # a case goes as a whole: any of its labels may say so
        return list(judgement.name_of)[:1]
    return suspects


def _class_of(structure: str, judgement: Judgement, where: str) -> int:
    """The class index of a structure by its name or value."""
    for k, name in judgement.name_of.items():
        if structure in (name, str(judgement.numbers[k])):
            return k
    known = ", ".join(judgement.names)
    raise ValueError(f"{where}: there is no structure {structure!r}; it may be {known}, or a value in the label files")


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows, with every column."""
    try:
        rows = read_rows(path)
    except (OSError, UnicodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as CSV ({type(error).__name__}: {error})") from error
    lacking: Sequence[str] = [column for column in DECISION_COLUMNS[:3] if rows and column not in rows[0]]
    if lacking:
        wanted = ", ".join(DECISION_COLUMNS[:3])
        raise ValueError(f"{path}: lacks the column {lacking[0]!r}; a table of decisions has {wanted}")
    return [{column: row.get(column, "") for column in DECISION_COLUMNS} for row in rows]
