"""Too much annotation: spurious blobs beside a structure, and a structure drawn on beyond its end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .border import Outline
from .canvas import Canvas

__all__ = ["extension", "false_positives"]


def false_positives(canvas: Canvas, *, blobs: Sequence[Sequence[float]]) -> Outline:
    """Add ellipsoids of mean semi-axis ``radius_mm`` in background.

    Args:
        canvas: where.
        blobs: for each, its centre's offset (mm, one number an axis) from the first voxel of the structure's bounding
            box, and its semi-axes as multiples of the radius (one number an axis).
    """
    ndim = canvas.mask.ndim
    nearest = np.full(canvas.mask.shape, np.inf, dtype=np.float32)
    for blob in blobs:
        squares = [
            ((((np.arange(n) - t.start) * s - centre) / semi_axis) ** 2).astype(np.float32)
            for n, t, s, centre, semi_axis in zip(
                canvas.mask.shape, canvas.tight, canvas.spacing, blob[:ndim], blob[ndim:], strict=True
            )
        ]
        np.minimum(nearest, sum(np.ix_(*squares), start=np.zeros((), np.float32)), out=nearest)
    return lambda radius_mm: canvas.mask | ((nearest <= radius_mm**2) if radius_mm > 0 else False)


def extension(canvas: Canvas, *, end: int, axis: int) -> Outline:
    """Go on drawing the last slice's contour for ``slices`` further slices along ``axis``.

    ``end`` is 1 beyond the highest index, -1 beyond the lowest. A part of a slice takes that part of the contour's
    voxels, the innermost first.
    """
    planes = np.moveaxis(canvas.mask, axis, 0)
    spacing = [s for a, s in enumerate(canvas.spacing) if a != axis % canvas.mask.ndim]
    tight = canvas.tight[axis]
    last = planes[tight.stop - 1 if end > 0 else tight.start]
    depth = ndimage.distance_transform_edt(np.pad(last, 1), sampling=spacing)[tuple(slice(1, -1) for _ in last.shape)]
    at = np.full(canvas.mask.shape, np.inf, dtype=np.float32)
    rank = np.full(last.shape, np.inf, dtype=np.float32)
    n = int(last.sum())
    innermost = np.argsort(-depth[last], kind="stable")
    ranks = np.empty(n, dtype=np.float32)
    ranks[innermost] = (np.arange(n) + 1) / n
    rank[last] = ranks
    further = range(tight.stop, len(planes)) if end > 0 else range(tight.start - 1, -1, -1)
    for step, index in enumerate(further):
        np.moveaxis(at, axis, 0)[index] = rank + step
    return lambda slices: canvas.mask | (at <= slices)
