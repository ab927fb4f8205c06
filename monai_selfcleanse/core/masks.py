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

__all__ = [
    "Box",
    "axis_counts",
    "bounding_box",
    "box_around",
    "debatable_ends",
    "debatable_slices",
    "dice",
    "hausdorff95",
    "inscribed_radius",
    "structure_boxes",
    "widened_box",
]

Box = tuple[slice, ...]
"""A part of an array, one slice an axis."""

_SLAB = 1 << 19
"""Bytes of an index map that are looked at together."""


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
        distance = compute_hausdorff_distance(
            one, other, include_background=True, percentile=95, spacing=[float(s) for s in spacing]
        )
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


def structure_boxes(index: np.ndarray, structures: Sequence[int]) -> dict[int, Box]:
    """Smallest box around each structure of an index map, of those that it has.

    Args:
        index: 2 or 3 axes.
        structures: those to look for, each over 0.
    """
    index = np.ascontiguousarray(index)
    step = max(1, _SLAB * len(index) // max(1, index.nbytes))
    found = {k: (np.zeros(len(index), bool), np.zeros(index.shape[1:], bool)) for k in structures}
    for start in range(0, len(index), step):  # in slabs that fit the cache
        slab = index[start : start + step]
        for k, (along, across) in found.items():
            has = slab == k
            if has.any():
                along[start : start + step] = has.reshape(len(slab), -1).any(1)
                across |= has.any(0)
    return {
        k: (
            _extent(along),
            *(_extent(np.asarray(across.any(tuple({*range(across.ndim)} - {i})))) for i in range(across.ndim)),
        )
        for k, (along, across) in found.items()
        if along.any()
    }


def _extent(has: np.ndarray) -> slice:
    """From the first to the last that is True."""
    return slice(int(has.argmax()), len(has) - int(has[::-1].argmax()))


def axis_counts(mask: np.ndarray) -> list[np.ndarray]:
    """Number of a mask's voxels at each place along each of its axes."""
    first = np.array([np.count_nonzero(part) for part in mask], dtype=np.int64)
    small = mask.view(np.uint8)
    parts = [small[i : i + 255].sum(0, dtype=np.uint8) for i in range(0, len(mask), 255)]  # as many as a byte counts
    across = np.sum(parts, axis=0, dtype=np.int64)
    return [first, *(across.sum(tuple({*range(across.ndim)} - {i})) for i in range(across.ndim))]


def box_around(a: Box | None, b: Box | None) -> Box | None:
    """Smallest box around two boxes, of which each may be none."""
    if a is None or b is None:
        return a or b
    return tuple(slice(min(i.start, j.start), max(i.stop, j.stop)) for i, j in zip(a, b, strict=True))


def widened_box(box: Box, room: Sequence[int], shape: Sequence[int]) -> Box:
    """A box with some room around it, as far as the volume goes.

    Args:
        box: within the volume.
        room: number of voxels on each side, an axis.
        shape: the volume's.
    """
    return tuple(
        slice(max(0, part.start - n), min(side, part.stop + n)) for part, n, side in zip(box, room, shape, strict=True)
    )


def debatable_slices(given: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Slices at an end of a structure that either the given label or the prediction has one more of than the other.

    Where a structure ends along the slices is a matter of a slice even among experts, most of all that of the right
    ventricle towards the base: such a slice is neither held against a label nor redrawn. Two slices are a difference.

    Args:
        given, predicted: the structure's voxels, boolean, of one shape; slices are counted along the last axis.

    Returns:
        Boolean, one a slice; all False for images, and where no slice has both.
    """
    if given.ndim != 3:
        return np.zeros(given.shape[-1], dtype=bool)
    return debatable_ends(*(np.asarray(mask.any((0, 1))) for mask in (given, predicted)))


def debatable_ends(given: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The same, of the slices in which the given label and the prediction have the structure, each ``(slices,)``."""
    out = np.zeros(len(given), dtype=bool)
    if (given & predicted).any():
        a, b = _extent(given), _extent(predicted)
        if abs(a.start - b.start) == 1:
            out[min(a.start, b.start)] = True
        if abs(a.stop - b.stop) == 1:
            out[max(a.stop, b.stop) - 1] = True
    return out
