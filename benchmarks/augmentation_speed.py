"""Milliseconds of ``configs/train.json``'s augmentation a case, with and without metadata, on one core.

    OMP_NUM_THREADS=1 python benchmarks/augmentation_speed.py

A case of 192 x 192 x 10 voxels gives 8 patches. The two take turns, and the median of 40 cases counts.
"""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose


def main() -> None:
    torch.set_num_threads(1)
    config = ConfigParser()
    config.read_config(str(Path(__file__).resolve().parent.parent / "configs" / "train.json"))
    config["self_cleanse"] = False
    untracked = config.get_parsed_content("train#augmentation")
    label = torch.zeros(1, 192, 192, 10)
    label[:, 60:110, 70:120, 1:9] = 1
    case = {"image": MetaTensor(torch.rand(label.shape)), "label": MetaTensor(label), "case": "a"}
    chains = {"with metadata": Compose(untracked.transforms), "without": untracked}
    found: dict[str, list[float]] = {name: [] for name in chains}
    for _ in range(40):
        for name, chain in chains.items():
            start = time.perf_counter()
            chain(case)
            found[name].append(1e3 * (time.perf_counter() - start))
    for name, values in found.items():
        print(f"{name:14s} {median(values):.0f} ms a case")


if __name__ == "__main__":
    main()
