"""How sure a segmentation may have been that does not say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.special import expit

__all__ = ["BORDER", "border_probabilities"]

BORDER = 0.5
"""Scale of the doubt about a segmentation's border, in sides of a voxel; see :func:`border_probabilities`."""

_REACH = 5
"""Voxels from a border at which that doubt is nothing: under 1e-4."""


def border_probabilities(segmentation: np.ndarray, n_classes: int, spacing: Sequence[float]) -> np.ndarray:
    r"""Class probabilities that a segmentation may have come from: sure inside, unsure within a voxel of its borders.

    A segmentation does not say how sure its network was. Taken at its word, a hard case would count as a surprise as
    much as a wrong label. What is assumed instead is the least that any segmentation is unsure of: the probability of a
    class is logistic in the distance :math:`d` to its border, :math:`1 / (1 + e^{-d / s})` with a scale :math:`s` of
    half a voxel (:data:`BORDER`), so 0.73 in the outermost voxels, 0.95 in the next. Small and thin structures are thus
    expected to agree less than large ones.

    Args:
        segmentation: index map of 2 or 3 axes.
        n_classes: ``C``, background included.
        spacing: voxel size in mm, one number an axis; distances are counted in the smallest of them.

    Returns:
        ``(C, *spatial)`` float32, summing to 1; the most probable class is that of the segmentation.
    """
    sampling = np.asarray(spacing, dtype=np.float64) / min(spacing)
    out = np.zeros((n_classes, *segmentation.shape), dtype=np.float32)
    for k in range(1, n_classes):
        _add_logistic(segmentation == k, sampling, out[k])
    _add_logistic(segmentation > 0, sampling, out[0])
    out[0] = 1 - out[0]
    out /= out.sum(0)
    return out


def _add_logistic(mask: np.ndarray, sampling: np.ndarray, out: np.ndarray) -> None:
    """Write the probability of being in the mask to ``out``, which is 0."""
    found = ndimage.find_objects(mask.astype(np.uint8))
    if not found:
        return
    box = tuple(
        slice(max(0, part.start - reach), part.stop + reach)
        for part, reach in zip(found[0], np.ceil(_REACH / sampling).astype(int), strict=True)
    )
    inside = mask[box]
    if inside.all():
        out[box] = 1
        return
    # The border runs half a voxel from the middle of the outermost ones.
    distance = np.where(
        inside,
        ndimage.distance_transform_edt(inside, sampling) - 0.5,
        0.5 - ndimage.distance_transform_edt(~inside, sampling),
    )
    out[box] = expit(distance / BORDER)
