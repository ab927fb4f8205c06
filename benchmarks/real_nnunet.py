"""A real nnU-Net: train it on spoilt labels, audit its results folder as it lies, train it on what the audit exports.

    python -m venv VENV
    VENV/bin/pip install -c constraints.txt torch===2.13.0 torchvision==0.28.0 nnunetv2==2.8.1 -e .
    VENV/bin/python benchmarks/real_nnunet.py HIPPOCAMPUS OUT > table.md

``HIPPOCAMPUS`` is the Decathlon's Task04: labels in ``labelsTr/`` or ``labels/``, images in ``imagesTr/`` or
``images/``. Its labels are the truth. The steps:

1. the noise command spoils the labels of half the patients;
2. they become nnU-Net's raw data set 501, which ``nnUNetv2_plan_and_preprocess`` checks and preprocesses;
3. ``nnUNetv2_train ... --npz`` trains two folds, by nnU-Net's own plan but with a smaller batch and network, for few
   steps (``nnunet_trainers/short_trainer.py``);
4. ``selfcleanse audit --predictions`` judges the labels by nnU-Net's results folder, before and after
   ``nnUNetv2_find_best_configuration``, and by the merged folder that this writes; with ``--predict``, by what
   ``nnUNetv2_predict`` and ``nnUNetv2_ensemble`` write, too;
5. the cleansed labels become data set 502, with the ignore label; nnU-Net checks it, and trains an epoch on it.

Each step is done once: started again, the same command goes on with the first that is missing. What the steps print is
in ``OUT/logs``. All of it runs on the CPU. ``===`` asks for PyPI's own build of PyTorch, some GB large: nnU-Net needs
torchvision, and beside a build for the CPU alone, that of PyPI stops with "operator torchvision::nms does not exist".
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

NAMES = {1: "anterior", 2: "posterior"}
NOISY, CLEANSED = "Dataset501_Noisy", "Dataset502_Cleansed"
TRAINER = "ShortTrainer"


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


def add_configuration(folder: Path, base: str, batch_size: int, features: int) -> None:
    """Add a configuration to nnU-Net's plans that a CPU can train: one of nnU-Net's own with other numbers.

    It shares the preprocessed data of the one that it is made of.

    Args:
        folder: nnU-Net's folder of a preprocessed data set.
        base: nnU-Net's configuration.
        batch_size: patches a step.
        features: of the network's first stage; each further stage has twice as many.
    """
    path = folder / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    architecture = copy.deepcopy(plans["configurations"][base]["architecture"])
    kwargs = architecture["arch_kwargs"]
    kwargs["features_per_stage"] = [features * 2**i for i in range(kwargs["n_stages"])]
    plans["configurations"][f"{base}_small"] = {
        "inherits_from": base,
        "batch_size": batch_size,
        "architecture": architecture,
    }
    path.write_text(json.dumps(plans, indent=4))


def write_splits(folder: Path, labels: Path, n: int) -> None:
    """Folds in nnU-Net's own form, which it takes in the place of its five."""
    names = sorted(path.name.removesuffix(".nii.gz") for path in labels.iterdir())
    parts = [names[i::n] for i in range(n)]
    splits = [{"train": sorted(set(names) - set(part)), "val": part} for part in parts]
    (folder / "splits_final.json").write_text(json.dumps(splits, indent=4))


def export(audit: Path, target: Path) -> None:
    """The audit's cleansed labels as nnU-Net's raw data set, with the ignore label."""
    from monai_selfcleanse.results import read_record, write_nnunet_dataset

    run = read_record(audit)
    write_nnunet_dataset(target, run.judgement, run.data, run.store, run.source, channel_names=["MRI"], ignore=True)


