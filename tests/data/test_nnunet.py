"""nnU-Net's raw data sets as input: their dataset.json is heeded, and our own export is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import NAMES, judged_cohort, read_nifti, tiny_image, tiny_label, write_nifti

from monai_selfcleanse.data import Cohort, check_structures, find_cases, find_nnunet_cases
from monai_selfcleanse.results import write_nnunet_dataset

LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}


def write_nnunet(root: Path, n: int, channels: int = 1, labels: dict[str, Any] | None = None, **entries: Any) -> Path:
    """Write ``case_0`` ... as a raw data set, and return the folder."""
    for i in range(n):
        for channel in range(channels):
            write_nifti(root / "imagesTr" / f"case_{i}_{channel:04d}.nii.gz", tiny_image(10 * i + channel))
        write_nifti(root / "labelsTr" / f"case_{i}.nii.gz", tiny_label(i % 8))
    dataset = {
        "channel_names": {str(c): f"channel {c}" for c in range(channels)},
        "labels": LABELS if labels is None else labels,
        "numTraining": n,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(dataset | entries))
    return root


def test_channels_are_a_list_and_one_is_a_path(tmp_path: Path) -> None:
    for channels in (1, 2):
        root = write_nnunet(tmp_path / f"Dataset00{channels}_Tiny", 2, channels)
        cases, problems = find_cases(root)
        paths = [str(root / "imagesTr" / f"case_0_{c:04d}.nii.gz") for c in range(channels)]
        assert problems == []
        assert cases[0] == {
            "case": "case_0",
            "patient": "case_0",
            "image": paths if channels > 1 else paths[0],
            "label": str(root / "labelsTr" / "case_0.nii.gz"),
            "file": str(Path("labelsTr") / "case_0.nii.gz"),
        }


def test_a_case_that_lacks_a_channel_is_a_problem(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 2, channels=2)
    (root / "imagesTr" / "case_1_0001.nii.gz").unlink()
    _, problems = find_nnunet_cases(root)
    first = root / "imagesTr" / "case_1_0000.nii.gz"
    assert problems == [f"{first}: its case has 1 of the 2 channels that dataset.json names"]


def test_other_files_than_nifti_are_refused(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 1, file_ending=".png")
    with pytest.raises(ValueError, match=r"dataset\.json has the file_ending '\.png': only \.nii and \.nii\.gz are"):
        find_cases(root)


def test_its_own_structures_must_be_the_configured_ones(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 3, labels=LABELS | {"ignore": 4})
    check_structures(root, NAMES)
    check_structures(root, {"1": "Right_Ventricle", "2": "Myocardium", "3": "LEFT ventricle"})
    for other in (
        {1: "right ventricle", 2: "myocardium"},
        {1: "left ventricle", 2: "myocardium", 3: "right ventricle"},
    ):
        with pytest.raises(ValueError, match=r"dataset\.json names other structures than the configuration") as caught:
            Cohort(str(root), str(tmp_path / "out"), structures=other).train  # noqa: B018
        option = "--structures \"{'1': 'right ventricle', '2': 'myocardium', '3': 'left ventricle'}\""
        assert str(caught.value).endswith(option)


def test_regions_are_refused(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 1, labels={"background": 0, "whole tumour": [1, 2], "core": 2})
    with pytest.raises(ValueError, match=r"the label 'whole tumour' has the value \[1, 2\]; only labels of one value"):
        check_structures(root, NAMES)


def test_a_cohort_of_two_channels_wants_a_network_of_two(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 4, channels=2)
    with pytest.raises(ValueError, match=r"the image has 2 channels, as have 3 others, the network takes 1;"):
        Cohort(str(root), str(tmp_path / "out")).train  # noqa: B018
    cohort = Cohort(str(root), str(tmp_path / "out"), noise_rate=0.5, in_channels=2)
    noisy = [case for case in cohort.train if case["label"] != case["truth"]]
    assert noisy
    for case in noisy:
        assert Path(case["label"]) == tmp_path / "out" / "noisy_labels" / case["file"]


def test_our_own_export_is_read_back(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    root = tmp_path / "Dataset501_Cleansed"
    write_nnunet_dataset(root, *judged, {"epoch": 7})
    cases, problems = find_cases(root)
    check_structures(root, NAMES)
    assert problems == []
    assert [case["case"] for case in cases] == [item["case"] for item in judged.data]
    for case, item in zip(cases, judged.data, strict=True):
        assert (read_nifti(case["image"]) == read_nifti(item["image"])).all()
