"""The functions of ``scripts/inference.py``, as ``inference.json`` loads them."""

from __future__ import annotations

import gzip
import logging
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import BUNDLE
from helpers import write_nifti
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import LoadImage
from scipy.spatial.transform import Rotation

from monai_selfcleanse.cli.sizes import check_roi

SCRIPTS: dict[str, Any] = runpy.run_path(str(BUNDLE / "scripts" / "inference.py"))
find_images, slices_last, as_stored = (SCRIPTS[name] for name in ("find_images", "slices_last", "as_stored"))
check_inputs, finish, read_weights = (SCRIPTS[name] for name in ("check_inputs", "finish", "read_weights"))
checked, or_problem, output_name = (SCRIPTS[name] for name in ("checked", "or_problem", "output_name"))

VOXELS = np.zeros((4, 4, 2), dtype=np.int16)


# What the network says of an image.


class Uneven(torch.nn.Module):
    """Logits of two classes that depend on where a voxel lies, so that a mirrored image gives others."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        where = torch.arange(1.0, 1 + x[0, 0].numel()).reshape(x.shape[2:])
        return torch.cat([x * where, x - where], 1)


@pytest.mark.parametrize(
    ("inferer", "axes"),
    [(SimpleInferer(), 3), (SliceInferer(roi_size=[4, 6], spatial_dim=2), 2), (SlidingWindowInferer([2, 3, 2]), 3)],
)
def test_a_mirrored_image_is_segmented_as_the_mirror_image(inferer: Any, axes: int) -> None:
    image = torch.rand(2, 1, 4, 6, 2, generator=torch.Generator().manual_seed(0))
    alone = inferer(image, Uneven())
    for axis in range(axes):
        both = SCRIPTS["MirroredInferer"](inferer, axis)
        out, mirrored = both(image, Uneven()), both(image.flip(2 + axis), Uneven())
        torch.testing.assert_close(mirrored, out.flip(2 + axis))
        torch.testing.assert_close(out, (alone + inferer(image.flip(2 + axis), Uneven()).flip(2 + axis)) / 2)
        assert not torch.allclose(out, alone)
    assert torch.equal(SCRIPTS["MirroredInferer"](inferer, None)(image, Uneven()), alone)


class Kept(torch.nn.Module):
    """Returns one and the same tensor at each call, as a compiled engine does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.out = getattr(self, "out", torch.empty_like(x))
        return self.out.copy_(x * torch.arange(1.0, 1 + x[0, 0].numel()).reshape(x.shape[2:]))


def test_a_network_may_fill_its_output_again() -> None:
    image = torch.ones(1, 1, 3, 1, 1)
    out = SCRIPTS["MirroredInferer"](SimpleInferer(), 0)(image, Kept())
    assert out.flatten().tolist() == [2, 2, 2]


# Structures in one piece.


def test_each_structure_in_one_piece_keeps_its_largest_and_others_keep_all() -> None:
    row = torch.tensor([1, 1, 0, 1, 0, 0, 1, 2, 0, 0, 2, 2, 3, 0, 0, 3, 3])
    index = MetaTensor(row[None, :, None, None].expand(1, -1, 2, 2).float(), affine=torch.diag(torch.arange(1.0, 5)))
    names = {"10": "ventricle", "20": "tumour", "30": "wall"}

    def kept(one_piece: list[str]) -> list[int]:
        out = SCRIPTS["largest_pieces"](index, names, one_piece)
        assert torch.equal(out.affine, index.affine)
        return out[0, :, 1, 1].tolist()

    before = index.clone()
    assert kept(["ventricle", "wall"]) == [1, 1, 0, 1, 0, 0, 0, 2, 0, 0, 2, 2, 0, 0, 0, 3, 3]
    assert kept([]) == row.tolist()
    assert torch.equal(index, before)


