"""What is kept about submitted labels, and which of them wait for a reviewer."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monai_selfcleanse.core.size_bias import filter_without_size_bias
from monai_selfcleanse.monai_label import review
from monai_selfcleanse.monai_label.review import KEY, TAG, review_queue, score_labels

STRUCTURES = {1: "liver", 2: "tumour"}


class FakeDatastore:
    """Images and submitted labels as MONAI Label's local datastore keeps them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images: dict[str, dict[str, Any]] = {}
        self.labels: dict[str, dict[str, Any]] = {}

    def submit(self, image: str, label: np.ndarray, **info: Any) -> None:
        np.save(self.folder / image, label)
        self.images.setdefault(image, {"name": image})
        self.labels[image] = {"name": image, **info}  # a new info each time

    def get_labeled_images(self, label_tag: str | None = None) -> list[str]:
        return list(self.labels)

    def get_image_uri(self, image_id: str) -> str:
        return image_id

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return self.images[image_id]

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return image_id

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        return str(self.folder / f"{label_id}.npy")

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        return self.labels[label_id]

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self.images[image_id].update(info)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        self.labels[label_id].update(info)


def drawn(shift: int = 0, tumour: bool = True) -> np.ndarray:
    label = np.zeros((16, 16, 4), dtype=np.uint8)
    label[2 + shift : 12 + shift, 2:12] = 1
    if tumour:
        label[5 + shift : 9 + shift, 5:9] = 2
    return label


class Network:
    """Sees the truth in every image ``...NN``, in each with a doubt of its own, and notes what it is asked."""

    def __init__(self, truth: np.ndarray) -> None:
        self.truth = truth
        self.asked: list[str] = []

    def __call__(self, image: str, label: str) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
        self.asked.append(image)
        sure = 0.9 + 0.01 * (int(image[-2:]) % 7)
        probabilities = np.full((3, *self.truth.shape), (1 - sure) / 2)
        for k in range(3):
            probabilities[k][self.truth == k] = sure
        return np.load(label), probabilities, (1.0, 1.0, 2.0)


@pytest.fixture
def network() -> Network:
    return Network(drawn())


def cohort(folder: Path, n: int, bad: dict[int, np.ndarray]) -> FakeDatastore:
    store = FakeDatastore(folder)
    for i in range(n):
        store.submit(f"case{i:02d}", bad.get(i, drawn()))
    return store


def waiting(store: FakeDatastore) -> list[str]:
    return list(review_queue(store, STRUCTURES).waiting)


def test_suspects_wait_the_most_suspect_first_with_what_is_in_doubt(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 16, {3: drawn(tumour=False), 7: drawn(shift=3)})
    assert waiting(store) == []
    score_labels(store, network, STRUCTURES, model=1.0)
    queue = review_queue(store, STRUCTURES)
    assert queue.verdicts["tumour"] == "suspects"
    assert set(queue.waiting) == {"case03", "case07"}
    assert {d.name: d.reason for d in queue.waiting["case03"]}["tumour"] == "missing"
    assert {d.name: d.reason for d in queue.waiting["case07"]}["tumour"] in ("shifted", "swapped with liver")
    worst = [found[0].clean_probability for found in queue.waiting.values()]
    assert worst == sorted(worst)
    assert max(d.clean_probability for found in queue.waiting.values() for d in found) < 0.1


def test_what_the_network_sees_elsewhere_is_no_doubt_where_structures_are_in_one_piece(tmp_path: Path) -> None:
    store = cohort(tmp_path, 16, {3: drawn(tumour=False)})

    class SeesASecondTumour(Network):
        def __call__(self, image: str, label: str) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
            given, probabilities, spacing = super().__call__(image, label)
            if image == "case05":
                probabilities[:, 2:7, 13:] = np.array([0.02, 0.02, 0.96])[:, None, None, None]
            return given, probabilities, spacing

    score_labels(store, SeesASecondTumour(drawn()), STRUCTURES, model=1.0)
    assert waiting(store) == ["case03"]


def test_what_an_older_version_has_kept_is_not_judged_yet(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 16, {3: drawn(tumour=False)})
    score_labels(store, network, STRUCTURES, model=1.0)
    for info in store.labels.values():
        info[KEY] = info[KEY] | {"evidence_version": 1, "structures": {"1": {"score": 1.0}}}
    queue = review_queue(store, STRUCTURES)
    assert (list(queue.waiting), queue.n_judged, len(queue.unjudged)) == ([], 0, 16)
    score_labels(store, network, STRUCTURES, model=1.0)
    assert waiting(store) == ["case03"]


