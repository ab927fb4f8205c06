"""Label noise as pure functions: closed forms, brute force and SciPy as oracles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from monai_selfcleanse.noise import apply_noise
from monai_selfcleanse.core import masks as F
from monai_selfcleanse.noise.canvas import Canvas
from monai_selfcleanse.noise.missing import count_components
from monai_selfcleanse.noise.models import GRADED
from monai_selfcleanse.noise.search import magnitude_for_dice

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


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "erode": lambda label: erode(label, 1.0, [1.0] * label.ndim),
    "erode with wobble": lambda label: erode(label, 1.0, [1.0] * label.ndim, wobble=0.25),
    "dilate": lambda label: dilate(label, 2.0, [1.0] * label.ndim),
    "dilate with wobble": lambda label: dilate(label, 2.0, [1.0] * label.ndim, wobble=0.25),
    "drop structure": lambda label: drop(label, "structure"),
    "drop slices": lambda label: drop(label, "slices", slices=[0], axis=0, gap="empty"),
    "drop components": lambda label: drop(label, "components", components=[0, 1]),
}


def spacings(ndim: int) -> st.SearchStrategy[list[float]]:
    return st.lists(st.sampled_from([0.5, 1.0, 1.5, 10.0]), min_size=ndim, max_size=ndim)


def nearest(points: np.ndarray, others: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance (mm) of each point to the nearest of the others, by looking at all of them."""
    return cdist(points * np.array(spacing), others * np.array(spacing)).min(1)


def block(shape: Sequence[int], low: int, high: int) -> np.ndarray:
    label = np.zeros(shape, dtype=np.uint8)
    label[(slice(low, high),) * len(shape)] = 1
    return label


