"""Dice of segmentations against the truth by structure, and the paired difference between two sets of them.

    python -m monai.bundle run --config_file configs/inference.json --dataset_dir IMAGES --output_dir A --ckpt_path ...
    python benchmarks/score_network.py TRUTH_DIR A [B ...]

Files are matched by name: ``NAME.nii.gz`` to ``NAME_gt.nii.gz`` anywhere below TRUTH_DIR or, where no file there ends
so, to ``NAME.nii.gz``. The difference of B and A is the mean over patients
(what stands before ``_frame``), with its standard error over patients.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
from compare import patient_in_id

from monai_selfcleanse.core.case_id import strip_ending
from monai_selfcleanse.core.masks import dice


def read(path: Path) -> np.ndarray:
    return np.rint(np.asanyarray(nib.load(path).dataobj)).astype(int)


def scores(truth_dir: Path, directory: Path) -> dict[str, np.ndarray]:
    pairs = {}
    for path in sorted(truth_dir.rglob("*_gt.nii*")) or sorted(truth_dir.rglob("*.nii*")):
        name = strip_ending(path.name).removesuffix("_gt")
        found = [p for p in directory.rglob(f"{name}*.nii*") if p.name.split(".nii")[0] in (name, f"{name}_seg")]
        if len(found) != 1:
            sys.exit(f"error: {len(found)} segmentations of {path} under {directory}, there must be one")
        pairs[name] = read(path), read(found[0])
    if not pairs:
        sys.exit(f"error: there is no label (*.nii, *.nii.gz) under {truth_dir}")
    structures = range(1, 1 + max(truth.max() for truth, _ in pairs.values()))
    return {name: np.array([dice(p == k, t == k) for k in structures]) for name, (t, p) in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("truth_dir", type=Path)
    parser.add_argument("segmentations", type=Path, nargs="+")
    args = parser.parse_args()
    results = [scores(args.truth_dir, d) for d in args.segmentations]
    for directory, result in zip(args.segmentations, results, strict=True):
        values = np.array(list(result.values()))
        print(f"{directory}: {len(values)} cases, Dice {values.mean(0).round(4)}, mean {values.mean():.4f}")
        if result is not results[0]:
            by_patient = defaultdict(list)
            for name, value in result.items():
                by_patient[patient_in_id(name)].append(value.mean() - results[0][name].mean())
            d = np.array([np.mean(v) for v in by_patient.values()])
            print(f"  minus {args.segmentations[0]}: {d.mean():+.4f} +- {d.std(ddof=1) / len(d) ** 0.5:.4f}")


if __name__ == "__main__":
    main()
