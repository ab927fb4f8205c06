"""Evidence about given labels: closed forms, torch and MONAI as oracles, and the reasons shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import compute_dice

from monai_selfcleanse.core.evidence import ABSENT, EVIDENCE, stack_evidence, structure_evidence
from monai_selfcleanse.core.masks import debatable_slices
from monai_selfcleanse.core.reason import reason_for

SPACING = (1.5, 1.5, 10.0)


SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=5)


def probabilities_of(predicted: np.ndarray, n_classes: int = 4, confidence: float = 1.0) -> np.ndarray:
    """A prediction that gives each voxel's class this probability, and the others what is left in equal parts."""
    p = np.full((n_classes, *predicted.shape), (1 - confidence) / (n_classes - 1))
    np.put_along_axis(p, predicted[None], confidence, 0)
    return p


def evidence_of(given_label: np.ndarray, predicted: np.ndarray, confidence: float = 1.0) -> dict[str, float]:
    """Evidence about structure 1."""
    found = structure_evidence(given_label, probabilities_of(predicted, confidence=confidence), [1], SPACING)
    return {name: float(values[0]) for name, values in found.items()}


def cube(low: int, high: int, slices: slice = slice(1, 5), size: int = 14, structure: int = 1) -> np.ndarray:
    label = np.zeros((size, size, 6), dtype=np.int64)
    label[low:high, low:high, slices] = structure
    return label


