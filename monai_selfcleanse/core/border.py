"""How sure a segmentation may have been that does not say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import reduce
from itertools import product

import numpy as np
from nibabel.affines import voxel_sizes

from .masks import Box, box_around, structure_boxes, widened_box
from .prediction import Prediction, mass_by_slice

__all__ = ["BORDER_SCALE", "BorderProbabilities", "stand_in"]

BORDER_SCALE = 0.5
"""Scale of the doubt about a segmentation's border, in sides of a voxel; see :class:`BorderProbabilities`."""

_REACH = 5
"""Voxels from a structure at which that doubt is nothing: under 1e-4."""

_FARTHEST = 8.0
"""Distance from a border, in sides of a voxel, at which nothing more changes: the doubt is under 4e-7."""

_KEPT_VOLUMES = 1
"""Classes are kept once they are computed, as long as they fill no more than this many volumes."""

_TILE = (32, 32, 64)
"""Voxels of the parts in which distances are measured, so that they fit the processor's cache."""


class BorderProbabilities:
    r"""Class probabilities that a segmentation may have come from: sure inside, unsure within a voxel of its borders.

    A segmentation does not say how sure its network was. If it were taken at its word, a hard case would be as much of
    a surprise as a wrong label. So the least is assumed that any segmentation is unsure of, its borders. The
    probability of a class is logistic in the distance :math:`d` to its border: :math:`1 / (1 + e^{-d / s})`, with a
    scale :math:`s` of half a voxel (:data:`BORDER_SCALE`). It is 0.73 in the outermost voxels and 0.95 in the next.
    Thus small and thin structures are expected to agree less than large ones.

    The probabilities add up to 1, and the most probable class is that of the segmentation. Each class is computed by
    itself, in the part of the volume where it is not 0. So a hundred structures take the memory of a few volumes.

    Args:
        segmentation: index map of 2 or 3 axes.
        n_classes: ``C``, background included.
        spacing: voxel size in mm, one number an axis; distances are counted in the smallest of them.

    Attributes:
        shape: ``(C, *spatial)``.
    """

    def __init__(self, segmentation: np.ndarray, n_classes: int, spacing: Sequence[float]) -> None:
        self.shape = (n_classes, *segmentation.shape)
        self._segmentation = np.ascontiguousarray(segmentation, dtype=np.min_scalar_type(n_classes - 1))
        self._sampling = np.asarray(spacing, dtype=np.float64) / min(spacing)
        self._boxes = structure_boxes(self._segmentation, range(1, n_classes))

    def condensed(self, unannotated: Collection[int] = ()) -> Prediction:
        """What they come to; see :func:`monai_selfcleanse.core.prediction.condensed`."""
        shown = [k for k in self._boxes if k not in unannotated]
        classes = np.zeros(self.shape[0], self._segmentation.dtype)
        classes[shown] = shown
        predicted = classes[self._segmentation]
        confidence, total, kept = self._unscaled()
        for k in set(self._boxes) - set(shown):
            box, values = kept.get(k) or self._share(k)
            confidence[box] += values
        confidence /= total
        peak, mass = np.zeros(self.shape[0]), np.zeros((self.shape[0], predicted.shape[-1]))
        peak[0] = confidence.max()
        for k in shown:
            box, values = kept.pop(k) if k in kept else self._share(k)
            values /= total[box]
            np.copyto(confidence[box], values, where=predicted[box] == k)
            peak[k], mass[k, box[-1]] = values.max(), sum(mass_by_slice(part) for part in values)
        return Prediction(predicted, confidence, peak, mass)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """All of them as one array ``(C, *spatial)``, float32."""
        out = np.zeros(self.shape, dtype=np.float32)
        out[0], total, _ = self._unscaled()
        for k in self._boxes:
            box, values = self._share(k)
            out[k][box] = values
        out /= total
        return out if dtype is None else out.astype(dtype)

    def _unscaled(self) -> tuple[np.ndarray, np.ndarray, dict[int, tuple[Box, np.ndarray]]]:
        """Probability of background, and the sum over all classes, before they are made to add up to 1.

        Those of some structures are returned as well, as :meth:`_share` does.
        """
        background = np.ones(self._segmentation.shape, dtype=np.float32)
        whole = reduce(box_around, self._boxes.values(), None)
        if whole is not None:
            box = self._widened(whole)
            background[box] -= _logistic(self._segmentation[box] > 0, self._sampling)
        total, kept, room = background.copy(), {}, _KEPT_VOLUMES * background.size
        for k in self._boxes:
            box, values = self._share(k)
            total[box] += values
            if values.size <= room:
                kept[k], room = (box, values), room - values.size
        return background, total, kept

    def _share(self, k: int) -> tuple[Box, np.ndarray]:
        """Where a structure's probability is not 0, and what it is there with nothing said of the others."""
        box = self._widened(self._boxes[k])
        return box, _logistic(self._segmentation[box] == k, self._sampling)

    def _widened(self, box: Box) -> Box:
        """The box and what lies within reach of it."""
        reach = np.ceil(_REACH / self._sampling).astype(int)
        return widened_box(box, reach.tolist(), self.shape[1:])


