"""From evidence about every label of a cohort to a judgement on each: what training and audit have in common.

Knows arrays only: no files, no network, no engine.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .evidence import EVIDENCE, LARGEST_SHARE, WITHOUT_STRAYS, merge_unannotated, structure_evidence
from .judgement import BEYOND_DOUBT, REDRAW_MARGIN, Judgement, are_beyond_doubt
from .mixture import FilterDecision
from .prediction import Predicted, Prediction, condensed
from .size_bias import filter_without_size_bias, score_without_size_bias
from .strays import find_strays, is_in_one_piece, largest_shares, without_strays

__all__ = ["KNEW_ENOUGH", "LabelJudge"]

KNEW_ENOUGH = 0.8
"""Share of the suspects beyond doubt that a first look must have suspected, too, to be heeded about the others."""


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
        ValueError: a number is out of range, there is no structure, or two have one name.
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
        if len(set(self.names.values())) < len(self.names):
            raise ValueError(f"each structure must have a name of its own, got {list(self.names.values())}")
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
        columns = zip(_columns(evidence), decisions, strict=True)
        evidence["score"] = np.stack([score_without_size_bias(one, d.size_bias) for one, d in columns], 1)
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
        return tuple(filter_without_size_bias(column, **self.filter_options) for column in _columns(evidence))


def _columns(evidence: Mapping[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """The evidence about each structure: arrays ``(n,)`` by name."""
    n_structures = evidence["score"].shape[1]
    return [{name: values[:, k] for name, values in evidence.items()} for k in range(n_structures)]


def _less_sure(decision: FilterDecision, first: FilterDecision) -> FilterDecision:
    """A decision on one structure in which no label is beyond doubt that the first look found clean beyond doubt."""
    sure = are_beyond_doubt(decision.suspected, decision.clean_probability)
    if not sure.any() or first.verdict != "suspects" or first.suspected[sure].mean() < KNEW_ENOUGH:
        return decision
    cleared = sure & (first.clean_probability > 1 - BEYOND_DOUBT)
    return replace(decision, clean_probability=np.where(cleared, BEYOND_DOUBT, decision.clean_probability))
