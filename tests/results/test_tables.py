"""The ranked list of labels."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from monai_selfcleanse.results import REPORT_COLUMNS, report_rows, structures_by_case
from monai_selfcleanse.results.rows import UNANNOTATED, write_rows
from monai_selfcleanse.core.evidence import EVIDENCE


def evidence(n: int, k: int, **values: Any) -> dict[str, np.ndarray]:
    return {name: np.broadcast_to(values.get(name, 0.5), (n, k)).astype(float) for name in EVIDENCE}


def test_rows_are_ranked_by_clean_probability_then_score(tmp_path: Path) -> None:
    probability = np.array([[0.9, 0.0], [0.0, 1e-9]])
    score = np.array([[0.1, 2.0], [3.0, 1.0]])
    marks = probability, probability < 0.2, probability < 0.2
    rows = report_rows(["a", "b"], {1: "one", 2: "two"}, evidence(2, 2, score=score), *marks)
    assert [(r["case"], r["structure"]) for r in rows] == [("b", 1), ("a", 2), ("b", 2), ("a", 1)]
    write_rows(rows, REPORT_COLUMNS, tmp_path / "report.csv")
    with open(tmp_path / "report.csv", newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == REPORT_COLUMNS
    assert [float(r["clean_probability"]) for r in read] == sorted(probability.ravel())
    assert [r["suspected"] for r in read] == ["1", "1", "1", "0"]
    assert read[3]["reason"] == ""


def test_what_partial_labels_lack_is_listed_last_as_not_annotated() -> None:
    score = np.array([[np.nan, 2.0], [3.0, np.nan]])
    marks = np.nan_to_num(-score, nan=1.0), score > 2, score > 2
    arguments = ["a", "b"], {1: "one", 2: "two"}, evidence(2, 2, score=score), *marks
    rows = report_rows(*arguments, partial_labels=True)
    assert [r["reason"] for r in rows[-2:]] == [UNANNOTATED] * 2
    assert [(r["case"], r["suspected"]) for r in rows] == [("b", 1), ("a", 0), ("a", 0), ("b", 0)]
    assert UNANNOTATED not in [r["reason"] for r in report_rows(*arguments)]


def test_marked_structures_are_listed_by_case() -> None:
    suspected = np.array([[False, False], [True, True], [False, True]])
    probability = np.array([[0.9, 0.8], [0.05, 0.01], [0.5, 0.001]])
    redrawn = suspected & [True, False]
    rows = report_rows(["a", "b", "c"], {1: "one", 2: "two"}, evidence(3, 2), probability, suspected, redrawn)
    assert structures_by_case(rows, "suspected") == {"c": [2], "b": [2, 1]}
    assert structures_by_case(rows, "redrawn") == {"b": [1]}


def test_a_name_that_is_no_text_is_written_as_its_bytes(tmp_path: Path) -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")  # as Python gives a file name in Latin-1
    write_rows([{"case": name}], ["case"], tmp_path / "out.csv")
    assert b"caf\xe9" in (tmp_path / "out.csv").read_bytes()
