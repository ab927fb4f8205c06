"""What the checks say of a data set: what it is taken for, every broken case, and what was tolerated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..bad_input import printable
from ..cases.case import check_unique_cases, with_values
from ..cases.grid import NOTE_KINDS
from ..core.case_id import case_of, images_of, listed, patient_of
from ..core.structures import class_names, label_values
from ..data.case_check import CaseCheck
from ..data.checks import look_into
from ..data.layouts import find_cases, layout_of, structures_named
from ..data.problems import alike, in_one_line
from ..distributed import in_workers, worker_count
from ..files import file_digest
from ..progress import progress
from .option_table import OPTIONS

__all__ = ["examine"]

Lines = list[tuple[str, str]]
"""What, and its value."""

_ANY = range(1, 256)
"""Structures where nobody names them: whatever values the labels have."""

_MOST_NAMED = 50
"""So many of the files are named of which the same is said."""


def examine(dataset: str | os.PathLike, structures: Mapping[Any, str] | None = None) -> int:
    """Look at all files of a data set, and print a table. Nothing is written.

    Args:
        dataset: see :func:`monai_selfcleanse.data.find_cases`.
        structures: label values and their names; None for those that the data set names itself, or else whatever
            values its labels have.

    Returns:
        0 where nothing is broken, else 1.

    Raises:
        ValueError: there is no data set, or structures are none.
    """
    if structures is not None and (check := OPTIONS["structures"].check) is not None:
        check("structures", structures)
    cases, problems = find_cases(dataset)
    file, own = structures_named(dataset)
    named = structures if structures is not None else own
    cases = cases if named is None else with_values(cases, named)
    classes = _ANY if named is None else range(1, len(named) + 1)
    looks = in_workers(partial(look_into, structures=classes), cases, worker_count(len(cases), None))
    found = [one for _, one in zip(progress(cases, "cases"), looks, strict=True)]
    broken = [("?", problem) for problem in [*problems, *_not_unique(cases)]]
    broken += [(case_of(c), problem) for c, one in zip(cases, found, strict=True) for problem in one.problems]
    readable = [(c, one) for c, one in zip(cases, found, strict=True) if not one.problems]
    whole = [one for _, one in readable]
    lines: Lines = [
        ("taken for", layout_of(dataset)),
        ("cases", f"{len(cases)} of {len({patient_of(case) for case in cases})} patients"),
        ("structures", _structures(named, "" if structures is not None else f" (by {file.name})", whole)),
        *_figures(whole),
        *_tolerated(found),
        *_empty_labels(readable),
        *_twins([case for case, _ in readable]),
        ("broken", str(len(broken)) if broken else "none"),
    ]
    print(_table(lines))
    if broken:
        print(_table(_in_few_lines(broken, len(cases))))
    return 1 if broken else 0


def _not_unique(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a training or an audit would refuse: that two cases share what must be one's own."""
    try:
        check_unique_cases(cases)
    except ValueError as error:
        return [str(error)]
    return []


def _structures(named: Mapping[Any, str] | None, source: str, found: Sequence[CaseCheck]) -> str:
    """The structures by their values, and in how many labels each one is."""
    count = Counter(k for one in found for k in one.structures if k)
    if named is None:
        seen = ", ".join(f"{k} ({_in_labels(count[k])})" for k in sorted(count)) or "none found"
        return f"{seen}; nobody names them: give --structures"
    names = class_names(named)
    return ", ".join(f"{v} {names[i]} ({_in_labels(count[i])})" for i, v in enumerate(label_values(named), 1)) + source


def _in_labels(n: int) -> str:
    return f"in {n} label{'s' * (n != 1)}"


def _figures(found: Sequence[CaseCheck]) -> Lines:
    lines: Lines = []
    spacings = [one.spacing for one in found if len(one.spacing) == 3]
    if spacings:
        low, middle, high = (np.round(f(spacings, axis=0), 3) for f in (np.min, np.median, np.max))
        lines.append(
            ("voxels, mm", " x ".join(f"{m:g} ({a:g} to {b:g})" for a, m, b in zip(low, middle, high, strict=True)))
        )
    if channels := Counter(one.n_channels for one in found):
        said = [f"{k} ({n} images)" if len(channels) > 1 else str(k) for k, n in sorted(channels.items())]
        lines.append(("image channels", ", ".join(said)))
    return lines


def _tolerated(found: Sequence[CaseCheck]) -> Lines:
    """What was found odd and is taken all the same, once a kind."""
    lines: Lines = []
    for kind, words in NOTE_KINDS.items():
        if notes := [one.notes[kind] for one in found if kind in one.notes]:
            lines.append(("tolerated", f"{len(notes)} of {len(found)} cases {words}, such as {notes[0]}"))
    return lines


def _empty_labels(found: Sequence[tuple[Mapping[str, Any], CaseCheck]]) -> Lines:
    empty = [str(case["label"]) for case, one in found if not one.structures - {0}]
    if not empty:
        return []
    many = "labels are" if len(empty) > 1 else "label is"
    return [("odd", f"{len(empty)} {many} empty, such as {empty[0]}: right only if the image shows no structure")]


def _twins(cases: Sequence[Mapping[str, Any]]) -> Lines:
    """Cases whose images are copies, byte for byte: a training may validate on one and learn from the other."""
    by_images = {tuple(map(os.path.abspath, images_of(case))): case for case in cases}
    # the voxels of MetaImage's .mhd lie in another file
    groups = [[paths for paths in by_images if not any(path.lower().endswith(".mhd") for path in paths)]]
    groups = [same for group in groups for same in _alike_in(os.path.getsize, group)]
    groups = [same for group in groups for same in _alike_in(file_digest, group)]
    # those of one patient stay together in the split
    groups = [group for group in groups if len({patient_of(by_images[paths]) for paths in group}) > 1]
    if not groups:
        return []
    first, second = (case_of(by_images[paths]) for paths in groups[0][:2])
    return [
        (
            "odd",
            f"{sum(map(len, groups))} cases have an image that another case has, byte for byte, such as {first} "
            f"and {second}: give them one patient, or leave all but one out; else a training may validate on what it "
            "learned",
        )
    ]


def _alike_in(what: Callable[[str], object], cases: Sequence[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """Groups of two and more cases whose files are alike in something."""
    groups: dict[tuple[object, ...], list[tuple[str, ...]]] = {}
    for paths in cases:
        groups.setdefault(tuple(map(what, paths)), []).append(paths)
    return [group for group in groups.values() if len(group) > 1]


def _in_few_lines(broken: Lines, n_cases: int) -> Lines:
    """What is broken; what differs in the file alone in one line, and the others of which it holds in a second one.

    There is no second line where it holds of every case.
    """
    lines: Lines = []
    problems = [problem for _, problem in broken]
    files = [problem.partition(": ")[0] for problem in problems]
    for group in alike(problems):
        lines.append((broken[group[0]][0], in_one_line(problems, group)))
        if len(group) > 1 and (len(group) < n_cases or broken[group[0]][0] == "?"):
            folder = os.path.join(os.path.dirname(files[group[0]]), "")
            others = listed([files[i].removeprefix(folder) for i in group[1:]], _MOST_NAMED)
            lines.append(("", f"the others: {others}"))
    return lines


def _table(lines: Lines) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(printable(f"  {name:<{width}}  {value}") for name, value in lines)
