"""Reader of ACDC's layout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from helpers import write_patient, write_patients

from monai_selfcleanse.data import find_acdc_cases
from monai_selfcleanse.data.acdc import read_info

KEYS = {"case", "patient", "image", "label", "file"}


def test_official_layout_is_read(tmp_path: Path) -> None:
    write_patient(tmp_path / "training", "patient001", (1, 12))
    folder = tmp_path / "training" / "patient001"
    (folder / "patient001_4d.nii.gz").write_bytes(b"not looked at")
    (folder / "MANDATORY_CITATION.md").write_text("cite")
    (tmp_path / "training" / "README.md").write_text("a file among the folders")
    cases, problems = find_acdc_cases(tmp_path)
    assert problems == []
    assert cases[0] == {
        "case": "patient001_frame01",
        "patient": "patient001",
        "image": str(folder / "patient001_frame01.nii.gz"),
        "label": str(folder / "patient001_frame01_gt.nii.gz"),
        "file": os.path.join("patient001", "patient001_frame01_gt.nii.gz"),
    }
    assert [case["case"] for case in cases] == ["patient001_frame01", "patient001_frame12"]


def test_patients_may_lie_in_the_folder_itself(tmp_path: Path) -> None:
    write_patients(tmp_path, 2)
    (tmp_path / "training").mkdir()  # and an empty folder of that name does not hide them
    cases, problems = find_acdc_cases(tmp_path)
    assert problems == []
    assert len(cases) == 4


def test_copy_without_info_is_read(tmp_path: Path) -> None:
    write_patient(tmp_path, "patient001", info=False)
    cases, problems = find_acdc_cases(str(tmp_path))
    assert problems == []
    assert len(cases) == 2


@pytest.mark.parametrize("info", [False, True])
def test_uncompressed_files_are_read(tmp_path: Path, info: bool) -> None:
    write_patient(tmp_path, "patient001", ending=".nii", info=info)
    cases, problems = find_acdc_cases(tmp_path)
    assert problems == []
    assert [case["case"] for case in cases] == ["patient001_frame01", "patient001_frame09"]
    assert all(Path(case["image"]).is_file() and Path(case["label"]).is_file() for case in cases)


def test_cases_are_sorted_whatever_the_order_on_disk(tmp_path: Path) -> None:
    for patient in ("patient010", "patient002", "patient001"):
        write_patient(tmp_path, patient, (12, 2))
    cases, _ = find_acdc_cases(tmp_path)
    assert [case["case"] for case in cases] == [
        f"{patient}_frame{frame}" for patient in ("patient001", "patient002", "patient010") for frame in ("02", "12")
    ]
    assert all(set(case) == KEYS for case in cases)


def test_image_without_label_is_a_problem(tmp_path: Path) -> None:
    (write_patient(tmp_path, "patient001") / "patient001_frame09_gt.nii.gz").unlink()
    cases, problems = find_acdc_cases(tmp_path)
    assert len(cases) == len(problems) == 1
    assert "patient001_frame09.nii.gz: has no label; expected patient001_frame09_gt.nii.gz" in problems[0]


def test_label_without_image_is_a_problem(tmp_path: Path) -> None:
    (write_patient(tmp_path, "patient001") / "patient001_frame09.nii.gz").unlink()
    cases, problems = find_acdc_cases(tmp_path)
    assert len(cases) == len(problems) == 1
    assert "patient001_frame09_gt.nii.gz: has no image" in problems[0]


def test_frame_of_info_without_files_is_a_problem(tmp_path: Path) -> None:
    folder = write_patient(tmp_path, "patient001")
    for path in folder.glob("*_frame09*"):
        path.unlink()
    cases, problems = find_acdc_cases(tmp_path)
    assert len(cases) == len(problems) == 1
    assert "Info.cfg: names frame 09" in problems[0]


def test_all_patients_problems_are_found_at_once(tmp_path: Path) -> None:
    write_patients(tmp_path, 3)
    (tmp_path / "patient001" / "patient001_frame01.nii.gz").unlink()
    (tmp_path / "patient003" / "patient003_frame09_gt.nii.gz").unlink()
    cases, problems = find_acdc_cases(tmp_path)
    assert len(cases) == 4
    assert ["patient001" in problems[0], "patient003" in problems[1]] == [True, True]


def test_folder_without_frames_is_no_patient(tmp_path: Path) -> None:
    write_patient(tmp_path, "patient001")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("")
    assert [len(found) for found in find_acdc_cases(tmp_path)] == [2, 0]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_what_is_no_folder_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "data"
    if kind == "file":
        path.write_text("")
    with pytest.raises(ValueError, match="data' is not a folder: give the folder that holds patient001"):
        find_acdc_cases(path)


@pytest.mark.parametrize("content", ["nothing", "other files", "training without patients"])
def test_folder_in_another_layout_is_refused(tmp_path: Path, content: str) -> None:
    if content == "other files":
        (tmp_path / "images").mkdir()
        (tmp_path / "images" / "heart01.nii.gz").write_bytes(b"")
    elif content == "training without patients":
        (tmp_path / "training").mkdir()
    with pytest.raises(ValueError, match=r"no labelled frame in ACDC's layout: expected files such as .*_frame01\.nii"):
        find_acdc_cases(tmp_path)


def test_info_is_read_as_key_and_value(tmp_path: Path) -> None:
    path = tmp_path / "Info.cfg"
    path.write_bytes(b"ED: 1\r\nES:12\nGroup: DCM: mild\nno colon\n\nHeight: 1\xe9\n")
    info = read_info(path)
    assert (info["ED"], info["ES"], info["Group"]) == ("1", "12", "DCM: mild")
    assert "no colon" not in info
