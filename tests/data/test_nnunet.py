"""nnU-Net's raw data sets as input: their dataset.json is heeded, and our own export is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import NAMES, judged_cohort, read_nifti, tiny_image, tiny_label, write_nifti

from monai_selfcleanse.core.case_id import ENDINGS
from monai_selfcleanse.data import Cohort, check_structures, find_cases, find_nnunet_cases
from monai_selfcleanse.data.nnunet import structures_of_json
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


@pytest.mark.parametrize("ending", [*ENDINGS, ".NII.GZ"])
def test_any_ending_that_is_read_may_be_named(tmp_path: Path, ending: str) -> None:
    root = write_nnunet(tmp_path / "data", 1, file_ending=ending)
    assert [case["case"] for case in find_cases(root)[0]] == ["case_0"]


@pytest.mark.parametrize("ending", [".b2nd", ".npy", "nii.gz", 3, ["nii"]])
def test_files_of_other_formats_are_refused(tmp_path: Path, ending: Any) -> None:
    root = write_nnunet(tmp_path / "data", 1, file_ending=ending)
    with pytest.raises(ValueError, match=r"dataset\.json has the file_ending .*: only files that end in \.nii\.gz, "):
        find_cases(root)


BROKEN = {
    "comma": ('{\n "file_ending": ".nii.gz",,\n}', r"dataset\.json, line 2, column 27: is no JSON"),
    "empty": ("", r"dataset\.json, line 1, column 1: is no JSON"),
    "nested": ("[" * 100_000, r"dataset\.json, line 1, column 100000: its brackets are nested too deep"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_dataset_json_is_an_error_and_not_another_layout(tmp_path: Path, text: str, message: str) -> None:
    root = write_nnunet(tmp_path / "data", 2)
    (root / "dataset.json").write_text(text)
    for look in (find_cases, lambda folder: check_structures(folder, NAMES)):
        with pytest.raises(ValueError, match=message):
            look(root)


def test_a_byte_order_mark_is_no_content(tmp_path: Path) -> None:
    root = write_nnunet(tmp_path / "data", 2)
    path = root / "dataset.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(find_cases(root)[0]) == 2
    check_structures(root, NAMES)


FORMS = {
    "names": {"background": 0, "liver": 1, "tumour": 4},
    "values": {"0": "background", "1": "liver", "4": "tumour"},
    "a list": ["Background", "liver", "unused", "ignore", "tumour"],
    "texts": {"liver": "1", "tumour": " 4"},
    "floats": {"liver": 1.0, "tumour": 4.0},
    "with ignore": {"liver": 1, "tumour": 4, "ignore": 5},
    "ignore by value": {"1": "liver", "4": "tumour", "5": "Ignore"},
}


@pytest.mark.parametrize("labels", FORMS.values(), ids=FORMS.keys())
def test_labels_are_read_in_every_form(labels: Any) -> None:
    found = structures_of_json({"labels": labels}, "x.json")
    assert found is not None
    assert {k: name for k, name in found.items() if name != "unused"} == {1: "liver", 4: "tumour"}


def test_names_that_are_numbers_stay_names() -> None:
    assert structures_of_json({"labels": {"0": 0, "1": 2}}, "x.json") == {2: "1"}


@pytest.mark.parametrize("labels", [None, {}, [], ""])
def test_without_labels_nothing_is_named(labels: Any) -> None:
    assert structures_of_json({"labels": labels}, "x.json") is None


WRONG = {
    "region": ({"whole": [1, 2], "core": 2}, r"'whole' has the values \[1, 2\]: it is a region, which overlaps others"),
    "null": ({"liver": None}, "'liver' has the value None; expected a whole number from 0 on"),
    "fraction": ({"liver": 0.5}, r"'liver' has the value 0\.5; expected a whole number"),
    "negative": ({"liver": -1}, "'liver' has the value -1"),
    "true": ({"liver": True}, "'liver' has the value True"),
    "infinite": ({"liver": float("inf")}, "'liver' has the value inf"),
    "superscript": ({"liver": "²"}, "'liver' has the value '²'"),
    "twice": ({"liver": 1, "spleen": 1}, "'liver' and 'spleen' have the same value 1"),
    "some null": ({"1": "liver", "2": None}, "'1' has the value 'liver'"),
    "no background": (["liver", "tumour"], "a list that begins with 'liver'; put \"background\""),
    "mixed list": (["background", 3], "'labels' must be as"),
    "a text": ("liver", "'labels' must be as .*, got 'liver'"),
}


@pytest.mark.parametrize(("labels", "message"), WRONG.values(), ids=WRONG.keys())
def test_labels_that_cannot_be_are_named(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"x\.json: .*{message}"):
        structures_of_json({"labels": labels}, "x.json")


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
    with pytest.raises(ValueError, match=r"the label 'whole tumour' has the values \[1, 2\]: it is a region"):
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
