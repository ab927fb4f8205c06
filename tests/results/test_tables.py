"""Tables on disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from helpers import judgement_of

from monai_selfcleanse.core.judgement import REPORT_COLUMNS
from monai_selfcleanse.results.tables import read_rows, write_rows


def test_the_ranked_list_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    probability = np.array([[0.9, 0.0], [0.0, 1e-9]])
    score = np.array([[0.1, 2.0], [3.0, 1.0]])
    judgement = judgement_of("ab", {1: "one", 2: "two"}, probability, probability < 0.2, score=score)
    write_rows(judgement.rows(), REPORT_COLUMNS, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == REPORT_COLUMNS
    assert [float(r["clean_probability"]) for r in read] == sorted(probability.ravel())
    assert [r["suspected"] for r in read] == ["1", "1", "1", "0"]
    assert read[3]["reason"] == ""


def test_numbers_keep_six_digits_and_all_else_stays(tmp_path: Path) -> None:
    row = {"case": "0.1234567", "structure": 1234567, "score": 0.12345678, "dice": float("nan"), "shift": -2.5}
    write_rows([row], list(row), tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[1] == "0.1234567,1234567,0.123457,nan,-2.5"


FORMULAS = ["=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "=", "'=1", "''@x", "＝1+1"]
NAMES = [*FORMULAS, "plain", "a=b", "'quoted'", "-5", "+1.5e3", "-inf", "", " =1", 'a,b"c\nd', "ü"]


def test_names_are_no_formulas_in_a_spreadsheet_and_are_read_back_as_they_were(tmp_path: Path) -> None:
    columns = ["case", "=rater_dice"]
    write_rows([{"case": name, "=rater_dice": -0.5} for name in NAMES], columns, tmp_path / "out.csv")
    with open(tmp_path / "out.csv", newline="", encoding="utf-8") as file:
        head, *cells = list(csv.reader(file))
    assert head == ["case", "'=rater_dice"]
    assert [cell for cell, _ in cells] == [f"'{name}" for name in FORMULAS] + NAMES[len(FORMULAS) :]
    assert {number for _, number in cells} == {"-0.5"}
    assert read_rows(tmp_path / "out.csv") == [{"case": name, "=rater_dice": "-0.5"} for name in NAMES]


def test_a_name_that_is_no_text_is_written_as_its_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python gives a file name in Latin-1
    write_rows([{"case": name}], ["case"], tmp_path / "out.csv")
    assert b"caf\xe9" in (tmp_path / "out.csv").read_bytes()
    assert read_rows(tmp_path / "out.csv") == [{"case": name}]
