"""How near each noise model comes to a wanted Dice on real labels, as a Markdown table.

    python benchmarks/noise_dice.py LABELS_DIR [--pattern GLOB] [--cases 20]

A line a model and target: structures tried, those that the model could not bring down so far and left alone, and of the
others the mean and largest distance from the target.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np

from monai_selfcleanse import noise
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data.noisy_copy import find_labels
from monai_selfcleanse.noise.base import GradedNoise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels_dir", type=Path)
    parser.add_argument("--pattern", help="where the labels are; by default ACDC's layout, labelsTr or labels")
    parser.add_argument("--cases", type=int, default=20)
    args = parser.parse_args()
    found = find_labels(args.labels_dir, args.pattern)
    files = [nib.load(case["label"]) for case in found[:: max(1, len(found) // args.cases)]]
    labels = [
        (np.rint(np.asanyarray(f.dataobj)).astype(np.uint8), [float(s) for s in f.header.get_zooms()]) for f in files
    ]
    print("| transform | Dice | structures | out of reach | mean error | largest error |\n|" + " --- |" * 6)
    for name in sorted(n for n in noise.__all__ if n.endswith("Label")):
        if not issubclass(getattr(noise, name), GradedNoise):
            continue
        for target in (0.9, 0.7, 0.5):
            transform, n, errors = getattr(noise, name)(target, "dice"), 0, []
            for i, (label, spacing) in enumerate(labels):
                for k in np.unique(label[label > 0]):
                    n += 1
                    transform.structures = (int(k),)
                    noisy, records = transform.corrupt(label, str(i), spacing)
                    if records:
                        errors.append(abs(dice(noisy == k, label == k) - target))
            mean, largest = (f"{f(errors):.4f}" if errors else "" for f in (np.mean, np.max))
            print(f"| {name} | {target} | {n} | {n - len(errors)} | {mean} | {largest} |", flush=True)


if __name__ == "__main__":
    main()
