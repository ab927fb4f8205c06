"""A real nnU-Net: train it on spoilt labels, audit its results folder as it lies, train it on what the audit exports.

    python -m venv VENV && VENV/bin/pip install -c constraints.txt -e . torch==2.13.0 nnunetv2==2.8.1
    VENV/bin/python benchmarks/real_nnunet.py HIPPOCAMPUS OUT > table.md

``HIPPOCAMPUS`` is the Decathlon's Task04: labels in ``labelsTr/`` or ``labels/``, images in ``imagesTr/`` or
``images/``. Its labels are the truth. The steps:

1. the noise command spoils the labels of half the patients;
2. they become nnU-Net's raw data set 501, which ``nnUNetv2_plan_and_preprocess`` checks and preprocesses;
3. ``nnUNetv2_train ... --npz`` trains the folds, by nnU-Net's own plan but a smaller network and batch, for few steps
   (``nnunet_trainers/short_trainer.py``);
4. ``selfcleanse audit --predictions`` judges the labels by nnU-Net's results folder: its probabilities, its
   segmentations alone, its cross-validation after ``nnUNetv2_find_best_configuration``, and what ``nnUNetv2_predict``
   and ``nnUNetv2_ensemble`` write;
5. the cleansed labels become data set 502, with the ignore label; nnU-Net checks it, and trains an epoch on it.

Each step is done once: started again, the same command goes on with the first that is missing. What the steps print is
in ``OUT/logs``. It runs on the CPU; with two cores, most of its time is step 3.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from score_run import score_labels

from monai_selfcleanse.results import write_nnunet_dataset
from monai_selfcleanse.results.record import read_record

NAMES = {1: "anterior", 2: "posterior"}
NOISY, CLEANSED = "Dataset501_Noisy", "Dataset502_Cleansed"
CONFIGURATION = "3d_small"
"""nnU-Net's ``3d_fullres`` with a smaller batch and fewer features; see :func:`add_configuration`."""


class Steps:
    """Runs each step once, and keeps how long it took.

    Args:
        out: the folder of all results.
        environment: variables that the programs get.
    """

    def __init__(self, out: Path, environment: dict[str, str]) -> None:
        self.out, self.environment = out, os.environ | environment
        for folder in ("done", "logs"):
            (out / folder).mkdir(parents=True, exist_ok=True)

    def once(self, name: str, do: Callable[[], Any]) -> float:
        """Do a step if it is not done; the seconds that it took."""
        done = self.out / "done" / name
        if not done.exists():
            print(f"{name} ...", file=sys.stderr, flush=True)
            start = time.perf_counter()
            do()
            done.write_text(f"{time.perf_counter() - start:.1f}\n")
        return float(done.read_text())

    def program(self, name: str, *arguments: Any, **environment: Any) -> float:
        """Run a program of this Python's environment as a step."""

        def do() -> None:
            command = [str(Path(sys.executable).with_name(str(arguments[0]))), *map(str, arguments[1:])]
            log = self.out / "logs" / f"{name}.txt"
            with open(log, "w") as file:
                more = {key: str(value) for key, value in environment.items()}
                code = subprocess.run(command, stdout=file, stderr=file, env=self.environment | more).returncode
            if code:
                sys.exit(f"{' '.join(command)} ended with code {code}; the end of {log}:\n{log.read_text()[-3000:]}")

        return self.once(name, do)


def copy_cases(source: Path, target: Path, n: int) -> None:
    """The first cases of a data set, as ``images/`` and ``labels/``."""
    tails = {"images": ("imagesTr", "images"), "labels": ("labelsTr", "labels")}
    folders = {name: next(f for f in (source / t for t in tail) if f.is_dir()) for name, tail in tails.items()}
    labels = sorted(path for path in folders["labels"].iterdir() if not path.name.startswith("."))[:n]
    for name, folder in folders.items():
        (target / name).mkdir(parents=True, exist_ok=True)
        for label in labels:
            shutil.copyfile(folder / label.name, target / name / label.name)


def write_raw(images: Path, labels: Path, target: Path) -> None:
    """nnU-Net's raw data set, plainly copied."""
    files = sorted(labels.glob("*.nii.gz"))
    for folder in ("imagesTr", "labelsTr"):
        (target / folder).mkdir(parents=True, exist_ok=True)
    for label in files:
        name = label.name.removesuffix(".nii.gz")
        shutil.copyfile(images / label.name, target / "imagesTr" / f"{name}_0000.nii.gz")
        shutil.copyfile(label, target / "labelsTr" / label.name)
    dataset = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0} | {name: k for k, name in NAMES.items()},
        "numTraining": len(files),
        "file_ending": ".nii.gz",
    }
    (target / "dataset.json").write_text(json.dumps(dataset, indent=4))


