"""Structures, slices and components that are left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_scenes import (
    LABELS,
    drop,
)
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.noise.missing import count_components


def components(mask: np.ndarray) -> list[np.ndarray]:
    """Voxels of each face-connected component, largest first, from a graph of all pairs of voxels."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return []
    n, part = connected_components(cdist(voxels, voxels, "cityblock") == 1)
    parts = [voxels[part == i] for i in range(n)]
    return sorted(parts, key=lambda p: (-len(p), p.tolist()[0]))


def cone() -> np.ndarray:
    """Discs whose radius falls by 1.5 a slice: between any two, their signed distance is the mean of theirs."""
    y, x = np.mgrid[-20:21, -20:21]
    return np.stack([np.hypot(x, y) <= 18 - 1.5 * z for z in range(9)], -1).astype(np.uint8)


def test_interpolated_gap_is_the_shape_between() -> None:
    dropped = [1, 2, 3, 5, 7, 8]
    out = drop(cone(), "slices", slices=dropped, axis=2, gap="interpolated")
    np.testing.assert_array_equal(out[..., [0, 4, 6]], cone()[..., [0, 4, 6]])
    for z in (1, 2, 3, 5):
        assert dice(out[..., z] == 1, cone()[..., z] == 1) > 0.95
    assert not out[..., 7:].any()  # beyond the last slice that is kept there is nothing to go by
    assert not drop(cone(), "slices", slices=dropped, axis=2, gap="empty")[..., dropped].any()


def test_drop_structure_leaves_the_others() -> None:
    label = np.array([[0, 1, 2], [2, 1, 1]])
    np.testing.assert_array_equal(drop(label, "structure"), [[0, 0, 2], [2, 0, 0]])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_drop_slices_empties_these_slices_of_the_structure(axis: int) -> None:
    label = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    expected = label.copy()
    for index in (1, 3):
        where = [slice(None)] * 3
        where[axis] = index  # type: ignore[call-overload]
        part = expected[tuple(where)]
        part[part == 1] = 0
    np.testing.assert_array_equal(drop(label, "slices", slices=[1, 3], axis=axis, gap="empty"), expected)


@given(label=LABELS, number=st.integers(0, 4))
def test_drop_components_takes_the_nth_largest_of_the_graph(label: np.ndarray, number: int) -> None:
    parts = components(label == 1)
    expected = label.copy()
    if number < len(parts):
        expected[tuple(parts[number].T)] = 0
    assert count_components(label == 1) == len(parts)
    np.testing.assert_array_equal(drop(label, "components", components=[number]), expected)


def test_voxels_that_share_a_corner_are_two_components() -> None:
    label = np.array([[1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(drop(label, "components", components=[1]), [[1, 1, 0], [0, 0, 0]])


def test_equal_components_are_numbered_by_position() -> None:
    label = np.array([[1, 0, 1, 0, 1]])
    np.testing.assert_array_equal(drop(label, "components", components=[1]), [[1, 0, 0, 0, 1]])
