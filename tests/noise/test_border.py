"""Noise of the border: closed forms, brute force and SciPy as oracles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_scenes import (
    DISTANCES,
    GRADED_RECORDS,
    LABELS,
    MASKS,
    THICK,
    at,
    block,
    border,
    both,
    dilate,
    erode,
    nearest,
    scene,
    spacings,
    voxels,
)
from scipy import ndimage

from monai_selfcleanse.core.masks import bounding_box
from monai_selfcleanse.noise import apply_noise
from monai_selfcleanse.noise.search import magnitude_for_dice


@given(label=LABELS)
def test_erosion_by_one_voxel_is_binary_erosion_with_the_cross(label: np.ndarray) -> None:
    mask = label == 1
    expected = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(label.ndim, 1))
    np.testing.assert_array_equal(erode(label, 1.0, [1.0] * label.ndim) == 1, expected)


@given(label=LABELS)
def test_dilation_by_one_voxel_is_binary_dilation_with_the_cross_into_background(label: np.ndarray) -> None:
    grown = ndimage.binary_dilation(label == 1, ndimage.generate_binary_structure(label.ndim, 1))
    expected = np.where(grown & (label == 0), 1, label)
    np.testing.assert_array_equal(dilate(label, 1.0, [1.0] * label.ndim), expected)


@given(data=st.data(), label=LABELS, distance=DISTANCES)
def test_erosion_removes_what_is_near_the_outside(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    padded = np.pad(label == 1, 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    expected = label.copy()
    if len(inside):
        gone = inside[nearest(inside, outside, spacing) <= distance] - 1
        expected[tuple(gone.T)] = 0
    np.testing.assert_array_equal(erode(label, distance, spacing), expected)


@given(data=st.data(), label=MASKS, distance=DISTANCES)
def test_dilation_takes_background_near_the_structure(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    inside, background = np.argwhere(label == 1), np.argwhere(label == 0)
    expected = label.copy()
    if len(inside) and len(background):
        taken = background[nearest(background, inside, spacing) <= distance]
        expected[tuple(taken.T)] = 1
    np.testing.assert_array_equal(dilate(label, distance, spacing), expected)


def test_erosion_inside_whole_volume_equals_the_distance_transform() -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((14, 13, 6)), 2.0) > 0
    expected = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=THICK)[1:-1, 1:-1, 1:-1] > 4.0
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(erode(mask.astype(np.int16), 4.0, THICK) == 1, expected)


@pytest.mark.parametrize(("distance", "slices_left"), [(3.0, 5), (9.9, 5), (10.0, 3), (20.0, 1)])
def test_thick_slices_go_only_from_their_own_thickness_on(distance: float, slices_left: int) -> None:
    label = np.zeros((61, 61, 7), dtype=np.uint8)
    label[5:56, 5:56, 1:6] = 1
    out = erode(label, distance, THICK)
    assert out.any((0, 1)).sum() == slices_left


def test_erosion_of_3_mm_takes_two_voxels_of_1_5_mm_from_each_side() -> None:
    label = np.zeros((20, 20, 5), dtype=np.uint8)
    label[4:16, 4:16, 1:4] = 1
    expected = np.zeros_like(label)
    expected[6:14, 6:14, 1:4] = 1
    np.testing.assert_array_equal(erode(label, 3.0, THICK), expected)


@pytest.mark.parametrize(("distance", "slices"), [(9.9, 3), (10.0, 5)])
def test_dilation_reaches_the_next_slice_from_its_thickness_on(distance: float, slices: int) -> None:
    label = np.zeros((30, 30, 7), dtype=np.uint8)
    label[10:20, 10:20, 2:5] = 1
    assert dilate(label, distance, THICK).any((0, 1)).sum() == slices


@both
def test_below_one_voxel_nothing_changes(change: Callable[..., np.ndarray]) -> None:
    label = block((9, 9, 5), 1, 4)
    np.testing.assert_array_equal(change(label, 1.49, THICK), label)


def test_erosion_may_remove_the_structure_altogether() -> None:
    assert not erode(block((9, 9), 2, 7), 3.0, (1.0, 1.0)).any()


@pytest.mark.parametrize("margin", [0, 3])
def test_enclosed_structure_cannot_grow(margin: int) -> None:
    label = np.full((7, 7), 2, dtype=np.uint8)
    label[2:5, 2:5] = 1
    label = np.pad(label, margin)  # background beyond the wall is out of reach, however near
    np.testing.assert_array_equal(dilate(label, 5.0, (1.0, 1.0)), label)
    assert magnitude_for_dice(label, border("dilation"), (1.0, 1.0), 0.8) is None


@both
def test_wobble_moves_the_border_by_a_few_times_its_amplitude_at_most(change: Callable[..., np.ndarray]) -> None:
    label, spacing = block((20, 20, 20), 6, 14), (1.0, 1.0, 1.0)
    less, more = (int((change(label, d, spacing) != label).sum()) for d in (2 / 1.3, 2 / 0.7))
    moved = [int((change(label, 2.0, spacing, wobble=0.1, seed=s) != label).sum()) for s in range(8)]
    assert less <= min(moved)
    assert max(moved) <= more
    assert len(set(moved)) > 1


@both
def test_jitter_moves_each_slice_by_one_distance_of_its_own(change: Callable[..., np.ndarray]) -> None:
    label = np.zeros((40, 40, 12), dtype=np.uint8)
    label[12:28, 12:28] = 1  # in every slice, so that nothing moves along the third axis
    out = change(label, 4.0, (1.0, 1.0, 1000.0), jitter=0.3, seed=1)
    single = [change(label[..., 0], d, (1.0, 1.0)) for d in np.arange(0.2, 12, 0.04)]
    widths = []
    for z in range(12):
        matches = [i for i, s in enumerate(single) if (s == out[..., z]).all()]
        assert matches
        widths.append(matches[0])
    assert len(set(widths)) > 2


def test_smoothing_is_a_gaussian_in_each_slice_and_a_threshold() -> None:
    label = scene()
    expected = np.where(label == 2, 2, 0)
    for z in range(label.shape[2]):
        smooth = ndimage.gaussian_filter((label[..., z] == 1).astype(float), (3.0, 3.0 / 1.25), truncate=3.0)
        expected[..., z][(smooth >= 0.5) & (expected[..., z] == 0)] = 1
    out = at(label, GRADED_RECORDS["smoothing"], 3.0)
    assert int((out != expected).sum()) <= 2  # single precision against double
    assert (out != label).any()


def test_polygon_cuts_a_notch_up_to_its_tolerance() -> None:
    label = block((30, 30), 5, 25)
    label[5:8, 14:16] = 0
    whole, record = block((30, 30), 5, 25), GRADED_RECORDS["polygon"]
    np.testing.assert_array_equal(at(label, record, 0.4, (1.0, 1.0)), label)
    assert int((at(label, record, 4.0, (1.0, 1.0)) != whole).sum()) <= 4  # contours cut the corners of a block


def test_polygon_keeps_holes() -> None:
    label = block((30, 30), 4, 26)
    label[10:20, 10:20] = 0
    np.testing.assert_array_equal(at(label, GRADED_RECORDS["polygon"], 0.8, (1.0, 1.0)), label)


def test_one_knot_moves_the_whole_contour() -> None:
    label = np.zeros((41, 41, 4), dtype=np.uint8)
    label[14:27, 14:27] = 1
    out = at(label, GRADED_RECORDS["contour_knots"] | {"knots": 1}, 2.0, (1.0, 1.0, 5.0))
    sides = set()
    for z in range(4):
        box = bounding_box(out[..., z] == 1)
        assert box is not None
        assert box[0] == box[1]
        sides.add(box[0].stop - box[0].start)
        assert out[box[0].start, 20, z] == out[20, box[1].stop - 1, z] == 1
    assert len(sides) > 1


def test_knots_offset_has_the_wanted_spread() -> None:
    label = np.zeros((61, 61, 150), dtype=np.uint8)
    label[20:41, 20:41] = 1
    out = at(label, GRADED_RECORDS["contour_knots"] | {"knots": 1}, 3.0, (1.0, 1.0, 5.0))
    offsets = [(int(out[:, 30, z].sum()) - 21) / 2 for z in range(150)]
    assert np.std(offsets) == pytest.approx(3.0, rel=0.2)
    assert abs(np.mean(offsets)) < 1.0


@pytest.mark.parametrize("steps", [1, 3])
def test_certain_walk_is_binary_erosion_or_dilation_of_each_slice(steps: int) -> None:
    label, cross = scene(), ndimage.generate_binary_structure(2, 1)[..., None]
    record = GRADED_RECORDS["markov_walk"] | {"flip": 1.0}
    shrunk = at(label, record | {"growth": 0.0}, steps) == 1
    np.testing.assert_array_equal(shrunk, ndimage.binary_erosion(label == 1, cross, steps))
    grown = at(label, record | {"growth": 1.0}, steps) == 1
    np.testing.assert_array_equal(grown, ndimage.binary_dilation(label == 1, cross, steps, mask=label != 2))


def test_walk_takes_the_wanted_share_of_the_border() -> None:
    label = block((60, 60, 9), 5, 55)
    label[..., 1:] = label[..., :1] | 1 * (np.pad(np.ones((50, 50)), 5) > 0)[..., None]
    out = at(label, GRADED_RECORDS["markov_walk"] | {"growth": 0.0, "flip": 0.3}, 1)
    rim = voxels(label) - int(
        ndimage.binary_erosion(label == 1, ndimage.generate_binary_structure(2, 1)[..., None]).sum()
    )
    assert (voxels(label) - voxels(out)) / rim == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("distance", [2.0, 3.0, 4.0, 5.0, 6.0])
def test_dilation_leaves_what_is_nearer_to_another_structure(distance: float) -> None:
    """However far that one is."""
    label = np.zeros((24, 5), dtype=np.uint8)
    label[:3], label[9:] = 1, 2
    grown = apply_noise(label, border("dilation") | {"distance_mm": distance}, (1.0, 1.0))
    assert (grown[:, 2] == 1).sum() == 3 + min(distance, 3)  # row 6 is as near to either, and belongs to the asking one


def test_a_gaussian_wider_than_the_slice_leaves_nothing_at_no_cost() -> None:
    """Voxels of a millionth of a millimetre, as a broken header says, make it one of millions of voxels."""
    label = block((24, 24, 3), 0, 24)
    for spacing in ((1e-6, 1e-6, 1e-6), (1e-9, 1.0, 1.0)):
        assert not apply_noise(label, border("smoothing") | {"sigma_mm": 3.0}, spacing).any()
    assert voxels(at(label, border("smoothing"), 3.0)) > 0
