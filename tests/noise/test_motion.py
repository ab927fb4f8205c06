"""Structures that are moved, turned, scaled or bent."""

from __future__ import annotations

import numpy as np
import pytest
from noise_scenes import (
    GRADED_RECORDS,
    SPACING,
    at,
    block,
    scene,
    voxels,
)

from monai_selfcleanse.core.masks import bounding_box
from monai_selfcleanse.noise import apply_noise


@pytest.mark.parametrize(("angle", "way"), [(0.0, (4, 0, 0)), (90.0, (0, 4, 0)), (180.0, (-4, 0, 0))])
def test_shift_by_whole_voxels_is_a_roll(angle: float, way: tuple[int, int, int]) -> None:
    label = np.where(scene() == 1, 1, 0)
    record = GRADED_RECORDS["shift"] | {"angle_degrees": angle}
    out = at(label, record, 4.0 * max(s for s, w in zip(SPACING, way, strict=True) if w))
    np.testing.assert_array_equal(out, np.roll(label, way, (0, 1, 2)))


def test_shift_leaves_background_behind_and_does_not_go_beyond_the_edge() -> None:
    label = block((9, 9), 5, 9)
    expected = np.zeros_like(label)
    expected[8, 5:9] = 1
    np.testing.assert_array_equal(
        at(label, GRADED_RECORDS["shift"] | {"angle_degrees": 0.0}, 3.0, (1.0, 1.0)), expected
    )


@pytest.mark.parametrize(("direction", "turns"), [(1, 1), (-1, -1)])
def test_rotation_by_a_right_angle_is_exact(direction: int, turns: int) -> None:
    plane = np.zeros((21, 21), dtype=np.uint8)
    plane[7:14, 7:14] = 1
    plane[7:9, 9:14] = plane[12:14, 7:12] = 0  # its centre stays that of the plane
    label = np.stack([plane, plane], -1)
    record = GRADED_RECORDS["rotation"] | {"direction": direction}
    np.testing.assert_array_equal(at(label, record, 90.0, (1.0, 1.0, 4.0)), np.rot90(label, turns, (0, 1)))
    assert (np.rot90(plane) != plane).any()


def test_rotation_respects_the_spacing() -> None:
    label = np.zeros((40, 40), dtype=np.uint8)
    label[10:30, 18:22] = 1  # 20 mm x 8 mm
    out = at(label, GRADED_RECORDS["rotation"], 90.0, (1.0, 2.0))
    assert out.any(1).sum() == 8
    assert out.any(0).sum() == 10


@pytest.mark.parametrize(("direction", "side"), [(1, 18), (-1, 8)])
def test_scaling_by_half_as_much_again(direction: int, side: int) -> None:
    label = np.zeros((30, 30, 5), dtype=np.uint8)
    label[9:21, 9:21, 1:4] = 1
    out = at(label, GRADED_RECORDS["enlarging"] | {"direction": direction}, 50.0, (1.0, 1.0, 2.0))
    assert voxels(out) == 3 * side * side
    assert bounding_box(out == 1) == (slice(15 - side // 2, 15 + side // 2),) * 2 + (slice(1, 4),)


def test_elastic_deformation_moves_the_border_but_keeps_the_volume() -> None:
    label = np.zeros((60, 60, 10), dtype=np.uint8)
    label[15:45, 15:45, 2:8] = 1
    changed, sizes = [], []
    for seed in range(10):
        out = at(label, GRADED_RECORDS["elastic"] | {"sigma_mm": 8.0, "seed": seed}, 2.0, (1.0, 1.0, 3.0))
        changed.append(int((out != label).sum()) / voxels(label))
        sizes.append(voxels(out) / voxels(label))
    assert min(changed) > 0.05
    assert np.mean(sizes) == pytest.approx(1.0, abs=0.05)


def test_a_part_that_moves_freely_stays() -> None:
    """A small structure may be moved off its old place, beside a neighbour."""
    label = np.zeros((30, 30), dtype=np.uint8)
    label[10:14, 10:14], label[10:14, 16:20] = 1, 2
    record = {"model": "shift", "structure": 1, "shift_mm": 10.0, "angle_degrees": 0.0, "axis": 1}
    assert (apply_noise(label, record, (1.0, 1.0)) == 1).sum() == 16
