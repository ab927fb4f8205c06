"""Seconds and memory of an audit of many cases, on one processor core and on several.

    python benchmarks/audit_speed.py OUT --cases 1000 --shape 256 256 100 --cores 1 2
    python benchmarks/audit_speed.py OUT --cases 1000 10000 --shape 32 32 16 --cores 2

Labels and predictions are segmentations in NIfTI, of three structures. There are eight volumes, and links to them under
as many names as there are cases; one in eight labels is wrong. Each row is ``selfcleanse audit`` in a process that may
use that many cores. ``ready`` is the time until the first case is done. Memory is the peak of the process and its
workers together, where what they share counts once (PSS).
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np

VOLUMES = 8


def volume(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Three ellipsoids side by side."""
    rng = np.random.default_rng(seed)
    grid = np.ogrid[tuple(slice(-1, 1, 1j * n) for n in shape)]
    out = np.zeros(shape, np.uint8)
    for k, place in enumerate((-0.6, 0.0, 0.6), 1):
        centre = (place, *rng.uniform(-0.3, 0.3, 2))
        radius = rng.uniform(0.15, 0.3, 3)
        out[sum(((x - c) / r) ** 2 for x, c, r in zip(grid, centre, radius, strict=True)) < 1] = k
    return out


def write_data(folder: Path, n_cases: int, shape: tuple[int, ...]) -> None:
    """Images, labels and predictions of that many cases."""
    affine = np.diag([0.8, 0.8, 2.0, 1.0])
    names = ("imagesTr", "labelsTr", "predictions")
    for name in names:
        (folder / name).mkdir(parents=True)
    for i in range(VOLUMES):
        predicted = volume(shape, i)
        given = predicted.copy()
        if i == 0:
            given[given == 2] = 0
        image = (100 * predicted + np.random.default_rng(i).integers(0, 50, shape)).astype(np.int16)
        for name, voxels in zip(names, (image, given, np.roll(predicted, i % 2, 0)), strict=True):
            nib.save(nib.Nifti1Image(voxels, affine), folder / name / f"v{i}.nii.gz")
    for name in names:
        for i in range(n_cases):
            os.link(folder / name / f"v{i % VOLUMES}.nii.gz", folder / name / f"case{i:05d}.nii.gz")
        for i in range(VOLUMES):
            (folder / name / f"v{i}.nii.gz").unlink()


def memory_mb(pid: int) -> float:
    """PSS of a process and all below it."""
    total, pids = 0.0, [pid]
    for one in pids:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                pids += map(int, (task / "children").read_text().split())
            text = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024  # type: ignore[index]
    return total


def audit(folder: Path, out: Path, cores: int) -> tuple[float, float, float]:
    """Seconds until the first case was done and until the end, and peak memory in MB."""
    command = [sys.executable, "-c", "from monai_selfcleanse.cli.command import main; main()", "audit"]
    command += [str(folder), "-o", str(out)]
    command += ["--predictions", str(folder / "predictions"), "--structures", "{'1': 'a', '2': 'b', '3': 'c'}"]
    start, first, peak = time.monotonic(), 0.0, 0.0
    with open(out.with_suffix(".txt"), "w") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores]),
        )
        while process.poll() is None:
            peak = max(peak, memory_mb(process.pid))
            if not first and any((out / "cases").glob("seen/*.npz")):
                first = time.monotonic() - start
            time.sleep(0.5)
    if process.returncode:
        sys.exit(f"error: the audit failed, see {out.with_suffix('.txt')}")
    return first, time.monotonic() - start, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder for data and results, which must not exist")
    parser.add_argument("--cases", type=int, nargs="+", default=[1000])
    parser.add_argument("--shape", type=int, nargs=3, default=[256, 256, 100])
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    if args.out.exists():
        parser.error(f"{args.out} exists: give a new folder")
    if max(args.cores) > len(os.sched_getaffinity(0)):
        parser.error(f"--cores {max(args.cores)}: this machine has {len(os.sched_getaffinity(0))}")
    voxels = " x ".join(map(str, args.shape))
    print("| cases | voxels | cores | ready, s | all, s | s a case | peak memory, MB |\n|", " --- |" * 7, sep="")
    for n_cases in args.cases:
        data = args.out / f"data{n_cases}"
        write_data(data, n_cases, tuple(args.shape))
        for cores in args.cores:
            out = args.out / f"audit{n_cases}_{cores}"
            first, whole, peak = audit(data, out, cores)
            cells = [n_cases, voxels, cores, f"{first:.0f}", f"{whole:.0f}", f"{whole / n_cases:.3f}", f"{peak:.0f}"]
            print("|", " | ".join(map(str, cells)), "|", flush=True)
            shutil.rmtree(out)
        shutil.rmtree(data)


if __name__ == "__main__":
    main()
