"""Ranked suspects and cleansed labels on disk."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from monai_selfcleanse.report import (
    REPORT_COLUMNS,
    cleanse_file,
    compare_with_truth,
    report_rows,
    write_cleansed_labels,
    write_label_report,
)
from monai_selfcleanse.scoring import EVIDENCE
from monai_selfcleanse.store import CaseStore, SeenCase

AFFINE = np.diag([2.0, 2.0, 8.0, 1.0])


def ball(shape: tuple[int, ...], radius: float, spacing: float) -> np.ndarray:
    """A ball's mask around the middle of a volume with this isotropic voxel size in mm."""
    axes = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * spacing for n in shape], indexing="ij")
    return sum(a**2 for a in axes) <= radius**2


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def seen_as(predicted: np.ndarray, affine: np.ndarray = AFFINE) -> SeenCase:
    return SeenCase(np.zeros_like(predicted), predicted, np.ones(predicted.shape, np.float32), affine)


def evidence(n: int, k: int, **values: Any) -> dict[str, np.ndarray]:
    return {name: np.broadcast_to(values.get(name, 0.5), (n, k)).astype(float) for name in EVIDENCE}


def test_rows_are_ranked_by_clean_probability_then_score(tmp_path: Path) -> None:
    probability = np.array([[0.9, 0.0], [0.0, 1e-9]])
    score = np.array([[0.1, 2.0], [3.0, 1.0]])
    rows = report_rows(["a", "b"], {1: "one", 2: "two"}, evidence(2, 2, score=score), probability, probability < 0.2)
    assert [(r["case"], r["structure"]) for r in rows] == [("b", 1), ("a", 2), ("b", 2), ("a", 1)]
    write_label_report(rows, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == REPORT_COLUMNS
    assert [float(r["clean_probability"]) for r in read] == sorted(probability.ravel())
    assert [r["suspected"] for r in read] == ["1", "1", "1", "0"]
    assert read[3]["reason"] == ""


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, ">i2"])
def test_a_cleansed_file_keeps_grid_header_and_type(dtype: Any, tmp_path: Path) -> None:
    given = np.zeros((6, 5, 4), dtype=dtype)
    given[1:3] = 1
    given[4] = 2
    predicted = np.zeros((6, 5, 4), dtype=np.uint8)
    predicted[2:4] = 1
    source = write(tmp_path / "given.nii.gz", given)
    before = source.read_bytes()
    cleanse_file(source, seen_as(predicted), [1], tmp_path / "out" / "clean.nii.gz")
    out = nib.load(tmp_path / "out" / "clean.nii.gz")
    expected = np.zeros((6, 5, 4))
    expected[2:4] = 1
    expected[4] = 2
    np.testing.assert_array_equal(np.asarray(out.dataobj), expected)
    assert out.get_data_dtype() == nib.load(source).get_data_dtype()
    np.testing.assert_array_equal(out.affine, AFFINE)
    assert source.read_bytes() == before


def test_a_scaled_label_keeps_its_values(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.int16), AFFINE)
    image.header.set_slope_inter(2, 0)
    image.dataobj[:2] = 1  # stored as 1, read as 2
    nib.save(image, tmp_path / "given.nii.gz")
    assert nib.load(tmp_path / "given.nii.gz").dataobj.slope == 2
    given = np.asarray(nib.load(tmp_path / "given.nii.gz").dataobj)
    cleanse_file(tmp_path / "given.nii.gz", seen_as(np.zeros((4, 4, 4), np.uint8)), [1], tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), given)


def test_a_prediction_on_another_grid_lands_where_it_belongs(tmp_path: Path) -> None:
    """Network grid: 1 mm, turned by 90 degrees, shifted; label grid: 2 mm."""
    shape = (20, 24, 22)
    truth = ball(shape, 15.0, 2.0)
    source = write(tmp_path / "given.nii.gz", np.zeros(shape, np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine = ball((47, 39, 43), 15.0, 1.0).astype(np.uint8)
    # The two middles are one point in the world; the network's first axis runs along the label's second, backwards.
    turn = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    middle = np.array([19.0, 23.0, 21.0])
    turn[:3, 3] = middle - turn[:3, :3] @ ((np.array(fine.shape) - 1) / 2)
    cleanse_file(source, seen_as(fine, turn), [1], tmp_path / "out.nii.gz")
    out = np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj) == 1
    assert 2 * (out & truth).sum() / (out.sum() + truth.sum()) > 0.97


def test_all_labels_are_written_and_the_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    data = []
    for name in ("a", "b"):
        label = write(tmp_path / "data" / name / "gt.nii.gz", np.ones((3, 3, 3), np.uint8))
        data.append({"image": "none", "label": str(label), "case": name, "file": f"{name}/gt.nii.gz"})
    store = CaseStore(tmp_path / "store")
    probabilities = np.stack([np.ones((3, 3, 3)), np.zeros((3, 3, 3))])
    probabilities[:, 0] = probabilities[::-1, 0]
    store.write_seen("a", np.ones((3, 3, 3), int), probabilities, AFFINE)
    out = tmp_path / "cleansed"
    write(out / "stale.nii.gz", np.zeros((1, 1, 1), np.uint8))
    write_cleansed_labels(data, {"a": [1]}, store, out)
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*.nii.gz")) == ["a/gt.nii.gz", "b/gt.nii.gz"]
    assert (out / "b" / "gt.nii.gz").read_bytes() == (tmp_path / "data" / "b" / "gt.nii.gz").read_bytes()
    assert np.asarray(nib.load(out / "a" / "gt.nii.gz").dataobj).sum() == 9


def test_comparison_with_the_truth_counts_noisy_and_clean(tmp_path: Path) -> None:
    truth = np.zeros((10, 10, 2), np.uint8)
    truth[2:8, 2:8] = 1
    spoilt = truth.copy()
    spoilt[5:] = 0
    data = []
    for name, given, cleansed in (("a", truth, truth), ("b", spoilt, truth)):
        paths: dict[str, str] = {}
        paths["truth"] = str(write(tmp_path / "truth" / f"{name}.nii.gz", truth))
        paths["label"] = str(write(tmp_path / "given" / f"{name}.nii.gz", given))
        write(tmp_path / "cleansed" / f"{name}.nii.gz", cleansed)
        data.append({"image": "none", "case": name, "file": f"{name}.nii.gz", **paths})
    suspected = np.array([[False], [True]])
    summary = compare_with_truth(data, tmp_path / "cleansed", ["a", "b"], [1], np.array([[0.9], [0.1]]), suspected)
    assert summary is not None
    np.testing.assert_allclose(summary.given_dice, [[1.0], [2 * 3 / 9]])
    np.testing.assert_allclose(summary.cleansed_dice, [[1.0], [1.0]])
    assert summary.auroc == 1.0
    del data[0]["truth"]
    assert compare_with_truth(data, tmp_path / "cleansed", ["a", "b"], [1], np.ones((2, 1)), suspected) is None
