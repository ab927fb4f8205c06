"""Files as people have them: where they lie, what they hold, and that they are written back as they came."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, tiny_label
from monai.transforms import LoadImage

from monai_selfcleanse.cases.image_file import open_image
from monai_selfcleanse.cases.nifti_file import plain_image

TRUE, WRONG = np.diag([-1.3, -1.3, 10.0, 1.0]), np.diag([-1.0, -1.0, 1.0, 1.0])


def write_forms(
    path: Path,
    voxels: np.ndarray,
    qform: np.ndarray | None,
    sform: np.ndarray | None,
    zooms: tuple[float, ...] | None = None,
) -> Path:
    """A NIfTI file with the two forms; None leaves one out (code 0), ``zooms`` is the voxel size in the header."""
    header = nib.Nifti1Header()
    header.set_data_dtype(voxels.dtype)
    header.set_data_shape(voxels.shape)
    if qform is not None:
        header.set_qform(qform, 1)
    if sform is not None:
        header.set_sform(sform, 1)
    if zooms is not None:
        header["pixdim"][1 : 1 + len(zooms)] = zooms
    path.parent.mkdir(parents=True, exist_ok=True)
    file = nib.Nifti1Image(voxels, None, header)
    nib.save(file, path)
    return path


FORMS = {
    "both agree": (AFFINE, AFFINE, None),
    "qform alone": (AFFINE, None, None),
    "sform alone": (None, AFFINE, (1.5, 1.5, 10.0)),
    "the header's voxel size is the qform's": (TRUE, WRONG, None),
    "the header's voxel size is the sform's": (WRONG, TRUE, (1.3, 1.3, 10.0)),
    "sform alone, other voxel size": (None, AFFINE, (0.9, 0.9, 10.0)),
    "neither": (None, None, (1.5, 1.5, 10.0)),
}


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".NII.GZ"])
@pytest.mark.parametrize(("qform", "sform", "zooms"), FORMS.values(), ids=FORMS)
def test_affine_is_that_of_monais_loader(
    qform: np.ndarray | None, sform: np.ndarray | None, zooms: tuple | None, ending: str, tmp_path: Path
) -> None:
    path = write_forms(tmp_path / f"a{ending}", tiny_label(), qform, sform, zooms)
    loaded = LoadImage(image_only=True)(path if ending.islower() else path.rename(path.with_name("b.nii.gz")))
    path = path if ending.islower() else path.with_name("b.nii.gz")
    np.testing.assert_allclose(open_image(path).affine, loaded.affine.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("qform", "sform", "zooms"), FORMS.values(), ids=FORMS)
def test_what_is_written_has_the_header_it_came_with(
    qform: np.ndarray | None, sform: np.ndarray | None, zooms: tuple | None, tmp_path: Path
) -> None:
    path = write_forms(tmp_path / "a.nii.gz", tiny_label().astype(np.int16), qform, sform, zooms)
    changed = tiny_label(3)
    open_image(path).write(changed, tmp_path / "out" / "b.nii.gz")
    before, after = nib.load(path), nib.load(tmp_path / "out" / "b.nii.gz")
    assert before.header == after.header
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), changed)


def test_headers_that_disagree_are_told_of(tmp_path: Path) -> None:
    agree = open_image(write_forms(tmp_path / "a.nii.gz", tiny_label(), AFFINE, AFFINE))
    assert agree.disagreement == ""
    assert len(agree.affines) == 1
    disagree = open_image(write_forms(tmp_path / "b.nii.gz", tiny_label(), TRUE, WRONG))
    assert disagree.disagreement == "1.3 x 1.3 x 10 mm is taken, another form says 1 x 1 x 1 mm"
    np.testing.assert_allclose(disagree.affines[1], WRONG)


@pytest.mark.parametrize(
    "other",
    [
        np.diag([1.3, -1.3, 10.0, 1.0]),
        TRUE[[1, 0, 2, 3]],
        TRUE @ np.array([[1, 0.2, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
    ],
    ids=["mirrored", "axes swapped", "sheared"],
)
def test_forms_that_differ_by_more_than_scale_are_refused(other: np.ndarray, tmp_path: Path) -> None:
    path = write_forms(tmp_path / "a.nii.gz", tiny_label(), TRUE, other)
    with pytest.raises(ValueError, match=r"a\.nii\.gz: its qform and its sform differ by .* degrees"):
        open_image(path)


@pytest.mark.parametrize(
    ("qform", "sform", "has_position"),
    [(AFFINE, AFFINE, True), (None, None, False), (np.eye(4), np.eye(4), False), (np.diag([1, 1, 2.0, 1]), None, True)],
)
def test_a_file_says_where_it_lies_or_does_not(
    qform: np.ndarray | None, sform: np.ndarray | None, has_position: bool, tmp_path: Path
) -> None:
    assert open_image(write_forms(tmp_path / "a.nii.gz", tiny_label(), qform, sform)).has_position == has_position


def test_every_flipped_bit_is_seen_or_harmless(tmp_path: Path) -> None:
    path = write_forms(tmp_path / "a.nii.gz", tiny_label(), AFFINE, AFFINE)
    raw, right = path.read_bytes(), tiny_label()
    silent = []
    for bit in range(0, 8 * len(raw), 3):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with suppress(ValueError):
            if not np.array_equal(open_image(path).voxels(), right):
                silent.append(bit)
    assert not silent


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_a_truncated_file_is_named(ending: str, share: float, tmp_path: Path) -> None:
    path = write_forms(tmp_path / f"a{ending}", tiny_label().astype(np.float32), AFFINE, AFFINE)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"a\.nii.*damaged"):
        open_image(path).voxels()


def test_a_header_that_claims_too_much_costs_no_memory(tmp_path: Path) -> None:
    header = nib.Nifti1Header()
    header.set_data_shape((4096, 4096, 4096))
    header.set_data_dtype(np.float64)
    raw = header.binaryblock + bytes(4)
    for name, content in (("a.nii", raw), ("a.nii.gz", gzip.compress(raw))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="4096 x 4096 x 4096 voxels, more than the file can hold"):
            open_image(tmp_path / name)


def rgb(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")]), AFFINE), path)


def complex_numbers(path: Path) -> None:
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 2), dtype=np.complex64), AFFINE), path)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.nii.gz", lambda p: p.write_bytes(b""), "is empty"),
        ("a.nii.gz", lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid"), "Git LFS pointer"),
        ("a.nii.gz", lambda p: p.write_bytes(bytes(1000)), "is no NIfTI file, or damaged"),
        (
            "a.nii.gz",
            lambda p: p.write_bytes(b"\x5c\1\0\0" + bytes(344)),
            "unpacked file, though its name ends in .nii",
        ),
        (
            "a.nii",
            lambda p: p.write_bytes(gzip.compress(bytes(1000))),
            "packed file, though its name ends in .nii: ren",
        ),
        ("a.nii", lambda p: p.write_bytes(b"x" * 1000), "is no NIfTI file, or damaged"),
        ("a.nii.gz", lambda p: p.mkdir(), "is a folder"),
        ("a.nii.gz", lambda p: None, "cannot be opened"),
        ("a.txt", lambda p: p.write_text("x"), "of no known format"),
        ("a.nii.gz", rgb, r"colours \(RGB\)"),
        ("a.nii.gz", complex_numbers, "complex numbers"),
        ("a.nii.gz", lambda p: write_forms(p, tiny_label(), None, np.diag([0, 1, 1, 1.0])), "not invertible"),
        (
            "a.nii.gz",
            lambda p: write_forms(p, tiny_label(), None, np.diag([np.nan, 1, 1, 1.0])),
            "no valid position|not finite",
        ),
        (
            "a.mha",
            lambda p: p.write_bytes(b"ObjectType = Image\nNDims = 3\nDimSize = 1 1 1\n"),
            "cannot be read|needs the",
        ),
        ("a.png", lambda p: p.write_bytes(b"\x89PNG"), "cannot be read|needs the"),
    ],
)
def test_what_is_no_image_is_named_with_the_remedy(name: str, make: object, message: str, tmp_path: Path) -> None:
    make(tmp_path / name)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message) as caught:
        open_image(tmp_path / name).voxels()
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "ndim", "stacked"),
    [
        ((6, 5, 4), None, (6, 5, 4, 1)),
        ((6, 5), None, (6, 5, 1)),
        ((6, 5), 3, (6, 5, 1, 1)),
        ((6, 5, 1), 2, (6, 5, 1)),
        ((6, 5, 4, 1), None, (6, 5, 4, 1)),
        ((6, 5, 4, 2), None, (6, 5, 4, 2)),
        ((6, 5, 4, 1, 2), None, (6, 5, 4, 2)),
        ((6, 5, 1, 1, 1), 3, (6, 5, 1, 1)),
        ((6, 5, 3), 2, (6, 5, 3)),
    ],
)
def test_axes_of_length_one_come_and_go(
    shape: tuple[int, ...], ndim: int | None, stacked: tuple[int, ...], tmp_path: Path
) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    file = open_image(write_forms(tmp_path / "a.nii.gz", voxels, AFFINE, AFFINE))
    assert file.stack(ndim).shape == stacked
    np.testing.assert_array_equal(file.stack(ndim).ravel(), voxels.ravel())
    assert file.n_channels(ndim) == stacked[-1]
    file.write(file.stack(ndim)[..., 0] if stacked[-1] == 1 else voxels, tmp_path / "b.nii.gz")
    assert nib.load(tmp_path / "b.nii.gz").shape == nib.load(tmp_path / "a.nii.gz").shape


def test_two_more_axes_are_refused(tmp_path: Path) -> None:
    file = open_image(write_forms(tmp_path / "a.nii.gz", np.zeros((4, 4, 3, 2, 2), np.int16), AFFINE, AFFINE))
    with pytest.raises(ValueError, match="expected 3 spatial axes, and one more for channels"):
        file.stack()


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".mhd", ".NRRD", ".MHA", ".MHD"])
def test_other_volumes_lie_where_itk_says(ending: str, tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    voxels = tiny_label()[:, :7]
    image = itk.GetImageFromArray(np.ascontiguousarray(voxels.T))
    image.SetSpacing((1.5, 1.2, 8.0))
    image.SetOrigin((3.0, 4.0, 5.0))
    image.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))
    path = tmp_path / f"a{ending.lower()}"
    itk.WriteImage(image, str(path))
    path = path.rename(path.with_name(f"a{ending}"))
    file = open_image(path)
    np.testing.assert_array_equal(file.voxels(), voxels)
    for voxel in ((0, 0, 0), (5, 3, 2)):
        there = np.array(image.TransformContinuousIndexToPhysicalPoint([float(i) for i in voxel])) * [-1, -1, 1]
        np.testing.assert_allclose(nib.affines.apply_affine(file.affine, voxel), there)
    file.write(tiny_label(3)[:, :7], tmp_path / f"b{ending}")
    again = open_image(tmp_path / f"b{ending}")
    np.testing.assert_array_equal(again.voxels(), tiny_label(3)[:, :7])
    np.testing.assert_allclose(again.affine, file.affine)


def test_a_header_with_its_voxels_elsewhere_becomes_one_file(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    itk.WriteImage(itk.GetImageFromArray(np.ascontiguousarray(tiny_label().T)), str(tmp_path / "a.mhd"))
    assert len(list(tmp_path.iterdir())) == 2
    file = open_image(tmp_path / "a.mhd")
    file.write(tiny_label(3), tmp_path / "written" / "b.mhd")
    file.copy(tmp_path / "copied" / "a.mhd")
    for folder, voxels in (("written", tiny_label(3)), ("copied", tiny_label())):
        (path,) = (tmp_path / folder).iterdir()
        np.testing.assert_array_equal(open_image(path).voxels(), voxels)


def test_a_copy_is_the_same_file(tmp_path: Path) -> None:
    path = write_forms(tmp_path / "a.nii.gz", np.zeros((4, 4, 3), np.int16), AFFINE, AFFINE)
    open_image(path).copy(tmp_path / "sub" / "b.nii.gz")
    assert (tmp_path / "sub" / "b.nii.gz").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("ending", [".png", ".tif", ".bmp"])
def test_pictures_are_images_of_two_axes(ending: str, tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    voxels = tiny_label()[:, :7, 1]
    pillow.fromarray(np.ascontiguousarray(voxels.T)).save(tmp_path / f"a{ending}")
    file = open_image(tmp_path / f"a{ending}")
    assert (file.ndim, file.has_position, file.shape) == (2, False, (12, 7))
    np.testing.assert_array_equal(file.stack()[..., 0], voxels)
    file.write(voxels[::-1], tmp_path / f"b{ending}")
    np.testing.assert_array_equal(open_image(tmp_path / f"b{ending}").voxels(), voxels[::-1])


def test_colours_are_channels_of_a_picture(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    pillow.fromarray(np.zeros((5, 6, 3), np.uint8)).save(tmp_path / "a.png")
    file = open_image(tmp_path / "a.png")
    assert file.stack().shape == (6, 5, 3)
    assert file.stack(3).shape == (6, 5, 1, 3)  # never a volume of three slices
    assert (file.spatial(3), file.n_channels(3)) == ((6, 5, 1), 3)


def test_vectors_of_itk_are_channels_of_an_image(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    image = itk.GetImageFromArray(np.arange(60, dtype=np.float32).reshape(5, 6, 2), isVector=True)
    itk.WriteImage(image, str(tmp_path / "a.mha"))
    file = open_image(tmp_path / "a.mha")
    assert (file.ndim, file.n_channels(), file.n_channels(3)) == (2, 2, 2)
    np.testing.assert_array_equal(file.stack()[..., 1].T, np.arange(60).reshape(5, 6, 2)[..., 1])


@pytest.mark.parametrize(
    ("dtype", "highest", "kept"),
    [
        (np.uint8, 255, np.uint8),
        (bool, 1, np.int16),
        (np.int64, 32767, np.int16),
        (np.uint64, 40000, np.float32),
        (np.float64, 0.5, np.float32),
    ],
)
def test_voxels_of_any_type_make_an_image_that_every_program_reads(dtype: Any, highest: float, kept: Any) -> None:
    voxels = np.array([[[0, highest]]]).astype(dtype)
    image = nib.Nifti1Image.from_bytes(plain_image(voxels, np.eye(4)).to_bytes())
    assert image.get_data_dtype() == kept
    np.testing.assert_array_equal(np.asarray(image.dataobj), voxels)