def add_configuration(plans: Path, batch_size: int, features: int) -> None:
    """Add a configuration to nnU-Net's plans that a CPU can train; it shares the preprocessed data of 3d_fullres."""
    content = json.loads(plans.read_text())
    architecture = copy.deepcopy(content["configurations"]["3d_fullres"]["architecture"])
    kwargs = architecture["arch_kwargs"]
    kwargs["features_per_stage"] = [features * 2**i for i in range(kwargs["n_stages"])]
    small = {"inherits_from": "3d_fullres", "batch_size": batch_size, "architecture": architecture}
    content["configurations"][CONFIGURATION] = small
    plans.write_text(json.dumps(content, indent=4))


def export(audit: Path, target: Path) -> None:
    """The audit's cleansed labels as nnU-Net's raw data set, with the ignore label."""
    run = read_record(audit)
    write_nnunet_dataset(
        target, run.judgement, run.data, run.store, run.source, channel_names=["MRI"], ignore=True
    )


def audit_row(name: str, audit: Path, out: Path, n_cases: int) -> str:
    """A row of the table: how right an audit was."""
    found = score_labels(audit, out / "noisy" / "labels", out / "noisy" / "labels")
    run = read_record(audit)
    print(found, run.source, n_cases)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the hippocampus data")
    parser.add_argument("out", type=Path, help="folder of all results")
    parser.add_argument("--cases", type=int, default=130, help="use so many of the cases (130)")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="nnU-Net's folds (all five)")
    parser.add_argument("--epochs", type=int, default=5, help="of each fold (5)")
    parser.add_argument("--iterations", type=int, default=60, help="of each epoch (60)")
    parser.add_argument("--batch_size", type=int, default=2, help="patches a step (2)")
    parser.add_argument("--features", type=int, default=16, help="of the network's first stage (16)")
    parser.add_argument("--processes", type=int, default=2, help="nnU-Net's processes (2)")
    args = parser.parse_args()
    out = args.out.absolute()
    roots = {f"nnUNet_{name}": out / f"nnUNet_{name}" for name in ("raw", "preprocessed", "results")}
    for folder in roots.values():
        folder.mkdir(parents=True, exist_ok=True)
    steps = Steps(
        out,
        {name: str(folder) for name, folder in roots.items()}
        | {
            "nnUNet_extTrainer": str(Path(__file__).resolve().parent / "nnunet_trainers"),
            "nnUNet_compile": "f",
            "nnUNet_n_proc_DA": str(args.processes - 1),
            "nnUNet_def_n_proc": str(args.processes),
        },
    )
    run(steps, args, *roots.values())


def run(steps: Steps, args: argparse.Namespace, raw: Path, preprocessed: Path, results: Path) -> None:
    out = steps.out
    steps.once("cases", lambda: copy_cases(args.source, out / "truth", args.cases))
    steps.program("noise", "selfcleanse", "noise", out / "truth", out / "noisy", "--preset", "mixed", "--rate", 0.5)
    steps.once("raw", lambda: write_raw(out / "truth" / "images", out / "noisy" / "labels", raw / NOISY))
    preprocess(steps, 501, args)
    plans = preprocessed / NOISY / "nnUNetPlans.json"
    steps.once("plans", lambda: add_configuration(plans, args.batch_size, args.features))
    for fold in args.folds:
        train(steps, 501, fold, args.epochs, args.iterations)


def preprocess(steps: Steps, number: int, args: argparse.Namespace) -> None:
    steps.program(
        f"preprocess_{number}", "nnUNetv2_plan_and_preprocess", "-d", number, "--verify_dataset_integrity",
        "-c", "3d_fullres", "-np", args.processes, "-npfp", args.processes,
    )  # fmt: skip


def train(steps: Steps, number: int, fold: int, epochs: int, iterations: int) -> float:
    return steps.program(
        f"train_{number}_{fold}", "nnUNetv2_train", number, CONFIGURATION, fold,
        "-tr", "ShortTrainer", "-device", "cpu", "--npz", SHORT_EPOCHS=epochs, SHORT_ITERATIONS=iterations,
    )  # fmt: skip


if __name__ == "__main__":
    main()
