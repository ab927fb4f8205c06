"""How sure a segmentation may have been that does not say so."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from nibabel.affines import voxel_sizes
from scipy import ndimage
from scipy.special import expit

from .masks import Box

__all__ = ["BORDER_SCALE", "BorderProbabilities", "stand_in"]

BORDER_SCALE = 0.5
"""Scale of the doubt about a segmentation's border, in sides of a voxel; see :class:`BorderProbabilities`."""

_REACH = 5
"""Voxels from a border at which that doubt is nothing: under 1e-4."""

_KEPT_VOLUMES = 4
"""Classes are kept once they are computed, as long as they fill no more than this many volumes."""


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
        self._segmentation = segmentation
        self._sampling = np.asarray(spacing, dtype=np.float64) / min(spacing)
        self._hidden: frozenset[int] = frozenset()
        found = ndimage.find_objects(segmentation, n_classes - 1) if n_classes > 1 else []
        sides = segmentation.shape
        self._boxes: list[Box | None] = [None, *(None if box is None else self._widened(box, sides) for box in found)]
        self._kept: dict[int, np.ndarray] = {}
        self._background = 1 - self._logistic(segmentation > 0)
        self._total = self._background.copy()
        room = _KEPT_VOLUMES * segmentation.size
        for k, box in enumerate(self._boxes):
            if box is not None:
                part = self._logistic(segmentation[box] == k)
                self._total[box] += part
                if part.size <= room:
                    self._kept[k], room = part, room - part.size

    def __len__(self) -> int:
        return self.shape[0]

    def part(self, k: int) -> tuple[Box, np.ndarray] | None:
        """Where a structure's probability is not 0, and its values there, float32; None for nowhere."""
        box = self._boxes[k]
        if box is None or k in self._hidden:
            return None
        values = self._kept.get(k)
        if values is None:
            values = self._logistic(self._segmentation[box] == k)
        return box, values / self._total[box]

    def argmax(self, axis: int = 0) -> np.ndarray:
        """The most probable class: the segmentation, without what :meth:`without` has hidden."""
        if not self._hidden:
            return self._segmentation
        return np.where(np.isin(self._segmentation, list(self._hidden)), 0, self._segmentation)

    def without(self, classes: Collection[int]) -> BorderProbabilities:
        """The same probabilities, in which some structures are background."""
        out = object.__new__(BorderProbabilities)
        out.__dict__ = self.__dict__ | {"_hidden": self._hidden | frozenset(classes)}
        return out

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        """All of them as one array ``(C, *spatial)``, float32."""
        out = np.zeros(self.shape, dtype=np.float32)
        for k in range(1, len(self)):
            if (found := self.part(k)) is not None:
                out[k][found[0]] = found[1]
        out[0] = 1 - out[1:].sum(0) if self._hidden else self._background / self._total
        return out if dtype is None else out.astype(dtype)

    def _widened(self, box: Box, sides: tuple[int, ...]) -> Box:
        """The box and what lies within reach of it, in an array of these sides."""
        reach = np.ceil(_REACH / self._sampling).astype(int)
        return tuple(
            slice(max(0, part.start - n), min(side, part.stop + n))
            for part, n, side in zip(box, reach, sides, strict=True)
        )

    def _logistic(self, mask: np.ndarray) -> np.ndarray:
        """Probability of being in a mask, float32, with nothing said of the others; 0 far from it."""
        out = np.zeros(mask.shape, dtype=np.float32)
        found = ndimage.find_objects(mask.astype(np.uint8))
        if not found:
            return out
        box = self._widened(found[0], mask.shape)
        inside = mask[box]
        if inside.all():
            out[box] = 1
            return out
        # The border runs half a voxel from the middle of the outermost ones.
        distance = np.where(
            inside,
            ndimage.distance_transform_edt(inside, self._sampling) - 0.5,
            0.5 - ndimage.distance_transform_edt(~inside, self._sampling),
        )
        out[box] = expit(distance / BORDER_SCALE)
        return out


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
    return probabilities, np.ones(segmentation.shape, dtype=np.float32)
