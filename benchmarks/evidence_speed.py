"""What the evidence about one case costs, in passes over its class probabilities, and in memory.

    python benchmarks/evidence_speed.py [--old FOLDER] > table.md

A pass is ``probabilities.max()`` of the same array, on one core. Each row is a process of its own, and its best of
several, in CPU time, so that what else the machine does counts little. ``--old`` names a checkout of this package to
compare with. The last rows are a whole body: 512 x 512 x 300 voxels with 100 structures, as a segmentation and as
float16 probabilities in an ``npz`` of nnU-Net's, not compressed (16 GB on disk, which ``--whole_body`` asks for).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

ROWS = [((128, 128, 64), 3), ((256, 256, 100), 3), ((512, 512, 100), 3), ((256, 256, 100), 30)]
"""Voxels and structures."""

WHOLE_BODY = ((512, 512, 300), 100)


def organs(shape: tuple[int, ...], n_structures: int) -> np.ndarray:
    """Ellipsoids of a twelfth to a fifth of the volume's sides, one over another."""
    rng = np.random.default_rng(0)
    out = np.zeros(shape, np.uint8)
    for k in range(1, n_structures + 1):
        radius = (rng.uniform(0.04, 0.10, 3) * shape).astype(int) + 1
        middle = [int(rng.integers(r, n - r)) for r, n in zip(radius, shape, strict=True)]
        grid = np.ogrid[tuple(slice(-r, r + 1) for r in radius)]
        inside = sum((x / r) ** 2 for x, r in zip(grid, radius, strict=True)) <= 1
        out[tuple(slice(m - r, m + r + 1) for m, r in zip(middle, radius, strict=True))][inside] = k
    return out


def probability_of(index: np.ndarray, k: int) -> np.ndarray:
    """A structure's mask, blurred by a voxel."""
    return ndimage.gaussian_filter((index == k).astype(np.float32), 1.0, truncate=3)


def best(step: Callable[[], object], n: int = 7) -> float:
    """Seconds of CPU time."""
    times = []
    for _ in range(n):
        start = time.process_time()
        step()
        times.append(time.process_time() - start)
    return min(times)


def measure(shape: tuple[int, ...], n_structures: int) -> dict[str, float]:
    """Milliseconds of a pass, of numpy's argmax, and of the evidence."""
    from monai_selfcleanse.core.evidence import structure_evidence

    index = organs(shape, n_structures)
    given = np.roll(index, 2, 0)
    p = np.empty((n_structures + 1, *shape), np.float32)
    for k in range(1, n_structures + 1):
        p[k] = probability_of(index, k)
    p[0] = 1 - p[1:].sum(0)
    np.clip(p, 0, 1, out=p)
    structures = range(1, n_structures + 1)
    return {
        "pass": 1e3 * best(p.max),
        "argmax": 1e3 * best(lambda: p.argmax(0), 2),
        "evidence": 1e3 * best(lambda: structure_evidence(given, p, structures, (1.0, 1.0, 2.0)), 3),
    }


def write_npz(path: Path, index: np.ndarray, n_structures: int) -> None:
    """nnU-Net's file of probabilities, ``(C, z, y, x)``, a class at a time."""
    boxes = ndimage.find_objects(index, n_structures)
    shape = index.shape[::-1]
    background = np.ones(index.shape, np.float32)

    def share(k: int) -> tuple[tuple[slice, ...], np.ndarray]:
        box = tuple(slice(max(0, part.start - 4), part.stop + 4) for part in boxes[k - 1])
        return box, ndimage.gaussian_filter((index[box] == k).astype(np.float32), 1.0, truncate=3)

    present = [k for k in range(1, n_structures + 1) if boxes[k - 1] is not None]
    for k in present:
        box, values = share(k)
        background[box] -= values
    with zipfile.ZipFile(path, "w") as archive, archive.open("probabilities.npy", "w", force_zip64=True) as file:
        head = {"descr": "<f2", "fortran_order": False, "shape": (n_structures + 1, *shape)}
        np.lib.format.write_array_header_1_0(file, head)
        for k in range(n_structures + 1):
            volume = np.zeros(shape, np.float16)
            if k == 0:
                volume[...] = np.clip(background, 0, 1).T
            elif k in present:
                box, values = share(k)
                volume[tuple(reversed(box))] = values.T
            file.write(volume.data)


def measure_whole_body(kind: str, path: str) -> dict[str, float]:
    """Seconds from what a reader hands over to the evidence, and peak memory in MB, of a segmentation or a file."""
    from monai_selfcleanse.audit.npz import StoredProbabilities
    from monai_selfcleanse.cases.grid import Turn
    from monai_selfcleanse.core.border import BorderProbabilities
    from monai_selfcleanse.core.evidence import structure_evidence

    shape, n_structures = WHOLE_BODY
    index = organs(shape, n_structures)
    given = np.roll(index, 2, 0)
    cpu, wall = time.process_time(), time.perf_counter()
    if kind == "segmentation":
        probabilities = BorderProbabilities(index, n_structures + 1, (1.0, 1.0, 2.0))
    else:
        probabilities = StoredProbabilities(Path(path), n_structures + 1, shape, index, Turn())
    structure_evidence(given, probabilities, range(1, n_structures + 1), (1.0, 1.0, 2.0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak_mb": peak}


def run(task: list, package: str | None = None) -> dict[str, float]:
    """A measurement in a process of its own."""
    root = package or str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": root}
    command = [sys.executable, str(Path(__file__).resolve()), "--task", json.dumps(task)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", type=json.loads, help="one measurement alone: [voxels, structures] or [kind, path]")
    parser.add_argument("--old", help="folder of another checkout to compare with")
    parser.add_argument("--whole_body", help="folder with 16 GB to spare; measure a whole body, too")
    args = parser.parse_args()
    if args.task:
        first, second = args.task
        found = measure_whole_body(first, second) if isinstance(first, str) else measure(tuple(first), second)
        print(json.dumps(found))
        return
    print("| voxels | structures | pass, ms | argmax, ms | evidence before, ms | evidence, ms | passes |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for shape, n_structures in ROWS:
        before = f"{run([shape, n_structures], args.old)['evidence']:.1f}" if args.old else ""
        found = run([shape, n_structures])
        cells = [" x ".join(map(str, shape)), str(n_structures), f"{found['pass']:.2f}", f"{found['argmax']:.0f}"]
        cells += [before, f"{found['evidence']:.1f}", f"{found['evidence'] / found['pass']:.1f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    print("\n| whole body | CPU, s | wall, s | peak memory, MB |\n| --- | --- | --- | --- |")
    tasks = [("segmentation", "")]
    with tempfile.TemporaryDirectory(dir=args.whole_body) as folder:
        if args.whole_body:
            path = Path(folder) / "probabilities.npz"
            write_npz(path, organs(*WHOLE_BODY), WHOLE_BODY[1])
            tasks.append(("probabilities in a file", str(path)))
        for kind, where in tasks:
            found = run([kind, where])
            print(f"| {kind} | {found['cpu']:.1f} | {found['wall']:.1f} | {found['peak_mb']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
