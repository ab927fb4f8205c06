"""A judged case on the grid of its label's own file: where its user looks at it, and where labels are written.

Also what all pictures of slices share: how they are turned, and their grey levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from ..core.case_id import case_of, images_of
from ..core.masks import Box, box_around, dice, structure_boxes
from .grid import same_grid, turn_onto
from .image_file import ImageFile, open_image
from .label_file import GivenLabel, label_of
from .seen import Redrawing, SeenCase

__all__ = ["CaseView", "ScreenTurn", "grey_levels", "lies_at", "position_of", "read_channel", "view_case"]

_SAME_LABEL, _LARGE_ENOUGH = 0.9, 50
"""Dice from which on a file's label, brought to the grid of its network, is the one that was seen there, if that has so
many voxels; a speck may be lost on the way. Labels in their place have 1.0 (benchmarks/LOG.md)."""


@dataclass(frozen=True, eq=False)
class CaseView:
    """One case with what was given, predicted and made of it.

    All arrays are of the label file's shape (2 or 3 axes); slices are counted along its last axis, from 0.

    Attributes:
        data: the case's dictionary (:mod:`monai_selfcleanse.cases.case`).
        label: the given label with its file.
        seen: given label and prediction on the label's grid. Outside of what the network has seen the prediction is
            background, with confidence 0. The affine is the label's, or the image's where the label says no position.
        redrawn: the structures that the cleansed label has redrawn.
    """

    data: Mapping[str, Any]
    label: GivenLabel
    seen: SeenCase
    redrawn: tuple[int, ...]

    @property
    def case(self) -> str:
        """The case's id."""
        return case_of(self.data)

    @property
    def given(self) -> np.ndarray:
        """The given label, an index map."""
        return self.seen.given

    @property
    def predicted(self) -> np.ndarray:
        """The most probable class."""
        return self.seen.predicted

    @property
    def confidence(self) -> np.ndarray:
        """Its probability in [0, 1], float32."""
        return self.seen.confidence

    @property
    def affine(self) -> np.ndarray:
        """Voxel to world, ``(4, 4)``."""
        return self.seen.affine

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size in mm, one number an axis of the label."""
        return nib.affines.voxel_sizes(self.affine)[: self.given.ndim]

    @cached_property
    def cleansed(self) -> np.ndarray:
        """The cleansed label."""
        out = self.given.copy()
        if (box := self.box_of(self.redrawn)) is not None:  # outside of which nothing changes
            out[box] = self.seen.part(box).cleansed(self.redrawn)[0]
        return out

    def box_of(self, structures: Sequence[int]) -> Box | None:
        """Smallest box around what given label, prediction and drawing have of some structures; None if they have
        nothing."""
        redrawn_by = self.seen.redrawn_by
        volumes = [self.given, self.predicted, *([] if redrawn_by is None else [redrawn_by.index])]
        boxes = (structure_boxes(index, structures) for index in volumes)
        return reduce(box_around, (box for found in boxes for box in found.values()), None)

    def read_image(self) -> np.ndarray:
        """The first channel of the image, turned to lie as the label, of its shape.

        Raises:
            ValueError: the file cannot be read, or lies on another grid.
        """
        return read_channel(self.data, self.label.file, self.given.ndim)


def read_channel(data: Mapping[str, Any], label: ImageFile, ndim: int, channel: int = 0) -> np.ndarray:
    """One channel of a case's image, turned to lie as the label.

    Args:
        data: the case's dictionary, whose image is one file with all channels along its last axis, or a file a channel.
        label: the label's file.
        ndim: number of the label's spatial axes, 2 or 3.
        channel: which, from 0.

    Returns:
        An array of the label's shape, of the file's own intensities.

    Raises:
        ValueError: the file cannot be read, or lies on another grid.
        IndexError: there is no such channel.
    """
    paths = images_of(data)
    path, index = (paths[channel], 0) if len(paths) > 1 else (paths[0], channel)
    file = open_image(path)
    turn = turn_onto(file, label, ndim)
    return turn(file.stack(ndim)[..., index], ndim)


def view_case(data: Mapping[str, Any], seen: SeenCase, redrawn: Sequence[int] = ()) -> CaseView:
    """Read a case's given label, and bring the prediction onto its grid.

    Args:
        data: the case's dictionary, with paths.
        seen: what the network saw, on the network's grid.
        redrawn: the structures that the cleansed label has redrawn.
    """
    label = label_of(data)
    affine = position_of(data, label)
    here = _on_grid(_at_its_place(seen, label, affine), label.index, affine)
    return CaseView(data, label, here, tuple(redrawn))


def position_of(data: Mapping[str, Any], label: GivenLabel) -> np.ndarray:
    """Affine of a case's label; where the label says no position and the image does, the image's.

    Args:
        data: the case's dictionary.
        label: its given label.
    """
    return lies_at(data, label.file, label.index.ndim)


def lies_at(data: Mapping[str, Any], file: ImageFile, ndim: int) -> np.ndarray:
    """What :func:`position_of` says, from headers alone.

    Args:
        data: the case's dictionary.
        file: its label's file.
        ndim: number of the label's spatial axes.
    """
    if file.has_position or "image" not in data:
        return file.affine
    for path in images_of(data):
        try:
            image = open_image(path)
            turn_onto(image, file, ndim)
        except ValueError:  # said where the image is wanted
            continue
        if image.has_position:
            return image.affine
    return file.affine


def _at_its_place(seen: SeenCase, label: GivenLabel, affine: np.ndarray) -> SeenCase:
    """What was seen, with the affine by which its given label is that of the file.

    A file that says no position gets one from whoever loads it: from the case's image by
    :class:`monai_selfcleanse.transforms.LoadCased`, a made-up one by other transforms. The given label tells.

    Raises:
        ValueError: the label was seen elsewhere than its file lies; the message names the file.
    """
    whole = (*label.index.shape, 1)[: seen.given.ndim]
    if label.file.has_position or not label.index.any() or same_grid(seen.affine, affine, whole):
        return seen
    found = _Mover(seen.affine, affine, whole).classes(seen.given).reshape(label.index.shape)
    if seen.given.shape == whole and np.array_equal(seen.given.reshape(label.index.shape), label.index):
        return seen if np.array_equal(found, label.index) else replace(seen, affine=affine)
    as_seen = _Mover(affine, seen.affine, seen.given.shape, "nearest")(label.index.reshape(whole))
    if np.count_nonzero(seen.given) < _LARGE_ENOUGH or dice(as_seen > 0, seen.given > 0) >= _SAME_LABEL:
        return seen
    raise ValueError(
        f"{label.file.path}: says no position, and was loaded with another one than its image's; load cases with "
        "monai_selfcleanse.transforms.LoadCased, or give the label its image's position"
    )


def _on_grid(seen: SeenCase, given: np.ndarray, affine: np.ndarray) -> SeenCase:
    """What was seen, on the grid of a given label; outside the seen volume, background with confidence 0.

    An image may have two axes in its file, and a third of length 1 before the network.
    """
    whole = (*given.shape, 1)[: seen.given.ndim]
    is_there = seen.given.shape == whole and same_grid(seen.affine, affine, whole)
    mover = None if is_there else _Mover(seen.affine, affine, whole)

    def moved(drawing: Redrawing) -> Redrawing:
        index = drawing.index if mover is None else mover.classes(drawing.index)
        confidence = drawing.confidence if mover is None else mover(drawing.confidence)
        return replace(drawing, index=index.reshape(given.shape), confidence=confidence.reshape(given.shape))

    prediction = moved(Redrawing(seen.predicted, seen.confidence))
    redrawn_by = None if seen.redrawn_by is None else moved(seen.redrawn_by)
    return SeenCase(given, prediction.index, prediction.confidence, affine, seen.min_confidence, redrawn_by)


class _Mover:
    """Brings a volume onto another grid, by linear interpolation (or ``mode``, of MONAI's ``SpatialResample``); 0
    outside."""

    def __init__(self, affine: np.ndarray, target: np.ndarray, shape: tuple[int, ...], mode: str = "bilinear") -> None:
        self.affine, self.target, self.shape = torch.as_tensor(affine), torch.as_tensor(target), shape
        self.resample = SpatialResample(mode=mode, padding_mode="zeros")

    def __call__(self, volume: np.ndarray) -> np.ndarray:
        moved = MetaTensor(torch.as_tensor(volume)[None].float(), affine=self.affine)
        return self.resample(moved, self.target, self.shape).numpy()[0]

    def classes(self, index: np.ndarray) -> np.ndarray:
        """The class with the largest share of each voxel, of an index map."""
        out, highest = np.zeros(self.shape, dtype=index.dtype), self(index == 0)
        for k in np.unique(index[index > 0]):  # one by one: a hundred volumes would not fit
            share = self(index == k)
            out[share > highest] = k
            np.maximum(highest, share, out=highest)
        return out


_OPPOSITE = dict(zip("LRAPSI", "RLPAIS", strict=True))


class ScreenTurn:
    """From a slice ``(axis 0, axis 1)`` to rows and columns of a screen, as viewers of medical images show it.

    Columns run to the patient's left, in sagittal slices to posterior; rows run to posterior, else to inferior. Oblique
    slices are turned by their nearest axes.

    Args:
        affine: of the volume, voxel to world (RAS, mm), ``(4, 4)``.

    Attributes:
        spacing: distance of two rows and of two columns in mm.
        edges: what lies beyond the left and the top edge, as letters (R, L, A, P, S, I).
    """

    _COLUMNS, _ROWS = ("L", "P"), ("P", "I")

    def __init__(self, affine: np.ndarray) -> None:
        codes, spacing = nib.aff2axcodes(affine)[:2], nib.affines.voxel_sizes(affine)
        self.transpose = codes[0] in ("L", "R") or (codes[0] in ("A", "P") and codes[1] in ("S", "I"))
        row, column = (codes[1], codes[0]) if self.transpose else codes
        self.flip = tuple(
            slice(None, None, 1 if code in wanted else -1)
            for code, wanted in ((row, self._ROWS), (column, self._COLUMNS))
        )
        self.spacing = (spacing[1], spacing[0]) if self.transpose else (spacing[0], spacing[1])
        to_right, to_bottom = (
            code if code in wanted else _OPPOSITE[code] for code, wanted in ((column, self._COLUMNS), (row, self._ROWS))
        )
        self.edges = (_OPPOSITE[to_right], _OPPOSITE[to_bottom])

    def __call__(self, plane: np.ndarray) -> np.ndarray:
        """Turn an array ``(axis 0, axis 1)``."""
        return (plane.T if self.transpose else plane)[self.flip]


def grey_levels(image: np.ndarray) -> np.ndarray:
    """Intensities as uint8, of the same shape: the 0.5th percentile is black, the 99.5th white, NaN black."""
    low, high = np.nanpercentile(image, [0.5, 99.5])
    scaled = np.nan_to_num((image - low) / max(float(high - low), 1e-12), nan=0.0)
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)
