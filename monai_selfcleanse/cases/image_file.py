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

**Position.** A NIfTI file holds up to two positions, qform and sform, and the voxel size. Where these disagree, MONAI's
rule decides (``monai.data.utils.correct_nifti_header_if_necessary``): the form goes first whose voxel size is that of
the header. Two forms that differ by more than scale say two things about left and right, or up and down: such a file is
refused. A file may say no position at all: both codes are 0, or all that it says is the identity.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data.utils import correct_nifti_header_if_necessary
from monai.utils import optional_import

from ..core.case_id import ENDINGS, ending_of
from ..files import atomic_path

__all__ = ["ImageFile", "open_image"]

_MAX_ANGLE = np.deg2rad(1)
"""Angle between an axis by qform and by sform from which on they say two things."""

_READ, _PIECE = 1 << 20, 1 << 24
"""Bytes of a packed file that are read at a time, and those that are unpacked at a time where they are not kept."""

_DEFLATE = 1032
"""How many bytes one packed byte can stand for at most (zlib's documentation)."""


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
        if np.issubdtype(dtype, np.integer):  # a file with a scale factor is read as 0.99999, which a cast would make 0
            voxels = np.rint(voxels)
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
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path}: is a Git LFS pointer, not the file itself: fetch it with `git lfs pull`")
    if ending in (".nii", ".nii.gz"):
        return NiftiFile(path, start, ending)
    if ending in (".nrrd", ".mha", ".mhd"):
        return ItkFile(path)
    return FlatFile(path)


_NIFTI_STARTS = tuple(struct.pack(f"{order}i", size) for size in (348, 540) for order in "<>")
"""What an unpacked file of version 1 or 2 begins with: its header's size, in either order of bytes."""


class NiftiFile(ImageFile):
    """A NIfTI file, version 1 or 2."""

    def __init__(self, path: Path, start: bytes, ending: str) -> None:
        self.path = path
        packed = start.startswith(b"\x1f\x8b")
        if not packed and not start.startswith(_NIFTI_STARTS):
            raise ValueError(f"{path}: is no NIfTI file, or damaged: its beginning is that of none; fetch it anew")
        if packed != (ending == ".nii.gz"):
            right = ".nii.gz" if packed else ".nii"
            raise ValueError(
                f"{path}: is {'a packed' if packed else 'an unpacked'} file, though its name ends in {ending}: rename "
                f"it so that it ends in {right}"
            )
        try:
            loaded = nib.load(path)
        except Exception as error:  # nibabel raises much
            raise ValueError(f"{path}: is no NIfTI file, or damaged ({type(error).__name__}: {error})") from error
        if not isinstance(loaded, nib.Nifti1Image):
            raise ValueError(f"{path}: expected a NIfTI file, got {type(loaded).__name__}")
        self._file = loaded
        self.shape, self.dtype = tuple(int(n) for n in self._file.shape), self._file.get_data_dtype()
        _check_kind(path, self.dtype)
        self._check_size(packed)
        self.affines, self.has_position, self.disagreement = _positions(path, self._file)

    def _check_size(self, packed: bool) -> None:
        """See that the file can hold what its header claims, before memory is asked for it."""
        claimed = int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize
        self._size = int(self._file.dataobj.offset) + claimed  # type: ignore[attr-defined]
        held = self.path.stat().st_size * (_DEFLATE if packed else 1)
        if not self.shape or min(self.shape) < 1 or self._size > held:
            size = " x ".join(map(str, self.shape)) or "no"
            raise ValueError(
                f"{self.path}: its header claims {size} voxels, more than the file can hold: it is damaged"
            )

    def voxels(self) -> np.ndarray:
        try:
            packed = ending_of(self.path.name) == ".nii.gz"
            whole = _unpacked(self.path, self._size) if packed else None
            file = self._file if whole is None else type(self._file).from_bytes(whole)
            return np.asanyarray(file.dataobj)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ValueError(
                f"{self.path}: is damaged, and cannot be read whole ({type(error).__name__}: {error}): fetch it anew"
            ) from error

    def _write(self, voxels: np.ndarray, path: Path) -> None:
        header = self._file.header.copy()
        header.set_data_dtype(voxels.dtype)
        header.set_slope_inter(1, 0)
        # nibabel's own affine, with which it leaves both forms of the header as they are
        nib.save(type(self._file)(voxels, self._file.affine, header), path)


