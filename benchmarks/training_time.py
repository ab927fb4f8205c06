"""Where the time of a training goes, plain and with self-cleansing, on whatever device there is.

    python benchmarks/training_time.py              train.json on the built-in phantom
    python benchmarks/training_time.py --task ct    liver_tumor.json on CT phantoms of 512 x 512 x 120 voxels
    python benchmarks/training_time.py --device cuda --amp both --compile both --num_workers 0 4

Each row is a training in a process of its own, one after the other. ``HandlersTimeProfiler`` of Ignite measures what
waiting for data, steps and handlers take. The table has them as shares of the training's time; ``end`` is report and
last validation. ``looks`` is what is left: the label filter's looks with all that follows from them, and some rest,
which the plain training shows. (Ignite's timer does not hold for a handler that fires events, as the filter does.)
Time before the first step (reading data, checks) is not in them. ``audit`` is the seconds that an audit of the same
cases by the trained network takes. Peak memory is the GPU's, or the process's on a CPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from ignite.handlers import HandlersTimeProfiler
from monai.bundle import ConfigWorkflow
from scipy import ndimage

CONFIGS = Path(__file__).resolve().parents[1] / "bundle" / "configs"

PARTS = {
    "ValidationHandler": "validation",
    "EMAHandler": "average",
    "TrainingCheckpoint": "checkpoint",
    "WeightsSaver": "checkpoint",
    "CleansingReport": "end",
}
"""Column of each handler; what is not named is ``others``."""

NOT_TIMED = ("LabelFilter", "LabelCleanser")
"""Handlers that fire events, and those that are fired so."""

COLUMNS = ("data", "step", "average", "looks", "validation", "checkpoint", "end", "others")


def write_ct_phantom(directory: Path, n_cases: int, shape: tuple[int, int, int]) -> Path:
    """CT-like volumes in the Decathlon's layout: a liver, a tumour in it, soft tissue around; every fourth tumour is
    not labelled."""
    for folder in ("imagesTr", "labelsTr"):
        (directory / folder).mkdir(parents=True)
    affine = np.diag([0.75, 0.75, 2.5, 1.0])
    for i in range(n_cases):
        rng = np.random.default_rng(i)
        grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
        centre = rng.uniform(-0.15, 0.15, (3, 1, 1, 1))
        liver = (((grid - centre) / rng.uniform(0.35, 0.6, (3, 1, 1, 1))) ** 2).sum(0) < 1
        spot = centre + rng.uniform(-0.15, 0.15, (3, 1, 1, 1))
        tumour = (((grid - spot) / rng.uniform(0.06, 0.15)) ** 2).sum(0) < 1
        label = liver.astype(np.uint8) + (liver & tumour)
        image = np.where((grid**2).sum(0) < 0.9, 20.0, -900.0) + 70.0 * liver - 50.0 * (label == 2)
        image += ndimage.gaussian_filter(rng.normal(0, 60, shape), 0.7)
        label[(label == 2) & (i % 4 == 0)] = 1
        for folder, voxels in (("imagesTr", np.rint(image).astype(np.int16)), ("labelsTr", label)):
            nib.save(nib.Nifti1Image(voxels, affine), directory / folder / f"case_{i:03d}.nii.gz")
    names = {"0": "background", "1": "liver", "2": "tumour"}
    (directory / "dataset.json").write_text(json.dumps({"labels": names, "name": "phantom"}))
    return directory


def measure(options: dict[str, Any], task: str, audits: bool) -> dict[str, Any]:
    """Train once, and say where the time went."""
    configs = [CONFIGS / "train.json"] + ([CONFIGS / "liver_tumor.json"] if task == "ct" else [])
    run = ConfigWorkflow([str(path) for path in configs], logging_file=False, **options)
    run.initialize()
    trainer = run.parser.get_parsed_content("train#trainer")
    profiler = HandlersTimeProfiler()
    profiler.attach(trainer)
    on_gpu = torch.device(run.parser.get_parsed_content("device")).type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    run.run()
    seconds = dict.fromkeys(COLUMNS, 0.0)
    seconds["data"], seconds["step"] = (
        float(sum(times)) for times in (profiler.dataflow_times, profiler.processing_times)
    )
    for handlers in profiler.event_handlers_times.values():
        for name, times in handlers.items():
            if (handler := name.split(".")[0]) not in NOT_TIMED:
                seconds[PARTS.get(handler, "others")] += float(sum(times))
    whole = trainer.state.times["COMPLETED"]
    seconds["looks"] = whole - sum(seconds.values())
    out = {
        "all": whole,
        "steps": trainer.state.iteration,
        "seconds": seconds,
        "peak_mb": torch.cuda.max_memory_allocated() / 2**20
        if on_gpu
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
    }
    run.finalize()
    if audits:
        weights = Path(str(options["output_dir"])) / "models" / "model.pt"
        audit = ConfigWorkflow(
            [str(path) for path in (*configs, CONFIGS / "audit.json")],
            run_id="auditing",
            logging_file=False,
            output_dir=f"{options['output_dir']}/audit",
            ckpt_path=str(weights),
            dataset_dir=options.get("dataset_dir", f"{options['output_dir']}/phantom"),
            device=options["device"],
        )
        audit.initialize()
        start = time.perf_counter()
        audit.run()
        out["audit"] = time.perf_counter() - start
    return out


def rows(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and options for each training."""
    both = {"on": [True], "off": [False], "both": [False, True]}
    for amp, compiled, workers in product(both[args.amp], both[args.compile], args.num_workers):
        parts = [f"{workers} workers"] + ["mixed precision"] * amp + ["compiled"] * compiled
        for name, cleanse in (("plain", False), ("monai-selfcleanse", True)):
            options = {"amp": amp, "compile": compiled, "num_workers": workers, "self_cleanse": cleanse}
            # the plain one has as many steps
            options |= {"epochs": args.epochs if cleanse else 2 * args.epochs}
            yield f"{name}, {', '.join(parts)}", options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("phantom", "ct"), default="phantom")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--epochs", type=int, default=20, help="of each of two rounds")
    parser.add_argument("--amp", choices=("on", "off", "both"), default="on" if torch.cuda.is_available() else "off")
    parser.add_argument("--compile", choices=("on", "off", "both"), default="off")
    parser.add_argument("--num_workers", type=int, nargs="+", default=[0])
    parser.add_argument("--cases", type=int, default=16, help="of --task ct")
    parser.add_argument("--shape", type=int, nargs=3, default=[512, 512, 120], help="of --task ct")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print("RESULT", json.dumps(measure(json.loads(args.one), args.task, True)))
        return
    with tempfile.TemporaryDirectory() as folder:
        data: dict[str, Any] = {}
        if args.task == "ct":
            data["dataset_dir"] = str(write_ct_phantom(Path(folder) / "data", args.cases, tuple(args.shape)))
        print("| training | s | steps/s |", " | ".join(f"{name} %" for name in COLUMNS), "| peak MB | audit s |")
        print("|", " --- |" * (len(COLUMNS) + 5), sep="")
        for i, (name, options) in enumerate(rows(args)):
            given = options | data | {"device": args.device, "output_dir": f"{folder}/out{i}"}
            command = [sys.executable, __file__, "--task", args.task, "--one", json.dumps(given)]
            done = subprocess.run(command, capture_output=True, text=True)
            found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
            if not found:
                sys.exit(f"error: {name}: {(done.stderr.strip().splitlines() or ['no result'])[-1]}")
            result = json.loads(found[-1].removeprefix("RESULT "))
            shares = [f"{100 * result['seconds'][part] / result['all']:.1f}" for part in COLUMNS]
            figures = [f"{result['all']:.0f}", f"{result['steps'] / result['all']:.1f}", *shares]
            print(f"| {name} | {' | '.join(figures)} | {result['peak_mb']:.0f} | {result['audit']:.1f} |", flush=True)


if __name__ == "__main__":
    main()
