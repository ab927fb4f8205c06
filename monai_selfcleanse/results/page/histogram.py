"""The histogram of one structure's log scores with the fitted Gaussians, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ...core.mixture import SCORE_FLOOR, FilterDecision, ScoreMixture

__all__ = ["histogram_svg"]

_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 14, 42


def histogram_svg(name: str, scores: np.ndarray, suspected: np.ndarray, decision: FilterDecision) -> Markup:
    """An ``<svg>`` element with the bars of both groups, the two Gaussians in labels a bar, and the threshold.

    The page's style sheet colours it, by class. The axis has the score on a log scale, as the fit sees it:
    :data:`monai_selfcleanse.core.mixture.SCORE_FLOOR` is added first, and a score above the mixture's ceiling stands
    at the ceiling.

    Args:
        name: the structure's name.
        scores: ``(n,)``, NaN for a label that has none.
        suspected: ``(n,)`` bool.
        decision: where mixture and threshold are from; its own arrays are not looked at.
    """
    known = ~np.isnan(scores)
    mixture = decision.mixture
    ceiling = np.inf if mixture is None else mixture.ceiling
    x, suspected = np.log(np.minimum(scores[known], ceiling) + SCORE_FLOOR), suspected[known]
    if not len(x):
        return Markup("<p>No label of this structure could be scored.</p>")
    low, high = _limits(x)
    bins = np.linspace(low, high, int(np.clip(np.sqrt(len(x)) * 2, 12, 48)) + 1)
    bars = [np.histogram(x[group], bins)[0] for group in (~suspected, suspected)]
    curves = [] if mixture is None else _curves(mixture, np.linspace(low, high, 160), len(x) * (bins[1] - bins[0]))
    highest = max(float((bars[0] + bars[1]).max()), *(float(y.max()) for _, y in curves), 1.0)
    plane = _Plane(low, high, 1.06 * highest)
    cut = _cut(decision, low, high)
    n_beyond = int(np.count_nonzero(scores[known] > ceiling))
    ticks = _score_ticks(low, high, ceiling if n_beyond else None)
    parts = [*_grid(plane), *_bars(plane, bins, *bars), *_lines(plane, curves, cut), *_axis(plane, ticks)]
    words = f"Histogram of the log scores of {len(x)} labels of {name}, {int(suspected.sum())} of them suspected."
    if cut is not None:
        words += f" The threshold is a score of {cut:.3g}."
    if n_beyond:
        words += f" The axis ends at {ceiling:.2g}: scores above {ceiling:.2g} ({n_beyond}) stand there."
    frame = Markup('<svg class="histogram" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>')
    return frame.format(_WIDTH, _HEIGHT, words, Markup("".join(parts)))


@dataclass(frozen=True)
class _Plane:
    """Where a log score from ``low`` to ``high`` and a number of labels up to ``top`` lie in the picture."""

    low: float
    high: float
    top: float

    def x(self, log_score: float) -> float:
        return _LEFT + (log_score - self.low) / (self.high - self.low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, count: float) -> float:
        return _HEIGHT - _BOTTOM - count / self.top * (_HEIGHT - _TOP - _BOTTOM)


def _limits(log_scores: np.ndarray) -> tuple[float, float]:
    """Where the axis begins and ends: a little beyond the log scores."""
    low, high = float(log_scores.min()), float(log_scores.max())
    pad = 0.08 * (high - low) or 0.5
    return low - pad, high + pad


def _cut(decision: FilterDecision, low: float, high: float) -> float | None:
    """The score at the threshold; None where there is no mixture, or where it lies outside of the picture."""
    if decision.mixture is None:
        return None
    cut = decision.mixture.score_at(decision.threshold)
    return cut if low <= np.log(cut + SCORE_FLOOR) <= high else None


def _curves(mixture: ScoreMixture, grid: np.ndarray, area: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two Gaussians over ``grid``, together over that area."""
    scale = area / np.sqrt(2 * np.pi * mixture.variance)
    return [
        (grid, w * scale * np.exp(-((grid - m) ** 2) / (2 * mixture.variance)))
        for w, m in zip(mixture.weights, mixture.means, strict=True)
    ]


def _grid(plane: _Plane) -> Iterator[str]:
    for count in _ticks(plane.top):
        y = plane.y(count)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{count}</text>'


def _bars(plane: _Plane, bins: np.ndarray, kept: np.ndarray, suspected: np.ndarray) -> Iterator[str]:
    """The suspected labels of a bin stand on the others."""
    for i, (clean, bad) in enumerate(zip(kept, suspected, strict=True)):
        left, width = plane.x(bins[i]), plane.x(bins[i + 1]) - plane.x(bins[i]) - 1
        for kind, start, n in (("bar-kept", 0, clean), ("bar-suspected", clean, bad)):
            if n:
                y, height = plane.y(start + n), plane.y(start) - plane.y(start + n)
                place = f'x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
                yield f'<rect class="{kind}" {place}/>'


def _lines(plane: _Plane, curves: Sequence[tuple[np.ndarray, np.ndarray]], cut: float | None) -> Iterator[str]:
    """The Gaussians, the clean one first, and the threshold."""
    for kind, curve in zip(("clean", "noisy"), curves, strict=False):
        points = " ".join(f"{plane.x(a):.1f},{plane.y(b):.1f}" for a, b in zip(*curve, strict=True))
        yield f'<polyline class="curve {kind}" points="{points}"/>'
    if cut is not None:
        x = plane.x(float(np.log(cut + SCORE_FLOOR)))
        yield f'<line class="threshold" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{plane.y(0):.1f}"/>'


def _axis(plane: _Plane, ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
    """The axis of scores, with ticks and its name."""
    base = plane.y(0)
    yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{base:.1f}" y2="{base:.1f}"/>'
    for value, word in ticks:
        x = plane.x(float(np.log(value + SCORE_FLOOR)))
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base:.1f}" y2="{base + 4:.1f}"/>'
        yield f'<text class="tick" x="{x:.1f}" y="{base + 17:.1f}" text-anchor="middle">{word}</text>'
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    yield f'<text class="tick" x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">score (log scale)</text>'


def _ticks(top: float) -> list[int]:
    """About four whole numbers up to ``top``."""
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if s * 10**e * 4.5 >= top)
    return list(range(step, int(top) + 1, step))


def _score_ticks(low: float, high: float, ceiling: float | None) -> list[tuple[float, str]]:
    """Round scores between two log scores, and their words: by steps of 1, 2, 5, or by tens where that would be many.

    With a ceiling, at which higher scores stand, it is the last.
    """
    for steps in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1,)):
        values = [s * 10.0**e for e in range(-1, 2) for s in steps]
        inside = [v for v in values if low <= np.log(v + SCORE_FLOOR) <= high]
        if len(inside) <= 8:
            break
    if ceiling is None:
        return [(v, f"{v:g}") for v in inside]
    return [*((v, f"{v:g}") for v in inside if v < 0.9 * ceiling), (ceiling, f"≥{ceiling:.2g}")]
