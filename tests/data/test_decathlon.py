"""Reader of the Decathlon's layout, and which layout a folder has."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from helpers import read_nifti, tiny_image, tiny_label, write_decathlon, write_nifti, write_patients

from monai_selfcleanse.data import Cohort, check_structures, find_acdc_cases, find_cases, find_decathlon_cases
from monai_selfcleanse.data.nnunet import are_same_structures

LAYOUTS = [("imagesTr", "labelsTr"), ("images", "labels")]


@pytest.mark.parametrize("folders", LAYOUTS)
def test_both_layouts_are_read(tmp_path: Path, folders: tuple[str, str]) -> None:
    write_decathlon(tmp_path, 11, folders)
    write_nifti(tmp_path / "imagesTs" / "case_99.nii.gz", tiny_image())
    (tmp_path / "dataset.json").write_text("not looked at")
    cases, problems = find_decathlon_cases(tmp_path)
    assert problems == []
    assert [case["case"] for case in cases] == sorted(f"case_{i}" for i in range(11))
    assert cases[0] == {
        "case": "case_0",
        "patient": "case_0",
        "image": str(tmp_path / folders[0] / "case_0.nii.gz"),
        "label": str(tmp_path / folders[1] / "case_0.nii.gz"),
        "file": os.path.join(folders[1], "case_0.nii.gz"),
    }


def test_official_folders_come_first(tmp_path: Path) -> None:
    for folders in reversed(LAYOUTS):
        write_decathlon(tmp_path, 1, folders)
    assert find_decathlon_cases(tmp_path)[0][0]["file"] == os.path.join("labelsTr", "case_0.nii.gz")


def test_apple_double_files_are_passed_over(tmp_path: Path) -> None:
    write_decathlon(tmp_path, 2)
    for folder in LAYOUTS[0]:
        (tmp_path / folder / "._case_0.nii.gz").write_bytes(b"\0\5\x16\7")
        (tmp_path / folder / "._case_7.nii.gz").write_bytes(b"\0\5\x16\7")
    cases, problems = find_decathlon_cases(tmp_path)
    assert (len(cases), problems) == (2, [])


def test_uncompressed_files_are_read(tmp_path: Path) -> None:
    write_nifti(tmp_path / "imagesTr" / "a.nii", tiny_image())
    write_nifti(tmp_path / "labelsTr" / "a.nii.gz", tiny_label())
    cases, problems = find_decathlon_cases(str(tmp_path))
    assert problems == []
    assert cases[0]["file"] == os.path.join("labelsTr", "a.nii.gz")


def test_missing_partners_and_second_files_are_problems(tmp_path: Path) -> None:
    write_decathlon(tmp_path, 3)
    (tmp_path / "labelsTr" / "case_0.nii.gz").unlink()
    (tmp_path / "imagesTr" / "case_2.nii.gz").unlink()
    write_nifti(tmp_path / "labelsTr" / "case_1.nii", tiny_label())
    cases, problems = find_decathlon_cases(tmp_path)
    assert cases == []
    assert len(problems) == 3
    for path, wrong in (
        ("labelsTr/case_1.nii.gz", "is of the same case as case_1.nii; keep one of them"),
        ("imagesTr/case_0.nii.gz", "has no label"),
        ("labelsTr/case_2.nii.gz", "has no image"),
    ):
        assert any(line.startswith(f"{tmp_path / path}: {wrong}") for line in problems)


def test_channel_in_nnunets_names_is_no_part_of_the_case(tmp_path: Path) -> None:
    for name in ("a_0001", "b"):  # the first has the form of a channel's number, and is a case all the same
        write_nifti(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", tiny_image())
        write_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", tiny_label())
    write_nifti(tmp_path / "imagesTr" / "c_0002.nii.gz", tiny_image())
    write_nifti(tmp_path / "labelsTr" / "c_0002.nii.gz", tiny_label())
    cases, problems = find_decathlon_cases(tmp_path)
    assert problems == []
    assert [(case["case"], Path(case["image"]).name) for case in cases] == [
        ("a_0001", "a_0001_0000.nii.gz"),
        ("b", "b_0000.nii.gz"),
        ("c_0002", "c_0002.nii.gz"),
    ]


def test_several_channels_are_a_list_of_images(tmp_path: Path) -> None:
    for name in ("a_0001", "a_0000", "b_0000", "b_0002"):
        write_nifti(tmp_path / "imagesTr" / f"{name}.nii.gz", tiny_image())
    for name in ("a", "b"):
        write_nifti(tmp_path / "labelsTr" / f"{name}.nii.gz", tiny_label())
    cases, problems = find_decathlon_cases(tmp_path)
    assert [(case["case"], [Path(p).name for p in case["image"]]) for case in cases] == [
        ("a", ["a_0000.nii.gz", "a_0001.nii.gz"])
    ]
    assert len(problems) == 1
    assert "b_0000, b_0001, ..., got b_0000.nii.gz, b_0002.nii.gz" in problems[0]


@pytest.mark.parametrize("empty", [False, True])
def test_folder_without_cases_is_refused(tmp_path: Path, empty: bool) -> None:
    for folder in ("imagesTr", "labelsTr") if empty else ():
        (tmp_path / folder).mkdir()
    with pytest.raises(ValueError, match=r"no image and no label in the Decathlon's layout: expected files such as"):
        find_decathlon_cases(tmp_path)


def test_layout_is_found_by_the_folders(tmp_path: Path) -> None:
    acdc, decathlon = write_patients(tmp_path / "acdc", 1), write_decathlon(tmp_path / "decathlon", 1)
    (acdc / "images").mkdir()  # half a layout is none
    assert find_cases(acdc) == find_acdc_cases(acdc)
    assert find_cases(decathlon) == find_decathlon_cases(decathlon)


@pytest.mark.parametrize("kind", ["missing", "foreign"])
def test_folder_of_no_layout_is_refused_with_two_named(tmp_path: Path, kind: str) -> None:
    if kind == "foreign":
        write_nifti(tmp_path / "data" / "images" / "a.nii.gz", tiny_image())
    with pytest.raises(ValueError, match=r"data'( is not a folder|.* imagesTr/.* and labelsTr/.*patient001)"):
        find_cases(tmp_path / "data")


LABELS = {"0": "background", "1": "right ventricle", "2": "myocardium", "3": "left ventricle"}


def write_json(data: Path, labels: dict[str, str]) -> Path:
    """As the Decathlon's own archives have it."""
    content = {"name": "Tiny", "modality": {"0": "MRI"}, "labels": labels, "numTraining": 3, "training": [], "test": []}
    (data / "dataset.json").write_text(json.dumps(content))
    return data


