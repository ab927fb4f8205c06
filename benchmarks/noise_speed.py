"""Seconds and memory of every noise model on one large volume, on one core, as a Markdown table.

    OMP_NUM_THREADS=1 python benchmarks/noise_speed.py

The volume is 512 x 512 x 200 voxels of 0.8 x 0.8 x 2 mm with three structures, about the size of a spleen, a kidney and
an aorta. ``changed`` says how many of the three could be changed so; seconds are processor time; memory is the peak of
what NumPy allocates, in volumes (50 MiB as uint8). The last row is a whole transform on a float32 ``MetaTensor``, as
``LoadImaged`` gives it.
"""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import torch
from monai.data import MetaTensor

from monai_selfcleanse import noise
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.noise.base import GradedNoise, LabelNoise

SPACING = (0.8, 0.8, 2.0)
SHAPE = (512, 512, 200)
FIXED = {  # a strength given outright, beside a Dice to reach
    "ErodeLabel": (3.0, "mm"),
    "DilateLabel": (3.0, "mm"),
    "ContourKnotLabel": (4.0, "mm"),
    "MarkovWalkLabel": (10.0, "steps"),
    "PolygonLabel": (5.0, "mm"),
    "SmoothLabel": (8.0, "mm"),
    "ShiftLabel": (8.0, "mm"),
    "RotateLabel": (20.0, "degrees"),
    "ScaleLabel": (25.0, "percent"),
    "ElasticLabel": (4.0, "mm"),
    "FalsePositiveLabel": (15.0, "mm"),
    "ExtendLabel": (5.0, "slices"),
}


def volume() -> np.ndarray:
    """Ellipsoids of 130 x 90 x 110 mm, 60 x 40 x 110 mm and 35 x 20 x 300 mm, each with a small one beside it."""
    label = np.zeros(SHAPE, dtype=np.uint8)
    x, y, z = (np.arange(n) * s for n, s in zip(SHAPE, SPACING, strict=True))
    for value, centre, size in (
        (1, (120, 240, 240), (130, 90, 110)),
        (2, (290, 250, 200), (60, 40, 110)),
        (3, (210, 200, 200), (35, 20, 300)),
        (1, (120, 330, 240), (20, 20, 20)),
        (2, (290, 300, 200), (20, 20, 20)),
        (3, (210, 150, 200), (20, 20, 20)),
    ):
        squares = [((a - c) / (d / 2)) ** 2 for a, c, d in zip((x, y, z), centre, size, strict=True)]
        label[(sum(np.ix_(*squares)) <= 1) & (label == 0)] = value
    return label


def measure(transform: LabelNoise, label: np.ndarray) -> str:
    start = time.process_time()
    out, records = transform.corrupt(label, "case", SPACING)
    seconds = time.process_time() - start
    tracemalloc.start()
    transform.corrupt(label, "case", SPACING)
    peak = tracemalloc.get_traced_memory()[1] / label.nbytes
    tracemalloc.stop()
    left = ", ".join(f"{dice(out == k, label == k):.3f}" for k in (1, 2, 3))
    return f"{seconds:.2f} | {peak:.1f} | {len(records)} | {left} |"


def main() -> None:
    label = volume()
    print("| transform | strength | s | memory, volumes | changed | Dice left |\n| --- | --- | --- | --- | --- | --- |")
    for name in sorted(n for n in noise.__all__ if n.endswith("Label")):
        transform = getattr(noise, name)
        if issubclass(transform, GradedNoise):
            strength, unit = FIXED[name]
            print(f"| {name} | {strength:g} {unit} |", measure(transform(strength, unit), label), flush=True)
            for target in (0.9, 0.6):
                print(f"| {name} | Dice {target} |", measure(transform(target, "dice"), label), flush=True)
        elif name == "DropLabel":
            for what, gap in (("structure", ""), ("components", ""), ("slices", ""), ("sparse", "interpolated")):
                some = transform(what, gap=gap or "empty")
                print(f"| {name} | {what} {gap} |", measure(some, label), flush=True)
        else:
            print(f"| {name} | |", measure(transform(), label), flush=True)
    loaded = MetaTensor(torch.from_numpy(label[None].astype(np.float32)), affine=np.diag([*SPACING, 1.0]))
    start = time.process_time()
    noise.ErodeLabel(3.0, "mm")(loaded, "case")
    seconds = time.process_time() - start
    tracemalloc.start()
    noise.ErodeLabel(3.0, "mm")(loaded, "case")
    peak = tracemalloc.get_traced_memory()[1] / label.nbytes
    print(f"| ErodeLabel, float32 MetaTensor | 3 mm | {seconds:.2f} | {peak:.1f} | 3 | |")


if __name__ == "__main__":
    main()
