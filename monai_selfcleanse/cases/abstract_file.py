"""What all files of images and labels have in common, whatever their format."""

from __future__ import annotations

import os
import shutil
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..files import atomic_path

__all__ = ["ImageFile", "check_affine", "check_kind"]


class ImageFile(ABC):
    """One file; its voxels are read when they are asked for.

    Attributes:
        path: the file.
        shape: its axes, as the file has them.
        dtype: its data type, scaling not counted.
        affines: where it may be said to lie, voxel to world (RAS, mm), ``(4, 4)``; the one that counts is the first.
        has_position: whether the file says where it lies; else the affine holds the voxel size alone.
        disagreement: how its positions disagree, in words; empty where they do not.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    affines: tuple[np.ndarray, ...]
    has_position: bool
    disagreement: str = ""

    @property
    def affine(self) -> np.ndarray:
        """The affine that counts."""
        return self.affines[0]

    @property
    def ndim(self) -> int:
        """Number of spatial axes, 2 or 3: those after the third are not, and of an image with two there is no third."""
        return min(len(self.shape), 3)

    def spacing(self, ndim: int | None = None) -> np.ndarray:
        """Voxel size in mm, one number an axis."""
        return nib.affines.voxel_sizes(self.affine)[: ndim or self.ndim]

    def spatial(self, ndim: int | None = None) -> tuple[int, ...]:
        """Lengths of that many spatial axes; those that the file lacks are 1."""
        ndim = ndim or self.ndim
        return (*self.shape[: min(ndim, self.ndim)], 1, 1, 1)[:ndim]

    def n_channels(self, ndim: int | None = None) -> int:
        """Number of channels, of an image with that many spatial axes."""
        return max(1, *self.shape[min(ndim or self.ndim, self.ndim) :], 1)

    def stack(self, ndim: int | None = None) -> np.ndarray:
        """The voxels as ``(*spatial, channels)`` with that many spatial axes; axes of length 1 come and go.

        Raises:
            ValueError: the file has more axes that are longer than 1, or cannot be read.
        """
        ndim = ndim or self.ndim
        if sum(n > 1 for n in self.shape[min(ndim, self.ndim) :]) > 1:
            raise ValueError(
                f"{self.path}: has axes of the lengths {self.shape}: expected {ndim} spatial axes, and one more for "
                "channels"
            )
        return self.voxels().reshape(*self.spatial(ndim), self.n_channels(ndim))

    @abstractmethod
    def voxels(self) -> np.ndarray:
        """All voxels with the file's own axes, scaled; the file is read to its end.

        Raises:
            ValueError: it is damaged; the message names it.
        """

    def write(self, voxels: np.ndarray, path: str | os.PathLike, dtype: Any = None) -> None:
        """Write voxels as a file of the same format, position and header, atomically.

        Args:
            voxels: of this file's spatial axes, or of its shape. Axes of length 1 are as in this file.
            path: where to; folders are made.
            dtype: data type; None for this file's. Whole numbers are rounded to.
        """
        dtype = np.dtype(self.dtype if dtype is None else dtype)
        if voxels.size == int(np.prod(self.shape)):
            voxels = voxels.reshape(self.shape)
        if np.issubdtype(dtype, np.integer) and np.issubdtype(voxels.dtype, np.floating):
            voxels = np.rint(voxels)  # a file with a scale factor is read as 0.99999, which a cast would make 0
        with atomic_path(path) as part:
            self._write(voxels.astype(dtype, copy=False), part)

    def copy(self, path: str | os.PathLike) -> None:
        """Copy the file; where its voxels are in a second one (``.mhd``), into one file.

        Args:
            path: where to; folders are made.
        """
        with atomic_path(path) as part:
            shutil.copyfile(self.path, part)

    @abstractmethod
    def _write(self, voxels: np.ndarray, path: Path) -> None:
        """Write voxels in their own data type."""


def check_kind(path: Path, dtype: np.dtype) -> None:
    """See that voxels are numbers.

    Raises:
        ValueError: they are colours, or complex.
    """
    if dtype.fields is not None:
        raise ValueError(
            f"{path}: holds colours (RGB), not one number a voxel: save it as an index map, or as channels"
        )
    if np.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"{path}: holds complex numbers: save the magnitude")


def check_affine(path: Path, affine: np.ndarray) -> None:
    """See that an affine places voxels.

    Raises:
        ValueError: it is not finite, or cannot be inverted.
    """
    sizes = nib.affines.voxel_sizes(affine)
    if not np.isfinite(affine).all() or not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise ValueError(f"{path}: its affine is not finite or not invertible: {affine[:3].tolist()}")