def _unpacked(path: Path, size: int) -> bytes:
    """The first bytes of what a packed file holds; it is read to its end, where its checksum is.

    A small file may unpack to more than the memory holds, so what lies behind ``size`` is not kept.

    Raises:
        EOFError, OSError, zlib.error: it is damaged.
    """
    parts, left = [], size
    with open(path, "rb") as file:
        packed = file.read(_READ)
        while packed:  # a file may have several members
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                piece = member.decompress(packed, left or _PIECE)
                packed = member.unconsumed_tail or (b"" if member.eof else file.read(_READ))
                if not (piece or packed or member.eof):
                    raise EOFError("it ends too early")
                parts.append(piece[:left])
                left -= min(left, len(piece))
            packed = member.unused_data or file.read(_READ)
            while packed and not packed.strip(b"\0"):  # zeros may fill up its end
                packed = file.read(_READ)
            packed = packed.lstrip(b"\0")
    return b"".join(parts)


def _check_kind(path: Path, dtype: np.dtype) -> None:
    """See that voxels are numbers."""
    if dtype.fields is not None:
        raise ValueError(
            f"{path}: holds colours (RGB), not one number a voxel: save it as an index map, or as channels"
        )
    if np.issubdtype(dtype, np.complexfloating):
        raise ValueError(f"{path}: holds complex numbers: save the magnitude")


def _positions(path: Path, file: nib.Nifti1Image) -> tuple[tuple[np.ndarray, ...], bool, str]:
    """The affines of a NIfTI file, the one that counts first; whether it says a position; how they disagree.

    Raises:
        ValueError: the one that counts is not finite or not invertible, or qform and sform differ by more than scale.
    """
    try:
        rectified = correct_nifti_header_if_necessary(type(file)(file.dataobj, file.affine, file.header.copy()))
        affine = np.asarray(rectified.affine, dtype=np.float64)
        forms = [f for f, code in (file.get_sform(coded=True), file.get_qform(coded=True)) if code > 0]
    except Exception as error:  # a quaternion that is none, say
        raise ValueError(f"{path}: its header says no valid position ({type(error).__name__})") from error
    _check_affine(path, affine)
    others = [form for form in forms if np.isfinite(form).all() and not np.allclose(form, affine, atol=0, rtol=1e-6)]
    has_position = not all(np.allclose(form, np.eye(4), atol=1e-6) for form in forms)
    disagreement = ""
    if len(forms) == 2 and (angle := _angle(*forms)) > _MAX_ANGLE:
        raise ValueError(
            f"{path}: its qform and its sform differ by {np.rad2deg(angle):.3g} degrees in the direction of an axis. "
            "Nobody can tell where it lies: set both to the right one (nibabel's set_qform and set_sform)"
        )
    if not np.allclose(affine, file.affine, rtol=1e-4, atol=1e-6) or (len(forms) == 2 and others):
        sizes = [" x ".join(f"{size:.4g}" for size in nib.affines.voxel_sizes(form)) for form in (affine, *others)]
        disagreement = f"{sizes[0]} mm is taken" + (f", another form says {sizes[1]} mm" if len(sizes) > 1 else "")
    return (affine, *others), has_position, disagreement


def _check_affine(path: Path, affine: np.ndarray) -> None:
    sizes = nib.affines.voxel_sizes(affine)
    if not np.isfinite(affine).all() or not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        raise ValueError(f"{path}: its affine is not finite or not invertible: {affine[:3].tolist()}")


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """Largest angle between an axis by one affine and by another."""
    a, b = (form[:3, :3] / np.maximum(nib.affines.voxel_sizes(form), 1e-30) for form in (one, other))
    return float(np.arccos(np.clip((a * b).sum(0), -1, 1)).max())


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
        _check_kind(path, self.dtype)
        if ndim > 3:
            raise ValueError(f"{path}: has {ndim} axes; 2 or 3 are read")
        affine = np.eye(4)
        direction = np.reshape(reader.GetDirection(), (ndim, ndim))
        affine[:ndim, :ndim] = direction * np.asarray(reader.GetSpacing())
        affine[:ndim, 3] = reader.GetOrigin()
        affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # ITK's world runs to the left and to posterior
        _check_affine(path, affine)
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
