"""Methods against label noise side by side: the same cases, noise, split, network, steps and augmentation for all.

    pip install -c constraints.txt -e ".[benchmark]"
    python benchmarks/compare.py ACDC OUT --small --settings mixed:0.5 --seeds 0 1 2 --jobs 2
    python benchmarks/compare.py HIPPOCAMPUS OUT --data hippocampus --settings mixed:0.5 --seeds 0 1 2 --jobs 2
    python benchmarks/summary.py OUT

Each training is the bundle's own (``configs/train.json``, for the hippocampus with ``configs/hippocampus.json``) with
one overlay of ``benchmarks/arms`` on it; its noise, split and seed follow from ``--seeds``. The data set's labels are
the truth. Dice and HD95 are those of the last epoch's network on the patients that nobody trained on, on the images'
own grid, by ``configs/inference.json``.

A line of ``OUT/results.jsonl`` is a finished training. Started again, the same command does what is missing; a
training that was cut off goes on from its last epoch (that of ``co_teaching`` starts afresh). What follows ``--`` are
further options of ``train.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import joblib
import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from score_run import score_labels

from monai_selfcleanse.core.case_id import case_of
from monai_selfcleanse.core.masks import dice, hausdorff95
from monai_selfcleanse.data import Cohort

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CONFIGS, ARM_CONFIGS = ROOT / "configs", HERE / "arms"

TRAIN = {
    "acdc": [CONFIGS / "train.json"],
    "hippocampus": [CONFIGS / "train.json", CONFIGS / "hippocampus.json"],
}
"""The bundle's configs that train on each data set."""

INFER = {
    "acdc": [CONFIGS / "inference.json"],
    "hippocampus": [CONFIGS / "inference.json", CONFIGS / "hippocampus.json"],
}
"""Those that segment it."""

ARMS: dict[str, list[str]] = {
    "clean": [],
    "noisy": [],
    "oracle_drop": ["oracle_drop"],
    "gce": ["gce"],
    "nr_dice": ["nr_dice"],
    "co_teaching": ["twin", "co_teaching"],
    "cleanlab": ["cleanlab"],
    "cleanser_only": ["cleanser_only"],
    "redrawn": ["redrawn"],
    "one_round": ["one_round"],
    "ours": [],
}
"""Overlays of each arm. ``clean`` trains on the truth, ``noisy`` plainly on what the others get."""

PLAIN = ("clean", "noisy")
PEERS = ("gce", "nr_dice", "co_teaching", "cleanlab")

VALIDATION_SHARE = 0.5
"""Half of the patients are held out: of 16 on ACDC, one with odd images had decided a comparison
(benchmarks/LOG.md)."""

LONGEST_FORM = 80
"""Letters of a training's folder that its options may take."""

lock = Lock()


@dataclass(frozen=True)
class Job:
    """One training."""

    data: str
    dataset_dir: Path
    out: Path
    preset: str
    rate: float
    seed: int
    arm: str
    small: bool
    extra: tuple[str, ...]

    @property
    def directory(self) -> Path:
        form = "".join(re.sub(r"\W+", "_", f"-{part}") for part in [*(["small"] if self.small else []), *self.extra])
        if self.extra:  # whose signs are lost, and which may be long
            form = f"{form[:LONGEST_FORM]}_{hashlib.sha256(json.dumps(self.extra).encode()).hexdigest()[:8]}"
        noise = f"{self.preset}_{round(100 * self.rate)}"
        return self.out / f"{self.data}{form}" / noise / f"seed{self.seed}" / self.arm

    @property
    def described(self) -> dict[str, Any]:
        """The job in its line of results."""
        names = ("data", "preset", "rate", "seed", "arm", "small")
        return {name: getattr(self, name) for name in names} | {"extra": list(self.extra)}

    @property
    def key(self) -> str:
        return key_of(self.described)

    @property
    def noise(self) -> tuple[str, ...]:
        rate = 0.0 if self.arm == "clean" else self.rate
        return ("--noise_rate", str(rate), "--noise_preset", self.preset)


def key_of(line: dict[str, Any]) -> str:
    """What tells a training from all others; right labels are the same ones, whatever noise the others get."""
    names = ("data", "seed", "arm", "small", "extra", *(() if line["arm"] == "clean" else ("preset", "rate")))
    return json.dumps([line[name] for name in names])


