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
        ("missing", r"model\.pt'(: there is no such file| is missing).*--ckpt_path"),
        ("text", r"model\.pt' (is a Git LFS pointer|is missing, or no state dict|cannot be read as a state dict)"),
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
    (tmp_path / "photo.jpg").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit, match=rf"dataset_dir '{tmp_path}' holds no image: expected .nii or .nii.gz"):
        infer(bundle, tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"device": "gpu"}, "error: device 'gpu' cannot be used .*; give cpu, cuda or cuda:N with --device"),
        ({"device": "meta"}, "device 'meta' cannot be used"),
        ({"device": "cpu:7"}, "device 'cpu:7' cannot be used"),
        ({"dataset_dir": 5}, "dataset_dir must be a path, got 5"),
        ({"output_dir": 5}, "output_dir must be a path, got 5"),
        ({"output_dir": "/dev/null/x"}, "output_dir '/dev/null/x' cannot be written: /dev/null is no folder"),
        ({"spacing": [0, 0, 0]}, r"spacing must be three numbers above 0 .*, got \[0, 0, 0\]"),
        ({"spacing": "x"}, "spacing must be three numbers above 0 .*, got 'x'"),
        ({"patch_size": [8, 8]}, r"patch_size must be three whole numbers from 1 on, got \[8, 8\]"),
        ({"in_channels": "x"}, "in_channels must be a whole number of at least 1, got 'x'"),
    ],
)
def test_options_without_meaning_are_named_before_any_work(
    overrides: dict[str, Any], match: str, bundle: Path, small_phantom: Path, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=match):
        infer(bundle, small_phantom, tmp_path / "out", **overrides)
    assert not (tmp_path / "out").exists()


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_refused_before_any_work(
    value: float, bundle: Path, weights: dict[str, torch.Tensor], small_phantom: Path, tmp_path: Path
) -> None:
    spoilt = {name: entry.clone() for name, entry in weights.items()}
    name = next(name for name in spoilt if spoilt[name].is_floating_point())
    spoilt[name].view(-1)[0] = value
    torch.save(spoilt, tmp_path / "model.pt")
    with pytest.raises(SystemExit, match=rf"model\.pt' holds NaN or infinity in 1 entries, such as {re.escape(name)}"):
        infer(bundle, small_phantom, tmp_path / "out", ckpt_path=str(tmp_path / "model.pt"))
    assert not (tmp_path / "out").exists()


def test_two_images_with_one_segmentation_are_refused_before_any_work(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    for name in ("a.nii", "a.nii.gz", "b.nii"):
        write_nifti(tmp_path / name, np.asarray(frame.dataobj))
    with pytest.raises(SystemExit, match=r"(?s)rename one, or take it out:\n  .*/a\.nii and .*/a\.nii\.gz$"):
        infer(bundle, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_no_image_can_be_segmented_nothing_is_begun(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.nii").write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    write_nifti(tmp_path / "series.nii.gz", np.zeros((4, 4, 3, 2)))
    with pytest.raises(SystemExit) as caught:
        infer(bundle, tmp_path, tmp_path / "out")
    head, *lines = str(caught.value).splitlines()
    assert head == "error: none of the images (2) can be segmented:"
    assert lines[0].startswith(f"  {tmp_path}/photo.nii: is no NIfTI file")
    assert lines[1].startswith(f"  {tmp_path}/series.nii.gz: has the shape (4, 4, 3, 2)")
    assert not (tmp_path / "out").exists()
