"""Several raters of the same images: a case a rater."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cases.case import label_file_of
from ..core.case_id import case_of, ending_as_written, name_of, strip_ending
from .listing import image_files

__all__ = ["cases_of_raters"]

Found = tuple[list[dict[str, Any]], list[str]]
"""Cases and problems, as :func:`monai_selfcleanse.data.find_cases` gives them."""


def cases_of_raters(found: Found, raters: Mapping[str, str | os.PathLike] | None) -> Found:
    """The cases of a data set once for each rater who has a label of them.

    Args:
        found: cases of the data set, whose own labels are passed over, and what is broken.
        raters: folders of labels by the rater's name. A label has the path that the data set's own label has in that,
            or the same name, right in the folder; its ending may be another. None: the cases as they are.

    Returns:
        Cases with ``rater`` beside the other keys, ``case`` and ``file`` beginning with the rater's name, and the
        problems, with a line for each rater who lacks some labels, and for each two labels of one case.

    Raises:
        ValueError: there are fewer than two raters, a name or a folder is no good, a rater has no label at all, or one
            label for several cases.
    """
    if raters is None:
        return found
    if not isinstance(raters, Mapping) or len(raters) < 2:
        raise ValueError(f"raters must be two or more folders by name, {{'anna': 'DIR', 'ben': 'DIR'}}, got {raters!r}")
    cases, problems = found[0], list(found[1])
    out = []
    for name, folder in raters.items():
        if not isinstance(name, str) or not name.strip(". ") or {"/", os.sep} & set(name):
            raise ValueError(f"raters: {name!r} is no name for a rater; take letters and digits")
        if not os.path.isdir(folder):
            raise ValueError(f"raters: {str(folder)!r}, {name}'s, is not a folder")
        labels = _labels_of(cases, Path(folder), problems)
        if not labels:
            raise ValueError(
                f"raters: {str(folder)!r}, {name}'s, holds a label of none of the {len(cases)} cases: expected files "
                f"such as {label_file_of(cases[0])}, or {Path(label_file_of(cases[0])).name} right in the folder"
            )
        if twice := [label for label, n in Counter(labels.values()).items() if n > 1]:
            raise ValueError(f"raters: {twice[0]} would be the label of several cases: keep the data set's folders")
        if absent := [case_of(case) for case in cases if case_of(case) not in labels]:
            problems.append(f"{folder}: {name} has no label of {len(absent)} cases, such as {absent[0]}")
        out += [_case_of_rater(case, name, labels[case_of(case)]) for case in cases if case_of(case) in labels]
    return out, problems


def _labels_of(cases: Sequence[Mapping[str, Any]], folder: Path, problems: list[str]) -> dict[str, Path]:
    """A rater's labels by the case's id."""
    listed: dict[Path, tuple[dict[str, Path], set[str]]] = {}
    out = {}
    for case in cases:
        file = Path(label_file_of(case))
        for place in (folder / file.parent, folder):
            if place not in listed:
                listed[place] = image_files(place, problems) if os.path.isdir(place) else ({}, set())
            files, lost = listed[place]
            if name_of(file.name) in files:
                out[case_of(case)] = files[name_of(file.name)]
            if name_of(file.name) in files or name_of(file.name) in lost:
                break
    return out


def _case_of_rater(case: Mapping[str, Any], rater: str, label: Path) -> dict[str, Any]:
    own = dict(case) | {"rater": rater, "case": f"{rater}/{case_of(case)}", "label": str(label)}
    file = Path(rater) / label_file_of(case)
    return own | {"file": str(file.with_name(strip_ending(file.name) + ending_as_written(label.name)))}
