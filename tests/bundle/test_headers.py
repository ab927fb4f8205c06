"""Headers as the official ACDC release has them: every way through the bundle does as with headers that agree.

There the qform has the true voxel size, and the sform says 1 mm along every axis.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from bundles import BUNDLE, audit, infer, rows_of, snapshot, train
from helpers import read_nifti

from monai_selfcleanse.data import write_phantom

WRONG = np.diag([-1.0, -1.0, 1.0, 1.0])


def rewrite(folder: Path, sform: Callable[[np.ndarray], np.ndarray]) -> None:
    """Give every file the true position as its qform, and another sform."""
    for path in sorted(folder.rglob("*.nii.gz")):
        file = nib.load(path)
        true = np.diag([*(file.header.get_zooms()[:3] * np.array([-1, -1, 1])), 1.0])
        header = nib.Nifti1Header()
        header.set_data_dtype(file.get_data_dtype())
        header.set_data_shape(file.shape)
        header.set_qform(true, 1)
        header.set_sform(sform(true), 1)
        nib.save(nib.Nifti1Image(np.asanyarray(file.dataobj), None, header), path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The same data set with headers that agree, and with those of ACDC."""
    root = tmp_path_factory.mktemp("headers")
    for name, sform in (("agree", lambda true: true), ("acdc", lambda true: WRONG)):
        rewrite(write_phantom(root / name, n_patients=4, seed=2), sform)
    return root / "agree", root / "acdc"


def assert_same_results(one: Path, other: Path, dataset: Path) -> None:
    for table in ("label_report.csv", "slices.csv"):
        assert rows_of(one, table) == rows_of(other, table)
    labels = sorted((one / "cleansed_labels").rglob("*.nii.gz"))
    assert labels
    for path in labels:
        file = path.relative_to(one / "cleansed_labels")
        np.testing.assert_array_equal(read_nifti(path), read_nifti(other / "cleansed_labels" / file))
        assert nib.load(other / "cleansed_labels" / file).header == nib.load(dataset / file).header


@pytest.mark.slow
def test_a_training_comes_to_the_same_and_writes_the_headers_it_was_given(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    before = [snapshot(folder) for folder in data]
    for name, dataset in zip(("agree", "acdc"), data, strict=True):
        train(tmp_path / name, dataset, noise_rate=0.5)
    assert_same_results(tmp_path / "agree", tmp_path / "acdc", data[1])
    assert [snapshot(folder) for folder in data] == before


@pytest.mark.slow
def test_audits_by_the_network_and_by_predictions_in_either_convention_agree(
    data: tuple[Path, Path], tmp_path: Path
) -> None:
    for name, dataset in zip(("agree", "acdc"), data, strict=True):
        audit(BUNDLE, dataset, tmp_path / name)
        infer(BUNDLE, dataset, tmp_path / f"seg-{name}")
    assert_same_results(tmp_path / "agree", tmp_path / "acdc", data[1])
    segmented = sorted((tmp_path / "seg-agree").rglob("*.nii.gz"))
    assert len(segmented) == 8
    for path in segmented:
        np.testing.assert_array_equal(read_nifti(path), read_nifti(str(path).replace("seg-agree", "seg-acdc")))
    # nnU-Net writes the qform's grid, what goes by nibabel's affine the sform's.
    for path in sorted((tmp_path / "seg-agree").rglob("*.nii.gz")):
        target = tmp_path / "seg-sform" / path.name
        target.parent.mkdir(exist_ok=True)
        nib.save(nib.Nifti1Image(read_nifti(path), WRONG), target)
    reports = []
    for predictions in ("seg-agree", "seg-acdc", "seg-sform"):
        out = tmp_path / f"by-{predictions}"
        audit(BUNDLE, data[1], out, predictions_dir=str(tmp_path / predictions))
        reports.append(rows_of(out))
    assert reports[0] == reports[1] == reports[2]
