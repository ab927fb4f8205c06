"""The list of cases to leave out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from helpers import judged_cohort

from monai_selfcleanse.results import EXCLUSION_COLUMNS, write_exclusion_list


def test_both_files_name_the_suspected_cases_with_reasons(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data", ids=("a, b", "<c>", "d", "e", "f", "g"))
    judgement = judged.judgement
    judgement.suspected[1, 1], judgement.clean_probability[1, 1] = True, 0.05  # structure 2 of <c>
    judgement.evidence["shift_mm"][1, 1] = 40.0
    table, full = write_exclusion_list(tmp_path / "out", judgement, {"epoch": 7})
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == EXCLUSION_COLUMNS
    assert [row["case"] for row in rows] == ["a, b", "<c>"]
    assert rows[1]["structures"] == "right ventricle; myocardium"
    assert rows[1]["reasons"] == "over-drawn; shifted"
    read = json.loads(full.read_text())
    assert (read["package"], read["epoch"]) == ("monai-selfcleanse", 7)
    assert [case["case"] for case in read["cases"]] == ["a, b", "<c>"]
    assert [s["reason"] for s in read["cases"][1]["structures"]] == ["over-drawn", "shifted"]
    assert read["cases"][1]["clean_probability"] < 0.05
    left = [item["case"] for item in judged.data if item["case"] not in {case["case"] for case in read["cases"]}]
    assert left == ["d", "e", "f", "g"]


def test_clean_labels_make_an_empty_list(tmp_path: Path) -> None:
    judgement = judged_cohort(tmp_path / "data").judgement
    judgement.suspected[:] = False
    table, full = write_exclusion_list(tmp_path, judgement, {})
    assert table.read_text().splitlines() == [",".join(EXCLUSION_COLUMNS)]
    assert json.loads(full.read_text())["cases"] == []
