"""A prediction, condensed: what evidence, cleanser and store need of class probabilities, in one sweep over them.

Class probabilities are by far the largest thing that a case has: a hundred volumes of floats. What is needed of them is
two volumes and a few numbers a class. So they are read once, in blocks that fit the processor's cache, and whatever
they come from, an array, a file or a segmentation, comes to the same :class:`Prediction`. A block in which a class can
neither be the most probable one nor counts as doubt costs no more than a look at its largest value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import DTypeLike

__all__ = ["MIN_PROBABILITY", "ClassProbabilities", "Predicted", "Prediction", "Sweep", "condensed", "mass_by_slice"]

MIN_PROBABILITY = 0.05
"""Smallest probability that counts as doubt: in a large volume the little that softmax leaves everywhere adds up."""

_BLOCK = 1 << 16
"""Voxels of a block: with what is worked out of them they take a megabyte."""

_SUM_TO = 0.01
"""What may be missing of a voxel's sum of probabilities, where many small ones are not looked at."""

_TOLERANCE = 1e-3
"""How far probabilities may be out of [0, 1]."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is known of a case's class probabilities, ``C`` classes.

    Attributes:
        predicted: the most probable class, of equal ones the first; shape ``spatial``, uint8 (uint16 of more than 256
            classes).
        confidence: its probability, same shape, float32 (float64 where the probabilities are).
        peak: each class's highest probability, ``(C,)``, float64.
        mass: each structure's sum of the probabilities from :data:`MIN_PROBABILITY` on, by slice along the last axis,
            ``(C, slices)``, float64; background has 0.
    """

    predicted: np.ndarray
    confidence: np.ndarray
    peak: np.ndarray
    mass: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, *spatial)``."""
        return (len(self.peak), *self.predicted.shape)


class ClassProbabilities(Protocol):
    """Class probabilities that are not an array: they say themselves what they come to."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(C, *spatial)``."""
        ...

    def condensed(self, unannotated: Collection[int] = ()) -> Prediction:
        """See :func:`condensed`."""
        ...


Predicted: TypeAlias = "np.ndarray | ClassProbabilities | Prediction"
"""Class probabilities in any form."""


def condensed(probabilities: Predicted, unannotated: Collection[int] = ()) -> Prediction:
    """What class probabilities come to.

    Args:
        probabilities: shape ``(C, *spatial)``, class ``k`` at index ``k``, in any layout in memory and best in C's. A
            :class:`Prediction` is returned as it is.
        unannotated: structures that become background: their probability is 0, and their sum is added to its own.

    Raises:
        ValueError: probabilities are not in [0, 1] (to within 1e-3), or there are none.
    """
    if isinstance(probabilities, Prediction):
        return probabilities
    if not isinstance(probabilities, np.ndarray):
        return probabilities.condensed(unannotated)
    if probabilities.ndim < 2 or not probabilities.size:
        raise ValueError(f"class probabilities must have the shape (classes, *spatial), got {probabilities.shape}")
    sweep = Sweep(probabilities.shape, np.result_type(probabilities.dtype, np.float32))
    if unannotated or not probabilities.flags.c_contiguous:
        return sweep.over_classes(probabilities, unannotated)
    flat = probabilities.reshape(len(probabilities), -1)
    for block in range(len(sweep.blocks)):
        for k, values in enumerate(flat[:, sweep.blocks[block]]):
            sweep.add(k, block, values)
    return sweep.end()


