"""The strength that leaves a wanted Dice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from noise_scenes import (
    GRADED_RECORDS,
    MASKS,
    SPACING,
    at,
    block,
    border,
    erode,
    every_graded,
    nearest,
    scene,
)

from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.noise.search import magnitude_for_dice


@every_graded
@pytest.mark.parametrize("target", [0.95, 0.8, 0.65])
def test_wanted_dice_is_left(record: dict, target: float) -> None:
    label = scene()
    found = magnitude_for_dice(label, record, SPACING, target)
    if record["model"] in ("polygon", "rotation", "extension") and target < 0.8:
        return  # out of reach: a triangle is left, the L upside down covers much of itself, the volume ends
    assert found is not None
    left = dice(at(label, record, found[0]) == 1, label == 1)
    assert left == pytest.approx(found[1])
    regular = record["model"] in ("erosion", "dilation", "polygon", "shift", "scaling", "smoothing")
    assert abs(left - target) <= (0.1 if regular else 0.01)  # whole rims of this small scene go at once


@pytest.mark.slow
@pytest.mark.parametrize("name", ["polygon", "smoothing", "shift", "rotation", "shrinking", "enlarging"])
def test_wanted_dice_is_left_of_a_tall_structure(name: str) -> None:
    """Whose slices are not all looked at in the search."""
    size = 36 + 18 * np.sin(np.arange(60) / 9)
    x, y = np.mgrid[-120:121, -60:61]
    label = np.stack([np.hypot(x / 2, y) <= s for s in size], -1).astype(np.uint8)
    spacing = (1.0, 1.0, 2.0)
    target = 0.95 if name == "polygon" else 0.85
    found = magnitude_for_dice(label, GRADED_RECORDS[name], spacing, target)
    assert found is not None
    assert found[1] == pytest.approx(target, abs=0.005)
    left = dice(at(label, GRADED_RECORDS[name], found[0], spacing) == 1, label == 1)
    assert left == pytest.approx(target, abs=0.01)


def test_dice_of_one_changes_nothing() -> None:
    for record in GRADED_RECORDS.values():
        assert magnitude_for_dice(scene(), record, SPACING, 1.0) == (0.0, 1.0)


@given(label=MASKS, target=st.floats(0.2, 0.99))
def test_erosion_reaches_the_nearest_dice_there_is(label: np.ndarray, target: float) -> None:
    spacing = [1.0, 1.5, 3.0][: label.ndim]
    found = magnitude_for_dice(label, border("erosion"), spacing, target, tolerance=0.0)
    if not label.any():
        assert found is None
        return
    padded = np.pad(label == 1, 1)
    steps = np.unique(nearest(np.argwhere(padded), np.argwhere(~padded), spacing))
    every = [dice(erode(label, d, spacing) == 1, label == 1) for d in steps]
    possible = [d for d in every if 0 < d < 1]
    if not possible:  # it leaps from untouched to gone
        assert found is None
        return
    assert found is not None
    reached = dice(erode(label, found[0], spacing) == 1, label == 1)
    assert reached == pytest.approx(found[1])
    assert abs(reached - target) == pytest.approx(min(abs(d - target) for d in possible), abs=1e-9)


def test_structure_without_enough_background_reaches_no_dice() -> None:
    label = np.ones((6, 6), dtype=np.uint8)
    label[0, :5] = 0  # for 31 voxels, a Dice of 0.95 takes 3 more and 0.9 takes 7
    assert magnitude_for_dice(label, border("dilation"), (1.0, 1.0), 0.95) is not None
    assert magnitude_for_dice(label, border("dilation"), (1.0, 1.0), 0.90) is None


def test_disc_cannot_be_rotated_to_a_low_dice() -> None:
    y, x = np.mgrid[-12:13, -12:13]
    disc = (x**2 + y**2 <= 81).astype(np.uint8)
    assert magnitude_for_dice(disc, GRADED_RECORDS["rotation"], (1.0, 1.0), 0.7) is None


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_dice_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        magnitude_for_dice(block((5, 5), 1, 3), border("erosion"), (1.0, 1.0), target)
