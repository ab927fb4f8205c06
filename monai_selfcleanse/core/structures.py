"""The structures' values in label files, and the classes 1 ... K that stand for them inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["class_names", "label_values", "values_unless_classes"]


def label_values(structures: Iterable[Any]) -> list[int]:
    """The structures' values, ascending: the first is class 1, the second class 2.

    Args:
        structures: values as whole numbers or as text, such as ``{"1": "liver", "255": "tumour"}``.
    """
    return sorted(int(value) for value in structures)


def class_names(structures: Mapping[Any, str]) -> dict[int, str]:
    """The structures' names by class, from 1 on, in the order of :func:`label_values`."""
    names = {int(value): str(name) for value, name in structures.items()}
    return {index: names[value] for index, value in enumerate(sorted(names), 1)}


def values_unless_classes(structures: Iterable[Any]) -> tuple[int, ...]:
    """The values of :func:`label_values`; empty where they are the classes 1, 2, ... themselves."""
    values = tuple(label_values(structures))
    return () if values == tuple(range(1, len(values) + 1)) else values