class NnUNet:
    """The steps with nnU-Net's programs, on one configuration.

    Args:
        steps: runs them.
        args: the command's arguments.
    """

    def __init__(self, steps: Steps, args: argparse.Namespace) -> None:
        self.steps, self.args, self.configuration = steps, args, f"{args.configuration}_small"

    def preprocess(self, dataset: str, n_folds: int) -> None:
        """Check and preprocess a raw data set, and add the small configuration."""
        number, args = int(dataset[7:10]), self.args
        self.steps.program(
            f"preprocess_{number}", "nnUNetv2_plan_and_preprocess", "-d", number, "--verify_dataset_integrity",
            "-c", args.configuration, "-np", args.processes, "-npfp", args.processes,
        )  # fmt: skip
        folder = self.steps.out / "nnUNet_preprocessed" / dataset
        labels = self.steps.out / "nnUNet_raw" / dataset / "labelsTr"

        def plan() -> None:
            add_configuration(folder, args.configuration, args.batch_size, args.features)
            write_splits(folder, labels, n_folds)

        self.steps.once(f"plan_{number}", plan)

    def train(self, dataset: str, fold: int, epochs: int) -> float:
        """Train a fold, and predict the cases that it left out, with probabilities."""
        number = int(dataset[7:10])
        return self.steps.program(
            f"train_{number}_{fold}", "nnUNetv2_train", number, self.configuration, fold,
            "-tr", TRAINER, "-device", "cpu", "--npz", SHORT_EPOCHS=epochs, SHORT_ITERATIONS=self.args.iterations,
            nnUNet_n_proc_DA=self.args.processes - 1,
        )  # fmt: skip

    def results(self, dataset: str) -> Path:
        """nnU-Net's folder of the results of one trainer and configuration."""
        return self.steps.out / "nnUNet_results" / dataset / f"{TRAINER}__nnUNetPlans__{self.configuration}"

    def find_best(self, dataset: str) -> None:
        """Let nnU-Net merge the folds' predictions, and look for a postprocessing."""
        folds = range(self.args.folds)
        self.steps.program(
            "find_best", "nnUNetv2_find_best_configuration", int(dataset[7:10]), "-c", self.configuration,
            "-tr", TRAINER, "-f", *folds, "-np", self.args.processes,
        )  # fmt: skip

    def predict(self, dataset: str, fold: int) -> Path:
        """Predict all images by the network of a fold, which has seen half of their labels."""
        out = self.steps.out / f"predicted_{fold}"
        self.steps.program(
            f"predict_{fold}", "nnUNetv2_predict", "-i", self.steps.out / "nnUNet_raw" / dataset / "imagesTr",
            "-o", out, "-d", int(dataset[7:10]), "-c", self.configuration, "-tr", TRAINER, "-f", fold,
            "-device", "cpu", "--save_probabilities", "-npp", self.args.processes, "-nps", self.args.processes,
        )  # fmt: skip
        return out


