"""The bundle with its 3-D overlays, hippocampus (MR) and liver tumour (CT): volumes in the Decathlon's layout, trained
on and segmented."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import BUNDLE
from helpers import files_below, read_nifti, write_nifti
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.transforms import ScaleIntensityRanged

CONFIGS = BUNDLE / "configs"


class Task(NamedTuple):
    """What the overlay lies on, once for training and once for inference, and a patch small enough for a test."""

    train: list[str]
    infer: list[str]
    patch_size: list[int]


def task(name: str, patch_size: list[int]) -> Task:
    overlay = str(CONFIGS / f"{name}.json")
    return Task([str(CONFIGS / "train.json"), overlay], [str(CONFIGS / "inference.json"), overlay], patch_size)


TASKS = {"hippocampus": task("hippocampus", [16, 24, 16]), "liver_tumor": task("liver_tumor", [16, 16, 16])}

TINY_NETWORK: dict[str, Any] = {
    "network_def#channels": [4, 8],
    "network_def#strides": [2],
    "device": torch.device("cpu"),
}
TINY: dict[str, Any] = {
    **TINY_NETWORK,
    "epochs": 36,
    "rounds": 1,
    "warmup_epochs": 35,
    "val_interval": 18,
    "num_workers": 0,
    # A handful of cases and a network that knows little: judge all the same.
    "label_filter#interval": 1,
    "label_filter#min_cases": 4,
    "label_filter#min_separation": -2.0,
    "label_filter#max_share": 1.0,
}

TURNED = np.array([[0.0, -1.1, 0, 7], [1.1, 0, 0, -3], [0, 0, 0.9, 11], [0, 0, 0, 1]])


@pytest.fixture(scope="module", params=TASKS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def dataset(name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight volumes of ellipsoids, below and above the patch's size, one on a turned grid."""
    root = tmp_path_factory.mktemp("data")
    for i in range(8):
        rng = np.random.default_rng(i)
        image, label, affine = (hippocampus if name == "hippocampus" else abdomen)(rng)
        affine = TURNED if i == 3 else affine
        write_nifti(root / "imagesTr" / f"{name}_{i:03d}.nii.gz", image, affine)
        write_nifti(root / "labelsTr" / f"{name}_{i:03d}.nii.gz", label, affine)
    return root


def hippocampus(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bright ellipsoid of two halves."""
    shape = rng.integers((13, 22, 14), (20, 30, 19))
    inside = ellipsoid(shape, (0, 0, 0), (5, 9, 5))
    label = np.where(inside, np.where(np.arange(shape[1])[:, None] > shape[1] / 2, 1, 2), 0).astype(np.uint8)
    image = (100 * inside + 40 * (label == 2) + rng.normal(0, 10, shape)).astype(np.float32)
    return image, label, np.eye(4)


def abdomen(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CT numbers: a body in air, with a liver that has a tumour, and a bone brighter than any window."""
    shape = rng.integers((24, 22, 14), (30, 28, 20))
    body, bone = ellipsoid(shape, (0, 0, 0), (11, 10, 30)), ellipsoid(shape, (0, -8, 0), (2, 2, 30))
    liver, tumour = ellipsoid(shape, (-4, 1, 0), (5, 6, 6)), ellipsoid(shape, (-4, 1, 0), (3, 3, 3))
    image = np.select([bone, tumour, liver, body], [1200, 20, 110, 40], -1000) + rng.normal(0, 10, shape)
    return image.astype(np.int16), (1 * liver + tumour).astype(np.uint8), np.diag([-1.4, -1.4, 2.5, 1.0])


def ellipsoid(shape: np.ndarray, middle: tuple[int, ...], radii: tuple[int, ...]) -> np.ndarray:
    """Voxels of an ellipsoid whose middle is that far from the volume's."""
    axes = np.meshgrid(*(np.arange(n) - n / 2 - m for n, m in zip(shape, middle, strict=True)), indexing="ij")
    return np.asarray(sum((x / r) ** 2 for x, r in zip(axes, radii, strict=True)) < 1)


@pytest.fixture(scope="module")
def trained(name: str, dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("run") / "out"
    options = {"dataset_dir": str(dataset), "output_dir": str(output), "noise_rate": 0.5, "noise_preset": "mixed"}
    patch_size = TASKS[name].patch_size
    ConfigWorkflow(TASKS[name].train, logging_file=False, patch_size=patch_size, **TINY, **options).run()
    return output


@pytest.mark.slow
def test_report_has_every_case_and_structure(trained: Path) -> None:
    with open(trained / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["case"], row["structure"]) for row in rows}) == len(rows) == 6 * 2
    assert {row["structure"] for row in rows} == {"1", "2"}
    assert any(row["suspected"] == "1" for row in rows)


