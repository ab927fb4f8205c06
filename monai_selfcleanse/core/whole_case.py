"""What may be wrong with a whole label rather than with one structure: it is mirrored, turned, or of another scan.

Knows index maps only. All comparisons are made on some hundred thousand voxels, taken evenly from the volume, so that
they cost little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

import numpy as np

from .masks import dice

__all__ = ["arrangement_that_fits", "mean_dice", "thinned"]

_VOXELS_AN_AXIS = 80
"""Most voxels along an axis that a comparison looks at."""

_ORDINALS = ("first", "second", "third")


def thinned(label: np.ndarray) -> np.ndarray:
    """The index map with at most :data:`_VOXELS_AN_AXIS` voxels an axis, evenly taken and the same from either end."""
    places = []
    for n in label.shape:
        kept = min(n, _VOXELS_AN_AXIS)
        half = np.floor(np.arange(kept) * (n - 1) / max(kept - 1, 1) + 1e-6).astype(int)
        places.append(np.where(np.arange(kept) < kept / 2, half, n - 1 - half[::-1]))
    return label[np.ix_(*places)]


def mean_dice(one: np.ndarray, other: np.ndarray, structures: Sequence[int]) -> float:
    """Mean Dice of two index maps of one shape, over the structures that either has; 0.0 if neither has any."""
    pairs = [(one == k, other == k) for k in structures]
    found = [dice(a, b) for a, b in pairs if a.any() or b.any()]
    return float(np.mean(found)) if found else 0.0


def arrangement_that_fits(
    given: np.ndarray,
    predicted: np.ndarray,
    structures: Sequence[int],
    least: float,
    shape: Sequence[int] | None = None,
) -> str:
    """How a label must be mirrored or its axes be exchanged to fit the prediction, if that is so.

    Args:
        given, predicted: index maps of one shape, 2 or 3 axes, best :func:`thinned`.
        structures: those that count.
        least: mean Dice to the prediction, in [0, 1], from which on a label fits.
        shape: of the volume before it was thinned, whose axes are exchanged only if they are equally long; None: the
            label's own.

    Returns:
        Words such as ``"mirrored along its first axis"``; empty where no arrangement fits.
    """
    arrangements = _arrangements(given, given.shape if shape is None else shape)
    found = [(mean_dice(turned, predicted, structures), words) for words, turned in arrangements]
    best, words = max(found, key=lambda pair: pair[0])
    return words if best >= least else ""


def _arrangements(label: np.ndarray, shape: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
    """The label mirrored along one or more axes, and with two axes exchanged, mirrored or not; simple ones first."""
    axes = range(label.ndim)
    for n in range(1, label.ndim + 1):
        for mirrored in combinations(axes, n):
            yield f"mirrored along {_in_words(mirrored)}", np.flip(label, mirrored)
    for pair in combinations(axes, 2):
        if shape[pair[0]] != shape[pair[1]]:
            continue
        exchanged = np.swapaxes(label, *pair)
        for chosen in product((False, True), repeat=2):
            mirrored = tuple(axis for axis, is_chosen in zip(pair, chosen, strict=True) if is_chosen)
            then = f", then mirrored along {_in_words(mirrored)}" if mirrored else ""
            yield f"turned: {_in_words(pair)} exchanged{then}", np.flip(exchanged, mirrored)


def _in_words(axes: Sequence[int]) -> str:
    names = [_ORDINALS[axis] for axis in axes]
    return f"its {' and '.join(names)} {'axes' if len(axes) > 1 else 'axis'}"
