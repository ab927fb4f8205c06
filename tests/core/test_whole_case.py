"""Which arrangement of a label fits a prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monai_selfcleanse.core.whole_case import arrangement_that_fits, mean_dice, thinned

TRUTH = np.zeros((12, 12, 5), dtype=np.uint8)
TRUTH[1:8, 2:5, :3] = 1
TRUTH[8:11, 2:5, 1:4] = 2
TRUTH[2:4, 5:10, 2:] = 3


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (TRUTH[::-1], "mirrored along its first axis"),
        (TRUTH[:, :, ::-1], "mirrored along its third axis"),
        (TRUTH[::-1, ::-1], "mirrored along its first and second axes"),
        (
            np.swapaxes(TRUTH, 0, 1)[::-1],
            "turned: its first and second axes exchanged, then mirrored along its second axis",
        ),
        (TRUTH[::-1, :, 2], "mirrored along its first axis"),
    ],
)
def test_what_would_undo_it_is_said(label: np.ndarray, words: str) -> None:
    truth = TRUTH if label.ndim == 3 else TRUTH[:, :, 2]
    assert arrangement_that_fits(label, truth, (1, 2, 3), 0.9) == words


@pytest.mark.parametrize("label", [np.zeros_like(TRUTH), np.roll(TRUTH, 4, 0), np.where(TRUTH == 2, 0, TRUTH)])
def test_of_other_mistakes_nothing_is_said(label: np.ndarray) -> None:
    assert arrangement_that_fits(label, TRUTH, (1, 2, 3), 0.9) == ""


@settings(deadline=None)
@given(st.lists(st.integers(1, 200), min_size=2, max_size=3), st.data())
def test_a_thinned_label_is_the_same_from_either_end(shape: list[int], data: Any) -> None:
    label = np.indices(shape).sum(0)  # differs along every axis
    axis = data.draw(st.integers(0, len(shape) - 1))
    there, back = thinned(label), thinned(np.flip(label, axis))
    assert max(there.shape) <= 80
    np.testing.assert_array_equal(back, np.flip(there, axis))
    assert all(there.flat[i] == label.flat[i] for i in (0, -1))


def test_axes_of_different_length_are_never_exchanged_though_they_are_alike_when_thinned() -> None:
    label = np.swapaxes(TRUTH, 0, 1)
    assert arrangement_that_fits(label, TRUTH, (1, 2, 3), 0.9, shape=(256, 256, 90)).startswith("turned")
    assert arrangement_that_fits(label, TRUTH, (1, 2, 3), 0.9, shape=(256, 200, 90)) == ""


def test_small_labels_are_not_thinned() -> None:
    np.testing.assert_array_equal(thinned(TRUTH), TRUTH)


def test_dice_is_that_of_the_structures_that_are_there() -> None:
    one, other = np.array([1, 1, 2, 0]), np.array([1, 0, 0, 0])
    assert mean_dice(one, other, (1, 2, 3)) == pytest.approx((2 / 3 + 0) / 2)
    assert mean_dice(np.zeros(4), np.zeros(4), (1, 2)) == 0.0
