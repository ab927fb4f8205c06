"""Cases all of whose structures are suspected: is the whole label mirrored, turned, or that of another scan?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..cases.store import CaseStore, StoreLike
from ..core.judgement import Judgement
from ..core.whole_case import arrangement_that_fits, mean_dice, thinned

__all__ = ["hints_for_whole_cases"]

_LEAST = 0.5
"""Mean Dice below which nothing fits."""

_GAIN = 0.2
"""How much better, in mean Dice, a label must fit when it is turned, or the other scan's must, than the given one."""

_SHORT_OF_EXPECTED = 0.1
"""How far below the Dice that the network expects of itself the fit may lie."""

_VOLUME_RATIO = 1.25
"""Another scan's label is compared where no structure's volume differs by more than this factor."""


def hints_for_whole_cases(judgement: Judgement, store: StoreLike) -> dict[str, str]:
    """A sentence for each case whose whole label seems to be in the wrong place.

    Asked are the cases all of whose judged structures are suspected, unless their label is empty. Their labels are
    mirrored, and have their axes exchanged. Other cases' labels, of about the volumes that the network sees, are put
    in their place. What then fits about as well as the network expects is the hint.

    Args:
        judgement: on the labels.
        store: folder or store of what the last look saw.

    Returns:
        Sentences by case, in the judgement's order; none for a case that nothing fits.
    """
    labels = _Labels(judgement.cases, CaseStore.at(store))
    judged = ~np.isnan(judgement.evidence["score"])
    whole = judged.any(1) & (judgement.suspected | ~judged).all(1)
    out = {}
    for i in map(int, np.flatnonzero(whole)):
        shape, given = labels[i]
        if not given.any():
            continue
        predicted = thinned(labels.store.read_seen(judgement.cases[i], judgement.one_piece).predicted)
        expected = float(judgement.evidence["expected_dice"][i][judged[i]].mean())
        least = max(_LEAST, expected - _SHORT_OF_EXPECTED, mean_dice(given, predicted, judgement.structures) + _GAIN)
        words = arrangement_that_fits(given, predicted, judgement.structures, least, shape)
        if words:
            out[judgement.cases[i]] = f"The whole label fits if it is {words}."
        elif other := _other_that_fits(judgement, i, predicted, least, labels):
            out[judgement.cases[i]] = f"The label of another case, {other}, fits here: the two may be mixed up."
    return out


class _Labels:
    """Shape and thinned label of each case, read once."""

    def __init__(self, cases: Sequence[str], store: CaseStore) -> None:
        self.cases, self.store = cases, store
        self._read: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}

    def __getitem__(self, i: int) -> tuple[tuple[int, ...], np.ndarray]:
        if i not in self._read:
            given = self.store.read_given(self.cases[i])
            self._read[i] = given.shape, thinned(given)
        return self._read[i]


def _other_that_fits(judgement: Judgement, i: int, predicted: np.ndarray, least: float, labels: _Labels) -> str:
    """The case whose label fits a case's prediction best; empty if none does.

    Asked are labels of the same shape and about the volumes that the network sees in this case.
    """
    sees, has = judgement.evidence["predicted_ml"][i], judgement.evidence["given_ml"]
    near = ((has <= sees * _VOLUME_RATIO) & (sees <= has * _VOLUME_RATIO)).all(1)
    near[i] = False
    best, name = least, ""
    for j in map(int, np.flatnonzero(near)):
        shape, given = labels[j]
        if shape == labels[i][0] and (fit := mean_dice(given, predicted, judgement.structures)) >= best:
            best, name = fit, judgement.cases[j]
    return name
