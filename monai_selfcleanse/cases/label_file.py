"""A label's file: reading it as an index map, and writing one on its grid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.index_map import read_index_map, to_indices, to_values
from .image_file import ImageFile, open_image

__all__ = ["GivenLabel", "label_of", "read_label", "save_index_map"]


@dataclass(frozen=True, eq=False)
class GivenLabel:
    """A label file and what it says.

    Attributes:
        index: its index map, of whole numbers of at least 0, 2 or 3 axes.
        form: ``"index map"``, ``"soft label"`` or ``"class probabilities"``.
        file: the file, for its grid and its header.
        values: the structures' values in the file, in the order of the index map; None where these are the same.
    """

    index: np.ndarray
    form: str
    file: ImageFile
    values: tuple[int, ...] | None = None

    @property
    def is_index_map(self) -> bool:
        """Whether the file holds an index map."""
        return self.form == "index map"


def read_label(path: str | os.PathLike, values: Sequence[int] | None = None, ndim: int | None = None) -> GivenLabel:
    """Read a label in any of the forms of :mod:`monai_selfcleanse.core.index_map`.

    Args:
        path: the file, in any format of :mod:`monai_selfcleanse.cases.image_file`. Class probabilities lie along one
            more axis, the last.
        values: the structures' values in the file, in order: the first becomes 1 in the index map, the second 2. None
            takes values as they are.
        ndim: number of spatial axes, 2 or 3; axes of length 1 come and go. None for the file's own.

    Raises:
        ValueError: it cannot be read, holds none of the forms, or other values; the message names the file, a value and
            what is accepted.
    """
    file = open_image(path)
    index, form = read_index_map(np.moveaxis(file.stack(ndim), -1, 0), str(path))
    if form == "class probabilities" and index.ndim == 2:
        raise ValueError(
            f"{path}: has several channels in 2-D, where class probabilities are not read; save the most probable "
            "class of each pixel"
        )
    if values is not None and form == "index map":
        index = to_indices(index, values, str(path))
    elif values is not None and (high := int(index.max(initial=0))) > len(values):
        raise ValueError(f"{path}: has the class {high}, but there are {len(values)} structures")
    return GivenLabel(index, form, file, None if values is None else tuple(values))


def label_of(case: Mapping[str, Any], ndim: int | None = None) -> GivenLabel:
    """Read a case's given label, in the structures' order where the case says their ``values``."""
    return read_label(case["label"], case.get("values"), ndim)


def save_index_map(index: np.ndarray, given: GivenLabel, path: str | os.PathLike) -> None:
    """Write an index map as a given label's file is: format, header, order of the voxels, the structures' values.

    Args:
        index: of ``given.index``'s shape.
        given: its file's data type is kept if it holds an index map. A soft label or class probabilities become an
            index map of 8 bits. Either gets more bits where the values want them.
        path: where to, atomically; folders are made.
    """
    voxels = index if given.values is None else to_values(index, given.values)
    dtype, highest = given.file.dtype if given.is_index_map else np.dtype(np.uint8), int(voxels.max(initial=0))
    if highest > _highest(dtype):
        dtype = np.promote_types(dtype, np.min_scalar_type(highest))
    given.file.write(voxels, path, dtype)


def _highest(dtype: np.dtype) -> float:
    """The highest whole number that a data type is taken to hold."""
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).max)
    return 1.0 if dtype.kind == "b" else float("inf")
