"""Tables on disk."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from helpers import judgement_of

from monai_selfcleanse.core.judgement import REPORT_COLUMNS
from monai_selfcleanse.results.tables import rounded, write_rows


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


def test_numbers_keep_six_digits_and_all_else_stays() -> None:
    row = {"case": "0.1234567", "structure": 1234567, "score": 0.12345678, "dice": float("nan")}
    assert rounded(row) == {"case": "0.1234567", "structure": 1234567, "score": "0.123457", "dice": "nan"}


def test_a_name_that_is_no_text_is_written_as_its_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python gives a file name in Latin-1
    write_rows([{"case": name}], ["case"], tmp_path / "out.csv")
    assert b"caf\xe9" in (tmp_path / "out.csv").read_bytes()
