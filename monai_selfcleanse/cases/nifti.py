"""NIfTI files: opening them, writing voxels on another file's grid, and an image's channels."""

from __future__ import annotations

import os
from collections.abc import Sequence

import nibabel as nib
import numpy as np

from ..files import atomic_path

__all__ = ["image_channels", "load_nifti", "save_like"]


def load_nifti(path: str | os.PathLike) -> nib.Nifti1Image:
    """Open a NIfTI file (header only; voxels are read when asked for)."""
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise ValueError(f"{path}: expected a NIfTI file, got {type(image).__name__}")
    return image


def save_like(
    voxels: np.ndarray, like: nib.Nifti1Image, path: str | os.PathLike, dtype: type[np.generic] | None = None
) -> None:
    """Write voxels with another file's grid, header and data type, atomically.

    Args:
        voxels: array of ``like``'s spatial shape; rounded where the data type holds whole numbers.
        like: the image whose affine and header are kept.
        path: where to; folders are made.
        dtype: the data type; None for ``like``'s.
    """
    header = like.header.copy()
    dtype = like.get_data_dtype() if dtype is None else dtype
    header.set_data_dtype(dtype)
    header.set_slope_inter(1, 0)
    if np.issubdtype(dtype, np.integer):  # a file with a scale factor is read as 0.99999, which a cast would make 0
        voxels = np.rint(voxels)
    with atomic_path(path) as part:
        nib.save(nib.Nifti1Image(voxels.astype(dtype, copy=False), like.affine, header), part)


def image_channels(paths: Sequence[str | os.PathLike], ndim: int) -> list[nib.Nifti1Image]:
    """An image's channels as files of ``ndim`` axes; the voxels are read when asked for.

    Args:
        paths: its files (:func:`monai_selfcleanse.core.case_id.images_of`), one a channel. A file with one axis more
            than ``ndim`` has its channels along the last one.
        ndim: number of axes of the label.
    """
    out = []
    for path in paths:
        file = load_nifti(path)
        if len(file.shape) == ndim + 1:
            out += [file.slicer[..., i] for i in range(file.shape[-1])]
        else:
            out.append(file)
    return out
