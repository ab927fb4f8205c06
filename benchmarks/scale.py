"""Seconds and memory of filter and cleanser against the number of cases, voxels and structures, by simulation.

    python benchmarks/scale.py > table.md

Cases are made on the fly from their number (balls, a third of the labels missing one), and the network is one that
reads its prediction from the image, so that what is measured is this package's own share: evidence, files, mixture,
targets. A row is a process of its own. Peak memory counts Python and its libraries, about 470 MB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.inferers import SimpleInferer

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.mixture import filter_labels
from monai_selfcleanse.handlers import LabelCleanser, LabelFilter

ROWS: list[tuple[int, tuple[int, int, int], int]] = [
    *((n, (32, 32, 32), 3) for n in (100, 1_000, 10_000)),
    *((10, shape, 3) for shape in ((64, 64, 64), (128, 128, 128), (512, 512, 200))),
    *((10, (128, 128, 128), k) for k in (10, 30)),
]
"""Cases, voxels and structures of each measurement."""


def case_of_number(number: int, shape: tuple[int, int, int], n_structures: int) -> dict[str, Any]:
    """Balls side by side in a slightly different place each case; every third label lacks one of them."""
    rng = np.random.default_rng(number)
    truth = np.zeros(shape, dtype=np.uint8)
    step = shape[0] / n_structures
    radius = int(max(1, min(step, shape[1], shape[2]) * 0.45))
    ball = np.sum(np.square(np.mgrid[[slice(-radius, radius + 1)] * 3]), axis=0) <= radius**2
    for k in range(1, n_structures + 1):
        middle = [round((k - 0.5) * step), *(n // 2 + rng.integers(-1, 2) for n in shape[1:])]
        place = [slice(max(0, m - radius), m + radius + 1) for m in middle]
        view = truth[tuple(place)]
        view[ball[tuple(slice(max(0, radius - m), None) for m in middle)][tuple(slice(n) for n in view.shape)]] = k
    given = truth.copy()
    if number % 3 == 0:
        given[given == 1 + rng.integers(n_structures)] = 0
    return {"case": f"case{number}", "image": torch.as_tensor(truth)[None], "label": torch.as_tensor(given)[None]}


class ReadPrediction(torch.nn.Module):
    """Class probabilities that a network sure of the truth would give."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        rest = 0.02 / self.n_classes
        out = torch.full((len(image), self.n_classes, *image.shape[2:]), rest)
        return out.scatter_(1, image.long(), 0.98 + rest)


def measure(n_cases: int, shape: tuple[int, int, int], n_structures: int) -> dict[str, float]:
    """Seconds a case of a filter round and of a cleansing, and the peak memory in MB."""
    data = Dataset(list(range(n_cases)), lambda number: case_of_number(number, shape, n_structures))
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        evaluator = SupervisedEvaluator(
            torch.device("cpu"),
            DataLoader(data, batch_size=1),
            ReadPrediction(n_structures + 1),
            inferer=SimpleInferer(),
        )
        start = time.perf_counter()
        for index in range(min(n_cases, 20)):
            evaluator.network(data[index]["image"][None])
        making = (time.perf_counter() - start) / min(n_cases, 20)
        store = CaseStore(folder)
        label_filter = LabelFilter(evaluator, store, range(1, n_structures + 1), warmup_epochs=1, min_cases=2)
        cleanser = LabelCleanser(store, redraw_epoch=0)
        trainer = Engine(lambda engine, batch: None)
        label_filter.attach(trainer)
        start = time.perf_counter()
        trainer.run([0], max_epochs=1)
        seconds["filter"] = (time.perf_counter() - start) / n_cases - making
        start = time.perf_counter()
        cleanser(trainer)
        seconds["cleanser"] = (time.perf_counter() - start) / n_cases
    return seconds | {"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", type=json.loads, help="measure one row alone, [cases, [x, y, z], structures]")
    args = parser.parse_args()
    if args.row:
        n_cases, shape, n_structures = args.row
        print(json.dumps(measure(n_cases, tuple(shape), n_structures)))
        return
    print("| cases | voxels | structures | filter, ms a case | cleanser, ms a case | peak memory, MB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in ROWS:
        command = [sys.executable, str(Path(__file__).resolve()), "--row", json.dumps(row)]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        found = json.loads(lines[-1])
        cells = [f"{row[0]:,}", " x ".join(map(str, row[1])), str(row[2])]
        cells += [f"{1e3 * found['filter']:.1f}", f"{1e3 * found['cleanser']:.1f}", f"{found['peak_mb']:.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)
    print("\n| scores | mixture and gate, s |\n| --- | --- |")
    rng = np.random.default_rng(0)
    for n in (10_000, 100_000, 1_000_000):
        overlap = np.where(rng.random(n) < 0.4, rng.beta(5, 5, n), rng.beta(30, 4, n))
        start = time.perf_counter()
        filter_labels((1 - overlap) / 0.14, 0.88 - overlap)
        print(f"| {n:,} | {time.perf_counter() - start:.2f} |", flush=True)


if __name__ == "__main__":
    main()