def test_a_network_that_draws_in_between_does_not_hide_labels_that_are_too_small(tmp_path: Path) -> None:
    """Of every other liver a third is drawn; the network has learned something in between."""
    large, between, small = (np.zeros((16, 16, 4), dtype=np.uint8) for _ in range(3))
    large[2:12, 2:12], between[3:12, 3:11], small[4:10, 4:10] = 1, 1, 1
    store = cohort(tmp_path, 24, {i: small if i % 2 else large for i in range(24)})
    score_labels(store, Network(between), {1: "liver"}, model=1.0)
    assert sorted(waiting(store)) == [f"case{i:02d}" for i in range(1, 24, 2)]
    assert review_queue(store, {1: "liver"}).size_bias == {1: pytest.approx(np.log(100 / 72))}


def test_only_new_evidence_is_fitted_again(tmp_path: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each proposal asks for the queue."""
    fits: list[int] = []

    def counted(evidence: dict[str, np.ndarray]) -> Any:
        fits.append(len(evidence["score"]))
        return filter_without_size_bias(evidence)

    monkeypatch.setattr(review, "filter_without_size_bias", counted)
    review._decide.cache_clear()
    store = cohort(tmp_path, 16, {3: drawn(tumour=False)})
    score_labels(store, network, STRUCTURES, model=1.0)
    queues = [review_queue(store, STRUCTURES) for _ in range(3)]
    assert fits == [16, 16]  # liver and tumour
    assert queues[0] == queues[1] == queues[2]
    store.submit("case16", drawn(tumour=False))
    score_labels(store, network, STRUCTURES, model=1.0)
    assert set(waiting(store)) == {"case03", "case16"}
    assert fits == [16, 16, 17, 17]


def test_a_label_leaves_the_queue_when_it_is_submitted_again_corrected_or_not(tmp_path: Path, network: Network) -> None:
    bad = {3: drawn(tumour=False), 7: drawn(shift=3)}
    store = cohort(tmp_path, 16, bad)
    score_labels(store, network, STRUCTURES, model=1.0)
    assert set(waiting(store)) == {"case03", "case07"}
    store.submit("case03", drawn())
    assert waiting(store) == ["case07"]
    store.submit("case07", bad[7])
    assert waiting(store) == []
    # Nor does it come back when it is judged again, by the same network or a new one.
    for model in (1.0, 2.0):
        score_labels(store, network, STRUCTURES, model=model)
        queue = review_queue(store, STRUCTURES)
        assert (list(queue.waiting), queue.n_judged, queue.n_reviewed) == ([], 16, 2)


def test_approval_in_the_reviewer_takes_a_label_from_the_queue(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 16, {3: drawn(tumour=False), 7: drawn(shift=3)})
    score_labels(store, network, STRUCTURES, model=1.0)
    store.update_label_info("case07", TAG, {"segmentationMeta": {"status": "flagged"}})
    store.update_label_info("case03", TAG, {"segmentationMeta": {"status": "approved"}})
    assert waiting(store) == ["case07"]


def test_only_what_has_changed_is_judged_again(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 5, {})
    assert score_labels(store, network, STRUCTURES, model=1.0)["judged"] == [f"case{i:02d}" for i in range(5)]
    network.asked.clear()
    done = score_labels(store, network, STRUCTURES, model=1.0)
    assert network.asked == []
    assert len(done["unchanged"]) == 5
    store.submit("case02", drawn(shift=1))
    np.save(tmp_path / "case04", drawn(shift=2))  # behind MONAI Label's back: no review
    assert score_labels(store, network, STRUCTURES, model=1.0)["judged"] == ["case02", "case04"]
    assert "case02" not in waiting(store)
    assert waiting(store)[0] == "case04"
    network.asked.clear()
    score_labels(store, network, STRUCTURES, model=2.0)
    assert len(network.asked) == 5


def test_few_labels_all_wait_by_their_score(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 3, {0: drawn(shift=1), 2: drawn(shift=3)})
    score_labels(store, network, STRUCTURES, model=1.0)
    queue = review_queue(store, STRUCTURES)
    assert set(queue.verdicts.values()) == {"too few"}
    assert list(queue.waiting) == ["case02", "case00", "case01"]
    assert "too few cases to tell" in queue.summary()
    store.submit("case02", drawn())
    assert waiting(store) == ["case00", "case01"]


def test_clean_labels_leave_nothing_to_review(tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 16, {})
    assert "16 not judged yet" in review_queue(store, STRUCTURES).summary()
    score_labels(store, network, STRUCTURES, model=1.0)
    queue = review_queue(store, STRUCTURES)
    assert queue.waiting == {}
    assert "labels look clean" in queue.summary()


def test_a_structure_that_neither_has_is_not_judged_and_the_info_is_json(tmp_path: Path) -> None:
    network = Network(drawn(tumour=False))
    store = cohort(tmp_path, 2, {0: drawn(tumour=False)})
    score_labels(store, network, STRUCTURES, model=1.0)
    assert list(store.labels["case00"][KEY]["structures"]) == ["1"]
    assert list(store.labels["case01"][KEY]["structures"]) == ["1", "2"]
    assert json.loads(json.dumps(store.labels, allow_nan=False)) == store.labels


def test_a_label_that_cannot_be_read_is_named_and_the_others_are_judged(
    tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    store = cohort(tmp_path, 3, {})
    (tmp_path / "case01.npy").write_bytes(b"no label")
    with caplog.at_level(logging.ERROR):
        done = score_labels(store, network, STRUCTURES, model=1.0)
    assert done == {"judged": ["case00", "case02"], "unchanged": [], "failed": ["case01"]}
    assert "cannot judge the label of 'case01'" in caplog.text
    assert review_queue(store, STRUCTURES).unjudged == ["case01"]


def test_a_label_submitted_while_the_network_looks_is_left_to_the_next_scoring(
    tmp_path: Path, network: Network
) -> None:
    store = cohort(tmp_path, 3, {1: drawn(shift=3)})
    score_labels(store, network, STRUCTURES, model=1.0)

    def slow(image: str, label: str) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
        seen = network(image, label)
        if image == "case01":
            store.submit(image, drawn())
        return seen

    assert score_labels(store, slow, STRUCTURES, model=2.0)["judged"] == ["case00", "case02"]
    assert "case01" not in waiting(store)


SWAPPED = [{"name": "Tumour", "idx": 1}, {"name": "LIVER", "idx": 2}]


def test_segments_that_slicer_has_numbered_anew_are_judged_by_their_names(
    tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    store = cohort(tmp_path, 16, {3: drawn(tumour=False)})
    store.submit("case07", np.array([0, 2, 1], np.uint8)[drawn()], label_info=SWAPPED)
    with caplog.at_level(logging.INFO):
        score_labels(store, network, STRUCTURES, model=1.0)
    assert waiting(store) == ["case03"]
    line = "case07: renumbered as label_info names the segments: tumour from 1 to 2, liver from 2 to 1"
    assert caplog.text.count(line) == 1
    # Evidence of before label_info was looked at is no longer good; that with it is.
    assert len(score_labels(store, network, STRUCTURES, model=1.0)["unchanged"]) == 16
    del store.labels["case07"][KEY]["renumbered"]
    assert score_labels(store, network, STRUCTURES, model=1.0)["judged"] == ["case07"]
    assert json.loads(json.dumps(store.labels, allow_nan=False)) == store.labels


@pytest.mark.parametrize("name", ["lesion", "", "Segment_1"])
def test_a_segment_of_no_structures_name_is_logged_once_with_image_and_name(
    name: str, tmp_path: Path, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    store = cohort(tmp_path, 3, {})
    store.submit("case01", drawn(), label_info=[{"name": "liver", "idx": 1}, {"name": name, "idx": 2}])
    for _ in range(2):
        assert "case01" not in score_labels(store, network, STRUCTURES, model=1.0)["failed"]
    assert caplog.text.count(f"case01: the segment {name!r} (number 2) is none of liver, tumour") == 1
    assert set(store.labels["case01"][KEY]["structures"]) == {"1", "2"}


@pytest.mark.parametrize("info", [{}, {"label_info": SWAPPED}])
def test_an_empty_label_is_judged_as_missing_everything(info: dict[str, Any], tmp_path: Path, network: Network) -> None:
    store = cohort(tmp_path, 2, {})
    store.submit("case01", np.zeros((16, 16, 4), np.uint8), **info)
    score_labels(store, network, STRUCTURES, model=1.0)
    assert {r["reason"] for r in store.labels["case01"][KEY]["structures"].values()} == {"missing"}
