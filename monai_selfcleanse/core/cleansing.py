"""The label cleanser's mathematics: from a given label and a prediction to a cleansed label.

Knows arrays only, and is applied on the network's grid for training as on the given label's own for the files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .masks import Box, box_around, debatable_slices, structure_boxes

__all__ = ["MIN_CONFIDENCE", "cleanse_label", "untrusted_voxels"]

MIN_CONFIDENCE = 0.65
"""Confidence from which on a prediction may redraw a label, where nothing else is asked for."""

ONE_SIDED_RATIO = 4
"""How many times a label's errors to one side, and what it is right about, must outnumber its errors to the other;
see :func:`cleanse_label`."""

MIN_SHARE_IN_OTHERS = 0.25
"""Share of a predicted structure that must lie in what was given as other ones for it to be drawn into them."""

MIN_CONFIDENCE_NEIGHBOUR = 0.9
"""Confidence from which on another structure, which is not redrawn, gets what a redrawn one gives up."""


def cleanse_label(
    given: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    structures: Sequence[int],
    min_confidence: float = MIN_CONFIDENCE,
) -> tuple[np.ndarray, np.ndarray]:
    """Target of one case, its cleansed label, and how much each of its voxels may count.

    Some voxels belong to a structure that is to be redrawn, by the given label or by the prediction. There the
    prediction decides, if it is sure enough. So the structure is redrawn, or restored where it is missing. Slices at
    the structure's ends that are a matter of opinion are left as they are
    (:func:`monai_selfcleanse.core.masks.debatable_slices`), and so is everything else.

    A redrawn structure takes voxels from another one only if more than :data:`MIN_SHARE_IN_OTHERS` of what the network
    sees of it lies in others. A tumour that was missed in a liver is restored; a border between neighbours does not
    move into the other one. What it gives up may become another structure's. One that is not redrawn as well ends there
    by its own label, so the network must then be sure by :data:`MIN_CONFIDENCE_NEIGHBOUR`.

    A label that errs to one side is believed on the other. *Too small*: it lacks more than :data:`ONE_SIDED_RATIO`
    times as many voxels as it has too many. Then no voxel is taken away. *Too large*: the reverse. Then none is added.
    Neither holds where the smaller error is more than a quarter (1 / :data:`ONE_SIDED_RATIO`) of what both share, as in
    a label that is swapped or in the wrong place.

    The network may not see a structure where it may be drawn, or be sure of it nowhere there. Then the structure is not
    deleted, for the network may just not know it. Its given voxels stay, and weigh 0 where the network sees something
    else.

    Args:
        given: index map of any shape; slices of a volume are counted along the last axis.
        predicted: the network's most probable class, same shape.
        confidence: its probability, same shape, in [0, 1].
        structures: those to redraw, of which the given label is suspected; none returns it with full weight.
        min_confidence: where the network is less sure than this, the given label stands.

    Returns:
        The target, of ``given``'s dtype, and the weights, float32 in {0, 1}.

    Raises:
        ValueError: shapes differ.
    """
    if not given.shape == predicted.shape == confidence.shape:
        raise ValueError(
            f"given label {given.shape}, prediction {predicted.shape} and confidence {confidence.shape} must be of "
            "one shape"
        )
    target = given.copy()
    weight = np.ones(given.shape, dtype=np.float32)
    redrawn, _, kept = _decided(given, predicted, confidence, structures, min_confidence)
    np.copyto(target, predicted, where=redrawn, casting="unsafe")
    weight[kept & (target == given)] = 0.0
    return target, weight


def untrusted_voxels(
    given: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    structures: Sequence[int],
    min_confidence: float = MIN_CONFIDENCE,
) -> np.ndarray:
    """Voxels on which neither the annotator nor the network can be trusted: what an ``ignore`` label is for.

    There the two disagree about a structure that is to be redrawn, and the network is too unsure of it:
    :func:`cleanse_label` keeps what was given for want of better. Or the given label has such a structure, and the
    network does not see it at all or is sure of it nowhere.

    Args:
        given, predicted, confidence, structures, min_confidence: as for :func:`cleanse_label`.

    Returns:
        Boolean, of ``given``'s shape.
    """
    redrawn, unsure, kept = _decided(given, predicted, confidence, structures, min_confidence)
    return (unsure & (given != predicted)) | (kept & ~redrawn)


def _decided(
    given: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, structures: Sequence[int], min_confidence: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the prediction decides, where it would if it were sure, and what stays of suspects that it sees nowhere."""
    own, seen = structure_boxes(given, structures), structure_boxes(predicted, structures)
    closed = _closed_to_redrawing(given, predicted, own, seen)
    sure = _sure(predicted, confidence, seen, min_confidence)
    disputed, kept = np.zeros(given.shape, dtype=bool), np.zeros(given.shape, dtype=bool)
    for k in own.keys() | seen.keys():
        box = box_around(own.get(k), seen.get(k))
        assert box is not None
        has, sees, is_open = given[box] == k, predicted[box] == k, ~closed[box]
        decides = (has | sees) & is_open & ~debatable_slices(has, sees)
        if (sees & sure[box] & is_open).any():
            decides = _without_the_trusted_side(has, sees, decides)
        else:  # the network may just not know the structure: what the label has of it stays
            kept[box] |= decides & has & ~sees
            decides &= ~has
        disputed[box] |= decides
    return disputed & sure, disputed & ~sure, kept


def _closed_to_redrawing(
    given: np.ndarray, predicted: np.ndarray, own: Mapping[int, Box], seen: Mapping[int, Box]
) -> np.ndarray:
    """Voxels of structures that are not redrawn, but where a redrawn one is seen to lie for a good part in others.

    Args:
        given, predicted: the index maps.
        own, seen: boxes of the redrawn structures in each.
    """
    closed = _of_others(given, own)
    for k, box in seen.items():
        sees = predicted[box] == k
        if np.count_nonzero(sees & closed[box]) > MIN_SHARE_IN_OTHERS * np.count_nonzero(sees):
            closed[box] &= ~sees
    return closed


def _sure(predicted: np.ndarray, confidence: np.ndarray, seen: Mapping[int, Box], min_confidence: float) -> np.ndarray:
    """Where the prediction is sure enough: surer where it gives a voxel to a neighbour that is not redrawn."""
    sure = confidence >= np.float64(min_confidence)
    if min_confidence < MIN_CONFIDENCE_NEIGHBOUR:
        sure &= (confidence >= np.float64(MIN_CONFIDENCE_NEIGHBOUR)) | ~_of_others(predicted, seen)
    return sure


def _of_others(index: np.ndarray, boxes: Mapping[int, Box]) -> np.ndarray:
    """Voxels of the structures that have none of these boxes."""
    out = index != 0
    for k, box in boxes.items():
        out[box] &= index[box] != k
    return out


def _without_the_trusted_side(has: np.ndarray, sees: np.ndarray, decides: np.ndarray) -> np.ndarray:
    """Voxels to decide on, less those on the side on which a label that errs to the other side alone is believed.

    Args:
        has, sees: the structure's voxels in the given label and in the prediction.
        decides: the voxels to decide on.
    """
    lacks, exceeds = np.count_nonzero(decides & ~has), np.count_nonzero(decides & ~sees)
    if min(lacks, exceeds) * ONE_SIDED_RATIO > np.count_nonzero(has & sees):
        return decides
    if lacks > ONE_SIDED_RATIO * exceeds:
        return decides & ~has
    if exceeds > ONE_SIDED_RATIO * lacks:
        return decides & has
    return decides
