"""Cases as dictionaries: unique ids, and where their cleansed labels go."""

from __future__ import annotations

import pytest
import torch
from monai.data import decollate_batch

from monai_selfcleanse.cases.case import check_unique_cases, decollated, label_file_of


def test_cases_must_not_share_the_file_of_their_cleansed_labels() -> None:
    one = {"case": "a", "image": "i.nii", "label": "l.nii", "file": "x/l.nii"}
    assert check_unique_cases([one, one | {"case": "b", "file": "y/l.nii"}]) == ["a", "b"]
    with pytest.raises(ValueError, match=r"1 files would hold the cleansed labels of more than one case \(x/l\.nii\)"):
        check_unique_cases([one, one | {"case": "b"}])


def test_ids_are_told_in_order_and_must_be_unique() -> None:
    assert check_unique_cases([{"image": "a/x.nii"}, {"image": "a/y.nii"}]) == ["x", "y"]
    with pytest.raises(ValueError, match=r"1 case ids occur more than once \(x\)"):
        check_unique_cases([{"image": "a/x.nii"}, {"image": "b/x.nii"}])


def test_a_cleansed_label_goes_to_its_path_in_the_data_set() -> None:
    assert label_file_of({"label": "/a/b.nii", "case": "c"}) == "c.nii"
    for file in ("/etc/passwd", "../x.nii.gz"):
        with pytest.raises(ValueError, match="'file' must be a path within the data set"):
            label_file_of({"label": "/a/b.nii.gz", "case": "c", "file": file})
    assert label_file_of({"label": "/a/b.nii.gz", "file": "p/b.nii.gz"}) == "p/b.nii.gz"


def test_a_batch_is_taken_apart_once() -> None:
    batch = {"case": ["a", "b"], "image": torch.arange(6).reshape(2, 1, 3)}
    for form in (batch, decollate_batch(batch)):
        cases = decollated(form)
        assert [case["case"] for case in cases] == ["a", "b"]
        assert [case["image"].tolist() for case in cases] == [[[0, 1, 2]], [[3, 4, 5]]]
