"""From given label and prediction to a pseudo-label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_cleansing import plain_decision

from monai_selfcleanse.core.cleansing import (
    MIN_CONFIDENCE_NEIGHBOUR,
    MIN_SHARE_IN_OTHERS,
    ONE_SIDED_RATIO,
    cleanse_label,
    untrusted_voxels,
)

SHAPE = (4, 5)
MAPS = hnp.arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
CONFIDENCES = hnp.arrays(np.float32, SHAPE, elements=st.floats(0, 1, width=32))
SUSPECTS = st.lists(st.integers(1, 3), unique=True)
SURE = np.ones(6, dtype=np.float32)


def cleansed(
    given_label: Sequence[int], predicted: Sequence[int], suspected: Sequence[int]
) -> tuple[list[int], list[float]]:
    n = len(given_label)
    target, weight = cleanse_label(np.array(given_label), np.array(predicted), SURE[:n], suspected)
    return target.tolist(), weight.tolist()


@given(label=MAPS, predicted=MAPS, confidence=CONFIDENCES)
def test_without_suspects_the_label_is_kept(label: np.ndarray, predicted: np.ndarray, confidence: np.ndarray) -> None:
    target, weight = cleanse_label(label, predicted, confidence, [])
    np.testing.assert_array_equal(target, label)
    assert not np.shares_memory(target, label)
    assert (weight == 1).all()


@given(label=MAPS, predicted=MAPS, confidence=CONFIDENCES, suspected=SUSPECTS, least=st.floats(0, 1))
def test_laws(
    label: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, suspected: list[int], least: float
) -> None:
    before = label.copy(), predicted.copy(), confidence.copy()
    target, weight = cleanse_label(label, predicted, confidence, suspected, least)
    for array, copy in zip((label, predicted, confidence), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    assert (target.dtype, weight.dtype) == (label.dtype, np.float32)
    assert set(np.unique(weight)) <= {0.0, 1.0}
    # A voxel takes the given or the predicted value, and changes only where one of them is a suspect.
    changed = target != label
    np.testing.assert_array_equal(target[changed], predicted[changed])
    # What was given as a trusted structure goes only to one of which much is seen there.
    trusted = ~np.isin(label, [0, *suspected])
    for k in set(suspected):
        if (trusted & (predicted == k)).sum() <= MIN_SHARE_IN_OTHERS * (predicted == k).sum():
            trusted_loses = changed & trusted & (predicted == k)
            assert not trusted_loses.any()
        else:
            trusted = trusted & (predicted != k)
    spoken_of = np.isin(label, suspected) | np.isin(predicted, suspected)
    assert not changed[~spoken_of].any()
    assert (weight[~spoken_of] == 1).all()
    # What changes is what the network is sure of, and counts; surer yet where a trusted structure gains.
    beside = ~np.isin(predicted, [0, *suspected])
    sure = confidence >= np.where(beside, max(least, MIN_CONFIDENCE_NEIGHBOUR), least)
    assert sure[changed].all()
    assert (weight[changed] == 1).all()
    # A seen suspect comes out as predicted where the network is sure, but where its label errs to one side only.
    sure &= ~trusted
    surely_seen = {k for k in suspected if (sure & (predicted == k)).any()}
    for k in surely_seen:
        lacks, exceeds = ((predicted == k) & (label != k) & ~trusted).sum(), ((predicted != k) & (label == k)).sum()
        if exceeds <= ONE_SIDED_RATIO * lacks:
            assert (target[(predicted == k) & sure] == k).all()
        if max(lacks, exceeds) <= ONE_SIDED_RATIO * min(lacks, exceeds):
            assert (predicted[(target == k) & sure] == k).all()
        assert (target == k).any()
    for k in set(suspected) - surely_seen:
        stays = (label == k) & (target == k)
        assert (weight[stays] == (predicted == k)[stays]).all()


@given(label=MAPS, predicted=MAPS, confidence=CONFIDENCES, suspected=SUSPECTS, data=st.data())
def test_order_of_suspects_does_not_matter(
    label: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, suspected: list[int], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(suspected))
    for one, other in zip(
        cleanse_label(label, predicted, confidence, suspected),
        cleanse_label(label, predicted, confidence, shuffled),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("given_label", "predicted", "suspected", "target"),
    [
        ([1, 1, 0, 0], [0, 1, 1, 0], [1], [0, 1, 1, 0]),  # redrawn
        ([0, 0, 0, 0], [0, 1, 1, 0], [1], [0, 1, 1, 0]),  # restored
        ([2, 2, 0, 0], [0, 2, 2, 0], [1], [2, 2, 0, 0]),  # a trusted structure is left as it is
        ([0, 0, 0, 0, 2, 2], [1, 1, 1, 1, 1, 2], [1], [1, 1, 1, 1, 2, 2]),  # also at its border with a suspected one
        ([2, 2, 2, 2, 2, 0], [2, 1, 1, 2, 2, 0], [1], [2, 1, 1, 2, 2, 0]),  # but not where that was missed inside it
        ([2, 1, 2, 2, 2, 0], [2, 1, 1, 2, 2, 0], [1], [2, 1, 1, 2, 2, 0]),  # or drawn too small there
        ([2, 1, 2, 2, 2, 0], [2, 2, 2, 1, 2, 0], [1], [2, 2, 2, 1, 2, 0]),  # or in another place
        ([1, 1, 2, 2, 0, 0], [2, 2, 1, 1, 0, 0], [1], [2, 2, 1, 1, 0, 0]),  # or swapped with it
        ([1, 1, 0, 0], [2, 1, 0, 2], [1], [2, 1, 0, 0]),  # a trusted one takes over what the suspected one gives up
        ([1, 1, 2, 2], [2, 2, 1, 1], [1, 2], [2, 2, 1, 1]),  # swapped
    ],
)
def test_targets_by_hand(given_label: list[int], predicted: list[int], suspected: list[int], target: list[int]) -> None:
    assert cleansed(given_label, predicted, suspected) == (target, [1.0] * len(target))


@pytest.mark.parametrize(("beyond", "stays"), [(1, True), (2, False)])
def test_a_label_that_errs_to_one_side_is_believed_on_the_other(beyond: int, stays: bool) -> None:
    small, large = np.zeros(20, dtype=int), np.zeros(20, dtype=int)
    small[:6] = 1  # has 6 voxels, of which 1 or 2 lie outside the 5 or 4 + 6 of the other
    large[beyond : 6 + 6] = 1
    sure = np.ones(20)
    under_drawn, _ = cleanse_label(small, large, sure, [1])
    np.testing.assert_array_equal(under_drawn, small | large if stays else large)
    over_drawn, _ = cleanse_label(large, small, sure, [1])
    np.testing.assert_array_equal(over_drawn, small & large if stays else small)


@pytest.mark.parametrize("shared", [3, 4])
def test_a_label_in_the_wrong_place_is_not_believed(shared: int) -> None:
    """One voxel of a small label lies outside; it takes four times as many inside to believe it."""
    label, predicted = np.zeros(30, dtype=int), np.zeros(30, dtype=int)
    label[: 1 + shared] = 1
    predicted[1:20] = 1
    target, _ = cleanse_label(label, predicted, np.ones(30), [1])
    np.testing.assert_array_equal(target, predicted if shared == 3 else label | predicted)


@pytest.mark.parametrize("nested", [False, True])
def test_swapped_structures_of_unequal_size_are_swapped_back(nested: bool) -> None:
    predicted = np.zeros((40, 60), dtype=int)
    predicted[:, :40] = 1
    predicted[(slice(10, 20), slice(10, 20)) if nested else (slice(0, 10), slice(45, 55))] = 2
    label = np.array([0, 2, 1])[predicted]
    target, weight = cleanse_label(label, predicted, np.ones(label.shape), [1, 2])
    np.testing.assert_array_equal(target, predicted)
    assert weight.all()


def test_what_a_one_sided_label_is_believed_on_is_trusted() -> None:
    label, predicted = np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0]), np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    confidence = np.where(np.arange(10) == 1, 0.9, 0.5)  # somewhere it must be sure, or it is not seen
    assert untrusted_voxels(label, predicted, confidence, [1]).tolist() == [0] * 5 + [1] * 5


def test_unseen_suspect_stays_and_weighs_nothing() -> None:
    assert cleansed([1, 1, 0, 2], [0, 0, 0, 2], [1]) == ([1, 1, 0, 2], [0.0, 0.0, 1.0, 1.0])


def test_unseen_suspect_gives_way_to_a_seen_one() -> None:
    assert cleansed([1, 1, 0, 0], [2, 0, 2, 0], [1, 2]) == ([2, 1, 2, 0], [1.0, 0.0, 1.0, 1.0])


def test_given_label_stands_where_the_network_is_unsure() -> None:
    confidence = np.array([0.69, 0.7, 0.7, 0.69])
    target, weight = cleanse_label(np.array([1, 1, 1, 0]), np.array([0, 0, 1, 0]), confidence, [1], 0.7)
    assert target.tolist() == [1, 0, 1, 0]
    assert weight.tolist() == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize(("neighbour", "target"), [([], [1, 1, 2, 2]), ([2], [2, 1, 2, 2])])
def test_a_trusted_neighbour_grows_only_where_the_network_is_surer(neighbour: list[int], target: list[int]) -> None:
    """Its own label says that it ends there. One that is redrawn as well has no say."""
    confidence = np.array([0.89, 1.0, 0.9, 1.0])
    cleansed_label, _ = cleanse_label(np.array([1, 1, 1, 2]), np.array([2, 1, 2, 2]), confidence, [1, *neighbour])
    assert cleansed_label.tolist() == target
    untrusted = untrusted_voxels(np.array([1, 1, 1, 2]), np.array([2, 1, 2, 2]), confidence, [1, *neighbour])
    assert untrusted.tolist() == [not neighbour, False, False, False]


def test_a_suspect_that_the_network_is_sure_of_nowhere_is_not_deleted() -> None:
    """It is sure that the given place is background, and guesses at another."""
    confidence = np.array([0.9, 0.9, 0.6, 0.6, 0.9])
    target, weight = cleanse_label(np.array([1, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 0]), confidence, [1])
    assert target.tolist() == [1, 1, 1, 0, 0]
    assert weight.tolist() == [0.0, 0.0, 1.0, 1.0, 1.0]
    untrusted = untrusted_voxels(np.array([1, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 0]), confidence, [1])
    assert untrusted.tolist() == [True, True, False, True, False]


def test_what_may_not_be_drawn_says_nothing_of_which_side_a_label_errs_to() -> None:
    """Two voxels too many, nine too few, of which all lie in a trusted neighbour."""
    label, predicted = np.zeros(60, dtype=int), np.zeros(60, dtype=int)
    label[:40], label[40:60] = 1, 2
    predicted[2:49], predicted[49:] = 1, 2
    target, _ = cleanse_label(label, predicted, np.ones(60), [1])
    assert target.tolist() == [0] * 2 + [1] * 38 + [2] * 20


def test_the_end_slice_of_a_structure_that_is_sure_of_nowhere_is_the_annotators_word() -> None:
    given = np.zeros((6, 6, 8), dtype=np.uint8)
    given[1:5, 1:5, 2:6] = 1
    predicted = np.roll(given, 1, axis=0)
    predicted[..., 2] = 0
    _, weight = cleanse_label(given, predicted, np.full(given.shape, 0.5), [1])
    stays_unseen = (given == 1) & (predicted == 0)
    stays_unseen[..., 2] = False
    np.testing.assert_array_equal(weight == 0, stays_unseen)


def test_a_border_with_a_trusted_neighbour_is_no_voxel_to_distrust() -> None:
    label, predicted = np.array([0, 0, 0, 0, 2, 2]), np.array([1, 1, 1, 1, 1, 2])
    assert not untrusted_voxels(label, predicted, np.ones(6), [1]).any()


@pytest.mark.parametrize("wrong", range(3))
def test_shapes_must_agree(wrong: int) -> None:
    arrays = [np.zeros((3, 3)) for _ in range(3)]
    arrays[wrong] = np.zeros((3, 2))
    with pytest.raises(ValueError, match="must be of one shape"):
        cleanse_label(*arrays, [1])


@given(data=st.data(), suspected=SUSPECTS, least=st.sampled_from([0.0, 0.5, 0.65, 0.95, 1.0]))
def test_boxes_change_nothing_about_what_is_redrawn(data: st.DataObject, suspected: list[int], least: float) -> None:
    shape = data.draw(st.sampled_from([(9,), (6, 7), (6, 5, 4), (0, 3)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 16)))
    label = rng.integers(0, 4, shape).astype(np.uint8)
    label[rng.random(shape) < 0.5] = 0
    predicted = np.where(rng.random(shape) < data.draw(st.sampled_from([0.1, 0.5])), rng.integers(0, 4, shape), label)
    confidence = rng.choice(np.array([0.3, 0.5, 0.65, 0.9, 1], np.float32), shape)
    redrawn, unsure, kept = plain_decision(label, predicted, confidence, suspected, least)
    target, weight = cleanse_label(label, predicted, confidence, suspected, least)
    np.testing.assert_array_equal(target, np.where(redrawn, predicted, label))
    np.testing.assert_array_equal(weight == 0, kept & (target == label))
    expected = (unsure & (label != predicted)) | (kept & ~redrawn)
    np.testing.assert_array_equal(untrusted_voxels(label, predicted, confidence, suspected, least), expected)


@pytest.mark.parametrize(("more", "redrawn"), [(1, False), (2, True)])
def test_one_slice_more_at_an_end_is_the_annotators_word(more: int, redrawn: bool) -> None:
    given = np.zeros((6, 6, 8), dtype=np.uint8)
    given[1:5, 1:5, 3:6] = 1
    predicted = given.copy()
    predicted[2:5, 1:5, 3:6] = 1
    predicted[1, 1:5, 3:6] = 0
    predicted[1:5, 1:5, 3 - more : 3] = 1
    target, weight = cleanse_label(given, predicted, np.ones(given.shape), [1])
    np.testing.assert_array_equal(target[..., 3:], predicted[..., 3:])
    np.testing.assert_array_equal(target[..., :3], predicted[..., :3] if redrawn else given[..., :3])
    assert weight.all()


@given(label=MAPS, predicted=MAPS, confidence=CONFIDENCES, suspected=SUSPECTS, least=st.floats(0, 1))
def test_untrusted_voxels_are_what_the_cleanser_can_neither_mend_nor_believe(
    label: np.ndarray, predicted: np.ndarray, confidence: np.ndarray, suspected: list[int], least: float
) -> None:
    untrusted = untrusted_voxels(label, predicted, confidence, suspected, least)
    target, weight = cleanse_label(label, predicted, confidence, suspected, least)
    assert untrusted[weight == 0].all()
    np.testing.assert_array_equal(target[untrusted], label[untrusted])
    assert (label != predicted)[untrusted].all()
    assert (np.isin(label, suspected) | np.isin(predicted, suspected))[untrusted].all()


def test_untrusted_voxels_by_hand() -> None:
    label, predicted = np.array([1, 1, 0, 0, 2, 3, 3]), np.array([1, 0, 1, 1, 0, 0, 3])
    confidence = np.array([0.5, 0.5, 0.5, 0.9, 0.5, 0.5, 0.5])
    assert untrusted_voxels(label, predicted, confidence, [1, 2]).tolist() == [0, 1, 1, 0, 1, 0, 0]
