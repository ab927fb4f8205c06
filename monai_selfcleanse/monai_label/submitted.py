"""A submitted label on its image's grid, whatever the tool that has drawn it made of grid, axes and channels."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from ..cases.grid import turn_onto
from ..cases.image_file import ImageFile, open_image
from ..core.index_map import as_index_map

__all__ = ["read_submitted"]

logger = logging.getLogger(__name__)


def read_submitted(
    path: str | os.PathLike, image: str | os.PathLike, affine: np.ndarray, shape: Sequence[int]
) -> tuple[np.ndarray, list[float]]:
    """Read a label in any of the forms of :mod:`monai_selfcleanse.core.index_map` onto its image's grid.

    A label of the image's shape that says no position is taken as it lies, and so is one that has its channels first. A
    label on another grid is resampled. The log says so.

    Args:
        path: the label.
        image: its image's file.
        affine: the image's, as it was segmented, ``(4, 4)``.
        shape: the image's spatial axes.

    Returns:
        The index map ``shape``, and the voxel size in mm.

    Raises:
        ValueError: it cannot be read, or has none of the forms; the message names the file.
    """
    file, shape = open_image(path), tuple(shape)
    voxels = file.voxels()
    if voxels.ndim == len(shape) + 1 and voxels.shape[1:] == shape != voxels.shape[:-1]:
        logger.info(f"{path}: has its channels first, and is taken as it lies")
    else:
        on_grid = _on_grid(file, image, shape)
        voxels = _resampled(file, affine, shape) if on_grid is None else on_grid
    spacing = nib.affines.voxel_sizes(np.asarray(affine))[: len(shape)]
    return as_index_map(voxels, str(path)), spacing.tolist()


def _on_grid(file: ImageFile, image: str | os.PathLike, shape: tuple[int, ...]) -> np.ndarray | None:
    """A label's voxels, channel-first, if they lie on its image's grid or say no position; else None."""
    try:
        onto = open_image(image)
        turn = turn_onto(file, onto, len(shape))
    except ValueError as error:
        logger.info(f"{file.path}: is resampled onto its image's grid ({error})")
        return None
    notes = [turn.note, *(f"{one.path}: {one.disagreement}" for one in (file, onto) if one.disagreement)]
    for note in filter(None, notes):
        logger.info(note)
    return np.moveaxis(turn(file.stack(len(shape)), len(shape)), -1, 0)


def _resampled(file: ImageFile, affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A label's voxels, channel-first, on another grid: those of the nearest voxels, and background elsewhere."""
    voxels = np.moveaxis(file.stack(len(shape)), -1, 0).astype(np.float32)
    resample = SpatialResample(mode="nearest", padding_mode="zeros")
    label = resample(
        MetaTensor(voxels, affine=torch.as_tensor(file.affine)), torch.as_tensor(np.asarray(affine)), shape
    )
    out = np.asarray(label)
    if len(out) > 1:  # outside of the label, no channel says anything
        out[0] += 1 - np.minimum(out.sum(0), 1)
    return out
