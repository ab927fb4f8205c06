"""Files that are either whole or not there: written beside their place and moved into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np

__all__ = ["atomic_path", "load_nifti", "save_like"]


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Temporary path in the folder of ``path`` that becomes ``path`` if the block ends well, and vanishes if not.

    The folder is made where it is missing. The temporary name keeps the ending (``.nii.gz``), which writers go by.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix="-" + target.name, dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp makes private files; these are for whoever may read the folder
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load_nifti(path: str | os.PathLike) -> nib.Nifti1Image:
    """Open a NIfTI file (header only; voxels are read when asked for)."""
    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image):
        raise ValueError(f"{path}: expected a NIfTI file, got {type(image).__name__}")
    return image


def save_like(voxels: np.ndarray, like: nib.Nifti1Image, path: str | os.PathLike) -> None:
    """Write voxels with another file's grid, header and data type, atomically.

    Args:
        voxels: array of ``like``'s shape.
        like: the image whose affine, header and data type are kept.
        path: where to; folders are made.
    """
    header = like.header.copy()
    header.set_slope_inter(1, 0)
    with atomic_path(path) as part:
        nib.save(nib.Nifti1Image(voxels.astype(like.get_data_dtype(), copy=False), like.affine, header), part)
