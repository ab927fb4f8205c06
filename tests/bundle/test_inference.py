"""Inference: every way to run it, and segmentations on the images' own grids."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import BUNDLE, TINY, infer, parser_of, same
from helpers import read_nifti, write_nifti
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import Transform
from scipy import ndimage
from scipy.spatial.transform import Rotation


@pytest.mark.slow
def test_inference_lies_on_the_inputs_own_grid_and_bears_its_name(trained: Path, phantom: Path, tmp_path: Path) -> None:
    image = nib.load(phantom / "patient001" / "patient001_frame01.nii.gz")
    turn = np.array([[0.0, -1, 0, 7], [1, 0, 0, -3], [0, 0, 1, 11], [0, 0, 0, 1]])
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    odd = nib.Nifti1Image(np.asarray(image.dataobj)[3:100, :87, 1:5], turn @ image.affine)
    nib.save(odd, folder / "sub" / "turned.nii.gz")
    nib.save(image, folder / "plain.nii")
    tiny = {k: v for k, v in TINY.items() if k.startswith(("network_def#", "device"))}
    run = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"),
        workflow_type="inference",
        logging_file=False,
        dataset_dir=str(folder),
        output_dir=str(tmp_path / "out"),
        ckpt_path=str(trained / "models" / "model.pt"),
        **tiny,
    )
    run.run()
    written = {str(p.relative_to(tmp_path / "out")): nib.load(p) for p in (tmp_path / "out").rglob("*.nii*")}
    assert set(written) == {"sub/turned.nii.gz", "plain.nii.gz"}
    for name, source in (("sub/turned.nii.gz", odd), ("plain.nii.gz", image)):
        assert written[name].shape == source.shape
        np.testing.assert_allclose(written[name].affine, source.affine, atol=1e-4)
        assert set(np.unique(np.asarray(written[name].dataobj))) <= {0, 1, 2, 3}


def test_workflow_of_images_given_by_hand(bundle: Path, small_phantom: Path, elsewhere: Path) -> None:
    run = monai.bundle.create_workflow(
        config_file=str(bundle / "configs" / "inference.json"),
        workflow_type="inference",
        bundle_root=str(bundle),
        logging_file=False,
    )
    image = small_phantom / "patient001" / "patient001_frame01.nii.gz"
    run.dataset_data = [{"image": str(image)}]
    run.initialize()
    run.run()
    assert run.evaluator.state.output[0]["pred"].shape[1:] == nib.load(image).shape


def test_run_in_the_bundles_folder(
    bundle: Path, small_phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    monai.bundle.run(
        config_file="configs/inference.json",
        dataset_dir=str(small_phantom / "patient002"),
        output_dir=str(tmp_path),
        logging_file=False,
    )
    images = [p.name for p in (small_phantom / "patient002").glob("*.nii.gz") if "_gt" not in p.name]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(images)


def test_tensorrt_overlay_keeps_the_network_where_there_is_no_tensorrt(
    bundle: Path, weights: dict[str, torch.Tensor], small_phantom: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("it would be compiled")
    run = infer(bundle, small_phantom / "patient001", tmp_path / "out", "inference_trt.json")
    assert run.check_properties() == []
    assert same(run.parser.get_parsed_content("network"), weights)
    assert run.parser.get_parsed_content("trt_args")["dynamic_batchsize"] == [1, 8, 8]
    assert list(run.parser.get_parsed_content("inferer").orig_roi_size) == [192, 192]


@pytest.mark.parametrize(
    "order", [["hippocampus.json", "inference_trt.json"], ["inference_trt.json", "hippocampus.json"]]
)
def test_tensorrt_overlay_leaves_a_3d_task_its_windows(order: list[str]) -> None:
    parser = parser_of(BUNDLE, "inference.json", *order)
    inferer = parser.get_parsed_content("inferer")
    assert type(inferer).__name__ == "SlidingWindowInferer"
    assert list(inferer.roi_size) == [40, 56, 40]


def test_preprocessing_bears_the_path_that_monai_label_keeps_with_an_image(phantom: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.json"))
    image = str(phantom / "patient001" / "patient001_frame01.nii.gz")
    data = parser.get_parsed_content("preprocessing")({"image": image, "image_path": image})
    assert data["image_path"] == image
    torch.testing.assert_close(data["image"].pixdim[:2], torch.tensor([1.5, 1.5], dtype=data["image"].pixdim.dtype))


def stored(image: nib.Nifti1Image, order: tuple[int, int, int]) -> nib.Nifti1Image:
    """The same image in space with its axes in another order."""
    affine = image.affine.copy()
    affine[:, :3] = affine[:, list(order)]
    return nib.Nifti1Image(np.asarray(image.dataobj).transpose(order), affine)


@pytest.fixture(scope="module")
def images(frame: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    voxels = np.asarray(frame.dataobj)[:, :, 2:5]
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", [50, 30, 70], degrees=True).as_matrix() @ frame.affine[:3, :3]
    oblique[:3, 3] = 17, -40, 3
    original = nib.Nifti1Image(voxels, oblique)
    quarter_turn = np.array([[0.0, -1, 0, 7], [1, 0, 0, -3], [0, 0, 1, 11], [0, 0, 0, 1]])
    reversed_affine = oblique.copy()
    reversed_affine[:3, 3] += (voxels.shape[2] - 1) * oblique[:3, 2]
    reversed_affine[:3, 2] *= -1
    return {
        "original": original,
        "upright": nib.Nifti1Image(voxels, frame.affine),
        "quarter_turned": nib.Nifti1Image(voxels, quarter_turn @ frame.affine),
        "slices_first": stored(original, (2, 0, 1)),
        "slices_second": stored(original, (0, 2, 1)),
        "upside_down": nib.Nifti1Image(voxels[:, :, ::-1], reversed_affine),
        "transposed": stored(original, (1, 0, 2)),
        "cropped": nib.Nifti1Image(voxels[31:98, 20:75, :2], oblique),
        "one_slice": nib.Nifti1Image(voxels[:, :, 2:], oblique),
        "tiny": nib.Nifti1Image(voxels[50:59, 50:57, :2], oblique),
        "anisotropic": nib.Nifti1Image(voxels[::3], oblique @ np.diag([3.0, 1, 1, 1])),
        "fine": nib.Nifti1Image(voxels[:60, :60, :2], oblique @ np.diag([0.4, 0.4, 1, 1])),
        "large": nib.Nifti1Image(np.tile(voxels[:, :, :1], (2, 2, 1)), oblique),
        "float_scaled": nib.Nifti1Image(voxels / 1000 - 3, oblique),
    }


@pytest.fixture(scope="module")
def segmented(bundle: Path, images: dict[str, nib.Nifti1Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grids")
    (folder / "in").mkdir()
    for name, image in images.items():
        nib.save(image, folder / "in" / f"{name}.nii.gz")
    infer(bundle, folder / "in", folder / "out")
    return folder / "out"


def test_every_segmentation_has_its_images_shape_and_affine(
    segmented: Path, images: dict[str, nib.Nifti1Image]
) -> None:
    assert sorted(p.name for p in segmented.iterdir()) == sorted(f"{name}.nii.gz" for name in images)
    for name, image in images.items():
        result = nib.load(segmented / f"{name}.nii.gz")
        assert result.shape == image.shape, name
        np.testing.assert_allclose(result.affine, image.affine, atol=1e-4, err_msg=name)
        assert result.get_data_dtype() == np.uint8
        assert read_nifti(segmented / f"{name}.nii.gz").max() <= 3


@pytest.mark.parametrize(
    ("name", "back"),
    [
        ("slices_first", lambda x: x.transpose(1, 2, 0)),
        ("slices_second", lambda x: x.transpose(0, 2, 1)),
        ("upside_down", lambda x: x[:, :, ::-1]),
    ],
)
def test_the_same_slices_stored_otherwise_are_segmented_alike(name: str, back: Any, segmented: Path) -> None:
    original = read_nifti(segmented / "original.nii.gz")
    assert len(np.unique(original)) > 1
    np.testing.assert_array_equal(back(read_nifti(segmented / f"{name}.nii.gz")), original)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("upright", "quarter_turned", 0.0),
        # MONAI begins the grid of an oblique image a fraction of a pixel elsewhere
        ("upright", "original", 0.1),
        ("original", "float_scaled", 1e-3),
    ],
)
def test_position_and_units_have_no_influence(one: str, other: str, share: float, segmented: Path) -> None:
    first, second = (read_nifti(segmented / f"{name}.nii.gz") for name in (one, other))
    assert (first != second).mean() <= share


def settings(value: Any) -> Any:
    """All attributes of a transform and of the transforms in it."""
    if isinstance(value, (list, tuple)):
        return [settings(item) for item in value]
    return {k: settings(v) for k, v in vars(value).items()} if isinstance(value, Transform) else repr(value)


def test_an_image_leaves_no_trace_in_the_transforms_that_all_requests_share(
    images: dict[str, nib.Nifti1Image], bundle: Path, tmp_path: Path
) -> None:
    """MONAI Label answers requests in threads: what one image sets, another one in the same moment would get."""
    preprocessing = parser_of(bundle, "inference.json").get_parsed_content("preprocessing")
    seen = []
    for name in ("original", "quarter_turned", "upside_down"):
        nib.save(images[name], tmp_path / f"{name}.nii.gz")
        preprocessing({"image": str(tmp_path / f"{name}.nii.gz")})
        seen.append(settings(preprocessing))
    assert seen[1] == seen[2] == seen[0]


# Every file that people have: segmented, or named.


def spoil(array: np.ndarray, value: float) -> np.ndarray:
    spoilt = array.astype(np.float64)
    spoilt[:3, 0, 0] = value
    return spoilt


def colours(array: np.ndarray) -> np.ndarray:
    rgb = np.zeros(array.shape, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    rgb["G"] = array % 256
    return rgb


BAD_VOXELS: dict[str, Any] = {
    "nan": lambda x: spoil(x, np.nan),
    "inf": lambda x: spoil(x, np.inf),
    "beyond": lambda x: spoil(x, 1e300),
    "complex": lambda x: x.astype(np.complex64),
    "colours": colours,
    "series": lambda x: np.stack([x, x], -1),
}
BAD_BYTES: dict[str, Any] = {
    "empty.nii.gz": lambda whole: b"",
    "pointer.nii.gz": lambda whole: b"version https://git-lfs.github.com/spec/v1\n",
    "photo.nii": lambda whole: b"\x89PNG\r\n\x1a\n" * 100,
    "packed.nii": lambda whole: whole,
    "unpacked.nii.gz": gzip.decompress,
    "checksum.nii.gz": lambda whole: whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
    "early.nii.gz": lambda whole: whole[: len(whole) // 2],
}


def test_images_with_problems_are_named_at_the_end_and_the_others_segmented(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    voxels = np.asarray(frame.dataobj)[:60, :60, 2:4]
    whole = write_nifti(tmp_path / "in" / "a_good.nii.gz", voxels).read_bytes()
    write_nifti(tmp_path / "in" / "z_good.nii", voxels)
    for name, change in BAD_VOXELS.items():
        write_nifti(tmp_path / "in" / f"{name}.nii.gz", change(voxels))
    for name, change in BAD_BYTES.items():
        (tmp_path / "in" / name).write_bytes(change(whole))
    (tmp_path / "in" / "preview.png").touch()
    with pytest.raises(SystemExit) as caught:
        infer(bundle, tmp_path / "in", tmp_path / "out")
    (message,) = str(caught.value).splitlines()
    bad = [f"{name}.nii.gz" for name in BAD_VOXELS] + list(BAD_BYTES)
    assert message.startswith(f"error: {len(bad)} of {len(bad) + 2} images were not segmented: ")
    for name in bad:
        assert f"{tmp_path}/in/{name} (" in message
    assert "good" not in message
    assert message.endswith("; passed over 1 pictures (.png, .tif, .tiff, .bmp) beside the volumes")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_good.nii.gz", "z_good.nii.gz"]
    np.testing.assert_array_equal(*(read_nifti(p) for p in (tmp_path / "out").iterdir()))


@pytest.mark.parametrize("ending", [".nrrd", ".mha", ".MHD"])
def test_a_volume_of_another_format_is_segmented_as_nifti_is_and_in_its_own_format(
    ending: str, bundle: Path, images: dict[str, nib.Nifti1Image], tmp_path: Path
) -> None:
    itk = pytest.importorskip("SimpleITK")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    nib.save(images["original"], tmp_path / "in" / "a.nii.gz")
    path = tmp_path / "in" / "sub" / f"b{ending.lower()}"
    itk.WriteImage(itk.ReadImage(str(tmp_path / "in" / "a.nii.gz")), str(path))
    path.rename(path.with_suffix(ending))
    infer(bundle, tmp_path / "in", tmp_path / "out")
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")) == [
        "a.nii.gz",
        f"sub/b{ending}",
    ]
    reader = "NrrdImageIO" if ending == ".nrrd" else "MetaImageIO"
    result = itk.ReadImage(str(tmp_path / "out" / "sub" / f"b{ending}"), imageIO=reader)
    expected = itk.ReadImage(str(tmp_path / "out" / "a.nii.gz"))
    assert itk.GetArrayFromImage(expected).any()
    np.testing.assert_array_equal(itk.GetArrayFromImage(result), itk.GetArrayFromImage(expected))
    np.testing.assert_allclose(result.GetOrigin(), expected.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(result.GetDirection(), expected.GetDirection(), atol=1e-5)


@pytest.mark.parametrize("ending", [".nii.gz", ".png"])
def test_an_image_of_two_axes_is_segmented_as_a_volume_of_one_slice(
    ending: str, bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    plane = np.asarray(frame.dataobj)[:, :, 4]
    plane = np.rint(255 * np.clip(plane / np.percentile(plane, 99.9), 0, 1)).astype(np.uint8)
    spacing = np.diag([1.0, 1.0, 1.0, 1.0])
    write_nifti(tmp_path / "volume" / "a.nii.gz", plane[:, :, None], spacing)
    if ending == ".png":
        (tmp_path / "plane").mkdir()
        pytest.importorskip("PIL.Image").fromarray(plane.T).save(tmp_path / "plane" / "a.png")
    else:
        write_nifti(tmp_path / "plane" / "a.nii.gz", plane, spacing)
    for name in ("volume", "plane"):
        infer(bundle, tmp_path / name, tmp_path / f"{name}_out")
    expected = read_nifti(tmp_path / "volume_out" / "a.nii.gz")[:, :, 0]
    assert expected.any()
    if ending == ".png":
        result = np.asarray(pytest.importorskip("PIL.Image").open(tmp_path / "plane_out" / "a.png")).T
    else:
        result = read_nifti(tmp_path / "plane_out" / "a.nii.gz")
    np.testing.assert_array_equal(result, expected)


def test_an_image_of_several_channels_is_one_file_or_one_a_channel(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    voxels, affine = np.asarray(frame.dataobj)[:60, :60, 2:4], frame.affine
    other = voxels[::-1].copy()
    write_nifti(tmp_path / "in" / "whole.nii.gz", np.stack([voxels, other], -1), affine)
    for i, channel in enumerate((voxels, other)):
        write_nifti(tmp_path / "in" / f"parts_{i:04d}.nii.gz", channel, affine)
    write_nifti(tmp_path / "in" / "half_0000.nii.gz", voxels, affine)
    write_nifti(tmp_path / "in" / "three.nii.gz", np.stack([voxels] * 3, -1), affine)
    torch.manual_seed(0)
    with pytest.raises(SystemExit) as caught:
        infer(bundle, tmp_path / "in", tmp_path / "out", in_channels=2, load_pretrain=False)
    message = str(caught.value)
    assert message.startswith("error: 2 of 4 images were not segmented: ")
    assert "half_0000.nii.gz (has channels in 1 file, but the network takes 2" in message
    assert "three.nii.gz (has 3 channels, but the network takes 2" in message
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["parts.nii.gz", "whole.nii.gz"]
    whole, parts = (nib.load(tmp_path / "out" / f"{name}.nii.gz") for name in ("whole", "parts"))
    assert whole.shape == parts.shape == voxels.shape
    np.testing.assert_array_equal(np.asarray(whole.dataobj), np.asarray(parts.dataobj))
    np.testing.assert_allclose(whole.affine, affine, atol=1e-4)


def test_without_the_package_other_formats_are_named(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nifti(tmp_path / "in" / "a.nii.gz", np.asarray(frame.dataobj)[:60, :60, 2:4])
    (tmp_path / "in" / "b.mha").write_text("ObjectType = Image")
    monkeypatch.setitem(sys.modules, "monai_selfcleanse.cases.image_file", None)
    with pytest.raises(SystemExit, match=r"b\.mha \(needs the package monai-selfcleanse with its extra itk"):
        infer(bundle, tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "a.nii.gz").is_file()


@pytest.mark.parametrize("more", [(), (1,), (1, 1)])
@pytest.mark.parametrize(("slices", "name"), [(2, "a.nii.gz"), (1, "A.NII.GZ"), (2, "a.b.NII")])
def test_a_segmentation_has_its_images_axes_and_name(
    slices: int, name: str, more: tuple[int, ...], bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    voxels = np.asarray(frame.dataobj)[:, :, 2 : 2 + slices]
    lower = write_nifti(tmp_path / "in" / "st[1]udy" / name.lower(), voxels.reshape(*voxels.shape, *more), frame.affine)
    lower.rename(lower.with_name(name))
    infer(bundle, tmp_path / "in", tmp_path / "out")
    (written,) = (tmp_path / "out").rglob("*.*")
    assert written == tmp_path / "out" / "st[1]udy" / f"{name[: name.lower().index('.nii')]}.nii.gz"
    assert nib.load(written).shape == (*voxels.shape, *more)
    assert read_nifti(written).max() > 0


@pytest.mark.parametrize(
    ("structures", "dtype"),
    [
        ({"1": "rv", "2": "myo", "3": "lv"}, np.uint8),
        ({"4": "lv", "1": "rv", "2": "myo"}, np.uint8),
        ({"85": "rv", "170": "myo", "255": "lv"}, np.uint8),
        ({"10": "lv", "9": "myo", "8": "rv"}, np.uint8),
        ({"100": "rv", "205": "myo", "500": "lv"}, np.uint16),
    ],
)
def test_segmentations_have_the_structures_own_values(
    structures: dict[str, str], dtype: Any, bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "in" / "a.nii.gz", np.asarray(frame.dataobj), frame.affine)
    for name, of in (("plain", {"one_piece": []}), ("own", {"structures": structures})):
        infer(bundle, tmp_path / "in", tmp_path / name, **of)
    plain, own = (read_nifti(tmp_path / name / "a.nii.gz") for name in ("plain", "own"))
    assert len(np.unique(plain)) > 2
    values = np.array([0, *sorted(map(int, structures))])
    np.testing.assert_array_equal(own, values[plain])
    assert own.dtype == dtype


def test_a_mirrored_image_is_segmented_as_the_mirror_image_unless_mirroring_is_off(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    voxels = np.asarray(frame.dataobj)[:64, :64]  # nothing is padded more on one side than on the other
    for name, image in (("as it is", voxels), ("mirrored", voxels[::-1])):
        write_nifti(tmp_path / name / "a.nii.gz", image, np.diag([1.5, 1.5, 10, 1]))
    differing = {}
    for option, of in (("on", {}), ("off", {"mirror_axis": None})):
        for name in ("as it is", "mirrored"):
            infer(bundle, tmp_path / name, tmp_path / option / name, **of)
        found, mirrored = (read_nifti(tmp_path / option / name / "a.nii.gz") for name in ("as it is", "mirrored"))
        assert found.any()
        differing[option] = int((found[::-1] != mirrored).sum())
    assert differing["on"] == 0 < differing["off"]


def test_hearts_are_in_one_piece_unless_all_pieces_are_asked_for(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    write_nifti(tmp_path / "in" / "a.nii.gz", np.asarray(frame.dataobj), frame.affine)
    for name, of in (("one", {}), ("all", {"one_piece": []}), ("rv", {"one_piece": ["right ventricle"]})):
        infer(bundle, tmp_path / "in", tmp_path / name, **of)
    one, everything, rv = (read_nifti(tmp_path / name / "a.nii.gz") for name in ("one", "all", "rv"))
    assert (one != everything).any()  # or nothing is shown here
    for k in (1, 2, 3):
        near = ndimage.binary_dilation(everything == k, np.ones((2, 2, 2)))
        pieces = ndimage.label(near, np.ones((3, 3, 3)))[0] * (everything == k)
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        np.testing.assert_array_equal(one == k, largest)
        np.testing.assert_array_equal(rv == k, largest if k == 1 else everything == k)


@pytest.mark.parametrize("structures", [{"255": "heart"}, {255: "heart"}, {"1": "a", "2": "b", "4": "c"}])
def test_a_network_has_a_class_for_each_structure_and_the_background(structures: dict[Any, str]) -> None:
    for config in ("train.json", "inference.json"):
        parser = parser_of(BUNDLE, config)
        parser["structures"] = structures
        assert parser.get_parsed_content("num_classes") == len(structures) + 1
