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

_MOST_OTHERS = 100
"""Other scans whose labels are compared with a case: those of the most similar volumes. Set by thought."""

_IN_MEMORY = 1 << 27
"""Bytes of labels that are kept in memory."""


def hints_for_whole_cases(judgement: Judgement, store: StoreLike) -> dict[str, str]:
    """A sentence for each case whose whole label seems to be in the wrong place.

    Asked are the cases all of whose judged structures are suspected, unless their label is empty. Their labels are
    mirrored, and have their axes exchanged. Other cases' labels are put in their place. They are those with a suspect,
    since a label that was mixed up is wrong where it lies, and of about the volumes that the network sees: the hundred
    with the most similar ones. What then fits about as well as the network expects is the hint.

    Args:
        judgement: on the labels.
        store: folder or store of what the last look saw.

    Returns:
        Sentences by case, in the judgement's order; none for a case that nothing fits.
    """
    judged = ~np.isnan(judgement.evidence["score"])
    whole = judged.any(1) & (judgement.suspected | ~judged).all(1)
    store = CaseStore.at(store)
    labels = _Labels(judgement.cases, store)
    sees = judgement.evidence["predicted_ml"].sum(1)
    out = {}
    for i in sorted(map(int, np.flatnonzero(whole)), key=lambda i: sees[i]):  # similar ones ask for the same labels
        shape, given = labels[i]
        if not given.any():
            continue
        predicted = thinned(store.read_seen(judgement.cases[i], judgement.one_piece).predicted)
        expected = float(judgement.evidence["expected_dice"][i][judged[i]].mean())
        least = max(_LEAST, expected - _SHORT_OF_EXPECTED, mean_dice(given, predicted, judgement.structures) + _GAIN)
        words = arrangement_that_fits(given, predicted, judgement.structures, least, shape)
        if words:
            out[judgement.cases[i]] = f"The whole label fits if it is {words}."
        elif other := _other_that_fits(judgement, i, predicted, shape, least, labels):
            out[judgement.cases[i]] = f"The label of another case, {other}, fits here: the two may be mixed up."
    return {case: out[case] for case in judgement.cases if case in out}


class _Labels:
    """Shape and thinned label of each case. The last ones that were read are kept, up to :data:`_IN_MEMORY`."""

    def __init__(self, cases: Sequence[str], store: CaseStore) -> None:
        self.cases, self.store = cases, store
        self.kept: dict[int, tuple[tuple[int, ...], np.ndarray]] = {}
        self.n_bytes = 0

    def __getitem__(self, i: int) -> tuple[tuple[int, ...], np.ndarray]:
        if i in self.kept:
            return self.kept[i]
        given = self.store.read_given(self.cases[i])
        label = thinned(given)
        self.kept[i] = given.shape, label
        self.n_bytes += label.nbytes
        while self.n_bytes > _IN_MEMORY and len(self.kept) > 1:
            self.n_bytes -= self.kept.pop(next(iter(self.kept)))[1].nbytes
        return given.shape, label


def _other_that_fits(
    judgement: Judgement, i: int, predicted: np.ndarray, shape: tuple[int, ...], least: float, labels: _Labels
) -> str:
    """The case whose label fits a case's prediction best; empty if none does.

    Args:
        judgement: on the labels.
        i: the case.
        predicted: what the network sees in it, thinned.
        shape: of the case's volume, which another's must have, too.
        least: mean Dice from which on a label fits.
        labels: of all cases.
    """
    sees, has = judgement.evidence["predicted_ml"][i], judgement.evidence["given_ml"]
    asked = ((has <= sees * _VOLUME_RATIO) & (sees <= has * _VOLUME_RATIO)).all(1) & judgement.suspected.any(1)
    asked[i] = False
    others = np.flatnonzero(asked)
    differ = np.abs(np.log((has[others] + 1e-6) / (sees + 1e-6))).sum(1)
    nearest = np.argsort(differ, kind="stable")[:_MOST_OTHERS]
    best, name = least, ""
    for j in map(int, np.sort(others[nearest])):
        other_shape, given = labels[j]
        if other_shape == shape and (fit := mean_dice(given, predicted, judgement.structures)) >= best:
            best, name = fit, judgement.cases[j]
    return name