@pytest.mark.parametrize("small", [1, 4])
def test_a_small_ventricle_in_the_heart_is_kept_and_not_something_larger_elsewhere(small: int) -> None:
    ventricle, wall = 1, 2
    row = [wall] * 12 + [ventricle] * small + [wall] * 3 + [0] * 4 + [ventricle] * 7
    index = torch.tensor(row)[None, :, None, None].expand(1, -1, 2, 2)
    out = SCRIPTS["largest_pieces"](index, {"1": "ventricle", "2": "wall"}, ["ventricle", "wall"])[0, :, 0, 0].tolist()
    heart, elsewhere = out[12 : 12 + small], out[-7:]
    if small == 4:
        assert (set(heart), set(elsewhere)) == ({ventricle}, {0})
    else:  # a speck is none
        assert (set(heart), set(elsewhere)) == ({0}, {ventricle})


def test_two_kidneys_are_both_kept() -> None:
    index = torch.tensor([1] * 9 + [2] * 1 + [0] * 5 + [2] * 12)[None, :, None, None].expand(1, -1, 2, 2)
    out = SCRIPTS["largest_pieces"](index, {"1": "left", "2": "right"}, ["left", "right"])[0, :, 0, 0].tolist()
    assert out == [1] * 9 + [0] + [0] * 5 + [2] * 12


@pytest.mark.parametrize("shape", [(1, 9, 3, 1), (1, 9, 3)])
def test_a_single_slice_keeps_all_pieces(shape: tuple[int, ...]) -> None:
    index = torch.zeros(shape)
    index[:, [0, 4, 5]] = 1
    assert torch.equal(SCRIPTS["largest_pieces"](index, {"1": "wall"}, ["wall"]), index)


def test_values_that_are_texts_are_in_the_order_of_numbers() -> None:
    index = torch.tensor([1, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 2])[None, :, None, None].expand(1, -1, 2, 2)
    out = SCRIPTS["largest_pieces"](index, {"10": "second", "9": "first"}, ["first"])
    assert out[0, :, 0, 0].tolist() == [0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 2, 2]


@pytest.mark.parametrize("wrong", ["liver", ["liver"], [1], None])
def test_what_is_no_list_of_structures_names_ends_in_one_line(wrong: Any) -> None:
    with pytest.raises(SystemExit, match=r"error: one_piece must be a list .*lung.*or \"\[\]\" for none"):
        SCRIPTS["check_one_piece"](wrong, {"1": "lung"})
    SCRIPTS["check_one_piece"](["lung"], {"1": "lung"})


# Finding images.


def found(folder: Path, output: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in find_images(str(folder), str(output))]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_images_of_all_folders_are_found_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b.nii", "a.nii.gz", "sub/deep/c.nii.gz", "notes.txt", "a.nii.gz.txt", "d.nii.bak")
    assert found(tmp_path, tmp_path / "out") == ["a.nii.gz", "b.nii", "sub/deep/c.nii.gz"]


def test_labels_and_heart_cycles_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path, "p_gt.nii.gz", "p_4d.nii.gz", "p.nii.gz", "labels/a.nii", "labelsTr/a.nii", "labelsTs/a.nii")
    assert found(tmp_path, tmp_path / "out") == ["p.nii.gz"]


