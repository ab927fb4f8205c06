"""Weights and images that do not do: one clear error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import audit, evaluate, infer
from helpers import refused, write_nifti
from monai.bundle import ConfigParser


def write_weights(path: Path, kind: str, weights: dict[str, torch.Tensor]) -> None:
    if kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif kind == "whole network":
        torch.save(torch.nn.Linear(1, 1), path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "nested":
        torch.save({"model": weights, "epoch": 3}, path)
    elif kind == "of DataParallel":
        torch.save({f"module.{k}": v for k, v in weights.items()}, path)
    elif kind == "other shape":
        torch.save({k: v[:1] if v.ndim else v for k, v in weights.items()}, path)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("missing", r"model\.pt' (is missing|cannot be read as a state dict).*--ckpt_path"),
        ("text", r"model\.pt' (is missing, or no state dict|cannot be read as a state dict)"),
        ("whole network", r"model\.pt' (is missing, or no state dict|cannot be read as a state dict)"),
        ("tensor", r"does not fit network_def: 131 entries are missing, unknown or of another shape"),
        ("nested", r"does not fit network_def: 133 entries .* such as epoch, model, .* flat state dict"),
        ("of DataParallel", r"does not fit network_def: 262 entries"),
        ("other shape", r"does not fit network_def: \d+ entries"),
    ],
)
@pytest.mark.parametrize(
    ("run", "refusal"),
    [(infer, lambda match: pytest.raises(SystemExit, match=match)), (evaluate, refused), (audit, refused)],
)
def test_weights_that_do_not_fit_are_refused(
    run: Any,
    refusal: Any,
    kind: str,
    match: str,
    bundle: Path,
    weights: dict[str, torch.Tensor],
    small_phantom: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pt"
    write_weights(path, kind, weights)
    with refusal(match):
        run(bundle, small_phantom, tmp_path / "out", ckpt_path=str(path))
    assert not list(tmp_path.glob("out/**/*.*"))


def test_folder_without_images_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit, match=rf"dataset_dir '{tmp_path}' holds no image: expected .nii or .nii.gz"):
        infer(bundle, tmp_path, tmp_path / "out")


def test_images_are_never_overwritten(bundle: Path, frame: nib.Nifti1Image, tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "images" / "a.nii.gz", np.asarray(frame.dataobj))
    (tmp_path / "link").symlink_to(tmp_path / "images")
    before = image.read_bytes()
    for output in ("images", "link", "images/.."):
        if output == "images/..":  # above the images, nothing is in the way
            infer(bundle, tmp_path / "images", tmp_path / output)
            assert (tmp_path / "a.nii.gz").exists()
        else:
            with pytest.raises(SystemExit, match="would have images of dataset_dir overwritten by their segmentations"):
                infer(bundle, tmp_path / "images", tmp_path / output)
    assert image.read_bytes() == before


def test_labels_and_segmentations_of_an_earlier_run_are_no_images(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    for name in ("imagesTs/a", "labelsTs/a", "labelsTr/b", "patient_gt.d/c", "d_gt", "d_4d", "out/e"):
        write_nifti(tmp_path / f"{name}.nii.gz", np.asarray(frame.dataobj))
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["dataset_dir"], parser["output_dir"] = str(tmp_path), str(tmp_path / "out")
    found = [str(Path(f).relative_to(tmp_path)) for f in parser.get_parsed_content("image_files")]
    assert found == ["imagesTs/a.nii.gz", "patient_gt.d/c.nii.gz"]


def test_files_that_are_no_volumes_are_all_named(bundle: Path, frame: nib.Nifti1Image, tmp_path: Path) -> None:
    voxels = np.asarray(frame.dataobj)
    (tmp_path / "photo.nii").write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    write_nifti(tmp_path / "cine.nii.gz", np.stack([voxels, voxels], -1))
    write_nifti(tmp_path / "slice.nii.gz", voxels[:, :, 0])
    write_nifti(tmp_path / "good.nii.gz", voxels)
    with pytest.raises(SystemExit) as caught:
        infer(bundle, tmp_path, tmp_path / "out")
    message = str(caught.value)
    assert "3 images are no 3-D NIfTI volumes" in message
    assert re.search(r"cine\.nii\.gz: \(\d+, \d+, \d+, 2\)", message)
    assert re.search(r"slice\.nii\.gz: \(\d+, \d+\)", message)
    assert "photo.nii: no NIfTI file" in message
    assert "good.nii" not in message
    assert not (tmp_path / "out").exists()
