"""One rule for two files of one case."""

from __future__ import annotations

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, tiny_label, write_nifti
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.cases.grid import log_notes, offset, same_grid, turn_onto
from monai_selfcleanse.cases.image_file import open_image

OBLIQUE = AFFINE.copy()
OBLIQUE[:3, :3] = nib.eulerangles.euler2mat(0.2, 0.1, 0.3) @ AFFINE[:3, :3]


def write_reoriented(path: Path, voxels: np.ndarray, affine: np.ndarray, orientation: list[list[int]]) -> Path:
    turned = nib.Nifti1Image(voxels, affine).as_reoriented(np.array(orientation))
    return write_nifti(path, np.asanyarray(turned.dataobj), turned.affine)


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["upright", "oblique"])
@pytest.mark.parametrize(
    "orientation",
    [[[0, -1], [1, 1], [2, 1]], [[1, 1], [0, 1], [2, 1]], [[2, -1], [0, 1], [1, -1]], [[0, 1], [1, 1], [2, 1]]],
    ids=["mirrored", "swapped", "cycled", "as it was"],
)
def test_turned_files_are_turned_back(affine: np.ndarray, orientation: list[list[int]], tmp_path: Path) -> None:
    voxels = tiny_label(3)
    target = open_image(write_nifti(tmp_path / "label.nii.gz", voxels, affine))
    file = open_image(write_reoriented(tmp_path / "other.nii.gz", voxels, affine, orientation))
    turn = turn_onto(file, target, 3)
    np.testing.assert_array_equal(turn(file.voxels(), 3), voxels)
    assert turn.note == ""


@pytest.mark.parametrize("affine", [np.eye(4), None], ids=["identity", "codes 0"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_file_without_position_is_taken_as_it_lies(affine: np.ndarray | None, which: int, tmp_path: Path) -> None:
    files = [write_nifti(tmp_path / f"{i}.nii.gz", tiny_label(), AFFINE if i != which else affine) for i in (0, 1)]
    turn = turn_onto(*map(open_image, files), 3)
    assert turn.orientation is None
    assert turn.note.startswith(f"{files[which]}: says no position")


def test_a_file_with_two_positions_lies_at_either(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((12, 12, 4))
    header.set_qform(np.diag([-1.3, -1.3, 10, 1]), 1)
    header.set_sform(np.diag([-1.0, -1, 1, 1]), 1)
    nib.save(nib.Nifti1Image(tiny_label(), None, header), tmp_path / "two.nii.gz")
    two = open_image(tmp_path / "two.nii.gz")
    for name, affine in (("q", np.diag([-1.3, -1.3, 10, 1])), ("s", np.diag([-1.0, -1, 1, 1]))):
        other = open_image(write_nifti(tmp_path / f"{name}.nii.gz", tiny_label(), affine))
        assert turn_onto(other, two, 3).orientation is None
        assert turn_onto(two, other, 3).orientation is None


def test_other_grids_are_refused_with_the_distance(tmp_path: Path) -> None:
    moved = AFFINE.copy()
    moved[0, 3] += 4.5
    label = open_image(write_nifti(tmp_path / "label.nii.gz", tiny_label()))
    with pytest.raises(ValueError, match=r"moved.nii.gz: lies elsewhere than .*label.nii.gz, .* off by 3 voxels"):
        turn_onto(open_image(write_nifti(tmp_path / "moved.nii.gz", tiny_label(), moved)), label, 3)
    with pytest.raises(ValueError, match=r"small.nii.gz: has shape 11 x 12 x 4, .*label.nii.gz 12 x 12 x 4"):
        turn_onto(open_image(write_nifti(tmp_path / "small.nii.gz", tiny_label()[1:])), label, 3)


@given(
    scale=st.floats(1e-5, 1e4),
    share=st.floats(0, 0.5),
    axis=st.integers(0, 2),
    shape=st.tuples(*[st.integers(2, 600)] * 3),
)
def test_tolerance_counts_in_voxels_of_any_size(
    scale: float, share: float, axis: int, shape: tuple[int, int, int]
) -> None:
    target = OBLIQUE.copy()
    target[:3] *= scale
    moved = target.copy()
    moved[:3, 3] += share * target[:3, axis]
    assert offset(moved, target, shape) == pytest.approx(share, abs=1e-6)
    assert same_grid(moved, target, shape) == (offset(moved, target, shape) <= 0.1)


def write_empty(path: Path, affine: np.ndarray, width: int) -> Path:
    return write_nifti(path, np.zeros((width, width, 2), np.uint8), affine)


@pytest.mark.parametrize("width", [40, 512])
def test_axes_that_a_tool_made_perpendicular_are_taken_with_the_distance(width: int, tmp_path: Path) -> None:
    sheared = OBLIQUE.copy()
    sheared[:3, 1] += 0.0012 * sheared[:3, 0]
    label = open_image(write_empty(tmp_path / "label.nii.gz", sheared, width))
    turn = turn_onto(open_image(write_empty(tmp_path / "prediction.nii.gz", OBLIQUE, width)), label, 3)
    assert turn.orientation is None
    off = 0.0012 * (width - 1) * np.linalg.norm(OBLIQUE[:3, 0])  # mm
    assert turn.notes == (
        {} if width == 40 else {"rounding": f"{tmp_path}/prediction.nii.gz: a corner is {off:.2g} mm off {label.path}"}
    )


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_large_volume_that_lies_elsewhere_is_refused_all_the_same(share: float, tmp_path: Path) -> None:
    moved = OBLIQUE.copy()
    moved[:3, 3] += share * OBLIQUE[:3, 0]
    label = open_image(write_empty(tmp_path / "label.nii.gz", OBLIQUE, 512))
    with pytest.raises(ValueError, match=f"off by {share:.3g} voxels"):
        turn_onto(open_image(write_empty(tmp_path / "moved.nii.gz", moved, 512)), label, 3)


def test_axes_of_length_one_do_not_matter(tmp_path: Path) -> None:
    flat = open_image(write_nifti(tmp_path / "flat.nii.gz", tiny_label()[..., 1]))
    thin = open_image(write_nifti(tmp_path / "thin.nii.gz", tiny_label()[..., 1:2]))
    for ndim in (2, 3):
        assert turn_onto(flat, thin, ndim).orientation is None


def test_notes_are_said_once_a_kind(caplog: pytest.LogCaptureFixture) -> None:
    notes = [{"position": f"{i}.nii: says no position"} for i in range(5)] + [{}, {"headers": "x.nii: 1 mm is taken"}]
    with caplog.at_level(logging.WARNING):
        log_notes(notes, 7)
    assert [record.message for record in caplog.records] == [
        "1 of 7 cases have headers whose positions disagree, such as x.nii: 1 mm is taken",
        "5 of 7 cases say no position, and are taken as they lie, such as 0.nii: says no position",
    ]
