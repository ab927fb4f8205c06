"""What a case's dictionary says of it."""

from __future__ import annotations

import unicodedata

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import MetaTensor

from monai_selfcleanse.core.case_id import (
    ENDINGS,
    as_compared,
    case_of,
    channel_name,
    ending_as_written,
    ending_of,
    images_of,
    name_of,
    patient_of,
    split_channel,
    strip_ending,
)


def test_ids_come_from_the_key_the_file_or_the_metadata() -> None:
    assert case_of({"case": 7}) == "7"
    assert case_of({"case": None, "image": "/x/a.nrrd"}) == "a"
    assert case_of({"image": "/x/scan.1.nii.gz"}) == "scan.1"
    assert case_of({"image": MetaTensor(torch.zeros(1), meta={"filename_or_obj": "/x/b.nii"})}) == "b"
    for image in (torch.zeros(1), [], [torch.zeros(1)]):
        with pytest.raises(KeyError, match="add a 'case' key"):
            case_of({"image": image})


@pytest.mark.parametrize(
    ("paths", "case"),
    [
        (["x/liver_7_0000.nii.gz", "x/liver_7_0001.nii.gz"], "liver_7"),
        (["t1/BRATS_0001.nii.gz", "t2/BRATS_0001.nii.gz"], "BRATS_0001"),  # the number is the patient's
        (["a_0001.nii.gz", "a_0002.nii.gz"], "a_0001"),
        (["a_t1.nii.gz", "a_t2.nii.gz"], "a_t1"),
        (["a_0000.nii.gz"], "a_0000"),  # as the same path alone
    ],
)
def test_several_images_give_the_first_ones_name_without_a_channels_number(paths: list[str], case: str) -> None:
    assert case_of({"image": paths}) == case
    assert case_of({"image": MetaTensor(torch.zeros(1), meta={"filename_or_obj": paths})}) == case


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), max_size=12)


@given(stem=NAMES, channel=st.integers(0, 9999))
def test_a_channel_is_split_off_its_name(stem: str, channel: int) -> None:
    for name in (stem, f"{stem}\n{stem}"):  # a file's name may have two lines
        assert split_channel(channel_name(name, channel)) == (name, f"{channel:04d}")


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
def test_an_ending_is_stripped_as_a_whole(path: str, name: str) -> None:
    assert strip_ending(path) == name


@given(name=NAMES, ending=st.sampled_from(ENDINGS), capitals=st.booleans())
def test_every_ending_is_known_and_stripped_in_capitals_as_well(name: str, ending: str, capitals: bool) -> None:
    file = name + (ending.upper() if capitals else ending)
    assert (strip_ending(f"folder.nii/{file}"), ending_of(file)) == (name, ending)
    assert name + ending_as_written(file) == file


def test_names_are_compared_in_one_form_of_unicode() -> None:
    one, other = (unicodedata.normalize(form, "Ärzte") for form in ("NFC", "NFD"))
    assert one != other
    assert name_of(f"{other}/{other}.NII.gz") == name_of(f"{one}.png") == case_of({"image": f"{other}.nii"}) == one
    assert as_compared(other) == one


def test_an_image_is_one_path_or_one_a_channel() -> None:
    assert images_of({"image": "a.nii"}) == ["a.nii"]
    assert images_of({"image": ("a_0000.nii", "a_0001.nii")}) == ["a_0000.nii", "a_0001.nii"]


def test_a_case_without_a_patient_is_its_own() -> None:
    assert patient_of({"image": "x/scan.nii"}) == "scan"
    assert patient_of({"case": "a", "patient": None}) == "a"
    assert patient_of({"case": "a", "patient": 7}) == "7"
