"""``slices.csv``: where in a case a suspected label and the network disagree."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cases.view import CaseView
from ..core.masks import axis_counts, box_around, debatable_ends, structure_boxes

__all__ = ["SLICE_COLUMNS", "slice_rows"]

SLICE_COLUMNS = (
    "case",
    "structure",
    "structure_name",
    "slice",
    "given_mm2",
    "predicted_mm2",
    "only_given_mm2",
    "only_predicted_mm2",
    "disagreement_mm2",
    "disagreement_voxels",
    "dice",
    "debatable",
)
"""Columns of ``slices.csv``; see :func:`slice_rows`."""


def slice_rows(view: CaseView, structure: int, name: str, number: int | None = None) -> list[dict[str, Any]]:
    """One row a slice in which given label and prediction of a structure differ, worst first.

    Args:
        view: the case.
        structure: the structure's class index.
        name: its name.
        number: its number in reports; None for the class index.

    Returns:
        Dictionaries with :data:`SLICE_COLUMNS` as keys:

        * ``slice``: index along the last axis of the label's file, from 0, as its voxels lie on disk: K of the IJK in
          3D Slicer's Data Probe; ITK-SNAP counts from 1. 0 for an image of two axes.
        * ``given_mm2``, ``predicted_mm2``: area of the structure in the given label and in the prediction.
        * ``only_given_mm2``, ``only_predicted_mm2``: area that one has and the other has not; ``disagreement_mm2`` is
          their sum, and ``disagreement_voxels`` the same in voxels.
        * ``dice``: overlap in the slice.
        * ``debatable``: 1 for a slice at an end of the structure that is a matter of opinion and not held against the
          label (:func:`monai_selfcleanse.core.masks.debatable_slices`), else 0. These come last.

        An empty list where the two agree to the voxel.
    """
    boxes = (structure_boxes(index, [structure]).get(structure) for index in (view.given, view.predicted))
    box = box_around(*boxes)
    if box is None:
        return []
    has, sees = view.given[box] == structure, view.predicted[box] == structure
    first = box[-1].start
    if has.ndim == 2:
        has, sees, first = has[..., None], sees[..., None], 0
    area = float(np.prod(view.spacing[:2]))
    n_has, n_sees, n_both = (axis_counts(mask)[-1] for mask in (has, sees, has & sees))
    differ = n_has + n_sees - 2 * n_both
    debatable = debatable_ends(n_has > 0, n_sees > 0)
    order = sorted(np.flatnonzero(differ), key=lambda z: (debatable[z], -differ[z]))
    return [
        {
            "case": view.case,
            "structure": structure if number is None else number,
            "structure_name": name,
            "slice": first + int(z),
            "given_mm2": float(n_has[z] * area),
            "predicted_mm2": float(n_sees[z] * area),
            "only_given_mm2": float((n_has[z] - n_both[z]) * area),
            "only_predicted_mm2": float((n_sees[z] - n_both[z]) * area),
            "disagreement_mm2": float(differ[z] * area),
            "disagreement_voxels": int(differ[z]),
            "dice": float(2 * n_both[z] / (n_has[z] + n_sees[z])),
            "debatable": int(debatable[z]),
        }
        for z in order
    ]
