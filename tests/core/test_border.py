"""Probabilities that stand in for those of a bare segmentation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies
from hypothesis.extra.numpy import arrays
from plain_evidence import plain_border

from monai_selfcleanse.core import border
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


@given(
    seed=strategies.integers(0, 1 << 16),
    shape=strategies.sampled_from([(40, 37), (35, 20, 6), (70, 3, 80)]),
    spacing=strategies.lists(strategies.floats(0.3, 5), min_size=3, max_size=3),
    tile=strategies.sampled_from([(32, 32, 64), (5, 7, 3)]),
)
def test_border_probabilities_are_those_of_whole_distance_maps(
    seed: int, shape: tuple[int, ...], spacing: list[float], tile: tuple[int, int, int]
) -> None:
    label = np.zeros(shape, dtype=np.uint8)
    rng = np.random.default_rng(seed)
    for k in (1, 2, 3, 1):  # boxes over one another
        low = rng.integers(0, shape)
        label[tuple(slice(a, a + rng.integers(1, 30)) for a in low)] = k
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(border, "_TILE", tile)
        found = np.asarray(BorderProbabilities(label, 4, spacing[: label.ndim]))
    np.testing.assert_allclose(found, plain_border(label, 4, spacing[: label.ndim]), atol=1e-6)


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
