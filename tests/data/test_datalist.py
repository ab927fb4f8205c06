"""Data sets that are a JSON file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import NAMES, read_nifti, tiny_image, tiny_label, write_decathlon, write_nifti

from monai_selfcleanse.cases.case import check_unique_cases
from monai_selfcleanse.core.case_id import ENDINGS
from monai_selfcleanse.data import Cohort, check_structures, find_cases


def write_list(path: Path, entries: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entries))
    return path


def write_pair(folder: Path, image: str, label: str, i: int = 0) -> dict[str, Any]:
    """Write an image and its label, and return their entry."""
    write_nifti(Path(os.path.normpath(folder / image)), tiny_image(i))
    write_nifti(Path(os.path.normpath(folder / label)), tiny_label(i % 8))
    return {"image": image, "label": label}


def test_the_decathlons_own_file_is_read(tmp_path: Path) -> None:
    data = write_decathlon(tmp_path, 3)
    entries = [{"image": f"./imagesTr/case_{i}.nii.gz", "label": f"./labelsTr/case_{i}.nii.gz"} for i in (2, 0)]
    content = {"labels": {"0": "background", "1": "Anterior"}, "training": entries, "test": ["./imagesTs/x.nii.gz"]}
    path = write_list(data / "dataset.json", content)
    cases, problems = find_cases(path)
    assert problems == []
    assert [case["case"] for case in cases] == ["case_2", "case_0"]
    assert cases[0] == {
        "case": "case_2",
        "patient": "case_2",
        "image": str(tmp_path / "imagesTr" / "case_2.nii.gz"),
        "label": str(tmp_path / "labelsTr" / "case_2.nii.gz"),
        "file": str(Path("labelsTr") / "case_2.nii.gz"),
    }
    check_structures(path, {"1": "anterior"})
    with pytest.raises(
        ValueError, match=r"dataset\.json names other structures .* --structures \"\{'1': 'Anterior'\}\""
    ):
        check_structures(path, NAMES)


def test_a_bare_list_with_channels_and_keys_of_its_own(tmp_path: Path) -> None:
    one = write_pair(tmp_path, "a_t1.nii.gz", "a.nii.gz")
    write_pair(tmp_path, "a_t2.nii.gz", "a.nii.gz")
    entry = one | {"image": ["a_t1.nii.gz", "a_t2.nii.gz"], "case": 7, "patient": "p1", "file": "x/y.nii.gz", "fold": 2}
    cases, problems = find_cases(write_list(tmp_path / "list.json", [entry]))
    assert problems == []
    assert cases == [
        {
            "case": "7",
            "patient": "p1",
            "image": [str(tmp_path / "a_t1.nii.gz"), str(tmp_path / "a_t2.nii.gz")],
            "label": str(tmp_path / "a.nii.gz"),
            "file": "x/y.nii.gz",
        }
    ]
    check_structures(tmp_path / "list.json", NAMES)


def test_equal_names_in_many_folders_become_paths(tmp_path: Path) -> None:
    entries = [write_pair(tmp_path, f"p{i}/t1.nii.gz", f"p{i}/seg.nii.gz", i) for i in range(3)]
    entries[2]["case"] = "third"
    cases, _ = find_cases(write_list(tmp_path / "list.json", entries))
    assert [case["case"] for case in cases] == ["p0/t1", "p1/t1", "third"]
    assert [Path(case["file"]).as_posix() for case in cases] == [f"p{i}/seg.nii.gz" for i in range(3)]
    check_unique_cases(cases)


def test_files_out_of_the_lists_folder_do_not_escape_or_collide(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    elsewhere = write_pair(tmp_path / "b", str(tmp_path / "b" / "i.nii.gz"), str(tmp_path / "b" / "l" / "seg.nii.gz"))
    entries = [write_pair(lists, "../a/i.nii.gz", "../a/l/seg.nii.gz"), elsewhere]
    cases, problems = find_cases(write_list(lists / "list.json", {"training": entries}))
    assert problems == []
    assert [case["case"] for case in cases] == ["a/i", "b/i"]
    assert [Path(case["file"]).as_posix() for case in cases] == ["a/l/seg.nii.gz", "b/l/seg.nii.gz"]
    check_unique_cases(cases)


def test_the_number_of_a_channel_is_no_part_of_the_case(tmp_path: Path) -> None:
    entries = [write_pair(tmp_path, "a_0000.nii.gz", "a.nii.gz"), write_pair(tmp_path, "b_0007.nii.gz", "b.nii.gz")]
    write_pair(tmp_path, "a_0001.nii.gz", "a.nii.gz")
    entries[0]["image"] = ["a_0000.nii.gz", "a_0001.nii.gz"]
    cases, _ = find_cases(write_list(tmp_path / "list.json", entries))
    assert [case["case"] for case in cases] == ["a", "b_0007"]


def test_broken_entries_are_named_and_the_others_read(tmp_path: Path) -> None:
    good = write_pair(tmp_path, "a.nii.gz", "a_seg.nii.gz")
    entries = [
        good,
        {"image": "a.nii.gz"},
        {"label": "a_seg.nii.gz", "image": []},
        good | {"label": "gone.nii.gz"},
        "a.nii.gz",
        good | {"label": "a_seg.mgz"},
        good | {"label": None},
        good | {"label": ["a_seg.nii.gz", "b_seg.nii.gz"]},
        good | {"label": 3},
        good | {"patient": ["p"]},
        good | {"case": True},
        good | {"file": "a_seg.nrrd"},
        good | {"label": "a.nii.gz"},
        None,
        good | {"image": ["gone_1.nii", "gone_2.nii"]},
    ]
    path = write_list(tmp_path / "list.json", entries)
    cases, problems = find_cases(path)
    assert [case["case"] for case in cases] == ["a"]
    messages = [
        "'a.nii.gz' has no 'label'; a case without one cannot be judged: give it a label, or leave it out",
        "'image' must be a path, or a list of them, got []",
        f"{tmp_path / 'gone.nii.gz'} is not there",
        "expected {'image': ..., 'label': ...}, got 'a.nii.gz'",
        f"labels must end in {', '.join(ENDINGS)}, got 'a_seg.mgz'",
        "'a.nii.gz' has no 'label'; a case without one cannot be judged: give it a label, or leave it out",
        "'label' must be one file that holds all structures, got ['a_seg.nii.gz', 'b_seg.nii.gz']: put these "
        "files into one",
        "'label' must be a path, got 3",
        "'patient' must be a text or a number, got ['p']",
        "'case' must be a text or a number, got True",
        "'file' must end in .nii.gz, as the label does, got 'a_seg.nrrd'",
        f"{tmp_path / 'a.nii.gz'} is named as image and as label: one of them must be another file",
        "expected {'image': ..., 'label': ...}, got None",
        f"{tmp_path / 'gone_1.nii'} and {tmp_path / 'gone_2.nii'} are not there",
    ]
    assert problems == [f"{path}, entry {i}: {message}" for i, message in enumerate(messages, 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"list\.json, line 1, column 2: is no JSON "),
        ("{}", r'holds no list of cases: expected \{"training": '),
        ("[]", "holds no list of cases"),
        ('{"training": 3}', "holds no list of cases"),
    ],
)
def test_files_that_are_no_datalist_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        find_cases(tmp_path / "list.json")


MISSPELT = {
    "pateint": "patient",
    "Patient": "patient",
    "patient_id": "patient",
    "cases": "case",
    "files": "file",
}


@pytest.mark.parametrize(("key", "meant"), MISSPELT.items())
def test_a_misspelt_key_is_warned_of_once(
    key: str, meant: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    entries = [write_pair(tmp_path, f"{i}.nii.gz", f"{i}_seg.nii.gz", i) | {key: f"x{i // 2}"} for i in range(4)]
    path = write_list(tmp_path / "list.json", entries)
    cases, problems = find_cases(path)
    assert (len(cases), problems) == (4, [])
    said = f"entries have the key {key!r}, which is passed over; did you mean {meant!r}?"
    assert [record.message for record in caplog.records] == [f"{path}: 4 {said}"]
    caplog.clear()
    find_cases(write_list(path, [*entries[:2], *(entry | {meant: "x.nii.gz"} for entry in entries[2:])]))
    assert [record.message for record in caplog.records] == [f"{path}: 2 {said}"]


def test_keys_that_others_carry_along_are_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = (
        "fold",
        "image_meta_dict",
        "label_path",
        "id",
        "phase",
        "class",
        "site",
        "age",
        "rater",
        "values",
        "truth",
    )
    entry = write_pair(tmp_path, "a.nii.gz", "a_seg.nii.gz") | dict.fromkeys(others, 1)
    cases, problems = find_cases(write_list(tmp_path / "list.json", [entry]))
    assert (len(cases), problems, caplog.records) == (1, [], [])


def test_a_misspelt_key_that_is_needed_is_named_in_the_error(tmp_path: Path) -> None:
    good = write_pair(tmp_path, "a.nii.gz", "a_seg.nii.gz")
    entries = [
        {"image": good["image"], "lable": good["label"]},
        {"img": good["image"], "label": good["label"]},
    ]
    path = write_list(tmp_path / "list.json", entries)
    assert find_cases(path)[1] == [
        f"{path}, entry 0: 'a.nii.gz' has no 'label'; it has 'lable': did you mean 'label'?",
        f"{path}, entry 1: 'image' must be a path, or a list of them, got None; it has 'img': did you mean 'image'?",
    ]
    with pytest.raises(ValueError, match=r"holds no list of cases: .*; it has 'train': did you mean 'training'\?"):
        find_cases(write_list(path, {"train": entries}))


@pytest.mark.parametrize("nothing", ["null", "NaN", '""', '" "'])
@pytest.mark.parametrize("key", ["patient", "case", "file", "fold"])
def test_what_is_null_is_not_given(tmp_path: Path, key: str, nothing: str) -> None:
    entries = [write_pair(tmp_path, f"i/{name}.nii.gz", f"l/{name}.nii.gz") for name in "abcd"]
    plain, _ = find_cases(write_list(tmp_path / "list.json", entries))
    text = json.dumps([entry | {key: "HERE"} for entry in entries]).replace('"HERE"', nothing)
    (tmp_path / "null.json").write_text(text)
    assert find_cases(tmp_path / "null.json") == (plain, [])


def test_names_of_cases_and_patients_are_texts_in_one_form(tmp_path: Path) -> None:
    entries = [write_pair(tmp_path, f"{i}.nii.gz", f"{i}_seg.nii.gz") for i in range(4)]
    for entry, patient in zip(entries, (7, 7.0, "A\u0308", "\u00c4"), strict=True):
        entry["patient"] = patient
    cases, _ = find_cases(write_list(tmp_path / "list.json", entries))
    assert [case["patient"] for case in cases] == ["7", "7", "\u00c4", "\u00c4"]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".NII.GZ"])
@pytest.mark.parametrize("channels", [1, 2])
def test_images_that_nnunet_has_split_are_found(tmp_path: Path, channels: int, ending: str) -> None:
    entries = []
    for name in ("a", "b_0003"):
        for channel in range(channels):
            write_pair(tmp_path, f"imagesTr/{name}_{channel:04d}.nii.gz", f"labelsTr/{name}.nii.gz")
        for path in tmp_path.glob("*/*.nii.gz"):
            path.rename(str(path).replace(".nii.gz", ending))
        entries.append({"image": f"./imagesTr/{name}{ending}", "label": f"./labelsTr/{name}{ending}"})
    content = {"modality": {str(i): "MR" for i in range(channels)}, "training": entries}
    path = write_list(tmp_path / "dataset.json", content)
    cases, problems = find_cases(path)
    assert problems == []
    assert [case["case"] for case in cases] == ["a", "b_0003"]
    wanted = [str(tmp_path / "imagesTr" / f"a_{channel:04d}{ending}") for channel in range(channels)]
    assert cases[0]["image"] == (wanted if channels > 1 else wanted[0])
    _, problems = find_cases(write_list(path, content | {"modality": {"0": "T1", "1": "T2", "2": "T3"}}))
    assert len(problems) == 2
    assert f"{wanted[0]}: its case has {channels} of the 3 channels" in problems[0]


def test_nnunets_second_dataset_json_is_told_to_be_given_as_a_folder(tmp_path: Path) -> None:
    data = write_decathlon(tmp_path, 1)
    path = write_list(data / "dataset.json", {"labels": {"background": 0}, "file_ending": ".nii.gz"})
    with pytest.raises(ValueError, match=r"holds no list of cases: .*; or give the folder '.*' instead"):
        find_cases(path)


@pytest.mark.parametrize("change", [{}, {"case": "c"}, {"case": "c", "file": "c.nii.gz"}])
def test_two_entries_of_one_image_are_refused_however_it_is_written(tmp_path: Path, change: dict[str, str]) -> None:
    entry = write_pair(tmp_path, "some/a.nii.gz", "others/a.nii.gz")
    again = {"image": "./some//a.nii.gz", "label": "others/../others/a.nii.gz"}
    cases, problems = find_cases(write_list(tmp_path / "list.json", [entry, again | change]))
    assert problems == []
    with pytest.raises(ValueError, match=r"several cases have the same image \(.*some.a\.nii\.gz\)"):
        check_unique_cases(cases)


def test_two_formats_of_one_image_are_refused(tmp_path: Path) -> None:
    entries = [write_pair(tmp_path, f"a{ending}", f"a_seg{ending}") for ending in (".nii", ".nii.gz")]
    with pytest.raises(ValueError, match=r"several cases have the same id \(a\)"):
        check_unique_cases(find_cases(write_list(tmp_path / "list.json", entries))[0])


def test_the_same_label_twice_is_refused(tmp_path: Path) -> None:
    entry = write_pair(tmp_path, "a.nii.gz", "seg.nii.gz")
    entries = [entry, write_pair(tmp_path, "b.nii.gz", "seg.nii.gz")]
    with pytest.raises(ValueError, match=r"cleansed labels of several cases would be one file \(seg\.nii\.gz"):
        check_unique_cases(find_cases(write_list(tmp_path / "list.json", entries))[0])


def test_a_cohort_of_a_datalist_keeps_patients_together(tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    entries = [
        write_pair(lists, f"../p{i}/{t}.nii.gz", f"../p{i}/{t}_seg.nii.gz", i) | {"patient": f"p{i}"}
        for i in range(4)
        for t in ("first", "second")
    ]
    cohort = Cohort(str(write_list(lists / "list.json", entries)), str(tmp_path / "out"), noise_rate=0.5)
    assert (len(cohort.train), len(cohort.validation)) == (6, 2)
    assert len({case["patient"] for case in cohort.validation}) == 1
    noisy = [case for case in cohort.train if case["label"] != case["truth"]]
    assert len(noisy) == 4
    for case in noisy:
        assert Path(case["label"]) == tmp_path / "out" / "noisy_labels" / case["file"]
        assert (read_nifti(case["label"]) != read_nifti(case["truth"])).any()
