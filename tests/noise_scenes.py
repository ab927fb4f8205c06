"""Small labels, one record for each model of label noise, and short ways to apply them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from monai_selfcleanse.noise import apply_noise
from monai_selfcleanse.noise.models import GRADED

THICK = (1.5, 1.5, 10.0)


SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5)


LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))


MASKS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 1))


DISTANCES = st.floats(0.0, 6.0)


def border(model: str, structure: int = 1, wobble: float = 0.0, jitter: float = 0.0, seed: int = 0) -> dict:
    return {"model": model, "structure": structure, "wobble": wobble, "jitter": jitter, "seed": seed, "axis": -1}


def moved(model: str, label: np.ndarray, distance_mm: float, spacing: Sequence[float], **options: float) -> np.ndarray:
    return apply_noise(label, border(model, **options) | {"distance_mm": distance_mm}, spacing)


erode = partial(moved, "erosion")


dilate = partial(moved, "dilation")


both = pytest.mark.parametrize("change", [erode, dilate], ids=["erosion", "dilation"])


def drop(label: np.ndarray, what: str, **parameters: object) -> np.ndarray:
    return apply_noise(label, {"model": f"drop_{what}", "structure": 1, **parameters}, [1.0] * label.ndim)


def spacings(ndim: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.sampled_from([0.5, 1.0, 1.5, 10.0]), min_size=ndim, max_size=ndim)


def nearest(points: np.ndarray, others: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance (mm) of each point to the nearest of the others, by looking at all of them."""
    return cdist(points * np.array(spacing), others * np.array(spacing)).min(1)


def block(shape: Sequence[int], low: int, high: int) -> np.ndarray:
    label = np.zeros(shape, dtype=np.uint8)
    label[(slice(low, high),) * len(shape)] = 1
    return label


def voxels(label: np.ndarray, structure: int = 1) -> int:
    return int(np.count_nonzero(label == structure))


GRADED_RECORDS: dict[str, dict] = {
    "erosion": border("erosion"),
    "irregular erosion": border("erosion", wobble=0.2, jitter=0.1),
    "dilation": border("dilation"),
    "irregular dilation": border("dilation", wobble=0.2, jitter=0.1),
    "contour_knots": {"model": "contour_knots", "structure": 1, "knots": 9, "axis": 2, "seed": 4},
    "markov_walk": {"model": "markov_walk", "structure": 1, "growth": 0.2, "flip": 0.3, "axis": 2, "seed": 4},
    "growing markov_walk": {"model": "markov_walk", "structure": 1, "growth": 0.9, "flip": 0.3, "axis": 2, "seed": 4},
    "polygon": {"model": "polygon", "structure": 1, "axis": 2},
    "smoothing": {"model": "smoothing", "structure": 1, "axis": 2},
    "shift": {"model": "shift", "structure": 1, "angle_degrees": 200.0, "axis": 2},
    "rotation": {"model": "rotation", "structure": 1, "direction": -1, "axis": 2},
    "shrinking": {"model": "scaling", "structure": 1, "direction": -1, "axis": 2},
    "enlarging": {"model": "scaling", "structure": 1, "direction": 1, "axis": 2},
    "elastic": {"model": "elastic", "structure": 1, "sigma_mm": 4.0, "axis": 2, "seed": 4},
    "false_positives": {"model": "false_positives", "structure": 1, "blobs": [[20.0, 3.0, 8.0, 1.2, 1.0, 0.8]]},
    "extension": {"model": "extension", "structure": 1, "end": 1, "axis": 2},
}


every_graded = pytest.mark.parametrize("record", GRADED_RECORDS.values(), ids=GRADED_RECORDS.keys())


SPACING = (1.0, 1.25, 3.0)


def scene() -> np.ndarray:
    """An L of three slices, which no symmetry leaves as it is, and a neighbour."""
    label = np.zeros((44, 44, 9), dtype=np.uint8)
    label[14:30, 14:20, 3:6] = 1
    label[22:30, 14:28, 3:6] = 1
    label[12:20, 22:30, 2:7] = 2
    return label


def at(label: np.ndarray, record: dict, magnitude: float, spacing: Sequence[float] = SPACING) -> np.ndarray:
    return apply_noise(label, record | {GRADED[record["model"]].magnitude: magnitude}, spacing)
