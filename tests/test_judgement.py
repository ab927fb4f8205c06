"""Which cases a training does better without."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from monai_selfcleanse.judgement import Judgement, cases_to_leave_out
from monai_selfcleanse.mixture import FilterDecision


def judged(suspected: Any, gaps: Sequence[float] | None = None, score: Any = None) -> Judgement:
    """A judgement on cases a, b, ..., whose groups are 0.4 apart where nothing else is said."""
    mark = np.array(suspected, dtype=bool)
    cases, structures = tuple("abcdefghij"[: len(mark)]), tuple(range(1, mark.shape[1] + 1))
    decisions = tuple(
        FilterDecision(1.0 - column, column, "suspects", None, gap, 0.1)
        for column, gap in zip(mark.T, gaps or [0.4] * len(structures), strict=True)
    )
    evidence = {"score": np.ones(mark.shape) if score is None else np.array(score)}
    return Judgement(cases, structures, tuple(map(str, structures)), evidence, 1.0 - mark, mark, decisions, False)


@pytest.mark.parametrize(
    ("suspected", "expected"),
    [
        ([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0]], ("c",)),  # one bad label of four good ones stays
        ([[0, 0, 0], [1, 0, 0], [1, 1, 0]], ("b", "c")),
        ([[0], [1], [0]], ("b",)),
        ([[1]] * 8 + [[0]] * 2, tuple("abcdefgh")),  # up to four fifths of the cases
        ([[1]] * 9 + [[0]], ()),
        ([[1], [1], [1]], ()),  # nobody would be left
        ([[0]], ()),
    ],
)
def test_a_case_is_left_out_when_a_third_of_its_labels_is_suspected(
    suspected: list[list[int]], expected: tuple[str, ...]
) -> None:
    assert cases_to_leave_out(judged(suspected)) == expected


def test_labels_that_could_not_be_judged_do_not_count_in_that() -> None:
    unknown = [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, np.nan], [1.0, 1.0, 1.0, 1.0], [np.nan] * 4]
    some = [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert cases_to_leave_out(judged(some, score=unknown)) == ("b",)


def test_a_case_without_labels_is_nobody_to_train_on() -> None:
    assert cases_to_leave_out(judged([[1], [1], [0]], score=[[1.0], [1.0], [np.nan]])) == ()


def test_the_last_trusted_labels_of_a_structure_stay() -> None:
    """Only a and b have structure 2, and both have a suspected structure 1, as c has."""
    known = [[1.0, 1.0], [1.0, 1.0], [1.0, np.nan], [1.0, np.nan], [1.0, np.nan]]
    assert cases_to_leave_out(judged([[1, 0], [1, 0], [1, 0], [0, 0], [0, 0]], score=known)) == ("c",)


def test_suspects_stay_where_the_groups_are_not_clearly_apart() -> None:
    found = judged([[1, 0], [0, 1], [0, 0]], gaps=[0.24, 0.4])
    assert cases_to_leave_out(found) == ("b",)
    assert cases_to_leave_out(found, min_gap=0.2) == ("a", "b")
