"""Several raters of the same images: a case a rater."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..cases.case import label_file_of
from ..core.case_id import case_of

__all__ = ["cases_of_raters"]

Found = tuple[list[dict[str, Any]], list[str]]
"""Cases and problems, as :func:`monai_selfcleanse.data.find_cases` gives them."""


def cases_of_raters(found: Found, raters: Mapping[str, str | os.PathLike] | None) -> Found:
    """The cases of a data set once for each rater who has a label of them.

    Args:
        found: cases of the data set, whose own labels are passed over, and what is broken.
        raters: folders of labels by the rater's name. A label has the path that the data set's own label has in that,
            or the same name, right in the folder. None: the cases as they are.

    Returns:
        Cases with ``rater`` beside the other keys, ``case`` and ``file`` beginning with the rater's name, and the
        problems, with a line for each rater who lacks some labels.

    Raises:
        ValueError: there are fewer than two raters, a name or a folder is no good, a rater has no label at all, or one
            label for several cases.
    """
    if raters is None:
        return found
    if not isinstance(raters, Mapping) or len(raters) < 2:
        raise ValueError(f"raters must be two or more folders by name, {{'anna': 'DIR', 'ben': 'DIR'}}, got {raters!r}")
    cases, problems = found
    out, lacking = [], []
    for name, folder in raters.items():
        if not isinstance(name, str) or not name.strip(". ") or {"/", os.sep} & set(name):
            raise ValueError(f"raters: {name!r} is no name for a rater; take letters and digits")
        if not os.path.isdir(folder):
            raise ValueError(f"raters: {str(folder)!r}, {name}'s, is not a folder")
        labels = {case_of(case): _label_of(case, Path(folder)) for case in cases}
        absent = [case for case, label in labels.items() if label is None]
        own = [str(label) for label in labels.values() if label is not None]
        if not own:
            raise ValueError(
                f"raters: {str(folder)!r}, {name}'s, holds a label of none of the {len(cases)} cases: expected files "
                f"such as {label_file_of(cases[0])}, or {Path(label_file_of(cases[0])).name} right in the folder"
            )
        if len(set(own)) < len(own):
            twice = next(label for label in own if own.count(label) > 1)
            raise ValueError(f"raters: {twice} would be the label of several cases: keep the data set's folders")
        if absent:
            lacking.append(f"{folder}: {name} has no label of {len(absent)} cases, such as {absent[0]}")
        out += [
            dict(case)
            | {
                "rater": name,
                "case": f"{name}/{case_of(case)}",
                "label": str(labels[case_of(case)]),
                "file": str(Path(name) / label_file_of(case)),
            }
            for case in cases
            if labels[case_of(case)] is not None
        ]
    return out, [*problems, *lacking]


def _label_of(case: Mapping[str, Any], folder: Path) -> Path | None:
    file = Path(label_file_of(case))
    return next((path for path in (folder / file, folder / file.name) if path.is_file()), None)
