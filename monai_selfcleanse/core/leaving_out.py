"""Which cases a training leaves out for now.

Knows arrays only: no files, no network, no engine.
"""

from __future__ import annotations

import numpy as np

from .judgement import Judgement
from .mixture import needed_separation

__all__ = ["LEAVE_OUT_SEPARATION", "cases_to_leave_out"]

LEAVE_OUT_SEPARATION = 0.25
"""Separation of a structure's two groups (``FilterDecision.separation``, in Dice) from which on its suspects may cost a
training their cases; half of it is enough where they are clear-cut."""

_LEAVE_OUT_FROM, _LEAVE_OUT_UP_TO = 1 / 3, 0.8
"""Share of its structures from which on a case is left out, and share of the cases that may be."""


def cases_to_leave_out(
    judgement: Judgement, min_separation: float = LEAVE_OUT_SEPARATION, trained_redrawn: np.ndarray | None = None
) -> tuple[str, ...]:
    """Cases that a training does better without: a third or more of their judged structures are suspected beyond doubt.

    What is left out is not learned, stays hard for the network, and so suspected: on right labels a few hard cases that
    the filter takes for suspects would grow to many. So only suspects beyond doubt count
    (:attr:`Judgement.beyond_doubt`), and only of structures whose two groups are ``min_separation`` apart, or half of
    it where they are clear-cut (:attr:`monai_selfcleanse.core.mixture.FilterDecision.clear_cut`).

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
    clear = [one.separation >= needed_separation(min_separation, one.clear_cut) for one in judgement.decisions]
    redrawn = np.zeros_like(judged) if trained_redrawn is None else trained_redrawn
    trusted = judged & (~judgement.suspected | redrawn)
    suspects = (judgement.beyond_doubt & ~redrawn & clear).sum(1)
    out = (suspects > 0) & (suspects >= _LEAVE_OUT_FROM * judged.sum(1))
    orphaned = trusted.any(0) & ~trusted[~out].any(0)
    out &= ~(trusted & orphaned).any(1)
    if out.sum() > _LEAVE_OUT_UP_TO * judged.any(1).sum():
        return ()
    return tuple(case for case, is_out in zip(judgement.cases, out, strict=True) if is_out)
