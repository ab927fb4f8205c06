"""Rounds of a training: how many epochs each has, and which round an epoch lies in.

A round is one training from fresh weights. What a network has learned from wrong labels goes with its weights. What it
has found out about them stays in the targets, which the next round is trained on. Epochs are counted on over the
rounds, from 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Place", "epochs_of_rounds", "place_of", "total_epochs"]


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
    """Epochs of all rounds together, each of which has ``epochs``.

    What is no whole number of at least 1, which others refuse, counts as one round.
    """
    return epochs * rounds if _are_whole(epochs, rounds) else epochs


def epochs_of_rounds(total: Any, rounds: Any) -> list[Any]:
    """Number of epochs of each round, first to last: of one length, and what is left over in the last.

    What is no whole number of at least 1, which others refuse, counts as one round.

    Args:
        total: epochs of all rounds together.
        rounds: number of rounds; where there are too few epochs for them, there is one.
    """
    if not _are_whole(total, rounds) or total < rounds:
        return [total]
    return [total // rounds] * (rounds - 1) + [total - total // rounds * (rounds - 1)]


def place_of(epoch: int, rounds: Sequence[int]) -> Place:
    """Where an epoch lies.

    Args:
        epoch: number of the epoch, from 1; one behind the last round's counts on in that.
        rounds: number of epochs of each round.

    Raises:
        ValueError: there is no round.
    """
    before = 0
    for number, length in enumerate(rounds, 1):
        if epoch <= before + length or number == len(rounds):
            return Place(number, epoch - before, length)
        before += length
    raise ValueError("there is no round")


def _are_whole(*numbers: Any) -> bool:
    return all(isinstance(number, int) and number >= 1 for number in numbers)
