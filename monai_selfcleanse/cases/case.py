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
``file``   optional: the label's path relative to the data set, under which a cleansed label is written; without
           it the id and the label's ending
========== ==========================================================================================
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from monai.data import decollate_batch

from ..core.case_id import case_of

__all__ = ["check_unique_cases", "decollated", "label_file_of"]


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


def decollated(data: Any) -> list[Mapping]:
    """An evaluator's batch or output as one dictionary a case, whether MONAI has decollated it or not."""
    return decollate_batch(data) if isinstance(data, Mapping) else list(data)
