"""Numbers of segments by their names, as 3D Slicer submits both."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from monai_selfcleanse.monai_label.segments import segment_numbers

HEART = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
LABEL = np.arange(5, dtype=np.uint8).reshape(5, 1, 1)


def label_info(*names: str) -> list[dict[str, Any]]:
    """As Slicer numbers segments of these names."""
    return [{"name": name, "idx": number} for number, name in enumerate(names, 1)]


def renumbered(info: Any, label: np.ndarray = LABEL) -> list[int]:
    return segment_numbers(info, HEART).renumber(label).ravel().tolist()


@pytest.mark.parametrize(
    "names",
    [
        ("right ventricle", "left ventricle", "myocardium"),
        ("Right Ventricle", "LEFT_VENTRICLE", "Myocardium "),
        ("right-ventricle", "leftventricle", "(myocardium)"),
    ],
)
def test_names_decide_and_are_compared_by_letters_and_digits(names: tuple[str, ...]) -> None:
    numbers = segment_numbers(label_info(*names), HEART)
    assert numbers.changes == {2: 3, 3: 2}
    assert numbers.renumber(LABEL[:4]).ravel().tolist() == [0, 1, 3, 2]
    assert numbers.renumber(LABEL[:4]).dtype == LABEL.dtype
    assert numbers.mismatches(LABEL[:4]) == []
    assert LABEL.ravel().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "info", [None, [], "text", {"name": "myocardium"}, [{"name": "myocardium"}], [{"idx": 2}], ["myocardium"], [None]]
)
def test_without_names_numbers_are_taken_as_they_are(info: Any) -> None:
    numbers = segment_numbers(info, HEART)
    assert (numbers.changes, numbers.mismatches(LABEL)) == ({}, [])
    assert numbers.renumber(LABEL) is LABEL


def test_names_in_the_networks_own_order_change_nothing() -> None:
    numbers = segment_numbers(label_info(*HEART.values()), HEART)
    assert numbers.changes == {}
    assert numbers.renumber(LABEL[:4]) is not None
    assert numbers.mismatches(LABEL[:4]) == []


def test_segments_that_were_deleted_are_missing() -> None:
    assert renumbered(label_info("right ventricle", "left ventricle"), LABEL[:3]) == [0, 1, 3]
    info = [{"name": "left ventricle", "idx": "3"}]  # the others' numbers are free
    assert segment_numbers(info, HEART).mismatches(LABEL[[0, 3]]) == []


def test_two_segments_of_one_structure_become_one() -> None:
    assert renumbered(label_info("myocardium", "Myocardium"), LABEL[:3]) == [0, 2, 2]


@pytest.mark.parametrize(
    ("names", "expected", "said"),
    [
        # the number is free, so it decides
        (("right ventricle", "Segment_2", "left ventricle"), [0, 1, 2, 3], "'Segment_2' (number 2) .* taken as 'myoc"),
        (("a", "b", "c"), [0, 1, 2, 3], "'a' (number 1) .* taken as 'right ventricle' by its number"),
        # a name has taken it
        (("scar", "left ventricle", "right ventricle"), [0, 0, 3, 1], "'scar' (number 1) .* counts as background"),
        (
            ("myocardium", "right ventricle"),
            [0, 2, 1, 3],
            "without a name in label_info (number 3) .* 'left ventricle'",
        ),
    ],
)
def test_names_of_no_structure_are_mismatches(names: tuple[str, ...], expected: list[int], said: str) -> None:
    assert renumbered(label_info(*names), LABEL[:4]) == expected
    first = segment_numbers(label_info(*names), HEART).mismatches(LABEL[:4])[0]
    for part in said.split(" .* "):
        assert part in first
    assert "is none of right ventricle, myocardium, left ventricle" in first


def test_a_segment_without_voxels_is_no_mismatch() -> None:
    info = label_info(*HEART.values(), "scar")
    assert segment_numbers(info, HEART).mismatches(LABEL[:4]) == []
    assert len(segment_numbers(info, HEART).mismatches(LABEL)) == 1


def test_structures_whose_names_have_the_same_letters_are_told_apart_by_the_rest() -> None:
    structures = {1: "tumour +", 2: "tumour -"}
    assert segment_numbers(label_info("Tumour -", "tumour +"), structures).changes == {1: 2, 2: 1}
    assert segment_numbers(label_info("tumour"), structures).known == {}
