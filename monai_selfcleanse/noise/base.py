"""Label noise as MONAI array transforms: what all of them share.

Annotation noise is a property of a case, not an augmentation: what a transform does follows from ``(seed, case id, name
of the transform)`` alone. The transforms therefore carry no ``RandomizableTrait`` and ``CacheDataset`` may cache them.
Each works in two steps, so that noise can be recorded and replayed:

1. :meth:`LabelNoise.sample` looks at the label and draws a JSON-able record of one structure's change;
2. :func:`~monai_selfcleanse.noise.models.apply_noise` carries it out, deterministically.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import convert_to_dst_type

from ..core.index_map import index_map
from ..core.masks import inscribed_radius
from ..core.seeding import case_generator
from .models import GRADED, NoiseRecord, apply_noise
from .search import magnitude_for_dice

__all__ = ["GradedNoise", "LabelNoise", "check_spacing", "low_and_high"]

logger = logging.getLogger(__name__)

_NEAR_ENOUGH, _DRAWS = 0.01, 16  # miss of a wanted Dice at which parameters are drawn anew, and how often at most


_SMALLEST_MM, _LARGEST_MM = 1e-3, 100.0
"""Voxel sizes for which label noise is made; beyond them its lengths in mm are millions of voxels, or none."""


def check_spacing(spacing: Sequence[float], ndim: int) -> None:
    """See that voxels have a size that label noise is made for.

    Raises:
        ValueError: they have not.
    """
    sizes = list(spacing[:ndim])
    if len(sizes) < ndim or not all(np.isfinite(s) and s > 0 for s in sizes):
        raise ValueError(f"spacing must be {ndim} positive numbers in mm, got {list(spacing)}")
    if not _SMALLEST_MM <= min(sizes) <= max(sizes) <= _LARGEST_MM:
        raise ValueError(
            f"its voxels are {' x '.join(f'{s:.3g}' for s in sizes)} mm large; label noise is made for "
            f"{_SMALLEST_MM:g} to {_LARGEST_MM:g} mm: correct the voxel size"
        )


class LabelNoise(Transform):
    """Base of all label noise: one fixed corruption a case.

    Args:
        structures: the values to corrupt; None means every structure found in the label.
        prob: chance of each of these structures to be corrupted, in [0, 1].
        seed: together with the case's id it decides everything.
    """

    axis: int = -1
    """The spatial axis along which slices are counted; transforms that know slices take it as an argument."""

    def __init__(self, structures: Sequence[int] | None = None, prob: float = 1.0, seed: int = 0) -> None:
        if not 0.0 <= prob <= 1.0:
            raise ValueError(f"prob must lie in [0, 1], got {prob}")
        self.structures = None if structures is None else tuple(dict.fromkeys(int(s) for s in structures))
        self.prob = prob
        self.seed = int(seed)

    def choose(self, present: Sequence[int], generator: np.random.Generator) -> list[int]:
        """Draw which structures of a case are corrupted, in order."""
        wanted = present if self.structures is None else self.structures
        return [s for s in wanted if generator.random() < self.prob and s in present]

    @abstractmethod
    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        """Draw one structure's change; None leaves it alone, since it cannot be changed in this way or so far."""

    def corrupt(self, label: np.ndarray, case: str, spacing: Sequence[float]) -> tuple[np.ndarray, list[NoiseRecord]]:
        """Noisy copy of an index map without channel axis, and what was done to it in order."""
        name = type(self).__name__
        generator = case_generator(self.seed, case, name if self.structures is None else f"{name} {self.structures}")
        noisy = label.copy()
        records: list[NoiseRecord] = []
        for structure in self.choose([int(v) for v in np.unique(label) if v > 0], generator):
            record = self.sample(noisy, structure, spacing, generator)
            changed = noisy if record is None else apply_noise(noisy, record, spacing)
            if record is None or np.array_equal(changed, noisy):
                logger.info(f"{name}: structure {structure} of case {case!r} cannot be changed so")
            else:
                noisy = changed
                records.append(record)
        return noisy, records

    def __call__(  # type: ignore[override]
        self, img: NdarrayOrTensor, case: str, spacing: Sequence[float] | None = None
    ) -> NdarrayOrTensor:
        """Noisy copy of a channel-first label.

        Args:
            img: index map ``(1, *spatial)``; numpy, torch or ``MetaTensor``, any dtype with whole numbers.
            case: the case's id.
            spacing: voxel size in mm; None takes a ``MetaTensor``'s own, and 1 mm for anything else.

        Returns:
            The same kind, dtype, device and metadata as ``img``, which is not changed.
        """
        return self.with_records(img, case, spacing)[0]

    def with_records(
        self, img: NdarrayOrTensor, case: str, spacing: Sequence[float] | None = None
    ) -> tuple[NdarrayOrTensor, list[NoiseRecord]]:
        """As calling the transform, and the list of parameter dictionaries beside it."""
        label = index_map(img)
        if spacing is None:
            spacing = img.pixdim.tolist() if isinstance(img, MetaTensor) else [1.0] * label.ndim
        if not -label.ndim <= self.axis < label.ndim:
            raise ValueError(
                f"case {case!r}: axis must be one of the label's {label.ndim} spatial axes, got {self.axis}"
            )
        try:
            check_spacing(spacing, label.ndim)
        except ValueError as error:
            raise ValueError(f"case {case!r}: {error}") from None
        noisy, records = self.corrupt(label, case, [float(s) for s in spacing[: label.ndim]])
        out, *_ = convert_to_dst_type(noisy[None], img, dtype=img.dtype)
        if isinstance(img, torch.Tensor) and not isinstance(img, MetaTensor) and isinstance(out, MetaTensor):
            out = out.as_tensor()
        return out, records