def random_case(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = np.exp(2 * rng.standard_normal((4, *shape)))
    return rng.integers(0, 4, shape), p / p.sum(0)


def test_score_of_labels_that_fit_the_network_is_about_one_for_easy_and_hard_cases_alike() -> None:
    rng = np.random.default_rng(0)
    doubts = []
    for sure in (6.0, 2.0):  # how far the log odds lie from doubt, voxel by voxel
        p = np.zeros((2, 60, 60))
        p[1] = 1 / (1 + np.exp(-rng.normal(0, sure, (60, 60))))
        p[0] = 1 - p[1]
        drawn = [structure_evidence((rng.random((60, 60)) < p[1]) * 1, p, [1], (1.0, 1.0)) for _ in range(20)]
        doubts.append(1 - float(drawn[0]["expected_dice"][0]))
        assert 0.8 < np.mean([e["score"] for e in drawn]) < 1.1
        assert structure_evidence(rng.integers(0, 2, (60, 60)), p, [1], (1.0, 1.0))["score"] > 1.5
    assert doubts[1] > 2 * doubts[0]


def test_structure_that_the_network_does_not_see_counts_as_far_as_it_is_sure_of_that() -> None:
    label = cube(3, 9)
    scores = []
    for seen in (0.0, 0.2, 0.49):
        p = np.stack([1 - seen * (label == 1), seen * (label == 1)])
        e = structure_evidence(label, p, [1], SPACING)
        assert e["expected_dice"] == pytest.approx(1 - seen)
        scores.append(float(e["score"][0]))
    assert scores == [pytest.approx(50), pytest.approx(1 / 0.22), pytest.approx(1 / 0.51)]


@given(seed=st.integers(0, 999), shape=SHAPES)
def test_dice_is_monais(seed: int, shape: tuple[int, ...]) -> None:
    label, p = random_case(seed, shape)
    found = structure_evidence(label, p, [1, 2, 3], SPACING)["dice"]
    for k, value in zip((1, 2, 3), found, strict=True):
        has, sees = label == k, p.argmax(0) == k
        judged = ~debatable_slices(has, sees)
        of_given, of_predicted = (torch.as_tensor(x[None, None][..., judged]) for x in (has, sees))
        assert value == pytest.approx(float(compute_dice(of_predicted, of_given, ignore_empty=False)), abs=1e-6)


def test_slice_more_at_an_end_is_not_held_against_a_label() -> None:
    label = np.zeros((6, 6, 6), dtype=np.uint8)
    label[1:5, 1:5, 1:4] = 1
    p = np.stack([1 - 0.9 * (label == 1), 0.9 * (label == 1)])
    agreed = structure_evidence(label, p, [1], SPACING)
    p[1, 1:5, 1:5, 4], p[0, 1:5, 1:5, 4] = 0.9, 0.1
    one_more = structure_evidence(label, p, [1], SPACING)
    for name in ("score", "dice", "expected_dice"):
        assert one_more[name] == pytest.approx(agreed[name])
    assert one_more["missing_slices"] == 1
    p[1, 1:5, 1:5, 5], p[0, 1:5, 1:5, 5] = 0.9, 0.1
    assert structure_evidence(label, p, [1], SPACING)["dice"] == pytest.approx(0.75)


@given(seed=st.integers(0, 999), shape=SHAPES)
def test_values_are_in_their_ranges(seed: int, shape: tuple[int, ...]) -> None:
    label, p = random_case(seed, shape)
    found = structure_evidence(label, p, [3, 1], SPACING)
    assert tuple(found) == EVIDENCE
    assert all(values.shape == (2,) for values in found.values())
    score = found["score"][~np.isnan(found["score"])]
    assert ((score >= 0) & (score <= 50 + 1e-9)).all()
    for name in ("dice", "expected_dice", "outside", "inside", "swapped"):
        assert ((found[name] >= 0) & (found[name] <= 1 + 1e-9)).all()


@given(seed=st.integers(0, 999), shape=SHAPES, order=st.permutations([1, 2, 3]))
def test_structures_are_scored_apart_in_the_order_asked_for(
    seed: int, shape: tuple[int, ...], order: list[int]
) -> None:
    label, p = random_case(seed, shape)
    together = structure_evidence(label, p, order, SPACING)
    for i, k in enumerate(order):
        for name, values in structure_evidence(label, p, [k], SPACING).items():
            np.testing.assert_array_equal(together[name][i], values[0])


def test_inputs_are_not_mutated() -> None:
    label, p = random_case(0, (4, 4))
    before = label.copy(), p.copy()
    structure_evidence(label, p, [1, 2, 3], SPACING)
    np.testing.assert_array_equal(label, before[0])
    np.testing.assert_array_equal(p, before[1])


def test_perfect_label_has_no_evidence_against_it() -> None:
    e = evidence_of(cube(3, 9), cube(3, 9))
    assert e["score"] == 0.0
    assert e["dice"] == e["expected_dice"] == 1.0
    for name in ("outside", "inside", "missing_slices", "extra_slices", "shift_mm", "swapped_with", "swapped"):
        assert e[name] == 0.0


def test_absent_structure_that_nobody_sees_is_not_scored() -> None:
    e = evidence_of(0 * cube(3, 9), 0 * cube(3, 9))
    assert np.isnan(e["score"])
    assert e["dice"] == e["expected_dice"] == 1.0
    assert np.isnan(e["shift_mm"])
    assert e["given_ml"] == e["predicted_ml"] == 0.0


def test_confident_disagreement_costs_the_most_there_is() -> None:
    for label, predicted in ((cube(3, 9), 0 * cube(3, 9)), (0 * cube(3, 9), cube(3, 9))):
        e = evidence_of(label, predicted)
        assert e["score"] == pytest.approx(50)
        assert e["dice"] == 0.0
        assert np.isnan(e["shift_mm"])


def test_score_by_hand() -> None:
    label, predicted = cube(3, 9), cube(3, 6)
    p = np.zeros((2, *label.shape))
    p[1] = np.where(predicted == 1, 0.8, 0.0)
    p[0] = 1 - p[1]
    # Dice 2 * 9 / (9 + 36), of which the network expects 2 * 0.8 / 1.8
    assert structure_evidence(label, p, [1], SPACING)["score"] == pytest.approx(0.6 / (1 - 1.6 / 1.8 + 0.02))


def test_background_far_from_the_structure_does_not_dilute_the_score() -> None:
    label, predicted = cube(3, 9), cube(4, 9)
    wide = [np.pad(array, 5) for array in (label, predicted)]
    near, far = (evidence_of(*pair, confidence=0.97)["score"] for pair in ((label, predicted), wide))
    assert far == pytest.approx(near, rel=1e-12)


def test_volumes_and_shares_by_hand() -> None:
    e = evidence_of(cube(3, 9), cube(3, 6))
    assert e["given_ml"] == pytest.approx(6 * 6 * 4 * 22.5 / 1e3)
    assert e["predicted_ml"] == pytest.approx(3 * 3 * 4 * 22.5 / 1e3)
    assert e["outside"] == pytest.approx(0.75)
    assert e["inside"] == 0.0
    assert e["dice"] == pytest.approx(2 * 9 / 45)


def test_empty_label_and_empty_prediction_have_no_share() -> None:
    missing, spurious = evidence_of(0 * cube(3, 9), cube(3, 9)), evidence_of(cube(3, 9), 0 * cube(3, 9))
    assert (missing["outside"], missing["inside"]) == (0.0, 1.0)
    assert (spurious["outside"], spurious["inside"]) == (1.0, 0.0)


def test_missing_and_extra_slices_are_counted_along_the_last_axis() -> None:
    e = evidence_of(cube(3, 9, slice(0, 2)), cube(3, 9, slice(1, 6)))
    assert (e["missing_slices"], e["extra_slices"]) == (4.0, 1.0)


def test_flat_labels_have_areas_and_no_slices() -> None:
    e = evidence_of(cube(3, 9)[..., 2], 0 * cube(3, 9)[..., 2])
    assert e["given_ml"] == pytest.approx(36 * 2.25 / 1e3)
    assert e["missing_slices"] == e["extra_slices"] == 0.0


def test_shift_is_the_distance_of_the_centroids_in_mm() -> None:
    e = evidence_of(cube(3, 7, slice(0, 3)), np.roll(cube(3, 7, slice(1, 4)), (2, -1), (0, 1)))
    assert e["shift_mm"] == pytest.approx(np.sqrt(3.0**2 + 1.5**2 + 10.0**2))


def test_expected_dice_by_hand() -> None:
    p = np.zeros((2, 4, 1))
    p[1, :, 0] = [0.9, 0.7, 0.4, 0.1]
    p[0] = 1 - p[1]
    label = np.zeros((4, 1), dtype=np.int64)
    found = structure_evidence(label, p, [1], (1.0, 1.0))["expected_dice"]
    assert found[0] == pytest.approx(2 * (0.9 + 0.7) / (0.9 + 0.7 + 0.4 + 0.1 + 2))


def test_expected_dice_counts_doubt_far_from_the_structure_but_not_in_debatable_slices() -> None:
    label = cube(3, 7, slice(1, 4))
    predicted = cube(3, 7, slice(1, 5))  # one slice more at an end
    p = np.zeros((2, *label.shape))
    p[1] = np.where(predicted == 1, 0.9, 0.0)
    p[1, 12, 12] = 0.3  # a column far away, through all six slices
    p[0] = 1 - p[1]
    found = structure_evidence(label, p, [1], SPACING)["expected_dice"]
    # 48 voxels seen in the slices that count, and five of the column's six voxels
    assert found == pytest.approx(2 * 0.9 * 48 / (0.9 * 48 + 0.3 * 5 + 48))


def test_expected_dice_is_met_on_average_by_labels_drawn_from_the_prediction() -> None:
    rng = np.random.default_rng(0)
    p = np.zeros((2, 40, 40))
    p[1] = rng.beta(0.5, 0.8, (40, 40))
    p[0] = 1 - p[1]
    drawn = [structure_evidence((rng.random((40, 40)) < p[1]) * 1, p, [1], (1.0, 1.0)) for _ in range(40)]
    assert np.mean([e["dice"] for e in drawn]) == pytest.approx(float(drawn[0]["expected_dice"][0]), abs=0.01)


def test_swap_names_the_other_structure_and_its_share() -> None:
    label, predicted = cube(3, 9), cube(3, 9)
    predicted[3:9, 3:7] *= 3  # four of six columns
    predicted[3:9, 7:8] *= 2
    e = evidence_of(label, predicted)
    assert (e["swapped_with"], e["swapped"]) == (3.0, pytest.approx(4 / 6))


def test_probability_is_asked_for_with_the_way_to_get_it() -> None:
    label = np.zeros((3, 3), dtype=np.int64)
    for bad in (1.5, -0.1):
        with pytest.raises(ValueError, match=r"class probabilities in \[0, 1\], found .+: add .*softmax=True"):
            structure_evidence(label, np.full((2, 3, 3), bad), [1], (1.0, 1.0))
    with pytest.raises(ValueError, match="the prediction holds NaN"):
        structure_evidence(label, np.full((2, 3, 3), np.nan), [1], (1.0, 1.0))


@pytest.mark.parametrize(
    ("label", "p", "spacing"),
    [
        ((3, 3), (2, 3, 4), 2),
        ((3, 3), (3, 3), 2),
        ((3,), (2, 3), 1),
        ((3, 3, 3), (2, 3, 3, 3), 2),
        ((1,) * 4, (2, 1, 1, 1, 1), 4),
    ],
)
def test_shapes_must_fit_together(label: tuple[int, ...], p: tuple[int, ...], spacing: int) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        structure_evidence(np.zeros(label, dtype=np.int64), np.full(p, 0.5), [1], [1.0] * spacing)


SWAPPED = np.where(cube(3, 9) == 1, 2, 0)


REASONS: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "missing": (0 * cube(3, 9), cube(3, 9)),
    "spurious": (cube(3, 9), 0 * cube(3, 9)),
    "swapped with myocardium": (cube(3, 9), SWAPPED + cube(10, 12)),
    "missing in 2 slices": (cube(3, 9, slice(1, 4)), cube(3, 9, slice(1, 6))),
    "extra in 3 slices": (cube(3, 9, slice(0, 6)), cube(3, 9, slice(1, 4))),
    "under-drawn": (cube(4, 8), cube(3, 9)),
    "over-drawn": (cube(3, 9), cube(4, 8)),
    "shifted": (cube(3, 9), np.roll(cube(3, 9), 3, 0)),
}


