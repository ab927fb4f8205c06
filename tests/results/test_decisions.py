"""Decisions: the last about a label counts, none is lost, and a row that makes no sense is named."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import judged_cohort

from monai_selfcleanse.core import Judgement
from monai_selfcleanse.results import Decision, add_decisions, read_decisions, read_rows


@pytest.fixture
def judgement(tmp_path: Path) -> Judgement:
    return judged_cohort(tmp_path / "data").judgement


def test_the_last_decision_about_a_label_counts_and_all_are_kept(tmp_path: Path, judgement: Judgement) -> None:
    path = tmp_path / "decisions.csv"
    assert read_decisions(path, judgement) == {}
    add_decisions(path, [Decision.now("a", "myocardium", "keep", "Ann"), Decision.now("b", "myocardium", "redraw")])
    add_decisions(path, [Decision.now("a", "myocardium", "leave-out", "Bo", "both, ends; are\nodd")])
    add_decisions(path, [Decision.now("b", "myocardium", "undecided")])
    found = read_decisions(path, judgement)
    assert [(case, one.decision, one.who, one.note) for (case, _), one in found.items()] == [
        ("a", "leave-out", "Bo", "both, ends; are\nodd")
    ]
    assert [row["decision"] for row in read_rows(path)] == ["keep", "redraw", "leave-out", "undecided"]


def test_reviewers_at_the_same_moment_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    program = (
        "import sys; from monai_selfcleanse.results import Decision, add_decisions\n"
        "for i in range(10): add_decisions(sys.argv[1], [Decision.now('a', 'myocardium', 'keep', sys.argv[2], str(i))])"
    )
    reviewers = [subprocess.Popen([sys.executable, "-c", program, path, who]) for who in ("Ann", "Bo", "Cy")]
    assert [reviewer.wait() for reviewer in reviewers] == [0, 0, 0]
    rows = read_rows(path)
    assert len(rows) == 30
    for who in ("Ann", "Bo", "Cy"):
        assert [row["note"] for row in rows if row["who"] == who] == [str(i) for i in range(10)]


def test_a_table_by_hand_needs_three_columns(tmp_path: Path, judgement: Judgement) -> None:
    path = tmp_path / "mine.csv"
    suspects = judgement.by_case(judgement.suspected)
    case, structures = next(iter(suspects.items()))
    path.write_text(f"case,structure,decision\n{case},,redraw\nb,{judgement.numbers[1]},keep\n")
    found = read_decisions(path, judgement)
    assert {k for (c, k) in found if c == case} == set(structures)
    assert found["b", 1].decision == "keep"


def test_blanks_and_the_way_a_letter_is_written_do_not_count(tmp_path: Path, judgement: Judgement) -> None:
    umlaut = replace(judgement, cases=("\u00c43", *judgement.cases[1:]))
    path = tmp_path / "mine.csv"
    path.write_text("case,structure,decision\nA\u03083 , myocardium,keep \n b,myocardium,redraw\n", encoding="utf-8")
    found = {case: decision.decision for (case, _), decision in read_decisions(path, umlaut).items()}
    assert found == {"\u00c43": "keep", "b": "redraw"}
    alike = replace(judgement, cases=("b ", *judgement.cases[1:]))  # ids that blanks alone tell apart
    path.write_text("case,structure,decision\nb ,myocardium,keep\nb,myocardium,redraw\n")
    found = {case: decision.decision for (case, _), decision in read_decisions(path, alike).items()}
    assert found == {"b ": "keep", "b": "redraw"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nobody,myocardium,keep", "row 2: no case 'nobody' was judged"),
        ("a,spleen,keep", "row 2: there is no structure 'spleen'; it may be right ventricle"),
        ("a,myocardium,maybe", "row 2: 'maybe' is no decision; it may be keep, redraw"),
    ],
)
def test_a_row_that_makes_no_sense_is_named(tmp_path: Path, judgement: Judgement, row: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"case,structure,decision\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read_decisions(path, judgement)


def test_another_table_is_refused_and_stays(tmp_path: Path, judgement: Judgement) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("patient,verdict\na,keep\n")
    with pytest.raises(ValueError, match="lacks the column 'case'"):
        read_decisions(path, judgement)
    with pytest.raises(ValueError, match="lacks the column 'case'"):
        add_decisions(path, [Decision.now("a", "myocardium", "keep")])
    assert path.read_text() == "patient,verdict\na,keep\n"


@pytest.mark.parametrize(("start", "mark"), [("\ufeff", ","), ("", ";"), ("\ufeff", ";")])
def test_what_a_spreadsheet_has_saved_is_read(start: str, mark: str, tmp_path: Path, judgement: Judgement) -> None:
    path = tmp_path / "decisions.csv"
    lines = ["case,structure,decision,who,when,note", "a,myocardium,keep,Ann,,", "b,myocardium,redraw"]
    path.write_text(start + "\n".join(lines).replace(",", mark) + "\n", encoding="utf-8")
    found = read_decisions(path, judgement)
    assert {case: one.decision for (case, _), one in found.items()} == {"a": "keep", "b": "redraw"}
    add_decisions(path, [Decision.now("b", "myocardium", "undecided")])
    assert [case for case, _ in read_decisions(path, judgement)] == ["a"]


def test_a_row_with_too_many_cells_is_named(tmp_path: Path, judgement: Judgement) -> None:
    path = tmp_path / "decisions.csv"
    path.write_text("case,structure,decision\na,myocardium,keep,it looks fine, to me\n")
    with pytest.raises(ValueError, match="row 2: has more cells than there are columns; put a text with commas in q"):
        read_decisions(path, judgement)


def test_nothing_is_added_to_what_is_not_as_expected(tmp_path: Path) -> None:
    path = tmp_path / "decisions.csv"
    add_decisions(path, [Decision.now("a", "myocardium", "keep", "Ann")])
    before = path.read_bytes()

    def refuse() -> None:
        assert [row["who"] for row in read_rows(path)] == ["Ann"]  # it may read the file
        raise ValueError("Ann was faster")

    with pytest.raises(ValueError, match="Ann was faster"):
        add_decisions(path, [Decision.now("a", "myocardium", "redraw", "Bo")], refuse)
    assert path.read_bytes() == before
    add_decisions(path, [Decision.now("a", "myocardium", "redraw", "Bo")], lambda: None)
    assert [row["who"] for row in read_rows(path)] == ["Ann", "Bo"]


def test_a_case_without_suspects_can_be_left_out_as_a_whole_and_taken_back(
    tmp_path: Path, judgement: Judgement
) -> None:
    path = tmp_path / "mine.csv"
    case = next(case for case in judgement.cases if case not in judgement.by_case(judgement.suspected))
    path.write_text(f"case,structure,decision\n{case},,leave-out\n")
    assert [(c, one.decision) for (c, _), one in read_decisions(path, judgement).items()] == [(case, "leave-out")]
    path.write_text(path.read_text() + f"{case},{judgement.numbers[2]},keep\n{case},,undecided\n")
    assert read_decisions(path, judgement) == {}
