"""Filter and cleanser against the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from helpers import judgement_of, write_nifti

from monai_selfcleanse.results import compare_with_truth


def test_comparison_with_the_truth_counts_noisy_and_clean(tmp_path: Path) -> None:
    truth = np.zeros((10, 10, 2), np.uint8)
    truth[2:8, 2:8] = 1
    spoilt = truth.copy()
    spoilt[5:] = 0
    data = []
    for name, given, cleansed in (("a", truth, truth), ("b", spoilt, truth)):
        paths: dict[str, str] = {}
        paths["truth"] = str(write_nifti(tmp_path / "truth" / f"{name}.nii.gz", truth))
        paths["label"] = str(write_nifti(tmp_path / "given" / f"{name}.nii.gz", given))
        write_nifti(tmp_path / "cleansed" / f"{name}.nii.gz", cleansed)
        data.append({"image": "none", "case": name, "file": f"{name}.nii.gz", **paths})
    suspected = np.array([[False], [True]])
    judgement = judgement_of("ab", {1: "one"}, np.array([[0.9], [0.1]]), suspected)
    summary = compare_with_truth(judgement, data, tmp_path / "cleansed")
    assert summary is not None
    np.testing.assert_allclose(summary.given_dice, [[1.0], [2 * 3 / 9]])
    np.testing.assert_allclose(summary.cleansed_dice, [[1.0], [1.0]])
    assert summary.auroc == 1.0
    del data[0]["truth"]
    assert compare_with_truth(judgement, data, tmp_path / "cleansed") is None
