"""Audits as ``audit.json`` runs them, with a network that needs no training."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigWorkflow

TESTS = Path(__file__).parent
CONFIGS = TESTS.parent / "bundle" / "configs"

OPTIONS: dict[str, Any] = {
    "network_def": {"_target_": "helpers.IntensityNet"},
    "network": "$@network_def.to(@device)",
    "train#preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": ["image", "label"], "ensure_channel_first": True, "image_only": True}
        ],
    },
    "validate#inferer": {"_target_": "SimpleInferer"},
}


def run_audit(dataset: Path, output: Path, **options: Any) -> None:
    run = ConfigWorkflow(
        [str(CONFIGS / "train.json"), str(CONFIGS / "audit.json")],
        workflow_type="train",
        run_id="auditing",
        logging_file=False,
        **(OPTIONS | {"dataset_dir": str(dataset), "output_dir": str(output), "device": torch.device("cpu")} | options),
    )
    run.initialize()
    run.run()
    run.finalize()


def rows_of(output: Path, name: str = "label_report.csv") -> list[dict[str, str]]:
    with open(output / name, newline="") as file:
        return list(csv.DictReader(file))


def reasons(output: Path) -> dict[tuple[str, str], str]:
    return {(r["case"], r["structure"]): r["reason"] for r in rows_of(output) if r["suspected"] == "1"}
