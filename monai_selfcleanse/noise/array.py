"""The label noise transforms: each draws the parameters of one model of :mod:`monai_selfcleanse.noise.models`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..core.masks import bounding_box
from .base import GradedNoise, LabelNoise, low_and_high
from .missing import count_components
from .models import NoiseRecord

__all__ = [
    "ContourKnotLabel",
    "DilateLabel",
    "DropLabel",
    "ElasticLabel",
    "ErodeLabel",
    "ExtendLabel",
    "FalsePositiveLabel",
    "MarkovWalkLabel",
    "PolygonLabel",
    "RotateLabel",
    "ScaleLabel",
    "ShiftLabel",
    "SmoothLabel",
    "SwapLabel",
]

Unit = Literal["dice", "mm", "radius"]


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))


def _sign(generator: np.random.Generator, chance: float = 0.5) -> int:
    return 1 if generator.random() < chance else -1


class _MovedBorder(GradedNoise):
    """What erosion and dilation share."""

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.4, 0.8),
        unit: Unit = "dice",
        wobble: float = 0.2,
        jitter: float = 0.1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)
        for name, value in (("wobble", wobble), ("jitter", jitter)):
            if not 0 <= value < np.inf:
                raise ValueError(f"{name} must be at least 0, got {value}")
        self.wobble, self.jitter = float(wobble), float(jitter)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        del structure, spacing
        axis = self.axis % label.ndim
        return {"wobble": self.wobble, "jitter": self.jitter, "axis": axis, "seed": _seed(generator)}


class ErodeLabel(_MovedBorder):
    """Under-drawn border: strip a rim off the structure, which becomes background.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the width of the rim.
        wobble: standard deviation of the rim's smooth irregularity, as a share of its width; 0 for none.
        jitter: the same for what each slice adds of its own.
        structures, prob, seed, axis: see :class:`GradedNoise`.

    At ``"mm"`` or ``"radius"`` a structure may vanish.
    """

    model = "erosion"


class DilateLabel(_MovedBorder):
    """Over-drawn border: grow the structure into background; arguments as :class:`ErodeLabel`.

    Other structures never give way. With ``unit="dice"`` a structure that has not enough background around it to reach
    the Dice (a left ventricle within its myocardium, say) is left alone.
    """

    model = "dilation"


class ContourKnotLabel(GradedNoise):
    """Unsteady hand: redraw each slice's contours through some of their points, each moved in or out at random.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the standard deviation of the points'
            offsets.
        knots: number of points in a slice.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "contour_knots"

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.6, 0.9),
        unit: Unit = "dice",
        knots: int = 30,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)
        if knots < 1:
            raise ValueError(f"knots must be at least 1, got {knots}")
        self.knots = int(knots)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        return {"knots": self.knots, "axis": self.axis % label.ndim, "seed": _seed(generator)}


class MarkovWalkLabel(GradedNoise):
    """Frayed border: a random walk of it, biased inwards or outwards.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"steps"`` gives the number of steps.
        growth: chance of a step to grow rather than shrink, one number or a low and a high one, in [0, 1]; near 0.5
            the walk gets nowhere.
        flip: chance of a voxel along the border to be taken in a step, in (0, 1].
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "markov_walk"
    units = ("dice", "steps")

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.4, 0.8),
        unit: Literal["dice", "steps"] = "dice",
        growth: float | tuple[float, float] = (0.1, 0.3),
        flip: float = 0.3,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)
        self.growth = low_and_high("growth", growth)
        if not 0 <= self.growth[0] <= self.growth[1] <= 1:
            raise ValueError(f"growth must be a number, or a low and a high one, in [0, 1], got {growth}")
        if not 0 < flip <= 1:
            raise ValueError(f"flip must lie in (0, 1], got {flip}")
        self.flip = float(flip)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        growth = round(float(generator.uniform(*self.growth)), 6)
        return {"growth": growth, "flip": self.flip, "axis": self.axis % label.ndim, "seed": _seed(generator)}


class _PlainNoise(GradedNoise):
    """Graded noise with no arguments of its own."""

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.6, 0.9),
        unit: str = "dice",
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        return {"axis": self.axis % label.ndim}


class PolygonLabel(_PlainNoise):
    """Hasty clicking: replace each slice's contours by coarse polygons (Douglas-Peucker; needs scikit-image).

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the tolerance, the distance from the
            polygon up to which a vertex is left out. A triangle is always left, so that a low Dice is out of reach.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "polygon"


class SmoothLabel(_PlainNoise):
    """Over-smoothing: blur each slice's mask and threshold it; corners are cut, thin parts vanish.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the Gaussian's standard deviation.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "smoothing"


class ShiftLabel(_PlainNoise):
    """Right shape, wrong place: move the structure within its slices, in a random direction.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the length of the way.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "shift"

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        angle = round(float(generator.uniform(0, 360)), 6)
        return {"angle_degrees": angle, "axis": self.axis % label.ndim}


