"""What is known of one case: its given label, the network's prediction, and by what its suspects are redrawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..core.cleansing import MIN_CONFIDENCE, cleanse_label, untrusted_voxels
from ..core.masks import Box

__all__ = ["Redrawing", "SeenCase"]

_LEAST_CONFIDENCE = 0.5 / 255
"""Between a confidence of 0 and the least that a most probable class can have."""


@dataclass(frozen=True, eq=False)
class Redrawing:
    """A most probable class in each voxel, by which suspects are redrawn.

    Attributes:
        index: index map of shape ``spatial``.
        confidence: the class's probability in [0, 1], same shape, float32; 0 where nothing was drawn.
        min_confidence: confidence from which on the drawing counts; if not given, it counts wherever something was
            drawn. So it is for one that was made with the given label at hand, which it has heeded already.
    """

    index: np.ndarray
    confidence: np.ndarray
    min_confidence: float = _LEAST_CONFIDENCE

    def part(self, box: Box) -> Redrawing:
        """The drawing within a box alone; it is not copied."""
        return Redrawing(self.index[box], self.confidence[box], self.min_confidence)


@dataclass(frozen=True, eq=False)
class SeenCase:
    """Label and prediction of one case, on one grid: the network's, as a look has seen it, or the label file's.

    Attributes:
        given: given label, index map of shape ``spatial``.
        predicted: most probable class, same shape.
        confidence: its probability in [0, 1], same shape, float32; a store keeps steps of 1/255.
        affine: voxel to world, ``(4, 4)``.
        min_confidence: the store's.
        redrawn_by: what suspects are redrawn by, same shape: drawn with the given label at hand
            (:class:`monai_selfcleanse.handlers.LabelRedrawer`), or the prediction without the network's size bias
            (:mod:`monai_selfcleanse.core.size_bias`); None where that is the prediction.
    """

    given: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    affine: np.ndarray
    min_confidence: float = MIN_CONFIDENCE
    redrawn_by: Redrawing | None = None

    @property
    def redrawing(self) -> Redrawing:
        """What suspects are redrawn by."""
        return self.redrawn_by or Redrawing(self.predicted, self.confidence, self.min_confidence)

    def cleansed(self, structures: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """The label with some structures redrawn, and how much its voxels may count in a training.

        See :func:`monai_selfcleanse.core.cleansing.cleanse_label`. Training, files, pictures and exports all take this
        way, so that they show one and the same label. Outside of what was drawn, where its confidence is 0, the given
        label stands.
        """
        redrawing = self.redrawing
        return cleanse_label(self.given, redrawing.index, redrawing.confidence, structures, redrawing.min_confidence)

    def part(self, box: Box) -> SeenCase:
        """Label and prediction within a box alone; they are not copied, and the affine stays the whole volume's."""
        whole = {name: getattr(self, name)[box] for name in ("given", "predicted", "confidence")}
        return replace(self, **whole, redrawn_by=self.redrawn_by and self.redrawn_by.part(box))

    def untrusted(self, structures: Sequence[int]) -> np.ndarray:
        """Where neither label nor prediction can be trusted about some structures that are redrawn.

        See :func:`monai_selfcleanse.core.cleansing.untrusted_voxels`.
        """
        redrawing = self.redrawing
        return untrusted_voxels(self.given, redrawing.index, redrawing.confidence, structures, self.min_confidence)
