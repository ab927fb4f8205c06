"""Values in label files, and the classes that stand for them."""

from __future__ import annotations

from typing import Any

import pytest

from monai_selfcleanse.core.structures import class_names, label_values, values_unless_classes


@pytest.mark.parametrize(
    ("structures", "values", "own"),
    [
        ({"1": "a", "2": "b"}, [1, 2], ()),
        ({2: "b", 1: "a"}, [1, 2], ()),
        ({"255": "b", "7": "a"}, [7, 255], (7, 255)),
        ({2: "a"}, [2], (2,)),
        ({"10": "b", "9": "a"}, [9, 10], (9, 10)),
    ],
)
def test_classes_follow_the_values_and_names_follow_both(
    structures: dict[Any, str], values: list[int], own: tuple[int, ...]
) -> None:
    assert label_values(structures) == values
    assert list(class_names(structures).items()) == [(i, "ab"[i - 1]) for i in range(1, len(values) + 1)]
    assert values_unless_classes(structures) == own