@pytest.mark.slow
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


@pytest.mark.slow
def test_labels_are_audited_by_the_overlays_network(name: str, trained: Path, dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path), "patch_size": TASKS[name].patch_size}
    ConfigWorkflow(
        [*TASKS[name].train, str(CONFIGS / "audit.json")],
        run_id="auditing",
        logging_file=False,
        ckpt_path=str(trained / "models" / "model.pt"),
        **options,
        **TINY_NETWORK,
    ).run()
    with open(tmp_path / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["case"], row["structure"]) for row in rows}) == len(rows) == 8 * 2
    assert not (tmp_path / "unreadable.csv").exists()


@pytest.mark.slow
def test_segmentations_lie_on_the_images_own_grids(name: str, trained: Path, dataset: Path, tmp_path: Path) -> None:
    options = {"dataset_dir": str(dataset), "output_dir": str(tmp_path / "out")}
    weights = str(trained / "models" / "model.pt")
    ConfigWorkflow(
        TASKS[name].infer, workflow_type="inference", logging_file=False, ckpt_path=weights, **options, **TINY_NETWORK
    ).run()
    assert files_below(tmp_path / "out") == [f for f in files_below(dataset) if f.startswith("imagesTr")]
    for path in sorted((tmp_path / "out" / "imagesTr").iterdir()):
        image, segmentation = nib.load(dataset / "imagesTr" / path.name), nib.load(path)
        assert segmentation.shape == image.shape
        np.testing.assert_allclose(segmentation.affine, image.affine, atol=1e-4)
        assert set(np.unique(read_nifti(path))) <= {0, 1, 2}


def test_properties_are_complete(name: str, dataset: Path, tmp_path: Path) -> None:
    for files, kind in ((TASKS[name].train, "train"), (TASKS[name].infer, "inference")):
        run = ConfigWorkflow(
            files, workflow_type=kind, logging_file=False, dataset_dir=str(dataset), output_dir=str(tmp_path / "out")
        )
        run.initialize()
        assert run.check_properties() == []


def test_training_and_inference_have_the_same_network_preprocessing_and_window(name: str, dataset: Path) -> None:
    image, label = (str(dataset / folder / f"{name}_000.nii.gz") for folder in ("imagesTr", "labelsTr"))
    parsed = []
    for files, path, inferer in (
        (TASKS[name].train, "train#preprocessing", "validate#inferer"),
        (TASKS[name].infer, "preprocessing", "inferer"),
    ):
        parser = ConfigParser()
        parser.read_config(files)
        data = parser.get_parsed_content(path)({"image": image, "label": label})
        network, window = parser.get_parsed_content("network_def"), parser.get_parsed_content(inferer)
        parsed.append((str(network), vars(window)["roi_size"], window.overlap, window.mode, data["image"]))
    assert parsed[0][:-1] == parsed[1][:-1]
    torch.testing.assert_close(parsed[0][-1], parsed[1][-1])


def test_ct_numbers_beyond_the_window_do_not_change_the_picture() -> None:
    parser = ConfigParser()
    parser.read_config(TASKS["liver_tumor"].infer)
    window = parser.get_parsed_content("preprocessing_steps#intensity")
    assert isinstance(window, ScaleIntensityRanged)
    image = torch.tensor([[-1000.0, -175.0, 37.5, 250.0, 3000.0]])
    torch.testing.assert_close(window({"image": image})["image"], torch.tensor([[0.0, 0.0, 0.5, 1.0, 1.0]]))
