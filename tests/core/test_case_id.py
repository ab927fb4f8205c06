"""What a case's dictionary says of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_selfcleanse.core.case_id import case_of, images_of, patient_of, split_channel, strip_nifti


def test_ids_come_from_the_key_the_file_or_the_metadata() -> None:
    assert case_of({"case": 7}) == "7"
    assert case_of({"image": "/x/scan.1.nii.gz"}) == "scan.1"
    assert case_of({"image": MetaTensor(torch.zeros(1), meta={"filename_or_obj": "/x/b.nii"})}) == "b"
    with pytest.raises(KeyError, match="add a 'case' key"):
        case_of({"image": torch.zeros(1)})


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), max_size=12)


@given(stem=NAMES, channel=st.integers(0, 9999))
def test_a_channel_is_split_off_its_name(stem: str, channel: int) -> None:
    for name in (stem, f"{stem}\n{stem}"):  # a file's name may have two lines
        assert split_channel(f"{name}_{channel:04d}") == (name, f"{channel:04d}")


@given(name=NAMES)
def test_name_and_channel_put_together_are_the_name(name: str) -> None:
    stem, channel = split_channel(name)
    assert name == (stem if channel is None else f"{stem}_{channel}")


@pytest.mark.parametrize("name", ["liver", "liver_12", "liver_12345x", "liver0000", "liver_000a", "", "0000"])
def test_what_is_no_channel_stays_in_the_name(name: str) -> None:
    assert split_channel(name) == (name, None)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/x/scan.1.nii.gz", "scan.1"), ("scan.nii", "scan"), ("scan.nii.bz2", "scan.nii"), ("a.b/scan", "scan")],
)
def test_a_nifti_ending_is_stripped_as_a_whole(path: str, name: str) -> None:
    assert strip_nifti(path) == name


def test_an_image_is_one_path_or_one_a_channel() -> None:
    assert images_of({"image": "a.nii"}) == ["a.nii"]
    assert images_of({"image": ("a_0000.nii", "a_0001.nii")}) == ["a_0000.nii", "a_0001.nii"]


def test_a_case_without_a_patient_is_its_own() -> None:
    assert patient_of({"image": "x/scan.nii"}) == "scan"
    assert patient_of({"case": "a", "patient": 7}) == "7"