def _logistic(mask: np.ndarray, sampling: np.ndarray) -> np.ndarray:
    """Probability of being in a mask, float32: 0 or 1 far from its border.

    Args:
        mask: boolean.
        sampling: size of a voxel along each axis, in those of the smallest.
    """
    out = np.zeros(mask.shape, dtype=np.float32)
    halo = [int(_FARTHEST / side) for side in sampling]
    for start in product(*(range(0, side, step) for side, step in zip(mask.shape, _TILE, strict=False))):
        inner = tuple(slice(a, min(a + n, side)) for a, n, side in zip(start, _TILE, mask.shape, strict=False))
        around = tuple(slice(max(0, part.start - n), part.stop + n) for part, n in zip(inner, halo, strict=True))
        near = mask[around]
        if near.all():
            out[inner] = 1
        elif near.any():
            beyond = [
                (n - (i.start - a.start), n - (min(a.stop, side) - i.stop))
                for i, a, n, side in zip(inner, around, halo, mask.shape, strict=True)
            ]
            to_outside, to_mask = (_distance(np.pad(m, beyond), halo, sampling) for m in (~near, near))
            # The border runs half a voxel from the middle of the outermost ones.
            inward = np.where(mask[inner], to_outside - np.float32(0.5), np.float32(0.5) - to_mask)
            out[inner] = 1 / (1 + np.exp(inward / np.float32(-BORDER_SCALE)))
    return out


def _distance(mask: np.ndarray, halo: Sequence[int], sampling: np.ndarray) -> np.ndarray:
    """Distance to the nearest voxel of a mask, float32, exact up to :data:`_FARTHEST` and at most that.

    The squares of the distances along the axes add up: so the nearest is looked for along one axis after the other.

    Args:
        mask: with what lies around the voxels that are asked for.
        halo: how many voxels of these there are along each axis, on either side.
        sampling: size of a voxel along each axis.
    """
    nearest = np.where(mask, np.float32(0), np.float32(_FARTHEST**2))
    for axis, (reach, side) in enumerate(zip(halo, sampling, strict=True)):
        along = np.moveaxis(nearest, axis, 0)
        n_inner = len(along) - 2 * reach
        out = along[reach : reach + n_inner].copy()
        pair = np.empty_like(out)
        for n in range(1, reach + 1):
            np.minimum(along[reach - n :][:n_inner], along[reach + n :][:n_inner], out=pair)
            pair += np.float32((n * side) ** 2)
            np.minimum(out, pair, out=out)
        nearest = np.moveaxis(out, 0, axis)
    return np.sqrt(nearest)


def stand_in(segmentation: np.ndarray, n_classes: int, affine: np.ndarray) -> tuple[BorderProbabilities, np.ndarray]:
    """What stands in for class probabilities and confidence where there is a segmentation alone.

    Args:
        segmentation: index map of 2 or 3 axes.
        n_classes: background included.
        affine: voxel to world, ``(4, 4)``, mm.

    Returns:
        Probabilities to judge a label by, and a confidence of 1 everywhere, float32: what is redrawn takes the
        segmentation at its word.
    """
    probabilities = BorderProbabilities(segmentation, n_classes, voxel_sizes(affine)[: segmentation.ndim])
    return probabilities, np.broadcast_to(np.float32(1), segmentation.shape)
