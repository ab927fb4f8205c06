"""Problems of many files in few lines."""

from __future__ import annotations

import pytest

from monai_selfcleanse.data.problems import alike, in_few_lines

UNKNOWN = "holds the values [2], which are none of the known structures [0, 1]; name them in --structures"


@pytest.mark.parametrize(
    "pattern",
    [
        "labels/{}.nii.gz: " + UNKNOWN,
        "a folder/Fäll {} ü.NII: " + UNKNOWN,
        "C:\\data\\{}.mha: " + UNKNOWN,
        "images/{}.nii.gz: lies elsewhere than /data/labels/{}.nii.gz, a corner is off by 3 voxels",
        "images/{0}/{0}_frame01.nii.gz: has shape 3 x 3 x 3, images/{0}/{0}_frame01_gt.nii.gz 3 x 3 x 4",
        'images/{}.png: is no image (UnidentifiedImageError: cannot identify image file "images/{}.png")',
        "images/{}.nii.gz or its label: cannot be checked (MemoryError: )",
    ],
)
def test_lines_that_differ_in_the_file_alone_become_one(pattern: str) -> None:
    lines = [pattern.replace("{}", f"case {i}" if " " in pattern.partition(": ")[0] else f"p{i}") for i in range(30)]
    lines = [line.replace("{0}", f"p{i}") for i, line in enumerate(lines)]
    assert in_few_lines(lines) == [f"30 files, such as {lines[0]}"]


def test_entries_of_a_list_are_counted_as_such() -> None:
    lines = [f"my list.json, entry {i}: /data/{i}.nii.gz and /data/{i}_seg.nii.gz are not there" for i in range(4)]
    assert in_few_lines(lines) == [f"4 entries, such as {lines[0]}"]


def test_what_is_said_of_three_files_names_all_three() -> None:
    lines = [f"labels/{i}.nii.gz: {UNKNOWN}" for i in range(3)]
    assert in_few_lines(lines) == lines


@pytest.mark.parametrize("pattern", ["labels/a.nii.gz: holds the values [{}]", "{}: no prediction in preds"])
def test_lines_that_differ_in_more_stay(pattern: str) -> None:
    lines = [pattern.format(i) for i in range(10)]
    assert in_few_lines(lines) == lines


def test_the_most_common_comes_first_and_the_rest_is_counted() -> None:
    own = [f"labels/own{i}.nii.gz: holds the values [{i}]" for i in range(25)]
    few, many = ([f"{kind}/{i}.nii.gz: is empty" for i in range(n)] for kind, n in (("images", 4), ("labels", 9)))
    many = [line.replace("is empty", "is damaged") for line in many]
    problems = [*own[:20], *few, *many, *own[20:]]
    assert [len(group) for group in alike(problems)] == [9, 4] + [1] * 25
    lines = in_few_lines(problems)
    assert lines[:2] == [f"9 files, such as {many[0]}", f"4 files, such as {few[0]}"]
    assert lines[2:] == [*own[:18], "... and 7 more"]
    assert in_few_lines([]) == []
