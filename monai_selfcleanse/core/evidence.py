"""Evidence: what one prediction says about one given label, structure by structure.

Knows arrays only. A *structure* is one foreground class of one case; annotators err a structure at a time, so that is
what is scored. :func:`structure_evidence`'s ``score`` is what the filter goes by; the other views become the reason
shown to the user (:func:`reason_for`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage

from .border import BorderProbabilities
from .masks import Box, box_around, debatable_slices, dice

__all__ = [
    "ABSENT",
    "EVIDENCE",
    "EVIDENCE_VERSION",
    "merge_unannotated",
    "reason_for",
    "stack_evidence",
    "structure_evidence",
    "surprise",
]

EVIDENCE = (
    "score",
    "dice",
    "expected_dice",
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

EVIDENCE_VERSION = 3
"""Raised whenever the same label and prediction score otherwise, so that scores kept on disk are not mixed."""

ABSENT = dict.fromkeys(EVIDENCE, 0.0) | {"score": np.nan, "dice": 1.0, "expected_dice": 1.0, "shift_mm": np.nan}
"""Evidence about a structure that neither label nor prediction has: there is nothing to judge."""

_LEAST_DOUBT = 0.02
"""Dice by which even two careful drawings differ, however sure a network is of its own."""

_MIN_PROBABILITY = 0.05
"""Smallest probability that counts as doubt: in a large volume the little that softmax leaves everywhere adds up."""


def structure_evidence(
    given: np.ndarray,
    probabilities: np.ndarray | BorderProbabilities,
    structures: Sequence[int],
    spacing: Sequence[float],
) -> dict[str, np.ndarray]:
    r"""Evidence about each structure of one given label.

    Args:
        given: index map, shape ``spatial`` (2 or 3 axes).
        probabilities: the network's class probabilities, shape ``(C, *spatial)``, class ``k`` at index ``k``; or those
            that stand in for them.
        structures: the ``K`` structures to score, each below ``C``.
        spacing: voxel size in mm, one number a spatial axis. Slices are counted along the last axis.

    Returns:
        Arrays of shape ``(K,)`` by name. The first three leave out slices that are :func:`debatable_slices` for the
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
        * ``given_ml``, ``predicted_ml``: volumes (in 2-D: areas in cm^2 / 10).
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
    _check(given, probabilities, structures, spacing)
    voxel = np.asarray(spacing[: given.ndim], dtype=np.float64)
    predicted = probabilities.argmax(0)
    given_boxes, predicted_boxes = (ndimage.find_objects(label, max(structures)) for label in (given, predicted))
    rows = []
    for k in structures:
        box = box_around(given_boxes[k - 1], predicted_boxes[k - 1])
        if box is None:
            rows.append(ABSENT)
            continue
        has, sees = given[box] == k, predicted[box] == k
        rows.append(
            _disagreement(has, sees, *_probability(probabilities, k, box))
            | _difference(has, sees, voxel)
            | _swap(predicted[box][has], k)
        )
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in EVIDENCE}


def _check(
    given: np.ndarray,
    probabilities: np.ndarray | BorderProbabilities,
    structures: Sequence[int],
    spacing: Sequence[float],
) -> None:
    if probabilities.shape[1:] != given.shape or given.ndim not in (2, 3) or len(spacing) < given.ndim:
        raise ValueError(
            f"given label {given.shape}, probabilities {probabilities.shape} and spacing {tuple(spacing)} do not fit "
            "together: expected (*spatial), (classes, *spatial) and one number an axis"
        )
    if isinstance(probabilities, np.ndarray) and not (
        probabilities.min() >= -1e-3 and probabilities.max() <= 1 + 1e-3  # NaN fails this, too
    ):
        raise ValueError(
            "the prediction must hold class probabilities in [0, 1]: add "
            "monai.transforms.Activationsd(keys='pred', softmax=True) to the evaluator's postprocessing"
        )
    if max(structures) >= len(probabilities):
        raise ValueError(f"the prediction has {len(probabilities)} classes, too few for structure {max(structures)}")


def _probability(probabilities: np.ndarray | BorderProbabilities, structure: int, box: Box) -> tuple[np.ndarray, Box]:
    """Probability of a structure in the part of the volume beyond which it is 0, and where ``box`` lies in it."""
    if isinstance(probabilities, np.ndarray):
        return probabilities[structure], box
    found = probabilities.part(structure)
    whole = box_around(box, None if found is None else found[0])
    assert whole is not None
    out = np.zeros([side.stop - side.start for side in whole], dtype=np.float32)
    if found is not None:
        out[_within(found[0], whole)] = found[1]
    return out, _within(box, whole)


def _within(box: Box, whole: Box) -> Box:
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, whole, strict=True))


def _disagreement(has: np.ndarray, sees: np.ndarray, probability: np.ndarray, box: Box) -> dict[str, float]:
    """``score``, ``dice`` and ``expected_dice`` of a structure that the label has, the prediction, or both.

    Args:
        has, sees: its voxels in the given label and in the prediction, within ``box``.
        probability: of the structure, wherever it is not 0.
        box: around both, in that array.
    """
    judged = ~debatable_slices(has, sees)
    agreement = dice(has[..., judged], sees[..., judged])
    if sees.any():
        mass = _mass(probability) - _mass(probability[..., box[-1]][..., ~judged])
        seen = sees & judged
        expected = 2.0 * _mass(probability[box], seen) / (mass + float(np.count_nonzero(seen)))
    else:
        expected = 1.0 - float(probability.max())
    expected = min(max(expected, 0.0), 1.0)
    score = (1.0 - agreement) / (1.0 - expected + _LEAST_DOUBT)
    return {"score": score, "dice": agreement, "expected_dice": expected}


