"""From evidence about every label of a cohort to a judgement on each: what training and audit have in common.

Knows arrays only: no files, no network, no engine.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np

from .evidence import EVIDENCE, WITHOUT_STRAYS, merge_unannotated, reason_for, structure_evidence, surprise
from .mixture import FilterDecision, filter_labels
from .prediction import Predicted, Prediction, condensed
from .strays import find_strays, is_in_one_piece, largest_shares, without_strays

__all__ = [
    "BEYOND_DOUBT",
    "KNEW_ENOUGH",
    "LARGEST_SHARE",
    "LEAVE_OUT_SEPARATION",
    "REDRAW_MARGIN",
    "REPORT_COLUMNS",
    "UNANNOTATED",
    "Judgement",
    "LabelJudge",
    "cases_to_leave_out",
    "rows_by_case",
]

BEYOND_DOUBT = 0.1
"""Clean probability below which a suspect is beyond doubt: it may be redrawn, and its case left out of a training."""

KNEW_ENOUGH = 0.8
"""Share of the suspects beyond doubt that a first look must have suspected, too, to be heeded about the others."""

LARGEST_SHARE = "largest_share"
"""Name under which evidence has what :func:`monai_selfcleanse.core.strays.largest_shares` says of a given label."""

LEAVE_OUT_SEPARATION = 0.25
"""Separation of a structure's two groups (``FilterDecision.separation``, in Dice) from which on its suspects may cost a
training their cases."""

REDRAW_MARGIN = 0.1
"""How much less Dice than for a typical trusted label the network may expect of its drawing that replaces a label."""

_LEAVE_OUT_FROM, _LEAVE_OUT_UP_TO = 1 / 3, 0.8
"""Share of its structures from which on a case is left out, and share of the cases that may be."""

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
        evidence: arrays ``(n, K)`` by name; see :func:`monai_selfcleanse.core.evidence.structure_evidence`.
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

        The others may be right, and are for somebody to look at.
        """
        return self.suspected & (self.clean_probability < BEYOND_DOUBT)

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


