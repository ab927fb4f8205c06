"""Verdicts and reasons in sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_selfcleanse.core.mixture import FilterDecision, filter_labels
from monai_selfcleanse.results.words import headline, reason_in_words, verdict_in_words, without_folders


def decision(verdict: str, n: int = 0, separation: float = 0.0) -> FilterDecision:
    return FilterDecision(np.ones(20), np.arange(20) < n, verdict, None, separation, 0.1)


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        ([decision("clean"), decision("clean")], "The labels look clean."),
        ([decision("suspects", 1), decision("clean")], "1 label is suspected to be wrong."),
        ([decision("suspects", 3), decision("too few")], "3 labels are suspected to be wrong."),
        ([decision("clean"), decision("not ready")], "No label is suspected, but not all structures could be judged."),
        ([decision("too few"), decision("not ready")], "The labels could not be judged."),
    ],
)
def test_headline(decisions: list[FilterDecision], words: str) -> None:
    assert headline(decisions) == words


def test_the_gate_says_why_clean_labels_look_clean() -> None:
    rng = np.random.default_rng(0)
    found = filter_labels(rng.lognormal(-1, 0.3, 60), rng.normal(0.0, 0.02, 60))
    assert verdict_in_words(found).startswith("Labels look clean")
    assert "too few" in verdict_in_words(filter_labels(np.ones(3), np.zeros(3))).lower()
    assert "0.31 Dice" in verdict_in_words(decision("suspects", 2, 0.31))


@pytest.mark.parametrize(("volumes", "words"), [(0.8, "20 % smaller than"), (1.25, "25 % larger than")])
def test_the_page_says_what_the_scores_allow_for(volumes: float, words: str) -> None:
    """``volumes``: of the network's drawings, in those of the labels that look clean."""
    biased = replace(decision("suspects", 2, 0.31), size_bias=-np.log(volumes))
    assert words in verdict_in_words(biased)
    assert "allow" not in verdict_in_words(decision("suspects", 2, 0.31))


@pytest.mark.parametrize("reason", ["missing", "spurious"])
def test_an_image_in_2d_has_an_area(reason: str) -> None:
    row = {"reason": reason, "structure_name": "liver", "suspected": True, "redrawn": True, "missing_slices": 0.0}
    row |= {"extra_slices": 0.0, "given_ml": 0.704, "predicted_ml": 0.704}
    assert "704 mm² of" in reason_in_words(row)


@pytest.mark.parametrize(
    ("reason", "part"),
    [
        ("missing", "no liver; the network sees 12.3 ml"),
        ("spurious", "has 45.7 ml of liver; the network sees none"),
        ("swapped with spleen", "In 60% of the label's liver the network sees spleen"),
        ("missing in 4 slices", "in 4 slices in which the label has none"),
        ("extra in 5 slices", "in 5 slices in which the network sees none"),
        ("under-drawn", "20% of the liver that the network sees is not in the label"),
        ("over-drawn", "30% of the label's liver lies where the network sees none"),
        ("shifted", "7.5 mm from where"),
        ("not annotated", "no liver, which is taken as not annotated"),
        ("border differs", "30% of the label's liver lies outside"),
        ("", ""),
    ],
)
def test_reasons_give_the_number_that_tells(reason: str, part: str) -> None:
    row = {
        "structure_name": "liver",
        "reason": reason,
        "given_ml": 45.678,
        "predicted_ml": 12.345,
        "swapped": 0.6,
        "missing_slices": 4.0,
        "extra_slices": 5.0,
        "inside": 0.2,
        "outside": 0.3,
        "shift_mm": 7.5,
        "clean_probability": 0.01,
        "suspected": int(reason not in ("", "not annotated")),
        "redrawn": 0,
    }
    words = reason_in_words(row)
    assert part in words
    assert bool(words) == bool(reason)
    assert ("is not redrawn" in words) == bool(row["suspected"])
    assert "not redrawn" not in reason_in_words(row | {"redrawn": row["suspected"]})
    for doubt in ({"predicted_ml": 0.0}, {"clean_probability": 0.1}):
        assert ("may be clean" in reason_in_words(row | doubt)) == bool(row["suspected"])
    assert "may be clean" not in words


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("/home/anna/data/a.nii.gz: is empty", "a.nii.gz: is empty"),
        ("cannot open '/data/x y/a.nii' (1/2)", "cannot open 'a.nii' (1/2)"),
        ("cannot open '/data/x: y (2)/a b.nii' (1/2)", "cannot open 'a b.nii' (1/2)"),
        ("/home/anna/My Study, 2/a.nii.gz: is empty", "a.nii.gz: is empty"),
        ("/a b/c.nii and /d e/f.nii differ", "c.nii and f.nii differ"),
        (r"D:\\My Study\\a.nii: is empty", "a.nii: is empty"),
        (r"C:\\Users\\anna\\a.nii", "a.nii"),
        ("/data/predictions", "predictions"),
        ("models/model.pt", "models/model.pt"),
        ("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
        ("anna/patient001", "anna/patient001"),
    ],
)
def test_a_page_that_is_sent_on_names_no_folder(text: str, left: str) -> None:
    assert without_folders(text) == left


def test_folders_that_are_known_go_whatever_their_names() -> None:
    known = ['/data/it\'s: a "study"/images/a.nii.gz', "models/model.pt"]
    assert (
        without_folders(f"{known[0]}: is empty, unlike models/x.pt", known) == "a.nii.gz: is empty, unlike models/x.pt"
    )
    assert without_folders('/data/it\'s: a "study"/b: lost', known) == "b: lost"
