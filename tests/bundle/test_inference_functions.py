"""The functions of ``scripts/inference.py``, as ``inference.json`` loads them."""

from __future__ import annotations

import runpy
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

SCRIPTS: dict[str, Any] = runpy.run_path(str(BUNDLE / "scripts" / "inference.py"))
find_images, slices_last, as_stored = (SCRIPTS[name] for name in ("find_images", "slices_last", "as_stored"))
check_inputs, read_weights = SCRIPTS["check_inputs"], SCRIPTS["read_weights"]

VOXELS = np.zeros((4, 4, 2), dtype=np.int16)


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


def test_a_folder_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert find_images(str(tmp_path / "no"), str(tmp_path)) == []


# Orientation.


def image_of(sizes: tuple[float, ...], order: tuple[int, ...], flips: tuple[int, ...]) -> MetaTensor:
    """An image whose axes have these voxel sizes, in that order and direction."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(order)] * np.array(flips) * np.array(sizes)
    voxels = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4)
    return MetaTensor(voxels, affine=torch.from_numpy(affine), meta={"original_affine": affine})


@given(
    sizes=st.tuples(*[st.sampled_from([1.0, 1.5, 10.0])] * 3),
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(*[st.sampled_from([-1, 1])] * 3),
)
def test_the_largest_voxel_size_comes_last_and_the_way_back_is_exact(
    sizes: tuple[float, ...], order: list[int], flips: tuple[int, ...]
) -> None:
    image = image_of(sizes, tuple(order), flips)
    turned = slices_last(image)
    across = max(range(3), key=lambda axis: (sizes[axis], axis))
    kept = [axis for axis in range(3) if axis != across]
    assert torch.equal(turned.as_tensor(), image.as_tensor().permute(0, *(1 + axis for axis in (*kept, across))))
    np.testing.assert_allclose(turned.pixdim, [sizes[axis] for axis in (*kept, across)])
    back = as_stored(turned)
    assert torch.equal(back.as_tensor(), image.as_tensor())
    np.testing.assert_allclose(back.affine, image.affine)


# Checks.


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Linear(2, 3)


@pytest.fixture
def cases(tmp_path: Path) -> list[dict[str, str]]:
    return [{"image": str(write_nifti(tmp_path / "in" / f"{name}.nii.gz", VOXELS))} for name in "ab"]


def test_good_inputs_pass(network: torch.nn.Module, cases: list[dict[str, str]], tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pt")
    check_inputs(str(tmp_path / "model.pt"), network, cases, str(tmp_path / "in"), str(tmp_path / "out"))
    check_inputs(None, network, cases, str(tmp_path / "in"), str(tmp_path / "out"))


def test_all_problems_are_named_at_once(network: torch.nn.Module, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        check_inputs(str(tmp_path / "model.pt"), network, [], str(tmp_path / "in"), str(tmp_path / "out"))
    assert str(caught.value).splitlines() == [
        f"error: ckpt_path '{tmp_path}/model.pt' is missing, or no state dict that torch.save has written; give "
        "another one with --ckpt_path",
        f"dataset_dir '{tmp_path}/in' holds no image: expected .nii or .nii.gz files in it or in folders below",
    ]


def test_entries_of_weights_that_do_not_fit_are_counted_and_named(
    network: torch.nn.Module, cases: list[dict[str, str]], tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(3, 3), "other": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(SystemExit, match="3 entries are missing, unknown or of another shape, such as bias, other, w"):
        check_inputs(str(tmp_path / "model.pt"), network, cases, str(tmp_path / "in"), str(tmp_path / "out"))


def test_segmentations_in_the_images_own_place_are_refused(
    network: torch.nn.Module, cases: list[dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "in")
    for output in ("in", "link"):
        with pytest.raises(SystemExit, match="would have images of dataset_dir overwritten"):
            check_inputs(None, network, cases, str(tmp_path / "in"), str(tmp_path / output))


def test_files_that_are_no_volumes_are_named_with_their_shape(network: torch.nn.Module, tmp_path: Path) -> None:
    flat = write_nifti(tmp_path / "flat.nii.gz", VOXELS[:, :, 0])
    text = tmp_path / "text.nii"
    text.write_text("no image")
    cases = [{"image": str(path)} for path in (flat, text, write_nifti(tmp_path / "good.nii.gz", VOXELS))]
    with pytest.raises(SystemExit) as caught:
        check_inputs(None, network, cases, str(tmp_path), str(tmp_path / "out"))
    head, *lines = str(caught.value).splitlines()
    assert head.startswith("error: 2 images are no 3-D NIfTI volumes")
    assert lines == [f"  {flat}: (4, 4)", f"  {text}: no NIfTI file"]


def test_only_tensors_are_read_from_weights(network: torch.nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    assert read_weights(str(path)) is None
    torch.save(network, path)
    assert read_weights(str(path)) is None
    torch.save(network.state_dict(), path)
    assert read_weights(str(path)).keys() == network.state_dict().keys()


def test_images_are_read_as_nibabel_reads_them(tmp_path: Path) -> None:
    """The check does not depend on a file's ending alone: nibabel reads Analyze pairs, too."""
    nib.save(nib.Nifti1Pair(VOXELS, np.eye(4)), tmp_path / "pair.img")
    check_inputs(None, torch.nn.Identity(), [{"image": str(tmp_path / "pair.img")}], str(tmp_path), str(tmp_path / "o"))
