"""Which cases a training does better without, which labels the network may redraw, and the ranked list of labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from helpers import judgement_of

from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import REDRAW_MARGIN, REPORT_COLUMNS, UNANNOTATED, Judgement, rows_by_case
from monai_selfcleanse.core.leaving_out import cases_to_leave_out
from monai_selfcleanse.core.mixture import FilterDecision


def judged(suspected: Any, separations: Sequence[float] | None = None, **evidence: Any) -> Judgement:
    """A judgement on cases a, b, ..., whose groups are 0.4 apart where nothing else is said."""
    mark = np.array(suspected, dtype=bool)
    cases, structures = tuple("abcdefghij"[: len(mark)]), tuple(range(1, mark.shape[1] + 1))
    decisions = tuple(
        FilterDecision(1.0 - column, column, "suspects", None, separation, 0.1)
        for column, separation in zip(mark.T, separations or [0.4] * len(structures), strict=True)
    )
    arrays = {name: np.array(evidence.get(name, np.ones(mark.shape))) for name in EVIDENCE}
    return Judgement(cases, structures, tuple(map(str, structures)), arrays, 1.0 - mark, mark, decisions, False, 0.1)


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


def test_a_suspect_that_is_trained_on_redrawn_counts_as_trusted() -> None:
    suspected = np.array([[1, 1], [1, 0], [0, 0], [1, 0]], dtype=bool)
    redrawn = np.array([[1, 0], [1, 0], [0, 0], [0, 0]], dtype=bool)
    assert cases_to_leave_out(judged(suspected), trained_redrawn=redrawn) == ("a", "d")
    assert cases_to_leave_out(judged(suspected), trained_redrawn=suspected) == ()
    known = [[1.0, 1.0], [np.nan, 1.0], [np.nan, 1.0]]  # a alone has structure 1, redrawn
    lone = judged([[1, 1], [0, 0], [0, 0]], score=known)
    assert cases_to_leave_out(lone, trained_redrawn=np.array([[1, 0], [0, 0], [0, 0]], dtype=bool)) == ()
    assert cases_to_leave_out(lone) == ("a",)


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
    found = judged([[1, 0], [0, 1], [0, 0]], separations=[0.24, 0.4])
    assert cases_to_leave_out(found) == ("b",)
    assert cases_to_leave_out(found, min_separation=0.2) == ("a", "b")


def test_suspects_of_which_there_is_a_doubt_stay() -> None:
    found = judged([[1], [1], [1], [0]])
    doubtful = replace(found, clean_probability=np.array([[0.05], [0.15], [0.45], [1.0]]))
    assert cases_to_leave_out(doubtful) == ("a",)


def test_a_label_in_doubt_is_nobody_to_learn_a_structure_from() -> None:
    """Structure 2: trusted in a, whose structure 1 is beyond doubt, and in doubt in b. So a stays."""
    found = judged([[1, 0], [0, 1], [0, 0]], score=[[1.0, 1.0], [1.0, 1.0], [1.0, np.nan]])
    doubtful = replace(found, clean_probability=np.array([[0.0, 1.0], [1.0, 0.3], [1.0, 1.0]]))
    assert cases_to_leave_out(doubtful) == ()


def test_a_suspect_is_redrawn_where_the_network_draws_about_as_well_as_where_it_is_trusted() -> None:
    """Trusted labels of structure 1 have a median expected Dice of 0.9, the only one of structure 2 has 0.5."""
    suspected = [[0, 1], [0, 1], [0, 1], [1, 0], [1, 1]]
    expected = [[0.8, 0.41], [0.9, 0.39], [0.99, 1.0], [0.81, 0.5], [0.79, 0.4]]
    found = judged(suspected, expected_dice=expected)
    assert found.redrawn.tolist() == [[0, 1], [0, 0], [0, 1], [1, 0], [0, 1]]
    assert found.by_case(found.redrawn) == {"a": [2], "c": [2], "d": [1], "e": [2]}
    assert found.by_case(found.suspected) == {"a": [2], "b": [2], "c": [2], "d": [1], "e": [1, 2]}


def test_a_suspect_that_may_be_right_is_not_redrawn() -> None:
    found = replace(judged([[1], [1], [0]]), clean_probability=np.array([[0.09], [0.1], [1.0]]))
    assert found.redrawn.tolist() == found.beyond_doubt.tolist() == [[1], [0], [0]]


def test_where_the_network_sees_nothing_it_redraws_nothing_and_sets_no_measure() -> None:
    """Where it sees none its expected Dice is 1: in b, that neither has it, and in d and e."""
    expected, seen = [[0.4], [1.0], [0.5], [1.0], [1.0]], [[9.0], [0.0], [9.0], [0.0], [0.0]]
    score = [[1.0], [np.nan], [1.0], [1.0], [1.0]]
    found = judged([[1], [0], [0], [0], [1]], score=score, expected_dice=expected, predicted_ml=seen)
    assert found.redrawn.tolist() == [[1], [0], [0], [0], [0]]


def test_without_a_trusted_label_all_suspects_beyond_doubt_are_redrawn() -> None:
    found = judged([[1], [1]], expected_dice=[[0.1], [0.9]])
    assert found.redrawn.all()
    assert replace(found, clean_probability=np.array([[0.0], [0.2]])).redrawn.tolist() == [[1], [0]]


def test_rows_are_ranked_by_clean_probability_then_score() -> None:
    probability = np.array([[0.9, 0.0], [0.0, 1e-9]])
    score = np.array([[0.1, 2.0], [3.0, 1.0]])
    found = judgement_of("ab", {1: "one", 2: "two"}, probability, probability < 0.2, score=score)
    rows = found.rows()
    assert [(r["case"], r["structure"]) for r in rows] == [("b", 1), ("a", 2), ("b", 2), ("a", 1)]
    assert all(tuple(row) == REPORT_COLUMNS for row in rows)
    assert found.suspects() == rows[:3]


def test_what_partial_labels_lack_is_listed_last_as_not_annotated() -> None:
    score = np.array([[np.nan, 2.0], [3.0, np.nan]])
    marks = np.nan_to_num(-score, nan=1.0), score > 2
    arguments = "ab", {1: "one", 2: "two"}, *marks
    rows = judgement_of(*arguments, partial_labels=True, score=score).rows()
    assert [r["reason"] for r in rows[-2:]] == [UNANNOTATED] * 2
    assert [(r["case"], r["suspected"]) for r in rows] == [("b", 1), ("a", 0), ("a", 0), ("b", 0)]
    assert UNANNOTATED not in [r["reason"] for r in judgement_of(*arguments, score=score).rows()]


def test_marked_structures_are_listed_by_case() -> None:
    suspected = np.array([[False, False], [True, True], [False, True]])
    probability = np.array([[0.9, 0.8], [0.05, 0.01], [0.5, 0.001]])
    sees = np.broadcast_to([1.0, 0.0], (3, 2))
    found = judgement_of("abc", {1: "one", 2: "two"}, probability, suspected, predicted_ml=sees)
    assert found.by_case(found.suspected) == {"b": [1, 2], "c": [2]}
    assert found.by_case(found.redrawn) == {"b": [1]}
    grouped = rows_by_case(found.suspects())  # most suspect first, cases as well
    assert [(case, [r["structure"] for r in rows]) for case, rows in grouped.items()] == [("c", [2]), ("b", [2, 1])]


def test_names_go_by_structure_and_what_was_not_judged_is_not_counted() -> None:
    score = np.array([[np.nan, 2.0], [3.0, 1.0]])
    found = judgement_of("ab", {4: "one", 2: "two"}, np.ones((2, 2)), np.zeros((2, 2), bool), score=score)
    assert (found.n_judged, found.name_of) == (3, {4: "one", 2: "two"})
    assert {row["structure"]: row["structure_name"] for row in found.rows()} == found.name_of


@dataclass(frozen=True, eq=False)
class Dated(Judgement):
    day: int


def test_a_judgement_becomes_one_of_a_class_with_more() -> None:
    found = judged([[1], [0]])
    dated = Dated.of(found, day=3)
    assert dated.day == 3
    for name, value in vars(found).items():
        assert getattr(dated, name) is value
    assert vars(Judgement.of(dated)) == vars(found)


def test_judgements_are_compared_by_identity() -> None:
    found = judged([[1], [0]])
    assert found == found
    assert found != replace(found)
    assert found.decisions[0] != judged([[1], [0]]).decisions[0]
    assert len({found, replace(found)}) == 2


def test_the_margin_is_for_those_who_say_how_sure_they_are() -> None:
    evidence = {name: np.full((2, 1), 0.5) for name in EVIDENCE}
    for has_probabilities, margin in ((True, REDRAW_MARGIN), (False, np.inf)):
        assert LabelJudge([1]).judge("ab", evidence, has_probabilities).redraw_margin == margin


def look(bad: Sequence[int], doubtful: Sequence[int] = (), n: int = 40) -> dict[str, np.ndarray]:
    """Evidence of ``n`` labels of one structure, some of which fit badly, and some somewhat."""
    score, dice = np.geomspace(0.4, 1.6, n), np.full(n, 0.9)
    score[list(bad)], dice[list(bad)] = np.linspace(8, 14, len(bad)), 0.4
    score[list(doubtful)], dice[list(doubtful)] = 2.0, 0.8
    evidence = {name: np.zeros((n, 1)) for name in EVIDENCE}
    return evidence | {
        "score": score[:, None],
        "dice": dice[:, None],
        "expected_dice": np.full((n, 1), 0.9),
        "predicted_ml": np.ones((n, 1)),
        "size_ratio": np.ones((n, 1)),
    }


NAMES = tuple(f"case {i}" for i in range(40))


def test_no_label_is_beyond_doubt_that_the_first_look_found_clean() -> None:
    judge = LabelJudge([1])
    now, first = look(range(12)), look(range(10))
    judgement, alone = judge.judge(NAMES, now, first_look=first), judge.judge(NAMES, now)
    assert np.flatnonzero(alone.redrawn[:, 0]).tolist() == [*range(12)]
    assert np.flatnonzero(judgement.suspected[:, 0]).tolist() == [*range(12)]  # for somebody to look at
    assert np.flatnonzero(judgement.redrawn[:, 0]).tolist() == [*range(10)]
    assert judgement.clean_probability[10:12, 0].tolist() == [0.1, 0.1]
    others = [*range(10), *range(12, 40)]
    np.testing.assert_array_equal(judgement.clean_probability[others], alone.clean_probability[others])
    assert set(cases_to_leave_out(alone)) - set(cases_to_leave_out(judgement)) == {"case 10", "case 11"}


def test_a_first_look_that_was_in_doubt_itself_clears_nobody() -> None:
    first = look(range(10), doubtful=[10, 11])
    doubt = LabelJudge([1]).judge(NAMES, first).clean_probability[10:12, 0]
    assert ((doubt > 0.01) & (doubt < 0.9)).all()
    assert LabelJudge([1]).judge(NAMES, look(range(12)), first_look=first).redrawn.sum() == 12


@pytest.mark.parametrize(("seen_first", "redrawn"), [(10, 10), (9, 12), (0, 12)])
def test_a_first_look_that_knew_too_little_is_not_heeded(seen_first: int, redrawn: int) -> None:
    """It must have suspected four fifths of the twelve."""
    judgement = LabelJudge([1]).judge(NAMES, look(range(12)), first_look=look(range(seen_first)))
    assert judgement.redrawn.sum() == redrawn


def test_each_structure_heeds_its_own_first_look() -> None:
    def both(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.hstack([one[name], other[name]]) for name in one}

    now = both(look(range(12)), look(range(12)))
    judgement = LabelJudge([1, 2]).judge(NAMES, now, first_look=both(look(range(11)), look(range(3))))
    assert judgement.redrawn.sum(0).tolist() == [11, 12]


def test_two_structures_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a name of its own, got \['kidney', 'kidney'\]"):
        LabelJudge({1: "kidney", 2: "kidney"})