def test_segmentations_of_an_earlier_run_are_no_images_where_their_folder_lies_inside(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.nii", "in/out/a.nii", "in/output/b.nii")
    assert found(tmp_path / "in", tmp_path / "in" / "out") == ["a.nii", "output/b.nii"]
    assert found(tmp_path / "in", tmp_path / "in") == ["a.nii", "out/a.nii", "output/b.nii"]
    assert found(tmp_path / "in", tmp_path) == ["a.nii", "out/a.nii", "output/b.nii"]


def test_pictures_are_images_where_there_is_no_volume(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.TIF", "c.bmp", "d.jpg")
    assert found(tmp_path, tmp_path / "out") == ["a.png", "b.TIF", "c.bmp"]
    touch(tmp_path, "e.mha")
    assert found(tmp_path, tmp_path / "out") == ["e.mha"]


def test_files_of_one_image_differ_in_their_channels_number_alone(tmp_path: Path) -> None:
    names = ["a_0000.nii.gz", "a_0001.NII.GZ", "b/a_0000.nii.gz", "b/a_0001.nii.gz", "c.nii.gz", "d_0000.nii.gz"]
    touch(tmp_path, *names)
    several = find_images(str(tmp_path), str(tmp_path / "out"), 2)
    a, b, c, d = (
        [str(Path(p).relative_to(tmp_path)) for p in (one if isinstance(one, list) else [one])] for one in several
    )
    assert (a, b, c, d) == (names[:2], names[2:4], names[4:5], names[5:])
    assert isinstance(several[2], str)
    assert isinstance(several[3], list)  # the other channel is missing, which is said
    assert found(tmp_path, tmp_path / "out") == names  # a network of one channel segments each


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert find_images(str(tmp_path / "no"), str(tmp_path)) == []


@pytest.mark.parametrize("ending", ["nii.gz", "NII.GZ", "Nii.gz", "nii", "NII", "Nii"])
def test_endings_may_have_capitals(ending: str, tmp_path: Path) -> None:
    touch(tmp_path, f"a.{ending}", f"b_gt.{ending}", f"c_GT.{ending}", f"d_4D.{ending}")
    assert found(tmp_path, tmp_path / "out") == [f"a.{ending}"]
    assert output_name({"filename_or_obj": f"in.nii/a.b.{ending}"}) == {"subject": "in.nii/a.b.nii.gz", "idx": None}


@pytest.mark.parametrize("name", ["._a.nii.gz", ".hidden/a.nii", "__MACOSX/a.nii.gz", "sub/__MACOSX/p/._a.nii"])
def test_hidden_files_and_what_a_mac_adds_to_archives_are_no_images(name: str, tmp_path: Path) -> None:
    touch(tmp_path, name, "a.nii")
    assert found(tmp_path, tmp_path / "out") == ["a.nii"]


def test_a_hidden_folder_that_is_asked_for_is_looked_into(tmp_path: Path) -> None:
    touch(tmp_path, ".cache/a.nii")
    assert found(tmp_path / ".cache", tmp_path / "out") == ["a.nii"]


@pytest.mark.parametrize("name", ["st[1]udy", "a*b", "what?", "[!a]", "a.nii.gz"])
def test_folders_may_have_any_names(name: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{name}/sub/a.nii")
    assert found(tmp_path / name, tmp_path / "out") == ["sub/a.nii"]
    assert found(tmp_path, tmp_path / "out") == [f"{name}/sub/a.nii"]


def test_what_only_looks_like_a_file_is_named_and_never_opened(tmp_path: Path) -> None:
    """To open a pipe is to wait for ever."""
    touch(tmp_path, "a.nii")
    os.mkfifo(tmp_path / "pipe.nii")
    (tmp_path / "link.nii").symlink_to("a.nii")
    (tmp_path / "nowhere.nii").symlink_to(".git/annex/objects/a.nii")
    assert found(tmp_path, tmp_path / "out") == ["a.nii", "link.nii", "nowhere.nii", "pipe.nii"]
    data = SCRIPTS["or_problem"](dict)({"image": str(tmp_path / "pipe.nii")})
    assert data["problem"] == "is a pipe or a device, no file; take it out of the folder"


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path, "in/one/a.nii", "elsewhere/b.nii")
    (tmp_path / "in" / "one" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "two").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "three").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in")
    assert found(tmp_path / "in", tmp_path / "out") == ["one/a.nii", "three/b.nii", "two/b.nii"]


# Orientation.


def image_of(
    sizes: tuple[float, ...], order: tuple[int, ...], flips: tuple[int, ...], angles: tuple[int, ...]
) -> MetaTensor:
    """An image whose axes have these voxel sizes, in that order and direction, turned by angles in degrees."""
    affine = np.eye(4)
    turned = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine[:3, :3] = turned @ np.eye(3)[:, list(order)] * np.array(flips) * np.array(sizes)
    affine = affine.astype(np.float32).astype(np.float64)  # as a header has it
    voxels = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4)
    meta = {"original_affine": affine, "spatial_shape": np.array(voxels.shape[1:])}
    return MetaTensor(voxels, affine=torch.from_numpy(affine), meta=meta)


