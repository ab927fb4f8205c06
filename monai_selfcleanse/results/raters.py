"""Several raters of the same images: whose label is the better one.

Each rater's labels are cases of their own, ``anna/patient001``, in one cohort, with one prediction to compare with. So
one mixture is fitted to all raters' labels of a structure: the same score means the same for everyone. With a mixture a
rater, the labels of a careless one would be measured against their own like.

The better label is the one of the higher Dice to the prediction (:mod:`monai_selfcleanse.core.evidence`). That says who
is nearer to what the network makes of the image, not who is right: a network trained on one rater's labels sides with
that rater.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from ..cases.grid import turn_onto
from ..cases.label_file import GivenLabel, label_of
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..core.masks import dice
from ..files import atomic_path
from .tables import write_rows

__all__ = ["compare_raters", "count_better", "raters_of", "write_raters"]


def raters_of(data: Sequence[Mapping[str, Any]]) -> list[str]:
    """The raters of some cases, in order; empty where cases have none."""
    return list(dict.fromkeys(item["rater"] for item in data if "rater" in item))


def compare_raters(judgement: Judgement, data: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a case and structure, those on which raters agree least first.

    Args:
        judgement: on all raters' labels.
        data: the cases judged, of :func:`monai_selfcleanse.data.cases_of_raters`. Labels are read, one case of all
            raters at a time.

    Returns:
        Dictionaries with ``case``, ``structure``, ``structure_name``, ``better`` (the rater whose label has the highest
        Dice to the prediction; empty where several have, or where less than two were judged), ``agreement`` (mean Dice
        of each rater's label with each other's, turned to lie alike, 1 where none has the structure; NaN with one
        label, or grids that differ), and of each rater ``NAME_clean_probability``, ``NAME_suspected`` and ``NAME_dice``
        to the prediction; NaN where there is no label.
    """
    at, raters = {case: i for i, case in enumerate(judgement.cases)}, raters_of(data)
    # a partial label that lacks the structure says nothing; else agreement on absence is agreement
    silent = np.isnan(judgement.evidence["score"]) & judgement.partial_labels
    by_case: dict[str, dict[str, Mapping[str, Any]]] = {}
    for item in data:
        by_case.setdefault(case_of(item).removeprefix(f"{item['rater']}/"), {})[item["rater"]] = item
    rows = []
    for case, items in by_case.items():
        labels = _on_one_grid([label_of(item) for item in items.values()])
        for j, (structure, name) in enumerate(zip(judgement.structures, judgement.names, strict=True)):
            row: dict[str, Any] = {"case": case, "structure": judgement.numbers[structure], "structure_name": name}
            own = {rater: at[case_of(item)] for rater, item in items.items()}
            row["better"] = _highest({r: judgement.evidence["dice"][i, j] for r, i in own.items() if not silent[i, j]})
            row["agreement"] = _agreement([label == structure for label in labels])
            for rater in raters:
                i = at[case_of(items[rater])] if rater in items else None
                row[f"{rater}_clean_probability"] = np.nan if i is None else float(judgement.clean_probability[i, j])
                row[f"{rater}_suspected"] = np.nan if i is None else int(judgement.suspected[i, j])
                row[f"{rater}_dice"] = np.nan if i is None else float(judgement.evidence["dice"][i, j])
            rows.append(row)
    return sorted(rows, key=lambda row: (np.nan_to_num(row["agreement"], nan=2.0), row["case"], row["structure"]))


def _highest(dices: Mapping[str, float]) -> str:
    """The rater with the highest Dice; none where there is but one, or several have it."""
    best = [rater for rater, value in dices.items() if value == max(dices.values())]
    return best[0] if len(dices) > 1 and len(best) == 1 else ""


def _on_one_grid(labels: Sequence[GivenLabel]) -> list[np.ndarray]:
    """Index maps of one case, turned to lie as the first; none where their grids differ."""
    first = labels[0]
    ndim = first.index.ndim
    try:
        turned = [turn_onto(label.file, first.file, ndim)(label.index, label.index.ndim) for label in labels]
        return [index.reshape(first.index.shape) for index in turned]  # which may have an axis of length 1 more
    except ValueError:
        return []


def _agreement(masks: Sequence[np.ndarray]) -> float:
    if len(masks) < 2:
        return float("nan")
    return float(np.mean([dice(one, other) for one, other in combinations(masks, 2)]))


def count_better(rows: Sequence[Mapping[str, Any]], raters: Sequence[str]) -> list[tuple[str, str]]:
    """In how many structures each rater had the better label, and how many of the rater's are suspected, in words."""
    decided = sum(bool(row["better"]) for row in rows)
    out = []
    for rater in raters:
        n = sum(row["better"] == rater for row in rows)
        suspected = sum(row[f"{rater}_suspected"] == 1 for row in rows)
        out.append((rater, f"better in {n} of {decided} ({n / max(decided, 1):.0%}), {suspected} suspected"))
    return out


def write_raters(
    path: str | os.PathLike, judgement: Judgement, data: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Write the rows of :func:`compare_raters` as CSV, and return those of :func:`count_better`."""
    rows = compare_raters(judgement, data)
    with atomic_path(path) as part:
        write_rows(rows, list(rows[0]), part)
    return count_better(rows, raters_of(data))