class LabelJudge:
    """Score given labels against predictions, and tell clean from noisy ones over the cohort.

    Args:
        structures: the foreground classes to judge, ``{index: name}`` or indices.
        values: their numbers in label files, for reports, in the same order; None where these are the indices.
        threshold, min_separation, max_share, min_cases, random_state: see
            :func:`monai_selfcleanse.core.mixture.filter_labels`.
        partial_labels: a structure that a given label lacks was not annotated there, rather than missed. It is neither
            judged nor redrawn in that case. No structure is then found missing as a whole.

    Attributes:
        names: the structures and their names.

    Raises:
        ValueError: a number is out of range, or there is no structure.
    """

    def __init__(
        self,
        structures: Mapping[Any, str] | Sequence[int],
        threshold: float = 0.5,
        min_separation: float = 0.2,
        max_share: float = 0.8,
        min_cases: int = 12,
        random_state: int = 0,
        partial_labels: bool = False,
        values: Sequence[int] | None = None,
    ) -> None:
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must lie in (0, 1), got {threshold}")
        if not 0 < max_share <= 1:
            raise ValueError(f"max_share must lie in (0, 1], got {max_share}")
        if min_cases < 1:
            raise ValueError(f"min_cases must be at least 1, got {min_cases}")
        if math.isnan(min_separation):
            raise ValueError("min_separation must be a number, got nan")
        named = structures if isinstance(structures, Mapping) else {k: f"structure {k}" for k in structures}
        if not named or min(int(k) for k in named) < 1:
            raise ValueError(
                f"structures must be foreground classes, 1 or more of them and each over 0, got {structures}"
            )
        self.names = {int(k): str(name) for k, name in named.items()}
        if values is not None and len(values) != len(self.names):
            raise ValueError(f"values must be a number for each of the {len(self.names)} structures, got {values}")
        self.values = tuple(int(value) for value in values or ())
        self.partial_labels = partial_labels
        self.filter_options: dict[str, Any] = {
            "threshold": threshold,
            "min_separation": min_separation,
            "max_share": max_share,
            "min_cases": min_cases,
            "random_state": random_state,
        }

    def in_label_terms(self, given: np.ndarray, probabilities: Predicted) -> Prediction:
        """The prediction in the label's terms: what is scored, and what a cleansed label is made of.

        With partial labels a structure that the label lacks is background there
        (:func:`monai_selfcleanse.core.evidence.merge_unannotated`).
        """
        return merge_unannotated(given, probabilities) if self.partial_labels else condensed(probabilities)

    def strays(self, given: np.ndarray, prediction: Prediction) -> dict[int, np.ndarray]:
        """What of a prediction would not count if its structure were in one piece.

        See :func:`monai_selfcleanse.core.strays.find_strays`.
        """
        return find_strays(given, prediction.predicted, tuple(self.names))

    def evidence(
        self,
        given: np.ndarray,
        probabilities: Predicted,
        spacing: Sequence[float],
        strays: Mapping[int, np.ndarray] | None = None,
    ) -> dict[str, np.ndarray]:
        """Evidence ``(K,)`` by name about one case.

        It is that of :func:`monai_selfcleanse.core.evidence.structure_evidence` as the prediction is, and once more
        without its strays, its names ending in :data:`monai_selfcleanse.core.evidence.WITHOUT_STRAYS`. Only the whole
        cohort can tell which of the two holds. For that, the share of each given label's largest piece comes with it
        (:data:`LARGEST_SHARE`).

        Args:
            given, probabilities, spacing: see :func:`monai_selfcleanse.core.evidence.structure_evidence`.
            strays: see :meth:`strays`; None: they are looked for.
        """
        structures, prediction = tuple(self.names), condensed(probabilities)
        whole = structure_evidence(given, prediction, structures, spacing)
        strays = self.strays(given, prediction) if strays is None else strays
        rest = {f"{name}{WITHOUT_STRAYS}": values.copy() for name, values in whole.items()}
        for k, places in strays.items():
            own = structure_evidence(given, without_strays(prediction, {k: places}), [k], spacing)
            for name, values in own.items():
                rest[f"{name}{WITHOUT_STRAYS}"][structures.index(k)] = values[0]
        return whole | rest | {LARGEST_SHARE: largest_shares(given, structures)}

    def judge(
        self,
        cases: Sequence[str],
        evidence: Mapping[str, np.ndarray],
        has_probabilities: bool = True,
        first_look: Mapping[str, np.ndarray] | None = None,
    ) -> Judgement:
        """Decide on a cohort.

        Args:
            cases: the ``n`` ids, at least one.
            evidence: arrays ``(n, K)`` by name, one row a case as from :meth:`evidence`
                (:func:`monai_selfcleanse.core.evidence.stack_evidence`). Where it says nothing of strays, there are
                none.
            has_probabilities: whether the predictions said how sure they are. Where something stands in for that
                (:func:`monai_selfcleanse.core.border.stand_in`), the expected Dice tells how large a structure is and
                no more. Then every suspect beyond doubt that the prediction has is redrawn.
            first_look: evidence of the training's first look, from a network that still trained on every label. A case
                that is left out stays hard for the network, and so suspected. So no suspect is beyond doubt that the
                first look found clean, with a probability above 0.9: its clean probability becomes
                :data:`BEYOND_DOUBT`. A structure's first look is heeded if it suspected most of what is beyond doubt
                now (:data:`KNEW_ENOUGH`); else the network knew too little. None where there was no other look.
        """
        one_piece = self._one_piece(evidence)
        evidence = self._counted(evidence, one_piece)
        decisions = self._decisions(evidence)
        if first_look is not None:
            pairs = zip(decisions, self._decisions(self._counted(first_look, one_piece)), strict=True)
            decisions = tuple(_less_sure(decision, first) for decision, first in pairs)
        return Judgement(
            tuple(cases),
            tuple(self.names),
            tuple(self.names.values()),
            evidence,
            # Where neither label nor prediction has the structure there is nothing against the label.
            np.nan_to_num(np.stack([d.clean_probability for d in decisions], 1), nan=1.0),
            np.stack([d.suspected for d in decisions], 1),
            decisions,
            self.partial_labels,
            REDRAW_MARGIN if has_probabilities else math.inf,
            values=self.values,
            one_piece=one_piece,
        )

    def _one_piece(self, evidence: Mapping[str, np.ndarray]) -> tuple[int, ...]:
        """The structures that the cohort's given labels show in one piece."""
        if LARGEST_SHARE not in evidence:
            return ()
        return tuple(k for k, s in zip(self.names, evidence[LARGEST_SHARE].T, strict=True) if is_in_one_piece(s))

    def _counted(self, evidence: Mapping[str, np.ndarray], one_piece: Collection[int]) -> dict[str, np.ndarray]:
        """The evidence without the strays of structures in one piece, and with those of others."""
        apart = np.isin(list(self.names), list(one_piece))
        return {
            name: np.where(apart, evidence.get(f"{name}{WITHOUT_STRAYS}", evidence[name]), evidence[name])
            for name in EVIDENCE
        }

    def _decisions(self, evidence: Mapping[str, np.ndarray]) -> tuple[FilterDecision, ...]:
        columns = zip(np.transpose(evidence["score"]), np.transpose(surprise(evidence)), strict=True)
        return tuple(filter_labels(score, surprised, **self.filter_options) for score, surprised in columns)


