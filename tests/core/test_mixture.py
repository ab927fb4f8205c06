"""From scores to suspects: the mixture against scikit-learn, and the filter's laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.mixture import GaussianMixture

from monai_selfcleanse.core.mixture import (
    SCORE_CEILING,
    SCORE_FLOOR,
    FilterDecision,
    ScoreMixture,
    filter_labels,
    fit_score_mixture,
)

MIXTURES = st.builds(
    lambda noisy, low, apart, variance, ceiling: ScoreMixture(
        (1 - noisy, noisy), (low, low + apart), variance, ceiling
    ),
    noisy=st.floats(0.01, 0.99),
    low=st.floats(-5, 0),
    apart=st.floats(0.01, 4),
    variance=st.floats(0.01, 3),
    ceiling=st.floats(3.5, 10) | st.just(np.inf),
)
COHORTS = st.integers(0, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.float64, n, elements=st.floats(0, 50) | st.just(np.nan)),
        hnp.arrays(np.float64, n, elements=st.floats(-1, 1)),
    )
)


def two_groups(seed: int, n: int = 40, n_noisy: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, surprise, and who is noisy: clean labels score about 0.8, noisy ones about 2.4."""
    rng = np.random.default_rng(seed)
    noisy = np.zeros(n, dtype=bool)
    noisy[rng.permutation(n)[:n_noisy]] = True
    scores = np.exp(rng.normal(np.where(noisy, np.log(2.5), np.log(0.9)), 0.1)) - SCORE_FLOOR
    return scores, np.where(noisy, 0.4, 0.02) + rng.normal(0, 0.02, n), noisy


