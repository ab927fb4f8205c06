"""A judgement on every label of a cohort: who is suspected, who beyond doubt, what is redrawn, and why.

Knows arrays only: no files, no network, no engine. :class:`monai_selfcleanse.core.judge.LabelJudge` makes one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

from .evidence import EVIDENCE
from .mixture import FilterDecision
from .reason import reason_for

__all__ = [
    "BEYOND_DOUBT",
    "REDRAW_MARGIN",
    "REPORT_COLUMNS",
    "UNANNOTATED",
    "Judgement",
    "are_beyond_doubt",
    "rows_by_case",
]

BEYOND_DOUBT = 0.1
"""Clean probability below which a suspect is beyond doubt: it may be redrawn, and its case left out of a training."""

REDRAW_MARGIN = 0.1
"""How much less Dice than for a typical trusted label the network may expect of its drawing that replaces a label."""

REPORT_COLUMNS = (
    "case",
    "structure",
    "structure_name",
    "clean_probability",
    "suspected",
    "redrawn",
    "reason",
    *EVIDENCE,
)
"""Keys of :meth:`Judgement.rows`, and columns of ``label_report.csv``; :mod:`monai_selfcleanse.core.evidence` explains
the evidence."""

UNANNOTATED = "not annotated"
"""In place of a reason, where a partial label lacks the structure."""

Row = dict[str, Any]
"""One label, by :data:`REPORT_COLUMNS`."""

J = TypeVar("J", bound="Judgement")


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is known of every label of a cohort; ``n`` cases, ``K`` structures.

    Attributes:
        cases: ids of the cases, in the data set's order.
        structures: the structures judged, as class indices.
        names: a name for each structure.
        evidence: arrays ``(n, K)`` by name; see :func:`monai_selfcleanse.core.evidence.structure_evidence`. ``score``
            allows for the network's size bias, the others do not.
        clean_probability: ``(n, K)`` in [0, 1], 1 = clean.
        suspected: ``(n, K)`` bool.
        decisions: one :class:`monai_selfcleanse.core.mixture.FilterDecision` a structure.
        partial_labels: whether a structure that a given label lacks was taken as not annotated there.
        redraw_margin: see :attr:`redrawn`, in Dice, at least 0; infinite where predictions do not say how sure they
            are.
        values: the structures' numbers in reports and label files; empty where these are the class indices.
        one_piece: the structures of which strays do not count (:mod:`monai_selfcleanse.core.strays`).
    """

    cases: tuple[str, ...]
    structures: tuple[int, ...]
    names: tuple[str, ...]
    evidence: Mapping[str, np.ndarray]
    clean_probability: np.ndarray
    suspected: np.ndarray
    decisions: tuple[FilterDecision, ...]
    partial_labels: bool
    redraw_margin: float
    values: tuple[int, ...] = field(default=(), kw_only=True)
    one_piece: tuple[int, ...] = field(default=(), kw_only=True)

    @classmethod
    def of(cls: type[J], judgement: Judgement, **more: Any) -> J:
        """The same judgement as one of this class.

        Args:
            judgement: any.
            more: what this class has beyond a :class:`Judgement`.
        """
        return cls(**{one.name: getattr(judgement, one.name) for one in fields(Judgement)}, **more)

    @property
    def n_judged(self) -> int:
        """Number of labels judged: all but structures that neither label nor prediction has."""
        return int(np.count_nonzero(~np.isnan(self.evidence["score"])))

    @property
    def beyond_doubt(self) -> np.ndarray:
        """``(n, K)`` bool: the suspected labels with a clean probability below :data:`BEYOND_DOUBT`.

        The others may be clean, and are for somebody to look at.
        """
        return are_beyond_doubt(self.suspected, self.clean_probability)

    @property
    def redrawn(self) -> np.ndarray:
        """``(n, K)`` bool: the suspects beyond doubt that the network's own drawing is to replace.

        It must see the structure, and expect to draw it about as well as where the label is trusted: its expected Dice
        may lie ``redraw_margin`` (:data:`REDRAW_MARGIN`) below the median over the structure's trusted labels, of those
        in which it sees it. What it draws worse is often a hard case with a good label, or smaller than the others.
        Where there is no such trusted label, all suspects beyond doubt that it sees are redrawn.
        """
        expected, sees = self.evidence["expected_dice"], self.evidence["predicted_ml"] > 0
        trusted, out = sees & ~self.suspected, sees & self.beyond_doubt
        for k in range(len(self.structures)):
            if trusted[:, k].any():
                out[:, k] &= expected[:, k] >= np.median(expected[trusted[:, k], k]) - self.redraw_margin
        return out

    @property
    def size_bias(self) -> dict[int, float]:
        """The network's size biases, by class index, of the structures that have one."""
        biases = {k: decision.size_bias for k, decision in zip(self.structures, self.decisions, strict=True)}
        return {k: bias for k, bias in biases.items() if bias}

    @property
    def name_of(self) -> dict[int, str]:
        """The structures' names, by class index."""
        return dict(zip(self.structures, self.names, strict=True))

    @property
    def numbers(self) -> dict[int, int]:
        """The structures' numbers in reports and label files, by class index."""
        return dict(zip(self.structures, self.values or self.structures, strict=True))

    def rows(self) -> list[Row]:
        """One row a case and structure, most suspect first, with :data:`REPORT_COLUMNS` as keys.

        Structures have the numbers of the label files there.

        A label that is not suspected has no reason; one that was not judged since a partial label lacks the structure
        has :data:`UNANNOTATED`.
        """
        out, redrawn, names, number = [], self.redrawn, self.name_of, self.numbers
        for i, case in enumerate(self.cases):
            for j, (structure, name) in enumerate(names.items()):
                values = {key: float(self.evidence[key][i, j]) for key in EVIDENCE}
                reason = reason_for(values, names) if self.suspected[i, j] else ""
                values["swapped_with"] = float(number.get(int(values["swapped_with"]), values["swapped_with"]))
                if self.partial_labels and math.isnan(values["score"]):
                    reason = UNANNOTATED
                marks = {
                    "clean_probability": float(self.clean_probability[i, j]),
                    "suspected": int(self.suspected[i, j]),
                    "redrawn": int(redrawn[i, j]),
                }
                row = {"case": case, "structure": number[structure], "structure_name": name, **marks, "reason": reason}
                out.append(row | values)
        return sorted(out, key=lambda row: (row["clean_probability"], -np.nan_to_num(row["score"]), row["case"]))

    def suspects(self) -> list[Row]:
        """The rows of the suspected labels, most suspect first."""
        return [row for row in self.rows() if row["suspected"]]

    def by_case(self, chosen: np.ndarray) -> dict[str, list[int]]:
        """Chosen structures (``(n, K)`` bool, such as :attr:`suspected`) by case, of the cases that have one."""
        structures = np.array(self.structures)
        return {c: structures[row].tolist() for c, row in zip(self.cases, chosen, strict=True) if row.any()}


def are_beyond_doubt(suspected: np.ndarray, clean_probability: np.ndarray) -> np.ndarray:
    """Which suspects (bool, of any shape) have a clean probability below :data:`BEYOND_DOUBT`."""
    return suspected & (clean_probability < BEYOND_DOUBT)


def rows_by_case(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by case; cases, and the rows of one, come in the rows' order."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(row["case"], []).append(row)
    return out