def test_structures_of_its_dataset_json_must_be_the_configured_ones(tmp_path: Path) -> None:
    """Or brains are judged as hearts."""
    data = write_json(write_decathlon(tmp_path / "data", 3), {"0": "background", "1": "Anterior", "2": "Posterior"})
    cohort = Cohort(str(data), str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"data/dataset\.json names other structures than the configuration") as caught:
        cohort.found  # noqa: B018
    assert str(caught.value).endswith("give --structures \"{'1': 'Anterior', '2': 'Posterior'}\"")
    others = {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"}
    with pytest.raises(ValueError, match="names other structures than the configuration"):
        Cohort(str(write_json(data, others)), str(tmp_path / "out")).train  # noqa: B018
    assert not (tmp_path / "out").exists()


def test_structures_that_agree_with_its_dataset_json_are_taken(tmp_path: Path) -> None:
    data = write_decathlon(tmp_path / "data", 3)
    found = find_cases(data)
    for labels in (LABELS, LABELS | {"1": "RIGHT_Ventricle"}, LABELS | {"2": "the myocardium"}, {}):
        cohort = Cohort(str(write_json(data, labels)), str(tmp_path / "out"))
        assert cohort.found == found
    check_structures(data, {1: "anything"})  # which names none
    hippocampus = {1: "anterior hippocampus", 2: "posterior hippocampus"}  # the overlay's names for the archive's
    check_structures(write_json(data, {"0": "background", "1": "Anterior", "2": "Posterior"}), hippocampus)
    with pytest.raises(ValueError, match="names other structures"):
        check_structures(data, {1: hippocampus[2], 2: hippocampus[1]})
    (data / "dataset.json").unlink()
    check_structures(data, {1: "anything"})


def test_results_of_a_training_do_not_go_among_labels(tmp_path: Path) -> None:
    data = write_decathlon(tmp_path / "data", 3)
    with pytest.raises(ValueError, match=r"labelsTr' is the folder of .*case_0\.nii\.gz: .*; give another output_dir"):
        Cohort(str(data), str(data / "labelsTr")).train  # noqa: B018
    assert not [path for path in (data / "labelsTr").iterdir() if not path.name.startswith(".lock")][3:]


def test_cohort_of_a_decathlon_folder(tmp_path: Path) -> None:
    data = write_decathlon(tmp_path / "data", 6)
    cohort = Cohort(str(data), str(tmp_path / "out"), noise_rate=0.5)
    assert (len(cohort.train), len(cohort.validation)) == (5, 1)
    noisy = [case for case in cohort.train if case["label"] != case["truth"]]
    assert len(noisy) == 2
    for case in noisy:
        assert Path(case["label"]) == tmp_path / "out" / "noisy_labels" / "labelsTr" / f"{case['case']}.nii.gz"
        assert (read_nifti(case["label"]) != read_nifti(case["truth"])).any()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({1: "Anterior", 2: "Posterior"}, {1: "anterior hippocampus", 2: "posterior hippocampus"}, True),
        ({1: "left-ventricle"}, {1: "Left Ventricle"}, True),
        ({1: "left ventricle", 2: "left ventricle wall"}, {1: "left ventricle wall", 2: "left ventricle"}, False),
        ({1: "lesion"}, {1: "no lesion"}, False),
        ({1: "liver"}, {2: "liver"}, False),
    ],
)
def test_names_that_may_mean_the_same(one: dict[int, str], other: dict[int, str], same: bool) -> None:
    assert are_same_structures(one, other) == are_same_structures(other, one) == same
