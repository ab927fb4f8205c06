"""The histogram of the scores, read back from its SVG."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from monai_selfcleanse.core.mixture import filter_labels
from monai_selfcleanse.results.page.histogram import histogram_svg


def cohort(highest: float) -> tuple[np.ndarray, np.ndarray]:
    """Thirty clean labels, eight that lack a part, two that lack the structure."""
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(0.7, 1.2, 30), rng.uniform(2.0, 3.0, 8), [6.0, highest]])
    return scores, np.where(scores > 1.5, 0.4, 0.0)


def svg_of(highest: float) -> str:
    scores, surprise = cohort(highest)
    decision = filter_labels(scores, surprise)
    assert decision.verdict == "suspects"
    return histogram_svg("myocardium", scores, decision.suspected, decision)


def ticks(svg: str) -> list[str]:
    """Words below the axis but its title."""
    return re.findall(r'text-anchor="middle">([^<]*)</text>', svg)[:-1]


def test_scores_above_the_ceiling_stand_together_at_the_end() -> None:
    near, far = svg_of(7.0), svg_of(50.0)
    assert near == far
    assert ticks(near)[-1] == "≥3.5"
    assert all(float(word) < 3.5 for word in ticks(near)[:-1])
    assert "scores above 3.5 (2) stand there" in near


def test_without_a_mixture_every_score_has_its_place() -> None:
    scores, surprise = cohort(50.0)
    decision = replace(filter_labels(scores, surprise), mixture=None)
    svg = histogram_svg("myocardium", scores, np.zeros(40, dtype=bool), decision)
    assert ticks(svg)[-1] == "50"
    assert "stand there" not in svg
