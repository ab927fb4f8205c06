"""Wrong borders: erosion, dilation, redrawn contours, a random walk of the border, polygons and over-smoothing.

Each function prepares one structure on a :class:`~monai_selfcleanse.noise.canvas.Canvas` and returns its outline as a
function of one magnitude, at 0 the given one; see :mod:`monai_selfcleanse.noise.models`. All but erosion and dilation
work slice by slice, as annotators draw. What lies beyond the volume's edge counts as outside the structure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from monai.utils import optional_import
from scipy import ndimage

from .canvas import Canvas, irregularity

find_contours, _ = optional_import("skimage.measure", name="find_contours")
approximate_polygon, _ = optional_import("skimage.measure", name="approximate_polygon")
fill_polygon, _ = optional_import("skimage.draw", name="polygon")

__all__ = ["contour_knots", "dilation", "erosion", "markov_walk", "polygon", "smoothing"]

Outline = Callable[[float], np.ndarray]


def erosion(canvas: Canvas, *, wobble: float, jitter: float, axis: int, seed: int) -> Outline:
    """Strip off voxels whose centre is at most ``distance_mm`` from the centre of one outside.

    By ``scipy.ndimage.distance_transform_edt`` with the true spacing, so that thick slices are not merged.

    ``wobble``, ``jitter`` and ``seed`` make the border irregular, see :func:`~.canvas.irregularity`.
    """
    inner = tuple(slice(1, -1) for _ in canvas.spacing)
    distance = ndimage.distance_transform_edt(np.pad(canvas.mask, 1), sampling=canvas.spacing)[inner]
    distance = distance / irregularity(canvas, wobble, jitter, axis, seed)
    return lambda distance_mm: canvas.mask & (distance > distance_mm)


def dilation(canvas: Canvas, *, wobble: float, jitter: float, axis: int, seed: int) -> Outline:
    """Grow by ``distance_mm`` into background; background nearer to another structure is out of reach, so that nothing
    grows through its neighbours. Otherwise as :func:`erosion`.
    """
    distance = ndimage.distance_transform_edt(~canvas.mask, sampling=canvas.spacing).astype(np.float32)
    if canvas.others.any():
        to_others = ndimage.distance_transform_edt(~canvas.others, sampling=canvas.spacing).astype(np.float32)
        distance[to_others < distance] = np.inf
    distance /= irregularity(canvas, wobble, jitter, axis, seed)
    return lambda distance_mm: canvas.mask | (distance <= distance_mm)


def contour_knots(canvas: Canvas, *, knots: int, axis: int, seed: int) -> Outline:
    """Redraw each slice's contours through ``knots`` of their points, each moved in or out at random.

    After FedA3I (Wu et al., AAAI 2024), where the offsets go along a polygon's normals.

    A knot's offset is normal with standard deviation ``offset_mm``, cut at three of them; between knots it is
    interpolated by Gaussian weights of the knots' mean distance. Knots lie evenly along the border's angle around the
    centre.
    """
    generator = np.random.default_rng(seed)
    spacing = np.array(canvas.plane_spacing(axis))
    half = float(spacing.min()) / 2
    offsets = np.zeros(canvas.mask.shape, dtype=np.float32)
    signed = np.full(canvas.mask.shape, np.inf, dtype=np.float32)
    masks, offset_planes, signed_planes = (canvas.planes(a, axis) for a in (canvas.mask, offsets, signed))
    for mask, offset, distance in zip(masks, offset_planes, signed_planes, strict=True):
        if not mask.any():
            continue
        draws = np.clip(generator.standard_normal(knots), -3, 3)
        # the nearest border voxel of every voxel lends it its offset
        border = mask & ~ndimage.binary_erosion(mask)
        beyond, nearest = ndimage.distance_transform_edt(~border, sampling=spacing, return_indices=True)
        distance[...] = np.where(mask, -beyond - half, beyond - half)
        distance[border] = -half
        points = np.argwhere(border) * spacing
        angle = np.arctan2(*(points - points.mean(0)).T)
        order = np.argsort(angle, kind="stable")
        chosen = points[order[np.linspace(0, len(order), knots, endpoint=False).astype(int)]]
        apart = np.linalg.norm(np.roll(chosen, 1, 0) - chosen, axis=1).mean() + half
        weights = np.exp(-0.5 * (np.linalg.norm(points[:, None] - chosen, axis=2) / apart) ** 2) + 1e-12
        along = np.zeros(mask.shape, dtype=np.float32)
        along[border] = weights @ draws / np.sqrt((weights**2).sum(1))
        offset[...] = along[tuple(nearest)]
    return lambda offset_mm: np.where(offset_mm == 0, canvas.mask, signed <= offset_mm * offsets)


def markov_walk(canvas: Canvas, *, growth: float, flip: float, axis: int, seed: int) -> Outline:
    """A random walk of the border: in each of ``steps`` steps the structure grows with chance ``growth`` and shrinks
    otherwise, each voxel along its border within the slice with chance ``flip``.

    After "Learning to segment from noisy annotations: a spatial correction approach" (Yao et al., ICLR 2023). A part of
    a step takes that part of the step's voxels, so that ``steps`` need not be whole.
    """
    first, second = canvas.plane_axes(axis)
    states = {0: np.packbits(canvas.mask)}
    size, shape = canvas.mask.size, canvas.mask.shape

    def stepped(before: np.ndarray, step: int, part: float) -> np.ndarray:
        generator = np.random.default_rng([seed, step])
        grows = generator.random() < growth
        inside = before if grows else ~before
        neighbour = np.zeros_like(before)
        for a in (first, second):
            low, high = [slice(None)] * before.ndim, [slice(None)] * before.ndim
            low[a], high[a] = slice(None, -1), slice(1, None)
            neighbour[tuple(high)] |= inside[tuple(low)]
            neighbour[tuple(low)] |= inside[tuple(high)]
            if not grows:
                for end in (0, -1):
                    edge = [slice(None)] * before.ndim
                    edge[a] = slice(end, None) if end else slice(0, 1)
                    neighbour[tuple(edge)] = True
        border = np.flatnonzero(neighbour & ~inside & ~canvas.others)
        out = before.copy()
        out.ravel()[border[generator.random(len(border)) < flip * part]] = grows
        return out

    def outline(steps: float) -> np.ndarray:
        whole = int(steps)
        start = max(k for k in states if k <= whole)
        state = np.unpackbits(states[start], count=size).astype(bool).reshape(shape)
        for step in range(start, whole):
            state = stepped(state, step, 1.0)
            if (step + 1) % 16 == 0:
                states[step + 1] = np.packbits(state)
        return stepped(state, whole, steps - whole) if steps > whole else state

    return outline


def polygon(canvas: Canvas, *, axis: int) -> Outline:
    """Replace each slice's contours by polygons that keep within ``tolerance_mm`` of them, down to a triangle.

    By the Douglas-Peucker algorithm of scikit-image, which this model alone needs.
    """
    spacing = np.array(canvas.plane_spacing(axis))
    planes = canvas.planes(canvas.mask, axis)
    contours = [
        list(find_contours(np.pad(plane, 1).astype(np.float32), 0.5)) if plane.any() else [] for plane in planes
    ]

    def outline(tolerance_mm: float) -> np.ndarray:
        out = np.zeros_like(canvas.mask)
        for plane, curves in zip(canvas.planes(out, axis), contours, strict=True):
            padded = np.zeros([n + 2 for n in plane.shape], dtype=bool)
            for curve in curves:
                corners, tolerance = approximate_polygon(curve * spacing, tolerance_mm), tolerance_mm
                while len(corners) < 4 <= len(curve):  # closed: the first corner comes twice
                    tolerance /= 2
                    corners = approximate_polygon(curve * spacing, tolerance)
                # holes cancel what lies in them
                padded[fill_polygon(*(corners / spacing).T, shape=padded.shape)] ^= True
            plane[...] = padded[1:-1, 1:-1]
        return out

    return lambda tolerance_mm: outline(tolerance_mm) if tolerance_mm > 0 else canvas.mask.copy()


def smoothing(canvas: Canvas, *, axis: int) -> Outline:
    """Smooth each slice's mask by a Gaussian of standard deviation ``sigma_mm`` and keep what stays at 0.5 or above.

    Corners are cut, thin parts vanish.
    """
    axes = canvas.plane_axes(axis)

    def outline(sigma_mm: float) -> np.ndarray:
        sigma = [sigma_mm / canvas.spacing[a] for a in axes]
        if any(width > canvas.mask.shape[a] for width, a in zip(sigma, axes, strict=True)):
            return np.zeros_like(canvas.mask)  # 0.4 is left at most, of a mask that is narrower than the Gaussian
        padding = [(int(3 * sigma_mm / s) + 1,) * 2 if a in axes else (0, 0) for a, s in enumerate(canvas.spacing)]
        blurred = np.pad(canvas.mask, padding).astype(np.float32)
        blurred = ndimage.gaussian_filter(blurred, sigma, mode="constant", truncate=3.0, axes=axes)
        return (
            blurred[tuple(slice(low, n - high) for (low, high), n in zip(padding, blurred.shape, strict=True))] >= 0.5
        )

    return lambda sigma_mm: outline(sigma_mm) if sigma_mm > 0 else canvas.mask.copy()