def structures_of(data: str) -> dict[int, str]:
    """A data set's label values and their names."""
    config = ConfigParser.load_config_files([str(path) for path in TRAIN[data]])
    return {int(value): name for value, name in config["structures"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, help="folder of the data set, whose labels are taken as the truth")
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", choices=TRAIN, default="acdc", help="what the folder holds")
    parser.add_argument("--settings", nargs="+", default=["mixed:0.5"], metavar="PRESET:RATE")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--small", action="store_true", help="ACDC in 2 mm and half the patches, for two CPU cores")
    parser.add_argument(
        "--jobs", type=int, default=1, help="trainings at a time, each on OMP_NUM_THREADS or its share of the cores"
    )
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, extra = parser.parse_args(sys.argv[1:end]), tuple(sys.argv[end + 1 :])
    if len(extra) % 2 or not all(name.startswith("--") for name in extra[::2]):
        parser.error(f"after -- come names and values of options, as in --epochs 20; got {' '.join(extra)}")
    if args.small and args.data != "acdc":
        parser.error(f"--small is for ACDC; {args.data} is small already")
    dataset_dir, out = args.dataset_dir.resolve(), args.out.resolve()
    jobs = [
        Job(args.data, dataset_dir, out, preset, float(rate), seed, arm, args.small, extra)
        for seed in args.seeds
        for preset, rate in (setting.split(":") for setting in args.settings)
        for arm in args.arms
    ]
    done = [key_of(line) for line in read_results(out)]
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(job.key, job)
    jobs = [job for key, job in first.items() if key not in done]
    say(f"{len(jobs)} trainings to do, {len(done)} lines in {out / 'results.jsonl'}")
    threads = int(os.environ.get("OMP_NUM_THREADS") or max(1, joblib.cpu_count() // args.jobs))
    with ThreadPoolExecutor(args.jobs) as pool:
        finished = list(pool.map(lambda job: finish(job, threads), jobs))
    failed = [job for job, good in zip(jobs, finished, strict=True) if not good]
    for job in failed:
        say(f"FAILED: see {job.directory / 'log.txt'}")
    sys.exit(len(failed) > 0)


def finish(job: Job, threads: int) -> bool:
    """Do a job and write down what came of it; False if it failed."""
    say(f"{job.directory.relative_to(job.out)} ...")
    try:
        folds = cleanlab_folds(job, threads) if job.arm == "cleanlab" else []
        kept = ["--kept_cases", str(folds_directory(job) / "kept.json")] if folds else []
        parts = [*folds, train(job, job.directory, ARMS[job.arm], threads, *kept)]
        line = job.described | all_used(parts) | score(job, threads) | parts[-1].get("provenance", {})
    except subprocess.CalledProcessError:
        return False
    except Exception:  # whatever is wrong with this one, the others are to be trained
        job.directory.mkdir(parents=True, exist_ok=True)
        with open(job.directory / "log.txt", "a") as log:
            traceback.print_exc(file=log)
        return False
    with lock, open(job.out / "results.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    say(f"{job.directory.relative_to(job.out)}: Dice {line['mean_dice']:.4f}")
    return True


def train(job: Job, directory: Path, overlays: list[str], threads: int, *extra: str) -> dict[str, Any]:
    """Run a training to its end; its seconds and peak memory (MB), of which none are kept if it was cut off, and what
    trained."""
    if (directory / "used.json").is_file():
        return json.loads((directory / "used.json").read_text())
    # Co-Teaching's ramp is counted in its loss, which no checkpoint holds: it starts afresh
    resumed = "twin" not in overlays and (directory / "models" / "checkpoint" / "last.pt").is_file()
    names = [*TRAIN[job.data], *([ARM_CONFIGS / "small.json"] if job.small else [])]
    command = bundle_command([*names, *(ARM_CONFIGS / f"{name}.json" for name in overlays)], "training")
    command += ["--dataset_dir", str(job.dataset_dir), "--output_dir", str(directory), "--seed", str(job.seed)]
    command += ["--validation_share", str(VALIDATION_SHARE), *job.noise]
    command += ["--self_cleanse", "False"] if job.arm in PLAIN else []
    command += ["--resume", "True"] if resumed else []
    trained_by = provenance(threads)
    used = run([*command, *extra, *job.extra], directory / "log.txt", threads)
    used = (used if not resumed else {"seconds": None, "peak_mb": None}) | {"provenance": trained_by}
    (directory / "used.json").write_text(json.dumps(used))
    return used


def all_used(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds and peak memory of several trainings one after another; None where one of them is not known."""
    if not all(part["seconds"] for part in parts):
        return {"seconds": None, "peak_mb": None}
    return {"seconds": sum(part["seconds"] for part in parts), "peak_mb": max(part["peak_mb"] for part in parts)}


def folds_directory(job: Job) -> Path:
    return job.directory.with_name("cleanlab_folds")


def cleanlab_folds(job: Job, threads: int) -> list[dict[str, Any]]:
    """Two trainings, one on each half of the patients, score the other half's labels; the better share is kept.

    As many cases as are truly noisy are dropped: cleanlab's softmin is a score, the rate has to be known.
    """
    directory, scores, used = folds_directory(job), {}, []
    for fold in (0, 1):
        used.append(train(job, directory / str(fold), ["fold"], threads, "--fold", str(fold)))
        scores |= json.loads((directory / str(fold) / "softmin.json").read_text())
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    (directory / "kept.json").write_text(json.dumps(ranked[: round((1 - job.rate) * len(ranked))]))
    return used


def score(job: Job, threads: int) -> dict[str, Any]:
    """Dice and HD95 (mm) on the patients held out, and how right filter and cleanser were."""
    predictions = job.directory / "held_out"
    structures = structures_of(job.data)
    held = Cohort(
        job.dataset_dir, predictions, seed=job.seed, validation_share=VALIDATION_SHARE, structures=structures
    ).validation
    overlays = ["small"] if job.small else []
    overlays += ["twin"] if "twin" in ARMS[job.arm] else []
    command = bundle_command([*INFER[job.data], *(ARM_CONFIGS / f"{n}.json" for n in overlays)], "run")
    command += ["--dataset_dir", str(job.dataset_dir), "--output_dir", str(predictions)]
    command += ["--ckpt_path", str(job.directory / "models" / "model.pt")]
    command += ["--image_files", json.dumps([str(case["image"]) for case in held])]
    command += ["--mirror_axis", "$None"]  # as before there was mirroring, so that all lines can be compared
    command += known_to(job.extra, INFER[job.data])
    run(command, job.directory / "inference.txt", threads)
    values: dict[str, dict[str, list[float | None]]] = {"dice": {}, "hd95_mm": {}}
    for case in held:
        truth_file = nib.load(case["label"])
        relative = os.path.relpath(case["image"], job.dataset_dir)
        predicted = np.asanyarray(nib.load(predictions / relative).dataobj)
        truth = np.rint(np.asanyarray(truth_file.dataobj))
        spacing = [float(s) for s in truth_file.header.get_zooms()[:3]]
        pairs = [(predicted == k, truth == k) for k in structures]
        values["dice"][case_of(case)] = [round(dice(a, b), 5) for a, b in pairs]
        values["hd95_mm"][case_of(case)] = [finite(hausdorff95(a, b, spacing)) for a, b in pairs]
    out: dict[str, Any] = {"mean_dice": float(np.mean(list(values["dice"].values()))), **values}
    if (job.directory / "label_report.csv").is_file() and job.arm not in PLAIN:
        out["labels"] = score_labels(job.directory, label_root(held[0]))
    shutil.rmtree(job.directory / "cases", ignore_errors=True)
    return out


def known_to(extra: Sequence[str], configs: list[Path]) -> list[str]:
    """The options of a training that inference has, too, such as the voxel size: it segments as was trained."""
    ids = ConfigParser.load_config_files([str(path) for path in configs])
    options = zip(extra[::2], extra[1::2], strict=True)
    return [part for name, value in options if name.removeprefix("--").split("#")[0] in ids for part in (name, value)]


def label_root(case: dict[str, Any]) -> Path:
    """What a case's ``file`` is relative to: the data set's folder or, in ACDC's official release, its ``training``."""
    return Path(case["label"]).parents[len(Path(case["file"]).parts) - 1]


def finite(distance: float) -> float | None:
    """Rounded for JSON, which knows no infinity: None where one of the two is empty."""
    return round(distance, 3) if np.isfinite(distance) else None


def bundle_command(configs: list[Path], run_id: str) -> list[str]:
    return [sys.executable, "-m", "monai.bundle", "run", run_id, "--config_file", json.dumps([str(c) for c in configs])]


def run(command: list[str], log: Path, threads: int) -> dict[str, Any]:
    """Run a command at the repository's root; its wall-clock seconds and peak memory in MB."""
    log.parent.mkdir(parents=True, exist_ok=True)
    paths = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "PYTHONPATH": paths}
    start = time.monotonic()
    with open(log, "a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return {"seconds": round(time.monotonic() - start, 1), "peak_mb": usage.ru_maxrss // 1024}


def provenance(threads: int) -> dict[str, Any]:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True).stdout.strip()

    commit = git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    return {"commit": commit, "machine": processor(), "threads": threads, "python": platform.python_version()}


def processor() -> str:
    """The CPU's model, as far as the system tells, and the best instructions that torch finds on it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    model = re.search(r"model name\s*: (.+)", text)
    return f"{model[1] if model else platform.machine()}, {torch.backends.cpu.get_cpu_capability()}"


def patient_in_id(case: str) -> str:
    """The patient, where results know a case by its id alone: what stands before ``_frame`` in it, if that is there."""
    return case.split("_frame")[0]


def read_results(out: Path) -> list[dict[str, Any]]:
    """The finished trainings' lines."""
    path = out / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


if __name__ == "__main__":
    main()
