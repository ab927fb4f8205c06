"""Class probabilities as nnU-Net keeps them: ``NAME.npz``, with the axes of an image reversed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

__all__ = ["read_probabilities", "shape_of_probabilities"]

_ARRAYS = ("probabilities", "softmax")
"""Names of the array, of nnU-Net's versions 2 and 1."""


def shape_of_probabilities(path: Path) -> tuple[int, ...]:
    """Shape of the array in a file, of which the head alone is read.

    Raises:
        ValueError: the file is damaged, or has no such array; the message names it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next((f"{n}.npy" for n in _ARRAYS if f"{n}.npy" in archive.namelist()), None)
            if name is None:
                raise ValueError(f"has no array {' or '.join(map(repr, _ARRAYS))}, but {sorted(archive.namelist())}")
            with archive.open(name) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                return tuple(int(n) for n in read(file)[0])
    except Exception as error:  # an empty or damaged archive raises much
        raise ValueError(f"{path}: cannot be read as probabilities ({error or type(error).__name__})") from error


def read_probabilities(path: Path, n_classes: int, shape: tuple[int, ...]) -> np.ndarray:
    """Class probabilities ``(C, *spatial)``, float32, with the axes of the segmentation beside them.

    Args:
        path: the file.
        n_classes: number of classes that are needed, background included.
        shape: of the segmentation.

    Raises:
        ValueError: the file is damaged, has another shape, or no probabilities that add up to 1; the message names it.
    """
    found = shape_of_probabilities(path)
    if found[1:] != shape[::-1] or found[0] < n_classes:
        raise ValueError(f"{path}: has the shape {found}, expected {n_classes} classes of {shape[::-1]}")
    try:
        with np.load(path) as arrays:
            stored = arrays[next(n for n in _ARRAYS if n in arrays)]
    except Exception as error:
        raise ValueError(f"{path}: is damaged ({type(error).__name__}: {error})") from error
    probabilities = np.stack([channel.T.astype(np.float32) for channel in stored])
    if not np.abs(probabilities.sum(0) - 1).max() <= 0.05:  # NaN fails this, too
        raise ValueError(f"{path}: its probabilities do not add up to 1 (a training by regions?)")
    return probabilities
