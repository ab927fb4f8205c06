"""Files that are no NIfTI: volumes by SimpleITK, pictures of two axes by Pillow, both in the extra ``itk``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import

from .abstract_file import ImageFile, check_affine, check_kind

__all__ = ["FlatFile", "ItkFile"]


class ItkFile(ImageFile):
    """A NRRD file or a MetaImage, by SimpleITK."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._itk = _needed("SimpleITK", path, "simpleitk")
        # by its name, for ITK does not know all endings with capitals
        self._io = "NrrdImageIO" if path.suffix.lower() == ".nrrd" else "MetaImageIO"
        reader = self._itk.ImageFileReader()
        reader.SetFileName(os.fspath(path))
        reader.SetImageIO(self._io)
        try:
            reader.ReadImageInformation()
        except RuntimeError as error:
            raise ValueError(f"{path}: cannot be read ({_last_line(error)})") from error
        self._ndim = ndim = reader.GetDimension()
        channels = reader.GetNumberOfComponents()
        self.shape = (*reader.GetSize(), *([channels] if channels > 1 else []))
        self.dtype = np.dtype(_itk_dtype(self._itk, reader.GetPixelID()))
        check_kind(path, self.dtype)
        if ndim > 3:
            raise ValueError(f"{path}: has {ndim} axes; 2 or 3 are read")
        affine = np.eye(4)
        direction = np.reshape(reader.GetDirection(), (ndim, ndim))
        affine[:ndim, :ndim] = direction * np.asarray(reader.GetSpacing())
        affine[:ndim, 3] = reader.GetOrigin()
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK's world runs to the left and to posterior
        check_affine(path, affine)
        self.affines, self.has_position = (affine,), True

    @property
    def ndim(self) -> int:
        """As ITK counts them; channels are none."""
        return self._ndim

    def voxels(self) -> np.ndarray:
        try:
            array = self._itk.GetArrayFromImage(self._read())
        except RuntimeError as error:
            raise ValueError(f"{self.path}: is damaged ({_last_line(error)}); fetch it anew") from error
        return array.transpose(*range(self.ndim - 1, -1, -1), *range(self.ndim, array.ndim))

    def _read(self) -> Any:
        return self._itk.ReadImage(os.fspath(self.path), imageIO=self._io)

    def _write(self, voxels: np.ndarray, path: Path) -> None:
        like = self._read()
        ndim = like.GetDimension()
        array = voxels.reshape(like.GetSize()).transpose(*range(ndim - 1, -1, -1))
        image = self._itk.GetImageFromArray(np.ascontiguousarray(array))
        image.CopyInformation(like)
        for key in like.GetMetaDataKeys():
            image.SetMetaData(key, like.GetMetaData(key))
        # A .mhd has its voxels in a file of its own, unless it is written as the .mha that it may be, too. ITK goes by
        # the ending, and does not know all capitals.
        whole = path.with_suffix(".nrrd" if path.suffix.lower() == ".nrrd" else ".mha")
        self._itk.WriteImage(image, os.fspath(whole), useCompression=True, imageIO=self._io)
        whole.replace(path)

    def copy(self, path: str | os.PathLike) -> None:
        if self.path.suffix.lower() == ".mhd":
            self.write(self.voxels(), path)
        else:
            super().copy(path)


class FlatFile(ImageFile):
    """A picture in two dimensions, by Pillow: ``(x, y)`` or ``(x, y, channels)``; it says no position."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pil = _needed("PIL.Image", path, "pillow")
        try:
            with self._pil.open(path) as image:
                self._mode, frames = image.mode, getattr(image, "n_frames", 1)
                size, bands = image.size, len(image.getbands())
                self._palette = image.getpalette() if image.mode == "P" else None
        except Exception as error:  # Pillow raises much
            raise ValueError(f"{path}: cannot be read ({type(error).__name__}: {error})") from error
        if frames > 1:
            raise ValueError(f"{path}: has {frames} pages; one is read")
        self.shape = (*size, *([bands] if bands > 1 else []))
        self.dtype = np.dtype({"1": bool, "I": np.int32, "F": np.float32}.get(self._mode, np.uint8))
        if self._mode.startswith("I;16"):
            self.dtype = np.dtype(np.uint16)
        # Pictures are stored from the top left: to the patient's left and to posterior, as reports show slices.
        self.affines, self.has_position = (np.diag([-1.0, -1.0, 1.0, 1.0]),), False

    @property
    def ndim(self) -> int:
        """2: a third axis holds colours."""
        return 2

    def voxels(self) -> np.ndarray:
        try:
            with self._pil.open(self.path) as image:
                array = np.asarray(image)
        except Exception as error:
            raise ValueError(f"{self.path}: is damaged ({type(error).__name__}: {error}); fetch it anew") from error
        return array.swapaxes(0, 1)

    def _write(self, voxels: np.ndarray, path: Path) -> None:
        image = self._pil.fromarray(np.ascontiguousarray(voxels.reshape(self.shape[:2]).T))
        if self._palette is not None and image.mode in ("L", "P"):
            image.putpalette(self._palette)
        image.save(path)


def _needed(module: str, path: Path, package: str) -> Any:
    found, there = optional_import(module)
    if not there:
        raise ValueError(f"{path}: needs the package {package}: pip install {package}, or monai-selfcleanse[itk]")
    return found


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def _itk_dtype(itk: Any, pixel: int) -> np.dtype:
    """NumPy's data type of an ITK pixel type; complex for what is no real number."""
    name = itk.GetPixelIDValueAsString(pixel).removeprefix("vector of ")
    found = re.fullmatch(r"(\d+)-bit (unsigned integer|signed integer|float)", name)
    if found is None:
        return np.dtype(np.complex64)
    kind = {"unsigned integer": "uint", "signed integer": "int", "float": "float"}[found[2]]
    return np.dtype(f"{kind}{found[1]}")
