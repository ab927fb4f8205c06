"""A data set as a plain JSON file, in the manner of MONAI's Decathlon datalists.

::

    {"training": [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz"},
                  {"image": ["b_t1.nii.gz", "b_t2.nii.gz"], "label": "/mnt/b_seg.nii.gz", "patient": "b"}],
     "labels": {"1": "liver"}}

or the list alone. Paths are relative to the file's folder, and may lead out of it. ``image`` is one file or a list, one
a channel. Optional keys of an entry are ``case``, ``patient`` and ``file`` of :mod:`monai_selfcleanse.cases.case`; all
else, ``"validation"`` and ``"test"`` as well, is passed over.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.case_id import split_channel, strip_nifti
from .nnunet import structures_of_json

__all__ = ["datalist_structures", "find_datalist_cases"]


def find_datalist_cases(path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a datalist, in its order, and what is broken about its entries.

    A case's id is its own ``case``, else the name of its image's file, of several the first without nnU-Net's number of
    a channel. Where names are not unique, all entries without ``case`` take the image's path instead. Cleansed labels
    are written under the label's path. Such paths are relative to the datalist's folder if all lie in it, else to the
    folder that they have in common, so that none leads out of the output's folder and no two meet.

    Args:
        path: the JSON file.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), each case its own patient unless its entry names one, and one line for
        each entry that lacks image or label, or names a file that is not there.

    Raises:
        ValueError: the file is no JSON, or holds no list of cases; the message says what was expected.
    """
    entries = _entries(path)
    folder = os.path.dirname(os.path.abspath(path))

    def resolved(file: str) -> str:
        return os.path.normpath(os.path.join(folder, file))

    found: list[tuple[dict[str, Any], list[str], str]] = []
    problems: list[str] = []
    for i, entry in enumerate(entries):
        if wrong := _wrong(entry):
            problems.append(f"{path}, entry {i}: {wrong}")
            continue
        given = entry["image"]
        images, label = [resolved(p) for p in (given if isinstance(given, list) else [given])], resolved(entry["label"])
        absent = [p for p in [*images, label] if not os.path.isfile(p)]
        problems += [f"{path}, entry {i}: {p} is not there" for p in absent]
        if not absent:
            found.append((entry, images, label))
    names = [
        strip_nifti(images[0]) if len(images) == 1 else split_channel(strip_nifti(images[0]))[0]
        for _, images, _ in found
    ]
    if len(set(names)) < len(names):
        firsts = _relative([images[0] for _, images, _ in found], folder)
        names = [(first.parent / strip_nifti(first.name)).as_posix() for first in firsts]
    files = _relative([label for *_, label in found], folder)
    cases = []
    for (entry, images, label), name, file in zip(found, names, files, strict=True):
        case = str(entry.get("case", name))
        cases.append(
            {
                "case": case,
                "patient": str(entry.get("patient", case)),
                "image": images if len(images) > 1 else images[0],
                "label": label,
                "file": str(entry.get("file", file)),
            }
        )
    return cases, problems


def datalist_structures(path: str | os.PathLike) -> dict[int, str] | None:
    """Structures that a datalist's ``labels`` name, by value; None where it has none."""
    content = _content(path)
    return structures_of_json(content, path) if isinstance(content, dict) else None


def _content(path: str | os.PathLike) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"dataset_dir {str(path)!r} is no JSON file: {error}") from error


def _entries(path: str | os.PathLike) -> list[Any]:
    content = _content(path)
    entries = content.get("training") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(
            f"dataset_dir {str(path)!r} holds no list of cases: expected "
            '{"training": [{"image": "a.nii.gz", "label": "a_seg.nii.gz"}, ...]}, or the list alone'
        )
    return entries


def _wrong(entry: Any) -> str:
    """What is wrong with an entry, in words; empty if nothing is."""
    if not isinstance(entry, dict):
        return f"expected {{'image': ..., 'label': ...}}, got {entry!r}"
    image, label = entry.get("image"), entry.get("label")
    if not (isinstance(image, str) or (isinstance(image, list) and image and all(isinstance(p, str) for p in image))):
        return f"'image' must be a path, or a list of them, got {image!r}"
    if not isinstance(label, str):
        return f"'label' must be a path, got {label!r}"
    if not str(entry.get("file", label)).endswith((".nii", ".nii.gz")):
        return f"labels must be .nii or .nii.gz files, got {entry.get('file', label)!r}"
    return ""


def _relative(paths: Sequence[str], folder: str) -> list[Path]:
    """The paths relative to a folder if all lie in it, else to the folder that they have in common."""
    if not paths:
        return []
    if not all(Path(path).is_relative_to(folder) for path in paths):
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(path).relative_to(folder) for path in paths]
