"""The histogram of one structure's log scores with the fitted Gaussians, as SVG."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.mixture import SCORE_FLOOR, FilterDecision, ScoreMixture

__all__ = ["histogram_svg"]

_WIDTH, _HEIGHT = 420, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 12, 14, 42


def histogram_svg(name: str, scores: np.ndarray, suspected: np.ndarray, decision: FilterDecision) -> str:
    """An ``<svg>`` element with the bars of both groups, the two Gaussians in labels a bar, and the threshold.

    Colours come from the page's style sheet, by class. Axis: the score on a log scale, as the fit sees it: scores
    above the mixture's ceiling stand there, and :data:`monai_selfcleanse.core.mixture.SCORE_FLOOR` is added first.

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
        return "<p>No label of this structure could be scored.</p>"
    low, high = float(x.min()), float(x.max())
    pad = 0.08 * (high - low) or 0.5
    low, high = low - pad, high + pad
    bins = np.linspace(low, high, int(np.clip(np.sqrt(len(x)) * 2, 12, 48)) + 1)
    bars = [np.histogram(x[group], bins)[0] for group in (~suspected, suspected)]
    curves = [] if mixture is None else _curves(mixture, np.linspace(low, high, 160), len(x) * (bins[1] - bins[0]))
    highest = max(float((bars[0] + bars[1]).max()), *(float(y.max()) for _, y in curves), 1.0)
    plane = _Plane(low, high, 1.06 * highest)
    words = f"Histogram of the log scores of {len(x)} labels of {name}, {int(suspected.sum())} of them suspected"
    parts = [*_grid(plane), *_bars(plane, bins, *bars)]
    for kind, curve in zip(("clean", "noisy"), curves, strict=False):
        points = " ".join(f"{plane.x(a):.1f},{plane.y(b):.1f}" for a, b in zip(*curve, strict=True))
        parts.append(f'<polyline class="curve {kind}" points="{points}"/>')
    if mixture is not None:
        cut = mixture.score_at(decision.threshold)
        if low <= np.log(cut + SCORE_FLOOR) <= high:
            c = plane.x(float(np.log(cut + SCORE_FLOOR)))
            parts.append(f'<line class="threshold" x1="{c:.1f}" x2="{c:.1f}" y1="{_TOP - 8}" y2="{plane.y(0):.1f}"/>')
        words += f"; a label is suspected from a score of {cut:.3g} on, if the groups are really apart"
    if beyond := int(np.count_nonzero(scores[known] > ceiling)):
        words += f"; scores above {ceiling:.2g} ({beyond}) stand there"
    parts += _axis(plane, _score_ticks(low, high, ceiling if beyond else None))
    return (
        f'<svg class="histogram" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(words)}">'
        + "".join(parts)
        + "</svg>"
    )


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
