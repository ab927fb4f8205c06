"""The bundle as its tests run it: trainings that take seconds, evaluation, audit, inference."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundle"
CONFIGS = sorted((BUNDLE / "configs").glob("*.json"))
NAME = "cardiac_short_axis_segmentation"
CPU = torch.device("cpu")

TINY: dict[str, Any] = {
    "epochs": 2,  # a round
    "warmup_epochs": 1,
    "val_interval": 2,
    "batch_size": 2,
    "spacing": [3.0, 3.0, -1.0],
    "patch_size": [32, 32, 1],
    "network_def#channels": [8, 16],
    "network_def#strides": [2],
    "network_def#num_res_units": 1,
    "patches_per_case": 2,
    "divisible_by": 2,
    "device": torch.device("cpu"),
    # A handful of cases and a network that knows little: judge all the same.
    "label_filter#interval": 1,
    "label_filter#min_cases": 4,
    "label_filter#min_separation": -2.0,
    "label_filter#max_share": 1.0,
    "label_filter#threshold": 1e-3,  # or so many of the six cases are suspected that none could be left out
    # Leave suspects out after the first epoch; redraw them after the second, which ends the first of two rounds.
    "label_cleanser#leave_out_separation": -2.0,
    "label_redrawer#min_cases": 1,
    "redrawing_share": 1.0,
}


def parser_of(bundle: Path, *configs: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in configs])
    return parser


def workflow(output: Path, dataset: Path | None, **overrides: Any) -> ConfigWorkflow:
    return ConfigWorkflow(
        str(BUNDLE / "configs" / "train.json"),
        logging_file=False,
        **(TINY | {"dataset_dir": None if dataset is None else str(dataset), "output_dir": str(output)} | overrides),
    )


def train(output: Path, dataset: Path | None, **overrides: Any) -> ConfigWorkflow:
    run = workflow(output, dataset, **overrides)
    run.run()
    return run


def infer(bundle: Path, dataset: Path, output: Path, *overlays: str, **overrides: Any) -> ConfigWorkflow:
    run = ConfigWorkflow(
        [str(bundle / "configs" / name) for name in ("inference.json", *overlays)],
        workflow_type="inference",
        logging_file=False,
        **(
            {"bundle_root": str(bundle), "dataset_dir": str(dataset), "output_dir": str(output), "device": CPU}
            | overrides
        ),
    )
    run.initialize()
    run.run()
    return run


def run_on_top(
    overlay: str, run_id: str, bundle: Path, dataset: Path, output: Path, **overrides: Any
) -> ConfigWorkflow:
    """Run ``train.json`` with an overlay."""
    run = ConfigWorkflow(
        [str(bundle / "configs" / name) for name in ("train.json", overlay)],
        workflow_type="train",
        logging_file=False,
        run_id=run_id,
        **(
            {"bundle_root": str(bundle), "dataset_dir": str(dataset), "output_dir": str(output), "device": CPU}
            | overrides
        ),
    )
    run.initialize()
    run.run()
    return run


evaluate = partial(run_on_top, "evaluate.json", "evaluating")
audit = partial(run_on_top, "audit.json", "auditing")


def rows_of(output: Path, name: str = "label_report.csv") -> list[dict[str, str]]:
    with open(output / name, newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same(network: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    found = network.state_dict()
    return found.keys() == weights.keys() and all(torch.equal(found[k].cpu(), v.cpu()) for k, v in weights.items())
