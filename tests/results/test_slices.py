"""Where in a case label and network disagree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers import write_nifti

from monai_selfcleanse.cases.seen import SeenCase
from monai_selfcleanse.cases.view import CaseView, view_case
from monai_selfcleanse.results import SLICE_COLUMNS, slice_rows

AFFINE = np.diag([2.0, 3.0, 8.0, 1.0])


def view(folder: Path, given: np.ndarray, predicted: np.ndarray, seen_affine: np.ndarray = AFFINE) -> CaseView:
    label = write_nifti(folder / "label.nii.gz", given, AFFINE)
    seen = SeenCase(np.zeros_like(predicted), predicted, np.ones(predicted.shape, np.float32), seen_affine)
    return view_case({"case": "a", "image": "none", "label": str(label)}, seen, [1])


def test_slices_are_listed_worst_first_with_areas_in_mm2(tmp_path: Path) -> None:
    given, predicted = np.zeros((2, 10, 10, 6), np.uint8)
    given[2:6, 2:6, 1:5] = 1
    predicted[2:6, 2:6, 1:5] = 1
    predicted[6, 2:6, 2] = 1  # 4 voxels more
    predicted[2:4, 2:6, 3] = 0  # 8 voxels less
    rows = slice_rows(view(tmp_path, given, predicted), 1, "one")
    assert [row["slice"] for row in rows] == [3, 2]
    assert tuple(rows[0]) == SLICE_COLUMNS
    assert (rows[0]["case"], rows[0]["structure"], rows[0]["structure_name"]) == ("a", 1, "one")
    assert (rows[0]["given_mm2"], rows[0]["predicted_mm2"]) == (16 * 6, 8 * 6)
    assert (rows[0]["only_given_mm2"], rows[0]["only_predicted_mm2"], rows[0]["disagreement_mm2"]) == (48, 0, 48)
    assert rows[0]["disagreement_voxels"] == 8
    np.testing.assert_allclose(rows[0]["dice"], 2 * 8 / 24)
    assert (rows[1]["only_given_mm2"], rows[1]["only_predicted_mm2"]) == (0, 24)
    assert not any(row["debatable"] for row in rows)


def test_a_debatable_slice_comes_last_however_much_differs(tmp_path: Path) -> None:
    given, predicted = np.zeros((2, 10, 10, 6), np.uint8)
    given[2:8, 2:8, 1:4] = 1
    predicted[2:8, 2:8, 1:5] = 1
    predicted[2, 2, 2] = 0
    rows = slice_rows(view(tmp_path, given, predicted), 1, "one")
    assert [(row["slice"], row["debatable"]) for row in rows] == [(2, 0), (4, 1)]


def test_the_index_is_that_of_the_labels_file_not_of_the_networks_grid(tmp_path: Path) -> None:
    """The network sees the volume upside down and a slice cropped away: slice 5 of the file is its first."""
    given, whole = np.zeros((2, 10, 10, 6), np.uint8)
    given[2:6, 2:6, 1:5] = 1
    whole[2:6, 2:6, 1:5] = 1
    whole[2:6, 2:4, 3] = 0
    cropped = whole[..., 1:][..., ::-1].copy()
    turned = AFFINE @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 5], [0, 0, 0, 1.0]])
    rows = slice_rows(view(tmp_path, given, cropped, turned), 1, "one")
    assert [(row["slice"], row["disagreement_voxels"]) for row in rows] == [(3, 8)]


def test_an_image_of_two_axes_is_slice_0(tmp_path: Path) -> None:
    given, predicted = np.zeros((2, 10, 10), np.uint8)
    given[2:6, 2:6] = 1
    rows = slice_rows(view(tmp_path, given, predicted), 1, "one")
    assert [(row["slice"], row["dice"], row["disagreement_mm2"]) for row in rows] == [(0, 0.0, 96.0)]


def test_nothing_is_listed_where_the_two_agree(tmp_path: Path) -> None:
    given = np.ones((4, 4, 4), np.uint8)
    assert slice_rows(view(tmp_path, given, given), 1, "one") == []