def components(mask: np.ndarray) -> list[np.ndarray]:
    """Voxels of each face-connected component, largest first, from a graph of all pairs of voxels."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return []
    n, part = connected_components(cdist(voxels, voxels, "cityblock") == 1)
    parts = [voxels[part == i] for i in range(n)]
    return sorted(parts, key=lambda p: (-len(p), p.tolist()[0]))


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


@given(label=LABELS)
def test_erosion_by_one_voxel_is_binary_erosion_with_the_cross(label: np.ndarray) -> None:
    mask = label == 1
    expected = ndimage.binary_erosion(mask, ndimage.generate_binary_structure(label.ndim, 1))
    np.testing.assert_array_equal(erode(label, 1.0, [1.0] * label.ndim) == 1, expected)


@given(label=LABELS)
def test_dilation_by_one_voxel_is_binary_dilation_with_the_cross_into_background(label: np.ndarray) -> None:
    grown = ndimage.binary_dilation(label == 1, ndimage.generate_binary_structure(label.ndim, 1))
    expected = np.where(grown & (label == 0), 1, label)
    np.testing.assert_array_equal(dilate(label, 1.0, [1.0] * label.ndim), expected)


@given(data=st.data(), label=LABELS, distance=DISTANCES)
def test_erosion_removes_what_is_near_the_outside(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    padded = np.pad(label == 1, 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    expected = label.copy()
    if len(inside):
        gone = inside[nearest(inside, outside, spacing) <= distance] - 1
        expected[tuple(gone.T)] = 0
    np.testing.assert_array_equal(erode(label, distance, spacing), expected)


@given(data=st.data(), label=MASKS, distance=DISTANCES)
def test_dilation_takes_background_near_the_structure(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    inside, background = np.argwhere(label == 1), np.argwhere(label == 0)
    expected = label.copy()
    if len(inside) and len(background):
        taken = background[nearest(background, inside, spacing) <= distance]
        expected[tuple(taken.T)] = 1
    np.testing.assert_array_equal(dilate(label, distance, spacing), expected)


def test_erosion_inside_whole_volume_equals_the_distance_transform() -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((14, 13, 6)), 2.0) > 0
    expected = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=THICK)[1:-1, 1:-1, 1:-1] > 4.0
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(erode(mask.astype(np.int16), 4.0, THICK) == 1, expected)


@pytest.mark.parametrize(("distance", "slices_left"), [(3.0, 5), (9.9, 5), (10.0, 3), (20.0, 1)])
def test_thick_slices_go_only_from_their_own_thickness_on(distance: float, slices_left: int) -> None:
    label = np.zeros((61, 61, 7), dtype=np.uint8)
    label[5:56, 5:56, 1:6] = 1
    out = erode(label, distance, THICK)
    assert out.any((0, 1)).sum() == slices_left


def test_erosion_of_3_mm_takes_two_voxels_of_1_5_mm_from_each_side() -> None:
    label = np.zeros((20, 20, 5), dtype=np.uint8)
    label[4:16, 4:16, 1:4] = 1
    expected = np.zeros_like(label)
    expected[6:14, 6:14, 1:4] = 1
    np.testing.assert_array_equal(erode(label, 3.0, THICK), expected)


@pytest.mark.parametrize(("distance", "slices"), [(9.9, 3), (10.0, 5)])
def test_dilation_reaches_the_next_slice_from_its_thickness_on(distance: float, slices: int) -> None:
    label = np.zeros((30, 30, 7), dtype=np.uint8)
    label[10:20, 10:20, 2:5] = 1
    assert dilate(label, distance, THICK).any((0, 1)).sum() == slices


@both
def test_below_one_voxel_nothing_changes(change: Callable[..., np.ndarray]) -> None:
    label = block((9, 9, 5), 1, 4)
    np.testing.assert_array_equal(change(label, 1.49, THICK), label)


def test_erosion_may_remove_the_structure_altogether() -> None:
    assert not erode(block((9, 9), 2, 7), 3.0, (1.0, 1.0)).any()


@pytest.mark.parametrize("margin", [0, 3])
def test_enclosed_structure_cannot_grow(margin: int) -> None:
    label = np.full((7, 7), 2, dtype=np.uint8)
    label[2:5, 2:5] = 1
    label = np.pad(label, margin)  # background beyond the wall is out of reach, however near
    np.testing.assert_array_equal(dilate(label, 5.0, (1.0, 1.0)), label)
    assert magnitude_for_dice(label, border("dilation"), (1.0, 1.0), 0.8) is None


@both
def test_wobble_moves_the_border_by_a_few_times_its_amplitude_at_most(change: Callable[..., np.ndarray]) -> None:
    label, spacing = block((20, 20, 20), 6, 14), (1.0, 1.0, 1.0)
    less, more = (int((change(label, d, spacing) != label).sum()) for d in (2 / 1.3, 2 / 0.7))
    moved = [int((change(label, 2.0, spacing, wobble=0.1, seed=s) != label).sum()) for s in range(8)]
    assert less <= min(moved)
    assert max(moved) <= more
    assert len(set(moved)) > 1


@both
def test_jitter_moves_each_slice_by_one_distance_of_its_own(change: Callable[..., np.ndarray]) -> None:
    label = np.zeros((40, 40, 12), dtype=np.uint8)
    label[12:28, 12:28] = 1  # in every slice, so that nothing moves along the third axis
    out = change(label, 4.0, (1.0, 1.0, 1000.0), jitter=0.3, seed=1)
    single = [change(label[..., 0], d, (1.0, 1.0)) for d in np.arange(0.2, 12, 0.04)]
    widths = []
    for z in range(12):
        matches = [i for i, s in enumerate(single) if (s == out[..., z]).all()]
        assert matches
        widths.append(matches[0])
    assert len(set(widths)) > 2


def voxels(label: np.ndarray, structure: int = 1) -> int:
    return int(np.count_nonzero(label == structure))


@pytest.mark.parametrize(
    ("shape", "low", "high", "spacing", "radius"),
    [
        ((7, 7), 1, 6, (1.0, 1.0), 3.0),
        ((7, 7, 7), 1, 6, THICK, 4.5),
        ((9, 9, 5), 1, 2, (1.0, 2.0, 3.0), 1.0),
        ((3, 3), 0, 3, (1.0, 1.0), 2.0),  # the whole volume: beyond its edge is outside
        ((5, 5), 0, 0, (1.0, 1.0), 0.0),
    ],
)
def test_inscribed_radius_by_hand(
    shape: tuple[int, ...], low: int, high: int, spacing: tuple[float, ...], radius: float
) -> None:
    assert F.inscribed_radius(block(shape, low, high), 1, spacing) == radius


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


def test_every_graded_model_is_tested() -> None:
    assert {record["model"] for record in GRADED_RECORDS.values()} == set(GRADED)


@every_graded
def test_magnitude_of_zero_changes_nothing(record: dict) -> None:
    np.testing.assert_array_equal(at(scene(), record, 0.0), scene())


@every_graded
@pytest.mark.parametrize("target", [0.95, 0.8, 0.65])
def test_wanted_dice_is_left(record: dict, target: float) -> None:
    label = scene()
    found = magnitude_for_dice(label, record, SPACING, target)
    if record["model"] in ("polygon", "rotation", "extension") and target < 0.8:
        return  # out of reach: a triangle is left, the L upside down covers much of itself, the volume ends
    assert found is not None
    left = F.dice(at(label, record, found[0]) == 1, label == 1)
    assert left == pytest.approx(found[1])
    regular = record["model"] in ("erosion", "dilation", "polygon", "shift", "scaling", "smoothing")
    assert abs(left - target) <= (0.1 if regular else 0.01)  # whole rims of this small scene go at once


@every_graded
@pytest.mark.parametrize("magnitude", [0.7, 2.0])
def test_what_is_far_away_has_no_say(record: dict, magnitude: float) -> None:
    wide = np.pad(scene(), ((7, 2), (3, 9), (0, 0)))
    wide[0, 0] = 5
    expected = np.pad(at(scene(), record, magnitude), ((7, 2), (3, 9), (0, 0)))
    expected[0, 0] = 5
    np.testing.assert_array_equal(at(wide, record, magnitude), expected)


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
    left = F.dice(at(label, GRADED_RECORDS[name], found[0], spacing) == 1, label == 1)
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
    every = [F.dice(erode(label, d, spacing) == 1, label == 1) for d in steps]
    possible = [d for d in every if 0 < d < 1]
    if not possible:  # it leaps from untouched to gone
        assert found is None
        return
    assert found is not None
    reached = F.dice(erode(label, found[0], spacing) == 1, label == 1)
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


def test_record_without_a_parameter_is_refused() -> None:
    with pytest.raises(ValueError, match="record of a shift lacks 'angle_degrees'"):
        apply_noise(scene(), {"model": "shift", "structure": 1, "shift_mm": 1.0, "axis": 2}, SPACING)


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
    assert F.bounding_box(out == 1) == (slice(15 - side // 2, 15 + side // 2),) * 2 + (slice(1, 4),)


def test_smoothing_is_a_gaussian_in_each_slice_and_a_threshold() -> None:
    label = scene()
    expected = np.where(label == 2, 2, 0)
    for z in range(label.shape[2]):
        smooth = ndimage.gaussian_filter((label[..., z] == 1).astype(float), (3.0, 3.0 / 1.25), truncate=3.0)
        expected[..., z][(smooth >= 0.5) & (expected[..., z] == 0)] = 1
    out = at(label, GRADED_RECORDS["smoothing"], 3.0)
    assert int((out != expected).sum()) <= 2  # single precision against double
    assert (out != label).any()


def test_polygon_cuts_a_notch_up_to_its_tolerance() -> None:
    label = block((30, 30), 5, 25)
    label[5:8, 14:16] = 0
    whole, record = block((30, 30), 5, 25), GRADED_RECORDS["polygon"]
    np.testing.assert_array_equal(at(label, record, 0.4, (1.0, 1.0)), label)
    assert int((at(label, record, 4.0, (1.0, 1.0)) != whole).sum()) <= 4  # contours cut the corners of a block


def test_polygon_keeps_holes() -> None:
    label = block((30, 30), 4, 26)
    label[10:20, 10:20] = 0
    np.testing.assert_array_equal(at(label, GRADED_RECORDS["polygon"], 0.8, (1.0, 1.0)), label)


def test_one_knot_moves_the_whole_contour() -> None:
    label = np.zeros((41, 41, 4), dtype=np.uint8)
    label[14:27, 14:27] = 1
    out = at(label, GRADED_RECORDS["contour_knots"] | {"knots": 1}, 2.0, (1.0, 1.0, 5.0))
    sides = set()
    for z in range(4):
        box = F.bounding_box(out[..., z] == 1)
        assert box is not None
        assert box[0] == box[1]
        sides.add(box[0].stop - box[0].start)
        assert out[box[0].start, 20, z] == out[20, box[1].stop - 1, z] == 1
    assert len(sides) > 1


def test_knots_offset_has_the_wanted_spread() -> None:
    label = np.zeros((61, 61, 150), dtype=np.uint8)
    label[20:41, 20:41] = 1
    out = at(label, GRADED_RECORDS["contour_knots"] | {"knots": 1}, 3.0, (1.0, 1.0, 5.0))
    offsets = [(int(out[:, 30, z].sum()) - 21) / 2 for z in range(150)]
    assert np.std(offsets) == pytest.approx(3.0, rel=0.2)
    assert abs(np.mean(offsets)) < 1.0


@pytest.mark.parametrize("steps", [1, 3])
def test_certain_walk_is_binary_erosion_or_dilation_of_each_slice(steps: int) -> None:
    label, cross = scene(), ndimage.generate_binary_structure(2, 1)[..., None]
    record = GRADED_RECORDS["markov_walk"] | {"flip": 1.0}
    shrunk = at(label, record | {"growth": 0.0}, steps) == 1
    np.testing.assert_array_equal(shrunk, ndimage.binary_erosion(label == 1, cross, steps))
    grown = at(label, record | {"growth": 1.0}, steps) == 1
    np.testing.assert_array_equal(grown, ndimage.binary_dilation(label == 1, cross, steps, mask=label != 2))


def test_walk_takes_the_wanted_share_of_the_border() -> None:
    label = block((60, 60, 9), 5, 55)
    label[..., 1:] = label[..., :1] | 1 * (np.pad(np.ones((50, 50)), 5) > 0)[..., None]
    out = at(label, GRADED_RECORDS["markov_walk"] | {"growth": 0.0, "flip": 0.3}, 1)
    rim = voxels(label) - int(
        ndimage.binary_erosion(label == 1, ndimage.generate_binary_structure(2, 1)[..., None]).sum()
    )
    assert (voxels(label) - voxels(out)) / rim == pytest.approx(0.3, abs=0.05)


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


@pytest.mark.parametrize(("slices", "in_middle"), [(None, True), ([0, 1], False)])
def test_swap_trades_places(slices: list[int] | None, in_middle: bool) -> None:
    label = scene()
    out = apply_noise(label, {"model": "swap", "structure": 1, "other": 2, "slices": slices, "axis": 0}, SPACING)
    swapped = np.where(label == 1, 2, np.where(label == 2, 1, 0))
    np.testing.assert_array_equal(out[:2], swapped[:2])
    np.testing.assert_array_equal(out[2:], (swapped if in_middle else label)[2:])


def cone() -> np.ndarray:
    """Discs whose radius falls by 1.5 a slice: between any two, their signed distance is the mean of theirs."""
    y, x = np.mgrid[-20:21, -20:21]
    return np.stack([np.hypot(x, y) <= 18 - 1.5 * z for z in range(9)], -1).astype(np.uint8)


def test_interpolated_gap_is_the_shape_between() -> None:
    dropped = [1, 2, 3, 5, 7, 8]
    out = drop(cone(), "slices", slices=dropped, axis=2, gap="interpolated")
    np.testing.assert_array_equal(out[..., [0, 4, 6]], cone()[..., [0, 4, 6]])
    for z in (1, 2, 3, 5):
        assert F.dice(out[..., z] == 1, cone()[..., z] == 1) > 0.95
    assert not out[..., 7:].any()  # beyond the last slice that is kept there is nothing to go by
    assert not drop(cone(), "slices", slices=dropped, axis=2, gap="empty")[..., dropped].any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.5, 4.0)])
def test_hausdorff_distance_of_shifted_blocks(spacing: tuple[float, float, float]) -> None:
    a = block((20, 20, 20), 4, 10) == 1
    assert F.hausdorff95(a, np.roll(a, 3, 2), spacing) == pytest.approx(3 * spacing[2])
    assert F.hausdorff95(a, a, spacing) == 0.0
    assert F.hausdorff95(a, a & ~a, spacing) == float("inf")
    assert F.hausdorff95(a & ~a, a & ~a, spacing) == 0.0


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


def test_dice_by_hand() -> None:
    a, b = np.array([1, 1, 1, 0], dtype=bool), np.array([0, 1, 1, 0], dtype=bool)
    assert F.dice(a, b) == 0.8
    assert F.dice(a, ~a) == 0.0
    assert F.dice(a & ~a, b & ~b) == 1.0


def test_generator_depends_on_all_of_seed_case_and_name() -> None:
    keys = [(0, "a", "x"), (1, "a", "x"), (0, "b", "x"), (0, "a", "y"), (11, "", "x"), (1, "1", "x"), (1, "", "1x")]
    assert len({F.case_generator(*key).random() for key in keys}) == len(keys)


def test_generator_is_the_same_in_every_process_and_version() -> None:
    # Once published, the splits and the noise of a seed must not change.
    assert F.case_generator(0, "patient001", "split").bit_generator.random_raw() == 8206323797547999195


@pytest.mark.parametrize("distance", [2.0, 3.0, 4.0, 5.0, 6.0])
def test_dilation_leaves_what_is_nearer_to_another_structure(distance: float) -> None:
    """However far that one is."""
    label = np.zeros((24, 5), dtype=np.uint8)
    label[:3], label[9:] = 1, 2
    grown = apply_noise(label, border("dilation") | {"distance_mm": distance}, (1.0, 1.0))
    assert (grown[:, 2] == 1).sum() == 3 + min(distance, 3)  # row 6 is as near to either, and belongs to the asking one


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


def test_a_part_that_moves_freely_stays() -> None:
    """A small structure may be moved off its old place, beside a neighbour."""
    label = np.zeros((30, 30), dtype=np.uint8)
    label[10:14, 10:14], label[10:14, 16:20] = 1, 2
    record = {"model": "shift", "structure": 1, "shift_mm": 10.0, "angle_degrees": 0.0, "axis": 1}
    assert (apply_noise(label, record, (1.0, 1.0)) == 1).sum() == 16


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
