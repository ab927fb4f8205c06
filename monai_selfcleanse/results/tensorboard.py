"""TensorBoard, where it is installed, and what the label filter shows there."""

from __future__ import annotations

import logging
import os
from typing import Any

import ignite.distributed as idist
import numpy as np
from monai.utils import optional_import
from scipy.ndimage import binary_erosion

from ..cases.view import grey_levels

__all__ = ["draw_outlines", "summary_writer"]

logger = logging.getLogger(__name__)

GIVEN, CLEANSED = (255, 120, 0), (0, 190, 255)
"""Colours (red, green, blue) of the outlines: orange as given, blue as cleansed."""


def summary_writer(log_dir: str | os.PathLike, resume: bool = False) -> Any:
    """TensorBoard writer for handlers to share, or None where there is nothing to write with.

    That is on the ranks over 0 of a distributed training, and without the package tensorboard, which a line of the log
    then names.

    Args:
        log_dir: the folder; made at once.
        resume: go on with the folder's curves; otherwise TensorBoard no longer shows what an earlier run wrote there.
    """
    if idist.get_rank() > 0:
        return None
    writer, found = optional_import("torch.utils.tensorboard", name="SummaryWriter")
    if not found:
        logger.info("no curves are written, since TensorBoard is not installed: pip install tensorboard")
        return None
    return writer(os.fspath(log_dir), purge_step=None if resume else 0)


def draw_outlines(image: np.ndarray, given: np.ndarray, cleansed: np.ndarray, scale: int = 3) -> np.ndarray:
    """Picture of a structure in a slice: outlined as given (orange) and as cleansed (blue, on top).

    Args:
        image: ``(H, W)``, any range (:func:`monai_selfcleanse.cases.view.grey_levels`).
        given: mask of the same shape, by the given label.
        cleansed: the same by the cleansed label or, of a suspect that is not redrawn, by the prediction.
        scale: pixels of the picture along either side of a pixel of the image.

    Returns:
        ``(H * scale, W * scale, 3)`` uint8.
    """
    picture = np.repeat(_enlarged(grey_levels(image), scale)[..., None], 3, axis=2)
    for mask, colour in ((given, GIVEN), (cleansed, CLEANSED)):
        large = _enlarged(np.asarray(mask, dtype=bool), scale)
        picture[large & ~binary_erosion(large)] = colour
    return picture


def _enlarged(array: np.ndarray, scale: int) -> np.ndarray:
    return np.repeat(np.repeat(array, scale, axis=0), scale, axis=1)
