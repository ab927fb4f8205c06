"""A judged case on its label's grid, and what pictures of slices share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import AFFINE, tiny_image, tiny_label, write_nifti
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.transforms import Spacing

from monai_selfcleanse.cases.seen import Redrawing, SeenCase
from monai_selfcleanse.cases.view import CaseView, ScreenTurn, grey_levels, view_case
from monai_selfcleanse.core.cleansing import cleanse_label
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.transforms import LoadCased

FLIPPED = AFFINE @ np.array([[-1.0, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
"""Of an array whose first axis, of 12 voxels, runs the other way."""


def write_case(folder: Path) -> dict[str, str]:
    image = write_nifti(folder / "image.nii.gz", tiny_image())
    return {"case": "a", "image": str(image), "label": str(write_nifti(folder / "label.nii.gz", tiny_label()))}


def seen(predicted: np.ndarray) -> SeenCase:
    confidence = np.random.default_rng(0).random(predicted.shape, dtype=np.float32)
    return SeenCase(tiny_label(), predicted, confidence, AFFINE, min_confidence=0.4)


def test_on_one_grid_prediction_and_confidence_are_as_they_were_seen(tmp_path: Path) -> None:
    predicted = tiny_label(3)
    view = view_case(write_case(tmp_path), seen(predicted), [1])
    np.testing.assert_array_equal(view.given, tiny_label())
    np.testing.assert_array_equal(view.predicted, predicted)
    np.testing.assert_array_equal(view.confidence, seen(predicted).confidence)
    np.testing.assert_allclose(view.spacing, (1.5, 1.5, 10.0))
    expected, _ = cleanse_label(tiny_label(), predicted, view.confidence, [1], 0.4)
    np.testing.assert_array_equal(view.cleansed, expected)
    np.testing.assert_array_equal(view_case(write_case(tmp_path), seen(predicted)).cleansed, tiny_label())


def test_a_drawing_comes_to_the_labels_grid_as_the_prediction_does(tmp_path: Path) -> None:
    predicted, drawn = tiny_label(3), tiny_label(5)
    confidence = np.random.default_rng(1).random(drawn.shape, dtype=np.float32)
    here = replace(seen(predicted), redrawn_by=Redrawing(drawn, confidence))
    view = view_case(write_case(tmp_path), here, [1, 2])
    np.testing.assert_array_equal(view.predicted, predicted)
    expected, _ = cleanse_label(tiny_label(), drawn, confidence, [1, 2], 0)
    np.testing.assert_array_equal(view.cleansed, expected)
    moved = AFFINE.copy()
    moved[0, 3] += 2 * AFFINE[0, 0]  # two voxels further on
    elsewhere = replace(here, affine=moved, predicted=drawn, confidence=confidence)
    view = view_case(write_case(tmp_path), elsewhere, [1])
    np.testing.assert_array_equal(view.seen.redrawing.index, view.predicted)
    np.testing.assert_array_equal(view.seen.redrawing.confidence, view.confidence)
    assert not np.array_equal(view.predicted, drawn)


def test_a_drawing_larger_than_label_and_prediction_is_not_cut_off(tmp_path: Path) -> None:
    small = np.where(tiny_label() == 1, 1, 0).astype(np.uint8)
    large = np.ones_like(small)
    here = replace(seen(small), given=small, redrawn_by=Redrawing(large, np.ones(large.shape, np.float32)))
    write_nifti(tmp_path / "small.nii.gz", small)
    view = view_case(write_case(tmp_path) | {"label": str(tmp_path / "small.nii.gz")}, here, [1])
    expected, _ = cleanse_label(small, large, np.ones(large.shape, np.float32), [1], 0)
    assert (expected != small).any()
    np.testing.assert_array_equal(view.cleansed, expected)


SAGITTAL = np.array([[0.0, 0, 4, 7], [2, 0, 0, -3], [0, 2, 0, 11], [0, 0, 0, 1]])


@pytest.mark.parametrize("affine", [np.diag([2.0, 2, 1, 1]), SAGITTAL])
def test_a_prediction_of_three_axes_comes_to_a_label_of_two(affine: np.ndarray, tmp_path: Path) -> None:
    plane = np.zeros((20, 16), np.uint8)
    plane[4:14, 4:10], plane[8:12, 6:8] = 1, 2
    write_nifti(tmp_path / "image.nii.gz", plane.astype(np.float32), affine)
    case = {"case": "a", "image": str(tmp_path / "image.nii.gz")}
    case["label"] = str(write_nifti(tmp_path / "label.nii.gz", plane, affine))
    here = SeenCase(plane[..., None], plane[..., None], np.full((20, 16, 1), 0.9, np.float32), affine, 0.4)
    np.testing.assert_array_equal(view_case(case, here).predicted, plane)
    finer = affine @ np.diag([0.5, 0.5, 1, 1])
    finer[:3, 3] = affine[:3, 3] - affine[:3, :2].sum(1) / 4  # the same corner
    large = np.kron(plane, np.ones((2, 2), np.uint8))[..., None]
    view = view_case(case, SeenCase(large, large, np.full(large.shape, 0.9, np.float32), finer, 0.4))
    np.testing.assert_array_equal(view.predicted, plane)
    np.testing.assert_allclose(view.confidence[1:-1, 1:-1], 0.9, atol=1e-6)


@pytest.mark.parametrize("redrawn", [(), (1,), (2,), (3,), (1, 3), (1, 2, 3)])
@pytest.mark.parametrize("shape", [(12, 12, 4), (16, 11)])
def test_a_cleansed_label_is_that_of_the_whole_volume(redrawn: tuple[int, ...], shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(len(redrawn))
    for _ in range(20):
        blobs = rng.integers(0, 4, (2, *(-(-n // 4) for n in shape)), dtype=np.uint8)
        given, predicted = blobs[(slice(None), *np.ix_(*(np.arange(n) // 4 for n in shape)))]
        predicted = np.where(rng.random(shape) < 0.3, given, predicted)
        whole = SeenCase(given, predicted, rng.random(shape, dtype=np.float32), np.eye(4), 0.4)
        view = CaseView({"case": "a"}, None, whole, redrawn)  # type: ignore[arg-type]
        np.testing.assert_array_equal(view.cleansed, whole.cleansed(redrawn)[0])


def test_the_image_is_its_first_channel_in_the_labels_shape(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    np.testing.assert_array_equal(view_case(case, seen(tiny_label())).read_image(), tiny_image())
    write_nifti(Path(case["image"]), np.stack([tiny_image(1), tiny_image(2)], -1))
    np.testing.assert_array_equal(view_case(case, seen(tiny_label())).read_image(), tiny_image(1))
    write_nifti(Path(case["image"]), tiny_image()[1:])
    with pytest.raises(ValueError, match=r"image\.nii\.gz: has shape 11 x 12 x 4, .*label\.nii\.gz 12 x 12 x 4"):
        view_case(case, seen(tiny_label())).read_image()


@given(flips=st.tuples(st.booleans(), st.booleans()), swapped=st.booleans())
def test_a_slice_looks_alike_however_its_axes_are_stored(flips: tuple[bool, bool], swapped: bool) -> None:
    plane, affine = np.arange(12).reshape(3, 4), np.diag([2.0, 3.0, 8.0, 1.0])
    expected = ScreenTurn(affine)
    stored, own = plane, affine.copy()
    for axis, flipped in enumerate(flips):
        if flipped:
            stored = np.flip(stored, axis)
            own[:3, 3] += own[:3, axis] * (stored.shape[axis] - 1)
            own[:3, axis] *= -1
    if swapped:
        stored, own = stored.T, own[:, [1, 0, 2, 3]]
    turn = ScreenTurn(own)
    np.testing.assert_array_equal(turn(stored), expected(plane))
    assert turn.edges == expected.edges == ("R", "A")
    assert turn.spacing == expected.spacing == (3.0, 2.0)


@given(image=hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3), elements=st.floats(-1e4, 1e4, width=32)))
def test_grey_levels_keep_the_order_of_intensities(image: np.ndarray) -> None:
    grey = grey_levels(image)
    assert (grey.dtype, grey.shape) == (np.uint8, image.shape)
    assert (np.diff(grey.ravel()[np.argsort(image, axis=None)].astype(int)) >= 0).all()


def test_grey_levels_run_from_black_to_white_and_what_is_no_number_is_black() -> None:
    assert grey_levels(np.array([[0.0, 1.0, 2.0]])).tolist() == [[0, 128, 255]]
    assert grey_levels(np.array([[np.nan, 1.0, 2.0]])).tolist() == [[0, 0, 255]]
    assert not grey_levels(np.full((2, 2), 7.0)).any()


@pytest.mark.parametrize("loaded_at", [np.eye(4), np.diag([-1.0, -1.0, 1.0, 1.0]), AFFINE, FLIPPED])
def test_a_label_that_says_no_position_is_where_whoever_loaded_it_took_it_to_be(
    tmp_path: Path, loaded_at: np.ndarray
) -> None:
    case = write_case(tmp_path)
    write_nifti(Path(case["label"]), tiny_label(), np.eye(4))
    predicted, given = tiny_label(3), tiny_label()
    if loaded_at is FLIPPED:  # by an orientation of the pipeline's, after it had the image's position
        predicted, given = predicted[::-1], given[::-1]
    view = view_case(case, replace(seen(predicted), given=given, affine=loaded_at), [1])
    np.testing.assert_array_equal(view.predicted, tiny_label(3))
    np.testing.assert_allclose(view.affine, AFFINE)


def test_a_label_that_was_seen_elsewhere_is_refused(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    write_nifti(Path(case["label"]), tiny_label(), np.eye(4))
    elsewhere = replace(seen(tiny_label(3)), given=tiny_label(4), affine=np.diag([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"label\.nii\.gz: says no position.*LoadCased"):
        view_case(case, elsewhere)


@pytest.mark.parametrize("size", [1.0, 2.0, 2.3])
@pytest.mark.parametrize("shift", [0, 4])
def test_a_label_may_be_resampled_but_not_seen_elsewhere(size: float, shift: int, tmp_path: Path) -> None:
    voxels = np.zeros((40, 40, 20), np.uint8)
    voxels[8:30, 10:24, 4:15] = 1
    label = str(write_nifti(tmp_path / "label.nii.gz", voxels, np.eye(4)))
    image = str(write_nifti(tmp_path / "image.nii.gz", voxels.astype(np.int16), AFFINE))
    loaded = LoadCased()({"image": image, "label": label})["label"]
    loaded.affine[0, 3] += shift * AFFINE[0, 0]
    moved = Spacing(AFFINE.diagonal()[:3] * size, mode="nearest")(loaded)
    given = moved[0].numpy().astype(np.uint8)
    there = SeenCase(given, given, np.ones(given.shape, np.float32), np.asarray(moved.affine), min_confidence=0.4)
    if shift and size > 1:
        with pytest.raises(ValueError, match="LoadCased"):
            view_case({"case": "a", "image": image, "label": label}, there)
        return
    seen_there = view_case({"case": "a", "image": image, "label": label}, there).predicted
    assert dice(seen_there == 1, voxels == 1) > (0.85 if size > 1 else 0.999)


def test_the_first_channel_that_says_a_position_places_the_label(tmp_path: Path) -> None:
    case: dict[str, Any] = write_case(tmp_path)
    write_nifti(Path(case["label"]), tiny_label(), np.eye(4))
    first, second = (
        write_nifti(tmp_path / f"{i}.nii.gz", tiny_image(), at) for i, at in enumerate((np.eye(4), AFFINE))
    )
    case["image"] = [str(first), str(second)]
    np.testing.assert_allclose(LoadCased()(dict(case))["label"].affine, AFFINE)
    np.testing.assert_allclose(view_case(case, seen(tiny_label(3))).affine, AFFINE)