@given(
    sizes=st.tuples(*[st.sampled_from([1.0, 1.5, 10.0])] * 3),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    angles=st.tuples(*[st.sampled_from([0, 45, 135, 225]) | st.integers(0, 359)] * 3),
)
def test_the_largest_voxel_size_comes_last_and_the_way_back_is_exact(
    sizes: tuple[float, ...], order: list[int], flips: tuple[int, ...], angles: tuple[int, ...]
) -> None:
    image = image_of(sizes, tuple(order), flips, angles)
    turned = slices_last(image)
    across = max(range(3), key=lambda axis: (sizes[axis], axis))
    kept = [axis for axis in range(3) if axis != across]
    assert torch.equal(turned.as_tensor(), image.as_tensor().permute(0, *(1 + axis for axis in (*kept, across))))
    np.testing.assert_allclose(turned.pixdim, [sizes[axis] for axis in (*kept, across)], rtol=1e-6)
    turned.affine = turned.affine + 1e-6  # what a way back through other steps may leave
    back = as_stored(turned)
    assert torch.equal(back.as_tensor(), image.as_tensor())
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-5)
    assert as_stored(back) is back


# Checks.


@pytest.mark.parametrize(
    ("inferer", "spatial_dims", "divisible_by"),
    [
        (SliceInferer(roi_size=[-1, -1]), 2, 4),
        (SliceInferer(roi_size=[-1, -1]), 2, 2),
        (SliceInferer(roi_size=[0, 33]), 2, 4),
        (SliceInferer(roi_size=[32, 48]), 2, 4),
        (SliceInferer(roi_size=[33, 33]), 2, 4),
        (SlidingWindowInferer(16), 2, 4),
        (SlidingWindowInferer(15), 2, 4),
        (SlidingWindowInferer([16, 16, 8]), 3, 2),
        (SlidingWindowInferer([16, 16, 7]), 3, 2),
        (SlidingWindowInferer([-1, -1, -1]), 3, 2),
        (SimpleInferer(), 2, 2),
    ],
)
def test_slices_are_tried_as_before_a_training(inferer: Any, spatial_dims: int, divisible_by: int) -> None:
    network = UNet(spatial_dims, 1, 2, channels=(4, 8, 16), strides=(2, 2), norm="BATCH").train()
    problems = []
    for check in (check_roi, SCRIPTS["check_slices"]):
        try:
            check(inferer, network, 1, spatial_dims, divisible_by)
            problems.append("")
        except (ValueError, SystemExit) as error:
            problems.append(str(error).removeprefix("error: "))
    assert problems[0] == problems[1]
    assert network.training


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("full"), RuntimeError("can't allocate memory")])
def test_too_little_memory_is_no_wrong_size(error: RuntimeError) -> None:
    class Large(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise error

    for check in (check_roi, SCRIPTS["check_slices"]):
        with pytest.raises(RuntimeError):
            check(SliceInferer(roi_size=[16, 16]), Large(), 1, 2, 4)


def test_the_machines_memory_is_what_a_training_takes_it_for() -> None:
    code = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30));"
        "from monai_selfcleanse.data.resampling import _memory;"
        f"print(_memory(), runpy.run_path({str(BUNDLE / 'scripts' / 'inference.py')!r})['_memory']())"
    )
    for prefix in ("", "import resource; resource.setrlimit = lambda *_: None; "):
        done = subprocess.run([sys.executable, "-c", prefix + code], capture_output=True, text=True, check=True)
        one, other = done.stdout.split()
        assert one == other
        assert prefix or int(one) <= 6 << 30


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Linear(2, 3)


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, str]]:
    return [{"image": str(write_nifti(tmp_path / "in" / f"{name}.nii.gz", VOXELS))} for name in "ab"]


def check(folder: Path, cases: list[dict[str, str]], ckpt_path: Path | None = None, output: str = "out") -> dict:
    """Run :func:`check_inputs` on images in ``folder/in``, and return the images' problems."""
    problems: dict[str, str] = {}
    weights = None if ckpt_path is None else str(ckpt_path)
    check_inputs(weights, torch.nn.Linear(2, 3), cases, str(folder / "in"), str(folder / output), problems)
    return problems


