"""A judged case on the grid of its label's own file: where its user looks at it, and where labels are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample

from .cases import case_of
from .cleansing import cleanse_label
from .files import load_nifti
from .labels import GivenLabel, read_label
from .store import SeenCase

__all__ = ["CaseView", "image_channels", "view_case"]


@dataclass(frozen=True)
class CaseView:
    """One case with what was given, predicted and made of it.

    All arrays are of the label file's shape (2 or 3 axes); slices are counted along its last axis, from 0.

    Attributes:
        data: the case's dictionary (:mod:`monai_selfcleanse.cases`).
        label: the given label with its file.
        predicted: most probable class, int64; 0 outside of what the network has seen.
        confidence: its probability in [0, 1], float32; 0 outside of what the network has seen.
        suspected: the suspected structures.
    """

    data: Mapping[str, Any]
    label: GivenLabel
    predicted: np.ndarray
    confidence: np.ndarray
    suspected: tuple[int, ...]

    @property
    def case(self) -> str:
        """The case's id."""
        return case_of(self.data)

    @property
    def given(self) -> np.ndarray:
        """The given label, an index map."""
        return self.label.index

    @property
    def spacing(self) -> np.ndarray:
        """Voxel size in mm, one number an axis of the label."""
        return nib.affines.voxel_sizes(self.label.file.affine)[: self.given.ndim]

    @cached_property
    def cleansed(self) -> np.ndarray:
        """The cleansed label, by the rule of training (:func:`monai_selfcleanse.cleansing.cleanse_label`)."""
        return cleanse_label(self.given, self.predicted, self.confidence, self.suspected)[0]

    def read_image(self) -> np.ndarray:
        """The first channel of the image, of the label's shape.

        Raises:
            ValueError: the image's shape is another.
            OSError: the file cannot be read (nibabel raises errors of its own as well).
        """
        image = image_channels(self.data["image"], self.given.ndim)[0]
        if image.shape != self.given.shape:
            raise ValueError(f"{self.data['image']}: has shape {image.shape}, its label {self.given.shape}")
        return np.asanyarray(image.dataobj)


def view_case(data: Mapping[str, Any], seen: SeenCase, suspected: Sequence[int] = ()) -> CaseView:
    """Read a case's given label, and bring the prediction onto its grid.

    Args:
        data: the case's dictionary, with paths.
        seen: what the network saw, on the network's grid.
        suspected: the suspected structures.
    """
    label = read_label(data["label"])
    predicted, confidence = _on_grid(seen, label.index.shape, label.file.affine)
    return CaseView(data, label, predicted, confidence, tuple(suspected))


def image_channels(image: Any, ndim: int) -> list[nib.Nifti1Image]:
    """An image's channels as files of ``ndim`` axes; the voxels are read when asked for.

    Args:
        image: a path, or a list of paths, one a channel. A file with one axis more than ``ndim`` has its channels
            along the last one.
        ndim: number of axes of the label.
    """
    out = []
    for path in image if isinstance(image, (list, tuple)) else [image]:
        file = load_nifti(Path(path))
        if len(file.shape) == ndim + 1:
            out += [file.slicer[..., i] for i in range(file.shape[-1])]
        else:
            out.append(file)
    return out


def _on_grid(seen: SeenCase, shape: tuple[int, ...], affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and confidence on another grid; outside the seen volume, background with confidence 0."""
    if seen.given.shape == shape and np.allclose(seen.affine, affine, atol=1e-4):
        return seen.predicted.astype(np.int64), seen.confidence
    n_classes = int(seen.predicted.max()) + 1
    one_hot = torch.nn.functional.one_hot(torch.as_tensor(seen.predicted.astype(np.int64)), n_classes).movedim(-1, 0)
    stacked = torch.cat([one_hot.float(), torch.as_tensor(seen.confidence)[None]])
    resample = SpatialResample(mode="bilinear", padding_mode="zeros")
    moved = resample(MetaTensor(stacked, affine=torch.as_tensor(seen.affine)), torch.as_tensor(affine), shape)
    array = moved.numpy()
    return array[:-1].argmax(0), array[-1]
