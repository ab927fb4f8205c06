"""Right shape, wrong place: shift, rotation and scaling of a structure within its slices, and elastic deformation.

As in :mod:`monai_selfcleanse.noise.border`, each function returns the outline as a function of one magnitude.
Structures move within their slices, about the centre of their voxels.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .border import Outline
from .canvas import Canvas, smooth_field

__all__ = ["elastic", "rotation", "scaling", "shift"]


def shift(canvas: Canvas, *, angle_degrees: float, axis: int) -> Outline:
    """Move by ``shift_mm`` in the direction of ``angle_degrees``, from the first axis of a slice towards the second."""
    angle = np.deg2rad(angle_degrees)
    direction = np.array([np.cos(angle), np.sin(angle)])
    return lambda shift_mm: _moved(canvas, axis, np.eye(2), shift_mm * direction)


def rotation(canvas: Canvas, *, direction: int, axis: int) -> Outline:
    """Turn by ``degrees``, one way (``direction`` 1) or the other (-1)."""

    def outline(degrees: float) -> np.ndarray:
        angle = np.deg2rad(degrees) * direction
        return _moved(canvas, axis, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))

    return outline


def scaling(canvas: Canvas, *, direction: int, axis: int) -> Outline:
    """Grow to ``1 + percent / 100`` times the size (``direction`` 1), or shrink by the same factor (-1)."""
    return lambda percent: _moved(canvas, axis, np.eye(2) * (1 + percent / 100) ** direction)


def elastic(canvas: Canvas, *, sigma_mm: float, axis: int, seed: int) -> Outline:
    """Displace every point within its slice by a smooth random field (Simard et al., ICDAR 2003).

    ``displacement_mm`` is its standard deviation along each of the two axes, ``sigma_mm`` how far it stays alike.
    """
    generator = np.random.default_rng(seed)
    spacing = canvas.plane_spacing(axis)
    fields = [smooth_field(canvas, sigma_mm, generator) / np.float32(s) for s in spacing]
    masks = canvas.planes(canvas.mask, axis)
    first, second = (canvas.planes(field, axis) for field in fields)
    grid = np.indices(masks.shape[1:], dtype=np.float32)

    def outline(displacement_mm: float) -> np.ndarray:
        out = np.zeros_like(canvas.mask)
        for plane, mask, u, v in zip(canvas.planes(out, axis), masks, first, second, strict=True):
            if mask.any():
                at = grid + np.float32(displacement_mm) * np.stack([u, v])
                plane[...] = ndimage.map_coordinates(mask.astype(np.float32), at, order=1, mode="grid-constant") >= 0.5
        return out

    return outline


def _moved(canvas: Canvas, axis: int, matrix: np.ndarray, shift_mm: np.ndarray | float = 0.0) -> np.ndarray:
    """The structure after ``matrix`` (mm, within slices) about its centre and a shift."""
    axes = list(canvas.plane_axes(axis))
    spacing = np.array([canvas.spacing[a] for a in axes])
    hits = np.argwhere(canvas.mask[canvas.tight])
    centre = (hits.mean(0) + [t.start for t in canvas.tight])[axes]
    inverse = np.linalg.inv(matrix) * spacing / spacing[:, None]  # index to index
    whole = np.eye(canvas.mask.ndim)
    whole[np.ix_(axes, axes)] = inverse
    offset = np.zeros(canvas.mask.ndim)
    offset[axes] = centre - inverse @ (centre + shift_mm / spacing)
    # points are looked up to a millionth of a voxel, or rounding would move voxels that lie on the border
    moved = ndimage.affine_transform(canvas.mask.astype(np.float32), whole, offset, order=1, mode="grid-constant")
    return moved >= 0.5 - 1e-4
