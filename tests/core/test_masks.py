"""Overlap, distance and boxes of masks, and the slices that nobody is blamed for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import compute_dice
from noise_scenes import THICK, block
from scipy.spatial.distance import cdist

from monai_selfcleanse.core.masks import bounding_box, box_around, debatable_slices, dice, hausdorff95, inscribed_radius

PAIRS = hnp.arrays(
    bool, st.tuples(st.just(2), *[st.integers(1, 6)] * 2) | st.tuples(st.just(2), *[st.integers(1, 5)] * 3)
)
SPACINGS = st.lists(st.sampled_from([0.5, 1.0, 1.5, 10.0]), min_size=3, max_size=3)


@pytest.mark.parametrize(
    ("shape", "low", "high", "spacing", "radius"),
    [
        ((7, 7), 1, 6, (1.0, 1.0), 3.0),
        ((7, 7, 7), 1, 6, THICK, 4.5),
        ((9, 9, 5), 1, 2, (1.0, 2.0, 3.0), 1.0),
        ((3, 3), 0, 3, (1.0, 1.0), 2.0),  # the whole volume: beyond its edge is outside
        ((5, 5), 0, 0, (1.0, 1.0), 0.0),
    ],
)
def test_inscribed_radius_by_hand(
    shape: tuple[int, ...], low: int, high: int, spacing: tuple[float, ...], radius: float
) -> None:
    assert inscribed_radius(block(shape, low, high), 1, spacing) == radius


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.5, 4.0)])
def test_hausdorff_distance_of_shifted_blocks(spacing: tuple[float, float, float]) -> None:
    a = block((20, 20, 20), 4, 10) == 1
    assert hausdorff95(a, np.roll(a, 3, 2), spacing) == pytest.approx(3 * spacing[2])
    assert hausdorff95(a, a, spacing) == 0.0
    assert hausdorff95(a, a & ~a, spacing) == float("inf")
    assert hausdorff95(a & ~a, a & ~a, spacing) == 0.0


def test_dice_by_hand() -> None:
    a, b = np.array([1, 1, 1, 0], dtype=bool), np.array([0, 1, 1, 0], dtype=bool)
    assert dice(a, b) == 0.8
    assert dice(a, ~a) == 0.0
    assert dice(a & ~a, b & ~b) == 1.0


@pytest.mark.parametrize(
    ("given_slices", "predicted_slices", "debatable"),
    [
        ("0011100", "0011100", ""),
        ("0011100", "0111100", "1"),
        ("0011100", "0011000", "4"),
        ("0011100", "0111110", "15"),
        ("0011100", "0001110", "25"),
        ("0011100", "1111100", ""),  # two slices are a difference
        ("0011000", "0011111", ""),
        ("0011100", "0010100", ""),  # not at an end
        ("0001000", "0000000", ""),
        ("0001000", "0000100", ""),  # nothing would be left to judge
        ("1100000", "1110000", "2"),
        ("1111111", "0111111", "0"),
    ],
)
def test_debatable_is_one_slice_more_at_an_end(given_slices: str, predicted_slices: str, debatable: str) -> None:
    has, sees = (
        np.array([c == "1" for c in s]) & np.ones((2, 3, 1), dtype=bool) for s in (given_slices, predicted_slices)
    )
    assert np.flatnonzero(debatable_slices(has, sees)).tolist() == [int(c) for c in debatable]
    assert debatable_slices(sees, has).tolist() == debatable_slices(has, sees).tolist()


def test_nothing_is_debatable_in_an_image() -> None:
    has, sees = (np.array([[c == "1" for c in s]]) for s in ("0011100", "0111100"))
    assert not debatable_slices(has, sees).any()


def box_by_looking(mask: np.ndarray) -> tuple[slice, ...] | None:
    """The smallest box, from the coordinates of all voxels."""
    voxels = np.argwhere(mask)
    return tuple(slice(a, b + 1) for a, b in zip(voxels.min(0), voxels.max(0), strict=True)) if len(voxels) else None


@given(pair=PAIRS)
def test_a_bounding_box_is_the_smallest_that_holds_all(pair: np.ndarray) -> None:
    box = bounding_box(pair[0])
    assert box == box_by_looking(pair[0])
    if box is not None:
        assert pair[0][box].sum() == pair[0].sum()


@given(pair=PAIRS)
def test_the_box_around_two_boxes_is_that_of_both_masks(pair: np.ndarray) -> None:
    a, b = (bounding_box(mask) for mask in pair)
    both = box_around(a, b)
    assert both == box_around(b, a) == bounding_box(pair[0] | pair[1])
    assert box_around(a, a) == box_around(a, None) == a
    assert box_around(both, a) == both


@given(pair=PAIRS)
def test_dice_is_monais_and_asks_nobody_first(pair: np.ndarray) -> None:
    a, b = pair
    assert dice(a, b) == dice(b, a)
    assert 0 <= dice(a, b) <= 1
    assert dice(a, a) == 1
    one, other = (torch.as_tensor(mask)[None, None] for mask in pair)
    assert dice(a, b) == pytest.approx(float(compute_dice(one, other, ignore_empty=False)))


@given(pair=PAIRS, spacing=SPACINGS)
def test_hausdorff_distance_is_one_of_two_points_and_asks_nobody_first(pair: np.ndarray, spacing: list[float]) -> None:
    (a, b), spacing = pair, spacing[: pair.ndim - 1]
    distance = hausdorff95(a, b, spacing)
    assert distance == pytest.approx(hausdorff95(b, a, spacing))
    assert hausdorff95(a, a, spacing) == 0
    if a.any() and b.any():
        every = cdist(np.argwhere(a) * spacing, np.argwhere(b) * spacing)
        assert distance <= max(every.min(0).max(), every.min(1).max()) + 1e-5  # that of all points
        moved = [np.pad(mask, [(2, 1)] * mask.ndim) for mask in pair]
        assert hausdorff95(*moved, spacing) == pytest.approx(distance)
    else:
        assert distance == (0 if a.any() == b.any() else np.inf)
