"""Every form of a label as an index map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_selfcleanse.core.index_map import as_index_map, index_map, read_index_map

MAPS = hnp.arrays(
    np.uint8, st.tuples(*[st.integers(1, 4)] * 2) | st.tuples(*[st.integers(1, 4)] * 3), elements=st.integers(0, 3)
)


@given(label=MAPS, dtype=st.sampled_from([np.int16, np.int64, np.float32, np.float64, np.float16]))
def test_an_index_map_is_itself_in_any_data_type(label: np.ndarray, dtype: type) -> None:
    for read in (as_index_map, index_map):
        np.testing.assert_array_equal(read(label[None].astype(dtype)), label)
        np.testing.assert_array_equal(read(torch.as_tensor(label[None].astype(dtype))), label)


@given(label=MAPS, doubt=st.floats(0, 0.7))
def test_class_probabilities_are_their_most_probable_class(label: np.ndarray, doubt: float) -> None:
    probabilities = np.moveaxis(np.eye(4)[label], -1, 0) * (1 - doubt) + doubt / 4
    index, form = read_index_map(probabilities, "label")
    np.testing.assert_array_equal(index, label)
    assert form == "class probabilities"


def test_a_soft_label_is_the_structure_from_a_half_on() -> None:
    index, form = read_index_map(np.array([[[0.0, 0.49, 0.5, 1.0]]]), "label")
    assert (index.tolist(), form) == ([[0, 0, 1, 1]], "soft label")


def test_types_that_numpy_lacks_or_that_say_yes_and_no_are_read() -> None:
    assert index_map(torch.tensor([[[0, 3]]], dtype=torch.bfloat16)).tolist() == [[0, 3]]
    assert index_map(torch.tensor([[[False, True]]])).tolist() == [[0, 1]]


def test_what_must_be_an_index_map_is_no_other_form() -> None:
    one_hot = np.stack([np.ones((2, 2)), np.zeros((2, 2))])
    with pytest.raises(ValueError, match=r"mine: expected a channel-first index map .*AsDiscrete\(argmax=True\)"):
        index_map(one_hot, "mine")
    with pytest.raises(ValueError, match="mine: expected whole numbers"):
        index_map(np.full((1, 2, 2), 0.5), "mine")
    with pytest.raises(ValueError, match="mine: is empty"):
        as_index_map(np.zeros((1, 0, 2)), "mine")


def test_slices_are_no_channels() -> None:
    """Two slices of one structure add up to 1 in every voxel; the third axis of a file is never one of classes."""
    label = np.zeros((1, 4, 4, 2), np.uint8)
    label[..., 1] = 1
    np.testing.assert_array_equal(as_index_map(label), label[0])
