"""Probabilities that stand in for those of a bare segmentation."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies
from hypothesis.extra.numpy import arrays

from monai_selfcleanse.core.border import BorderProbabilities, stand_in


@given(
    label=arrays(np.uint8, strategies.sampled_from([(5, 6), (4, 5, 3)]), elements=strategies.integers(0, 3)),
    spacing=strategies.lists(strategies.floats(0.3, 10), min_size=3, max_size=3),
)
def test_border_probabilities_keep_the_segmentation(label: np.ndarray, spacing: list[float]) -> None:
    probabilities = np.asarray(BorderProbabilities(label, 4, spacing[: label.ndim]))
    np.testing.assert_array_equal(probabilities.argmax(0), label)
    np.testing.assert_allclose(probabilities.sum(0), 1, atol=1e-5)
    assert probabilities.min() >= 0


def test_border_probabilities_fall_within_the_slice_from_the_border() -> None:
    label = np.zeros((20, 20, 3), dtype=np.uint8)
    label[5:15, :, 1] = 1
    inside, outside = np.asarray(BorderProbabilities(label, 2, (1.5, 1.5, 10.0)))[1, 3:7, 10, 1].reshape(2, 2)
    np.testing.assert_allclose([*inside, *outside], 1 / (1 + np.exp([3, 1, -1, -3])), atol=1e-3)


@given(label=arrays(np.uint8, strategies.sampled_from([(5, 6), (4, 5, 3)]), elements=strategies.integers(0, 2)))
def test_a_segmentation_is_taken_at_its_word_and_its_voxels_by_their_size(label: np.ndarray) -> None:
    affine = np.diag([-1.5, 2.0, 9.0, 1.0])[[1, 0, 2, 3]]  # turned and mirrored
    probabilities, confidence = stand_in(label, 3, affine)
    expected = BorderProbabilities(label, 3, (1.5, 2.0, 9.0)[: label.ndim])
    np.testing.assert_array_equal(np.asarray(probabilities), np.asarray(expected))
    assert (confidence.shape, confidence.dtype) == (label.shape, np.float32)
    assert (confidence == 1).all()
