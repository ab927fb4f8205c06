"""Evidence: what one prediction says about one given label, structure by structure.

Knows arrays only. A *structure* is one foreground class of one case; annotators err a structure at a time, so that is
what is scored. :func:`structure_evidence`'s ``score`` is what the filter goes by, once it has allowed for the network's
size bias (:mod:`.size_bias`); the other views become the reason shown to the user (:mod:`.reason`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .masks import axis_counts, box_around, debatable_ends, structure_boxes
from .prediction import Predicted, Prediction, condensed, mass_by_slice

__all__ = [
    "ABSENT",
    "EVIDENCE",
    "EVIDENCE_VERSION",
    "LARGEST_SHARE",
    "WITHOUT_STRAYS",
    "disagreement_score",
    "merge_unannotated",
    "stack_evidence",
    "structure_evidence",
    "surprise",
]

EVIDENCE = (
    "score",
    "dice",
    "expected_dice",
    "size_ratio",
    "given_ml",
    "predicted_ml",
    "outside",
    "inside",
    "missing_slices",
    "extra_slices",
    "shift_mm",
    "swapped_with",
    "swapped",
)
"""Names and order of the evidence, as columns of the report; see :func:`structure_evidence`."""

EVIDENCE_VERSION = 6
"""Raised whenever the same label and prediction score otherwise, so that scores kept on disk are not mixed."""

LARGEST_SHARE = "largest_share"
"""Name under which evidence has what :func:`monai_selfcleanse.core.strays.largest_shares` says of a given label."""

WITHOUT_STRAYS = "_without_strays"
"""What is added to a name of the evidence where strays are not counted (:mod:`monai_selfcleanse.core.strays`)."""

ABSENT = dict.fromkeys(EVIDENCE, 0.0) | {
    "score": np.nan,
    "dice": 1.0,
    "expected_dice": 1.0,
    "size_ratio": np.nan,
    "shift_mm": np.nan,
}
"""Evidence about a structure that neither label nor prediction has: there is nothing to judge."""

_LEAST_DOUBT = 0.02
"""Dice by which even two careful drawings differ, however sure a network is of its own."""

_PART = 1 << 16
"""Voxels of a box whose probabilities are summed together."""


def structure_evidence(
    given: np.ndarray, probabilities: Predicted, structures: Sequence[int], spacing: Sequence[float]
) -> dict[str, np.ndarray]:
    r"""Evidence about each structure of one given label.

    Args:
        given: index map, shape ``spatial`` (2 or 3 axes).
        probabilities: the network's class probabilities, shape ``(C, *spatial)``, class ``k`` at index ``k``; those
            that stand in for them, or what either come to (:func:`monai_selfcleanse.core.prediction.condensed`).
        structures: the ``K`` structures to score, each below ``C``.
        spacing: voxel size in mm, one number a spatial axis. Slices are counted along the last axis.

    Returns:
        Arrays of shape ``(K,)`` by name. The first four leave out slices that are :func:`debatable_slices` for the
        structure, since they say little of who is right:

        * ``score``: how many times as much label and prediction disagree as the network expects,
          ``(1 - dice) / (1 - expected_dice + 0.02)``, at most 50. It is about 1 for clean labels of easy and of hard
          cases alike, as far as the network knows how sure it may be (of one that is sure everywhere, it only ranks); a
          loss is high for both hard and noisy ones. NaN where neither has the structure: there is nothing to judge, and
          agreement on absence must not pass for a very clean label.
        * ``dice``: overlap of given label and prediction, 1.0 where neither has the structure.
        * ``expected_dice``: the Dice to the true structure that the network itself expects of its prediction
          :math:`\hat y`, from its probabilities :math:`p` over the volume: :math:`2 \sum p \hat y / \sum (p + \hat y)`
          (soft Dice confidence, Borges et al., arXiv 2402.10665), those under 0.05 taken as 0; where it sees no
          structure, how sure it is of that, :math:`1 - \max p`. A label whose ``dice`` is below it is worse than the
          network's own doubts explain.
        * ``size_ratio``: volume of the given label over that of the prediction; NaN where either is empty.
        * ``given_ml``, ``predicted_ml``: volumes (in 2-D: areas in 1000 mm^2).
        * ``outside``: share of the given label that lies outside the prediction, 0.0 for an empty label.
        * ``inside``: share of the prediction that lies outside the given label, 0.0 for an empty prediction.
        * ``missing_slices``, ``extra_slices``: number of slices where only the prediction (only the given label) has
          the structure; 0 in 2-D.
        * ``shift_mm``: distance of the centroids; NaN where either is empty.
        * ``swapped_with``, ``swapped``: the other structure that the prediction most often has in the given label's
          place, and the share of the given label it has there; 0 and 0.0 where there is none.

    Raises:
        ValueError: shapes do not fit, or the probabilities are not in [0, 1].
    """
    _check(given, probabilities.shape, structures, spacing)
    voxel = np.asarray(spacing[: given.ndim], dtype=np.float64)
    prediction = condensed(probabilities)
    given = _compact(given)
    given_boxes, seen_boxes = (structure_boxes(index, structures) for index in (given, prediction.predicted))
    rows = []
    for k in structures:
        box = box_around(given_boxes.get(k), seen_boxes.get(k))
        if box is None:
            rows.append(ABSENT)
            continue
        inside = prediction.predicted[box]
        masks = _Masks(given[box] == k, inside == k)
        mass = prediction.mass[k].copy()
        mass[box[-1]][~masks.judged] = 0
        rows.append(
            _disagreement(masks, prediction.confidence[box], float(mass.sum()), float(prediction.peak[k]))
            | _difference(masks, voxel)
            | _swap(inside, masks, k)
        )
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in EVIDENCE}


def _check(given: np.ndarray, shape: tuple[int, ...], structures: Sequence[int], spacing: Sequence[float]) -> None:
    if shape[1:] != given.shape or given.ndim not in (2, 3) or len(spacing) < given.ndim:
        raise ValueError(
            f"given label {given.shape}, probabilities {shape} and spacing {tuple(spacing)} do not fit "
            "together: expected (*spatial), (classes, *spatial) and one number an axis"
        )
    if max(structures) >= shape[0]:
        raise ValueError(f"the prediction has {shape[0]} classes, too few for structure {max(structures)}")


def _compact(given: np.ndarray) -> np.ndarray:
    """The same index map in as few bytes as may be, so that it is read fast."""
    if given.dtype.itemsize == 1 or given.dtype.kind not in "iu" or not 0 <= given.min() <= given.max() <= 255:
        return given
    return given.astype(np.uint8)


class _Masks:
    """A structure's voxels in the given label and in the prediction, within a box around both.

    Attributes:
        has, sees: the voxels.
        n_has, n_sees: their number at each place along each axis.
        n_both: number of those in both, by slice.
        judged: the slices that are not debatable.
    """

    def __init__(self, has: np.ndarray, sees: np.ndarray) -> None:
        self.has, self.sees = has, sees
        self.n_has, self.n_sees = axis_counts(has), axis_counts(sees)
        self.n_both = axis_counts(has & sees)[-1]
        whole = has.ndim == 3
        self.judged = (
            ~debatable_ends(self.n_has[-1] > 0, self.n_sees[-1] > 0) if whole else np.full(has.shape[-1], True)
        )


def _disagreement(masks: _Masks, confidence: np.ndarray, mass: float, peak: float) -> dict[str, float]:
    """Score, both Dice and the ratio of sizes, of a structure that the label has, the prediction, or both.

    Args:
        masks: its voxels.
        confidence: probability of the most probable class, in their box.
        mass: what the structure's probabilities add up to, in slices that are judged.
        peak: the structure's highest probability.
    """
    judged = masks.judged
    n_has, n_sees, n_both = (int(n[judged].sum()) for n in (masks.n_has[-1], masks.n_sees[-1], masks.n_both))
    agreement = 2.0 * n_both / (n_has + n_sees) if n_has + n_sees else 1.0
    if masks.n_sees[-1].any():
        seen = _seen_mass(confidence, masks.sees)[judged].sum()
        expected = 2.0 * seen / (mass + n_sees)
    else:
        expected = 1.0 - peak
    expected = min(max(float(expected), 0.0), 1.0)
    score = float(disagreement_score(agreement, expected))
    ratio = n_has / n_sees if n_has and n_sees else np.nan
    return {"score": score, "dice": agreement, "expected_dice": expected, "size_ratio": ratio}


def _seen_mass(confidence: np.ndarray, sees: np.ndarray) -> np.ndarray:
    """Sum of the probabilities in a mask, by slice: in parts that fit the cache."""
    step = max(1, _PART // max(1, sees[0].size))
    parts = range(0, len(sees), step)
    return np.sum([mass_by_slice(confidence[i : i + step] * sees[i : i + step]) for i in parts], axis=0)


def _difference(masks: _Masks, voxel: np.ndarray) -> dict[str, float]:
    """Volumes, shares outside each other, slices and shift, for the reason shown to the user."""
    n_has, n_sees, n_both = (int(n.sum()) for n in (masks.n_has[-1], masks.n_sees[-1], masks.n_both))
    in_slice, seen_in_slice = masks.n_has[-1] > 0, masks.n_sees[-1] > 0
    whole = masks.has.ndim == 3
    shift = np.nan
    if n_has and n_sees:
        shift = float(np.linalg.norm((_centroid(masks.n_has) - _centroid(masks.n_sees)) * voxel))
    return {
        "given_ml": n_has * voxel.prod() / 1e3,
        "predicted_ml": n_sees * voxel.prod() / 1e3,
        "outside": 1.0 - n_both / n_has if n_has else 0.0,
        "inside": 1.0 - n_both / n_sees if n_sees else 0.0,
        "missing_slices": float(np.count_nonzero(seen_in_slice & ~in_slice)) if whole else 0.0,
        "extra_slices": float(np.count_nonzero(in_slice & ~seen_in_slice)) if whole else 0.0,
        "shift_mm": shift,
    }


def _swap(predicted: np.ndarray, masks: _Masks, structure: int) -> dict[str, float]:
    """The other structure most often predicted where the label has this one, and the share of the label it takes."""
    counts = np.bincount(predicted[masks.has & ~masks.sees], minlength=structure + 1)
    counts[0] = 0
    if not counts.any():
        return {"swapped_with": 0.0, "swapped": 0.0}
    return {"swapped_with": float(counts.argmax()), "swapped": counts.max() / masks.n_has[-1].sum()}


def stack_evidence(by_case: Mapping[str, Mapping[str, np.ndarray]], n_structures: int) -> dict[str, np.ndarray]:
    """Evidence about the cases of a cohort, one row a case.

    Args:
        by_case: arrays by name of each case, all of the same names, as from :func:`structure_evidence` or
            :meth:`monai_selfcleanse.core.LabelJudge.evidence`. A case that knows fewer structures than others has none
            of the last ones (:data:`ABSENT`).
        n_structures: ``K``.

    Returns:
        Arrays ``(n, K)``, float64, by name; rows come in the order of ``by_case``.
    """
    out = {
        name: np.full((len(by_case), n_structures), ABSENT.get(name.removesuffix(WITHOUT_STRAYS), np.nan))
        for name in next(iter(by_case.values()))
    }
    for i, evidence in enumerate(by_case.values()):
        for name, rows in out.items():
            rows[i, : len(evidence[name])] = evidence[name]
    return out


def disagreement_score(dice: Any, expected_dice: Any) -> Any:
    """How many times as much label and prediction disagree as the network expects: see :func:`structure_evidence`.

    Args:
        dice, expected_dice: numbers or arrays in [0, 1], whose shape the result has.

    Returns:
        In [0, 50].
    """
    return (1.0 - dice) / (1.0 - expected_dice + _LEAST_DOUBT)


def surprise(evidence: Mapping[str, Any]) -> Any:
    """How much worse labels fit than the network expects: expected Dice minus Dice, in [-1, 1].

    Args:
        evidence: see :func:`structure_evidence`; numbers or arrays, whose shape the result has.
    """
    return evidence["expected_dice"] - evidence["dice"]


def merge_unannotated(given: np.ndarray, probabilities: Predicted) -> Prediction:
    """A prediction in a partial label's terms, in which a structure that it lacks is background.

    So nothing is said of a structure that was not annotated: there is no evidence about it, and a cleansed label gets
    none of it.

    Args:
        given: index map, shape ``spatial``.
        probabilities: the network's, shape ``(C, *spatial)``.

    Returns:
        What the probabilities come to where classes that ``given`` lacks have 0, and background their sum in addition
        to its own.
    """
    known = structure_boxes(_compact(given), range(1, probabilities.shape[0]))
    return condensed(probabilities, [k for k in range(1, probabilities.shape[0]) if k not in known])


def _centroid(counts: Sequence[np.ndarray]) -> np.ndarray:
    """Middle of a mask, in voxels, by its counts along each axis."""
    return np.array([np.arange(len(n)) @ n / n.sum() for n in counts])
