"""The strength of a graded noise at which a wanted Dice is left."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..core.masks import Box, bounding_box
from .canvas import Canvas
from .models import GRADED, extent_mm, graded_canvas, graded_outline

__all__ = ["magnitude_for_dice"]

_SEARCHED_VOXELS, _LOOKED_AT_COARSELY = 300_000, 40_000  # of a bounding box; see magnitude_for_dice


def magnitude_for_dice(
    label: np.ndarray, record: Mapping[str, Any], spacing: Sequence[float], target: float, tolerance: float = 0.002
) -> tuple[float, float] | None:
    """Magnitude of a graded model at which the structure keeps a wanted Dice to what it was, by bisection.

    Args:
        label: index map ``(*spatial)``.
        record: the change without its magnitude.
        spacing: voxel size in mm, one number an axis.
        target: the Dice, in (0, 1].
        tolerance: how near is near enough. A structure of few voxels cannot come so near; then the nearest it can of
            what neither leaves it as it is nor makes it vanish.

    A structure whose bounding box has over 40,000 voxels is first looked at with every other voxel within slices, and
    the tolerance is at least 0.004. Of one of over 300,000 voxels, models that work slice by slice and draw nothing for
    a slice (polygons, smoothing, shift, rotation, scaling) look at evenly spread slices alone, which costs up to 0.01.

    Returns:
        The magnitude and the Dice it leaves, or None where the Dice stays above ``target`` however large the magnitude
        becomes, or where it leaps from 1 to 0: the structure is absent, a single voxel, enclosed by others so that it
        cannot grow, or round, so that a rotation does nothing.

    Raises:
        ValueError: the target is out of range.
    """
    if not 0.0 < target <= 1.0:
        raise ValueError(f"the Dice to reach must lie in (0, 1], got {target}")
    structure = int(record["structure"])
    tight = bounding_box(label == structure)
    if tight is None:
        return None
    if target == 1.0:
        return 0.0, 1.0
    model = GRADED[record["model"]]
    guess = None
    volume = math.prod(t.stop - t.start for t in tight)
    if volume > _LOOKED_AT_COARSELY and model.magnitude not in ("steps", "slices"):
        coarse, coarse_spacing = _coarser(label, tight, record, spacing)
        found = magnitude_for_dice(coarse, record, coarse_spacing, target, tolerance=0.01)
        if found is None and volume > _SEARCHED_VOXELS:
            return None
        guess = None if found is None else found[0]
        tolerance = max(tolerance, 0.004)
    label, tight = _thinned(label, tight, record)
    limit = 2 * max(extent_mm(tight, spacing)) if model.limit is None else model.limit
    low, dice_low = 0.0, 1.0
    high = _rounded(limit / 64 if guess is None else min(1.05 * guess, limit))
    while True:
        canvas = graded_canvas(label, tight, record, spacing, high)
        outline = graded_outline(canvas, record)
        dice_high = _dice_left(canvas, outline(high))
        if dice_high <= target:
            break
        if high >= limit:
            return None
        low, dice_low, high = high, dice_high, _rounded(high * (2 if guess is None else 1.2))
    seen = _bisect(
        lambda magnitude: _dice_left(canvas, outline(magnitude)),
        (low, dice_low),
        (high, dice_high),
        target,
        tolerance,
        guessed=guess is not None,
    )
    changed = [(abs(dice - target), magnitude, dice) for magnitude, dice in seen if 0 < dice < 1]
    return min(changed)[1:] if changed else None


def _bisect(
    dice_at: Callable[[float], float],
    low: tuple[float, float],
    high: tuple[float, float],
    target: float,
    tolerance: float,
    guessed: bool,
) -> list[tuple[float, float]]:
    """Magnitudes tried between two of which one leaves too high a Dice and one too low a one, each with its Dice.

    Args:
        dice_at: the Dice that a magnitude leaves.
        low, high: magnitude and Dice of either end.
        target, tolerance: stop at a Dice so near.
        guessed: the ends are near each other already, so that a hair's breadth between them need not be halved.

    Returns:
        The two ends and all between.
    """
    seen = [low, high]
    for _ in range(40):
        narrow = high[0] - low[0] <= (1e-3 * high[0] if guessed else 2e-6)
        if narrow or min(abs(dice - target) for _, dice in seen) <= tolerance:
            break
        # the Dice is roughly linear in the magnitude; a secant that is kept from the ends saves steps
        share = (low[1] - target) / (low[1] - high[1])
        magnitude = _rounded(low[0] + min(max(share, 0.1), 0.98 if guessed else 0.9) * (high[0] - low[0]))
        found = magnitude, dice_at(magnitude)
        seen.append(found)
        if found[1] > target:
            low = found
        else:
            high = found
    return seen


def _coarser(
    label: np.ndarray, tight: Box, record: Mapping[str, Any], spacing: Sequence[float]
) -> tuple[np.ndarray, list[float]]:
    """Every other voxel within slices, and their spacing."""
    within = [a for a in range(label.ndim) if label.ndim == 2 or a != record.get("axis", -1) % label.ndim]
    steps = [slice(t.start % 2, None, 2) if a in within else slice(None) for a, t in enumerate(tight)]
    return label[tuple(steps)], [2 * s if a in within else s for a, s in enumerate(spacing)]


def _rounded(magnitude: float) -> float:
    """As records keep it: at a leap of the Dice, the last digits decide."""
    return round(float(magnitude), 6)


def _thinned(label: np.ndarray, tight: Box, record: Mapping[str, Any]) -> tuple[np.ndarray, Box]:
    """A few of the structure's slices, evenly spread, where a model treats each by itself and leaves none to chance."""
    model = GRADED[record["model"]]
    if label.ndim < 3 or model.where != "within" or "seed" in record:
        return label, tight
    axis = int(record["axis"])
    n = tight[axis].stop - tight[axis].start
    volume = math.prod(t.stop - t.start for t in tight)
    if volume <= _SEARCHED_VOXELS:
        return label, tight
    searched = max(2, _SEARCHED_VOXELS * n // volume)
    chosen = np.linspace(tight[axis].start, tight[axis].stop - 1, searched).round().astype(int)
    inner = list(tight)
    inner[axis] = slice(0, len(chosen))
    return label.take(chosen, axis), tuple(inner)


def _dice_left(canvas: Canvas, drawn: np.ndarray) -> float:
    kept = int(np.count_nonzero(canvas.mask & drawn))
    return 2 * kept / (int(np.count_nonzero(canvas.mask)) + int(np.count_nonzero(drawn)))
