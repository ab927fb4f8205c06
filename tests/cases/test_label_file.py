"""Given labels in every form they come in, and what is made of them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import AFFINE, tiny_image, tiny_label, write_nifti
from monai.transforms import LoadImaged

from monai_selfcleanse.cases.label_file import read_label, save_index_map
from monai_selfcleanse.transforms import IndexMapd, LoadCased


def write_scaled(path: Path, voxels: np.ndarray, slope: float) -> Path:
    """A file whose values are multiples of a slope, as other programs write them."""
    write_nifti(path, voxels)
    raw = bytearray(gzip.decompress(path.read_bytes()))
    raw[112:120] = struct.pack("<ff", slope, 0.0)  # scl_slope, scl_inter
    path.write_bytes(gzip.compress(bytes(raw)))
    return path


def soft(label: np.ndarray) -> np.ndarray:
    """Fractions in [0, 1] that are 0.5 or more just where the label is."""
    return np.where(label > 0, 0.5, 0.4).astype(np.float32)


def one_hot(label: np.ndarray) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[label]


FORMS = {
    "float": (tiny_label().astype(np.float32), tiny_label(), "index map"),
    "nearly whole": (tiny_label() + np.float32(4e-4), tiny_label(), "index map"),
    "soft": (soft(tiny_label()), (tiny_label() > 0).astype(np.uint8), "soft label"),
    "one-hot": (one_hot(tiny_label()), tiny_label(), "class probabilities"),
    "probabilities": (one_hot(tiny_label()) * 0.6 + 0.1, tiny_label(), "class probabilities"),
    "fourth axis of one": (tiny_label()[..., None], tiny_label(), "index map"),
    "one-hot along a fifth axis": (one_hot(tiny_label())[:, :, :, None], tiny_label(), "class probabilities"),
    "image": (tiny_label()[..., 0], tiny_label()[..., 0], "index map"),
}


@pytest.mark.parametrize(("voxels", "index", "form"), FORMS.values(), ids=FORMS.keys())
def test_every_form_becomes_its_index_map_in_files_and_in_the_pipeline(
    voxels: np.ndarray, index: np.ndarray, form: str, tmp_path: Path
) -> None:
    path = write_nifti(tmp_path / "label.nii.gz", voxels)
    label = read_label(path)
    np.testing.assert_array_equal(label.index, index)
    assert label.form == form
    ours = LoadCased(allow_missing_keys=True)({"label": str(path)})["label"]
    pipes = [ours]
    if voxels.ndim < 5:  # MONAI's loader does not read five
        pipes.append(IndexMapd("label")(LoadImaged("label", ensure_channel_first=True)({"label": str(path)}))["label"])
    for piped in pipes:
        assert (piped.dtype, piped.shape) == (torch.float32, (1, *index.shape))
        np.testing.assert_array_equal(piped[0].numpy(), index)
        torch.testing.assert_close(piped.affine, ours.affine)


def test_a_scaled_file_that_is_not_quite_whole_is_not_cut_off(tmp_path: Path) -> None:
    """1 reads 0.99999 here, which a cast would make background."""
    path = write_scaled(tmp_path / "label.nii.gz", 3 * tiny_label().astype(np.int16), 0.33333)
    assert 0.9 < np.asanyarray(nib.load(path).dataobj)[0, 0, 0] < 1
    label = read_label(path)
    np.testing.assert_array_equal(label.index, tiny_label())
    piped = IndexMapd("label")(LoadImaged("label", ensure_channel_first=True)({"label": str(path)}))["label"]
    np.testing.assert_array_equal(piped[0].long().numpy(), tiny_label())
    save_index_map(label.index, label, tmp_path / "out.nii.gz")
    out = nib.load(tmp_path / "out.nii.gz")
    assert out.get_data_dtype() == np.int16
    np.testing.assert_array_equal(np.asanyarray(out.dataobj), tiny_label())


@pytest.mark.parametrize("form", ["soft", "one-hot", "fourth axis of one", "float"])
def test_index_maps_are_written_on_the_labels_grid(form: str, tmp_path: Path) -> None:
    voxels, index, _ = FORMS[form]
    label = read_label(write_nifti(tmp_path / "label.nii.gz", voxels))
    save_index_map(index, label, tmp_path / "out.nii.gz")
    out = nib.load(tmp_path / "out.nii.gz")
    assert out.get_data_dtype() == (np.float32 if form == "float" else np.uint8)
    np.testing.assert_allclose(out.affine, AFFINE)
    assert out.shape == (voxels.shape if form != "one-hot" else index.shape)
    np.testing.assert_array_equal(np.asanyarray(out.dataobj).reshape(index.shape), index)


REFUSED = {
    "interpolated": (tiny_label() * np.float32(0.9), r"holds 0\.9, which is no whole .* values from 0 to 2\.7"),
    "negative fractions": (tiny_label() - np.float32(0.5), r"values from -0\.5 to 2\.5"),
    "negative": (-tiny_label().astype(np.int16), "of at least 0, got -3"),
    "NaN": (np.full((12, 12, 4), np.nan, np.float32), "holds nan"),
    "foreground channels alone": (one_hot(tiny_label())[..., 1:], r"3 channels .* between 0 and 1 a voxel"),
    "intensities": (np.stack([tiny_image(), tiny_image(1)], -1), "2 channels with values from 0 to 199"),
    "five axes": (np.stack([one_hot(tiny_label())] * 2, 3), "expected 3 spatial axes, and one more for channels"),
}


@pytest.mark.parametrize(("voxels", "message"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.filterwarnings("ignore:invalid value")
def test_all_else_is_refused_with_the_file_and_a_value(voxels: np.ndarray, message: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "label.nii.gz", voxels)
    with pytest.raises(ValueError, match=rf"label\.nii\.gz: .*{message}"):
        read_label(path)


@pytest.mark.parametrize(("dtype", "expected"), [(np.int8, np.int16), (np.uint8, np.uint8), (np.float32, np.float32)])
def test_a_structure_that_the_file_lacked_gets_the_bits_it_needs(dtype: type, expected: type, tmp_path: Path) -> None:
    given = read_label(write_nifti(tmp_path / "a.nii.gz", np.zeros((4, 4, 4), dtype)), (7, 200))
    index = np.zeros((4, 4, 4), np.uint8)
    index[1], index[2] = 1, 2
    save_index_map(index, given, tmp_path / "b.nii.gz")
    written = nib.load(tmp_path / "b.nii.gz")
    assert written.get_data_dtype() == expected
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.array([0, 7, 200])[index])


def test_a_picture_of_two_tones_gets_more(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    image.new("1", (4, 4)).save(tmp_path / "a.png")
    index = np.eye(4, dtype=np.uint8) * 2
    save_index_map(index, read_label(tmp_path / "a.png"), tmp_path / "b.png")
    np.testing.assert_array_equal(read_label(tmp_path / "b.png").index, index)


def test_channels_in_2d_are_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "label.nii.gz", one_hot(tiny_label())[:, :, 1])
    with pytest.raises(ValueError, match=r"label\.nii\.gz: has several channels in 2-D"):
        read_label(path, ndim=2)
