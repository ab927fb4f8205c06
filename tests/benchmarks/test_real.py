"""The benchmarks with nnU-Net and NVIDIA FLARE, as far as they go without either."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from bundles import ROOT
from helpers import write_spoilt

from monai_selfcleanse.data import find_cases
from monai_selfcleanse.data.nnunet import is_nnunet

sys.path.insert(0, str(ROOT / "benchmarks"))
real_nnunet = import_module("real_nnunet")
real_flare = import_module("real_flare")


def test_spoilt_labels_become_a_raw_data_set(tmp_path: Path) -> None:
    write_spoilt(tmp_path / "source")
    real_nnunet.copy_cases(tmp_path / "source", tmp_path / "truth", 6)
    raw = tmp_path / "Dataset501_Noisy"
    real_nnunet.write_raw(tmp_path / "truth" / "images", tmp_path / "truth" / "labels", raw)
    assert is_nnunet(raw)
    cases, problems = find_cases(raw)
    assert not problems
    assert [case["case"] for case in cases] == [f"case_{i:02d}" for i in range(6)]


def test_folds_leave_each_case_out_once(tmp_path: Path) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    for i in range(7):
        (labels / f"case_{i}.nii.gz").touch()
    real_nnunet.write_splits(tmp_path, labels, 2)
    splits = json.loads((tmp_path / "splits_final.json").read_text())
    assert sorted(name for split in splits for name in split["val"]) == [f"case_{i}" for i in range(7)]
    assert all(sorted(split["train"] + split["val"]) == [f"case_{i}" for i in range(7)] for split in splits)


def test_the_small_configuration_differs_in_batch_and_features_alone(tmp_path: Path) -> None:
    own = {"batch_size": 366, "architecture": {"arch_kwargs": {"n_stages": 3, "features_per_stage": [32, 64, 128]}}}
    (tmp_path / "nnUNetPlans.json").write_text(json.dumps({"configurations": {"2d": own}}))
    real_nnunet.add_configuration(tmp_path, "2d", 4, 8)
    found = json.loads((tmp_path / "nnUNetPlans.json").read_text())["configurations"]
    assert found["2d"] == own
    assert found["2d_small"] == {
        "inherits_from": "2d",
        "batch_size": 4,
        "architecture": {"arch_kwargs": {"n_stages": 3, "features_per_stage": [8, 16, 32]}},
    }


def test_a_step_is_done_once_and_a_broken_one_again(tmp_path: Path) -> None:
    done: list[int] = []
    steps = real_nnunet.Steps(tmp_path, {})

    def broken() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        steps.once("step", broken)
    for _ in range(2):
        seconds = real_nnunet.Steps(tmp_path, {}).once("step", lambda: done.append(1))
    assert done == [1]
    assert 0 <= seconds < 60


def exchanged(out: Path, site: str, number: int, received: float, sent: float) -> None:
    folder = out / site / "exchanged"
    folder.mkdir(parents=True, exist_ok=True)
    weights = {"received": {"w": torch.tensor([received])}, "sent": {"w": torch.tensor([sent])}}
    torch.save(weights, folder / f"round_{number}.pt")


def test_averages_of_a_federation_are_checked(tmp_path: Path) -> None:
    for site, sent in zip(real_flare.SITES, (0.5, 1.0), strict=True):
        exchanged(tmp_path, site, 1, 0.0, sent)
        exchanged(tmp_path, site, 2, 0.75, sent)
    assert "largest difference of the clients' weights 0.5, of their mean to the server's next 0" in (
        real_flare.check_averages(tmp_path, 2)
    )
    exchanged(tmp_path, real_flare.SITES[1], 2, 0.5, 1.0)
    with pytest.raises(SystemExit, match="round 2: the clients got different weights"):
        real_flare.check_averages(tmp_path, 2)


def test_the_jobs_numbers_are_put_in(tmp_path: Path) -> None:
    real_flare.write_job(tmp_path / "job", 3, 12, ["noise_rate=0.5"])
    config = tmp_path / "job" / "app" / "config"
    server = json.loads((config / "config_fed_server.json").read_text())
    assert server["workflows"][0]["args"]["num_rounds"] == 3
    client = json.loads((config / "config_fed_client.json").read_text())
    command = client["executors"][0]["executor"]["args"]["command"]
    assert command[-5:] == ["--local_epochs", "12", "--keep_weights", "--set", "noise_rate=0.5"]
