"""One case in a look."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import AFFINE, tiny_label

from monai_selfcleanse.cases.look import score_case
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.evidence import structure_evidence
from monai_selfcleanse.core.judge import LabelJudge

STRUCTURES = (1, 2, 3)
PROBABILITIES = np.moveaxis(np.eye(4)[tiny_label(2)], -1, 0) * 0.9 + 0.025


def test_evidence_is_that_of_the_voxel_sizes_and_is_kept(tmp_path: Path) -> None:
    store, given = CaseStore(tmp_path), tiny_label()
    evidence = score_case(LabelJudge(STRUCTURES), store, "a", given, PROBABILITIES, AFFINE, fingerprint="f")
    expected = structure_evidence(given, PROBABILITIES, STRUCTURES, (1.5, 1.5, 10.0))
    kept = store.read_evidence("a", "f")
    assert kept is not None
    assert evidence.keys() == kept.keys() >= expected.keys()
    for name, values in evidence.items():
        np.testing.assert_array_equal(values, expected.get(name, values))
        np.testing.assert_array_equal(kept[name], values)
    assert store.read_evidence("a", "other") is None
    seen = store.read_seen("a")
    np.testing.assert_array_equal(seen.given, given)
    np.testing.assert_array_equal(seen.predicted, tiny_label(2))
    np.testing.assert_array_equal(seen.affine, AFFINE)


def test_strays_are_kept_with_the_case_and_evidence_is_there_with_and_without_them(tmp_path: Path) -> None:
    given = tiny_label()
    predicted = given.copy()
    predicted[11, 0, 0] = 3
    p = np.moveaxis(np.eye(4)[predicted], -1, 0) * 0.9 + 0.025
    store = CaseStore(tmp_path)
    evidence = score_case(LabelJudge(STRUCTURES), store, "a", given, p, AFFINE)
    assert evidence["predicted_ml"][2] > evidence["given_ml"][2] == evidence["predicted_ml_without_strays"][2] > 0
    np.testing.assert_array_equal(store.read_seen("a").predicted, predicted)
    np.testing.assert_array_equal(store.read_seen("a", [3]).predicted, given)


def test_a_store_may_be_given_by_its_folder(tmp_path: Path) -> None:
    score_case(LabelJudge(STRUCTURES), tmp_path, "a", tiny_label(), PROBABILITIES, AFFINE)
    np.testing.assert_array_equal(CaseStore(tmp_path).read_seen("a").given, tiny_label())


def test_what_a_partial_label_lacks_is_neither_scored_nor_seen(tmp_path: Path) -> None:
    given = np.where(tiny_label() == 1, 0, tiny_label())
    before = PROBABILITIES.copy()
    judge = LabelJudge(STRUCTURES, partial_labels=True)
    evidence = score_case(judge, CaseStore(tmp_path), "a", given, PROBABILITIES, AFFINE)
    assert np.isnan(evidence["score"]).tolist() == [True, False, False]
    assert not (CaseStore(tmp_path).read_seen("a").predicted == 1).any()
    np.testing.assert_array_equal(PROBABILITIES, before)


def test_a_confidence_of_its_own_is_kept(tmp_path: Path) -> None:
    confidence = np.full(tiny_label().shape, 0.4)
    score_case(LabelJudge([1]), CaseStore(tmp_path), "a", tiny_label(), PROBABILITIES, AFFINE, confidence)
    np.testing.assert_allclose(CaseStore(tmp_path).read_seen("a").confidence, 0.4, atol=0.5 / 255)


def test_a_prediction_of_another_shape_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        score_case(LabelJudge([1]), CaseStore(tmp_path), "a", tiny_label()[1:], PROBABILITIES, AFFINE)
    assert list(tmp_path.iterdir()) == []
