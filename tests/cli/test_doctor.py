"""``selfcleanse doctor``: what it says of a data set that is broken or odd."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import read_nifti, tiny_image, tiny_label, write_decathlon, write_nifti

from monai_selfcleanse.cli.doctor import examine


def said(dataset: Path, capsys: pytest.CaptureFixture, structures: dict | None = None) -> tuple[int, list[str]]:
    """Exit code and lines of the table, without its blanks."""
    code = examine(dataset, structures)
    return code, [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def named(lines: list[str], name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in lines if line.startswith(name)]


def test_a_value_that_all_labels_have_and_nobody_names_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = write_decathlon(tmp_path, 6)
    code, lines = said(data, capsys, {"1": "a", "2": "b"})
    assert code == 1
    assert named(lines, "broken") == ["6"]
    assert lines[lines.index("broken 6") + 1 :] == [
        f"case_0 6 files, such as {data}/labelsTr/case_0.nii.gz: holds the values [3], which are none of the known "
        "structures [0, 1, 2]; name them in --structures; or, if it is nnU-Net's ignore label, give these voxels a "
        "class, or leave the case out"
    ]


def test_where_a_part_of_the_files_is_broken_the_others_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    data = write_decathlon(tmp_path, 11)
    for i in (1, 2, 5, 7):
        (data / "labelsTr" / f"case_{i}.nii.gz").write_bytes(b"")
    for i in (0, 3, 4, 6):
        (data / "labelsTr" / f"case_{i}.nii.gz").unlink()
    (data / "imagesTr" / "case_8.nii.gz").write_bytes(b"")
    code, lines = said(data, capsys)
    assert code == 1
    assert lines[lines.index("broken 9") + 1 :] == [
        f"case_1 5 files, such as {data}/labelsTr/case_1.nii.gz: is empty",
        f"the others: case_2.nii.gz, case_5.nii.gz, case_7.nii.gz, {data}/imagesTr/case_8.nii.gz",
        f"? 4 files, such as {data}/imagesTr/case_0.nii.gz: has no label of that name",
        "the others: case_3.nii.gz, case_4.nii.gz, case_6.nii.gz",
    ]


def write_list(folder: Path, n: int, **changes: str) -> Path:
    """A list of some cases and of one more, which is the first with changes."""
    write_decathlon(folder, n)
    entries = [{"image": f"imagesTr/case_{i}.nii.gz", "label": f"labelsTr/case_{i}.nii.gz"} for i in range(n)]
    (folder / "list.json").write_text(json.dumps([*entries, entries[0] | changes]))
    return folder / "list.json"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "several cases have the same image ({0}/imagesTr/case_0.nii.gz): leave one of the entries out"),
        ({"case": "x"}, "several cases have the same image ({0}/imagesTr/case_0.nii.gz): leave one of the entries out"),
        (
            {"image": "copy.nii.gz", "label": "other.nii.gz", "case": "case_1"},
            "several cases have the same id (case_1): give each datalist entry a unique 'case' key",
        ),
        (
            {"image": "copy.nii.gz", "label": "other.nii.gz", "file": "labelsTr/case_1.nii.gz"},
            "cleansed labels of several cases would be one file (labelsTr/case_1.nii.gz): give each datalist entry a "
            "'file' key of its own",
        ),
    ],
)
def test_what_a_training_refuses_is_broken(
    changes: dict[str, str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_nifti(tmp_path / "copy.nii.gz", tiny_image(9))
    write_nifti(tmp_path / "other.nii.gz", tiny_label())
    code, lines = said(write_list(tmp_path, 3, **changes), capsys)
    assert (code, named(lines, "broken")) == (1, ["1"])
    assert lines[-1] == "? " + message.format(tmp_path)
    assert named(lines, "odd") == []  # an image that is named twice is no copy


def test_empty_labels_are_odd(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_decathlon(tmp_path, 4)
    write_nifti(data / "labelsTr" / "case_2.nii.gz", 0 * tiny_label())
    end = f"empty, such as {data}/labelsTr/case_2.nii.gz: right only if the image shows no structure"
    for structures in (None, {"1": "a", "2": "b", "3": "c"}, {"1": "a", "2": "b", "3": "c", "255": "d"}):
        code, lines = said(data, capsys, structures)
        assert (code, named(lines, "odd"), named(lines, "broken")) == (0, [f"1 label is {end}"], ["none"])
    write_nifti(data / "labelsTr" / "case_3.nii.gz", np.zeros((12, 12, 4), np.float32))
    assert named(said(data, capsys)[1], "odd") == [f"2 labels are {end}"]


def test_images_that_are_copies_are_odd(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_decathlon(tmp_path, 5)
    images = [data / "imagesTr" / f"case_{i}.nii" for i in range(5)]
    for image in images:  # all of one size
        write_nifti(image, read_nifti(image.with_suffix(".nii.gz")))
        image.with_suffix(".nii.gz").unlink()
    assert named(said(data, capsys)[1], "odd") == []
    shutil.copy(images[0], images[3])
    code, lines = said(data, capsys)
    assert (code, named(lines, "broken")) == (0, ["none"])
    assert named(lines, "odd") == [
        "2 cases have an image that another case has, byte for byte, such as case_0 and case_3: give them one "
        "patient, or leave all but one out; else a training may validate on what it learned"
    ]
    shutil.copy(images[0], images[4])
    assert named(said(data, capsys)[1], "odd")[0].startswith("3 cases have an image that another case has, ")


def test_channels_are_copies_together_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for i in range(3):
        write_nifti(tmp_path / "labelsTr" / f"c{i}.nii.gz", tiny_label())
        for channel, seed in ((0, 7), (1, max(i, 1))):
            write_nifti(tmp_path / "imagesTr" / f"c{i}_000{channel}.nii", tiny_image(seed))
    (line,) = named(said(tmp_path, capsys)[1], "odd")
    assert line.startswith("2 cases have an image that another case has, byte for byte, such as c0 and c1: ")


def test_a_soft_label_that_nobody_names_is_told_what_to_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_decathlon(tmp_path, 2)
    write_nifti(data / "labelsTr" / "case_1.nii.gz", tiny_label().astype(np.float32) / 4)
    code, lines = said(data, capsys)
    assert code == 1
    assert lines[-1].startswith(
        f"case_1 {data}/labelsTr/case_1.nii.gz: is a soft label, fractions in [0, 1], which are "
    )
    assert "name it alone with --structures \"{'1': 'NAME'}\"" in lines[-1]
    assert "255" not in lines[-1]
    for path in (data / "labelsTr").iterdir():
        write_nifti(path, tiny_label().astype(np.float32) / 4)
    assert said(data, capsys, {"1": "a"})[0] == 0
