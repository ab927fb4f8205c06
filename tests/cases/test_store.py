"""The store of what was seen and what is trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import files_below
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from monai_selfcleanse.cases.seen import Redrawing
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.cleansing import cleanse_label, untrusted_voxels

TARGET = np.array([[0, 1], [2, 3]])
WEIGHT = np.array([[1.0, 0.0], [1.0, 1.0]], dtype=np.float32)
ODD_IDS = ["a/b", "../up", "..", "a b", "ä%2F", "c:\\d", "x.nii.gz", "*", "a", "A", "É", "é"]


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return CaseStore(tmp_path / "cases")


def probabilities(seed: int = 0, n_classes: int = 4, shape: tuple[int, ...] = (3, 4, 2)) -> np.ndarray:
    p = np.random.default_rng(seed).random((n_classes, *shape))
    return (p / p.sum(0)).astype(np.float32)


def test_new_store_is_empty_and_writes_nothing(store: CaseStore) -> None:
    assert store.version == 0
    assert store.read_target("a") is None
    store.publish(0)
    assert not store.directory.exists()


def test_seen_case_is_read_as_written(store: CaseStore) -> None:
    p, affine = probabilities(), np.diag([1.5, 1.5, 10.0, 1.0])
    given_label = np.random.default_rng(1).integers(0, 4, p.shape[1:])
    store.write_seen("a", given_label, p, affine)
    seen = store.read_seen("a")
    np.testing.assert_array_equal(seen.given, given_label)
    np.testing.assert_array_equal(seen.predicted, p.argmax(0))
    np.testing.assert_array_equal(seen.affine, affine)
    assert seen.confidence.dtype == np.float32
    np.testing.assert_allclose(seen.confidence, p.max(0), atol=0.5 / 255 + 1e-6)


def test_strays_of_structures_in_one_piece_are_left_out(store: CaseStore) -> None:
    predicted = np.array([[[1, 0, 1], [2, 0, 2]]])
    p = np.moveaxis(np.eye(3)[predicted], -1, 0) * 0.7 + 0.1
    strays = {1: np.array([2]), 2: np.array([5])}
    store.write_seen("a", np.zeros_like(predicted), p, np.eye(4), strays=strays)
    store.write_seen("b", np.zeros_like(predicted), p, np.eye(4))
    np.testing.assert_array_equal(store.read_seen("a").predicted, predicted)
    seen = store.read_seen("a", [1])
    np.testing.assert_array_equal(seen.predicted, [[[1, 0, 0], [2, 0, 2]]])
    np.testing.assert_allclose(seen.confidence, [[[0.8, 0.8, 0], [0.8, 0.8, 0.8]]], atol=0.003)
    np.testing.assert_array_equal(store.read_seen("b", [1, 2]).predicted, predicted)


def test_the_last_look_replaces_the_one_before(store: CaseStore) -> None:
    for seed in (0, 1):
        store.write_seen("a", np.zeros((3, 4, 2), dtype=int), probabilities(seed), np.eye(4))
    np.testing.assert_array_equal(store.read_seen("a").predicted, probabilities(1).argmax(0))
    assert files_below(store.directory) == ["seen", "seen/a.npz"]


def test_a_drawing_with_the_label_at_hand_redraws_in_place_of_the_prediction(store: CaseStore) -> None:
    """Also where it is unsure, and not where voxels are asked for that nobody can be trusted about."""
    rng = np.random.default_rng(0)
    given_label, p, q = rng.integers(0, 4, (3, 4, 2)), probabilities(0), probabilities(1)
    store.write_seen("a", given_label, p, np.eye(4), evidence={"score": np.ones(3)}, fingerprint="f")
    alone, stamp = store.read_seen("a"), store.stamp("a")
    store.write_drawn("a", Redrawing(q.argmax(0), q.max(0)))
    seen = store.read_seen("a")
    assert store.stamp("a") != stamp
    assert store.read_evidence("a", "f") is not None
    np.testing.assert_array_equal(seen.predicted, p.argmax(0))
    confidence = np.rint(q.max(0) * 255) / 255
    expected, _ = cleanse_label(given_label, q.argmax(0), confidence, [1, 2, 3], 0)
    np.testing.assert_array_equal(seen.cleansed([1, 2, 3])[0], expected)
    assert (expected != alone.cleansed([1, 2, 3])[0]).any()
    untrusted = untrusted_voxels(given_label, q.argmax(0), confidence.astype(np.float32), [1, 2, 3])
    np.testing.assert_array_equal(seen.untrusted([1, 2, 3]), untrusted)
    box = (slice(1, 3), slice(0, 2))
    np.testing.assert_array_equal(seen.part(box).redrawing.index, q.argmax(0)[box])
    np.testing.assert_allclose(seen.part(box).redrawing.confidence, confidence[box], atol=1e-6)
    store.write_seen("a", given_label, p, np.eye(4), fingerprint="f")
    assert store.read_seen("a").redrawn_by is None
    assert store.stamp("a") == stamp


def test_where_nothing_was_drawn_the_given_label_stands(store: CaseStore) -> None:
    """A network may have seen a part of the image alone."""
    given_label = np.ones((2, 3), dtype=np.uint8)
    p = np.stack([given_label, 1 - given_label]).astype(float)
    store.write_seen("a", given_label, p, np.eye(4))
    drawn, confidence = np.array([[0, 0, 1], [1, 1, 1]]), np.array([[0.0, 0.51, 0.6], [0.6, 0.6, 0.6]])
    store.write_drawn("a", Redrawing(drawn, confidence))
    np.testing.assert_array_equal(store.read_seen("a").cleansed([1])[0], [[1, 0, 1], [1, 1, 1]])
    assert store.has_drawn("a")
    assert not store.has_drawn("b")
    with pytest.raises(ValueError, match=r"case 'a': the drawing has the shape \(2, 2\), the prediction \(2, 3\)"):
        store.write_drawn("a", Redrawing(drawn[:, :2], confidence[:, :2]))


def test_a_drawing_of_a_case_that_was_not_seen_is_refused(store: CaseStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.write_drawn("a", Redrawing(np.zeros((2, 2)), np.ones((2, 2))))


@pytest.mark.parametrize("value", [-1, 256])
def test_label_that_does_not_fit_a_byte_is_refused(store: CaseStore, value: int) -> None:
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 255"):
        store.write_seen("a", np.full((3, 4, 2), value), probabilities(), np.eye(4))
    assert [path for path in files_below(store.directory) if "." in path] == []


@pytest.mark.parametrize("length", [0, 1, 500])
def test_evidence_in_a_damaged_file_is_none(store: CaseStore, length: int) -> None:
    p = probabilities()
    store.write_seen("a", p.argmax(0), p, np.eye(4), evidence={"score": np.ones(3)}, fingerprint="f")
    kept = store.read_evidence("a", "f")
    assert kept is not None
    assert kept["score"].tolist() == [1, 1, 1]
    (path,) = (store.directory / "seen").iterdir()
    path.write_bytes(path.read_bytes()[:length])
    assert store.read_evidence("a", "f") is None


def test_unseen_case_is_not_found(store: CaseStore) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.npz"):
        store.read_seen("a")


def test_target_is_read_from_its_publication_on(store: CaseStore) -> None:
    store.write_target(1, "a", TARGET, WEIGHT)
    assert store.read_target("a") is None
    store.publish(1)
    found = store.read_target("a")
    assert found is not None
    np.testing.assert_array_equal(found[0], TARGET)
    np.testing.assert_array_equal(found[1], WEIGHT)
    assert found[1].dtype == np.float32


@given(weight=hnp.arrays(np.float32, (3, 2), elements=st.floats(0, 1, width=32)))
def test_weights_are_kept_to_a_byte(tmp_path_factory: pytest.TempPathFactory, weight: np.ndarray) -> None:
    store = CaseStore(tmp_path_factory.mktemp("store"))
    store.write_target(1, "a", np.ones((3, 2)), weight)
    store.publish(1)
    found = store.read_target("a")
    assert found is not None
    np.testing.assert_allclose(found[1], weight, atol=0.5 / 255 + 1e-6)


def test_case_that_a_cleansing_leaves_out_returns_to_its_given_label(store: CaseStore) -> None:
    store.write_target(1, "a", TARGET, WEIGHT)
    store.publish(1)
    store.write_target(2, "b", TARGET, WEIGHT)
    store.publish(2)
    assert store.read_target("a") is None
    assert store.read_target("b") is not None


def test_two_cleansings_are_kept(store: CaseStore) -> None:
    for version in (1, 2, 3, 4):
        store.write_target(version, "a", TARGET * (version % 2), WEIGHT)
        store.publish(version)
        assert store.version == version
    assert sorted(p.name for p in (store.directory / "targets").iterdir()) == ["3", "4", "CURRENT"]


def test_cleansing_before_can_be_put_into_force_again(store: CaseStore) -> None:
    for version in (1, 2):
        store.write_target(version, "a", TARGET * (version == 1), WEIGHT)
        store.publish(version)
    store.publish(1)
    found = store.read_target("a")
    assert found is not None
    np.testing.assert_array_equal(found[0], TARGET)


def test_publishing_nothing_returns_to_the_given_labels(store: CaseStore) -> None:
    store.write_target(1, "a", TARGET, WEIGHT)
    store.publish(1)
    store.publish(0)
    assert store.version == 0
    assert store.read_target("a") is None
    assert files_below(store.directory) == ["targets", "targets/CURRENT"]


def test_unpublished_targets_of_a_broken_off_run_are_cleared(store: CaseStore) -> None:
    store.write_target(1, "a", TARGET, WEIGHT)
    store.publish(0)
    store.write_target(1, "b", TARGET, WEIGHT)
    store.publish(1)
    assert store.read_target("a") is None
    assert store.read_target("b") is not None


def test_another_process_sees_what_is_published(store: CaseStore) -> None:
    other = CaseStore(str(store.directory))
    assert other.read_target("a") is None
    store.write_target(1, "a", TARGET, WEIGHT)
    store.publish(1)
    assert other.version == 1
    assert other.read_target("a") is not None


def test_odd_ids_stay_apart_and_within_the_folder(store: CaseStore) -> None:
    for i, case in enumerate(ODD_IDS):
        store.write_seen(case, np.full((3, 4, 2), i), probabilities(), np.eye(4))
        store.write_target(1, case, TARGET + i, WEIGHT)
    store.publish(1)
    for i, case in enumerate(ODD_IDS):
        assert (store.read_seen(case).given == i).all()
        found = store.read_target(case)
        assert found is not None
        np.testing.assert_array_equal(found[0], TARGET + i)
    names = [path.name for path in (store.directory / "seen").iterdir()]
    assert len({name.lower() for name in names}) == len(ODD_IDS)  # some file systems hold A and a for one
    assert files_below(store.directory.parent)[0] == "cases"
    assert len(list(store.directory.parent.iterdir())) == 1


def test_a_store_is_named_by_itself_or_its_folder(store: CaseStore) -> None:
    assert CaseStore.at(store) is store
    for folder in (store.directory, str(store.directory)):
        assert CaseStore.at(folder).directory == store.directory
    assert CaseStore.at(None) is None


def test_what_was_seen_is_cleansed_by_the_stores_own_confidence(tmp_path: Path) -> None:
    given_label, predicted = np.array([[1, 0, 0, 0]]), np.array([[1, 1, 1, 0]])
    p = np.where(np.arange(2)[:, None, None] == predicted, 0.6, 0.4)
    for least in (0.5, 0.7):
        store = CaseStore(tmp_path, min_confidence=least)
        store.write_seen("a", given_label, p, np.eye(4))
        seen = store.read_seen("a")
        arguments = seen.given, seen.predicted, seen.confidence, [1], least
        for found, expected in zip(seen.cleansed([1]), cleanse_label(*arguments), strict=True):
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(seen.untrusted([1]), untrusted_voxels(*arguments))
        assert (seen.cleansed([1])[0] == predicted).all() == (least < 0.6)
        assert seen.untrusted([1]).any() == (least > 0.6)
    assert seen != store.read_seen("a")  # arrays have no one equality


def test_suspects_are_redrawn_without_the_size_bias(store: CaseStore) -> None:
    """But not by a drawing that heeded the given label."""
    sees = np.zeros((12, 12), bool)
    sees[3:9, 3:9] = True
    p = np.where(sees, 0.9, 0.1)
    p[2, 3:9] = 0.3  # a further row, less sure to be none of it than all others
    store.write_seen("a", np.zeros(sees.shape, int), np.stack([1 - p, p]), np.eye(4))
    seen = store.read_seen("a", (), {1: np.log(42 / 36)})
    np.testing.assert_array_equal(seen.predicted == 1, sees)
    assert seen.redrawing.min_confidence == store.min_confidence
    np.testing.assert_array_equal(seen.redrawing.index == 1, p > 0.2)
    assert store.read_seen("a", (), {}).redrawn_by is None
    drawn = Redrawing(np.ones(sees.shape, int), np.ones(sees.shape))
    store.write_drawn("a", drawn)
    np.testing.assert_array_equal(store.read_seen("a", (), {1: 0.2}).redrawing.index, drawn.index)
