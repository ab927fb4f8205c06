"""The network's size bias: what it hides, what is allowed for, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from monai_selfcleanse.core.cleansing import cleanse_label
from monai_selfcleanse.core.evidence import disagreement_score, structure_evidence
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.mixture import filter_labels
from monai_selfcleanse.core.size_bias import (
    drawn_without_size_bias,
    filter_without_size_bias,
    score_without_size_bias,
    size_bias,
)

EXPECTED = 0.85


def labels(log_ratio, place, expected=EXPECTED):
    """Evidence about labels of which size and place are off by so much."""
    ratio = np.asarray(log_ratio, float)
    dice = 1 - np.tanh(abs(ratio) / 2) - np.asarray(place, float)
    expected = np.full(ratio.shape, expected)
    return {
        "score": disagreement_score(dice, expected),
        "dice": dice,
        "expected_dice": expected,
        "size_ratio": np.exp(ratio),
    }


def half_too_small(n=60, network=0.25, small=-0.5, seed=0):
    """A cohort of which every other label is drawn too small, and a network that draws in between."""
    rng = np.random.default_rng(seed)
    wrong = np.arange(n) % 2 == 1
    ratio = np.where(wrong, small, network) + rng.normal(0, 0.08, n)
    return labels(ratio, rng.lognormal(np.log(0.05), 0.25, n)), wrong


def test_disagreement_is_size_and_place():
    rng = np.random.default_rng(0)
    for _ in range(50):
        has, sees = (rng.random(60) < share for share in rng.uniform(0.1, 0.9, 2))
        only_label, only_prediction = np.sum(has & ~sees), np.sum(sees & ~has)
        size, total = np.tanh(abs(np.log(has.sum() / sees.sum())) / 2), has.sum() + sees.sum()
        found = structure_evidence(has[:, None].astype(int), np.stack([~sees, sees])[..., None] * 1.0, [1], (1, 1))
        assert 1 - found["dice"][0] == pytest.approx(size + 2 * min(only_label, only_prediction) / total)


@pytest.mark.parametrize("bias", [0.35, -0.35])
def test_a_score_is_that_of_a_network_that_draws_larger(bias):
    """Of balls in one another there is no error of place, so a larger prediction can be scored for comparison."""
    evidence = labels([0.8, -0.8, 1.5], 0.0)
    now = score_without_size_bias(evidence, bias)
    other = labels(np.array([0.8, -0.8, 1.5]) - bias, 0.0)
    np.testing.assert_allclose(now, other["score"])


@pytest.mark.parametrize("seed", range(6))
def test_what_a_bias_hides_is_found(seed):
    evidence, wrong = half_too_small(seed=seed)
    hidden = filter_labels(evidence["score"], evidence["expected_dice"] - evidence["dice"])
    assert hidden.verdict == "clean"
    decision = filter_without_size_bias(evidence)
    assert decision.verdict == "suspects"
    np.testing.assert_array_equal(decision.suspected, wrong)
    assert decision.size_bias == pytest.approx(0.25, abs=0.06)
    assert decision.separation > 0.2


def test_a_judgement_ranks_by_the_scores_that_decided():
    evidence, wrong = half_too_small(small=-0.4)
    rows = {name: values[:, None] for name, values in evidence.items()}
    rows |= {
        n: np.zeros((60, 1))
        for n in ("given_ml", "predicted_ml", "outside", "inside", "missing_slices", "extra_slices", "shift_mm")
    }
    rows |= {"swapped_with": np.zeros((60, 1)), "swapped": np.zeros((60, 1))}
    judgement = LabelJudge([1]).judge([f"case{i}" for i in range(60)], rows)
    score = judgement.evidence["score"][:, 0]
    assert score[wrong].min() > score[~wrong].max()
    assert evidence["score"][wrong].min() < evidence["score"][~wrong].max()
    np.testing.assert_array_equal(judgement.evidence["dice"][:, 0], evidence["dice"])
    order = np.argsort(-score)
    assert (np.diff(judgement.clean_probability[order, 0]) >= 0).all()


@pytest.mark.parametrize("network", [0.0, 0.08, -0.08])
def test_a_small_bias_changes_nothing(network):
    evidence, _ = half_too_small(network=network, seed=3)
    plain = filter_labels(evidence["score"], evidence["expected_dice"] - evidence["dice"])
    decision = filter_without_size_bias(evidence)
    assert decision.size_bias == 0.0
    np.testing.assert_array_equal(decision.clean_probability, plain.clean_probability)
    assert (decision.verdict, decision.separation) == (plain.verdict, plain.separation)
    np.testing.assert_array_equal(score_without_size_bias(evidence, 0.0), evidence["score"])


def test_clean_labels_of_a_network_that_draws_too_small_stay_clean():
    rng = np.random.default_rng(1)
    evidence = labels(0.5 + rng.normal(0, 0.06, 50), rng.lognormal(np.log(0.05), 0.25, 50))
    decision = filter_without_size_bias(evidence)
    assert decision.verdict == "clean"
    assert decision.size_bias == pytest.approx(0.5, abs=0.1)
    assert score_without_size_bias(evidence, decision.size_bias).mean() < evidence["score"].mean()


def test_too_small_and_too_large_are_judged_alike():
    evidence, _ = half_too_small()
    mirrored = evidence | {"size_ratio": 1 / evidence["size_ratio"]}
    one, other = filter_without_size_bias(evidence), filter_without_size_bias(mirrored)
    assert other.size_bias == pytest.approx(-one.size_bias)
    np.testing.assert_allclose(other.clean_probability, one.clean_probability, atol=1e-9)


def test_order_does_not_count():
    evidence, _ = half_too_small()
    decision = filter_without_size_bias(evidence)
    order = np.random.default_rng(0).permutation(60)
    shuffled = filter_without_size_bias({name: values[order] for name, values in evidence.items()})
    np.testing.assert_allclose(shuffled.clean_probability, decision.clean_probability[order], atol=1e-9)


def test_no_more_than_half_of_a_disagreement_is_explained():
    evidence = labels([0.4, 0.4], [0.0, 0.2])
    score = score_without_size_bias(evidence, 0.4)
    assert score[0] == pytest.approx(evidence["score"][0] / 2)
    assert score[1] == pytest.approx(evidence["score"][1] * 0.2 / (0.2 + np.tanh(0.2)))


def test_what_has_no_volumes_keeps_its_score():
    evidence = labels([0.3] * 4, 0.05)
    evidence["size_ratio"][:3] = np.nan
    evidence["score"][2] = np.nan
    score = score_without_size_bias(evidence, 0.3)
    np.testing.assert_array_equal(score[:2], evidence["score"][:2])
    assert np.isnan(score[2])
    assert score[3] < evidence["score"][3]
    assert size_bias(evidence | {"size_ratio": np.full(4, np.nan)}, None) == 0.0


@pytest.mark.parametrize(("ratio", "bias"), [(1.9, 0.64), (2.1, 0.0), (1 / 1.9, -0.64), (1 / 2.1, 0.0), (1.1, 0.0)])
def test_a_network_off_by_a_factor_of_two_has_no_bias_that_could_be_allowed_for(ratio, bias):
    assert size_bias(labels(np.full(20, np.log(ratio)), 0.0), None) == pytest.approx(bias, abs=0.01)


def test_too_few_cases_have_no_bias():
    evidence, _ = half_too_small(n=10)
    decision = filter_without_size_bias(evidence)
    assert (decision.verdict, decision.size_bias) == ("too few", 0.0)


def test_no_score_leaves_its_range():
    """Of a label that shares next to nothing with the prediction, the size may explain more than there is."""
    evidence = labels([-1.0, -1.0, 0.2], [0.5, 0.0, 0.1], expected=1.0)
    for bias in (-3.0, -0.5, 0.5, 3.0):
        score = score_without_size_bias(evidence, bias)
        assert score.min() >= 0
        assert score.max() <= 50
    assert score_without_size_bias(evidence, 3.0)[0] == 50


def test_a_label_of_the_networks_own_size_loses_nothing():
    """It may be clean though most others are larger."""
    evidence, wrong = half_too_small()
    evidence["size_ratio"][0], evidence["dice"][0] = 1.0, EXPECTED
    evidence["score"][0] = disagreement_score(EXPECTED, EXPECTED)
    assert score_without_size_bias(evidence, 0.25)[0] == evidence["score"][0]
    decision = filter_without_size_bias(evidence)
    np.testing.assert_array_equal(decision.suspected, wrong)


def test_one_odd_label_makes_no_bias():
    evidence, _ = half_too_small(network=0.05)
    evidence["size_ratio"][0] = 1e6
    assert filter_without_size_bias(evidence).size_bias == 0.0


@pytest.mark.parametrize("bias", [1.5, -1.5])
def test_a_network_that_is_far_off_is_not_ready(bias):
    rng = np.random.default_rng(0)
    evidence = labels(bias + rng.normal(0, 0.1, 60), 0.02)
    decision = filter_without_size_bias(evidence)
    assert (decision.verdict, decision.size_bias) == ("not ready", 0.0)


def test_slices_that_are_a_matter_of_opinion_make_no_bias():
    """The network stops a slice early; seven of ten labels go on, the others stop with it."""
    rng, rows = np.random.default_rng(0), []
    judge = LabelJudge([1])
    for i in range(40):
        sees = np.zeros((24, 24, 8), bool)
        sees[5:18, 5:18, 1:6] = True
        given = sees.copy()
        given[..., 6] = given[..., 5] & (i % 10 < 7)
        given[5, rng.integers(5, 18, 4), 3] = False
        p = np.where(sees, 0.95, 0.04)
        rows.append(judge.evidence(given.astype(int), np.stack([1 - p, p]), (1, 1, 8)))
    evidence = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    judgement = judge.judge([f"case{i}" for i in range(40)], evidence)
    assert judgement.size_bias == {}
    assert not judgement.suspected.any()


def ball(shape=(40, 40, 40)):
    return np.sqrt(sum((axis - 19.5) ** 2 for axis in np.indices(shape)))


@pytest.mark.parametrize("bias", [0.3, 0.15, -0.2, -0.4])
def test_a_drawing_gets_the_size_that_labels_have(bias):
    """Of a probability that falls with the distance, the shifted drawing is the ball of that volume."""
    distance = ball()
    probability = 1 / (1 + np.exp(distance - 12))
    predicted, confidence = (probability > 0.5).astype(np.uint8), np.maximum(probability, 1 - probability)
    index, sure = drawn_without_size_bias(predicted, confidence, {1: bias})
    assert index.sum() == pytest.approx(predicted.sum() * np.exp(bias), rel=0.02)  # and what grows in further slices
    assert distance[index == 1].max() <= distance[index == 0].min() + 1e-9
    radius = 12 * np.exp(bias / 3)
    wanted = 1 / (1 + np.exp(distance - radius))
    near = index != predicted
    np.testing.assert_allclose(np.where(index == 1, sure, 1 - sure)[near], wanted[near], atol=0.06)


def test_neighbours_keep_their_voxels():
    predicted = np.zeros((20, 20), np.uint8)
    predicted[4:16, 2:10], predicted[4:16, 10:18] = 1, 2
    confidence = np.full(predicted.shape, 0.6, np.float32)
    larger, _ = drawn_without_size_bias(predicted, confidence, {1: 0.3})
    np.testing.assert_array_equal(larger == 2, predicted == 2)
    assert np.count_nonzero(larger == 1) == round(96 * np.exp(0.3))
    assert ((larger == 1) >= (predicted == 1)).all()
    smaller, _ = drawn_without_size_bias(predicted, confidence, {1: -0.3})
    np.testing.assert_array_equal(smaller == 2, predicted == 2)
    assert np.count_nonzero(smaller == 1) == round(96 * np.exp(-0.3))


def test_two_structures_grow_side_by_side():
    predicted = np.zeros((20, 20), np.uint8)
    predicted[8:12, 6:9], predicted[8:12, 11:14] = 1, 2
    confidence = np.random.default_rng(0).uniform(0.5, 1, predicted.shape).astype(np.float32)
    both, _ = drawn_without_size_bias(predicted, confidence, {1: 0.5, 2: 0.5})
    for k in (1, 2):
        assert ((both == k) >= (predicted == k)).all()
        assert 12 < np.count_nonzero(both == k) <= round(12 * np.exp(0.5))


def test_a_drawing_without_a_bias_or_a_structure_stays():
    predicted = np.zeros((6, 6), np.uint8)
    predicted[2:4, 2:4] = 1
    confidence = np.full((6, 6), 0.7, np.float32)
    for biases in ({}, {2: 0.5}, {1: 0.0}):
        index, sure = drawn_without_size_bias(predicted, confidence, biases)
        np.testing.assert_array_equal(index, predicted)
        np.testing.assert_array_equal(sure, confidence)
    full = np.ones((6, 6), np.uint8)
    index, sure = drawn_without_size_bias(full, confidence, {1: 0.5})  # there is no room
    np.testing.assert_array_equal(index, full)
    np.testing.assert_array_equal(sure, confidence)


def test_what_was_given_is_not_written_to():
    predicted, confidence = np.pad(np.ones((3, 3), np.uint8), 3), np.full((9, 9), 0.8, np.float32)
    before = predicted.copy(), confidence.copy()
    index, sure = drawn_without_size_bias(predicted, confidence, {1: 0.4})
    assert (index != predicted).any()
    assert (index.dtype, sure.dtype) == (predicted.dtype, confidence.dtype)
    assert sure.min() >= 0.5
    assert sure.max() <= 1
    np.testing.assert_array_equal(predicted, before[0])
    np.testing.assert_array_equal(confidence, before[1])


def test_a_structure_within_another_does_not_leap_over_it():
    """A ventricle within a myocardium that it touches all around; beyond, the network has its doubts."""
    predicted = np.zeros((30, 30), np.uint8)
    predicted[6:24, 6:24], predicted[10:20, 10:20] = 2, 3
    confidence = np.where(predicted > 0, 0.9, 0.6).astype(np.float32)
    index, _ = drawn_without_size_bias(predicted, confidence, {3: 0.4})
    np.testing.assert_array_equal(index, predicted)


def test_voxels_of_which_the_network_is_sure_do_not_change_side():
    predicted = np.pad(np.ones((6, 6), np.uint8), 6)
    confidence = np.full(predicted.shape, 0.99, np.float32)
    confidence[5, 6:12] = 0.6  # a row beside it
    index, _ = drawn_without_size_bias(predicted, confidence, {1: 0.5})
    assert np.count_nonzero(index) == 42
    assert index[5, 6:12].all()
    index, _ = drawn_without_size_bias(predicted, confidence, {1: -0.5})
    np.testing.assert_array_equal(index, predicted)


def test_a_doubtful_edge_is_not_followed_far_out():
    predicted = np.zeros((40, 40), np.uint8)
    predicted[16:24, 16:24] = 1
    confidence = np.full(predicted.shape, 0.97, np.float32)
    confidence[24:, 20] = 0.55  # a line that begins at the structure
    confidence[15:25, 15:25] = 0.8
    index, _ = drawn_without_size_bias(predicted, confidence, {1: 0.3})
    assert np.count_nonzero(index) > 70
    assert not index[27:].any()


def discs():
    """A cavity (2) within a muscle (1), as a softmax sees them."""
    away = np.sqrt(sum((axis - 29.5) ** 2 for axis in np.indices((60, 60))))
    logits = 0.6 * np.stack([away - 22, np.minimum(away - 12, 22 - away), 12 - away])
    p = np.exp(logits) / np.exp(logits).sum(0)
    return p.argmax(0).astype(np.uint8), p.max(0).astype(np.float32), away


@pytest.mark.parametrize("bias", [-0.2, -0.4])
def test_no_background_comes_between_neighbours(bias):
    predicted, confidence, away = discs()
    index, sure = drawn_without_size_bias(predicted, confidence, {1: bias})
    assert np.count_nonzero(index == 1) < np.count_nonzero(predicted == 1)
    cleansed, _ = cleanse_label(predicted, index, sure, [1])
    for label in (index, cleansed):
        assert label[away < 15].all()


@pytest.mark.parametrize("bias", [0.2, -0.2])
def test_the_border_between_neighbours_stays_as_sure_as_it_was(bias):
    predicted, confidence, away = discs()
    _, sure = drawn_without_size_bias(predicted, confidence, {1: bias})
    np.testing.assert_array_equal(sure[away < 14], confidence[away < 14])


def test_a_slice_beyond_the_end_does_not_take_what_the_others_lack():
    predicted = np.zeros((20, 20, 9), np.uint8)
    predicted[6:14, 6:14, 2:7] = 1
    confidence = np.full(predicted.shape, 0.97, np.float32)
    confidence[5:15, 5:15] = 0.8  # doubt around it
    confidence[6:14, 6:14, 7] = 0.55  # and more of it in the next slice
    index, _ = drawn_without_size_bias(predicted, confidence, {1: 0.15})
    assert np.count_nonzero(index[..., 2:7]) == round(320 * np.exp(0.15))


def test_of_many_classes_no_more_than_the_most_probable_one_is_counted():
    """Background with 0.3 is no structure with 0.7."""
    predicted = np.zeros((14, 14), np.uint8)
    predicted[4:10, 4:10] = 1
    confidence = np.full(predicted.shape, 0.9, np.float32)
    confidence[3, 4:10] = 0.3
    index, sure = drawn_without_size_bias(predicted, confidence, {1: np.log(42 / 36)})
    assert index[3, 4:10].all()
    assert sure[3, 4:10].max() < 0.65


def test_a_network_that_expects_nothing_of_itself_is_not_ready() -> None:
    rng = np.random.default_rng(0)
    dice, expected = rng.uniform(0.02, 0.1, 30), rng.uniform(0.01, 0.05, 30)
    evidence = {"score": (1 - dice) / (1.02 - expected), "dice": dice, "size_ratio": rng.uniform(5, 15, 30)}
    assert filter_without_size_bias(evidence | {"expected_dice": expected}).verdict == "not ready"
    expected[:16] = 0.9
    assert filter_labels(np.ones(30), np.zeros(30), expected_dice=expected).verdict == "clean"
    with pytest.raises(ValueError, match=r"expected_dice \(29,\)"):
        filter_labels(np.ones(30), np.zeros(30), expected_dice=expected[1:])
