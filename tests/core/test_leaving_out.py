"""Which cases a training leaves out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.leaving_out import cases_to_leave_out
from monai_selfcleanse.core.mixture import FilterDecision, ScoreMixture

N = 40


def judgement(separation: float, distance: float, n_suspected: int) -> Judgement:
    """On one structure, of which the first labels are suspected beyond doubt."""
    suspected = np.arange(N) < n_suspected
    mixture = ScoreMixture((0.5, 0.5), (0.0, 0.5 * distance), 0.25)
    decision = FilterDecision(1.0 - suspected, suspected, "suspects", mixture, separation, 0.5)
    cases = tuple(f"case{i:02d}" for i in range(N))
    columns = (1.0 - suspected[:, None], suspected[:, None])
    return Judgement(cases, (1,), ("liver",), {"score": np.ones((N, 1))}, *columns, (decision,), False, 0.1)


@pytest.mark.parametrize(
    ("separation", "distance", "n_suspected", "n_left_out"),
    [
        (0.26, 2.0, 3, 3),
        (0.24, 3.9, 20, 0),  # the groups overlap
        (0.24, 4.0, 20, 20),
        (0.24, 6.0, 5, 0),  # a few hard cases lie far off
        (0.24, 6.0, 6, 6),
        (0.12, 6.0, 20, 0),  # too little either way
        (0.26, 6.0, 33, 0),  # more than four fifths
    ],
)
def test_hard_cases_are_not_left_out(separation: float, distance: float, n_suspected: int, n_left_out: int) -> None:
    found = judgement(separation, distance, n_suspected)
    assert cases_to_leave_out(found) == found.cases[:n_left_out]


def test_who_asks_for_more_separation_gets_fewer_left_out() -> None:
    found = judgement(0.3, 6.0, 20)
    assert len(cases_to_leave_out(found, 0.6)) == 20
    assert cases_to_leave_out(found, 0.61) == ()
    assert cases_to_leave_out(found, math.inf) == ()


def test_without_a_mixture_the_separation_alone_counts() -> None:
    found = judgement(0.24, 6.0, 20)
    assert cases_to_leave_out(found) == found.cases[:20]
    plain = replace(found, decisions=(replace(found.decisions[0], mixture=None),))
    assert cases_to_leave_out(plain) == ()
