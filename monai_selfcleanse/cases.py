"""A case: one annotated volume, as a dictionary, and its id.

Everything in this package that speaks of a case means such a dictionary, MONAI's usual datalist entry:

========== ==========================================================================================
key        meaning
========== ==========================================================================================
``image``  path of the image
``label``  path of the *given* label: an index map of the image's shape, right or wrong
``case``   optional: the id, unique in the cohort; without it the image's file name is the id
``patient`` optional: what is split and corrupted as one; without it every case is its own patient
``truth``  optional: path of a label known to be right (synthetic noise), used by reports alone
``rater``  optional: who drew the label, where several did (:mod:`monai_selfcleanse.raters`)
``file``   optional: the label's path relative to the data set, under which a cleansed label is written; without
           it the id and the label's ending
========== ==========================================================================================
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "CLEANSED_LABELS",
    "NOISY_LABELS",
    "case_of",
    "check_apart",
    "check_unique_cases",
    "label_file_of",
    "strip_channel",
    "strip_nifti",
]

NOISY_LABELS, CLEANSED_LABELS = "noisy_labels", "cleansed_labels"
"""Folders in a run's ``output_dir``, which the next run there replaces or moves: those of labels with synthetic noise,
and of cleansed labels."""


def strip_nifti(name: str) -> str:
    """File name without folder and without ``.nii`` or ``.nii.gz`` (any other ending loses its last part)."""
    base = os.path.basename(name)
    for ending in (".nii.gz", ".nii"):
        if base.endswith(ending):
            return base[: -len(ending)]
    return os.path.splitext(base)[0]


def strip_channel(name: str) -> str:
    """A name without the number of a channel that nnU-Net ends images' names with, such as ``_0000``."""
    return re.sub(r"_\d{4}$", "", name)


def case_of(data: Mapping[Any, Any], image_key: str = "image") -> str:
    """The case's id: ``data["case"]``, else the name of the image's file (before loading or, by its metadata, after).

    Raises:
        KeyError: neither is there; the message says what to add.
    """
    if "case" in data:
        return str(data["case"])
    image = data.get(image_key)
    if isinstance(image, (str, os.PathLike)):
        return strip_nifti(os.fspath(image))
    name = getattr(image, "meta", {}).get("filename_or_obj")
    if isinstance(name, (list, tuple)) and len(name) == 1:
        name = name[0]
    if isinstance(name, (str, os.PathLike)):
        return strip_nifti(os.fspath(name))
    raise KeyError(
        f"the case has no id: add a 'case' key to the datalist, or load {image_key!r} with its metadata "
        f"(found keys: {sorted(map(str, data))})"
    )


def check_apart(cases: Iterable[Mapping[str, Any]], output_dir: str | os.PathLike, *names: str) -> None:
    """See that no file of a case lies where a run into ``output_dir`` replaces or moves what it finds.

    Args:
        cases: their dictionaries.
        output_dir: the run's folder.
        names: the folders in it that the run replaces.

    Raises:
        ValueError: one does; the message names the first.
    """
    folders = [Path(output_dir).resolve() / name for name in names]
    for case in cases:
        images = case["image"] if isinstance(case["image"], (list, tuple)) else [case["image"]]
        for path in (*images, case["label"]):
            absolute = Path(os.path.abspath(path))
            if any(folder in (*absolute.parents, *absolute.resolve().parents) for folder in folders):
                raise ValueError(
                    f"{path} lies in a folder of output_dir {str(output_dir)!r} that this run would replace: give "
                    "another one with --output_dir"
                )


def label_file_of(data: Mapping[Any, Any]) -> str:
    """Relative path under which a case's cleansed label is written: ``data["file"]``, else id and label's ending.

    Raises:
        ValueError: the path is absolute or leads out of its folder.
    """
    ending = ".nii" if str(data["label"]).endswith(".nii") else ".nii.gz"
    file = str(data["file"]) if "file" in data else case_of(data) + ending
    if os.path.isabs(file) or ".." in Path(file).parts:
        raise ValueError(f"case {case_of(data)!r}: 'file' must be a path within the data set, got {file!r}")
    return file


def check_unique_cases(cases: Iterable[Mapping[Any, Any]]) -> list[str]:
    """Ids of the cases, in order.

    Raises:
        ValueError: two cases share an id, or the path of their cleansed label; the message names up to five.
    """
    cases = list(cases)
    ids = [case_of(case) for case in cases]
    twice = [case for case, n in Counter(ids).items() if n > 1]
    if twice:
        raise ValueError(
            f"{len(twice)} case ids occur more than once ({', '.join(twice[:5])}): give each datalist entry a unique "
            "'case' key"
        )
    files = Counter(label_file_of(case) for case in cases if isinstance(case.get("label"), (str, os.PathLike)))
    if shared := [file for file, n in files.items() if n > 1]:
        raise ValueError(
            f"{len(shared)} files would hold the cleansed labels of more than one case ({', '.join(shared[:5])}): give "
            "each datalist entry a 'file' key of its own"
        )
    return ids