def _difference(has: np.ndarray, sees: np.ndarray, voxel: np.ndarray) -> dict[str, float]:
    """Volumes, shares outside each other, slices and shift, for the reason shown to the user."""
    n_has, n_sees, n_both = (int(np.count_nonzero(mask)) for mask in (has, sees, has & sees))
    in_slice, seen_in_slice = has.any((0, 1)), sees.any((0, 1))
    whole = has.ndim == 3
    return {
        "given_ml": n_has * voxel.prod() / 1e3,
        "predicted_ml": n_sees * voxel.prod() / 1e3,
        "outside": 1.0 - n_both / n_has if n_has else 0.0,
        "inside": 1.0 - n_both / n_sees if n_sees else 0.0,
        "missing_slices": float(np.count_nonzero(seen_in_slice & ~in_slice)) if whole else 0.0,
        "extra_slices": float(np.count_nonzero(in_slice & ~seen_in_slice)) if whole else 0.0,
        "shift_mm": float(np.linalg.norm((_centroid(has) - _centroid(sees)) * voxel)) if n_has and n_sees else np.nan,
    }


def _swap(seen_there: np.ndarray, structure: int) -> dict[str, float]:
    """The other structure most often predicted where the label has this one, and the share of the label it takes."""
    counts = np.bincount(seen_there, minlength=structure + 1)
    counts[[0, structure]] = 0
    if not counts.any():
        return {"swapped_with": 0.0, "swapped": 0.0}
    return {"swapped_with": float(counts.argmax()), "swapped": counts.max() / len(seen_there)}


def stack_evidence(by_case: Mapping[str, Mapping[str, np.ndarray]], n_structures: int) -> dict[str, np.ndarray]:
    """Evidence about the cases of a cohort, one row a case.

    Args:
        by_case: arrays by name of each case, as from :func:`structure_evidence`. A case that knows fewer structures
            than others has none of the last ones (:data:`ABSENT`).
        n_structures: ``K``.

    Returns:
        Arrays ``(n, K)``, float64, by name; rows come in the order of ``by_case``.
    """
    out = {name: np.full((len(by_case), n_structures), ABSENT[name], dtype=np.float64) for name in EVIDENCE}
    for i, evidence in enumerate(by_case.values()):
        for name in EVIDENCE:
            out[name][i, : len(evidence[name])] = evidence[name]
    return out


def surprise(evidence: Mapping[str, Any]) -> Any:
    """How much worse labels fit than the network expects: expected Dice minus Dice, in [-1, 1].

    Args:
        evidence: see :func:`structure_evidence`; numbers or arrays, whose shape the result has.
    """
    return evidence["expected_dice"] - evidence["dice"]


def merge_unannotated(
    given: np.ndarray, probabilities: np.ndarray | BorderProbabilities
) -> np.ndarray | BorderProbabilities:
    """Class probabilities in a partial label's terms, in which a structure that it lacks is background.

    So nothing is said of a structure that was not annotated: there is no evidence about it, and a cleansed label gets
    none of it.

    Args:
        given: index map, shape ``spatial``.
        probabilities: the network's, shape ``(C, *spatial)``.

    Returns:
        Of the same shape: classes that ``given`` lacks have 0, and background their sum in addition to its own.
    """
    absent = sorted(set(range(1, len(probabilities))) - {int(k) for k in np.unique(given)})
    if isinstance(probabilities, BorderProbabilities):
        return probabilities.without(absent)
    merged = probabilities.copy()
    merged[0] += merged[absent].sum(0)
    merged[absent] = 0
    return merged


def _mass(probability: np.ndarray, where: np.ndarray | bool = True) -> float:
    """Sum of the probabilities that count as doubt."""
    return float(probability.sum(dtype=np.float64, where=(probability >= _MIN_PROBABILITY) & where))


def _centroid(mask: np.ndarray) -> np.ndarray:
    return np.array([axis.mean() for axis in np.nonzero(mask)])


def reason_for(evidence: Mapping[str, float], names: Mapping[int, str] | None = None) -> str:
    """The most telling fault of a suspected structure, in words a reviewer understands.

    Args:
        evidence: one structure's values by name, as from :func:`structure_evidence`. Of a label in 2-D, whose area
            stands in for its volume, ``"shifted"`` is said of smaller shifts than of one in 3-D.
        names: names of the structures, for swaps; a number stands for a structure without one.

    Returns:
        ``"missing"``, ``"spurious"``, ``"swapped with ..."``, ``"missing in N slices"``, ``"extra in N slices"``,
        ``"under-drawn"``, ``"over-drawn"``, ``"shifted"`` or ``"border differs"``.
    """
    e = evidence
    if e["given_ml"] == 0:
        return "missing"
    if e["predicted_ml"] == 0:
        return "spurious"
    if e["swapped"] > 0.5:
        other = int(e["swapped_with"])
        return f"swapped with {(names or {}).get(other, other)}"
    # What the prediction adds to the label against what it takes away, both as a share of the larger of the two.
    larger = max(e["given_ml"], e["predicted_ml"])
    lacks, exceeds = e["inside"] * e["predicted_ml"] / larger, e["outside"] * e["given_ml"] / larger
    if lacks > 2 * exceeds:
        return f"missing in {e['missing_slices']:.0f} slices" if e["missing_slices"] >= 2 else "under-drawn"
    if exceeds > 2 * lacks:
        return f"extra in {e['extra_slices']:.0f} slices" if e["extra_slices"] >= 2 else "over-drawn"
    # A ball shifted by s loses a share of 3 s / 4 r of itself: ask whether the shift explains half of what is lost.
    radius = (3e3 * larger / (4 * np.pi)) ** (1 / 3)
    if 0.75 * e["shift_mm"] / radius > 0.5 * exceeds:
        return "shifted"
    return "border differs"
