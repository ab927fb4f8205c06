"""Images of two axes, which have a third before the network alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bundles import BUNDLE, CPU, rows_of, train
from helpers import files_below, write_nifti
from monai.bundle import ConfigWorkflow

from monai_selfcleanse.cases.label_file import read_label
from monai_selfcleanse.data import phantom_frames

pytestmark = pytest.mark.slow

SAGITTAL = np.array([[0.0, 0, 4, 7], [1.5, 0, 0, -3], [0, 1.5, 0, 11], [0, 0, 0, 1]])
FORMS = {"axial": np.diag([1.5, 1.5, 1.0, 1.0]), "sagittal": SAGITTAL, "picture": None}


@pytest.fixture(scope="module", params=FORMS)
def dataset(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten slices through hearts. Two lack the left ventricle."""
    root = tmp_path_factory.mktemp("data")
    for i in range(10):
        frames, _ = phantom_frames(f"patient{i:03d}", 0)
        image, label = (volume[..., volume.shape[2] // 2 - 1] for volume in frames["ED"])
        label = np.where((label == 3) & (i < 2), 0, label).astype(np.uint8)
        for folder, plane in (("imagesTr", image), ("labelsTr", label)):
            if FORMS[request.param] is not None:
                write_nifti(root / folder / f"heart_{i}.nii.gz", plane, FORMS[request.param])
                continue
            (root / folder).mkdir(exist_ok=True)
            grey = plane if folder == "labelsTr" else np.clip(plane * 255 / plane.max(), 0, 255)
            pytest.importorskip("PIL.Image").fromarray(grey.astype(np.uint8).T).save(root / folder / f"heart_{i}.png")
    return root


def test_a_training_writes_report_and_cleansed_labels(dataset: Path, tmp_path: Path) -> None:
    train(tmp_path, dataset)
    assert len(rows_of(tmp_path)) == 8 * 3
    check_cleansed(dataset, tmp_path, 8)


def test_an_audit_by_a_network_writes_report_and_cleansed_labels(dataset: Path, tmp_path: Path) -> None:
    ConfigWorkflow(
        [str(BUNDLE / "configs" / name) for name in ("train.json", "audit.json")],
        run_id="auditing",
        logging_file=False,
        dataset_dir=str(dataset),
        output_dir=str(tmp_path),
        device=CPU,
        num_workers=1,
    ).run()
    assert len(rows_of(tmp_path)) == 10 * 3
    check_cleansed(dataset, tmp_path, 10)


def check_cleansed(dataset: Path, output: Path, n: int) -> None:
    files = [name for name in files_below(output / "cleansed_labels") if name.startswith("labelsTr/")]
    assert len(files) == n
    for name in files:
        given, cleansed = (read_label(str(folder / name)).index for folder in (dataset, output / "cleansed_labels"))
        assert cleansed.shape == given.shape
        assert cleansed.ndim == 2
