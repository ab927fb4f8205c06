"""Which cases a training leaves out for now.

Knows arrays only: no files, no network, no engine.
"""

from __future__ import annotations

import numpy as np

from .judgement import Judgement
from .mixture import FilterDecision

__all__ = ["LEAVE_OUT_SEPARATION", "cases_to_leave_out"]

LEAVE_OUT_SEPARATION = 0.25
"""Separation of a structure's two groups (``FilterDecision.separation``, in Dice) from which on its suspects may cost a
training their cases."""

_CLEAR_CUT_DISTANCE, _CLEAR_CUT_FROM, _CLEAR_CUT_NEEDS = 4.0, 0.1, 0.8
"""Groups are clear-cut from so many standard deviations between them on, if so large a share of the labels is
suspected. Then this share of the separation is enough."""

_LEAVE_OUT_FROM, _LEAVE_OUT_UP_TO = 1 / 3, 0.8
"""Share of its structures from which on a case is left out, and share of the cases that may be."""


def cases_to_leave_out(
    judgement: Judgement, min_separation: float = LEAVE_OUT_SEPARATION, trained_redrawn: np.ndarray | None = None
) -> tuple[str, ...]:
    """Cases that a training does better without: a third or more of their judged structures are suspected beyond doubt.

    What is left out is not learned, stays hard for the network, and so suspected: on right labels a few hard cases that
    the filter takes for suspects would grow to many. So only suspects beyond doubt count
    (:attr:`Judgement.beyond_doubt`), and only of structures whose two groups are ``min_separation`` apart. Of groups
    that hardly overlap, four fifths of it are enough: hard cases are a tail of the others, or very few.

    A case stays that has a trusted label of a structure of which no other case would have one. None is left out where
    that would be more than four fifths of the cases.

    Args:
        judgement: on the cohort.
        min_separation: least separation, in Dice, of the two groups of a structure whose suspects count.
        trained_redrawn: suspects ``(n, K)`` bool that are trained on redrawn, which are as good as trusted; None for
            none.

    Returns:
        Their ids, in the judgement's order; of a cohort in which nothing was judged or suspected, none.
    """
    judged = ~np.isnan(judgement.evidence["score"])
    pairs = zip(judgement.decisions, judged.T, strict=True)
    clear = np.array([_is_clear(decision, int(column.sum()), min_separation) for decision, column in pairs], dtype=bool)
    redrawn = np.zeros_like(judged) if trained_redrawn is None else trained_redrawn
    trusted = judged & (~judgement.suspected | redrawn)
    suspects = (judgement.beyond_doubt & ~redrawn & clear).sum(1)
    out = (suspects > 0) & (suspects >= _LEAVE_OUT_FROM * judged.sum(1))
    orphaned = trusted.any(0) & ~trusted[~out].any(0)
    out &= ~(trusted & orphaned).any(1)
    if out.sum() > _LEAVE_OUT_UP_TO * judged.any(1).sum():
        return ()
    return tuple(case for case, is_out in zip(judgement.cases, out, strict=True) if is_out)


def _is_clear(decision: FilterDecision, n_judged: int, min_separation: float) -> bool:
    """Whether the suspects of a structure may cost their cases."""
    is_clear_cut = (
        decision.mixture is not None
        and decision.mixture.distance >= _CLEAR_CUT_DISTANCE
        and decision.suspected.sum() >= _CLEAR_CUT_FROM * n_judged
    )
    return decision.separation >= min_separation * (_CLEAR_CUT_NEEDS if is_clear_cut else 1.0)
