"""Label noise as pure functions of an index map, explicit parameters and nothing else.

An index map holds one integer a voxel: 0 is background, ``k > 0`` is structure ``k``. No function draws a random
number from anywhere but the generator it is handed, none changes its input, and none lets one structure overwrite
another: what erosion or dropping removes becomes background, and dilation grows into background alone.

Erosion and dilation move the border by a *distance in mm*, measured by the Euclidean distance transform with the true
voxel spacing (``scipy.ndimage.distance_transform_edt``), so that thick slices are not merged: a 3 mm erosion of
1.5 x 1.5 x 10 mm voxels stays within the slice. A smooth seeded *wobble* may be added to the distance, which makes the
new border irregular, as a hand's is, and lets a wanted Dice be met to the voxel.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

__all__ = [
    "case_generator",
    "count_components",
    "dice",
    "dilate_label",
    "drop_components",
    "drop_slices",
    "drop_structure",
    "erode_label",
    "inscribed_radius",
    "shift_for_dice",
]


def case_generator(seed: int, case: str, name: str) -> np.random.Generator:
    """Random generator that depends on ``(seed, case, name)`` alone: not on order, worker, process or epoch."""
    digest = hashlib.sha256(f"{seed}\x1f{case}\x1f{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice overlap of two boolean masks of one shape; 1.0 where both are empty."""
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 1.0 if total == 0 else 2.0 * int(np.count_nonzero(a & b)) / total


def inscribed_radius(label: np.ndarray, structure: int, spacing: Sequence[float]) -> float:
    """Largest distance (mm) from a voxel of the structure to a voxel outside it; 0.0 where it is absent.

    Voxels beyond the volume's edge count as outside.
    """
    box = _bounding_box(label == structure, margin=1)
    if box is None:
        return 0.0
    mask = np.pad(label[box] == structure, 1)
    return float(ndimage.distance_transform_edt(mask, sampling=spacing).max())


def erode_label(
    label: np.ndarray,
    structure: int,
    distance_mm: float,
    spacing: Sequence[float],
    *,
    wobble_mm: float = 0.0,
    wobble_seed: int = 0,
) -> np.ndarray:
    """Turn the structure's voxels that lie within ``distance_mm`` of its border into background.

    Args:
        label: index map, any number of spatial axes.
        structure: its value in ``label``.
        distance_mm: a voxel is removed where its distance to the nearest voxel outside the structure, centre to
            centre, is at most this; below one voxel nothing changes.
        spacing: voxel size in mm, one number an axis.
        wobble_mm: amplitude (standard deviation, mm) of the smooth field added to the distance.
        wobble_seed: seed of that field.

    Returns:
        A new array of the same shape and dtype. It may lack the structure altogether.
    """
    out = label.copy()
    found = _border_distance(label, structure, spacing, None, wobble_mm, wobble_seed)
    if found is not None:
        box, mask, distance = found
        out[box][mask & (distance <= distance_mm)] = 0
    return out


def dilate_label(
    label: np.ndarray,
    structure: int,
    distance_mm: float,
    spacing: Sequence[float],
    *,
    wobble_mm: float = 0.0,
    wobble_seed: int = 0,
) -> np.ndarray:
    """Turn background within ``distance_mm`` of the structure into the structure; arguments as :func:`erode_label`.

    Other structures keep their voxels, and background nearer to one of them is out of reach: a structure that is
    enclosed by others cannot grow.
    """
    out = label.copy()
    found = _border_distance(label, structure, spacing, distance_mm, wobble_mm, wobble_seed)
    if found is not None:
        box, _, distance = found
        out[box][(label[box] == 0) & (distance <= distance_mm)] = structure
    return out


def shift_for_dice(
    label: np.ndarray,
    structure: int,
    target: float,
    spacing: Sequence[float],
    *,
    outwards: bool,
    wobble_mm: float = 0.0,
    wobble_seed: int = 0,
) -> float | None:
    """Distance (mm) at which erosion, or dilation if ``outwards``, leaves the wanted Dice to the original.

    With ``n`` of ``N`` voxels removed, Dice is ``2 (N - n) / (2 N - n)``; with ``n`` added, ``2 N / (2 N + n)``. Both
    give the ``n`` to move, and the distance is that of the ``n``-th voxel in order of distance.

    Returns:
        The distance, or None where the Dice cannot be reached: an absent structure, or too little background around.
    """
    if not 0.0 < target <= 1.0:
        raise ValueError(f"the Dice to reach must lie in (0, 1], got {target}")
    n_voxels = int(np.count_nonzero(label == structure))
    if n_voxels == 0:
        return None
    wanted = 2 * n_voxels * (1 - target) / target if outwards else n_voxels * (2 - 2 * target) / (2 - target)
    n_moved = round(wanted)
    reach = None
    if outwards:
        reach = 4 * max(spacing) + 2 * inscribed_radius(label, structure, spacing)
    while True:
        found = _border_distance(label, structure, spacing, reach, wobble_mm, wobble_seed)
        assert found is not None
        box, mask, distance = found
        candidates = np.sort(distance[(label[box] == 0) if outwards else mask])
        if reach is not None:
            candidates = candidates[candidates <= reach]
        if n_moved == 0:
            return min(0.0, float(candidates[0]) - 1e-3) if len(candidates) else 0.0
        if len(candidates) >= n_moved:
            return float(candidates[n_moved - 1])
        if reach is None or all(s.stop - s.start == n for s, n in zip(box, label.shape, strict=True)):
            return None
        reach *= 2


