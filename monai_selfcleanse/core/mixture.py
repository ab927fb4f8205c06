"""The label filter's mathematics: from one score a case to the probability that its label is clean.

Knows numbers only: no images, no network, no engine.

The scores of one structure over the cohort (``score`` of :mod:`monai_selfcleanse.core.evidence`) come from two
populations, clean and noisy labels. On a log scale both are close to Gaussian. A mixture of two components tells them
apart, as it does with losses in DivideMix (Li et al., ICLR 2020, arXiv 2002.07394). Three choices differ from the usual
recipe:

* The components share one variance. The posterior is then a logistic function of the log score, and a higher score
  never looks cleaner. Unequal variances do not promise that in the tails.
* The fit sees no score far above a clean label's (:data:`SCORE_CEILING`). Labels that lack the structure altogether
  score far higher than those that lack a part of it. They would be the second group by themselves, and the others
  would be taken for clean.
* A mixture always finds two groups. Where all labels are clean, the second one is the cases that the network finds
  hard. So the groups count only if the labels of one are worse than those of the other by more than the network's own
  doubts explain (:func:`filter_labels`). Otherwise the labels look clean.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

__all__ = [
    "SCORE_CEILING",
    "SCORE_FLOOR",
    "FilterDecision",
    "ScoreMixture",
    "Verdict",
    "filter_labels",
    "fit_score_mixture",
    "needed_separation",
]

SCORE_FLOOR = 0.1
"""Added to a score before its logarithm: below a tenth of the disagreement expected, differences count little."""

SCORE_CEILING = 3.5
"""A fit sees scores up to this many times what is typical of a clean label, see :func:`fit_score_mixture`."""

MAX_CLEAN_SURPRISE = 0.3
"""Mean surprise of the clean group, in Dice, from which on the network is not ready to judge: it knows nothing of the
structure, or is sure of everything. On real data it stays below 0.1 from the first look on."""

MIN_EXPECTED_DICE = 0.2
"""Median Dice that the network expects of its own drawings, below which it is not ready to judge: it is surprised by
nothing, for it expects nothing. At a first look on real data it is 0.82 and more, on the phantom 0.39."""

_CLEAR_CUT_DISTANCE, _CLEAR_CUT_SHARE, _CLEAR_CUT_CASES = 4.0, 0.1, 6
"""See :attr:`FilterDecision.clear_cut`."""

Verdict = Literal["suspects", "clean", "too few", "not ready"]
"""What the filter says of a structure's labels, see :class:`FilterDecision`."""


@dataclass(frozen=True)
class ScoreMixture:
    """Two Gaussians of one variance over log scores; the first, of smaller mean, is the clean one.

    Attributes:
        weights: share of the clean and of the noisy component, sum 1.
        means: their means, of the log score, ascending.
        variance: their common variance.
        ceiling: higher scores counted as this one in the fit; :meth:`clean_probability` heeds the whole score. Infinite
            for none.
    """

    weights: tuple[float, float]
    means: tuple[float, float]
    variance: float
    ceiling: float = np.inf

    @property
    def distance(self) -> float:
        """How many of their common standard deviations the two means lie apart."""
        return (self.means[1] - self.means[0]) / math.sqrt(self.variance)

    def clean_probability(self, scores: np.ndarray) -> np.ndarray:
        r"""Posterior of the clean component, falling with the score.

        .. math::
            P(\text{clean} \mid s) = \Big(1 + \tfrac{\pi_1}{\pi_0}
                \exp \tfrac{(\mu_1 - \mu_0)(x - (\mu_0 + \mu_1) / 2)}{\sigma^2}\Big)^{-1}, \quad x = \log(s + \epsilon)

        Args:
            scores: any shape, at least 0.

        Returns:
            The same shape, float64 in [0, 1].
        """
        x = np.log(np.asarray(scores, dtype=np.float64) + SCORE_FLOOR)
        slope = (self.means[1] - self.means[0]) / self.variance
        log_odds = slope * (x - sum(self.means) / 2) + np.log(self.weights[1] / self.weights[0])
        return 1.0 / (1.0 + np.exp(np.clip(log_odds, -700, 700)))

    def score_at(self, clean_probability: float) -> float:
        """The score whose clean probability is this one, in (0, 1); 0.0 where every score is less likely clean."""
        slope = (self.means[1] - self.means[0]) / self.variance
        log_odds = np.log(1.0 / clean_probability - 1.0) - np.log(self.weights[1] / self.weights[0])
        return max(0.0, float(np.exp(min(sum(self.means) / 2 + log_odds / slope, 700.0))) - SCORE_FLOOR)


