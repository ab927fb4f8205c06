"""A label's file: reading it as an index map, and writing one on its grid."""

from __future__ import annotations

import os
from dataclasses import dataclass

import nibabel as nib
import numpy as np

from ..core.index_map import read_index_map
from .nifti import load_nifti, save_like

__all__ = ["GivenLabel", "read_label", "save_index_map"]


@dataclass(frozen=True)
class GivenLabel:
    """A label file and what it says.

    Attributes:
        index: its index map, of whole numbers of at least 0, 2 or 3 axes.
        form: ``"index map"``, ``"soft label"`` or ``"class probabilities"``.
        file: the file, for its header and affine.
    """

    index: np.ndarray
    form: str
    file: nib.Nifti1Image

    @property
    def is_index_map(self) -> bool:
        """Whether the file holds that very index map, axis for axis."""
        return self.form == "index map" and len(self.file.shape) == self.index.ndim


def read_label(path: str | os.PathLike) -> GivenLabel:
    """Read a label in any of the forms of :mod:`monai_selfcleanse.core.index_map` from a NIfTI file of 2 or 3 axes, and
    one more for class probabilities.

    A fourth axis of length 1 is passed over.

    Raises:
        ValueError: it cannot be read, or holds none of the forms; the message names the file, a value and what is
            accepted.
    """
    try:
        file = load_nifti(path)
        voxels = np.asanyarray(file.dataobj)
    except Exception as error:  # whatever a reader says of a broken file
        raise ValueError(f"{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated") from error
    # Channels are an axis of their own from the fourth on: with three axes, the last one counts slices.
    channel_first = np.moveaxis(voxels, -1, 0) if voxels.ndim == 4 else voxels[None]
    index, form = read_index_map(channel_first, str(path))
    return GivenLabel(index, form, file)


def save_index_map(index: np.ndarray, given: GivenLabel, path: str | os.PathLike) -> None:
    """Write an index map on a given label's grid, atomically.

    Args:
        index: of ``given.index``'s shape.
        given: its file's affine and header are kept, and its data type if it holds an index map. A soft label or class
            probabilities become an index map of 8 bits.
        path: where to; folders are made.
    """
    save_like(index, given.file, path, None if given.is_index_map else np.uint8)
