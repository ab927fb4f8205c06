"""Strays: pieces of a prediction that are not where the structure is."""

from __future__ import annotations

from collections import deque
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.core.evidence import stack_evidence
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.prediction import condensed
from monai_selfcleanse.core.strays import find_strays, is_in_one_piece, largest_shares, without_strays

SPACING = (1.0, 1.0, 5.0)


def blobs(*boxes: tuple[int, int], structure: int = 1) -> np.ndarray:
    """An index map with a square from ``low`` to ``high`` in four slices for each box."""
    out = np.zeros((30, 30, 6), int)
    for low, high in boxes:
        out[low:high, low:high, 1:5] = structure
    return out


def pieces_of(mask: np.ndarray) -> list[set[tuple[int, ...]]]:
    """The pieces of a mask by a flood fill, voxels that one other parts at most together."""
    left, out = {tuple(map(int, at)) for at in np.argwhere(mask)}, []
    while left:
        piece, queue = set(), deque([left.pop()])
        while queue:
            at = queue.popleft()
            piece.add(at)
            for step in product(range(-2, 3), repeat=mask.ndim):
                near = tuple(a + s for a, s in zip(at, step, strict=True))
                if near in left:
                    left.remove(near)
                    queue.append(near)
        out.append(piece)
    return out


@given(seed=st.integers(0, 999), ndim=st.sampled_from([2, 3]), share=st.floats(0.005, 0.1))
def test_strays_are_the_pieces_that_the_label_does_not_have_but_for_the_largest(
    seed: int, ndim: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    shape = (19, 17, 4)[:ndim]
    label, predicted = (np.where(rng.random(shape) < share, rng.integers(1, 3, shape), 0) for _ in range(2))
    found = find_strays(label, predicted, (1, 2))
    for k in (1, 2):
        pieces = pieces_of(predicted == k)
        most = max(map(len, pieces), default=0)
        strays = {tuple(map(int, np.unravel_index(at, shape))) for at in found.get(k, ())}
        untouched = [piece for piece in pieces if not any(label[at] == k for at in piece)]
        stay = [piece for piece in untouched if not piece <= strays]
        # every piece goes or stays as a whole, and of those the label has nothing of one of the largest at most stays
        assert all(piece <= strays or not piece & strays for piece in pieces)
        assert strays <= set().union(*untouched)
        assert len(stay) <= 1
        assert all(len(piece) == most for piece in stay)


@pytest.mark.parametrize(("gap", "is_stray"), [(0, False), (1, False), (2, True)])
def test_what_one_slice_parts_at_most_is_of_one_piece(gap: int, is_stray: bool) -> None:
    predicted = np.zeros((6, 6, 9), int)
    predicted[0:2, 0:2, :3], predicted[2:4, 2:4, 3 + gap] = 1, 1
    assert bool(find_strays(np.zeros_like(predicted), predicted, [1])) == is_stray
    share = largest_shares(predicted, [1])[0]
    assert share == (12 / 16 if is_stray else 1)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        find_strays(np.zeros((3, 4, 5), int), blobs((2, 8)), [1])


def test_strays_of_one_structure_are_no_evidence_about_another() -> None:
    predicted, given = blobs((2, 8), (20, 24), structure=2), blobs((2, 8))
    given[20:24, 20:24, 1:5] = 1
    judge, prediction = LabelJudge([1, 2]), condensed(np.moveaxis(np.eye(3)[predicted], -1, 0) * 0.9 + 0.03)
    found = judge.evidence(given, prediction, SPACING)
    assert found["swapped"][0] == found["swapped_without_strays"][0] == 1
    assert found["predicted_ml_without_strays"][1] < found["predicted_ml"][1]


def test_a_second_heart_is_a_stray_and_one_that_the_label_has_is_none() -> None:
    predicted = blobs((2, 8), (20, 24))
    found = find_strays(blobs((2, 8)), predicted, [1, 2])
    assert list(found) == [1]
    assert found[1].tolist() == np.flatnonzero(blobs((20, 24))).tolist()
    assert find_strays(blobs((2, 8), (22, 23)), predicted, [1, 2]) == {}
    assert find_strays(blobs((22, 23)), predicted, [1]) == {}  # the largest stays, and what the label has


def test_largest_shares() -> None:
    index = blobs((2, 6), (20, 22)) + blobs((10, 13), structure=3)
    np.testing.assert_allclose(largest_shares(index, [1, 2, 3]), [16 / 20, np.nan, 1])


@pytest.mark.parametrize(
    ("whole", "broken", "absent", "expected"),
    [(12, 0, 0, True), (12, 0, 30, True), (11, 0, 30, False), (18, 2, 0, True), (17, 2, 0, False), (0, 0, 12, False)],
)
def test_nine_tenths_of_twelve_labels_must_be_in_one_piece(
    whole: int, broken: int, absent: int, expected: bool
) -> None:
    shares = np.array([0.96] * whole + [0.94] * broken + [np.nan] * absent)
    assert is_in_one_piece(shares) is expected


def test_where_strays_were_nothing_is_seen_and_their_mass_is_gone() -> None:
    rng = np.random.default_rng(0)
    predicted = blobs((2, 8), (20, 24))
    p = np.where(predicted == 1, rng.uniform(0.6, 0.9, predicted.shape), 0.01)
    prediction = condensed(np.stack([1 - p, p]).astype(np.float32))
    strays = find_strays(blobs((2, 8)), predicted, [1])
    bare = without_strays(prediction, strays)
    np.testing.assert_array_equal(bare.predicted, blobs((2, 8)))
    assert (bare.confidence[blobs((20, 24)) == 1] == 0).all()
    p[blobs((20, 24)) == 1] = 0
    np.testing.assert_allclose(bare.mass, condensed(np.stack([1 - p, p]).astype(np.float32)).mass, rtol=1e-6)
    np.testing.assert_array_equal(prediction.predicted, predicted)  # what was given is left alone
    assert without_strays(prediction, {}) is prediction


def judged(labels: list[np.ndarray], predictions: list[np.ndarray]) -> Judgement:
    judge, evidence = LabelJudge([1]), {}
    for i, (label, predicted) in enumerate(zip(labels, predictions, strict=True)):
        prediction = condensed(np.stack([predicted != 1, predicted == 1]) * 0.9 + 0.05)
        evidence[str(i)] = judge.evidence(label, prediction, SPACING, judge.strays(label, prediction))
    return judge.judge(tuple(evidence), stack_evidence(evidence, 1))


WHOLE = [blobs((2 + i % 3, 12 + i % 3)) for i in range(16)]


def test_a_network_that_sees_a_second_heart_does_not_make_a_good_label_a_suspect() -> None:
    labels, predictions = list(WHOLE), list(WHOLE)
    predictions[3] = blobs((2, 12), (16, 25))
    labels[7] = blobs((4, 8))  # the culprit
    predictions[7] = blobs((3, 13), (16, 25))
    found = judged(labels, predictions)
    assert found.one_piece == (1,)
    assert np.flatnonzero(found.suspected).tolist() == [7]
    assert found.evidence["dice"][3, 0] == 1
    assert found.evidence["predicted_ml"][3, 0] == found.evidence["given_ml"][3, 0]


def test_a_second_tumour_that_was_missed_is_found_where_tumours_lie_in_several_places() -> None:
    predictions = [blobs((2, 9), (16, 23)) if i % 2 else blobs((2, 9)) for i in range(16)]
    labels = list(predictions)
    labels[7] = blobs((2, 9))
    found = judged(labels, predictions)
    assert found.one_piece == ()
    assert np.flatnonzero(found.suspected).tolist() == [7]


def test_evidence_without_a_word_of_strays_is_judged_as_it_is() -> None:
    found = judged(WHOLE, WHOLE)
    again = LabelJudge([1]).judge(found.cases, found.evidence)
    assert again.one_piece == ()
    np.testing.assert_array_equal(again.clean_probability, found.clean_probability)