@dataclass(frozen=True, eq=False)
class FilterDecision:
    """What the filter says of one structure over the cohort.

    Attributes:
        clean_probability: ``(n,)`` float64 in [0, 1]; NaN for a case without a score.
        suspected: ``(n,)`` bool; all False where ``verdict`` is not ``"suspects"``.
        verdict: ``"suspects"``; ``"clean"``: the labels look clean; ``"too few"`` cases to tell; ``"not ready"``: the
            network agrees with too few labels to judge the others.
        mixture: the fitted mixture; None where there was nothing to fit.
        separation: mean surprise of the labels below the threshold minus that of the others, in Dice, both without the
            size bias; 0.0 where either group is empty.
        threshold: clean probability of the fitted mixture under which a label is suspected.
        size_bias: by how much the network draws the structure smaller than the likely clean labels have it, as the log
            of a ratio of volumes; negative where it draws it larger. The scores allow for it
            (:mod:`monai_selfcleanse.core.size_bias`). 0.0 where there is none.
        clear_cut: whether the two groups hardly overlap, for which half of a separation is enough
            (:func:`needed_separation`): the means of the mixture lie four standard deviations apart, a tenth of the
            labels are below the threshold, six at least, and these surprise by half of ``min_separation``. Hard cases
            among clean labels are a tail of the others, or very few.
    """

    clean_probability: np.ndarray
    suspected: np.ndarray
    verdict: Verdict
    mixture: ScoreMixture | None
    separation: float
    threshold: float
    size_bias: float = 0.0
    clear_cut: bool = False


def fit_score_mixture(scores: np.ndarray, *, random_state: int = 0) -> ScoreMixture | None:
    """Fit the mixture to the logarithms of scores with ``sklearn.mixture.GaussianMixture``.

    Scores above a ceiling count as the ceiling: :data:`SCORE_CEILING` times the lower quartile or, where that is less
    than the disagreement expected, times 1. The lower quartile is a clean label's score as long as a quarter of the
    labels are clean.

    Args:
        scores: shape ``(n,)``, finite, at least 0 (checked by :func:`filter_labels`).
        random_state: seed of the k-means starts, three of them, of which the likeliest fit is taken.

    Returns:
        The mixture, or None where there are not two groups to find: fewer than four scores, or all of them alike.
    """
    scores = np.sort(np.asarray(scores, dtype=np.float64))
    if len(scores) < 4:
        return None
    ceiling = SCORE_CEILING * max(1.0, float(np.quantile(scores, 0.25)))
    x = np.log(np.minimum(scores, ceiling) + SCORE_FLOOR)
    if np.ptp(x) < 1e-6:
        return None
    model = GaussianMixture(
        2, covariance_type="tied", n_init=3, random_state=random_state, reg_covar=1e-4 * float(x.var())
    )
    with warnings.catch_warnings():
        # A hundred steps are enough for two Gaussians; where they are not, the groups overlap, and are not separate.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x[:, None])
    order = np.argsort(model.means_[:, 0])
    weights, means = model.weights_[order], model.means_[order, 0]
    if not means[0] < means[1]:
        return None
    return ScoreMixture(
        (float(weights[0]), float(weights[1])),
        (float(means[0]), float(means[1])),
        float(model.covariances_[0, 0]),
        ceiling,
    )


