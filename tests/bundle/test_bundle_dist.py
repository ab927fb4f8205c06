"""The bundle on two processes, as ``torchrun`` starts them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_bundle import BUNDLE, TINY, phantom, rows_of, workflow  # noqa: F401

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
def run(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:  # noqa: F811
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


def test_one_report_and_one_line_for_each_thing_that_happens(run: tuple[Path, str]) -> None:
    output, log = run
    assert log.count("training has ended") == 1
    assert log.count("Epoch: 3/3") == 1
    assert log.count("epoch 3: judged") == 1
    assert len(rows_of(output)) == 3 * len(list((output / "cases" / "seen").iterdir()))
    assert len(list((output / "cleansed_labels").rglob("*.nii.gz"))) == len(rows_of(output)) / 3
    assert [p.name for p in (output / "models" / "checkpoint").iterdir()] == ["last.pt"]


def test_one_process_with_these_weights_finds_the_same_suspects(
    run: tuple[Path, str],
    phantom: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    output, _ = run
    weights = torch.load(output / "models" / "model.pt", weights_only=True)
    swept = {row["case"] for row in rows_of(output)}
    alone = workflow(tmp_path / "alone", phantom, noise_rate=0.5)
    alone.parser["train#dataset#data"] = f"$[c for c in @cohort.train if c['case'] in {swept}]"
    label_filter, ema = (alone.parser.get_parsed_content(name) for name in ("label_filter", "ema"))
    ema.ema_model.load_state_dict(weights)  # as they are: no prefix
    trainer = alone.parser.get_parsed_content("train#trainer")
    trainer.state.epoch = 3
    label_filter(trainer)
    result = trainer.state.label_filter_result
    got = {(row["case"], int(row["structure"])): row for row in rows_of(output)}
    for i, case in enumerate(result.cases):
        for j, structure in enumerate(result.structures):
            row = got.pop((case, structure))
            assert int(row["suspected"]) == result.suspected[i, j]
            assert float(row["clean_probability"]) == pytest.approx(result.clean_probability[i, j], rel=1e-5)
    assert not got
