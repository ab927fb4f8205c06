"""Cases as dictionaries: unique ids, and where their cleansed labels go."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path

import pytest
import torch
from monai.data import decollate_batch

from monai_selfcleanse.cases.case import check_unique_cases, decollated, label_file_of
from monai_selfcleanse.core.case_id import ENDINGS


def case(name: str, **changes: object) -> dict[str, object]:
    return {"case": name, "image": f"{name}_i.nii", "label": f"{name}.nii", "file": f"x/{name}.nii"} | changes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "x/a.nii"}, r"cleansed labels of several cases would be one file \(x/a\.nii\): give each"),
        ({"file": "./x//a.nii"}, r"cleansed labels of several cases would be one file \(x/a\.nii\)"),
        ({"file": "x/a.nii/b.nii"}, r"cleansed labels would lie within files of others \(x/a\.nii\)"),
        ({"label": "./a.nii"}, r"several cases have the same label \(.*/a\.nii\): give each case a label"),
        ({"image": "../{here}//a_i.nii"}, r"several cases have the same image \(.*/a_i\.nii\): leave one"),
        ({"image": ["a_i.nii"]}, "several cases have the same image"),
        ({"case": "a"}, r"several cases have the same id \(a\)"),
    ],
)
def test_two_cases_share_nothing(change: dict[str, object], message: str) -> None:
    if isinstance(change.get("image"), str):
        change = {"image": str(change["image"]).format(here=os.path.basename(os.getcwd()))}
    assert check_unique_cases([case("a"), case("b"), case("c")]) == ["a", "b", "c"]
    with pytest.raises(ValueError, match=message):
        check_unique_cases([case("a"), case("b") | change])


@pytest.mark.parametrize("key", ["case", "file", "label", "image"])
def test_names_that_differ_in_the_form_of_unicode_are_one(key: str) -> None:
    one, other = (unicodedata.normalize(form, "Ärzte.nii") for form in ("NFC", "NFD"))
    with pytest.raises(ValueError, match=f"several cases .*{one}"):
        check_unique_cases([case("a", **{key: one}), case("b", **{key: other})])


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_capitals_tell_files_apart_where_the_system_does(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    for other in ("X/A.nii", "X/A.NII/b.nii"):
        cases = [case("a"), case("b", file=other)]
        if platform == "linux":
            assert check_unique_cases(cases) == ["a", "b"]
        else:
            with pytest.raises(ValueError, match=r"cleansed labels .*x/a\.nii"):
                check_unique_cases(cases)


def test_an_image_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "label.nii").touch()
    (tmp_path / "link.nii").symlink_to("label.nii")
    label = str(tmp_path / "label.nii")
    for image in (label, str(tmp_path / "link.nii"), ["other.nii", label]):
        with pytest.raises(ValueError, match=r"one file is image and label at once \(.*label\.nii\): give each case"):
            check_unique_cases([case("a", label=label, image=image), case("b")])


def test_raters_share_an_image() -> None:
    cases = [case(name, image=["i_0000.nii", "i_0001.nii"], rater=name) for name in ("anna", "ben")]
    assert check_unique_cases(cases) == ["anna", "ben"]
    with pytest.raises(ValueError, match=r"i_0001\.nii \(rater anna\)"):
        check_unique_cases([cases[0], cases[1] | {"rater": "anna"}])


def test_what_is_loaded_already_has_no_path() -> None:
    loaded = {"image": torch.zeros(1), "label": torch.zeros(1)}
    assert check_unique_cases([loaded | {"case": "a"}, loaded | {"case": "b"}]) == ["a", "b"]


def test_ids_are_told_in_order_and_must_be_unique() -> None:
    assert check_unique_cases([{"image": "a/x.nii"}, {"image": "a/y.nii"}]) == ["x", "y"]
    with pytest.raises(ValueError, match=r"several cases have the same id \(x\)"):
        check_unique_cases([{"image": "a/x.nii"}, {"image": "b/x.nii"}])


def test_a_cleansed_label_goes_to_its_path_in_the_data_set() -> None:
    assert label_file_of({"label": "/a/b.nii", "case": "c"}) == "c.nii"
    for file in ("/etc/passwd", "../x.nii.gz", "a/../../x.nii.gz", "", "./"):
        with pytest.raises(ValueError, match="'file' must be a path within the data set"):
            label_file_of({"label": "/a/b.nii.gz", "case": "c", "file": file})
    assert label_file_of({"label": "/a/b.nii.gz", "file": "./p//b.nii.gz"}) == "p/b.nii.gz"


@pytest.mark.parametrize("ending", [*ENDINGS, ".NII.GZ", ".Tiff"])
def test_a_cleansed_label_ends_as_the_given_one(ending: str) -> None:
    assert label_file_of({"label": f"/a/b.c{ending}", "case": "v1.2", "file": None}) == f"v1.2{ending}"


def test_a_batch_is_taken_apart_once() -> None:
    batch = {"case": ["a", "b"], "image": torch.arange(6).reshape(2, 1, 3)}
    for form in (batch, decollate_batch(batch)):
        cases = decollated(form)
        assert [case["case"] for case in cases] == ["a", "b"]
        assert [case["image"].tolist() for case in cases] == [[[0, 1, 2]], [[3, 4, 5]]]
