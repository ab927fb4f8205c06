"""How right filter and cleanser were, where the truth is known (synthetic noise)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from ..cases import case_of, label_file_of
from ..labels import read_label
from ..noise.functional import dice

__all__ = ["TruthSummary", "compare_with_truth"]


@dataclass(frozen=True)
class TruthSummary:
    """How right filter and cleanser were, where the truth is known. Pairs are of a case and a structure.

    A label is *noisy* here if its Dice to the truth is under 0.95, *clean* from 0.99 on; those between are not counted
    in the filter's figures.

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
        return self.given_dice < 0.95

    @property
    def clean(self) -> np.ndarray:
        """Pairs whose given label is clean."""
        return self.given_dice >= 0.99

    @property
    def auroc(self) -> float:
        """Area under the ROC curve of 1 - clean probability, noisy against clean; NaN where one does not occur."""
        if not self.noisy.any() or not self.clean.any():
            return float("nan")
        counted = self.noisy | self.clean
        return float(roc_auc_score(self.noisy[counted], 1.0 - self.clean_probability[counted]))


def compare_with_truth(
    data: Sequence[Mapping[str, Any]],
    cleansed_directory: str | Path,
    cases: Sequence[str],
    structures: Sequence[int],
    clean_probability: np.ndarray,
    suspected: np.ndarray,
) -> TruthSummary | None:
    """Compare given and cleansed labels with the truth; None where any case has no ``truth``."""
    by_case = {case_of(item): item for item in data}
    if not all(by_case.get(case, {}).get("truth") for case in cases):
        return None
    given_dice, cleansed_dice = np.zeros((2, len(cases), len(structures)))
    for i, case in enumerate(cases):
        item = by_case[case]
        paths = item["truth"], item["label"], Path(cleansed_directory) / label_file_of(item)
        truth, given, cleansed = (read_label(path).index for path in paths)
        for j, k in enumerate(structures):
            given_dice[i, j] = dice(given == k, truth == k)
            cleansed_dice[i, j] = dice(cleansed == k, truth == k)
    return TruthSummary(given_dice, cleansed_dice, clean_probability, suspected)
