"""Strays: what a prediction has of a structure elsewhere, if it is known to be in one piece.

A heart chamber hangs together; tumours lie in several places. Where nearly all given labels of a cohort show a
structure in one piece, what a prediction has of it elsewhere is the network's mistake. It is then neither evidence
against a label, nor does it become part of a redrawn one.

A *stray* is a piece of the predicted structure apart from its largest, in which the given label has no voxel of the
structure. Voxels that touch each other, at corners, too, are of one piece, and so are those that one voxel parts: a
slice that a network misses does not make a stray of what lies beyond it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage

from .masks import structure_boxes
from .prediction import MIN_PROBABILITY, Prediction

__all__ = ["find_strays", "is_in_one_piece", "largest_shares", "without_strays"]

_ONE_PIECE = 0.95
"""Share of a label's voxels that its largest piece must have for it to count as one piece."""

_MOST_LABELS = 0.9
"""Share of the labels that must be in one piece for the structure to be."""

_FEWEST_LABELS = 12
"""Fewest labels that can say so."""


def largest_shares(given: np.ndarray, structures: Sequence[int]) -> np.ndarray:
    """Share of each structure's voxels that lies in its largest piece: ``(K,)`` in (0, 1], NaN where it is absent.

    Args:
        given: index map, 2 or 3 axes.
        structures: the ``K`` structures.
    """
    boxes = structure_boxes(given, structures)
    out = np.full(len(structures), np.nan)
    for i, k in enumerate(structures):
        if k in boxes:
            sizes = np.bincount(_pieces(given[boxes[k]] == k).ravel())[1:]
            out[i] = sizes.max() / sizes.sum()
    return out


def is_in_one_piece(shares: np.ndarray) -> bool:
    """Whether a cohort says that a structure is in one piece: it has 12 labels or more, and nine tenths of them are.

    Args:
        shares: of each label, see :func:`largest_shares`; those that are NaN do not count.
    """
    known = shares[~np.isnan(shares)]
    return len(known) >= _FEWEST_LABELS and float(np.mean(known >= _ONE_PIECE)) >= _MOST_LABELS


def find_strays(given: np.ndarray, predicted: np.ndarray, structures: Sequence[int]) -> dict[int, np.ndarray]:
    """The strays of each structure that has some.

    Args:
        given, predicted: index maps of one shape, 2 or 3 axes.
        structures: those to look at.

    Returns:
        By structure, the ascending places of the voxels in the flat volume, int64.

    Raises:
        ValueError: shapes differ.
    """
    if given.shape != predicted.shape:
        raise ValueError(f"given label {given.shape} and prediction {predicted.shape} do not fit together")
    out = {}
    for k, box in structure_boxes(predicted, structures).items():
        pieces = _pieces(predicted[box] == k)
        sizes = np.bincount(pieces.ravel())
        if len(sizes) == 2:
            continue
        stays = np.zeros(len(sizes), bool)
        stays[0] = True
        stays[1 + sizes[1:].argmax()] = True
        stays[pieces[given[box] == k]] = True
        if not stays.all():
            places = np.nonzero(~stays[pieces])
            inside = tuple(at + part.start for at, part in zip(places, box, strict=True))
            out[k] = np.ravel_multi_index(inside, predicted.shape)
    return out


def without_strays(prediction: Prediction, strays: Mapping[int, np.ndarray]) -> Prediction:
    """The same prediction with background in the strays' place, of which the network is not sure at all.

    Their probabilities leave the mass. What little the network has of the structure around a stray stays in it.

    Args:
        prediction: any.
        strays: as from :func:`find_strays`.
    """
    if not strays:
        return prediction
    predicted, confidence, mass = prediction.predicted.copy(), prediction.confidence.copy(), prediction.mass.copy()
    n_slices = predicted.shape[-1]
    for k, places in strays.items():
        sure = confidence.flat[places]
        sure = np.where(sure >= MIN_PROBABILITY, sure, 0)
        left = mass[k] - np.bincount(places % n_slices, weights=sure, minlength=n_slices)
        mass[k] = np.maximum(left, 0)
        predicted.flat[places], confidence.flat[places] = 0, 0
    return replace(prediction, predicted=predicted, confidence=confidence, mass=mass)


def _pieces(mask: np.ndarray) -> np.ndarray:
    """A number from 1 on for each piece of a mask, at its voxels; 0 elsewhere."""
    wider = ndimage.maximum_filter(mask.view(np.uint8), 2)  # a voxel on one side: two that one parts come to touch
    numbers, _ = ndimage.label(wider, np.ones((3,) * mask.ndim, bool))
    return numbers * mask
