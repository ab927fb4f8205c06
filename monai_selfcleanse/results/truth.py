"""How right filter and cleanser were, where the truth is known (synthetic noise)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from ..cases.case import label_file_of
from ..cases.label_file import read_label
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..core.masks import dice

__all__ = ["CLEAN_FROM", "NOISY_BELOW", "TruthSummary", "compare_with_truth"]

NOISY_BELOW, CLEAN_FROM = 0.95, 0.99
"""Dice to the truth under which a label counts as noisy, and from which on as clean."""


@dataclass(frozen=True, eq=False)
class TruthSummary:
    """How right filter and cleanser were, where the truth is known. Pairs are of a case and a structure.

    A label is *noisy* here if its Dice to the truth is under :data:`NOISY_BELOW`, *clean* from :data:`CLEAN_FROM` on;
    those between are not counted in the filter's figures.

    Attributes:
        given_dice, cleansed_dice: Dice to the truth of each pair, ``(n, K)``.
        clean_probability: ``(n, K)`` in [0, 1].
        suspected: ``(n, K)`` bool.
    """

    given_dice: np.ndarray
    cleansed_dice: np.ndarray
    clean_probability: np.ndarray
    suspected: np.ndarray

    @property
    def noisy(self) -> np.ndarray:
        """Pairs whose given label is noisy."""
        return self.given_dice < NOISY_BELOW

    @property
    def clean(self) -> np.ndarray:
        """Pairs whose given label is clean."""
        return self.given_dice >= CLEAN_FROM

    @property
    def auroc(self) -> float:
        """Area under the ROC curve of 1 - clean probability, noisy against clean; NaN where one does not occur."""
        if not self.noisy.any() or not self.clean.any():
            return float("nan")
        known = self.noisy | self.clean
        return float(roc_auc_score(self.noisy[known], 1.0 - self.clean_probability[known]))


def compare_with_truth(
    judgement: Judgement, data: Sequence[Mapping[str, Any]], cleansed_labels: str | Path
) -> TruthSummary | None:
    """Compare given and cleansed labels with the truth.

    Args:
        judgement: on the labels.
        data: the cases' dictionaries; ``truth`` is the path of a right label.
        cleansed_labels: folder of the cleansed labels.

    Returns:
        None where any case has no ``truth``.
    """
    by_case = {case_of(item): item for item in data}
    if not all(by_case.get(case, {}).get("truth") for case in judgement.cases):
        return None
    given_dice, cleansed_dice = np.zeros((2, *judgement.suspected.shape))
    for i, case in enumerate(judgement.cases):
        item = by_case[case]
        paths = item["truth"], item["label"], Path(cleansed_labels) / label_file_of(item)
        truth, given, cleansed = (read_label(path, item.get("values")).index for path in paths)
        for j, k in enumerate(judgement.structures):
            given_dice[i, j] = dice(given == k, truth == k)
            cleansed_dice[i, j] = dice(cleansed == k, truth == k)
    return TruthSummary(given_dice, cleansed_dice, judgement.clean_probability, judgement.suspected)
