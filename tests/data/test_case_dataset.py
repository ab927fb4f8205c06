"""Cases as a training sees them: whole and given, with targets, and without those that are left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.data.utils import set_rnd
from monai.transforms import Lambdad, RandCoarseDropoutd

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.data import CaseDataset
from monai_selfcleanse.transforms import CleansedLabeld

CASES = [{"case": name} for name in "abcdef"]


def blank(name: str = "a") -> dict[str, Any]:
    return {"image": torch.ones(1, 2, 3), "label": torch.zeros(1, 2, 3), "case": name}


def served(dataset: CaseDataset) -> list[str]:
    return [dataset[i]["case"] for i in range(len(dataset))]


def test_places_of_cases_left_out_are_shared_by_the_others(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    dataset = CaseDataset(CASES, [], [], store=str(tmp_path))
    assert served(dataset) == list("abcdef")
    store.write_left_out(1, ["b", "e"])
    assert served(dataset) == list("abcdef")  # not in force yet
    store.publish(1)
    epochs = [served(dataset) for _ in range(300)]
    assert all(epoch[i] == "abcdef"[i] for epoch in epochs for i in (0, 2, 3, 5))
    taken = Counter(epoch[i] for epoch in epochs for i in (1, 4))
    assert set(taken) == set("acdf")
    assert all(100 < count < 200 for count in taken.values())  # 150 +- 10.6
    store.publish(2)
    assert served(dataset) == list("abcdef")
    assert [item["case"] for item in dataset.cases] == list("abcdef")


def test_who_takes_a_place_follows_the_seed(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, list("bcd"))
    store.publish(1)
    runs = []
    for seed in (3, 3, 4):
        dataset = CaseDataset(CASES, [], [], store=store)
        set_rnd(dataset, seed)
        runs.append([served(dataset) for _ in range(10)])
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_see_who_is_left_out(num_workers: int, tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    loader = DataLoader(
        CaseDataset(CASES, [], [], store=store), num_workers=num_workers, persistent_workers=num_workers > 0
    )
    assert Counter(batch["case"][0] for batch in loader) == Counter("abcdef")
    store.write_left_out(1, list("abcde"))
    store.publish(1)
    assert Counter(batch["case"][0] for batch in loader) == {"f": 6}


def test_without_a_store_nobody_is_left_out(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, ["b"])
    store.publish(1)
    assert served(CaseDataset(CASES, [], [])) == list("abcdef")


def test_where_nobody_would_be_left_all_stay_and_weigh_nothing(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, list("abcdef"))
    store.publish(1)
    data = [{"label": torch.zeros(1, 2, 3), **case} for case in CASES]
    dataset = CaseDataset(data, [], [CleansedLabeld("label", store)], store=store)
    assert served(dataset) == list("abcdef")
    assert not any(dataset[i]["label_weight"].any() for i in range(6))


def test_places_are_counted_from_the_end_too(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, ["f"])
    store.publish(1)
    dataset = CaseDataset(CASES, [], [], store=store)
    assert dataset[-2]["case"] == "e"
    assert dataset[-1]["case"] != "f"
    assert len(list(dataset)) == 6  # ends


def test_cases_of_a_case_dataset_are_whole_and_given(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_target(1, "a", np.full((2, 3), 2), np.ones((2, 3)))
    store.publish(1)
    dataset = CaseDataset([blank()], Lambdad("image", lambda x: x + 1), CleansedLabeld("label", store))
    assert (dataset.cases[0]["image"] == 2).all()
    assert not dataset.cases[0]["label"].any()
    assert (dataset[0]["label"] == 2).all()


def test_transforms_that_work_in_place_do_not_reach_the_cached_cases() -> None:
    """MONAI's RandCoarseDropoutd writes into what it is given."""
    spoil = RandCoarseDropoutd("image", holes=1, spatial_size=(2, 3), fill_value=-5, prob=1.0)
    dataset = CaseDataset([blank()], [], spoil)
    assert (dataset[0]["image"] == -5).any()
    assert (dataset.cases[0]["image"] == 1).all()


def test_cases_that_share_an_id_are_refused() -> None:
    with pytest.raises(ValueError, match=r"have the same id \(a\)"):
        CaseDataset([blank(), blank()], [], [])
