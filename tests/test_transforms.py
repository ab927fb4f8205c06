"""The data pipeline's side of cleansing, and what the trainer makes of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from helpers import AFFINE, tiny_image, tiny_label, write_nifti
from monai.bundle import ConfigParser
from monai.data import CacheDataset, DataLoader, MetaTensor, get_track_meta
from monai.transforms import Compose

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.case_id import case_of
from monai_selfcleanse.transforms import CleansedLabeld, LoadCased, UntrackedCompose


def case(name: str = "a") -> dict[str, Any]:
    label = MetaTensor(torch.zeros(1, 2, 3), affine=torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0])))
    return {"image": torch.ones(1, 2, 3), "label": label, "case": name}


def publish(store: CaseStore, version: int, value: int) -> None:
    weight = np.ones((2, 3))
    weight[0, 0] = 0
    store.write_target(version, "a", np.full((2, 3), value), weight)
    store.publish(version)


def test_without_a_target_the_given_label_is_kept_and_weighs_one(tmp_path: Path) -> None:
    for store in (CaseStore(tmp_path), None):
        out = CleansedLabeld("label", store)(case())
        assert not out["label"].any()
        assert out["label_weight"].shape == (1, 2, 3)
        assert (out["label_weight"] == 1).all()
    assert list(tmp_path.iterdir()) == []


def test_a_target_takes_the_labels_place_with_its_type_and_metadata(tmp_path: Path) -> None:
    store, data = CaseStore(tmp_path), case()
    publish(store, 1, 2)
    out = CleansedLabeld("label", store)(data)
    assert isinstance(out["label"], MetaTensor)
    assert out["label"].dtype == torch.float32
    assert (out["label"] == 2).all()
    assert torch.equal(out["label"].affine, data["label"].affine)
    assert out["label_weight"][0, 0, 0] == 0
    assert out["label_weight"].sum() == 5
    assert not data["label"].any()


@pytest.mark.parametrize("workers", [0, 2])
def test_caches_and_workers_see_each_new_target(workers: int, tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    dataset = CacheDataset([case("a"), case("b")], Compose([CleansedLabeld("label", store)]), progress=False)
    loader = DataLoader(dataset, batch_size=2, num_workers=workers)
    seen = []
    for version in (0, 1, 2):
        if version:
            publish(store, version, version)
        (batch,) = list(loader)
        seen.append(batch["label"].amax((1, 2, 3)).tolist())
    assert seen == [[0, 0], [1, 0], [2, 0]]


def test_a_case_that_is_left_out_weighs_nothing(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, ["a"])
    store.publish(1)
    out, other = (CleansedLabeld("label", store)(case(name)) for name in "ab")
    assert torch.equal(torch.as_tensor(out["label"]), torch.as_tensor(case("a")["label"]))
    assert out["label_weight"].shape == out["label"].shape
    assert not out["label_weight"].any()
    assert other["label_weight"].all()


def test_a_case_with_a_prompt_keeps_its_given_label_and_its_weight(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    publish(store, 1, 3)
    store.write_left_out(1, ["a"])
    data = case()
    prompt = 1 - data["label"]
    out = CleansedLabeld("label", store)(data | {"label_prompt": prompt})
    assert "label_prompt" not in out
    assert torch.equal(out["label"].as_tensor(), data["label"].as_tensor())
    assert torch.equal(out["label_weight"], torch.cat([torch.ones_like(prompt), prompt]).float())
    assert not torch.equal(CleansedLabeld("label", store)(data)["label"].as_tensor(), data["label"].as_tensor())


def test_a_target_of_another_shape_is_refused(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_target(1, "a", np.zeros((4, 4)), np.ones((4, 4)))
    store.publish(1)
    with pytest.raises(ValueError, match=r"case 'a'.*choose a fresh output_dir"):
        CleansedLabeld("label", store)(case())


def test_a_given_label_says_which_classes_it_knows(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    data = {"case": "a", "label": torch.tensor([0.0, 2, 2, 0]).reshape(1, 2, 2)}
    assert "label_known" not in CleansedLabeld("label", store)(data)
    partial = CleansedLabeld("label", store, num_classes=4)
    assert partial(data)["label_known"].tolist() == [1, 0, 1, 0]
    store.write_target(1, "a", np.full((2, 2), 3), np.ones((2, 2)))
    store.publish(1)
    assert partial(data)["label_known"].tolist() == [1, 0, 1, 0]  # whatever the target has


def test_augmentation_without_metadata_draws_the_same_patches() -> None:
    config = ConfigParser()
    config.read_config(str(Path(__file__).resolve().parent.parent / "configs" / "train.json"))
    config["self_cleanse"] = False
    untracked = config.get_parsed_content("train#augmentation")
    assert isinstance(untracked, UntrackedCompose)
    rng = np.random.default_rng(0)
    label = torch.zeros(1, 150, 140, 4)
    label[:, 40:90, 50:100] = 2
    item = {
        "image": MetaTensor(rng.normal(size=label.shape).astype(np.float32)),
        "label": MetaTensor(label),
        "case": "a",
    }
    plain, tracked = (c.set_random_state(1)(item) for c in (untracked, Compose(untracked.transforms)))
    assert len(plain) == len(tracked) == 4
    for one, other in zip(plain, tracked, strict=True):
        for key in ("image", "label", "label_weight"):
            assert type(one[key]) is torch.Tensor
            assert torch.equal(one[key], torch.as_tensor(other[key]))


def test_metadata_are_tracked_again_after_an_error_and_after_the_last_thread() -> None:
    seen: list[bool] = []
    entered, leave = Event(), Event()

    def wait(x: torch.Tensor) -> torch.Tensor:
        entered.set()
        assert leave.wait(60)
        seen.append(get_track_meta())
        return x

    def fail(x: torch.Tensor) -> torch.Tensor:
        seen.append(get_track_meta())
        raise ValueError("no such thing")

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(UntrackedCompose([wait]), torch.zeros(1))
        assert entered.wait(60)
        with pytest.raises(Exception, match="applying transform"):
            UntrackedCompose([fail])(torch.zeros(1))
        leave.set()
        waiting.result()
    assert seen == [False, False]
    assert get_track_meta()


def test_a_case_of_several_files_keeps_its_id_when_it_is_loaded(tmp_path: Path) -> None:
    images = [str(write_nifti(tmp_path / f"a_000{i}.nii.gz", tiny_image(i))) for i in (0, 1)]
    case = {"image": images, "label": str(write_nifti(tmp_path / "a.nii.gz", tiny_label()))}
    loaded = LoadCased()(case)
    assert loaded["image"].shape == (2, 12, 12, 4)
    assert case_of(loaded) == case_of(case) == "a"


def test_structures_of_any_value_are_numbered_where_they_are_loaded(tmp_path: Path) -> None:
    values = np.array([0, 1, 2, 255], np.uint8)
    case = {
        "image": str(write_nifti(tmp_path / "a.nii.gz", tiny_image())),
        "label": str(write_nifti(tmp_path / "a_gt.nii.gz", values[tiny_label()], np.eye(4))),
        "values": (1, 2, 255),
    }
    label = LoadCased()(case)["label"]
    np.testing.assert_array_equal(label[0].numpy(), tiny_label())
    np.testing.assert_allclose(label.affine.numpy(), AFFINE)  # the image's, for the label says no position
