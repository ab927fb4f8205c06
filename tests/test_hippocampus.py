"""The bundle with the hippocampus's overlays: 3-D volumes in the Decathlon's layout, trained on and segmented."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import files_below, read_nifti, write_nifti
from monai.bundle import ConfigParser, ConfigWorkflow

CONFIGS = Path(__file__).parent.parent / "bundle" / "configs"
TRAIN = [str(CONFIGS / name) for name in ("train.json", "hippocampus.json")]
INFER = [str(CONFIGS / name) for name in ("inference.json", "hippocampus_inference.json")]

TINY_NETWORK: dict[str, Any] = {
    "network_def#channels": [4, 8],
    "network_def#strides": [2],
    "device": torch.device("cpu"),
}
TINY: dict[str, Any] = {
    **TINY_NETWORK,
    "epochs": 3,
    "warmup_epochs": 1,
    "val_interval": 2,
    "patch_size": [16, 24, 16],
    # A handful of cases and a network that knows little: judge all the same.
    "label_filter#interval": 1,
    "label_filter#min_cases": 4,
    "label_filter#min_gap": -2.0,
    "label_filter#max_share": 1.0,
}

TURNED = np.array([[0.0, -1.1, 0, 7], [1.1, 0, 0, -3], [0, 0, 0.9, 11], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight bright ellipsoids of two halves, in volumes below and above the patch's size, one on a turned grid."""
    root = tmp_path_factory.mktemp("data")
    for i in range(8):
        rng = np.random.default_rng(i)
        shape = rng.integers((13, 22, 14), (20, 30, 19))
        axes = np.meshgrid(*(np.arange(n) - n / 2 for n in shape), indexing="ij")
        inside = sum((x / r) ** 2 for x, r in zip(axes, (5, 9, 5), strict=True)) < 1
        label = np.where(inside, np.where(axes[1] > 0, 1, 2), 0).astype(np.uint8)
        image = (100 * inside + 40 * (label == 2) + rng.normal(0, 10, shape)).astype(np.float32)
        affine = TURNED if i == 3 else np.eye(4)
        write_nifti(root / "imagesTr" / f"hippocampus_{i:03d}.nii.gz", image, affine)
        write_nifti(root / "labelsTr" / f"hippocampus_{i:03d}.nii.gz", label, affine)
    return root


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "out"
    options = {"dataset_dir": str(dataset), "output_dir": str(output), "noise_rate": 0.5, "noise_preset": "mixed"}
    ConfigWorkflow(TRAIN, logging_file=False, **TINY, **options).run()
    return output


def test_report_has_every_case_and_structure(trained: Path) -> None:
    with open(trained / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["case"], row["structure"]) for row in rows}) == len(rows) == 6 * 2
    assert {row["structure"] for row in rows} == {"1", "2"}
    assert any(row["suspected"] == "1" for row in rows)


def test_cleansed_labels_have_the_given_ones_path_and_grid(trained: Path, dataset: Path) -> None:
    files = files_below(trained / "cleansed_labels")
    assert (files[0], files[-1]) == ("labelsTr", "provenance.json")
    assert len(files) == 1 + 6 + 1
    changed = 0
    for file in files[1:-1]:
        given, cleansed = trained / "noisy_labels" / file, trained / "cleansed_labels" / file
        given = given if given.exists() else dataset / file
        one, other = nib.load(given), nib.load(cleansed)
        assert (one.shape, one.get_data_dtype()) == (other.shape, other.get_data_dtype())
        np.testing.assert_array_equal(one.affine, other.affine)
        changed += not np.array_equal(read_nifti(given), read_nifti(cleansed))
    assert changed


def test_segmentations_lie_on_the_images_own_grids(trained: Path, dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out")}
    weights = str(trained / "models" / "model.pt")
    ConfigWorkflow(
        INFER, workflow_type="inference", logging_file=False, ckpt_path=weights, **options, **TINY_NETWORK
    ).run()
    assert files_below(tmp_path / "out") == [f for f in files_below(dataset) if f.startswith("imagesTr")]
    for path in sorted((tmp_path / "out" / "imagesTr").iterdir()):
        image, segmentation = nib.load(dataset / "imagesTr" / path.name), nib.load(path)
        assert segmentation.shape == image.shape
        np.testing.assert_allclose(segmentation.affine, image.affine, atol=1e-4)
        assert set(np.unique(read_nifti(path))) <= {0, 1, 2}


def test_properties_are_complete(dataset: Path, tmp_path: Path) -> None:
    for files, kind in ((TRAIN, "train"), (INFER, "inference")):
        run = ConfigWorkflow(
            files, workflow_type=kind, logging_file=False, dataset_dir=str(dataset), output_dir=str(tmp_path / "out")
        )
        run.initialize()
        assert run.check_properties() == []


def test_both_overlays_define_the_same_network_preprocessing_and_window() -> None:
    parsed = []
    for files, path, inferer in (
        (TRAIN, "train#preprocessing", "validate#inferer"),
        (INFER, "preprocessing", "inferer"),
    ):
        parser = ConfigParser()
        parser.read_config(files)
        image = torch.arange(30.0 * 41 * 33).reshape(1, 30, 41, 33).sin()
        data = {"image": image, "label": torch.zeros_like(image)} if files is TRAIN else {"image": image}
        for transform in parser.get_parsed_content(path).transforms[-5:]:
            data = transform(data)
        network, window = parser.get_parsed_content("network_def"), parser.get_parsed_content(inferer)
        parsed.append((str(network), vars(window)["roi_size"], window.overlap, window.mode, data["image"]))
    assert parsed[0][:-1] == parsed[1][:-1]
    torch.testing.assert_close(parsed[0][-1], parsed[1][-1])