class RotateLabel(_PlainNoise):
    """Turn the structure within its slices about the centre of its voxels, one way or the other.

    Args:
        strength, unit: see :class:`GradedNoise`; or ``"degrees"``. What is round hardly changes: a low Dice is out of
            reach for it.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "rotation"
    units = ("dice", "degrees")

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        return {"direction": _sign(generator), "axis": self.axis % label.ndim}


class ScaleLabel(_PlainNoise):
    """Enlarge or shrink the structure within its slices about the centre of its voxels, at even chances.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"percent"``: 25 means to 1.25 times the size, or to 1 / 1.25.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "scaling"
    units = ("dice", "percent")
    draw = RotateLabel.draw


class ElasticLabel(GradedNoise):
    """Elastic deformation within slices by a smooth random field.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the standard deviation of the
            displacement along each axis.
        sigma_mm: correlation length of the field.
        structures, prob, seed, axis: see :class:`GradedNoise`.
    """

    model = "elastic"

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.6, 0.9),
        unit: Unit = "dice",
        sigma_mm: float = 10.0,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)
        if not 0 < sigma_mm < np.inf:
            raise ValueError(f"sigma_mm must be above 0, got {sigma_mm}")
        self.sigma_mm = float(sigma_mm)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord:
        return {"sigma_mm": self.sigma_mm, "axis": self.axis % label.ndim, "seed": _seed(generator)}


class FalsePositiveLabel(GradedNoise):
    """Spurious blobs: add ellipsoids of the structure's value in background not far from it.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"mm"`` and ``"radius"`` give the mean semi-axis.
        blobs: how many, one number or a low and a high one.
        structures, prob, seed: see :class:`GradedNoise`.

    Blobs lie within one more extent of the structure on each of its sides, and inside the volume. Where there is no
    background, the structure is left alone.
    """

    model = "false_positives"

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.6, 0.9),
        unit: Unit = "dice",
        blobs: int | tuple[int, int] = (1, 3),
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed)
        low, high = low_and_high("blobs", blobs)
        if not 1 <= low <= high:
            raise ValueError(f"blobs must be a number, or a low and a high one, of at least 1, got {blobs}")
        self.blobs = (int(low), int(high))

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        tight = bounding_box(label == structure)
        assert tight is not None
        low = np.array([max(0, 2 * t.start - t.stop) for t in tight])
        high = np.array([min(n, 2 * t.stop - t.start) for t, n in zip(tight, label.shape, strict=True)])
        n_blobs = int(generator.integers(self.blobs[0], self.blobs[1] + 1))
        found: list[list[float]] = []
        for _ in range(50 * n_blobs):
            voxel = generator.integers(low, high)
            axes = generator.uniform(0.7, 1.3, label.ndim)
            if label[tuple(voxel)] == 0 and len(found) < n_blobs:
                centre = (voxel - [t.start for t in tight]) * np.array(spacing)
                found.append([round(float(v), 6) for v in (*centre, *axes)])
        return {"blobs": found} if found else None