def _less_sure(decision: FilterDecision, first: FilterDecision) -> FilterDecision:
    """A decision on one structure in which no label is beyond doubt that the first look found clean beyond doubt."""
    sure = decision.suspected & (decision.clean_probability < BEYOND_DOUBT)
    if not sure.any() or first.verdict != "suspects" or first.suspected[sure].mean() < KNEW_ENOUGH:
        return decision
    cleared = sure & (first.clean_probability > 1 - BEYOND_DOUBT)
    return replace(decision, clean_probability=np.where(cleared, BEYOND_DOUBT, decision.clean_probability))


def cases_to_leave_out(
    judgement: Judgement, min_separation: float = LEAVE_OUT_SEPARATION, trained_redrawn: np.ndarray | None = None
) -> tuple[str, ...]:
    """Cases that a training does better without: a third or more of their judged structures are suspected beyond doubt.

    What is left out is not learned, stays hard for the network, and so suspected: on right labels a few hard cases that
    the filter takes for suspects would grow to many. So only suspects beyond doubt count
    (:attr:`Judgement.beyond_doubt`), and only of structures whose two groups are ``min_separation`` apart.

    A case stays that has a trusted label of a structure of which no other case would have one. None is left out where
    that would be more than four fifths of the cases.

    Args:
        judgement: on the cohort.
        min_separation: least separation, in Dice, of the two groups of a structure whose suspects count.
        trained_redrawn: suspects ``(n, K)`` bool that are trained on redrawn, which are as good as trusted; None for
            none.

    Returns:
        Their ids, in the judgement's order; of a cohort in which nothing was judged or suspected, none.
    """
    clear = np.array([decision.separation >= min_separation for decision in judgement.decisions], dtype=bool)
    judged = ~np.isnan(judgement.evidence["score"])
    redrawn = np.zeros_like(judged) if trained_redrawn is None else trained_redrawn
    trusted = judged & (~judgement.suspected | redrawn)
    suspects = (judgement.beyond_doubt & ~redrawn & clear).sum(1)
    out = (suspects > 0) & (suspects >= _LEAVE_OUT_FROM * judged.sum(1))
    orphaned = trusted.any(0) & ~trusted[~out].any(0)
    out &= ~(trusted & orphaned).any(1)
    if out.sum() > _LEAVE_OUT_UP_TO * judged.any(1).sum():
        return ()
    return tuple(case for case, is_out in zip(judgement.cases, out, strict=True) if is_out)


def rows_by_case(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by case; cases, and the rows of one, come in the rows' order."""
    out: dict[str, list[Row]] = {}
    for row in rows:
        out.setdefault(row["case"], []).append(row)
    return out
