"""What class probabilities come to, and that the evidence of it is what its formulas say."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_evidence import plain_evidence, plain_merge

from monai_selfcleanse.core import prediction as module
from monai_selfcleanse.core.border import BorderProbabilities
from monai_selfcleanse.core.evidence import merge_unannotated, structure_evidence
from monai_selfcleanse.core.prediction import Prediction, Sweep, condensed

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7)
SPACING = (1.5, 0.8, 10.0)


@pytest.fixture(params=[1, 5, 1 << 16], autouse=True)
def block_size(request: pytest.FixtureRequest) -> Iterator[int]:
    """Blocks of a voxel or a row, of a few, and of everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", request.param)
        yield request.param


@st.composite
def cases(draw: st.DrawFn, dtype: Any = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """A label and class probabilities of a few coarse values, so that many are equal, or nothing, or in doubt."""
    shape, n_classes = draw(SHAPES), draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 16)))
    levels = np.array(draw(st.sampled_from([(0, 1), (0, 0.02, 1), (0.01, 0.05, 0.2, 1), (1, 2, 3)])))
    p = levels[rng.integers(0, len(levels), (n_classes, *shape))] + 1e-6
    p[:, rng.random(shape) < draw(st.sampled_from([0, 0.7]))] = np.eye(n_classes)[0].reshape(-1, 1)
    label = rng.integers(0, n_classes, shape) * (rng.random(shape) < draw(st.sampled_from([0.2, 0.9])))
    return label, (p / p.sum(0)).astype(dtype)


def expect(found: Prediction, probabilities: np.ndarray) -> None:
    """The prediction is that of the array, whatever way it was made."""
    np.testing.assert_array_equal(found.predicted, probabilities.argmax(0))
    np.testing.assert_array_equal(found.confidence, probabilities.max(0))
    np.testing.assert_array_equal(found.peak, probabilities.reshape(len(probabilities), -1).max(1))
    kept = np.where(probabilities >= probabilities.dtype.type(0.05), probabilities, 0).astype(np.float64)
    kept[0] = 0
    np.testing.assert_allclose(found.mass, kept.sum(tuple(range(1, kept.ndim - 1))), rtol=1e-12)


@given(case=cases())
def test_evidence_is_what_its_formulas_say(case: tuple[np.ndarray, np.ndarray]) -> None:
    label, p = case
    structures = list(range(1, len(p)))
    found, plain = structure_evidence(label, p, structures, SPACING), plain_evidence(label, p, structures, SPACING)
    for name, values in plain.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, atol=1e-6, err_msg=name)


@given(case=cases())
def test_evidence_of_a_partial_label_is_that_of_merged_probabilities(case: tuple[np.ndarray, np.ndarray]) -> None:
    label, p = case
    label[label == 1] = 0
    merged = plain_merge(label, p)
    expect(merge_unannotated(label, p), merged)
    expect(merge_unannotated(label, np.asfortranarray(p)), merged)


@given(case=cases(), dtype=st.sampled_from(["f2", "f4", "f8", ">f4"]), layout=st.sampled_from("CF"))
def test_every_float_in_every_layout_comes_to_the_same(
    case: tuple[np.ndarray, np.ndarray], dtype: str, layout: str
) -> None:
    p = case[1].astype(dtype)
    wide = p.astype(np.float64 if dtype == "f8" else np.float32)
    found = condensed(np.array(p, order=layout))
    assert found.confidence.dtype == wide.dtype
    expect(found, wide)


@given(case=cases())
def test_slices_may_come_first_in_memory(case: tuple[np.ndarray, np.ndarray]) -> None:
    p = case[1]
    turned = p.transpose(0, *range(p.ndim - 1, 0, -1))
    found = Sweep(turned.shape, slices_first=True).over_classes(iter(turned))
    expect(Prediction(found.predicted.T, found.confidence.T, found.peak, found.mass), p)


@given(case=cases(), dtype=st.sampled_from(["<f2", ">f2", "<f4"]))
def test_blocks_of_a_file_come_to_the_same(case: tuple[np.ndarray, np.ndarray], dtype: str) -> None:
    p = case[1].astype(dtype)
    turned = p.transpose(0, *range(p.ndim - 1, 0, -1))
    file = io.BytesIO(turned.tobytes())
    sweep = Sweep(turned.shape, slices_first=True)
    found = sweep.over_blocks(lambda values: file.readinto(values.view(np.uint8)), p.dtype)
    assert not file.read()
    expect(Prediction(found.predicted.T, found.confidence.T, found.peak, found.mass), p.astype(np.float32))


@given(
    label=hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 3)),
    spacing=st.lists(st.floats(0.5, 5), min_size=3, max_size=3),
    hidden=st.sets(st.integers(1, 3)),
)
def test_probabilities_that_stand_in_come_to_what_their_array_does(
    label: np.ndarray, spacing: list[float], hidden: set[int]
) -> None:
    probabilities = BorderProbabilities(label, 4, spacing[: label.ndim])
    array = np.asarray(probabilities)
    expect(probabilities.condensed(), array)
    found, shown = probabilities.condensed(hidden), [k for k in range(1, 4) if k not in hidden]
    np.testing.assert_array_equal(found.predicted, np.where(np.isin(label, shown), label, 0))
    np.testing.assert_array_equal(found.mass[shown], probabilities.condensed().mass[shown])
    assert not found.mass[list(hidden)].any()


@given(value=st.sampled_from([1.01, -0.01, np.nan, np.inf, -np.inf]), at=st.integers(0, 59), data=st.data())
def test_what_is_no_probability_is_found_wherever_it_is(value: float, at: int, data: st.DataObject) -> None:
    p = np.full((3, 4, 5), 1 / 3, dtype=data.draw(st.sampled_from([np.float16, np.float32, np.float64])))
    p.flat[at] = value
    for unannotated in ((), (1,)):
        with pytest.raises(ValueError, match="holds NaN" if np.isnan(value) else r"probabilities in \[0, 1\], found"):
            condensed(p, unannotated)


def test_a_sum_a_little_over_one_is_background_for_sure() -> None:
    p = np.array([0.6, 0.403, 0.02], np.float32).reshape(3, 1, 1)
    found = condensed(p, [1])
    assert found.predicted[0, 0] == 0
    assert found.confidence[0, 0] == 1


@pytest.mark.parametrize("value", [1.0005, -0.0005, -0.0])
def test_rounding_beyond_the_ends_is_tolerated(value: float) -> None:
    p = np.full((2, 4, 5), 0.5, dtype=np.float32)
    p[1, 2, 3] = value
    found = condensed(p)
    assert found.peak[1] == max(0.5, np.float32(value))
    assert found.predicted[2, 3] == (value > 1)


def test_nothing_is_refused() -> None:
    for shape in ((3,), (0, 4, 5), (2, 0, 5)):
        with pytest.raises(ValueError, match="must have the shape"):
            condensed(np.zeros(shape, np.float32))


def test_more_than_256_classes_are_told_apart() -> None:
    p = np.zeros((300, 3, 4), np.float32)
    p[299], p[5, 0] = 0.6, 0.7
    found = condensed(p)
    assert np.unique(found.predicted).tolist() == [5, 299]


def test_probabilities_that_may_not_be_written_to_are_read() -> None:
    p = np.full((2, 3, 4), 0.5, np.float32)
    p.flags.writeable = False
    assert condensed(p).mass[1].tolist() == [1.5] * 4