class ExtendLabel(GradedNoise):
    """Not knowing where to stop: go on drawing the contour of the structure's last slice beyond its end.

    Args:
        strength, unit: see :class:`GradedNoise`; ``"slices"``, or ``"mm"``, says how far. A part of a slice takes the
            innermost part of the contour.
        structures, prob, seed, axis: see :class:`GradedNoise`.

    The end is drawn at random among those with slices beyond; a structure that fills the volume is left alone.
    """

    model = "extension"
    units = ("dice", "slices", "mm")

    def __init__(
        self,
        strength: float | tuple[float, float] = (1.0, 3.0),
        unit: Literal["dice", "slices", "mm"] = "slices",
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(strength, unit, structures, prob, seed, axis)

    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        axis = self.axis % label.ndim
        hits = _slices_of(label == structure, axis)
        ends = [end for end, room in ((1, hits[-1] + 1 < label.shape[axis]), (-1, hits[0] > 0)) if room]
        return {"end": ends[int(generator.integers(len(ends)))], "axis": axis} if ends else None

    def magnitude_of(self, strength: float, label: np.ndarray, structure: int, spacing: Sequence[float]) -> float:
        """A number of slices."""
        return strength / spacing[self.axis] if self.unit == "mm" else strength


class DropLabel(LabelNoise):
    """Missed annotation: remove a structure, one of its connected components, or slices of it.

    Args:
        what: ``"structure"``: all of it; ``"components"``: one random connected component among those that are not the
            largest (nothing where there is but one); ``"slices"``: a run of its slices from a random end; ``"sparse"``:
            all slices but every n-th.
        fraction: for ``"slices"``: share of the structure's slices to drop, one number or a low and a high one in
            (0, 1]; at least one slice is dropped.
        every: for ``"sparse"``: the n, one number or a low and a high one, of at least 2. The first slice that is kept
            is random; a structure of one slice is left alone.
        gap: for ``"sparse"``: between slices that are kept, leave it ``"empty"`` or fill it ``"interpolated"``.
        axis: the spatial axis along which slices are counted.
        structures, prob, seed: see :class:`LabelNoise`.
    """

    def __init__(
        self,
        what: Literal["structure", "components", "slices", "sparse"] = "structure",
        fraction: float | tuple[float, float] = (0.25, 0.5),
        axis: int = -1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        every: int | tuple[int, int] = (2, 4),
        gap: Literal["empty", "interpolated"] = "empty",
    ) -> None:
        super().__init__(structures, prob, seed)
        self.low, self.high = _checked_fraction(fraction)
        if what not in ("structure", "components", "slices", "sparse"):
            raise ValueError(f"what must be 'structure', 'components', 'slices' or 'sparse', got {what!r}")
        first, last = low_and_high("every", every)
        if not 2 <= first <= last < np.inf:
            raise ValueError(f"every must be a number, or a low and a high one, of at least 2, got {every}")
        if gap not in ("empty", "interpolated"):
            raise ValueError(f"gap must be 'empty' or 'interpolated', got {gap!r}")
        self.what, self.every, self.gap, self.axis = what, (int(first), int(last)), gap, axis

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        del spacing
        if self.what == "structure":
            return {"model": "drop_structure", "structure": structure}
        mask = label == structure
        if self.what == "components":
            n_parts = count_components(mask[bounding_box(mask) or ()])
            if n_parts < 2:
                return None
            chosen = int(generator.integers(1, n_parts))
            return {"model": "drop_components", "structure": structure, "components": [chosen]}
        axis = self.axis % label.ndim
        hits = _slices_of(mask, axis)
        if self.what == "slices":
            dropped, gap = _run_from_an_end(hits, self.low, self.high, generator), "empty"
        else:
            every = int(generator.integers(self.every[0], self.every[1] + 1))
            kept = hits[int(generator.integers(min(every, len(hits)))) :: every]
            dropped, gap = np.setdiff1d(hits, kept), self.gap
            if not len(dropped):
                return None
        slices = [int(i) for i in dropped]
        return {"model": "drop_slices", "structure": structure, "slices": slices, "axis": axis, "gap": gap}


class SwapLabel(LabelNoise):
    """Confusion: one pair of a case's structures trade places, in all slices or in a run of them from a random end.

    Args:
        fraction: share of the slices that hold one of the two, one number or a low and a high one in (0, 1].
        structures: the values among which the pair is drawn; None means all found in the label.
        prob: chance of a case to be corrupted, in [0, 1].
        seed: see :class:`LabelNoise`.
        axis: the spatial axis along which slices are counted.

    A label with fewer than two structures is left alone.
    """

    def __init__(
        self,
        fraction: float | tuple[float, float] = 1.0,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        axis: int = -1,
    ) -> None:
        super().__init__(structures, prob, seed)
        self.low, self.high = _checked_fraction(fraction)
        self.axis = axis

    def choose(self, present: Sequence[int], generator: np.random.Generator) -> list[int]:
        chosen = generator.random() < self.prob
        found = [s for s in present if self.structures is None or s in self.structures]
        return [int(generator.choice(found))] if chosen and len(found) > 1 else []

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        del spacing
        found = [int(v) for v in np.unique(label) if v > 0 and (self.structures is None or v in self.structures)]
        others = [s for s in found if s != structure]
        if not others:
            return None
        other = int(generator.choice(others))
        axis = self.axis % label.ndim
        hits = _slices_of((label == structure) | (label == other), axis)
        swapped = _run_from_an_end(hits, self.low, self.high, generator)
        slices = None if len(swapped) == len(hits) else [int(i) for i in swapped]
        return {"model": "swap", "structure": structure, "other": other, "slices": slices, "axis": axis}


def _checked_fraction(fraction: float | tuple[float, float]) -> tuple[float, float]:
    """A share as a low and a high number."""
    low, high = low_and_high("fraction", fraction)
    if not 0 < low <= high <= 1:
        raise ValueError(f"fraction must be a number, or a low and a high one, in (0, 1], got {fraction}")
    return low, high


def _slices_of(mask: np.ndarray, axis: int) -> np.ndarray:
    """Indices of the slices along an axis that hold something of a mask."""
    return np.flatnonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))


def _run_from_an_end(hits: np.ndarray, low: float, high: float, generator: np.random.Generator) -> np.ndarray:
    """A random share of some slices, one at least: the first ones or the last."""
    n = max(1, round(float(generator.uniform(low, high)) * len(hits)))
    return hits[:n] if generator.random() < 0.5 else hits[-n:]
