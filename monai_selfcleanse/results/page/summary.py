"""The upper half of the page: how many labels are suspected, and a panel for each structure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from ...core.judgement import UNANNOTATED, Judgement
from ..words import one_or_many, verdict_in_words
from .histogram import histogram_svg

__all__ = ["Panel", "figures", "panels"]


def figures(
    judgement: Judgement, rows: Sequence[Mapping[str, Any]], unreadable: Sequence[tuple[str, str]]
) -> list[tuple[int, str]]:
    """Numbers of cases and labels, each with its words. What was not judged is counted only where there is some.

    Args:
        judgement: on the labels.
        rows: the judgement's rows.
        unreadable: cases that could not be judged, and why; the case is empty for a problem that belongs to none.
    """
    n_cases, n_judged = len(judgement.cases), judgement.n_judged
    n_suspects = int(np.count_nonzero(judgement.suspected))
    n_affected = int(np.count_nonzero(judgement.suspected.any(1)))
    n_unannotated = sum(row["reason"] == UNANNOTATED for row in rows)
    n_unreadable = sum(case != "" for case, _ in unreadable)
    n_problems = len(unreadable) - n_unreadable
    share = f"({n_suspects / max(n_judged, 1):.0%})"
    judged = [
        (n_cases, one_or_many(n_cases, "case", "cases")),
        (n_judged, one_or_many(n_judged, "label judged", "labels judged")),
        (n_suspects, f"{one_or_many(n_suspects, 'label suspected', 'labels suspected')} {share}"),
        (n_affected, one_or_many(n_affected, "case with a suspected label", "cases with a suspected label")),
    ]
    not_judged = [
        (n_unannotated, "not annotated, not judged"),
        (len(rows) - n_judged - n_unannotated, "in neither label nor prediction, not judged"),
        (n_unreadable, one_or_many(n_unreadable, "case that could not be judged", "cases that could not be judged")),
        (n_problems, one_or_many(n_problems, "other problem with the data", "other problems with the data")),
    ]
    return judged + [(n, words) for n, words in not_judged if n]


@dataclass(frozen=True)
class Panel:
    """What the page shows of one structure.

    Attributes:
        name: the structure's name.
        verdict: what the filter says of its labels.
        histogram: an ``<svg>`` element with their scores.
    """

    name: str
    verdict: str
    histogram: Markup


def panels(judgement: Judgement) -> list[Panel]:
    """A panel for each structure, in the judgement's order."""
    columns = zip(
        judgement.names, judgement.decisions, judgement.evidence["score"].T, judgement.suspected.T, strict=True
    )
    return [
        Panel(name, verdict_in_words(decision), histogram_svg(name, scores.astype(np.float64), suspected, decision))
        for name, decision, scores, suspected in columns
    ]
