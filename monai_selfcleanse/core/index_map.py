"""Labels as index maps, whatever they come as: one reading for training, evidence, report and exports.

An *index map* holds one whole number a voxel: 0 is background, ``k > 0`` is structure ``k``. Given labels come in three
forms, which are told apart by their values alone:

================== ========================================================= =====================================
form               what the file holds                                       index map
================== ========================================================= =====================================
index map          whole numbers to within 1e-3, of any data type, scaled or the nearest whole numbers
                   not
soft label         fractions in [0, 1]: one structure                        1 where the value is 0.5 or more, else 0
class              one more axis, the last: a probability each class,        the most probable class, of equal ones the
probabilities      background first, which add up to 1 (to within 1e-2)      first
================== ========================================================= =====================================

Anything else is refused: fractions over 1 or below 0 (an index map that was interpolated), channels that do not add up
to 1 (structures that overlap, or no channel for the background), NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.utils import convert_data_type

__all__ = ["as_index_map", "index_map", "read_index_map", "to_indices", "to_values"]

_WHOLE, _SUM = 1e-3, 1e-2
"""How far a value may be off a whole number, and the sum of a voxel's probabilities off 1."""


def as_index_map(label: NdarrayOrTensor, name: str = "label") -> np.ndarray:
    """The index map of a channel-first label ``(C, *spatial)`` in any of the forms above, without a channel axis.

    Class probabilities have a channel each class; the other forms have one channel.

    Raises:
        ValueError: the label has none of the forms.
    """
    return read_index_map(_as_array(label), name)[0]


def index_map(label: NdarrayOrTensor, name: str = "label") -> np.ndarray:
    """The index map of a channel-first label ``(1, *spatial)`` that is one, without the channel axis.

    Raises:
        ValueError: more than one channel (a one-hot label), values that are negative or not whole, or NaN.
    """
    array = _as_array(label)
    if array.ndim not in (3, 4) or array.shape[0] != 1:
        raise ValueError(
            f"{name}: expected a channel-first index map of shape (1, *spatial) with 2 or 3 spatial axes, got "
            f"{tuple(array.shape)}; turn a one-hot label into indices with monai.transforms.AsDiscrete(argmax=True)"
        )
    whole = _rounded(array[0])
    if whole is None:
        raise ValueError(f"{name}: expected whole numbers (structure indices), got soft or NaN values")
    return _not_negative(whole, name)


def to_indices(labels: np.ndarray, values: Sequence[int], name: str = "label") -> np.ndarray:
    """Index map ``0 ... K`` of a label whose structures have any values, such as 255, or 1, 2 and 4.

    Args:
        labels: whole numbers of at least 0.
        values: the ``K`` structures' values, in order; the first becomes 1.
        name: of the label, for messages.

    Raises:
        ValueError: the label holds another value than these and 0; the message names up to five.
    """
    present = np.unique(labels)
    known = {0: 0} | {int(value): i for i, value in enumerate(values, 1)}
    if extra := [int(value) for value in present if int(value) not in known][:5]:
        raise ValueError(
            f"{name}: holds the values {extra}, which are none of the known structures {sorted(known)}; name them, too"
        )
    dtype = np.min_scalar_type(len(values))
    if all(known[int(value)] == value for value in present):
        return labels.astype(dtype, copy=False) if labels.dtype.itemsize > dtype.itemsize else labels
    if present[-1] < 1 << 16:
        table = np.zeros(int(present[-1]) + 1, dtype=dtype)
        table[present] = [known[int(value)] for value in present]
        return table[labels]
    out = np.zeros(labels.shape, dtype=dtype)
    for value in present[present > 0]:
        out[labels == value] = known[int(value)]
    return out


def to_values(index: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """The label with the structures' own values, of an index map ``0 ... K``: what :func:`to_indices` undoes."""
    return np.array([0, *values], np.min_scalar_type(max(values, default=0)))[index]


def _as_array(label: NdarrayOrTensor) -> np.ndarray:
    if isinstance(label, torch.Tensor) and label.dtype == torch.bfloat16:
        label = label.float()  # which numpy does not know
    return convert_data_type(label, np.ndarray)[0]


def read_index_map(array: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Index map and form of a channel-first label."""
    if array.ndim not in (3, 4):
        raise ValueError(
            f"{name}: has {array.ndim - 1} axes; a label has 2 or 3, and a fourth, the last, for class probabilities"
        )
    if not array.size:
        raise ValueError(f"{name}: is empty")
    if len(array) > 1:
        return _most_probable(array, name), "class probabilities"
    whole = _rounded(array[0])
    if whole is not None:
        return _not_negative(whole, name), "index map"
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 1):  # NaN fails this, too
        raise ValueError(
            f"{name}: holds {_fraction(array[0]):.4g}, which is no whole number, and values from {low:.4g} to "
            f"{high:.4g}: expected structure indices, or fractions in [0, 1] of one structure; if the label was "
            "resampled, take the nearest voxel instead of interpolating"
        )
    return (array[0] >= 0.5).astype(np.uint8), "soft label"


def _most_probable(array: np.ndarray, name: str) -> np.ndarray:
    low, high = float(array.min()), float(array.max())
    total = array.sum(0, dtype=np.float64)
    off = float(np.abs(total - 1).max())
    if not (low >= 0 and high <= 1 and off <= _SUM):  # NaN fails this, too
        raise ValueError(
            f"{name}: has {len(array)} channels with values from {low:.4g} to {high:.4g}, which add up to between "
            f"{float(total.min()):.4g} and {float(total.max()):.4g} a voxel: expected an index map, or the probability "
            "of each class, background first, which add up to 1"
        )
    return array.argmax(0).astype(np.min_scalar_type(len(array) - 1))


def _rounded(array: np.ndarray) -> np.ndarray | None:
    """The nearest whole numbers; None where some are too far off, or NaN."""
    if not array.size:
        return array.astype(np.int64)
    if np.issubdtype(array.dtype, np.integer) or array.dtype == bool:
        return array
    low, high = array.min(), array.max()
    whole = np.empty(array.shape, np.min_scalar_type(int(np.rint(high))) if -0.5 < low <= high < np.inf else np.int64)
    for given, rounded in zip(array, whole, strict=True):  # in parts: labels loaded as float are large
        nearest = np.rint(given)
        if not np.isfinite(given).all() or (np.abs(given - nearest) > _WHOLE).any():
            return None
        rounded[...] = nearest
    return whole


def _not_negative(array: np.ndarray, name: str) -> np.ndarray:
    if array.size and array.min() < 0:
        raise ValueError(f"{name}: expected structure indices of at least 0, got {array.min()}")
    return array.astype(np.uint8) if array.dtype == bool else array


def _fraction(array: np.ndarray) -> float:
    """A value that is not whole."""
    flat = array.ravel()
    return float(flat[np.argmax(~(np.abs(flat - np.rint(flat)) <= _WHOLE))])