@pytest.mark.parametrize(("reason", "pair"), REASONS.items(), ids=REASONS.keys())
def test_fault_is_named(reason: str, pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert reason_for(evidence_of(*pair), {2: "myocardium"}) == reason


def test_frayed_border_only_differs() -> None:
    label = cube(3, 11)
    predicted = label.copy()
    predicted[3, ::2], predicted[10, 1::2] = 0, 0  # as much taken away on either side
    predicted[2, 3:11:2, 1:5], predicted[11, 4:11:2, 1:5] = 1, 1  # as is added
    assert reason_for(evidence_of(label, predicted)) == "border differs"


def test_structure_without_a_name_is_its_number() -> None:
    e = evidence_of(*REASONS["swapped with myocardium"])
    assert reason_for(e) == "swapped with 2"
    assert reason_for(e, {1: "right ventricle"}) == "swapped with 2"


def test_evidence_is_stacked_case_by_case_and_unknown_structures_are_absent() -> None:
    by_case = {"b": evidence_for(2), "a": evidence_for(1)}
    stacked = stack_evidence(by_case, 3)
    assert tuple(stacked) == EVIDENCE
    for name, values in stacked.items():
        assert (values.shape, values.dtype) == ((2, 3), np.float64)
        np.testing.assert_array_equal(values[0, :2], by_case["b"][name])
        np.testing.assert_array_equal(values[1, :1], by_case["a"][name])
        np.testing.assert_array_equal(values[[0, 1, 1], [2, 1, 2]], [ABSENT[name]] * 3)


def evidence_for(n_structures: int) -> dict[str, np.ndarray]:
    given_label, p = random_case(n_structures, (4, 5, 3))
    return structure_evidence(given_label, p, range(1, n_structures + 1), SPACING)
