"""nnU-Net's raw data set, version 2: the Decathlon's folders, a file a channel, and a ``dataset.json`` that is heeded.

::

    Dataset501_Mine/imagesTr/NAME_0000.nii.gz    first channel; NAME_0001.nii.gz the second, ...
                    labelsTr/NAME.nii.gz
                    dataset.json                 channel_names {"0": "T1", ...}, labels {"background": 0, "liver": 1},
                                                 file_ending ".nii.gz", or any other that is read

(Isensee et al., Nature Methods 18, 2021; the format is nnU-Net's documentation/dataset_format.md.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.case_id import ENDINGS, images_of
from .decathlon import decathlon_folders, find_decathlon_cases
from .json_file import read_json

__all__ = [
    "are_same_structures",
    "find_nnunet_cases",
    "is_nnunet",
    "read_dataset_json",
    "structures_of_json",
    "wrong_number_of_channels",
]


_NEGATIONS = {"no", "non", "not", "without"}
"""Words by which one name says the contrary of another."""


def is_nnunet(directory: str | os.PathLike) -> bool:
    """Whether a folder's ``dataset.json`` is of nnU-Net's second version; the Decathlon's has no ``file_ending``.

    Raises:
        ValueError: ``dataset.json`` cannot be read.
    """
    return decathlon_folders(directory) is not None and read_dataset_json(directory).get("file_ending") is not None


def read_dataset_json(directory: str | os.PathLike) -> dict[str, Any]:
    """A folder's ``dataset.json``; empty where there is none, and where it is a list.

    Raises:
        ValueError: it is there, but cannot be read; the message has line and column.
    """
    path = Path(directory) / "dataset.json"
    content = read_json(path) if os.path.lexists(path) else {}
    return content if isinstance(content, dict) else {}


def find_nnunet_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a raw data set, sorted, and what is broken about its files' names; see :func:`find_decathlon_cases`.

    Raises:
        ValueError: ``dataset.json`` cannot be read, or names files that are not read; there are none.
    """
    dataset = read_dataset_json(directory)
    ending = dataset["file_ending"]
    if not isinstance(ending, str) or ending.lower() not in ENDINGS:
        raise ValueError(
            f"{Path(directory) / 'dataset.json'} has the file_ending {ending!r}: only files that end in "
            f"{', '.join(ENDINGS)} are read; convert the others"
        )
    cases, problems = find_decathlon_cases(directory)
    problems += [line for case in cases if (line := wrong_number_of_channels(images_of(case), dataset))]
    return cases, problems


def wrong_number_of_channels(images: list[Any], dataset: Mapping[str, Any]) -> str:
    """That a case has another number of images than ``dataset.json`` has channels; empty if it has not."""
    names = dataset.get("channel_names") or dataset.get("modality")
    if not isinstance(names, (Mapping, list)) or len(names) in (0, len(images)):
        return ""
    return f"{images[0]}: its case has {len(images)} of the {len(names)} channels that dataset.json names"


def structures_of_json(dataset: Mapping[str, Any], path: str | os.PathLike) -> dict[int, str] | None:
    """Structures by value that the ``labels`` of a JSON file name, without background and nnU-Net's ``ignore``.

    Args:
        dataset: the file's content; ``labels`` as nnU-Net writes them (``{"background": 0, "liver": 1}``) or the
            Decathlon (``{"0": "background", "1": "liver"}``), or a list (``["background", "liver"]``).
        path: the file, for messages.

    Returns:
        None where there are no ``labels``.

    Raises:
        ValueError: a value is no whole number, such as that of nnU-Net's regions; two structures have the same.
    """
    labels = dataset.get("labels")
    if not labels:
        return None
    out: dict[int, str] = {}
    for name, value in _names_and_values(labels, path):
        if isinstance(value, (list, tuple)):
            raise ValueError(
                f"{path}: the label {name!r} has the values {value!r}: it is a region, which overlaps others; only "
                "labels of one value each can be judged, so name these instead"
            )
        k = _whole(value)
        if k is None:
            raise ValueError(f"{path}: the label {name!r} has the value {value!r}; expected a whole number from 0 on")
        if k and name.lower() != "ignore":
            if k in out:
                raise ValueError(
                    f"{path}: the labels {out[k]!r} and {name!r} have the same value {k}; name one of them"
                )
            out[k] = name
    return dict(sorted(out.items()))


def are_same_structures(one: Mapping[int, str], other: Mapping[int, str]) -> bool:
    """Whether two sets of structures have the same values, and names for these that may mean the same.

    Capitals and signs do not count. One name may say more than the other, if it fits no other structure as well:
    ``anterior hippocampus`` is ``Anterior``.
    """
    return one.keys() == other.keys() and all(
        [j for j, name in other.items() if _may_mean_the_same(own, name)] == [k] or _letters(own) == _letters(other[k])
        for k, own in one.items()
    )


def _may_mean_the_same(one: str, other: str) -> bool:
    a, b = ({*"".join(c if c.isalnum() else " " for c in name.lower()).split()} for name in (one, other))
    return _letters(one) == _letters(other) or bool(a and b and (a <= b or b <= a) and not (a ^ b) & _NEGATIONS)


def _letters(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _names_and_values(labels: Any, path: str | os.PathLike) -> Iterable[tuple[str, Any]]:
    """Pairs of a structure's name and its value, as the file has it."""
    if isinstance(labels, list) and all(isinstance(name, str) for name in labels):
        if labels[0].lower() != "background":
            raise ValueError(
                f"{path}: 'labels' is a list that begins with {labels[0]!r}; put \"background\", of the value 0, first"
            )
        return [(name, k) for k, name in enumerate(labels)]
    if not isinstance(labels, Mapping):
        raise ValueError(
            f'{path}: \'labels\' must be as {{"background": 0, "liver": 1}} or ["background", "liver"], got {labels!r}'
        )
    by_value = all(_whole(key) is not None for key in labels) and all(isinstance(v, str) for v in labels.values())
    return [(name, value) for value, name in labels.items()] if by_value else list(labels.items())


def _whole(value: Any) -> int | None:
    """A whole number of at least 0, or a text of one; None for anything else."""
    if isinstance(value, str):
        return int(value) if re.fullmatch("[0-9]{1,9}", value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0 or value % 1 != 0:
        return None
    return int(value)
