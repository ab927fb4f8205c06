"""NIfTI files: opening them, writing on another file's grid, and an image's channels."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, tiny_label, write_nifti

from monai_selfcleanse.cases.nifti import image_channels, load_nifti, save_like


def test_nifti_is_opened(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", tiny_label())
    np.testing.assert_array_equal(np.asanyarray(load_nifti(path).dataobj), tiny_label())


def test_other_formats_are_refused(tmp_path: Path) -> None:
    nib.save(nib.MGHImage(tiny_label(), AFFINE), tmp_path / "a.mgz")
    with pytest.raises(ValueError, match=r"a\.mgz: expected a NIfTI file, got MGHImage"):
        load_nifti(tmp_path / "a.mgz")


def test_saved_like_another_keeps_all_but_the_voxels(tmp_path: Path) -> None:
    like = nib.Nifti1Image(tiny_label().astype(np.int16), AFFINE)
    like.header["descrip"] = b"mine"
    like.set_sform(AFFINE, code=4)
    like.set_qform(AFFINE, code=1)
    nib.save(like, tmp_path / "like.nii")
    like = load_nifti(tmp_path / "like.nii")
    save_like(2 * tiny_label().astype(np.int64), like, tmp_path / "deep" / "out.nii.gz")
    out = load_nifti(tmp_path / "deep" / "out.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(out.dataobj), 2 * tiny_label())
    np.testing.assert_array_equal(out.affine, like.affine)
    assert out.get_data_dtype() == np.int16
    for field in ("descrip", "qform_code", "sform_code", "pixdim", "xyzt_units"):
        np.testing.assert_array_equal(out.header[field], like.header[field])


def test_scaled_file_is_not_scaled_twice(tmp_path: Path) -> None:
    scaled = nib.Nifti1Image(tiny_label(), AFFINE)
    scaled.header.set_slope_inter(2, 0)
    nib.save(scaled, tmp_path / "scaled.nii.gz")
    like = load_nifti(tmp_path / "scaled.nii.gz")
    voxels = np.asanyarray(like.dataobj)
    save_like(voxels, like, tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(load_nifti(tmp_path / "out.nii.gz").dataobj), voxels)


def test_channels_are_files_or_lie_along_the_last_axis(tmp_path: Path) -> None:
    first, second, third = (tiny_label(i).astype(np.int16) for i in range(3))
    both = write_nifti(tmp_path / "both.nii.gz", np.stack([second, third], -1))
    plain = write_nifti(tmp_path / "plain.nii.gz", first)
    for paths, expected in (([plain, both], [first, second, third]), ([both], [second, third]), ([plain], [first])):
        channels = image_channels(paths, 3)
        for channel, voxels in zip(channels, expected, strict=True):
            np.testing.assert_array_equal(np.asanyarray(channel.dataobj), voxels)
            np.testing.assert_array_equal(channel.affine, AFFINE)
