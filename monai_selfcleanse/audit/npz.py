"""Class probabilities as nnU-Net keeps them: ``NAME.npz``, with the axes of an image reversed.

A whole-body segmentation has a hundred classes. So a file is read in its own data type, and in blocks that fit the
processor's cache; a class at a time where its slices do not come first.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from ..cases.grid import Turn
from ..core.prediction import Prediction, Sweep
from ..files import file_digest

__all__ = ["StoredProbabilities", "shape_of_probabilities"]

_ARRAYS = ("probabilities", "softmax")
"""Names of the array, of nnU-Net's versions 2 and 1."""

_OFF = 0.05
"""How far the sum of a voxel's probabilities may be off 1."""

_SLAB = 16
"""Slices that are copied together."""


class _Head(NamedTuple):
    """What an array's head in a file says."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype


def shape_of_probabilities(path: Path) -> tuple[int, ...]:
    """Shape of the array in a file, of which the head alone is read.

    Raises:
        ValueError: the file is damaged, or has no such array; the message names it.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_name_in(archive)) as file:
            return _read_head(file).shape
    except Exception as error:  # an empty or damaged archive raises much
        raise ValueError(f"{path}: cannot be read as probabilities ({error or type(error).__name__})") from error


class StoredProbabilities:
    """Class probabilities in a file beside a segmentation, read when they are asked for.

    Args:
        path: the file, ``(C, z, y, x)`` or, of images, ``(C, y, x)``.
        n_classes: number of classes that are needed, background included.
        lying: shape of the segmentation as its file has it.
        predicted: the segmentation, turned.
        turn: how it was turned.

    Attributes:
        shape: ``(C, *spatial)``, turned.

    Raises:
        ValueError: the file is damaged or has another shape; the message names it.
    """

    def __init__(self, path: Path, n_classes: int, lying: tuple[int, ...], predicted: np.ndarray, turn: Turn) -> None:
        found = shape_of_probabilities(path)
        if found[1:] != lying[::-1] or found[0] < n_classes:
            raise ValueError(f"{path}: has the shape {found}, expected {n_classes} classes of {lying[::-1]}")
        self.path, self._predicted, self._turn = path, predicted, turn
        self.shape = (found[0], *predicted.shape)

    def digest(self) -> str:
        """SHA-256 of the file, as hexadecimal text."""
        return file_digest(self.path)

    def condensed(self, unannotated: Collection[int] = ()) -> Prediction:
        """What they come to; see :func:`monai_selfcleanse.core.prediction.condensed`.

        Raises:
            ValueError: the file is damaged, has no probabilities that add up to 1, or those of another segmentation;
                the message names it.
        """
        ndim = self._predicted.ndim
        orientation = np.array([[i, 1] for i in range(3)]) if self._turn.orientation is None else self._turn.orientation
        turned_last = int(np.flatnonzero(orientation[:, 0] == ndim - 1)[0])  # the file's axis along which slices run
        axis = ndim - 1 - turned_last  # in the array, whose axes are reversed
        lying = self._turn_back_shape(orientation)
        sweep = Sweep((self.shape[0], *np.moveaxis(np.empty(lying, bool), axis, 0).shape), slices_first=True, sums=True)
        try:
            with _opened(self.path) as (head, file):
                if axis == 0 and not unannotated and not head.is_fortran:
                    found = sweep.over_blocks(partial(_fill, file), head.dtype)
                else:
                    found = sweep.over_classes((np.moveaxis(k, axis, 0) for k in _classes(head, file)), unannotated)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        except Exception as error:
            raise ValueError(f"{self.path}: is damaged ({type(error).__name__}: {error})") from error
        if not sweep.off_one <= _OFF:
            raise ValueError(f"{self.path}: its probabilities do not add up to 1 (a training by regions?)")
        predicted, confidence = (
            _contiguous(self._turn(np.moveaxis(volume, 0, axis).T, ndim))
            for volume in (found.predicted, found.confidence)
        )
        # nnU-Net may have taken specks away from the segmentation; axes in another order are another matter.
        differ = np.count_nonzero((predicted != self._predicted) & ~np.isin(self._predicted, list(unannotated)))
        if differ > max(0.5 * np.count_nonzero(self._predicted), 1e-3 * predicted.size):
            raise ValueError(f"{self.path}: is another prediction than the segmentation beside it")
        mass = found.mass if orientation[turned_last, 1] > 0 else found.mass[:, ::-1]
        return Prediction(predicted, confidence, found.peak, mass)

    def _turn_back_shape(self, orientation: np.ndarray) -> tuple[int, ...]:
        """Shape of a class in the file."""
        ndim = self._predicted.ndim
        return tuple(self._predicted.shape[int(orientation[i, 0])] for i in range(ndim))[::-1]


def _contiguous(volume: np.ndarray) -> np.ndarray:
    """A volume in C's layout, copied some slices at a time: twice as fast where these lay one after another."""
    out = np.empty(volume.shape, volume.dtype)
    for start in range(0, volume.shape[-1], _SLAB):
        out[..., start : start + _SLAB] = volume[..., start : start + _SLAB]
    return out


def _name_in(archive: zipfile.ZipFile) -> str:
    name = next((f"{n}.npy" for n in _ARRAYS if f"{n}.npy" in archive.namelist()), None)
    if name is None:
        raise ValueError(f"has no array {' or '.join(map(repr, _ARRAYS))}, but {sorted(archive.namelist())}")
    return name


def _read_head(file: IO[bytes]) -> _Head:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    return _Head(tuple(int(n) for n in shape), is_fortran, dtype)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[_Head, IO[bytes]]]:
    """An array's head, and the file where its values begin.

    What is not compressed is read from the file itself: the archive would work out a checksum of every byte.
    """
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(_name_in(archive))
        with archive.open(entry) as file:
            head = _read_head(file)
            begin = file.tell()
            if entry.file_size < begin + math.prod(head.shape) * head.dtype.itemsize:
                raise EOFError("the array ends too early")
            if entry.compress_type != zipfile.ZIP_STORED:
                yield head, file
                return
            begin += _begin_of(path, entry)
    with open(path, "rb", buffering=0) as stored:
        stored.seek(begin)
        yield head, stored


def _fill(file: IO[bytes], values: np.ndarray) -> None:
    """Read the values that come next into an array."""
    rest = memoryview(values.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while rest:
        if not (n := file.readinto(rest)):  # type: ignore[attr-defined]
            raise EOFError("the array ends too early")
        rest = rest[n:]


def _classes(head: _Head, file: IO[bytes]) -> Iterator[np.ndarray]:
    """The classes one after another, each as it lies in the file."""
    if head.is_fortran:  # which numpy writes of such arrays: classes are not one after another
        array = np.empty(head.shape[::-1], head.dtype)
        _fill(file, array)
        yield from array.T
        return
    for _ in range(head.shape[0]):
        values = np.empty(head.shape[1:], head.dtype)
        _fill(file, values)
        yield values


def _begin_of(path: Path, entry: zipfile.ZipInfo) -> int:
    """Where an entry's bytes begin in an archive: behind its own head, name and extra field."""
    with open(path, "rb") as file:
        file.seek(entry.header_offset)
        head = file.read(30)
    return entry.header_offset + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
