"""Label noise as pure functions: closed forms, brute force and SciPy as oracles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from monai_selfcleanse.noise import functional as F

THICK = (1.5, 1.5, 10.0)
SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5)
LABELS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 2))
MASKS = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 1))
DISTANCES = st.floats(0.0, 6.0)

CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "erode": lambda label: F.erode_label(label, 1, 1.0, [1.0] * label.ndim),
    "erode with wobble": lambda label: F.erode_label(label, 1, 1.0, [1.0] * label.ndim, wobble_mm=0.5),
    "dilate": lambda label: F.dilate_label(label, 1, 2.0, [1.0] * label.ndim),
    "dilate with wobble": lambda label: F.dilate_label(label, 1, 2.0, [1.0] * label.ndim, wobble_mm=0.5),
    "drop structure": lambda label: F.drop_structure(label, 1),
    "drop slices": lambda label: F.drop_slices(label, 1, [0], 0),
    "drop components": lambda label: F.drop_components(label, 1, [0, 1]),
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
    np.testing.assert_array_equal(F.erode_label(label, 1, 1.0, [1.0] * label.ndim) == 1, expected)


@given(label=LABELS)
def test_dilation_by_one_voxel_is_binary_dilation_with_the_cross_into_background(label: np.ndarray) -> None:
    grown = ndimage.binary_dilation(label == 1, ndimage.generate_binary_structure(label.ndim, 1))
    expected = np.where(grown & (label == 0), 1, label)
    np.testing.assert_array_equal(F.dilate_label(label, 1, 1.0, [1.0] * label.ndim), expected)


@given(data=st.data(), label=LABELS, distance=DISTANCES)
def test_erosion_removes_what_is_near_the_outside(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    padded = np.pad(label == 1, 1)
    inside, outside = np.argwhere(padded), np.argwhere(~padded)
    expected = label.copy()
    if len(inside):
        gone = inside[nearest(inside, outside, spacing) <= distance] - 1
        expected[tuple(gone.T)] = 0
    np.testing.assert_array_equal(F.erode_label(label, 1, distance, spacing), expected)


@given(data=st.data(), label=MASKS, distance=DISTANCES)
def test_dilation_takes_background_near_the_structure(data: st.DataObject, label: np.ndarray, distance: float) -> None:
    spacing = data.draw(spacings(label.ndim))
    inside, background = np.argwhere(label == 1), np.argwhere(label == 0)
    expected = label.copy()
    if len(inside) and len(background):
        taken = background[nearest(background, inside, spacing) <= distance]
        expected[tuple(taken.T)] = 1
    np.testing.assert_array_equal(F.dilate_label(label, 1, distance, spacing), expected)


def test_erosion_inside_whole_volume_equals_the_distance_transform() -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((14, 13, 6)), 2.0) > 0
    expected = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=THICK)[1:-1, 1:-1, 1:-1] > 4.0
    assert 0 < expected.sum() < mask.sum()
    np.testing.assert_array_equal(F.erode_label(mask.astype(np.int16), 1, 4.0, THICK) == 1, expected)


@pytest.mark.parametrize(("distance", "slices_left"), [(3.0, 5), (9.9, 5), (10.0, 3), (20.0, 1)])
def test_thick_slices_go_only_from_their_own_thickness_on(distance: float, slices_left: int) -> None:
    label = np.zeros((61, 61, 7), dtype=np.uint8)
    label[5:56, 5:56, 1:6] = 1
    out = F.erode_label(label, 1, distance, THICK)
    assert out.any((0, 1)).sum() == slices_left


def test_erosion_of_3_mm_takes_two_voxels_of_1_5_mm_from_each_side() -> None:
    label = np.zeros((20, 20, 5), dtype=np.uint8)
    label[4:16, 4:16, 1:4] = 1
    expected = np.zeros_like(label)
    expected[6:14, 6:14, 1:4] = 1
    np.testing.assert_array_equal(F.erode_label(label, 1, 3.0, THICK), expected)


@pytest.mark.parametrize(("distance", "slices"), [(9.9, 3), (10.0, 5)])
def test_dilation_reaches_the_next_slice_from_its_thickness_on(distance: float, slices: int) -> None:
    label = np.zeros((30, 30, 7), dtype=np.uint8)
    label[10:20, 10:20, 2:5] = 1
    assert F.dilate_label(label, 1, distance, THICK).any((0, 1)).sum() == slices


@pytest.mark.parametrize("change", [F.erode_label, F.dilate_label])
def test_below_one_voxel_nothing_changes(change: Callable[..., np.ndarray]) -> None:
    label = block((9, 9, 5), 1, 4)
    np.testing.assert_array_equal(change(label, 1, 1.49, THICK), label)


def test_erosion_may_remove_the_structure_altogether() -> None:
    assert not F.erode_label(block((9, 9), 2, 7), 1, 3.0, (1.0, 1.0)).any()


@pytest.mark.parametrize("margin", [0, 3])
def test_enclosed_structure_cannot_grow(margin: int) -> None:
    label = np.full((7, 7), 2, dtype=np.uint8)
    label[2:5, 2:5] = 1
    label = np.pad(label, margin)  # background beyond the wall is out of reach, however near
    np.testing.assert_array_equal(F.dilate_label(label, 1, 5.0, (1.0, 1.0)), label)
    assert F.shift_for_dice(label, 1, 0.8, (1.0, 1.0), outwards=True) is None


@pytest.mark.parametrize("change", [F.erode_label, F.dilate_label])
def test_absent_structure_stays_absent(change: Callable[..., np.ndarray]) -> None:
    label = block((6, 6), 1, 4)
    np.testing.assert_array_equal(change(label, 7, 2.0, (1.0, 1.0), wobble_mm=0.5), label)


@pytest.mark.parametrize("change", [F.erode_label, F.dilate_label])
def test_wobble_follows_from_its_seed(change: Callable[..., np.ndarray]) -> None:
    label = block((24, 24), 6, 18)
    first, again, other = (change(label, 1, 2.0, (1.0, 1.0), wobble_mm=1.0, wobble_seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first != change(label, 1, 2.0, (1.0, 1.0))).any()


@pytest.mark.parametrize("change", [F.erode_label, F.dilate_label])
def test_wobble_does_not_depend_on_what_is_far_away(change: Callable[..., np.ndarray]) -> None:
    label = block((24, 24), 8, 16)
    wide = np.pad(label, 5)
    narrow_out = change(label, 1, 2.0, (1.0, 1.0), wobble_mm=0.5, wobble_seed=3)
    wide_out = change(wide, 1, 2.0, (1.0, 1.0), wobble_mm=0.5, wobble_seed=3)
    np.testing.assert_array_equal(wide_out, np.pad(narrow_out, 5))


@pytest.mark.parametrize("change", [F.erode_label, F.dilate_label])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_wobble_moves_the_border_by_a_few_times_its_amplitude_at_most(
    change: Callable[..., np.ndarray], size: int
) -> None:
    label = block((20, 20, 20), 6, 6 + size)
    amplitude, spacing = 0.1, (1.0, 1.0, 1.0)
    less, more = (int((change(label, 1, d, spacing) != label).sum()) for d in (1.5, 2.5))
    moved = [int((change(label, 1, 2.0, spacing, wobble_mm=amplitude, wobble_seed=s) != label).sum()) for s in range(8)]
    assert less <= min(moved)
    assert max(moved) <= more


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


def voxels_to_move(n: int, target: float, outwards: bool) -> int:
    """How many of ``n`` voxels lost, or gained, bring the Dice nearest to the target, by trying all."""
    m = np.arange(10 * n if outwards else n + 1)
    dice = 2 * n / (2 * n + m) if outwards else 2 * (n - m) / (2 * n - m)
    return int(np.argmin(np.abs(dice - target)))


@pytest.mark.parametrize("outwards", [False, True])
@pytest.mark.parametrize("target", [0.3, 0.5, 0.75, 0.9])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.5, 1.5, 3.0)])
def test_wobbly_shift_meets_the_dice_to_the_voxel(
    outwards: bool, target: float, spacing: tuple[float, float, float]
) -> None:
    label = block((30, 30, 12), 4, 9)
    change = F.dilate_label if outwards else F.erode_label
    for seed in range(8):
        distance = F.shift_for_dice(label, 1, target, spacing, outwards=outwards, wobble_mm=0.7, wobble_seed=seed)
        assert distance is not None
        out = change(label, 1, distance, spacing, wobble_mm=0.7, wobble_seed=seed)
        assert int((out != label).sum()) == voxels_to_move(125, target, outwards)


@pytest.mark.parametrize("outwards", [False, True])
@given(label=MASKS, target=st.floats(0.2, 1.0))
def test_shift_for_dice_is_the_smallest_that_moves_enough(outwards: bool, label: np.ndarray, target: float) -> None:
    spacing = [1.0, 1.5, 3.0][: label.ndim]
    distance = F.shift_for_dice(label, 1, target, spacing, outwards=outwards)
    n = int((label == 1).sum())
    n_moved = round(2 * n * (1 - target) / target if outwards else 2 * n * (1 - target) / (2 - target))
    if distance is None:
        assert n == 0 or (outwards and n_moved > (label == 0).sum())
        return
    change = F.dilate_label if outwards else F.erode_label
    moved = [int((change(label, 1, d, spacing) != label).sum()) for d in (distance, distance * (1 - 1e-9))]
    assert moved[0] >= n_moved
    assert n_moved == 0 or moved[1] < n_moved


@pytest.mark.parametrize("outwards", [False, True])
@pytest.mark.parametrize("wobble_mm", [0.0, 0.5])
def test_dice_of_one_changes_nothing(outwards: bool, wobble_mm: float) -> None:
    label = block((20, 20), 5, 15)
    change = F.dilate_label if outwards else F.erode_label
    for seed in range(8):
        wobble = {"wobble_mm": wobble_mm, "wobble_seed": seed}
        distance = F.shift_for_dice(label, 1, 1.0, (1.0, 1.0), outwards=outwards, **wobble)
        assert distance is not None
        np.testing.assert_array_equal(change(label, 1, distance, (1.0, 1.0), **wobble), label)


@pytest.mark.parametrize("outwards", [False, True])
def test_absent_structure_reaches_no_dice(outwards: bool) -> None:
    assert F.shift_for_dice(block((5, 5), 1, 3), 2, 0.5, (1.0, 1.0), outwards=outwards) is None


def test_structure_without_enough_background_reaches_no_dice() -> None:
    label = np.ones((6, 6), dtype=np.uint8)
    label[0, :5] = 0  # for 31 voxels, a Dice of 0.95 takes 3 more and 0.9 takes 7
    assert F.shift_for_dice(label, 1, 0.95, (1.0, 1.0), outwards=True) is not None
    assert F.shift_for_dice(label, 1, 0.90, (1.0, 1.0), outwards=True) is None


@pytest.mark.parametrize("target", [0.0, -0.1, 1.1, float("nan")])
def test_impossible_dice_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
        F.shift_for_dice(block((5, 5), 1, 3), 1, target, (1.0, 1.0), outwards=False)


def test_drop_structure_leaves_the_others() -> None:
    label = np.array([[0, 1, 2], [2, 1, 1]])
    np.testing.assert_array_equal(F.drop_structure(label, 1), [[0, 0, 2], [2, 0, 0]])


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_drop_slices_empties_these_slices_of_the_structure(axis: int) -> None:
    label = np.random.default_rng(0).integers(0, 3, (4, 5, 6))
    expected = label.copy()
    for index in (1, 3):
        where = [slice(None)] * 3
        where[axis] = index  # type: ignore[call-overload]
        part = expected[tuple(where)]
        part[part == 1] = 0
    np.testing.assert_array_equal(F.drop_slices(label, 1, [1, 3], axis), expected)


@given(label=LABELS, number=st.integers(0, 4))
def test_drop_components_takes_the_nth_largest_of_the_graph(label: np.ndarray, number: int) -> None:
    parts = components(label == 1)
    expected = label.copy()
    if number < len(parts):
        expected[tuple(parts[number].T)] = 0
    assert F.count_components(label == 1) == len(parts)
    np.testing.assert_array_equal(F.drop_components(label, 1, [number]), expected)


def test_voxels_that_share_a_corner_are_two_components() -> None:
    label = np.array([[1, 1, 0], [0, 0, 1]])
    np.testing.assert_array_equal(F.drop_components(label, 1, [1]), [[1, 1, 0], [0, 0, 0]])


def test_equal_components_are_numbered_by_position() -> None:
    label = np.array([[1, 0, 1, 0, 1]])
    np.testing.assert_array_equal(F.drop_components(label, 1, [1]), [[1, 0, 0, 0, 1]])


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
