"""Evaluation and audit, with the bundle's own weights."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import CPU, audit, evaluate, infer, rows_of
from helpers import read_nifti, refused, write_nifti
from monai.bundle import ConfigWorkflow
from monai.metrics import compute_hausdorff_distance
from scipy.spatial.transform import Rotation


@pytest.mark.slow
def test_it_trains_evaluates_and_infers_and_lacks_no_property(
    bundle: Path, small_phantom: Path, tmp_path: Path
) -> None:
    options = {"dataset_dir": str(small_phantom), "output_dir": str(tmp_path), "device": CPU, "epochs": 1}
    train = ConfigWorkflow(
        str(bundle / "configs" / "train.json"),
        workflow_type="train",
        logging_file=False,
        run_id="training",
        self_cleanse=False,
        **options,
        **{"patches_per_case": 1, "crop#spatial_size": [32, 32, 1]},
    )
    train.initialize()
    assert train.check_properties() == []
    train.run()
    weights = str(tmp_path / "models" / "model.pt")
    assert evaluate(bundle, small_phantom, tmp_path, ckpt_path=weights).check_properties() == []
    assert len(rows_of(tmp_path, "evaluation/val_mean_dice_raw.csv")) == 2  # of the one patient held back
    segmented = tmp_path / "segmented"
    assert infer(bundle, small_phantom / "patient001", segmented, ckpt_path=weights).check_properties() == []
    assert len(list(segmented.iterdir())) == 2


@pytest.mark.parametrize("mirror_axis", [0, 1, None])
def test_evaluation_compares_on_the_labels_own_grids_in_mm(
    mirror_axis: int | None, bundle: Path, small_phantom: Path, tmp_path: Path
) -> None:
    dataset = tmp_path / "data"
    turned = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag([0.9, 2.3, 7.0])
    affine = np.block([[turned, np.full((3, 1), 5.0)], [np.zeros((1, 3)), 1]])
    for name in ("patient001_frame01", "patient001_frame01_gt"):
        file = small_phantom / "patient001" / f"{name}.nii.gz"
        write_nifti(dataset / "patient001" / file.name, read_nifti(file)[:101, 7:], affine)
    evaluate(bundle, dataset, tmp_path / "out", validation_share=1, mirror_axis=mirror_axis)
    infer(bundle, dataset, tmp_path / "out" / "segmented", mirror_axis=mirror_axis)
    label = read_nifti(dataset / "patient001" / "patient001_frame01_gt.nii.gz")
    segmented = read_nifti(tmp_path / "out" / "segmented" / "patient001" / "patient001_frame01.nii.gz")
    (dice,), (hd95,) = (rows_of(tmp_path / "out", f"evaluation/val_{m}_raw.csv") for m in ("mean_dice", "hd95_mm"))
    assert dice["filename"].endswith("patient001_frame01.nii.gz")
    for column, structure in (("class0", 1), ("class1", 2), ("class2", 3)):
        one, other = segmented == structure, label == structure
        assert float(dice[column]) == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-5)
        if one.any():
            pair = (torch.from_numpy(x)[None, None] for x in (one, other))
            expected = compute_hausdorff_distance(
                *pair, include_background=True, percentile=95, spacing=[0.9, 2.3, 7.0]
            )
            assert float(hd95[column]) == pytest.approx(expected.item(), abs=1e-3)
        else:
            assert hd95[column] == "nan"


def test_an_axis_that_slices_lack_is_refused_in_evaluation(bundle: Path, small_phantom: Path, tmp_path: Path) -> None:
    with refused(r"mirror_axis must be 0, 1 or '\$None', got 2"):
        evaluate(bundle, small_phantom, tmp_path / "out", mirror_axis=2)
    assert not (tmp_path / "out").exists()


def test_evaluation_leaves_the_results_of_training_alone(bundle: Path, small_phantom: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "noisy_labels" / "manifest.jsonl"
    manifest.parent.mkdir()
    manifest.write_text("{}\n")
    evaluate(bundle, small_phantom, tmp_path)
    assert manifest.read_text() == "{}\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation", "noisy_labels"]


def test_labels_out_of_range_are_named_in_evaluation(bundle: Path, small_phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(small_phantom, tmp_path / "data")
    label = tmp_path / "data" / "patient001" / "patient001_frame01_gt.nii.gz"
    write_nifti(label, read_nifti(label) + 2, nib.load(label).affine)
    with refused(r"patient001_frame01_gt\.nii\.gz: holds the values \[4, 5\]"):
        evaluate(bundle, tmp_path / "data", tmp_path / "out")


@pytest.mark.slow
def test_audit_needs_no_option_but_the_data(bundle: Path, small_phantom: Path, tmp_path: Path) -> None:
    """With the bundle's own weights and the whole of its preprocessing; too few cases to suspect any."""
    run = audit(bundle, small_phantom, tmp_path)
    assert run.check_properties() == []
    with open(tmp_path / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["case"], row["structure"]) for row in rows}) == 3 * 2 * 3
    assert {row["suspected"] for row in rows} == {"0"}
