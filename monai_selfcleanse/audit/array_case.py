"""One case whose label and prediction are at hand as arrays, and the checks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import to_affine_nd

from ..cases.case import label_file_of
from ..core.index_map import index_map, to_indices

__all__ = ["PROBABILITIES", "SEGMENTATIONS", "ArrayCase", "LabelledCase", "read_array_case"]

PROBABILITIES, SEGMENTATIONS = "class probabilities", "segmentations"
"""The two kinds of predictions."""


class LabelledCase(NamedTuple):
    """One case for :func:`judge_labels`; a plain tuple of three, four or five does as well.

    All arrays may be numpy arrays, tensors or MONAI's ``MetaTensor``; the label may have a channel axis of length 1.

    Attributes:
        case: the case's id, unique in the data set.
        given: the given label, an index map of shape ``spatial`` (2 or 3 axes), values 0 to 255.
        predicted: the class probabilities of anyone's model, ``(C, *spatial)`` in [0, 1], background first, then the
            structures in the order of their values; or its segmentation, an index map of shape ``spatial``.
        spacing: voxel size in mm, one number an axis; or an affine ``(4, 4)``, voxel to world. None takes a
            ``MetaTensor``'s own affine, and 1 mm where there is none.
        image: the image, of shape ``spatial`` or with a channel axis first, for the report's pictures; None for
            pictures of outlines alone.
    """

    case: str
    given: NdarrayOrTensor
    predicted: NdarrayOrTensor
    spacing: Sequence[float] | np.ndarray | None = None
    image: NdarrayOrTensor | None = None


@dataclass(frozen=True, eq=False)
class ArrayCase:
    """The arrays of one case, checked: see :class:`LabelledCase`.

    Attributes:
        affine: voxel to world; of what says no position, its spacing alone.
        has_affine: whether it says a position.
    """

    name: str
    given: np.ndarray
    predicted: np.ndarray
    image: np.ndarray | None
    affine: np.ndarray
    has_affine: bool

    @property
    def kind(self) -> str:
        """Class probabilities or segmentations."""
        return SEGMENTATIONS if self.predicted.ndim == self.given.ndim else PROBABILITIES

    @property
    def highest(self) -> int:
        """The highest structure that there can be."""
        if self.kind == PROBABILITIES:
            return len(self.predicted) - 1
        return int(max(self.given.max(), self.predicted.max()))


def read_array_case(item: LabelledCase, values: Sequence[int] | None) -> ArrayCase:
    """Check a case's arrays.

    Args:
        item: the case.
        values: the structures' values, ascending, which become 1, 2, ...; None takes all there are as they are.

    Raises:
        ValueError: they do not fit together, or hold other values; the message names the case.
    """
    name = str(item.case)
    label_file_of({"case": name, "label": ""})  # the id is a path of the cleansed labels
    given, predicted = _without_channel(_array(item.given)), _array(item.predicted)
    if given.ndim not in (2, 3) or not given.size:
        raise ValueError(f"case {name!r}: the given label has the shape {given.shape}, expected 2 or 3 axes")
    if predicted.shape != given.shape:
        predicted = _without_channel(predicted)
    if predicted.shape not in (given.shape, (*predicted.shape[:1], *given.shape)):
        raise ValueError(
            f"case {name!r}: the prediction has the shape {predicted.shape}, the given label {given.shape}: expected "
            "class probabilities (C, *spatial), or a segmentation of the label's shape"
        )
    given = index_map(given[None], f"case {name!r}, given label")
    if predicted.ndim == given.ndim:
        predicted = index_map(predicted[None], f"case {name!r}, segmentation")
        predicted = predicted if values is None else to_indices(predicted, values, f"case {name!r}, segmentation")
    elif values is not None:
        predicted = _classes(predicted, values, name)
    given = given if values is None else to_indices(given, values, f"case {name!r}, given label")
    image = None if item.image is None else _array(item.image)
    if image is not None and image.ndim == given.ndim + 1:
        image = image[0]
    if image is not None and image.shape != given.shape:
        raise ValueError(f"case {name!r}: the image has the shape {image.shape}, the given label {given.shape}")
    case = ArrayCase(name, given, predicted, image, *_affine_of(item, given.ndim))
    if values is None and (extra := int(given.max())) > case.highest:
        raise ValueError(
            f"case {name!r}: the given label holds the value {extra}, the prediction {case.highest + 1} classes"
        )
    return case


def _classes(predicted: np.ndarray, values: Sequence[int], name: str) -> np.ndarray:
    """Class probabilities of background and the structures, by their order or by their values.

    Of more classes than that, those that are not judged count as background.

    Raises:
        ValueError: there are neither; the message names the case.
    """
    if len(predicted) == len(values) + 1:
        return predicted
    if len(predicted) > values[-1]:
        kept = predicted[[0, *values]]
        kept[0] = np.minimum(kept[0] + np.delete(predicted, [0, *values], 0).sum(0), 1)
        return kept
    raise ValueError(f"case {name!r}: the prediction has {len(predicted)} classes, too few for {list(values)}")


def _array(value: NdarrayOrTensor) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    return np.asarray(value)


def _without_channel(array: np.ndarray) -> np.ndarray:
    """The array without a channel axis of length 1: three axes with the first of length 1 are an image's."""
    return array[0] if array.ndim in (3, 4) and len(array) == 1 else array


def _affine_of(item: LabelledCase, ndim: int) -> tuple[np.ndarray, bool]:
    """Affine ``(4, 4)``, and whether it says a position.

    Raises:
        ValueError: the spacing is neither an affine nor a positive number an axis; the message names the case.
    """
    if item.spacing is None:
        own = (array.affine for array in (item.given, item.image, item.predicted) if isinstance(array, MetaTensor))
        affine = next(own, None)
        return (np.eye(4), False) if affine is None else (np.asarray(to_affine_nd(3, affine.cpu().numpy())), True)
    spacing = np.asarray(item.spacing, dtype=np.float64)
    if spacing.shape == (4, 4) and np.isfinite(spacing).all() and abs(np.linalg.det(spacing[:3, :3])) > 0:
        return spacing, True
    if spacing.shape != (ndim,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise ValueError(
            f"case {str(item.case)!r}: the spacing must be {ndim} positive numbers in mm, or an invertible affine "
            f"(4, 4), got {item.spacing!r}"
        )
    return np.diag([*spacing, *[1.0] * (4 - ndim)]), False
