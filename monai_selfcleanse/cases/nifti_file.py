"""A NIfTI file: its voxels to the end of its stream, and where it lies.

**Position.** A NIfTI file holds up to two positions, qform and sform, and the voxel size. Where these disagree, MONAI's
rule decides (``monai.data.utils.correct_nifti_header_if_necessary``): the form goes first whose voxel size is that of
the header. Two forms that differ by more than scale say two things about left and right, or up and down: such a file is
refused. A file may say no position at all: both codes are 0, or all that it says is the identity.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from monai.data.utils import correct_nifti_header_if_necessary

from ..core.case_id import ending_of
from .abstract_file import ImageFile, check_affine, check_kind

__all__ = ["NiftiFile", "plain_image"]

_MAX_ANGLE = np.deg2rad(1)
"""Angle between an axis by qform and by sform from which on they say two things."""

_READ, _PIECE = 1 << 20, 1 << 24
"""Bytes of a packed file that are read at a time, and those that are unpacked at a time where they are not kept."""

_DEFLATE = 1032
"""How many bytes one packed byte can stand for at most (zlib's documentation)."""

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
        check_kind(path, self.dtype)
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
    check_affine(path, affine)
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


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """Largest angle between an axis by one affine and by another."""
    a, b = (form[:3, :3] / np.maximum(nib.affines.voxel_sizes(form), 1e-30) for form in (one, other))
    return float(np.arccos(np.clip((a * b).sum(0), -1, 1)).max())


def plain_image(voxels: np.ndarray, affine: np.ndarray) -> nib.Nifti1Image:
    """Voxels of any type as an image that every program reads.

    Args:
        voxels: of any shape and type. Bytes stay so, whole numbers get 16 bits where they fit, and all others become
            32-bit floats, which hold whole numbers up to 2^24 exactly.
        affine: ``(4, 4)``, mm.
    """
    whole = voxels.dtype == bool or np.issubdtype(voxels.dtype, np.integer)
    if voxels.dtype != np.uint8:
        fits = whole and (not voxels.size or -(1 << 15) <= int(voxels.min()) <= int(voxels.max()) < 1 << 15)
        voxels = voxels.astype(np.int16 if fits else np.float32, copy=False)
    image = nib.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    return image
