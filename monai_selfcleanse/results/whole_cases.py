"""Cases all of whose structures are suspected: is the whole label mirrored, turned, or that of another scan?"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from ..cases.store import CaseStore, StoreLike
from ..core.judgement import Judgement
from ..core.whole_case import arrangement_that_fits, mean_dice, thinned

__all__ = ["hints_for_whole_cases"]

LabelOf: TypeAlias = Callable[[int], tuple[tuple[int, ...], np.ndarray]]
"""The shape of a case's volume, and its thinned label."""

_LEAST = 0.5
"""Mean Dice below which nothing fits."""

_GAIN = 0.2
"""How much better, in mean Dice, a label must fit when it is turned, or the other scan's must, than the given one."""

_SHORT_OF_EXPECTED = 0.1
"""How far below the Dice that the network expects of itself the fit may lie."""

_VOLUME_RATIO = 1.25
"""Another scan's label is compared where no structure's volume differs by more than this factor."""

_MOST_OTHERS = 100
"""Other scans whose labels are compared with a case: those of the most similar volumes."""

_IN_MEMORY = 1 << 27
"""Bytes of labels that are kept in memory, about."""


def hints_for_whole_cases(judgement: Judgement, store: StoreLike) -> dict[str, str]:
    """A sentence for each case whose whole label seems to be in the wrong place.

    Asked are the cases all of whose judged structures are suspected, unless their label is empty. Their labels are
    mirrored, and have their axes exchanged. Other cases' labels are put in their place: those with a suspect, since a
    label that was mixed up fits its own case no better, and of about the volumes that the network sees. What then fits
    about as well as the network expects is the hint.

    Args:
        judgement: on the labels.
        store: folder or store of what the last look saw.

    Returns:
        Sentences by case, in the judgement's order; none for a case that nothing fits.
    """
    judged = ~np.isnan(judgement.evidence["score"])
    whole = judged.any(1) & (judgement.suspected | ~judged).all(1)
    if not whole.any():
        return {}
    label_of = _reader(judgement, store := CaseStore.at(store), first=int(whole.argmax()))
    out = {}
    for i in map(int, np.flatnonzero(whole)):
        shape, given = label_of(i)
        if not given.any():
            continue
        predicted = thinned(store.read_seen(judgement.cases[i], judgement.one_piece).predicted)
        expected = float(judgement.evidence["expected_dice"][i][judged[i]].mean())
        least = max(_LEAST, expected - _SHORT_OF_EXPECTED, mean_dice(given, predicted, judgement.structures) + _GAIN)
        words = arrangement_that_fits(given, predicted, judgement.structures, least, shape)
        if words:
            out[judgement.cases[i]] = f"The whole label fits if it is {words}."
        elif other := _other_that_fits(judgement, i, predicted, shape, least, label_of):
            out[judgement.cases[i]] = f"The label of another case, {other}, fits here: the two may be mixed up."
    return out


def _reader(judgement: Judgement, store: CaseStore, first: int) -> LabelOf:
    """Reads labels, and keeps in memory as many as :data:`_IN_MEMORY` has room for, of the size of the first one."""

    def read(i: int) -> tuple[tuple[int, ...], np.ndarray]:
        given = store.read_given(judgement.cases[i])
        return given.shape, thinned(given)

    return lru_cache(_IN_MEMORY // read(first)[1].nbytes)(read)


def _other_that_fits(
    judgement: Judgement, i: int, predicted: np.ndarray, shape: tuple[int, ...], least: float, label_of: LabelOf
) -> str:
    """The case whose label fits a case's prediction best; empty if none does.

    Args:
        judgement: on the labels.
        i: the case.
        predicted: what the network sees in it, thinned.
        shape: of the case's volume, which another's must have, too.
        least: mean Dice from which on a label fits.
        label_of: the volume's shape and the thinned label of a case.
    """
    sees, has = judgement.evidence["predicted_ml"][i], judgement.evidence["given_ml"]
    asked = ((has <= sees * _VOLUME_RATIO) & (sees <= has * _VOLUME_RATIO)).all(1) & judgement.suspected.any(1)
    asked[i] = False
    others = np.flatnonzero(asked)
    nearest = np.argsort(np.abs(has[others] - sees).sum(1), kind="stable")[:_MOST_OTHERS]
    best, name = least, ""
    for j in map(int, np.sort(others[nearest])):
        other_shape, given = label_of(j)
        if other_shape == shape and (fit := mean_dice(given, predicted, judgement.structures)) >= best:
            best, name = fit, judgement.cases[j]
    return name
