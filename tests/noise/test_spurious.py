"""Structures drawn where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from noise_scenes import (
    GRADED_RECORDS,
    at,
    scene,
    voxels,
)


@pytest.mark.parametrize(("end", "slices"), [(1, [6, 7]), (-1, [2, 1])])
def test_extension_copies_the_last_slice(end: int, slices: list[int]) -> None:
    label = np.where(scene() == 1, 1, 0)
    expected = label.copy()
    expected[..., slices] = label[..., [3]]
    record = GRADED_RECORDS["extension"] | {"end": end}
    np.testing.assert_array_equal(at(label, record, 2.0), expected)
    part = at(label, record, 1.5)
    assert voxels(part[..., slices[1]]) == voxels(label[..., 3]) // 2
    np.testing.assert_array_equal(at(label, record, 50.0) != 0, at(label, record, 8.0) != 0)


def test_blob_is_an_ellipsoid_where_it_is_said_to_be() -> None:
    label = np.zeros((50, 50, 20), dtype=np.uint8)
    label[5:10, 5:10, 2:5] = 1
    record = {"model": "false_positives", "structure": 1, "blobs": [[20.0, 40.0, 24.0, 1.0, 1.2, 0.8]]}
    out = at(label, record, 9.99, (1.0, 2.0, 3.0))
    x, y, z = np.indices(label.shape)
    inside = ((x - 25) / 10) ** 2 + ((y - 25) * 2 / 12) ** 2 + ((z - 10) * 3 / 8) ** 2 <= 0.999**2
    np.testing.assert_array_equal(out == 1, (label == 1) | inside)
