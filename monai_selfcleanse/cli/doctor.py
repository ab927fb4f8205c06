"""What the checks say of a data set: what it is taken for, every broken case, and what was tolerated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..bad_input import printable
from ..cases.case import with_values
from ..cases.grid import NOTE_KINDS
from ..core.case_id import case_of, patient_of
from ..core.structures import class_names, label_values
from ..data.case_check import CaseCheck
from ..data.checks import look_into
from ..data.layouts import find_cases, layout_of, structures_named
from ..distributed import in_workers, worker_count
from ..progress import progress
from .option_table import OPTIONS

__all__ = ["examine"]

Lines = list[tuple[str, str]]
"""What, and its value."""

_ANY = range(1, 256)
"""Structures where nobody names them: whatever values the labels have."""


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
    broken = [("?", problem) for problem in problems]
    broken += [(case_of(c), problem) for c, one in zip(cases, found, strict=True) for problem in one.problems]
    whole = [one for one in found if not one.problems]
    lines: Lines = [
        ("taken for", layout_of(dataset)),
        ("cases", f"{len(cases)} of {len({patient_of(case) for case in cases})} patients"),
        ("structures", _structures(named, "" if structures is not None else f" (by {file.name})", whole)),
        *_figures(whole),
        *_tolerated(found),
        ("broken", str(len(broken)) if broken else "none"),
    ]
    print(_table(lines))
    if broken:
        print(_table(broken))
    return 1 if broken else 0


def _structures(named: Mapping[Any, str] | None, source: str, found: Sequence[CaseCheck]) -> str:
    """The structures by their values, and in how many labels each one is."""
    count = Counter(k for one in found for k in one.structures if k)
    if named is None:
        listed = ", ".join(f"{k} (in {count[k]} labels)" for k in sorted(count)) or "none found"
        return f"{listed}; nobody names them: give --structures"
    names = class_names(named)
    return ", ".join(f"{v} {names[i]} (in {count[i]} labels)" for i, v in enumerate(label_values(named), 1)) + source


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


def _table(lines: Lines) -> str:
    width = max(len(name) for name, _ in lines)
    return "\n".join(printable(f"  {name:<{width}}  {value}") for name, value in lines)
