"""nnU-Net's raw data set, version 2: the Decathlon's folders, a file a channel, and a ``dataset.json`` that is heeded.

::

    Dataset501_Mine/imagesTr/NAME_0000.nii.gz    first channel; NAME_0001.nii.gz the second, ...
                    labelsTr/NAME.nii.gz
                    dataset.json                 channel_names {"0": "T1", ...}, labels {"background": 0, "liver": 1},
                                                 file_ending ".nii.gz"

(Isensee et al., Nature Methods 18, 2021; the format is nnU-Net's documentation/dataset_format.md.)
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.case_id import images_of
from .decathlon import decathlon_folders, find_decathlon_cases

__all__ = ["find_nnunet_cases", "is_nnunet", "structures_of_json"]


def is_nnunet(directory: str | os.PathLike) -> bool:
    """Whether a folder's ``dataset.json`` is of nnU-Net's second version; the Decathlon's has no ``file_ending``."""
    return decathlon_folders(directory) is not None and "file_ending" in read_dataset_json(directory)


def read_dataset_json(directory: str | os.PathLike) -> dict[str, Any]:
    """A folder's ``dataset.json``; empty where there is none that can be read."""
    try:
        content = json.loads((Path(directory) / "dataset.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def find_nnunet_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a raw data set, sorted, and what is broken about its files' names; see :func:`find_decathlon_cases`.

    Raises:
        ValueError: the files are no NIfTI files; there are none.
    """
    dataset = read_dataset_json(directory)
    if dataset["file_ending"] not in (".nii", ".nii.gz"):
        raise ValueError(
            f"{Path(directory) / 'dataset.json'} has the file_ending {dataset['file_ending']!r}: only .nii and .nii.gz "
            "are supported; convert the files"
        )
    cases, problems = find_decathlon_cases(directory)
    n_channels = len(dataset.get("channel_names", ()))
    for case in cases:
        images = images_of(case)
        if n_channels and len(images) != n_channels:
            problems.append(
                f"{images[0]}: its case has {len(images)} of the {n_channels} channels that dataset.json names"
            )
    return cases, problems


def structures_of_json(dataset: Mapping[str, Any], path: str | os.PathLike) -> dict[int, str] | None:
    """Structures by value that the ``labels`` of a JSON file name, without background and nnU-Net's ``ignore``.

    Args:
        dataset: the file's content; ``labels`` as nnU-Net writes them (``{"liver": 1}``) or the Decathlon
            (``{"1": "liver"}``).
        path: the file, for messages.

    Returns:
        None where there are no ``labels``.

    Raises:
        ValueError: a value is no whole number, such as that of nnU-Net's regions.
    """
    labels = dataset.get("labels")
    if not isinstance(labels, Mapping) or not labels:
        return None
    if all(str(key).isdigit() for key in labels):
        labels = {str(name): value for value, name in labels.items()}
    out = {}
    for name, value in labels.items():
        if not str(value).isdigit():
            raise ValueError(
                f"{path}: the label {name!r} has the value {value!r}; only labels of one value each are supported, no "
                "regions that overlap"
            )
        if int(value) and name != "ignore":
            out[int(value)] = str(name)
    return dict(sorted(out.items()))
