"""A case for each rater who has a label of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import files_below, read_nifti, write_nifti, write_raters

from monai_selfcleanse.data import find_cases
from monai_selfcleanse.data.raters import cases_of_raters


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raters(tmp_path_factory.mktemp("raters"))


def test_every_rater_gets_a_case_for_each_label_of_theirs(dataset: Path) -> None:
    found, problems = find_cases(dataset / "data")
    folders = {"anna": dataset / "anna", "ben": dataset / "ben"}
    before = files_below(dataset)
    cases, lines = cases_of_raters((found, problems), folders)
    assert [case["case"] for case in cases[:14]] == [f"anna/{case['case']}" for case in found]
    assert [case["case"] for case in cases[14:]] == [f"ben/{case['case']}" for case in found[:13]]
    assert lines == [*problems, f"{dataset / 'ben'}: ben has no label of 1 cases, such as case_13"]
    for case in cases:
        own = next(item for item in found if case["case"] == f"{case['rater']}/{item['case']}")
        assert (case["image"], case["file"]) == (own["image"], f"{case['rater']}/{own['file']}")
        assert Path(case["label"]).is_relative_to(folders[case["rater"]])
        assert read_nifti(case["label"]).shape == read_nifti(own["label"]).shape
    assert files_below(dataset) == before


def test_without_raters_the_cases_are_as_they_are(dataset: Path) -> None:
    found = find_cases(dataset / "data")
    assert cases_of_raters(found, None) is found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"anna": "anna"}, "two or more folders by name"),
        ({"anna": "anna", "../ben": "ben"}, "'../ben' is no name for a rater"),
        ({"anna": "anna", "ben": "nowhere"}, "nowhere', ben's, is not a folder"),
        (
            {"anna": "anna", "ben": "."},
            "label of none of the 14 cases: expected files such as .*case_00.nii.gz right in",
        ),
    ],
)
def test_raters_that_cannot_be_are_refused(options: dict[str, str], message: str, dataset: Path) -> None:
    folders = {name: str(dataset / folder) for name, folder in options.items()}
    with pytest.raises(ValueError, match=message):
        cases_of_raters(find_cases(dataset / "data"), folders)


def test_one_label_for_two_cases_is_refused(tmp_path: Path) -> None:
    cases = [
        {"case": p, "image": f"{p}/i.nii.gz", "label": f"{p}/seg.nii.gz", "file": f"{p}/seg.nii.gz"} for p in ("p", "q")
    ]
    for name in ("a", "b"):
        write_nifti(tmp_path / name / "seg.nii.gz", np.ones((4, 4, 2), np.uint8))
    with pytest.raises(ValueError, match=r"a.seg\.nii\.gz would be the label of several cases"):
        cases_of_raters((cases, []), {"a": tmp_path / "a", "b": tmp_path / "b"})
