"""Missing annotation: a whole structure, some of its connected components, or some of its slices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import ndimage

from .canvas import Canvas

__all__ = ["count_components", "drop_components", "drop_slices"]


def drop_components(canvas: Canvas, components: Sequence[int]) -> np.ndarray:
    """The structure without some of its connected components.

    Components are numbered from 0 in order of size, largest first, ties by position; voxels that share a face are
    connected (``scipy.ndimage.label``). Numbers that do not exist are passed over.
    """
    parts, n_parts = ndimage.label(canvas.mask)
    sizes = np.bincount(parts.ravel(), minlength=n_parts + 1)[1:]
    by_size = np.argsort(-sizes, kind="stable") + 1
    return canvas.mask & ~np.isin(parts, [by_size[c] for c in components if c < n_parts])


def count_components(mask: np.ndarray) -> int:
    """Number of connected components of a boolean mask; voxels that share a face are connected."""
    return int(ndimage.label(mask)[1])


def drop_slices(canvas: Canvas, slices: Sequence[int], axis: int, gap: Literal["empty", "interpolated"]) -> np.ndarray:
    """The structure without its slices of these indices (in the label) along ``axis``.

    With ``gap="interpolated"``, slices between two that stay are filled as annotation tools do, by interpolating the
    signed distance to the border within the slice (Raya & Udupa, IEEE TMI 9(1), 1990).
    """
    start = canvas.box[axis].start
    out = canvas.mask.copy()
    planes = np.moveaxis(out, axis, 0)
    gone = [i - start for i in slices if 0 <= i - start < len(planes)]
    planes[gone] = False
    if gap == "interpolated":
        spacing = [s for a, s in enumerate(canvas.spacing) if a != axis % out.ndim]
        kept = np.flatnonzero(planes.any(axis=tuple(range(1, planes.ndim))))
        before = np.searchsorted(kept, gone) - 1
        signed = {int(k): _signed_distance(planes[k], spacing) for k in kept}
        for i, b in zip(gone, before, strict=True):
            if 0 <= b < len(kept) - 1:
                low, high = int(kept[b]), int(kept[b + 1])
                share = (i - low) / (high - low)
                planes[i] = (1 - share) * signed[low] + share * signed[high] <= 0
    return out


def _signed_distance(plane: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance (mm) to the other side of the border, negative inside."""
    inner = tuple(slice(1, -1) for _ in plane.shape)
    inside = ndimage.distance_transform_edt(np.pad(plane, 1), sampling=spacing)[inner]
    return ndimage.distance_transform_edt(~plane, sampling=spacing) - inside
