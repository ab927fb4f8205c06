"""Two raters of the same images: the better one is named, structure by structure."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from audits import run_audit
from helpers import IntensityNet, files_below, read_nifti, write_nifti, write_raters

from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.results.raters import compare_raters, count_better


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raters(tmp_path_factory.mktemp("raters"))


def raters(dataset: Path) -> dict[str, str]:
    return {name: str(dataset / name) for name in ("anna", "ben")}


@pytest.mark.parametrize("source", ["network", "folder"])
def test_the_better_rater_of_every_structure_is_named(source: str, dataset: Path, tmp_path: Path) -> None:
    predictions: dict[str, Any] = {}
    if source == "folder":
        for path in sorted((dataset / "data" / "imagesTr").iterdir()):
            write_nifti(tmp_path / "predictions" / path.name, np.rint(read_nifti(path)).clip(0, 3).astype(np.uint8))
        predictions = {"predictions_dir": str(tmp_path / "predictions")}
    else:
        torch.save(IntensityNet().state_dict(), tmp_path / "model.pt")
        predictions = {"ckpt_path": str(tmp_path / "model.pt")}
    before = {name: files_below(dataset / name) for name in ("data", "anna", "ben")}
    output = tmp_path / "out"
    run_audit(dataset / "data", output, raters=raters(dataset), **predictions)
    with open(output / "raters.csv", newline="") as file:
        rows = {(row["case"], row["structure"]): row for row in csv.DictReader(file)}
    assert len(rows) == 14 * 3
    assert {key: row["better"] for key, row in rows.items() if row["better"]} == {
        ("case_03", "2"): "ben",
        ("case_07", "1"): "ben",
        ("case_05", "3"): "anna",
        ("case_05", "2"): "anna",
    }
    missed = rows["case_03", "2"]
    assert (missed["agreement"], missed["anna_suspected"], missed["ben_suspected"]) == ("0", "1", "0")
    assert float(missed["anna_dice"]) == 0 < 0.9 < float(missed["ben_dice"])
    assert float(missed["anna_clean_probability"]) < 0.1 < 0.9 < float(missed["ben_clean_probability"])
    assert next(iter(rows)) == ("case_03", "2")  # they agree least there
    alone = rows["case_13", "1"]
    assert (alone["better"], alone["agreement"], alone["ben_dice"]) == ("", "nan", "nan")
    assert alone["anna_suspected"] == "0"
    assert files_below(output / "cleansed_labels")[:2] == ["anna", "anna/labelsTr"]
    assert len(list((output / "cleansed_labels").rglob("*.nii.gz"))) == 14 + 13
    with open(output / "unreadable.csv", newline="") as file:
        (line,) = csv.DictReader(file)
    assert line["reason"].endswith("ben has no label of 1 cases, such as case_13")
    assert {name: files_below(dataset / name) for name in before} == before


def judged(dices: np.ndarray, partial_labels: bool = False) -> Any:
    """A judgement on two cases of one structure, each drawn by ``a`` and ``b``; NaN: prediction and label lack it."""
    dice = dices.reshape(4, 1)
    own = {"score": 1 - dice, "dice": np.nan_to_num(dice, nan=1.0), "expected_dice": np.ones((4, 1))}
    evidence = {name: np.zeros((4, 1)) for name in EVIDENCE} | own
    return LabelJudge({1: "one"}, partial_labels=partial_labels).judge(("a/x", "a/y", "b/x", "b/y"), evidence)


@pytest.mark.parametrize(
    ("a", "b", "partial_labels", "better"),
    [
        (0.8, 0.9, False, "b"),
        (0.8, 0.8, False, ""),
        (math.nan, 0.9, False, "a"),  # a and the prediction have none, b has
        (math.nan, math.nan, False, ""),
        (math.nan, 0.9, True, ""),  # a has not annotated it
    ],
)
def test_the_label_nearer_to_the_prediction_is_the_better_one(
    a: float, b: float, partial_labels: bool, better: str, tmp_path: Path
) -> None:
    data = []
    for rater in "ab":
        for case in "xy":
            label = write_nifti(tmp_path / rater / f"{case}.nii.gz", np.ones((4, 4, 2), np.uint8))
            data.append({"case": f"{rater}/{case}", "rater": rater, "image": f"{case}.nii.gz", "label": str(label)})
    rows = compare_raters(judged(np.array([a, 0.7, b, 0.7]), partial_labels), data)
    assert [(row["case"], row["better"], row["agreement"]) for row in rows] == [("x", better, 1.0), ("y", "", 1.0)]
    n = {rater: int(better == rater) for rater in "ab"}
    total = sum(n.values())
    assert count_better(rows, ["a", "b"]) == [
        (r, f"better in {n[r]} of {total} ({n[r] / max(total, 1):.0%}), 0 suspected") for r in "ab"
    ]


def test_labels_that_are_stored_in_other_directions_agree(tmp_path: Path) -> None:
    affine, label = np.diag([1.0, 1.0, 3.0, 1.0]), np.zeros((10, 9, 5), np.uint8)
    label[2:6, 1:5, 1:4] = 1
    turned = nib.Nifti1Image(label, affine).as_reoriented(np.array([[1, -1], [0, -1], [2, 1]]))
    write_nifti(tmp_path / "anna.nii.gz", label, affine)
    write_nifti(tmp_path / "ben.nii.gz", np.asarray(turned.dataobj), turned.affine)
    write_nifti(tmp_path / "carla.nii.gz", label, affine @ np.diag([1, 1, 2, 1]))
    evidence = {name: np.full((3, 1), 0.9) for name in EVIDENCE}

    def agreement(*names: str) -> float:
        data = [{"case": f"{n}/a", "rater": n, "label": str(tmp_path / f"{n}.nii.gz"), "image": "a"} for n in names]
        cases = tuple(item["case"] for item in data)
        judgement = LabelJudge([1]).judge(cases, {name: values[: len(cases)] for name, values in evidence.items()})
        return compare_raters(judgement, data)[0]["agreement"]

    flat = label[:9, :, 2]
    write_nifti(tmp_path / "dora.nii.gz", flat, affine)
    write_nifti(tmp_path / "emil.nii.gz", flat[..., None], affine)
    assert agreement("anna", "ben") == 1
    assert agreement("dora", "emil") == agreement("emil", "dora") == 1
    assert math.isnan(agreement("anna", "ben", "carla"))