def audit(steps: Steps, name: str, dataset: str, predictions: Path) -> str:
    """Judge a data set's labels by predictions, and say in a row of the table how right that was."""
    from score_run import score_labels

    from monai_selfcleanse.results import read_record

    out = steps.out / f"audit_{name.replace(' ', '_')}"
    structures = "{" + ", ".join(f"'{k}': '{structure}'" for k, structure in NAMES.items()) + "}"
    seconds = steps.program(
        out.name, "selfcleanse", "audit", steps.out / "nnUNet_raw" / dataset, "-o", out,
        "--predictions", predictions, "--structures", structures, "--num_workers", 1,
    )  # fmt: skip
    found = score_labels(out, steps.out / "as_raw", steps.out / "nnUNet_raw" / dataset)
    record = read_record(out)
    kind = record.source.get("kind", "")
    verdicts = ", ".join(decision.verdict for decision in record.judgement.decisions)
    cells = [name, kind, len(record.judgement.cases) * len(NAMES), found["n_suspected"], verdicts]
    cells += [f"{found[key]:.2f}" for key in ("precision", "recall", "auroc")]
    cells += [f"{found['noisy'][key]:.3f}" for key in ("given", "cleansed")] + [f"{seconds:.0f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def run(steps: Steps, args: argparse.Namespace) -> None:
    """All steps, and the table."""
    out, nnunet = steps.out, NnUNet(steps, args)
    raw = out / "nnUNet_raw"
    steps.once("cases", lambda: copy_cases(args.source, out / "truth", args.cases))
    steps.program("noise", "selfcleanse", "noise", out / "truth", out / "noisy", "--preset", "mixed", "--rate", 0.5)
    steps.once("raw", lambda: write_raw(out / "truth" / "images", out / "noisy" / "labels", raw / NOISY))
    steps.once("truth", lambda: shutil.copytree(out / "truth" / "labels", out / "as_raw" / "labelsTr"))
    nnunet.preprocess(NOISY, args.folds)
    with ThreadPoolExecutor(args.jobs) as pool:
        seconds = list(pool.map(lambda fold: nnunet.train(NOISY, fold, args.epochs), range(args.folds)))
    results = nnunet.results(NOISY)
    rows = [audit(steps, "results folder", NOISY, results)]
    nnunet.find_best(NOISY)
    rows.append(audit(steps, "after find_best", NOISY, results))
    rows.append(audit(steps, "merged", NOISY, next(results.glob("crossval_results_folds_*"))))
    if args.predict:
        predicted = [nnunet.predict(NOISY, fold) for fold in range(args.folds)]
        rows.append(audit(steps, "predicted", NOISY, predicted[0]))
        steps.program("ensemble", "nnUNetv2_ensemble", "-i", *predicted, "-o", out / "mean", "-np", 1, "--save_npz")
        rows.append(audit(steps, "ensemble", NOISY, out / "mean"))
    steps.once("export", lambda: export(out / "audit_results_folder", raw / CLEANSED))
    nnunet.preprocess(CLEANSED, args.folds)
    again = nnunet.train(CLEANSED, 0, 1)
    print("| judged by | kind | labels | suspects | verdicts | precision | recall | AUROC | given | cleansed | s |")
    print("| --- " * 11 + "|", *rows, sep="\n")
    print(f"\nFolds: {', '.join(f'{s / 60:.1f}' for s in seconds)} min; an epoch on the export: {again / 60:.1f} min")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="the hippocampus data")
    parser.add_argument("out", type=Path, help="folder of all results")
    parser.add_argument("--cases", type=int, default=130, help="use so many of the cases (130)")
    parser.add_argument("--configuration", default="2d", help="nnU-Net's, which is made smaller: 2d or 3d_fullres (2d)")
    parser.add_argument("--folds", type=int, default=2, help="so many folds, which leave each case out once (2)")
    parser.add_argument("--epochs", type=int, default=6, help="of each fold (6)")
    parser.add_argument("--iterations", type=int, default=60, help="of each epoch (60)")
    parser.add_argument("--batch_size", type=int, default=12, help="patches a step (12)")
    parser.add_argument("--features", type=int, default=16, help="of the network's first stage (16)")
    parser.add_argument("--processes", type=int, default=1, help="nnU-Net's processes (1)")
    parser.add_argument("--jobs", type=int, default=2, help="train so many folds at a time (2)")
    parser.add_argument("--predict", action="store_true", help="audit nnUNetv2_predict and nnUNetv2_ensemble, too")
    args = parser.parse_args()
    out = args.out.absolute()
    roots = {f"nnUNet_{name}": out / f"nnUNet_{name}" for name in ("raw", "preprocessed", "results")}
    for folder in roots.values():
        folder.mkdir(parents=True, exist_ok=True)
    environment = {name: str(folder) for name, folder in roots.items()} | {
        "nnUNet_extTrainer": str(Path(__file__).resolve().parent / "nnunet_trainers"),
        "nnUNet_compile": "f",
        "nnUNet_n_proc_DA": "1",
        "nnUNet_def_n_proc": str(args.processes),
    }
    run(Steps(out, environment), args)


if __name__ == "__main__":
    main()
