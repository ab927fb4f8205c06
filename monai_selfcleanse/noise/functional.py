"""What all label noise rests on: seeded generators, overlap and distance of masks, and a structure's inscribed radius.

An *index map* holds one integer a voxel: 0 is background, ``k > 0`` is structure ``k``.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance
from scipy import ndimage

__all__ = ["bounding_box", "case_generator", "dice", "hausdorff95", "inscribed_radius"]

Box = tuple[slice, ...]


def case_generator(seed: int, case: str, name: str) -> np.random.Generator:
    """Random generator that depends on ``(seed, case, name)`` alone: not on order, worker, process or epoch."""
    digest = hashlib.sha256(f"{seed}\x1f{case}\x1f{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


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
    box: list[slice] = []
    for axis in range(mask.ndim):
        (hits,) = np.nonzero(mask[tuple(box)].any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hits):
            return None
        box.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return tuple(box)
