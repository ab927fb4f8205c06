"""Rounds of a training: how many epochs each has, and which round an epoch lies in.

A round is one training from fresh weights. What a network has learned from wrong labels goes with its weights. What it
has found out about them stays in the targets, which the next round is trained on. Epochs are counted on over the
rounds, from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["EARLIER_SHARE", "Place", "epochs_of_rounds", "place_of", "total_epochs"]

EARLIER_SHARE = 0.5
"""Length of a round before the last, in lengths of the last: finding wrong labels takes less than learning to draw."""


class Place(NamedTuple):
    """Where an epoch lies.

    Attributes:
        round: number of its round, from 1.
        epoch: its number within the round, from 1.
        length: number of the round's epochs.
    """

    round: int
    epoch: int
    length: int


def total_epochs(epochs: Any, rounds: Any) -> Any:
    """Epochs of all rounds together, of which the last has ``epochs``.

    What is no whole number of at least 1, which others refuse, counts as one round.
    """
    if not isinstance(epochs, int) or not isinstance(rounds, int) or rounds < 1:
        return epochs
    return epochs + (rounds - 1) * _earlier(epochs)


def epochs_of_rounds(total: Any, rounds: Any) -> list[Any]:
    """Number of epochs of each round, first to last: what :func:`total_epochs` adds up.

    What is no whole number of at least 1, which others refuse, counts as one round.

    Args:
        total: epochs of all rounds together.
        rounds: number of rounds, at least 1; where there are too few epochs for them, there is one.
    """
    if total_epochs(total, rounds) == total:
        return [total]
    last = next((n for n in range(total, 0, -1) if total_epochs(n, rounds) <= total), total)
    earlier = (total - last) // (rounds - 1)
    if earlier < 1:
        return [total]
    return [earlier] * (rounds - 1) + [total - earlier * (rounds - 1)]


def place_of(epoch: int, rounds: Sequence[int]) -> Place:
    """Where an epoch lies.

    Args:
        epoch: number of the epoch, from 1; one behind the last round's counts on in that.
        rounds: number of epochs of each round, at least one round.
    """
    before = 0
    for number, length in enumerate(rounds, 1):
        if epoch <= before + length or number == len(rounds):
            return Place(number, epoch - before, length)
        before += length
    raise ValueError("there is no round")


def _earlier(epochs: int) -> int:
    return max(1, round(EARLIER_SHARE * epochs))
