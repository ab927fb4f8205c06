"""A review: the labels of a judgement by number, the decisions about them, and adding to these."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_args

from ..core.judgement import Judgement
from ..results.decisions import Choice, Decision, add_decisions, read_decisions
from ..results.record import JudgedRun
from ..results.tables import short_number
from ..results.words import reason_in_words

__all__ = ["MAX_NOTE", "ConflictError", "Label", "Review", "SupersededError", "UnknownError", "state_of"]

MAX_NOTE = 2000
"""Characters of a note."""


class ConflictError(ValueError):
    """Somebody else has been faster: what was asked for rests on what is no longer so."""


class UnknownError(LookupError):
    """What was asked for is not there."""


class SupersededError(Exception):
    """A later request has made this one pointless; it may be asked again."""


@dataclass(frozen=True)
class Label:
    """One label of the review.

    Attributes:
        case: the case's id.
        structure: the structure's class index.
        name: its name.
    """

    case: str
    structure: int
    name: str


class Review:
    """The labels of a judgement, most suspect first, and what has been decided about them.

    A label goes by its number, from 0, in the order of :meth:`monai_selfcleanse.core.judgement.Judgement.rows`; a case
    by its place in the judgement. So no name of a case is ever part of an address.

    Args:
        run: what is reviewed.
        who: the reviewer's name.
    """

    def __init__(self, run: JudgedRun, who: str = "") -> None:
        self.run, self.who = run, who
        self.rows = run.judgement.rows()
        self._record = state_of(run.folder.record)
        index = {number: k for k, number in run.judgement.numbers.items()}
        self.labels = [Label(row["case"], index[row["structure"]], row["structure_name"]) for row in self.rows]
        self._number = {(label.case, label.structure): i for i, label in enumerate(self.labels)}
        self._read: tuple[str, dict[tuple[str, int], Decision]] = ("", {})

    @property
    def judgement(self) -> Judgement:
        """The judgement."""
        return self.run.judgement

    @cached_property
    def table(self) -> dict[str, Any]:
        """What the page lists: plain values alone, each label as a list in the order of its ``columns``."""
        cases = {case: i for i, case in enumerate(self.judgement.cases)}
        places = {k: i for i, k in enumerate(self.judgement.structures)}
        return {
            "who": self.who,
            "cases": list(self.judgement.cases),
            "structures": [{"name": name, "index": k} for k, name in self.judgement.name_of.items()],
            "columns": ["case", "structure", "suspected", "redrawn", "reason", "words", "clean", "score", "dice"],
            "labels": [
                [
                    cases[label.case],
                    places[label.structure],
                    row["suspected"],
                    row["redrawn"],
                    row["reason"],
                    self._words(row),
                    *(short_number(row[key]) for key in ("clean_probability", "score", "dice")),
                ]
                for label, row in zip(self.labels, self.rows, strict=True)
            ],
        }

    def _words(self, row: Mapping[str, Any]) -> str:
        """What seems wrong with a label, as the report says it."""
        hint = self.run.hints.get(row["case"], "") if row["suspected"] else ""
        return f"{reason_in_words(row)} {hint}".strip()

    @property
    def version(self) -> str:
        """Changes whenever the decisions' file does; empty where there is none."""
        return state_of(self.run.folder.decisions)

    def decisions(self) -> tuple[str, dict[int, dict[str, str]]]:
        """The decisions in force.

        Returns:
            The file's :attr:`version`, and ``decision``, ``who``, ``when`` and ``note`` by the label's number.

        Raises:
            ValueError: the file is no table of decisions; the message names the row.
        """
        version, decided = self._decided()
        return version, {self._number[key]: _in_words(decision) for key, decision in decided.items()}

    def decided_in(self, case: str) -> dict[int, Decision]:
        """The decisions in force about a case, by class index.

        Raises:
            ValueError: the file is no table of decisions; the message names the row.
        """
        return {k: one for (of, k), one in self._decided()[1].items() if of == case}

    def decide(self, number: int, choice: str, note: str = "", seen: Mapping[str, str] | None = None) -> None:
        """Write a decision about a label, at once.

        Args:
            number: the label's.
            choice: one of :data:`monai_selfcleanse.results.decisions.Choice`.
            note: the reviewer's words.
            seen: the decision in force as the reviewer has seen it, as from :meth:`decisions`; None for undecided.

        Raises:
            ConflictError: another decision is in force by now, which the reviewer has not seen.
            ValueError: it is no decision, or the folder holds another run's results by now.
            OSError: it cannot be written; nothing has changed.
        """
        label = self.label(number)
        if choice not in get_args(Choice):
            raise ValueError(f"{choice!r} is no decision; it may be {', '.join(get_args(Choice))}")
        if len(note) > MAX_NOTE:
            raise ValueError(f"the note has {len(note):,} characters; it may have {MAX_NOTE:,}")

        def check() -> None:
            in_force = self._decided()[1].get((label.case, label.structure))
            if (None if in_force is None else _in_words(in_force)) != (None if seen is None else dict(seen)):
                raise ConflictError(self._meanwhile(in_force))

        self.add([Decision.now(label.case, label.name, choice, self.who, note)], check)  # type: ignore[arg-type]

    def add(self, decisions: list[Decision], expect: Callable[[], None]) -> None:
        """Write decisions about the labels of this very judgement.

        Args:
            decisions: the decisions.
            expect: raises an error unless they may be written; nobody else writes meanwhile.

        Raises:
            ValueError: the folder holds another run's results by now.
            OSError: they cannot be written; nothing has changed.
        """
        self.check_same_run()
        add_decisions(self.run.folder.decisions, decisions, expect)

    def check_same_run(self) -> None:
        """See that the output folder still holds what is reviewed.

        Raises:
            ValueError: it holds another run's results.
        """
        if state_of(self.run.folder.record) != self._record:
            raise ValueError(
                f"{self.run.folder.path} holds another run's results by now: stop this review, and start it again"
            )

    def label(self, number: int) -> Label:
        """The label of a number.

        Raises:
            UnknownError: there is none.
        """
        if not 0 <= number < len(self.labels):
            raise UnknownError(f"there is no label {number}")
        return self.labels[number]

    def case(self, place: int) -> str:
        """The id of the case at a place of the judgement.

        Raises:
            UnknownError: there is none.
        """
        if not 0 <= place < len(self.judgement.cases):
            raise UnknownError(f"there is no case {place}")
        return self.judgement.cases[place]

    def _decided(self) -> tuple[str, dict[tuple[str, int], Decision]]:
        version = self.version
        if version != self._read[0]:
            self._read = version, read_decisions(self.run.folder.decisions, self.judgement)
        return self._read

    @staticmethod
    def _meanwhile(decision: Decision | None) -> str:
        if decision is None:
            return "somebody has taken the decision back meanwhile; look, and decide again"
        return f"{decision.who or 'somebody'} has decided {decision.decision!r} meanwhile; look, and decide again"


def state_of(path: str | os.PathLike) -> str:
    """What tells a file from its successor; empty for one that is not there."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return ""
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _in_words(decision: Decision) -> dict[str, str]:
    return {key: getattr(decision, key) for key in ("decision", "who", "when", "note")}
