"""The part of a label that a change of one structure can reach, and what the models of change have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.masks import Box, widened_box

__all__ = ["Canvas", "irregularity", "smooth_field"]


@dataclass(frozen=True)
class Canvas:
    """One structure in a box around it.

    Attributes:
        box: where the canvas lies in the label.
        tight: the structure's own bounding box within the canvas.
        mask: the structure's voxels, boolean, of the box's shape.
        others: the voxels of all other structures.
        spacing: voxel size in mm, one number an axis.
    """

    box: Box
    tight: Box
    mask: np.ndarray
    others: np.ndarray
    spacing: tuple[float, ...]

    @classmethod
    def around(
        cls, label: np.ndarray, tight: Box, structure: int, spacing: Sequence[float], margins: Sequence[int]
    ) -> Canvas:
        """A structure's bounding box ``tight``, widened by ``margins`` voxels an axis as far as the volume goes."""
        box = widened_box(tight, margins, label.shape)
        inner = tuple(slice(t.start - b.start, t.stop - b.start) for t, b in zip(tight, box, strict=True))
        part = label[box]
        mask = part == structure
        return cls(box, inner, mask, (part != 0) & ~mask, tuple(spacing))

    def planes(self, array: np.ndarray, axis: int) -> np.ndarray:
        """View of an array of the box's shape as a stack of slices along ``axis``; an image is one slice."""
        return array[None] if array.ndim == 2 else np.moveaxis(array, axis, 0)

    def plane_axes(self, axis: int) -> tuple[int, int]:
        """The two axes within a slice."""
        first, second = (a for a in range(self.mask.ndim) if self.mask.ndim == 2 or a != axis % self.mask.ndim)
        return first, second

    def plane_spacing(self, axis: int) -> tuple[float, float]:
        """Voxel size (mm) along the two axes within a slice."""
        first, second = self.plane_axes(axis)
        return self.spacing[first], self.spacing[second]


def smooth_field(canvas: Canvas, sigma_mm: float, generator: np.random.Generator) -> np.ndarray:
    """Smooth random field over the canvas: mean 0 and standard deviation 1 over the structure's bounding box.

    White noise on a lattice of pitch ``sigma_mm``, convolved with a Gaussian of that width. It is anchored at the
    structure's bounding box, so that it does not depend on the canvas's size, and clipped to three standard deviations;
    zero where the box is too small for it to vary.
    """
    weights = []
    for tight, n, spacing in zip(canvas.tight, canvas.mask.shape, canvas.spacing, strict=True):
        position = (np.arange(n) - tight.start) * spacing
        extent = (tight.stop - tight.start - 1) * spacing
        lattice = np.arange(-3, np.ceil(extent / sigma_mm) + 4) * sigma_mm
        # beyond the lattice's reach the field stays what it is at the box's edge
        position = np.clip(position, 0, extent)
        weights.append(np.exp(-0.5 * ((position[:, None] - lattice) / sigma_mm) ** 2).astype(np.float32))
    field = generator.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
    for w in weights:  # contracts the first axis and appends the new one: after all axes the order is the old one
        field = np.tensordot(field, w, axes=(0, 1))
    inner = field[canvas.tight]
    std = float(inner.std())
    if std < 1e-6:
        return np.zeros_like(field)
    return np.clip((field - inner.mean()) / std, -3, 3)


def irregularity(
    canvas: Canvas, wobble: float, jitter: float, axis: int, seed: int, sigma_mm: float = 5.0
) -> np.ndarray:
    """Factor of mean about 1 by which a border moves farther here than there, at least 0.1.

    Args:
        canvas: where.
        wobble: standard deviation of its smooth part.
        jitter: standard deviation of what each slice along ``axis`` adds of its own.
        axis: the slices' axis.
        seed: of both.
        sigma_mm: how far the smooth part stays alike.
    """
    generator = np.random.default_rng(seed)
    factor = np.ones(canvas.mask.shape, dtype=np.float32)
    if wobble > 0:
        factor += np.float32(wobble) * smooth_field(canvas, sigma_mm, generator)
    if jitter > 0 and canvas.mask.ndim == 3:
        axis %= 3
        tight = canvas.tight[axis]
        own = generator.standard_normal(tight.stop - tight.start)
        own = np.clip(own - own.mean(), -3, 3)
        index = np.clip(np.arange(canvas.mask.shape[axis]) - tight.start, 0, len(own) - 1)
        shape = [-1 if a == axis else 1 for a in range(3)]
        factor += np.float32(jitter) * own[index].reshape(shape).astype(np.float32)
    return np.maximum(factor, np.float32(0.1))