def unimodal(seed: int, n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Clean labels of easy and hard cases: scores of one mode, and the network hardly surprised by the hardest."""
    rng = np.random.default_rng(seed)
    difficulty = rng.normal(0, 1, n)
    return np.exp(np.log(0.9) + 0.4 * difficulty), 0.02 * difficulty + rng.normal(0, 0.03, n)


def sklearns(mixture: ScoreMixture) -> GaussianMixture:
    model = GaussianMixture(2, covariance_type="tied")
    model.weights_, model.means_ = np.array(mixture.weights), np.array(mixture.means)[:, None]
    model.covariances_ = np.array([[mixture.variance]])
    model.precisions_cholesky_ = 1 / np.sqrt(model.covariances_)
    return model


@given(mixture=MIXTURES, scores=hnp.arrays(np.float64, 7, elements=st.floats(0, 50)))
def test_clean_probability_is_scikit_learns_posterior(mixture: ScoreMixture, scores: np.ndarray) -> None:
    expected = sklearns(mixture).predict_proba(np.log(scores + SCORE_FLOOR)[:, None])[:, 0]
    np.testing.assert_allclose(mixture.clean_probability(scores), expected, atol=1e-9)


def test_fit_is_scikit_learns() -> None:
    scores, *_ = two_groups(0)
    x = np.log(scores + SCORE_FLOOR)[:, None]
    model = GaussianMixture(2, covariance_type="tied", random_state=0, n_init=3).fit(x)
    mixture = fit_score_mixture(scores)
    assert mixture is not None
    np.testing.assert_allclose(mixture.means, np.sort(model.means_[:, 0]), atol=0.01)
    clean = model.means_[:, 0].argmin()
    np.testing.assert_allclose(mixture.clean_probability(scores), model.predict_proba(x)[:, clean], atol=0.01)


def test_fit_finds_what_the_scores_were_drawn_from() -> None:
    scores, _, _ = two_groups(0, n=4000, n_noisy=1200)
    mixture = fit_score_mixture(scores)
    assert mixture is not None
    np.testing.assert_allclose(mixture.weights, (0.7, 0.3), atol=0.02)
    np.testing.assert_allclose(mixture.means, (np.log(0.9), np.log(2.5)), atol=0.03)
    assert mixture.variance == pytest.approx(0.1**2, rel=0.1)


@pytest.mark.parametrize("typical", [0.8, 1.0, 1.7])
def test_scores_beyond_the_ceiling_are_one_to_the_fit_and_still_ranked(typical: float) -> None:
    rng = np.random.default_rng(0)
    clean, part = typical * np.exp(rng.normal(0, 0.1, 40)), 2.2 * typical * np.exp(rng.normal(0, 0.1, 12))
    near, far = (fit_score_mixture(np.concatenate([clean, part, lacking])) for lacking in ([6.0] * 9, [50.0] * 9))
    assert near is not None
    assert near == far
    quartile = np.quantile(np.concatenate([clean, part, [50.0] * 9]), 0.25)
    assert near.ceiling == pytest.approx(SCORE_CEILING * max(1.0, quartile))
    p = near.clean_probability(np.array([clean.max(), part.min(), 6.0, 50.0]))
    assert p[0] > 0.5 > p[1] > p[2] >= p[3]


@given(mixture=MIXTURES, scores=hnp.arrays(np.float64, 9, elements=st.floats(0, 50)))
def test_clean_probability_falls_with_the_score(mixture: ScoreMixture, scores: np.ndarray) -> None:
    p = mixture.clean_probability(np.sort(scores))
    assert ((p >= 0) & (p <= 1)).all()
    assert (np.diff(p) <= 0).all()


def test_clean_probability_falls_strictly_between_its_ends() -> None:
    p = ScoreMixture((0.6, 0.4), (-0.2, 1.5), 0.4).clean_probability(np.linspace(0.01, 30, 200))
    assert (np.diff(p) < 0).all()
    assert p[0] > 0.99 > 0.01 > p[-1]


def test_equal_components_are_told_apart_midway() -> None:
    mixture = ScoreMixture((0.5, 0.5), (-2.0, 0.0), 0.5)
    assert mixture.clean_probability(np.exp(np.array([-1.0])) - SCORE_FLOOR)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("scores", [[], [0.1], [0.1, 0.2, 3.0], [0.2] * 30])
def test_too_few_or_equal_scores_have_no_mixture(scores: list[float]) -> None:
    assert fit_score_mixture(np.array(scores)) is None


@given(cohort=COHORTS, threshold=st.floats(0.1, 0.9), min_separation=st.floats(-0.5, 0.5))
@settings(max_examples=60)
def test_laws_of_the_filter(cohort: tuple[np.ndarray, np.ndarray], threshold: float, min_separation: float) -> None:
    scores, surprise = cohort
    known = ~np.isnan(scores)
    decision = filter_labels(scores, surprise, threshold=threshold, min_separation=min_separation)
    p = decision.clean_probability
    assert p.shape == decision.suspected.shape == scores.shape
    np.testing.assert_array_equal(np.isnan(p), ~known)
    assert ((p[known] >= 0) & (p[known] <= 1)).all()
    assert (np.diff(p[known][np.argsort(scores[known])]) <= 0).all()
    assert decision.verdict in ("suspects", "clean", "too few", "not ready")
    if decision.verdict == "suspects":
        np.testing.assert_array_equal(decision.suspected, known & (np.nan_to_num(p, nan=1.0) < threshold))
        assert decision.suspected.any()
        half = decision.clear_cut and min_separation > 0
        assert decision.separation >= (min_separation / 2 if half else min_separation)
    else:
        assert not decision.suspected.any()
        assert (p[known] >= threshold).all()


@pytest.mark.parametrize("seed", range(10))
def test_order_of_cases_does_not_matter(seed: int) -> None:
    for scores, surprise in (two_groups(seed)[:2], unimodal(seed)):
        order = np.random.default_rng(seed).permutation(len(scores))
        straight, shuffled = filter_labels(scores, surprise), filter_labels(scores[order], surprise[order])
        np.testing.assert_allclose(shuffled.clean_probability, straight.clean_probability[order], atol=1e-9)
        np.testing.assert_array_equal(shuffled.suspected, straight.suspected[order])
        assert shuffled.verdict == straight.verdict


@pytest.mark.parametrize("seed", range(20))
def test_two_clear_groups_give_exactly_the_noisy_ones(seed: int) -> None:
    scores, surprise, noisy = two_groups(seed, n_noisy=3 + seed)
    decision = filter_labels(scores, surprise)
    assert decision.verdict == "suspects"
    np.testing.assert_array_equal(decision.suspected, noisy)
    assert decision.separation == pytest.approx(surprise[noisy].mean() - surprise[~noisy].mean())


@pytest.mark.parametrize("seed", range(30))
def test_clean_labels_of_one_mode_have_no_suspects(seed: int) -> None:
    decision = filter_labels(*unimodal(seed))
    assert decision.verdict in ("clean", "not ready")
    assert not decision.suspected.any()


@pytest.mark.parametrize("score", [0.0, 0.9, 2.0])
def test_equal_scores_look_clean(score: float) -> None:
    decision = filter_labels(np.full(30, score), np.zeros(30))
    assert decision.verdict == "clean"
    assert (decision.clean_probability == 1).all()
    assert decision.mixture is None
    assert decision.separation == 0.0


def test_labels_that_all_surprise_the_network_alike_are_not_judged() -> None:
    decision = filter_labels(np.full(30, 50.0), np.ones(30))  # it sees the structure nowhere
    assert decision.verdict == "not ready"
    assert not decision.suspected.any()


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.0), (0.5, 1.0), (0.93, 0.99), (0.85, 0.97)])
@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_agrees_with_no_label_is_not_ready(seed: int, low: float, high: float) -> None:
    expected = np.random.default_rng(seed).uniform(low, high, 60)  # it sees nothing, or all labels lack it
    decision = filter_labels(1 / (1 - expected + 0.02), expected)
    assert decision.verdict == "not ready"
    assert not decision.suspected.any()
    assert (decision.clean_probability >= 0.5).all()


@pytest.mark.parametrize("seed", range(10))
def test_seven_of_ten_labels_may_be_wrong_and_some_lack_the_structure(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.uniform(0.7, 1.1, 30), rng.uniform(2.2, 3.2, 50), rng.uniform(6, 50, 20)])
    surprise = np.concatenate([np.zeros(30), np.full(50, 0.3), np.full(20, 0.9)])
    np.testing.assert_array_equal(filter_labels(scores, surprise).suspected, scores > 2)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("n_unseen", [1, 3, 12, 30])
def test_labels_of_which_the_network_sees_nothing_do_not_hide_the_other_suspects(seed: int, n_unseen: int) -> None:
    scores, surprise, noisy = two_groups(seed, n=70, n_noisy=30)
    scores, surprise = (np.append(a, np.full(n_unseen, b)) for a, b in ((scores, 40.0), (surprise, 1.0)))
    suspected = filter_labels(scores, surprise).suspected
    np.testing.assert_array_equal(suspected, np.append(noisy, np.ones(n_unseen, dtype=bool)))


def mild_groups(n_noisy: int, apart: float, seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, surprises and which labels are noisy, where the noisy ones are worse by 0.18 Dice alone.

    ``apart``: how many standard deviations lie between the groups' log scores.
    """
    rng = np.random.default_rng(seed)
    noisy = np.arange(n) < n_noisy
    scores = np.exp(0.15 * (np.where(noisy, apart, 0.0) + rng.normal(0, 1, n)))
    return scores, np.where(noisy, 0.18, 0.0) + rng.normal(0, 0.01, n), noisy


@pytest.mark.parametrize("seed", range(5))
def test_mild_noise_is_found_where_the_groups_hardly_overlap(seed: int) -> None:
    scores, surprise, noisy = mild_groups(25, 7, seed)
    decision = filter_labels(scores, surprise)
    assert decision.verdict == "suspects"
    np.testing.assert_array_equal(decision.suspected, noisy)
    assert filter_labels(scores, surprise - 0.1 * noisy).verdict == "clean"  # 0.08 Dice are nobody's mistake


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_noisy", "apart"), [(25, 2), (5, 9)])
def test_a_tail_and_a_few_hard_cases_look_clean(n_noisy: int, apart: float, seed: int) -> None:
    scores, surprise, _ = mild_groups(n_noisy, apart, seed)
    decision = filter_labels(scores, surprise)
    assert decision.separation > 0.08
    assert decision.verdict == "clean"


@pytest.mark.parametrize(
    ("n_noisy", "apart", "n", "clear_cut"), [(6, 9, 60, True), (5, 9, 50, False), (6, 9, 64, False), (20, 2, 60, False)]
)
def test_groups_are_clear_cut_that_hardly_overlap_and_are_not_few(
    n_noisy: int, apart: float, n: int, clear_cut: bool
) -> None:
    scores, surprise, noisy = mild_groups(n_noisy, apart, 0, n)
    decision = filter_labels(scores, surprise)
    assert decision.clear_cut == clear_cut
    if clear_cut:
        np.testing.assert_array_equal(decision.suspected, noisy)


def test_labels_edited_after_the_network_has_drawn_them_look_clean() -> None:
    """Half are the network's own drawings: their scores are 0, so that all others lie far off."""
    rng = np.random.default_rng(0)
    dice = np.where(np.arange(60) < 30, 1.0, rng.normal(0.86, 0.03, 60))
    decision = filter_labels((1 - dice) / 0.07, 0.95 - dice)
    assert decision.mixture is not None
    assert decision.mixture.distance > 4
    assert not decision.clear_cut
    assert decision.verdict == "clean"


def test_groups_that_surprise_the_network_alike_look_clean() -> None:
    scores, _, _ = two_groups(0)
    decision = filter_labels(scores, np.zeros(40))
    assert decision.verdict == "clean"
    assert decision.mixture is not None


def test_lifted_probabilities_keep_their_order() -> None:
    scores, _ = unimodal(0)
    p = filter_labels(scores, np.zeros(80), threshold=0.6, max_share=1.0).clean_probability
    assert (np.diff(p[np.argsort(scores)]) < 0).all()
    assert p.min() < 0.7
    assert p.min() >= 0.6


def test_few_cases_are_not_judged() -> None:
    scores, surprise, _ = two_groups(0, n=11, n_noisy=4)
    decision = filter_labels(scores, surprise, min_cases=12)
    assert decision.verdict == "too few"
    assert not decision.suspected.any()
    assert filter_labels(scores, surprise, min_cases=11).verdict == "suspects"


@pytest.mark.parametrize("n", [0, 1, 3])
def test_hardly_any_cases_are_too_few(n: int) -> None:
    decision = filter_labels(np.full(n, 0.2), np.zeros(n))
    assert decision.verdict == "too few"
    assert (decision.clean_probability == 1).all()


def test_network_that_disagrees_with_most_is_not_ready() -> None:
    scores, surprise, _ = two_groups(0, n=40, n_noisy=34)
    decision = filter_labels(scores, surprise, max_share=0.8)
    assert decision.verdict == "not ready"
    assert not decision.suspected.any()
    assert filter_labels(scores, surprise, max_share=0.85).verdict == "suspects"


def test_cases_without_a_score_are_passed_over() -> None:
    scores, surprise, noisy = two_groups(0)
    holes = np.insert(scores, [0, 20, 40], np.nan), np.insert(surprise, [0, 20, 40], 1.0)
    decision, full = filter_labels(*holes), filter_labels(scores, surprise)
    known = ~np.isnan(holes[0])
    np.testing.assert_array_equal(decision.clean_probability[known], full.clean_probability)
    np.testing.assert_array_equal(decision.suspected[known], noisy)
    assert not decision.suspected[~known].any()
    assert np.isnan(decision.clean_probability[~known]).all()


def test_no_scores_at_all_are_too_few() -> None:
    decision = filter_labels(np.full(20, np.nan), np.zeros(20))
    assert decision.verdict == "too few"
    assert np.isnan(decision.clean_probability).all()


def test_threshold_decides_who_is_suspected() -> None:
    scores, surprise, _ = two_groups(0)
    scores[0], surprise[0] = np.sqrt(0.9 * 2.5) - SCORE_FLOOR, 0.4  # midway between the groups
    counts = [filter_labels(scores, surprise, threshold=t).suspected.sum() for t in (1e-6, 0.5, 1 - 1e-6)]
    assert counts == sorted(counts)
    assert counts[0] < counts[2]


def test_same_scores_give_the_same_decision() -> None:
    first, second = (filter_labels(*two_groups(0)[:2], random_state=1) for _ in range(2))
    assert isinstance(first, FilterDecision)
    np.testing.assert_array_equal(first.clean_probability, second.clean_probability)
    assert first.mixture == second.mixture


@pytest.mark.parametrize(("bad", "message"), [(-0.1, "-0.1 at index 2"), (np.inf, "inf at index 2"), (-np.inf, "-inf")])
def test_impossible_scores_are_refused(bad: float, message: str) -> None:
    scores = np.array([0.1, np.nan, bad, 0.3])
    with pytest.raises(ValueError, match=f"scores must be finite and at least 0, got {message}"):
        filter_labels(scores, np.zeros(4))


@pytest.mark.parametrize(("scores", "surprise"), [((4,), (5,)), ((4, 1), (4, 1)), ((), ())])
def test_differing_shapes_are_refused(scores: tuple[int, ...], surprise: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"must be of one shape \(n,\)"):
        filter_labels(np.zeros(scores), np.zeros(surprise))


@given(mixture=MIXTURES, probability=st.floats(0.001, 0.999))
def test_score_at_is_the_inverse_of_the_clean_probability(mixture: ScoreMixture, probability: float) -> None:
    score = mixture.score_at(probability)
    back = float(mixture.clean_probability(np.array(score)))
    if 0 < score < 1e6:
        assert back == pytest.approx(probability, rel=1e-6)
    elif score == 0:
        assert back <= probability * (1 + 1e-6)
