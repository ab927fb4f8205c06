"""What all models of label noise share, and swaps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from noise_scenes import (
    GRADED_RECORDS,
    LABELS,
    SPACING,
    at,
    border,
    dilate,
    drop,
    erode,
    every_graded,
    scene,
)

from monai_selfcleanse.noise import apply_noise
from monai_selfcleanse.noise.canvas import Canvas
from monai_selfcleanse.noise.models import GRADED
from monai_selfcleanse.noise.search import magnitude_for_dice

CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "erode": lambda label: erode(label, 1.0, [1.0] * label.ndim),
    "erode with wobble": lambda label: erode(label, 1.0, [1.0] * label.ndim, wobble=0.25),
    "dilate": lambda label: dilate(label, 2.0, [1.0] * label.ndim),
    "dilate with wobble": lambda label: dilate(label, 2.0, [1.0] * label.ndim, wobble=0.25),
    "drop structure": lambda label: drop(label, "structure"),
    "drop slices": lambda label: drop(label, "slices", slices=[0], axis=0, gap="empty"),
    "drop components": lambda label: drop(label, "components", components=[0, 1]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
@given(label=LABELS)
def test_change_touches_its_structure_and_background_alone(
    change: Callable[[np.ndarray], np.ndarray], label: np.ndarray
) -> None:
    before = label.copy()
    out = change(label)
    np.testing.assert_array_equal(label, before)
    assert not np.shares_memory(out, label)
    assert (out.dtype, out.shape) == (label.dtype, label.shape)
    changed = out != label
    assert set(label[changed]) | set(out[changed]) <= {0, 1}


def test_every_graded_model_is_tested() -> None:
    assert {record["model"] for record in GRADED_RECORDS.values()} == set(GRADED)


@every_graded
def test_magnitude_of_zero_changes_nothing(record: dict) -> None:
    np.testing.assert_array_equal(at(scene(), record, 0.0), scene())


@every_graded
@pytest.mark.parametrize("magnitude", [0.7, 2.0])
def test_what_is_far_away_has_no_say(record: dict, magnitude: float) -> None:
    wide = np.pad(scene(), ((7, 2), (3, 9), (0, 0)))
    wide[0, 0] = 5
    expected = np.pad(at(scene(), record, magnitude), ((7, 2), (3, 9), (0, 0)))
    expected[0, 0] = 5
    np.testing.assert_array_equal(at(wide, record, magnitude), expected)


@pytest.mark.slow
@every_graded
@pytest.mark.parametrize("magnitude", [1.3, 5.0, 11.0, 40.0])
def test_canvas_is_large_enough(record: dict, magnitude: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole volume as canvas gives the same as the box that a model asks for."""
    label = np.pad(scene(), ((60, 60), (60, 60), (5, 5)))
    boxed, around = at(label, record, magnitude), Canvas.around
    monkeypatch.setattr(Canvas, "around", lambda *arguments: around(*arguments[:-1], label.shape))
    np.testing.assert_array_equal(boxed, at(label, record, magnitude))


@every_graded
def test_others_keep_their_voxels(record: dict) -> None:
    label = scene()
    for magnitude in (1.0, 6.0):
        out = at(label, record, magnitude)
        np.testing.assert_array_equal(out == 2, label == 2)
        assert set(np.unique(out)) <= {0, 1, 2}


@every_graded
def test_absent_structure_stays_absent(record: dict) -> None:
    np.testing.assert_array_equal(at(scene(), record | {"structure": 7}, 2.0), scene())
    assert magnitude_for_dice(scene(), record | {"structure": 7}, SPACING, 0.5) is None


@pytest.mark.parametrize("name", ["irregular erosion", "irregular dilation", "contour_knots", "markov_walk", "elastic"])
def test_outline_follows_from_the_seed(name: str) -> None:
    record = GRADED_RECORDS[name]
    first, again, other = (at(scene(), record | {"seed": seed}, 3.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_record_without_a_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="record of a shift lacks 'angle_degrees'"):
        apply_noise(scene(), {"model": "shift", "structure": 1, "shift_mm": 1.0, "axis": 2}, SPACING)


@pytest.mark.parametrize(("slices", "in_middle"), [(None, True), ([0, 1], False)])
def test_swap_trades_places(slices: list[int] | None, in_middle: bool) -> None:
    label = scene()
    out = apply_noise(label, {"model": "swap", "structure": 1, "other": 2, "slices": slices, "axis": 0}, SPACING)
    swapped = np.where(label == 1, 2, np.where(label == 2, 1, 0))
    np.testing.assert_array_equal(out[:2], swapped[:2])
    np.testing.assert_array_equal(out[2:], (swapped if in_middle else label)[2:])


@pytest.mark.parametrize("name", ["contour_knots", "elastic", "shift", "rotation", "enlarging", "smoothing", "polygon"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_nothing_leaps_over_its_neighbours(name: str, ndim: int) -> None:
    y, x = np.mgrid[-30:31, -30:31]
    plane = np.select([np.hypot(x, y) < 9, np.hypot(x, y) < 12], [1, 2]).astype(np.uint8)
    label = plane if ndim == 2 else np.repeat(plane[..., None], 3, 2)
    record = GRADED_RECORDS[name] | {"axis": ndim - 1}
    found = magnitude_for_dice(label, record, (1.0,) * ndim, 0.7)
    strong = {"contour_knots": 4.0, "elastic": 6.0, "shift": 6.0, "rotation": 45.0, "enlarging": 80.0}
    noisy = at(label, record, found[0] if found else strong.get(name, 4.0), (1.0,) * ndim)
    beyond = np.hypot(x, y) >= 12
    assert not (noisy[beyond] == 1).any()


@pytest.mark.parametrize(
    "record",
    [
        {"model": "erosion", "distance_mm": 1.0},
        {"model": "swap", "structure": 1, "other": 2, "slices": [99], "axis": 2},
        border("erosion") | {"distance_mm": "x"},
    ],
)
def test_record_that_does_not_fit_is_refused(record: dict) -> None:
    with pytest.raises(ValueError, match="the record of a"):
        apply_noise(scene(), record, SPACING)