class Sweep:
    """Takes class probabilities block by block, the blocks and the classes in any order, and condenses them.

    Args:
        shape: ``(C, *spatial)``.
        dtype: of the confidence, float32 or float64.
        slices_first: whether slices run along the first spatial axis, as in files of nnU-Net, instead of the last.
        sums: whether :attr:`off_one` is wanted.

    Attributes:
        blocks: the parts of a flat volume.
    """

    def __init__(
        self, shape: Sequence[int], dtype: DTypeLike = np.float32, slices_first: bool = False, sums: bool = False
    ) -> None:
        n_classes, *self._spatial = shape
        size, self._slices_first = int(np.prod(self._spatial)), slices_first
        n_slices = self._spatial[0 if slices_first else -1]
        self._width = size // n_slices if slices_first else n_slices  # of a plane, or of a row through all slices
        if slices_first:
            starts = [a + b for a in range(0, size, self._width) for b in range(0, self._width, _BLOCK)]
        else:
            starts = list(range(0, size, max(1, _BLOCK // n_slices) * n_slices))
        self.blocks = [slice(*ends) for ends in pairwise([*starts, size])]
        self._predicted = np.empty(size, np.min_scalar_type(n_classes - 1))
        self._confidence = np.empty(size, dtype)
        self._floor = [-math.inf] * len(self.blocks)  # lowest confidence of each block
        self._peak = [-math.inf] * n_classes
        self._mass = np.zeros((n_classes, n_slices))
        self._sum = np.zeros(size, np.float32) if sums else None
        self._negligible = _SUM_TO / n_classes
        longest = max(block.stop - block.start for block in self.blocks)
        self._higher, self._class = np.empty(longest, bool), np.empty(longest, self._predicted.dtype)

    def add(self, k: int, block: int, values: np.ndarray, before_others: bool = False) -> None:
        """Take a class's probabilities in a block.

        Args:
            k: the class.
            block: index into :attr:`blocks`.
            values: flat and contiguous, of any float type.
            before_others: whether the class goes first among equally probable ones that are there already.

        Raises:
            ValueError: probabilities are not in [0, 1].
        """
        if values.dtype not in _WHOLE:
            values = values.astype(self._confidence.dtype)
        highest = _highest(values)
        self._peak[k] = max(self._peak[k], highest)
        leads = highest > self._floor[block] or (before_others and highest == self._floor[block])
        counts = k > 0 and highest >= MIN_PROBABILITY
        adds = self._sum is not None and not before_others and highest >= self._negligible
        if not (leads or counts or adds):
            return
        if values.dtype != self._confidence.dtype:
            values = torch.from_numpy(values).to(_TORCH[self._confidence.dtype]).numpy()
        if adds:
            self._sum[self.blocks[block]] += values  # type: ignore[index]
        if leads:
            self._lead(k, block, values, before_others)
        if counts:
            self._count(k, block, values)

    def _lead(self, k: int, block: int, values: np.ndarray, before_others: bool) -> None:
        """Put the class where it is the most probable one."""
        part = self.blocks[block]
        best, predicted = self._confidence[part], self._predicted[part]
        if self._floor[block] == -math.inf:
            best[:], predicted[:] = values, k
        else:
            higher, own = self._higher[: len(values)], self._class[: len(values)]
            (np.greater_equal if before_others else np.greater)(values, best, out=higher)
            if before_others:
                predicted[higher] = k
            else:  # classes ascend, so the highest of the two is the later one
                np.multiply(higher.view(np.uint8), own.dtype.type(k), out=own)
                np.maximum(predicted, own, out=predicted)
            np.maximum(best, values, out=best)
        self._floor[block] = float(best.min())

    def _count(self, k: int, block: int, values: np.ndarray) -> None:
        """Add what counts as doubt to the class's mass."""
        part = self.blocks[block]
        by_slice = mass_by_slice(values.reshape(-1, 1 if self._slices_first else self._width))
        if self._slices_first:
            self._mass[k, part.start // self._width] += by_slice[0]
        else:
            self._mass[k] += by_slice

    def over_blocks(self, read_into: Callable[[np.ndarray], object], dtype: DTypeLike) -> Prediction:
        """Take the blocks of one class after another, from background on, and condense them.

        Args:
            read_into: fills an array with the values that come next.
            dtype: theirs; any float type.

        Raises:
            ValueError: probabilities are not in [0, 1].
        """
        values = np.empty(max(block.stop - block.start for block in self.blocks), dtype)
        for k in range(len(self._peak)):
            for block, part in enumerate(self.blocks):
                some = values[: part.stop - part.start]
                read_into(some)
                self.add(k, block, some)
        return self.end()

    def over_classes(self, classes: Iterable[np.ndarray], unannotated: Collection[int] = ()) -> Prediction:
        """Take whole classes one after another, from background on, and condense them.

        Args:
            classes: their probabilities, each of shape ``spatial``; two or three are in memory at a time.
            unannotated: see :func:`condensed`.
        """
        background = others = None
        for k, values in enumerate(classes):
            flat = np.ascontiguousarray(values).reshape(-1)
            if not unannotated or (k > 0 and k not in unannotated):
                self._add_class(k, flat)
                continue
            for part in self.blocks:
                _highest(flat[part])
            wide = flat.astype(self._confidence.dtype)
            if self._sum is not None:
                self._sum += wide
            if k == 0:
                background = wide
            else:
                others, self._peak[k] = wide if others is None else np.add(others, wide, out=others), 0.0
        if background is not None:
            if others is not None:  # each is a probability, and their sum may be a little over 1
                np.minimum(np.add(background, others, out=background), 1, out=background)
            self._add_class(0, background, True)
        return self.end()

    def _add_class(self, k: int, flat: np.ndarray, before_others: bool = False) -> None:
        for block, part in enumerate(self.blocks):
            self.add(k, block, flat[part], before_others)

    @property
    def off_one(self) -> float:
        """How far the sum of a voxel's probabilities is off 1, at most; to within :data:`_SUM_TO`."""
        assert self._sum is not None
        return max(abs(float(self._sum.max()) - 1), abs(float(self._sum.min()) - 1))

    def end(self) -> Prediction:
        """What it all comes to, once every class has been taken in every block."""
        predicted, confidence = (volume.reshape(self._spatial) for volume in (self._predicted, self._confidence))
        return Prediction(predicted, confidence, np.array(self._peak), self._mass)


def mass_by_slice(probabilities: np.ndarray) -> np.ndarray:
    """Sum of the probabilities that count as doubt, by slice along the last axis: ``(slices,)``, float64.

    Args:
        probabilities: contiguous and no larger than the cache, of one axis or more.
    """
    rows = probabilities.reshape(-1, probabilities.shape[-1])
    if not rows.flags.writeable:
        rows = rows.copy()  # which torch wants
    kept = torch.hardshrink(torch.from_numpy(rows), float(_BELOW[rows.dtype]))
    return np.ones(len(rows)) @ kept.numpy().astype(np.float64)


def _highest(values: np.ndarray) -> float:
    """The highest of some probabilities.

    Read as whole numbers, floats of one sign are in the same order, and NaN and those of the other sign lie above: so
    one look finds all that is out of range.

    Raises:
        ValueError: some are not in [0, 1].
    """
    if (whole := _WHOLE.get(values.dtype)) is not None:
        highest = values.view(whole).max()
        if highest <= _LIMIT[values.dtype]:
            return float(highest.view(values.dtype))
    lowest, highest = values.min(), values.max()
    if not (lowest >= -_TOLERANCE and highest <= 1 + _TOLERANCE):  # NaN fails this, too
        if np.isnan(lowest):
            raise ValueError("the prediction holds NaN: look at the network's weights, and at the image")
        raise ValueError(
            f"the prediction must hold class probabilities in [0, 1], found {lowest:.6g} to {highest:.6g}: add "
            "monai.transforms.Activationsd(keys='pred', softmax=True) to the evaluator's postprocessing"
        )
    return float(highest)


_WHOLE = {np.dtype(f"f{n}"): np.dtype(f"u{n}") for n in (2, 4, 8)}
_LIMIT = {kind: np.array(1 + _TOLERANCE, kind).view(whole)[()] for kind, whole in _WHOLE.items()}
_TORCH: dict[Any, torch.dtype] = {np.dtype(np.float32): torch.float32, np.dtype(np.float64): torch.float64}
_BELOW = {kind: np.nextafter(np.array(MIN_PROBABILITY, kind), np.array(0, kind)) for kind in _TORCH}
"""The largest number of each type that is too small to count as doubt."""
