"""Cases all of whose structures are suspected: is the whole label mirrored, turned, or that of another scan?"""

from __future__ import annotations

from collections.abc import Iterator

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
    store = CaseStore.at(store)
    judged = ~np.isnan(judgement.evidence["score"])
    whole = judged.any(1) & (judgement.suspected | ~judged).all(1)
    out = {}
    for i in np.flatnonzero(whole):
        seen = store.read_seen(judgement.cases[i])
        given, predicted = thinned(seen.given), thinned(seen.predicted)
        expected = float(judgement.evidence["expected_dice"][i][judged[i]].mean())
        if not given.any():
            continue
        least = max(_LEAST, expected - _SHORT_OF_EXPECTED, mean_dice(given, predicted, judgement.structures) + _GAIN)
        words, _ = arrangement_that_fits(given, predicted, judgement.structures, least)
        if words:
            out[judgement.cases[i]] = f"The whole label fits if it is {words}."
        elif other := _other_that_fits(judgement, int(i), predicted, seen.given.shape, least, store):
            out[judgement.cases[i]] = f"The label of another case, {other}, fits here: the two may be mixed up."
    return out


def _other_that_fits(
    judgement: Judgement, i: int, predicted: np.ndarray, shape: tuple[int, ...], least: float, store: CaseStore
) -> str:
    """The case whose label fits a case's prediction best; empty if none does."""
    best, name = least, ""
    for other, given in _others(judgement, i, shape, store):
        if (fit := mean_dice(thinned(given), predicted, judgement.structures)) >= best:
            best, name = fit, other
    return name


def _others(judgement: Judgement, i: int, shape: tuple[int, ...], store: CaseStore) -> Iterator[tuple[str, np.ndarray]]:
    """Other cases' labels of the same shape and about the volumes that the network sees in this case."""
    sees, has = judgement.evidence["predicted_ml"][i], judgement.evidence["given_ml"]
    near = ((has <= sees * _VOLUME_RATIO) & (sees <= has * _VOLUME_RATIO)).all(1)
    near[i] = False
    for j in np.flatnonzero(near):
        given = store.read_seen(judgement.cases[j]).given
        if given.shape == shape:
            yield judgement.cases[j], given