def filter_labels(
    scores: np.ndarray,
    surprise: np.ndarray,
    *,
    expected_dice: np.ndarray | None = None,
    threshold: float = 0.5,
    min_separation: float = 0.2,
    max_share: float = 0.8,
    min_cases: int = 12,
    random_state: int = 0,
) -> FilterDecision:
    """Tell clean from noisy labels of one structure over a cohort.

    A mixture of two Gaussians is fitted to the log scores. If its groups are really apart, the cases whose clean
    probability is below ``threshold`` are suspected. Otherwise the labels look clean. Every probability is then lifted
    to at least ``threshold``; their order stays, and with it the ranking. Where all labels score alike, there is one
    group and no mixture. The network is not ready where even the labels that are more likely clean surprise by 0.3 on
    average, or where it expects a Dice under 0.2 of its own drawings, on the median.

    Args:
        scores: evidence against each label, shape ``(n,)``, at least 0, higher is worse; NaN for none.
        surprise: how much worse each label is than the network expects, in Dice
            (:func:`monai_selfcleanse.core.evidence.surprise`), shape ``(n,)``, in [-1, 1].
        expected_dice: the Dice that the network expects of each drawing, shape ``(n,)``, in [0, 1]; None if it is not
            known.
        threshold: clean probability under which a label is suspected; below a half, the annotator is given the benefit
            of the doubt.
        min_separation: the mean surprise of the labels below the threshold must exceed the others' by this much (in
            Dice), or by half of it where the groups are clear-cut (:attr:`FilterDecision.clear_cut`); -2 and less for
            no such condition.
        max_share: where more than this share of the labels, in (0, 1], is below the threshold, the network is not ready
            either.
        min_cases: below this many scores, at least 1, nothing is suspected.
        random_state: seed of the fit.

    Raises:
        ValueError: shapes differ, or a score is negative or infinite.
    """
    scores, surprise, known = _checked(scores, surprise)
    if expected_dice is not None and np.shape(expected_dice) != scores.shape:
        raise ValueError(f"scores {scores.shape} and expected_dice {np.shape(expected_dice)} must be of one shape")
    probability = np.full(scores.shape, np.nan)
    mixture = fit_score_mixture(scores[known], random_state=random_state)
    probability[known] = 1.0 if mixture is None else mixture.clean_probability(scores[known])
    suspected = known & (probability < threshold)
    rest, likely_clean = known & ~suspected, known & (probability >= 0.5)
    separation = float(surprise[suspected].mean() - surprise[rest].mean()) if suspected.any() and rest.any() else 0.0
    clear_cut = (
        mixture is not None
        and mixture.distance >= _CLEAR_CUT_DISTANCE
        and suspected.sum() >= max(_CLEAR_CUT_CASES, _CLEAR_CUT_SHARE * known.sum())
        and bool(surprise[suspected].mean() >= needed_separation(min_separation, clear_cut=True))
    )
    verdict: Verdict = "suspects"
    if known.sum() < min_cases:
        verdict = "too few"
    elif (
        suspected.sum() > max_share * known.sum()
        or (likely_clean.any() and surprise[likely_clean].mean() >= MAX_CLEAN_SURPRISE)
        or (expected_dice is not None and np.median(np.asarray(expected_dice)[known]) < MIN_EXPECTED_DICE)
    ):
        verdict = "not ready"
    elif mixture is None or not separation >= needed_separation(min_separation, clear_cut):
        verdict = "clean"
    if verdict != "suspects":
        probability[known] = threshold + (1 - threshold) * probability[known]
        suspected = np.zeros_like(known)
    return FilterDecision(probability, suspected, verdict, mixture, separation, threshold, clear_cut=clear_cut)


def needed_separation(min_separation: float, clear_cut: bool) -> float:
    """Separation, in Dice, that a structure's groups need: half of what is asked for if they are clear-cut.

    Of a negative ``min_separation``, which asks for nothing, all of it.
    """
    return min(min_separation, min_separation / 2) if clear_cut else min_separation


def _checked(scores: np.ndarray, surprise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and surprise as float64, and which labels have a score; see :func:`filter_labels`."""
    scores = np.asarray(scores, dtype=np.float64)
    surprise = np.asarray(surprise, dtype=np.float64)
    if scores.ndim != 1 or scores.shape != surprise.shape:
        raise ValueError(f"scores {scores.shape} and surprise {surprise.shape} must be of one shape (n,)")
    known = ~np.isnan(scores)
    if np.isinf(scores).any() or (scores[known] < 0).any():
        bad = int(np.flatnonzero(known & (np.isinf(scores) | (scores < 0)))[0])
        raise ValueError(f"scores must be finite and at least 0, got {scores[bad]} at index {bad}")
    if not np.isfinite(surprise[known]).all():
        bad = int(np.flatnonzero(known & ~np.isfinite(surprise))[0])
        raise ValueError(f"surprise must be finite wherever there is a score, got {surprise[bad]} at index {bad}")
    return scores, surprise, known