def test_good_inputs_pass(network: torch.nn.Module, cases: list[dict[str, str]], tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pt")
    assert check(tmp_path, cases, tmp_path / "model.pt") == {}
    assert check(tmp_path, cases) == {}


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.dcm", "in/sub/b.txt", "in/._c.mha")
    with pytest.raises(SystemExit) as caught:
        check(tmp_path, [], tmp_path / "model.pt")
    assert str(caught.value).splitlines() == [
        f"error: ckpt_path '{tmp_path}/model.pt' is missing, or no state dict that torch.save has written; give "
        "another one with --ckpt_path",
        f"dataset_dir '{tmp_path}/in' holds no image: expected .nii or .nii.gz files (or .nrrd, .mha, .mhd, "
        ".png, .tif, .tiff, .bmp) in it or in folders below",
    ]


def test_entries_of_weights_that_do_not_fit_are_counted_and_named(cases: list[dict[str, str]], tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3, 3), "other": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(SystemExit, match="3 entries are missing, unknown or of another shape, such as bias, other, w"):
        check(tmp_path, cases, tmp_path / "model.pt")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_are_refused(
    value: float, network: torch.nn.Module, cases: list[dict[str, str]], tmp_path: Path
) -> None:
    weights = network.state_dict()
    weights["bias"][1] = value
    torch.save(weights, tmp_path / "model.pt")
    with pytest.raises(SystemExit, match=r"model.pt' holds NaN or infinity in 1 entries, such as bias: .* --ckpt_path"):
        check(tmp_path, cases, tmp_path / "model.pt")


def test_segmentations_in_the_images_own_place_are_refused(cases: list[dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "link"):
        with pytest.raises(SystemExit, match="would have images of dataset_dir overwritten"):
            check(tmp_path, cases, output=output)


@pytest.mark.parametrize("other", ["a.nii", "a.NII", "a.NII.GZ"])
def test_two_images_whose_segmentations_would_have_one_name_are_refused(
    other: str, cases: list[dict[str, str]], tmp_path: Path
) -> None:
    cases.append({"image": str(tmp_path / "in" / other)})
    with pytest.raises(SystemExit, match=rf"(?s)into one file; rename one.*in/a\.nii\.gz and .*in/{other}$"):
        check(tmp_path, cases)


def test_images_are_read_as_nibabel_reads_them(tmp_path: Path) -> None:
    """The check does not depend on a file's ending alone: nibabel reads Analyze pairs, too."""
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), tmp_path / "pair.img")
    assert check(tmp_path, [{"image": str(tmp_path / "pair.img")}]) == {}


def test_only_tensors_are_read_from_weights(network: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    assert read_weights(str(path)) is None
    torch.save(network, path)
    assert read_weights(str(path)) is None
    torch.save(network.state_dict(), path)
    assert read_weights(str(path)).keys() == network.state_dict().keys()


# Images that cannot be segmented.


def packed(path: Path) -> bytes:
    return write_nifti(
        path.with_name("whole.nii.gz"), np.arange(4096, dtype=np.float64).reshape(16, 16, 16)
    ).read_bytes()


def damaged(path: Path) -> bytes:
    """Packed whole, but with another checksum at its end."""
    whole = packed(path)
    return whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:]


