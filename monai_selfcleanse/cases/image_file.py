"""What a file of an image or a label is: its format, its axes, where it lies, and how one is written back.

Everything that reads or writes voxels goes through :func:`open_image`. So network, checks, pictures, cleansed labels
and exports agree on where a voxel lies.

====================== ================================================= ==========================
format                 endings (capitals do as well)                     read and written by
====================== ================================================= ==========================
NIfTI 1 and 2          ``.nii``, ``.nii.gz``                             nibabel
NRRD, MetaImage        ``.nrrd``, ``.mha``, ``.mhd``                     SimpleITK (the extra ``itk``)
PNG, TIFF, BMP (2-D)   ``.png``, ``.tif``, ``.tiff``, ``.bmp``           Pillow (the extra ``itk``)
====================== ================================================= ==========================

Where a NIfTI file lies, whose header may say two things, :mod:`.nifti_file` decides.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..core.case_id import ENDINGS, ending_of
from .abstract_file import ImageFile
from .nifti_file import NiftiFile
from .other_files import FlatFile, ItkFile

__all__ = ["LFS_POINTER", "ImageFile", "open_image"]

LFS_POINTER = b"version https://git-lfs"
"""How a file begins in whose place Git LFS has put a pointer."""


def open_image(path: str | os.PathLike) -> ImageFile:
    """Look at a file's beginning.

    Raises:
        ValueError: it is none of the formats, damaged, or says two things about where it lies; the message names the
            file, what was found, and the remedy.
    """
    path = Path(path)
    ending = ending_of(path.name)
    if path.is_dir():
        raise ValueError(f"{path}: is a folder, though it is named like an image; take the file out of it")
    if path.exists() and not path.is_file():  # to open a pipe is to wait for its writer
        raise ValueError(f"{path}: is a pipe or a device, no file; take it out of the folder")
    if ending not in ENDINGS:
        raise ValueError(f"{path}: is of no known format; these are read: {', '.join(ENDINGS)}")
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise ValueError(f"{path}: cannot be opened ({error.strerror or error})") from error
    if not start:
        raise ValueError(f"{path}: is empty")
    if start.startswith(LFS_POINTER):
        raise ValueError(f"{path}: is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`")
    if ending in (".nii", ".nii.gz"):
        return NiftiFile(path, start, ending)
    if ending in (".nrrd", ".mha", ".mhd"):
        return ItkFile(path)
    return FlatFile(path)