def drop_structure(label: np.ndarray, structure: int) -> np.ndarray:
    """Turn the whole structure into background."""
    out = label.copy()
    out[label == structure] = 0
    return out


def drop_slices(label: np.ndarray, structure: int, slices: Sequence[int], axis: int = -1) -> np.ndarray:
    """Turn the structure into background in the slices of these indices along ``axis``."""
    out = label.copy()
    view = np.moveaxis(out, axis, 0)
    for index in slices:
        view[index][view[index] == structure] = 0
    return out


def drop_components(label: np.ndarray, structure: int, components: Sequence[int]) -> np.ndarray:
    """Turn some connected components of the structure into background.

    Components are numbered from 0 in order of size, largest first, ties by position; voxels that share a face are
    connected (``scipy.ndimage.label``). Numbers that do not exist are passed over.
    """
    parts, n_parts = ndimage.label(label == structure)
    out = label.copy()
    if n_parts:
        sizes = np.bincount(parts.ravel(), minlength=n_parts + 1)[1:]
        by_size = np.argsort(-sizes, kind="stable") + 1
        out[np.isin(parts, [by_size[c] for c in components if c < n_parts])] = 0
    return out


def count_components(mask: np.ndarray) -> int:
    """Number of connected components of a boolean mask; voxels that share a face are connected."""
    return int(ndimage.label(mask)[1])


def _bounding_box(mask: np.ndarray, margin: int | Sequence[int]) -> tuple[slice, ...] | None:
    """Slices of the mask's bounding box, widened by ``margin`` voxels within the array; None for an empty mask."""
    margins = [margin] * mask.ndim if isinstance(margin, int) else list(margin)
    box = []
    for axis in range(mask.ndim):
        (hits,) = np.nonzero(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)))
        if not len(hits):
            return None
        box.append(
            slice(max(0, int(hits[0]) - margins[axis]), min(mask.shape[axis], int(hits[-1]) + 1 + margins[axis]))
        )
    return tuple(box)


def _border_distance(
    label: np.ndarray,
    structure: int,
    spacing: Sequence[float],
    reach_mm: float | None,
    wobble_mm: float,
    wobble_seed: int,
) -> tuple[tuple[slice, ...], np.ndarray, np.ndarray] | None:
    """Box, mask and distance (mm) to the other side of the structure's border within the box; None if it is absent.

    ``reach_mm`` None measures inside the structure (the box fits tightly), a number measures outside it, as far as
    that. Beyond the volume's edge counts as outside the structure.
    """
    whole = label == structure
    margin: int | list[int] = 1
    if reach_mm is not None:
        margin = [max(0, int(np.ceil((reach_mm + 3 * wobble_mm) / s))) + 1 for s in spacing]
    box = _bounding_box(whole, margin)
    if box is None:
        return None
    mask = whole[box]
    if reach_mm is None:
        inner = tuple(slice(1, -1) for _ in range(mask.ndim))
        distance = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=spacing)[inner]
    else:
        distance = ndimage.distance_transform_edt(~mask, sampling=spacing)
        others = (label[box] != 0) & ~mask
        if others.any():
            # Background nearer to another structure is out of reach: nothing grows through its neighbours.
            distance[ndimage.distance_transform_edt(~others, sampling=spacing) < distance] = np.inf
    if wobble_mm > 0:
        # Drawn over the structure's own tight box and extended, so that it does not depend on the reach; centred, so
        # that it changes the border's shape more than its place.
        tight = _bounding_box(whole, 0)
        assert tight is not None
        shape = [s.stop - s.start for s in tight]
        field = np.random.default_rng(wobble_seed).standard_normal(shape)
        field = ndimage.gaussian_filter(field, [5.0 / s for s in spacing], mode="nearest")
        field -= field.mean()
        std = float(field.std())
        field = np.clip(field / std, -3, 3) * wobble_mm if std > 1e-9 else np.zeros(shape)
        before = [t.start - b.start for t, b in zip(tight, box, strict=True)]
        after = [b.stop - t.stop for t, b in zip(tight, box, strict=True)]
        distance = distance + np.pad(field, list(zip(before, after, strict=True)), mode="edge")
        # Voxels at one distance are told apart by their position, or the Dice could not be met to the voxel.
        for axis, (b, t) in enumerate(zip(box, tight, strict=True)):
            steps = 1e-7 * 1.618**axis * (np.arange(b.start, b.stop) - t.start)
            distance = distance + steps.reshape([-1 if a == axis else 1 for a in range(len(box))])
    return box, mask, distance
