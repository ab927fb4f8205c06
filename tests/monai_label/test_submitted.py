"""Submitted labels, read onto their images' grids."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, tiny_label

from monai_selfcleanse.monai_label.submitted import read_submitted

LABEL = tiny_label()
ONE_HOT = np.moveaxis(np.eye(4, dtype=np.uint8)[LABEL], -1, 0)


def save(path: Path, voxels: np.ndarray, sform: np.ndarray | None = AFFINE, qform: np.ndarray | None = AFFINE) -> Path:
    """Write a file with these positions; None for one that is not said."""
    file = nib.Nifti1Image(voxels, None)
    said = next((form for form in (qform, sform) if form is not None), AFFINE)
    file.header.set_zooms([*nib.affines.voxel_sizes(said), 1.0][: voxels.ndim])
    for set_form, form in ((file.set_sform, sform), (file.set_qform, qform)):
        set_form(form, code=0 if form is None else 1)
    nib.save(file, path)
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return save(tmp_path / "image.nii.gz", np.zeros(LABEL.shape, np.int16))


def read(path: Path, image: Path) -> np.ndarray:
    index, spacing = read_submitted(path, image, AFFINE, LABEL.shape)
    np.testing.assert_allclose(spacing, [1.5, 1.5, 10.0])
    return index


FORMS: dict[str, np.ndarray] = {
    "index map": LABEL,
    "of floats": LABEL.astype(np.float32),
    "with an axis of length 1": LABEL[..., None],
    "one-hot": np.moveaxis(ONE_HOT, 0, -1),
    "one-hot, channels first": ONE_HOT,
    "probabilities, channels first": 0.7 * ONE_HOT + 0.1 * (1 - ONE_HOT),
}


@pytest.mark.parametrize("form", FORMS)
def test_labels_of_every_form_are_read(form: str, image: Path, tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(save(tmp_path / "label.nii.gz", FORMS[form]), image), LABEL)


SCALED = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
POSITIONS: dict[str, tuple[Any, str]] = {
    "none": ((None, None), "label.nii.gz: says no position; its voxels are taken as they lie"),
    "identity": ((np.eye(4), None), "label.nii.gz: says no position; its voxels are taken as they lie"),
    "sform of another scale": ((SCALED, AFFINE), "mm is taken, another form says"),
    "qform of another scale": ((AFFINE, SCALED), "label.nii.gz: "),
    "the image's": ((AFFINE, AFFINE), ""),
}


@pytest.mark.parametrize("form", ["index map", "one-hot"])
@pytest.mark.parametrize("position", POSITIONS)
def test_a_label_of_the_images_shape_without_a_clear_position_is_taken_as_it_lies(
    position: str, form: str, image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forms, said = POSITIONS[position]
    path = save(tmp_path / "label.nii.gz", FORMS[form], *forms)
    with caplog.at_level(logging.INFO):
        np.testing.assert_array_equal(read(path, image), LABEL)
    assert said in caplog.text
    assert "resampled" not in caplog.text
    assert bool(caplog.text) == bool(said)


@pytest.mark.parametrize("form", ["index map", "one-hot"])
def test_a_label_on_another_grid_is_resampled_and_that_is_logged(
    form: str, image: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cropped = AFFINE.copy()
    cropped[:3, 3] = AFFINE[:3, :3] @ [0, 0, 1] + AFFINE[:3, 3]
    with caplog.at_level(logging.INFO):
        index = read(save(tmp_path / "label.nii.gz", FORMS[form][:, :, 1:], cropped, cropped), image)
    np.testing.assert_array_equal(index[:, :, 1:], LABEL[:, :, 1:])
    assert not index[:, :, 0].any()
    assert "label.nii.gz: is resampled onto its image's grid" in caplog.text


@pytest.mark.parametrize("form", ["index map", "one-hot"])
def test_a_label_whose_axes_run_otherwise_is_turned(form: str, image: Path, tmp_path: Path) -> None:
    turned = nib.load(save(tmp_path / "a.nii", FORMS[form])).as_reoriented(np.array([[1, -1], [0, 1], [2, -1]]))
    nib.save(turned, tmp_path / "label.nii.gz")
    np.testing.assert_array_equal(read(tmp_path / "label.nii.gz", image), LABEL)


REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "structures that overlap": (lambda p: save(p, np.moveaxis(ONE_HOT, 0, -1) * 0 + 1), r"label\.nii\.gz"),
    "no background": (lambda p: save(p, ONE_HOT[1:]), r"label\.nii\.gz"),
    "complex": (lambda p: save(p, LABEL.astype(np.complex64)), r"label\.nii\.gz: holds complex numbers"),
    "NaN": (lambda p: save(p, np.full(LABEL.shape, np.nan, np.float32)), r"label\.nii\.gz"),
    "empty": (lambda p: p.touch(), r"label\.nii\.gz: is empty"),
    "pointer": (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1"), r"label\.nii\.gz: .*Git LFS"),
    "unpacked": (lambda p: p.write_bytes(gzip.decompress(save(p, LABEL).read_bytes())), r"label\.nii\.gz: .*rename it"),
    "damaged": (lambda p: p.write_bytes(save(p, LABEL).read_bytes()[:-9]), r"label\.nii\.gz: is .*damaged"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_label_is_refused_by_name(kind: str, image: Path, tmp_path: Path) -> None:
    write, match = REFUSED[kind]
    write(tmp_path / "label.nii.gz")
    with pytest.raises(ValueError, match=match):
        read(tmp_path / "label.nii.gz", image)
