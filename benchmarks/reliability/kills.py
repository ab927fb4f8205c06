"""Killed at random moments and started again, everything comes out as if nothing had happened."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from common import TINY_TRAINING, Row, bundle, digests, litter, run, write_cases

Command = Callable[[Path, bool], list[Any]]
"""A command that writes to a folder, for the first time or to go on."""


def campaign(work: Path, times: int, seed: int) -> Iterator[Row]:
    """Kill trainings, audits and noisy copies ``times`` times each."""
    data = write_cases(work / "data", 18)
    predictions = work / "predictions"

    def training(workers: int) -> Command:
        fixed = [*bundle("training"), "--dataset_dir", data, "--num_workers", workers, *TINY_TRAINING]
        fixed += ["--noise_rate", "0.5"]
        return lambda out, again: [*fixed, "--output_dir", out, "--resume", again]

    def audit(*judged_by: Any) -> Command:
        fixed = [*bundle("auditing", "audit"), "--dataset_dir", data, "--device", "cpu", *judged_by]
        return lambda out, _: [*fixed, "--output_dir", out]

    network = ("--patch_size", "[32,32,1]", "--inferer#roi_size", "[32,32]")
    for tried, command, state in (
        ("training, in one process", training(0), _of_training),
        ("training, two workers", training(2), _of_training),
        ("audit by predictions, a worker a core", audit("--predictions_dir", predictions), _of_results),
        ("audit by a network, no worker", audit(*network, "--num_workers", 0), _of_results),
        ("noisy copy", lambda out, _: ["selfcleanse", "noise", data, out, "--rate", "1"], digests),
    ):
        yield _killed(f"kill -9: {tried}", command, state, work / "runs", times, random.Random(seed))


def _killed(
    tried: str, command: Command, state: Callable[[Path], dict], work: Path, times: int, rng: random.Random
) -> Row:
    row = Row(tried)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    reference = run(command(work / "whole", False))
    if reference.code:
        row.see(False, f"the uninterrupted run: {reference}")
        return row
    wanted = state(work / "whole")
    for number in range(times):
        out, moment = work / f"killed{number}", rng.uniform(0.05, reference.seconds)
        first = run(command(out, False), kill_after=moment)
        last = run(command(out, True))
        what = f"killed after {moment:.2f} of {reference.seconds:.1f} s (exit code {first.code})"
        if first.code == 0 and command(out, True)[1] == "noise":  # it was done; another one is refused
            row.see(last.is_refusal, f"{what}: a second copy: {last}")
        elif last.code:
            row.see(False, f"{what}: started again: {last}")
        else:
            differing = [name for name, value in state(out).items() if not _same(value, wanted.get(name))]
            differing += [f"{name} is missing" for name in wanted.keys() - state(out).keys()]
            row.see(not (differing or litter(out)), f"{what}: other {differing[:5]}, left {litter(out)[:5]}")
        shutil.rmtree(out, ignore_errors=True)
    return row


def _of_results(out: Path) -> dict[str, Any]:
    """What an audit leaves; of compressed files the voxels, for their headers hold the time."""
    tables = digests(out, "label_report.csv", "slices.csv")
    return tables | {
        str(path.relative_to(out)): np.asanyarray(nib.load(path).dataobj)
        for path in sorted(out.glob("cleansed_labels/**/*.nii.gz"))
    }


def _of_training(out: Path) -> dict[str, Any]:
    checkpoint = torch.load(out / "models" / "checkpoint" / "last.pt", weights_only=True)
    weights = torch.load(out / "models" / "model.pt", weights_only=True)
    kept = {name: checkpoint[name] for name in ("network", "label_filter", "label_cleanser")}
    return _of_results(out) | digests(out, "noisy_labels/manifest.jsonl") | {"weights": weights} | kept


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(), other.nan_to_num())
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return bool(one == other) or one != one