class GradedNoise(LabelNoise):
    """Base of the noise that has a strength.

    Args:
        strength: one number, or a low and a high one between which each structure of a case draws its own.
        unit: what the strength is given in, one of the class's ``units``: ``"dice"``, the Dice to the original that is
            left, within 0.004 or as nearly as a structure of few voxels allows, over which up to sixteen draws are made
            until one misses by at most 0.01; ``"mm"``;
            ``"radius"``, the length as a fraction of the structure's inscribed radius; or what the class names.
        structures, prob, seed: see :class:`LabelNoise`.
        axis: the spatial axis along which slices are counted, in which annotators draw.

    A structure whose Dice cannot be brought down to the wanted one is left alone.
    """

    model: str
    units: tuple[str, ...] = ("dice", "mm", "radius")

    def __init__(
        self,
        strength: float | tuple[float, float],
        unit: str,
        structures: Sequence[int] | None,
        prob: float,
        seed: int,
        axis: int = -1,
    ) -> None:
        super().__init__(structures, prob, seed)
        self.low, self.high = low_and_high("strength", strength)
        if unit not in self.units:
            raise ValueError(f"unit must be one of {', '.join(map(repr, self.units))}, got {unit!r}")
        if not 0 <= self.low <= self.high < np.inf or (unit == "dice" and not 0 < self.low <= self.high <= 1):
            bounds = "in (0, 1]" if unit == "dice" else "of at least 0"
            raise ValueError(f"strength in {unit} must be a number, or a low and a high one, {bounds}, got {strength}")
        self.unit, self.axis = unit, axis

    @abstractmethod
    def draw(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        """Draw the model's parameters but the magnitude; None leaves the structure alone."""

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        strength = float(generator.uniform(self.low, self.high))
        if self.unit == "dice":
            return self._sample_dice(label, structure, spacing, generator, strength)
        drawn = self.draw(label, structure, spacing, generator)
        if drawn is None:
            return None
        return self._record(structure, drawn, self.magnitude_of(strength, label, structure, spacing))

    def magnitude_of(self, strength: float, label: np.ndarray, structure: int, spacing: Sequence[float]) -> float:
        """The model's own magnitude for a strength in mm, or in radii of the structure."""
        return strength * inscribed_radius(label, structure, spacing) if self.unit == "radius" else strength

    def _sample_dice(
        self,
        label: np.ndarray,
        structure: int,
        spacing: Sequence[float],
        generator: np.random.Generator,
        target: float,
    ) -> NoiseRecord | None:
        """The first draw that comes near to the Dice: a shift of a small structure, say, leaps at every voxel."""
        nearest: tuple[float, NoiseRecord] | None = None
        tried: list[NoiseRecord] = []
        for _ in range(_DRAWS):
            drawn = self.draw(label, structure, spacing, generator)
            if drawn is None:
                break
            if drawn in tried:
                continue
            tried.append(drawn)
            found = magnitude_for_dice(label, self._record(structure, drawn), spacing, target)
            if found is None and "seed" in drawn:
                break  # another irregularity would not help
            if found is None:
                continue
            magnitude, reached = found
            miss = abs(reached - target)
            if nearest is None or miss < nearest[0]:
                nearest = miss, self._record(structure, drawn, magnitude)
            if miss <= _NEAR_ENOUGH:
                break
        return None if nearest is None else nearest[1]

    def _record(self, structure: int, drawn: NoiseRecord, magnitude: float | None = None) -> NoiseRecord:
        strength = {} if magnitude is None else {GRADED[self.model].magnitude: round(magnitude, 6)}
        return {"model": self.model, "structure": structure, **drawn, **strength}


def low_and_high(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """A low and a high number out of one number or two."""
    pair = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a number, or a low and a high one, got {value}")
    return float(pair[0]), float(pair[1])
