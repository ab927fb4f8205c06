"""A case: one annotated volume, as a dictionary, and its id.

Everything in this package that speaks of a case means such a dictionary, MONAI's usual datalist entry:

========== ==========================================================================================
key        meaning
========== ==========================================================================================
``image``  path of the image
``label``  path of the *given* label: an index map of the image's shape, right or wrong
``case``   optional: the id, unique in the cohort; without it the image's file name is the id
``patient`` optional: what is split, and made noisy, as one; without it every case is its own patient
``truth``  optional: path of a label known to be right (synthetic noise), used by reports alone
``rater``  optional: who drew the label, where several did (:mod:`monai_selfcleanse.results.raters`)
``values`` optional: the structures' values in the label's file, in order, where these are not 1, 2, ...
``file``   optional: the label's path relative to the data set, under which a cleansed label is written; without
           it the id and the label's ending
========== ==========================================================================================
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import decollate_batch

from ..core.case_id import as_compared, case_of, ending_as_written, listed
from ..core.structures import values_unless_classes

__all__ = ["check_unique_cases", "decollated", "files_of", "label_file_of", "with_values"]


def label_file_of(data: Mapping[Any, Any]) -> str:
    """Relative path under which a case's cleansed label is written: ``data["file"]``, else id and label's ending.

    Two ways to write one path (``./a//b``) come out as one.

    Raises:
        ValueError: the path is absolute, leads out of its folder, or is none.
    """
    file = data.get("file")
    if file is None:
        file = case_of(data) + (ending_as_written(str(data["label"])) or ".nii.gz")
    file = str(file)
    if os.path.isabs(file) or ".." in Path(file).parts or os.path.normpath(file) == ".":
        raise ValueError(f"case {case_of(data)!r}: 'file' must be a path within the data set, got {file!r}")
    return os.path.normpath(file)


def files_of(data: Mapping[Any, Any]) -> list[str]:
    """Paths of a case's images and labels, as far as they are paths."""
    return [path for key in ("image", "label", "truth") for path in _paths(data.get(key))]


def check_unique_cases(cases: Iterable[Mapping[Any, Any]]) -> list[str]:
    """Ids of the cases, in order.

    Names are compared in Unicode's NFC, and on systems that do not tell ``A`` from ``a`` in lower case.

    Raises:
        ValueError: two cases share image (but by several raters), id, label, or the path of their cleansed label; one
            such path lies in another; or an image is a label; the message names up to five.
    """
    cases = list(cases)
    ids = [case_of(case) for case in cases]
    images = [
        f"{', '.join(paths)}" + (f" (rater {case['rater']})" if case.get("rater") else "")
        for case in cases
        if (paths := _paths(case.get("image")))
    ]
    labels = [path for case in cases for path in _paths(case.get("label"))]
    files = [label_file_of(case) for case in cases if _paths(case.get("label"))]
    _refuse(_twice(images), "several cases have the same image", "leave one of the entries out")
    _refuse(_twice(ids), "several cases have the same id", "give each datalist entry a unique 'case' key")
    own_file = "give each datalist entry a 'file' key of its own"
    _refuse(_twice(files, as_files=True), "cleansed labels of several cases would be one file", own_file)
    _refuse(_twice(labels), "several cases have the same label", "give each case a label of its own")
    imaged = {os.path.realpath(path) for case in cases for path in _paths(case.get("image"))}
    both = [path for path in labels if os.path.realpath(path) in imaged]
    _refuse(both, "one file is image and label at once", "give each case the label that was drawn on its image")
    within = {str(above) for file in files for above in Path(_as_file(file)).parents}
    blocked = [file for file in files if _as_file(file) in within]
    _refuse(blocked, "cleansed labels would lie within files of others", own_file)
    return ids


def _paths(value: Any) -> list[str]:
    """The paths of a case's image or label, each in one way of writing; empty for what is loaded already."""
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values or not all(isinstance(path, (str, os.PathLike)) for path in values):
        return []
    return [os.path.abspath(path) for path in values]


def _as_file(path: str) -> str:
    """A path as the file system compares it."""
    return as_compared(path.casefold() if sys.platform in ("win32", "darwin") else path)


def _twice(values: Iterable[str], as_files: bool = False) -> list[str]:
    """Values that occur more than once, the first way of writing each."""
    first: dict[str, str] = {}
    count: Counter[str] = Counter()
    for value in values:
        key = _as_file(value) if as_files else as_compared(value)
        first.setdefault(key, value)
        count[key] += 1
    return [first[key] for key, n in count.items() if n > 1]


def _refuse(found: Sequence[str], what: str, remedy: str) -> None:
    if found:
        raise ValueError(f"{what} ({listed(found, 5)}): {remedy}")


def decollated(data: Any) -> list[Mapping]:
    """An evaluator's batch or output as one dictionary a case, whether MONAI has decollated it or not."""
    return decollate_batch(data) if isinstance(data, Mapping) else list(data)


def with_values(cases: Iterable[Mapping[str, Any]], values: Iterable[Any]) -> list[dict[str, Any]]:
    """The cases, which say the structures' values in their labels' files where these are not 1, 2, ..., K.

    Inside this package structures are numbered from 1 on, in the order of their values. Label files have any values.

    Args:
        cases: their dictionaries.
        values: the structures' values.
    """
    own = {"values": found} if (found := values_unless_classes(values)) else {}
    return [dict(case) | own for case in cases]
