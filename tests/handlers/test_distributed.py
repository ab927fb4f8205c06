"""Two gloo processes do what one process does: the same suspects, the same targets, every file written once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import write_patients
from ranks import WORLD, process, self_cleanse

from monai_selfcleanse.distributed import RankZeroError

pytestmark = [pytest.mark.slow, pytest.mark.distributed]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    write_patients(folder / "data", 6)
    torch.multiprocessing.spawn(process, (folder,), nprocs=WORLD)
    found = [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(WORLD)]
    for rank in found:
        rank["folder"] = folder
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return self_cleanse(tmp_path_factory.mktemp("alone"))


@pytest.mark.parametrize("how", ["sharded", "padded", "everyone all"])
def test_all_ranks_find_what_one_process_finds(how: str, ranks: list[dict[str, Any]], alone: dict[str, Any]) -> None:
    assert alone["suspected"].sum() == 4
    for rank in ranks:
        got = rank[how]
        assert got["cases"] == alone["cases"]
        for name, values in alone["evidence"].items():
            np.testing.assert_array_equal(got["evidence"][name], values)
        np.testing.assert_array_equal(got["clean_probability"], alone["clean_probability"])
        np.testing.assert_array_equal(got["suspected"], alone["suspected"])
        assert got["cleansed"] == alone["cleansed"]
        assert got["changed_voxels"] == alone["changed_voxels"]
        assert str(got["state"]) == str(alone["state"])


@pytest.mark.parametrize("how", ["sharded", "cached"])
def test_all_ranks_train_on_the_targets_of_one_process(
    how: str, ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    for rank in ranks:
        for case, (label, weight) in alone["trained_on"].items():
            np.testing.assert_array_equal(rank[how]["trained_on"][case][0], label)
            np.testing.assert_array_equal(rank[how]["trained_on"][case][1], weight)


def test_every_case_is_looked_at_and_every_target_written_once(
    ranks: list[dict[str, Any]], alone: dict[str, Any]
) -> None:
    written = [rank["sharded"]["written"] for rank in ranks]
    assert Counter(written[0] + written[1]) == Counter(alone["written"])
    shares = [sum(line.startswith("seen") for line in lines) for lines in written]
    assert sorted(shares) == [6, 7]
    assert all(any(line.startswith("target") for line in lines) for lines in written)


def test_all_ranks_leave_the_same_cases_out(ranks: list[dict[str, Any]]) -> None:
    spoilt = ("case02", "case05", "case08", "case11")
    for rank in ranks:
        assert rank["left out"]["left_out"] == (spoilt, set(spoilt))
        assert not rank["left out"]["cleansed"]
    assert [rank["left out"]["written"].count("left out") for rank in ranks] == [1, 0]


def test_averaged_weights_are_alike_and_resume_to_the_same(ranks: list[dict[str, Any]]) -> None:
    for name, value in ranks[0]["averaged"].items():
        assert torch.equal(ranks[1]["averaged"][name], value), name
        for rank in ranks:
            assert torch.equal(rank["resumed"][name], value), name
    # They had something to agree on: each rank saw data of its own.
    assert not set(ranks[0]["drawn"]) & set(ranks[1]["drawn"])


def test_saved_weights_have_the_networks_own_names(ranks: list[dict[str, Any]]) -> None:
    weights = torch.load(ranks[0]["folder"] / "whole" / "model.pt", weights_only=True)
    assert set(weights) == set(ranks[0]["averaged"])


def test_rank_zero_finds_and_spoils_the_cohort_for_all(ranks: list[dict[str, Any]]) -> None:
    (cases, made), (others_cases, others_made) = (rank["cohort"] for rank in ranks)
    assert cases == others_cases
    assert any(Path(case["label"]).is_relative_to(ranks[0]["folder"] / "cohort") for case in cases)
    assert (made, others_made) == (1, 0)


def test_rank_zero_does_a_step_for_all(ranks: list[dict[str, Any]]) -> None:
    assert [rank["from rank 0"] for rank in ranks] == ["made by 0"] * WORLD


def test_where_rank_zero_fails_nobody_waits(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["rank 0 fails"] == "ValueError: the data are bad"
    assert ranks[1]["rank 0 fails"].startswith(RankZeroError.__name__)


def test_where_rank_zero_cannot_save_nobody_waits(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["disk full"] == "OSError: No space left on device"
    assert ranks[1]["disk full"].startswith(RankZeroError.__name__)


def test_a_folder_that_is_not_shared_is_refused_on_all_ranks(ranks: list[dict[str, Any]]) -> None:
    for rank in ranks:
        assert "rank 1 cannot see what rank 0 writes" in rank["not shared"]
        assert "output_dir on a file system that all its processes share" in rank["not shared"]
    assert list((ranks[0]["folder"] / "disk of node 0").iterdir()) == []