COLOURS = np.zeros((4, 4, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
CONTENT: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "empty": ("a.nii.gz", lambda _: b"", "is empty; fetch it again"),
    "pointer": ("a.nii", lambda _: b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer.*git lfs pull"),
    "text": ("a.nii", lambda _: b"no image", r"is no NIfTI file.*\(ImageFileError\)"),
    "packed text": ("a.nii.gz", lambda _: gzip.compress(b"no image"), "is no NIfTI file"),
    "text in the place of a packed file": ("a.nii.gz", lambda _: b"<html>", "is no NIfTI file"),
    "packed": ("a.nii", packed, r"holds a packed file, .* ends in \.nii; rename it .* in \.nii\.gz"),
    "unpacked": ("a.NII.GZ", lambda p: gzip.decompress(packed(p)), r"an unpacked file, .* in \.nii\.gz; .* in \.nii$"),
}
VOXELS_OF: dict[str, tuple[np.ndarray, str]] = {
    "line": (VOXELS[:, 0, 0], r"has the shape \(4,\), but three axes are wanted"),
    "series": (np.stack([VOXELS, VOXELS], -1), r"has the shape \(4, 4, 2, 2\), but three axes"),
    "colours": (COLOURS, r"holds colours \(RGB\)"),
    "complex": (VOXELS + np.complex64(1j), "holds complex numbers; save their magnitude"),
}


@pytest.mark.parametrize("kind", [*CONTENT, *VOXELS_OF])
def test_problems_that_a_files_beginning_tells_are_named_before_any_work(
    kind: str, cases: list[dict[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if kind in CONTENT:
        name, content, match = CONTENT[kind]
        path = tmp_path / "in" / f"bad-{name}"
        path.write_bytes(content(tmp_path / "whole"))
    else:
        voxels, match = VOXELS_OF[kind]
        path = write_nifti(tmp_path / "in" / "bad.nii.gz", voxels)
    problems = check(tmp_path, [*cases, {"image": str(path)}])
    assert list(problems) == [str(path)]
    assert re.search(match, problems[str(path)])
    assert f"not segmented: {path}: {problems[str(path)]}" in caplog.text
    with pytest.raises(SystemExit, match=r"(?s)error: none of the images \(1\) can be segmented:.*bad"):
        check(tmp_path, [{"image": str(path)}])


def test_a_link_to_nowhere_is_named(cases: list[dict[str, str]], tmp_path: Path) -> None:
    (tmp_path / "in" / "link.nii.gz").symlink_to(".git/annex/objects/a.nii.gz")
    problems = check(tmp_path, [*cases, {"image": str(tmp_path / "in" / "link.nii.gz")}])
    assert "a link to a file that is not there" in problems[str(tmp_path / "in" / "link.nii.gz")]


def spoilt(value: float) -> np.ndarray:
    voxels = np.zeros((4, 4, 2))
    voxels[:3, 0, 0] = value
    return voxels


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (np.nan, "of 32 voxels, 3 are NaN; put numbers in their place"),
        (np.inf, "of 32 voxels, 3 are infinite, or beyond what 32 bits can hold"),
        (-np.inf, "of 32 voxels, 3 are infinite, or beyond what 32 bits can hold"),
        (1e300, "of 32 voxels, 3 are infinite, or beyond what 32 bits can hold"),
    ],
)
def test_voxels_that_are_no_numbers_are_named(value: float, match: str, tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", spoilt(value))
    with pytest.raises(ValueError, match=match):
        checked(LoadImage(ensure_channel_first=True)(path))
    assert problem_of(path).startswith(match)


def problem_of(path: Path) -> str:
    def preprocessing(case: dict[str, Any]) -> dict[str, Any]:
        return {"image": checked(LoadImage(ensure_channel_first=True)(case["image"]))}

    return or_problem(preprocessing)({"image": str(path)}).get("problem", "")


def test_a_packed_file_is_read_to_its_checksum(tmp_path: Path) -> None:
    """nibabel reads these voxels without a word."""
    path = tmp_path / "a.nii.gz"
    path.write_bytes(damaged(tmp_path / "whole"))
    assert nib.load(path).get_fdata().max() == 4095
    assert problem_of(path).startswith("is damaged: it cannot be unpacked to its end (BadGzipFile: CRC check failed")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_ends_early_is_named(share: float, tmp_path: Path) -> None:
    whole = packed(tmp_path / "whole")
    (tmp_path / "a.nii.gz").write_bytes(whole[: int(len(whole) * share)])
    assert "is damaged: it cannot be unpacked to its end" in problem_of(tmp_path / "a.nii.gz")
    plain = gzip.decompress(whole)
    (tmp_path / "a.nii").write_bytes(plain[: int(len(plain) * share)])
    assert re.match(r"cannot be read \(.+\); fetch it again, or take it out", problem_of(tmp_path / "a.nii"))


def test_values_too_far_apart_are_named(tmp_path: Path) -> None:
    path = str(write_nifti(tmp_path / "a.nii.gz", VOXELS))
    transform = or_problem(lambda case: {"image": torch.tensor([0.0, np.inf])})
    assert transform({"image": path})["problem"] == "has values too far apart for 32 bits; scale them"


def test_a_position_that_is_none_is_named() -> None:
    image = MetaTensor(torch.zeros(1, 2, 2, 2), affine=torch.diag(torch.tensor([1.0, 0, 1, 1])))
    with pytest.raises(ValueError, match="says no valid position"):
        checked(image)


@pytest.mark.parametrize("more", [(), (1,), (1, 1)])
def test_axes_of_length_1_at_the_end_are_passed_over(more: tuple[int, ...], tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VOXELS.reshape(*VOXELS.shape, *more))
    assert check(tmp_path, [{"image": str(path)}]) == {}
    assert checked(LoadImage(ensure_channel_first=True)(path)).shape == (1, *VOXELS.shape)


def test_the_closing_line_names_what_was_not_segmented(
    cases: list[dict[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def closing(problems: dict[str, str]) -> str:
        caplog.clear()
        with caplog.at_level(logging.INFO):
            finish(cases, str(tmp_path / "in"), "out", problems)
        return caplog.messages[-1]

    assert closing({}) == "segmented 2 images, see out"
    touch(tmp_path, "in/c.png", "in/d.TIF")
    assert closing({}) == (
        "segmented 2 images, see out; passed over 2 pictures (.png, .tif, .tiff, .bmp) beside the volumes"
    )
    with pytest.raises(SystemExit) as caught:
        closing({"a": "is empty", "b": "is damaged"})
    assert str(caught.value).startswith("error: 2 of 2 images were not segmented: a (is empty), b (is damaged); passed")
    with pytest.raises(SystemExit, match="z19 \\(is empty\\), and 3 more; passed over"):
        closing({f"z{i}": "is empty" for i in range(23)})


# The command line.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--dataset_dri", "X"], "--dataset_dri: no config defines 'dataset_dri'; did you mean dataset_dir?"),
        (["--ckpt-pth=X"], "--ckpt_pth: no config defines 'ckpt_pth'; did you mean ckpt_path?"),
        (["--evaluator#apm#x", "1"], "no config defines 'evaluator#apm'; did you mean evaluator#amp?"),
        (["--handlers#9#x", "1"], "no config defines 'handlers#9'"),
        (["--dataset-dir", "X", "--inferer#overlap=0.5", "--preprocessing_steps::pad::mode", "edge"], ""),
        (["--mirror_axis", "None"], "--mirror_axis None: MONAI passes over a plain None; give --mirror_axis '$None'"),
        (["--mirror_axis=None"], "give --mirror_axis '$None'"),
        (["--mirror_axis", "$None"], ""),
        ([], ""),
        (["--bundle_root", "B", "--handlers#0#strict", "True", "--meta_file", "M", "--", "--trace"], ""),
    ],
)
@pytest.mark.parametrize("form", ["{}", "['{}']", "{},{}"])
def test_an_option_that_no_config_defines_ends_the_program(
    options: list[str], words: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Main:
        class __spec__:  # noqa: N801
            name = "monai.bundle.__main__"

    file = str(BUNDLE / "configs" / "inference.json")
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--config_file", form.format(file, file), *options])
    SCRIPTS["check_command_line"]()  # another program's
    monkeypatch.setitem(sys.modules, "__main__", Main)
    if words:
        with pytest.raises(SystemExit, match=re.escape(words)):
            SCRIPTS["check_command_line"]()
    else:
        SCRIPTS["check_command_line"]()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "files"),
    [([], "configs/inference.json"), (["evaluating"], "['configs/train.json','configs/evaluate.json']")],
)
def test_the_configs_refuse_it_before_anything_is_read(command: list[str], files: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *command, "--config_file", files, "--dataset_dri", "no/such"],
        capture_output=True,
        text=True,
        cwd=BUNDLE.parent,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == "error: --dataset_dri: no config defines 'dataset_dri'; did you mean dataset_dir?"
