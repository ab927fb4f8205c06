r"""The size bias: how much smaller or larger a network draws a structure than the likely clean labels have it.

A network that learns from labels of which many are drawn too small draws in between. Clean labels then look too large
to it, and noisy ones less wrong than they are: the two groups of scores close up. What the network draws too small or
too large *as a rule* is no evidence against a label. So the scores allow for it (:func:`filter_without_size_bias`), and
suspects are redrawn without it (:func:`drawn_without_size_bias`).

The disagreement of a label :math:`G` and a prediction :math:`P`, with :math:`FP` and :math:`FN` voxels in but one of
them, has a part of size and a part of place (quantity and allocation disagreement; Pontius and Millones, *Death to
Kappa*, Int. J. Remote Sensing 32, 2011):

.. math::
    1 - d = \frac{|G - P|}{G + P} + \frac{2 \min(FP, FN)}{G + P}

With :math:`v = \log(G / P)`, both counted in the slices that the Dice counts, the part of size is
:math:`\tanh(|v| / 2)`. If the network drew by :math:`e^b` larger, it would be :math:`\tanh(|v - b| / 2)`; the part of
place is taken to stay.

Knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.special import expit, logit

from .evidence import disagreement_score, surprise
from .masks import structure_boxes, widened_box
from .mixture import FilterDecision, ScoreMixture, filter_labels
from .prediction import MIN_PROBABILITY

__all__ = [
    "SIZE_TOLERANCE",
    "drawn_without_size_bias",
    "filter_without_size_bias",
    "score_without_size_bias",
    "size_bias",
]

SIZE_TOLERANCE = 0.12
"""Log ratio of volumes up to which a network has no size bias: it is off by nearly as much where all labels are
clean."""

_SIZE_LIMIT = float(np.log(2))
"""Log ratio from which on a network does not know how large the structure is, and nothing is allowed for."""

_MOST_FORGIVEN = 0.5
"""Share of a label's disagreement that the network's size bias can explain, at most."""


def filter_without_size_bias(evidence: Mapping[str, np.ndarray], **options: Any) -> FilterDecision:
    """Tell clean from noisy labels of one structure, allowing for the network's size bias.

    Args:
        evidence: arrays ``(n,)`` by name, see :func:`monai_selfcleanse.core.evidence.structure_evidence`: ``score``,
            ``dice``, ``expected_dice``, ``size_ratio``.
        options: further ones of :func:`monai_selfcleanse.core.mixture.filter_labels`.

    Returns:
        Its decision on the scores of :func:`score_without_size_bias`, with the bias in
        :attr:`monai_selfcleanse.core.mixture.FilterDecision.size_bias`. Where there are too few cases to tell, or the
        network is not ready to judge, no bias is looked for.
    """
    options["expected_dice"] = evidence["expected_dice"]
    decision = filter_labels(evidence["score"], surprise(evidence), **options)
    if decision.verdict in ("too few", "not ready") or not (bias := size_bias(evidence, decision.mixture)):
        return decision
    score, surprised = _allowed_for(evidence, bias)
    return replace(filter_labels(score, surprised, **options), size_bias=bias)


def size_bias(evidence: Mapping[str, np.ndarray], mixture: ScoreMixture | None) -> float:
    """How much larger the labels that are likely clean are than what the network draws.

    Args:
        evidence: see :func:`filter_without_size_bias`.
        mixture: of the scores, which tells which labels these are; None: all.

    Returns:
        The median of log(``size_ratio``) over the labels that have one, and a clean probability of 0.5 or more; 0.0
        where that is within :data:`SIZE_TOLERANCE` or over log 2, or where there is no such label.
    """
    score, ratio = evidence["score"], _log_ratio(evidence)
    likely_clean = ~np.isnan(score) & ~np.isnan(ratio)
    if mixture is not None:
        likely_clean[likely_clean] = mixture.clean_probability(score[likely_clean]) >= 0.5
    if not likely_clean.any():
        return 0.0
    bias = float(np.median(ratio[likely_clean]))
    return bias if SIZE_TOLERANCE < abs(bias) < _SIZE_LIMIT else 0.0


def score_without_size_bias(evidence: Mapping[str, np.ndarray], bias: float) -> np.ndarray:
    """The scores, had the network no size bias.

    Half of a label's disagreement is forgiven at most. What is added is at most the part of size once more, so that a
    label of the network's own size loses nothing. Nothing changes for a label or a prediction without the structure.

    Args:
        evidence: see :func:`filter_without_size_bias`.
        bias: see :func:`size_bias`; 0 for none.

    Returns:
        ``(n,)``, at least 0; NaN where there is no score.
    """
    return _allowed_for(evidence, bias)[0]


def drawn_without_size_bias(
    predicted: np.ndarray, confidence: np.ndarray, biases: Mapping[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """A drawing, had the network no size bias: what it draws too small by a factor, as a rule, grows by that factor.

    The logit of a structure's probability is shifted, near its border with the background, until the structure is as
    large in the slices that it has; in other slices the same shift holds. A voxel's probability is known only as that
    of its most probable class, so next to a structure the rest counts as its own. It grows into the background alone,
    and what it loses becomes background: neighbours and their borders stay. Voxels of which the network is sure (by
    95 %) stay, too, so a drawing may change less than asked. Of structures that want the same voxel, the first gets it.

    Args:
        predicted: index map of two or three axes; slices of three are counted along the last one.
        confidence: its probability in [0, 1], same shape.
        biases: structures and their :func:`size_bias`. One that the network does not see stays so.

    Returns:
        New arrays of the same shapes and types: the index map, and its probability.
    """
    index, sure = predicted.copy(), confidence.copy()
    for k, box in structure_boxes(predicted, list(biases)).items():
        tight = widened_box(box, (1,) * predicted.ndim, predicted.shape)
        depth = ndimage.distance_transform_cdt(predicted[tight] == k).max()
        reach = 1 + math.ceil(max(depth, 1) * abs(math.expm1(biases[k])))
        wide = widened_box(box, (reach + 1,) * predicted.ndim, predicted.shape)
        has, is_background = predicted[wide] == k, (predicted[wide] == 0) & (index[wide] == 0)
        more = round(np.count_nonzero(has) * math.exp(biases[k])) - np.count_nonzero(has)
        most = np.maximum(confidence[wide], 1 - confidence[wide])  # no other class can have more than the rest
        own = np.where(has, most, 1 - most)
        doubtful = (own >= MIN_PROBABILITY) & (own <= 1 - MIN_PROBABILITY)
        inner = _rings(predicted[wide] == 0, has & doubtful, abs(more) * 2, reach)
        outer = _rings(has, is_background & doubtful, more * 2, reach)
        changing, shift = _to_change(own, has, outer if more > 0 else inner, more)
        if not changing.any():
            continue
        own = expit(_logit(own) + shift)
        drawn, near = has ^ changing, (inner > 0) | (outer > 0)
        index[wide][near] = np.where(drawn, k, 0)[near]
        sure[wide][near] = np.maximum(np.where(drawn, own, 1 - own), 0.5)[near]
    return index, sure


def _to_change(own: np.ndarray, has: np.ndarray, rings: np.ndarray, more: int) -> tuple[np.ndarray, float]:
    """Voxels that change side, and by how much the logit shifts for that.

    They are the most probable ones outside, or the least probable ones inside; of equal ones, the nearest.

    Args:
        own: the structure's probability.
        has: its voxels.
        rings: those that may change side, see :func:`_rings`.
        more: number of voxels that it gains, or loses if negative, in the slices that it has.
    """
    sign = 1 if more > 0 else -1
    in_slices = has.any((0, 1), keepdims=True) if has.ndim == 3 else np.array(True)
    places = np.flatnonzero((rings > 0) & in_slices)
    changing = np.zeros(has.shape, bool)
    if not more or not len(places):
        return changing, 0.0
    likely = own.flat[places]
    chosen = places[np.lexsort((rings.flat[places], -sign * likely))[: abs(more)]]
    changing.flat[chosen] = True
    last = own.flat[chosen[-1]]
    changing |= (rings > 0) & ~in_slices & (sign * own > sign * last)
    return changing, -float(_logit(last))


def _rings(mask: np.ndarray, into: np.ndarray, n: int, reach: int) -> np.ndarray:
    """Rings of voxels around a mask, from 1 to ``reach`` at most, until they hold ``n`` voxels; 0 elsewhere.

    Args:
        mask: boolean.
        into: the voxels that a ring may have, boolean, of the same shape.
        n: number of voxels.
        reach: number of rings. Without a limit, a doubtful edge elsewhere would be followed far out.
    """
    rings, found = np.zeros(mask.shape, np.uint16), 0
    for number in range(1, reach + 1):
        if found >= n:
            break
        ring = ndimage.binary_dilation(mask | (rings > 0)) & into & (rings == 0) & ~mask
        if not ring.any():
            break
        rings[ring], found = number, found + np.count_nonzero(ring)
    return rings


def _log_ratio(evidence: Mapping[str, np.ndarray]) -> np.ndarray:
    """The logarithm of the ratio of sizes, NaN where there is none."""
    ratio = evidence["size_ratio"]
    return np.log(np.where(ratio > 0, ratio, np.nan))


def _logit(probability: np.ndarray) -> np.ndarray:
    """The logit, of probabilities kept in steps of 1/255."""
    return logit(np.clip(probability, 0.5 / 255, 1 - 0.5 / 255))


def _allowed_for(evidence: Mapping[str, np.ndarray], bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores and surprises, had the network no size bias."""
    if not bias:
        return evidence["score"], surprise(evidence)
    ratio, expected = _log_ratio(evidence), evidence["expected_dice"]
    size = np.nan_to_num(np.tanh(abs(ratio) / 2))
    more = np.nan_to_num(np.tanh(abs(ratio - bias) / 2)) - size
    more = np.clip(more, -_MOST_FORGIVEN * (1 - evidence["dice"]), size)
    dice = np.clip(evidence["dice"] - more, 0.0, 1.0)
    score = np.where(np.isnan(evidence["score"]), np.nan, disagreement_score(dice, expected))
    return score, expected - dice
