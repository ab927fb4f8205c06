"""Which cases a training leaves out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.leaving_out import cases_to_leave_out
from monai_selfcleanse.core.mixture import FilterDecision

N = 40


def judgement(separation: float, clear_cut: bool, n_suspected: int) -> Judgement:
    """On one structure, of which the first labels are suspected beyond doubt."""
    suspected = np.arange(N) < n_suspected
    decision = FilterDecision(1.0 - suspected, suspected, "suspects", None, separation, 0.5, clear_cut=clear_cut)
    cases = tuple(f"case{i:02d}" for i in range(N))
    columns = (1.0 - suspected[:, None], suspected[:, None])
    return Judgement(cases, (1,), ("liver",), {"score": np.ones((N, 1))}, *columns, (decision,), False, 0.1)


@pytest.mark.parametrize(
    ("separation", "clear_cut", "n_suspected", "n_left_out"),
    [
        (0.26, False, 3, 3),
        (0.24, False, 20, 0),
        (0.24, True, 20, 20),
        (0.13, True, 20, 20),
        (0.12, True, 20, 0),  # too little either way
        (0.26, True, 33, 0),  # more than four fifths
    ],
)
def test_hard_cases_are_not_left_out(separation: float, clear_cut: bool, n_suspected: int, n_left_out: int) -> None:
    found = judgement(separation, clear_cut, n_suspected)
    assert cases_to_leave_out(found) == found.cases[:n_left_out]


def test_who_asks_for_more_separation_gets_fewer_left_out() -> None:
    found = judgement(0.3, True, 20)
    assert len(cases_to_leave_out(found, 0.6)) == 20
    assert cases_to_leave_out(found, 0.61) == ()
    assert cases_to_leave_out(found, math.inf) == ()
