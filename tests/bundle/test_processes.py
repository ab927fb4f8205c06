"""The bundle on two processes, as ``torchrun`` starts them."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from bundles import BUNDLE, TINY, rows_of, workflow

from monai_selfcleanse.distributed import join_processes, leave_processes, local_device

OPTIONS: dict[str, Any] = {k: v for k, v in TINY.items() if k != "device"} | {"noise_rate": 0.5, "batch_size": 1}


def torchrun(folder: Path, configs: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    overrides = folder / "overrides.json"
    overrides.write_text(json.dumps(OPTIONS | options))
    files = [str(BUNDLE / "configs" / name) for name in configs]
    files.insert(1, str(overrides))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["-m", "monai.bundle", "run", "training", "--config_file", str(files), "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=500)


@pytest.fixture(scope="module")
def run(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder and log of a finished run of two processes; 5 training cases, so that their shares differ."""
    folder = tmp_path_factory.mktemp("dist")
    names = sorted(p.name for p in phantom.glob("*/*_frame??.nii.gz"))[:5]
    ended = torchrun(
        folder,
        ["train.json", "multi_gpu_train.json"],
        dataset_dir=str(phantom),
        output_dir=str(folder / "out"),
        **{"train#dataset#data": f"$[c for c in @cohort.train if os.path.basename(c['image']) in {names}]"},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder / "out", ended.stdout


@pytest.mark.slow
@pytest.mark.distributed
def test_one_report_and_one_line_for_each_thing_that_happens(run: tuple[Path, str]) -> None:
    output, log = run
    assert log.count("training has ended") == 1
    assert log.count("Epoch: 4/4") == 1
    assert log.count("round 2, epoch 4: judged") == 1
    assert len(rows_of(output)) == 3 * len(list((output / "cases" / "seen").iterdir()))
    assert len(list((output / "cleansed_labels").rglob("*.nii.gz"))) == len(rows_of(output)) / 3
    assert [p.name for p in (output / "models" / "checkpoint").iterdir()] == ["last.pt"]


@pytest.mark.slow
@pytest.mark.distributed
def test_one_process_with_these_weights_finds_the_same_suspects(
    run: tuple[Path, str],
    phantom: Path,
    tmp_path: Path,
) -> None:
    output, _ = run
    weights = torch.load(output / "models" / "model.pt", weights_only=True)
    seen = {row["case"] for row in rows_of(output)}
    alone = workflow(tmp_path / "alone", phantom, noise_rate=0.5)
    alone.parser["train#dataset#data"] = f"$[c for c in @cohort.train if c['case'] in {seen}]"
    label_filter, ema = (alone.parser.get_parsed_content(name) for name in ("label_filter", "ema"))
    ema.ema_model.load_state_dict(weights)  # as they are: no prefix
    trainer = alone.parser.get_parsed_content("train#trainer")
    trainer.state.epoch = 4
    label_filter(trainer)
    result = trainer.state.label_filter_result
    got = {(row["case"], int(row["structure"])): row for row in rows_of(output)}
    for i, case in enumerate(result.cases):
        for j, structure in enumerate(result.structures):
            row = got.pop((case, structure))
            assert int(row["suspected"]) == result.suspected[i, j]
            assert float(row["clean_probability"]) == pytest.approx(result.clean_probability[i, j], rel=1e-5)
    assert not got


# Beginning and end.


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that ``torchrun`` has not started."""
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def test_a_process_that_torchrun_has_not_started_is_told_so(alone: None) -> None:
    with pytest.raises(ValueError, match="start it with torchrun"):
        join_processes("cpu")


def test_a_process_that_may_work_alone_is_left_alone(alone: None) -> None:
    join_processes("cpu", required=False)
    assert not dist.is_initialized()
    leave_processes()


def test_a_process_that_may_work_alone_waits_for_none_that_a_cluster_has_counted(
    alone: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "4", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29999"}.items():
        monkeypatch.setenv(name, value)
    join_processes("cpu", hours=0.001, required=False)
    assert not dist.is_initialized()


def test_one_process_of_torchrun_joins_and_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"WORLD_SIZE": "1", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    join_processes("cpu")
    try:
        assert dist.get_backend() == "gloo"
        join_processes("cpu")
        assert logging.getLogger("anything").isEnabledFor(logging.CRITICAL)
    finally:
        leave_processes()
    assert not dist.is_initialized()
    leave_processes()


def test_the_device_is_the_processs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert local_device() == torch.device("cuda", 3)
    monkeypatch.delenv("LOCAL_RANK")
    assert local_device() == torch.device("cuda", 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert local_device() == torch.device("cpu")
