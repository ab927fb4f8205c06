"""Masks of one structure: their overlap, their distance, their boxes, and the slices that nobody can be blamed for.

A *mask* is a boolean array. An *index map* holds one integer a voxel: 0 is background, ``k > 0`` is structure ``k``.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from scipy import ndimage

__all__ = ["Box", "bounding_box", "box_around", "debatable_slices", "dice", "hausdorff95", "inscribed_radius"]

Box = tuple[slice, ...]
"""A part of an array, one slice an axis."""


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice overlap of two boolean masks of one shape; 1.0 where both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 1.0 if total == 0 else 2.0 * int(np.count_nonzero(a & b)) / total


def hausdorff95(a: np.ndarray, b: np.ndarray, spacing: Sequence[float]) -> float:
    """95th percentile of the distances (mm) from each mask's surface to the other's, the larger of both directions.

    It is MONAI's ``compute_hausdorff_distance(percentile=95)`` within the masks' common bounding box. 0.0 where both
    masks are empty, infinite where one is.
    """
    if not a.any() or not b.any():
        return 0.0 if a.any() == b.any() else float("inf")
    box = bounding_box(a | b)
    assert box is not None
    one, other = (torch.from_numpy(np.pad(mask[box], 1)[None, None].astype(np.uint8)) for mask in (a, b))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI's, of an argument of its own
        distance = compute_hausdorff_distance(one, other, include_background=True, percentile=95, spacing=[*spacing])
    return float(distance)


def inscribed_radius(label: np.ndarray, structure: int, spacing: Sequence[float]) -> float:
    """Largest distance (mm) from a voxel of the structure to a voxel outside it; 0.0 where it is absent.

    Voxels beyond the volume's edge count as outside.
    """
    whole = label == structure
    box = bounding_box(whole)
    if box is None:
        return 0.0
    return float(ndimage.distance_transform_edt(np.pad(whole[box], 1), sampling=spacing).max())


def bounding_box(mask: np.ndarray) -> Box | None:
    """Slices of the smallest box around a boolean mask; None for an empty mask."""
    found = ndimage.find_objects(mask.astype(np.uint8), 1)
    return found[0]


def box_around(a: Box | None, b: Box | None) -> Box | None:
    """Smallest box around two boxes, of which each may be none."""
    if a is None or b is None:
        return a or b
    return tuple(slice(min(i.start, j.start), max(i.stop, j.stop)) for i, j in zip(a, b, strict=True))


def debatable_slices(given: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Slices at an end of a structure that either the given label or the prediction has one more of than the other.

    Where a structure ends along the slices is a matter of a slice even among experts, most of all that of the right
    ventricle towards the base: such a slice is neither held against a label nor redrawn. Two slices are a difference.

    Args:
        given, predicted: the structure's voxels, boolean, of one shape; slices are counted along the last axis.

    Returns:
        Boolean, one a slice; all False for images, and where no slice has both.
    """
    out = np.zeros(given.shape[-1], dtype=bool)
    if given.ndim == 3 and (given.any((0, 1)) & predicted.any((0, 1))).any():
        a, b = (np.flatnonzero(mask.any((0, 1))) for mask in (given, predicted))
        if abs(a[0] - b[0]) == 1:
            out[min(a[0], b[0])] = True
        if abs(a[-1] - b[-1]) == 1:
            out[max(a[-1], b[-1])] = True
    return out
