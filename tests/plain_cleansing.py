"""What is redrawn, by the rules and on whole volumes: the oracle for the cleanser, which goes by boxes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from monai_selfcleanse.core.masks import debatable_slices


def plain_decision(
    given: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, structures: Sequence[int], least: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the prediction decides, where it would if it were sure, and what stays of suspects it sees nowhere."""
    closed = ~np.isin(given, [0, *structures])
    for k in structures:
        sees = predicted == k
        if (sees & closed).sum() > 0.25 * sees.sum():
            closed &= ~sees
    is_neighbour = ~np.isin(predicted, [0, *structures])
    sure = confidence >= np.where(is_neighbour, max(least, 0.9), least)
    disputed, kept = np.zeros(given.shape, bool), np.zeros(given.shape, bool)
    for k in structures:
        has, sees = given == k, predicted == k
        decides = (has | sees) & ~closed & ~debatable_slices(has, sees)
        if (sees & sure & ~closed).any():
            lacks, exceeds = (decides & ~has).sum(), (decides & ~sees).sum()
            if min(lacks, exceeds) * 4 <= (has & sees).sum():
                if lacks > 4 * exceeds:
                    decides &= ~has
                elif exceeds > 4 * lacks:
                    decides &= has
        else:
            kept |= decides & has & ~sees
            decides &= ~has
        disputed |= decides
    return disputed & sure, disputed & ~sure, kept
