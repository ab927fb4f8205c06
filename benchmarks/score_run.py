"""Score a finished training run against the truth: detection by round, and labels before and after cleansing.

    python benchmarks/score_run.py OUTPUT_DIR TRUTH_DIR [--ckpt_dir DIR]

``OUTPUT_DIR`` is that of a run with ``--noise_rate`` above 0, or on a folder of labels spoilt by other means;
``TRUTH_DIR`` holds the right labels under the same relative paths. A label counts as noisy where its Dice to the truth
is under 0.95 and as clean from 0.99 on; those between are not counted in the filter's figures.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_selfcleanse.mixture import filter_labels
from monai_selfcleanse.noise.functional import dice


def read(path: Path) -> np.ndarray:
    return np.rint(np.asanyarray(nib.load(path).dataobj)).astype(int)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("truth_dir", type=Path)
    parser.add_argument("--given_dir", type=Path, help="the labels trained on; by default OUTPUT_DIR/noisy_labels")
    parser.add_argument("--ckpt_dir", type=Path, help="by default OUTPUT_DIR/models")
    args = parser.parse_args()
    given_dir = args.given_dir or args.output_dir / "noisy_labels"
    with open(args.output_dir / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    cleansed_files = {p.name.split("_gt.nii")[0]: p for p in (args.output_dir / "cleansed_labels").rglob("*.nii*")}
    structures = sorted({int(row["structure"]) for row in rows})
    given: dict[tuple[str, int], float] = {}
    cleansed: dict[tuple[str, int], float] = {}
    for case, path in cleansed_files.items():
        relative = path.relative_to(args.output_dir / "cleansed_labels")
        truth = read(args.truth_dir / relative)
        spoilt = given_dir / relative
        before = read(spoilt) if spoilt.exists() else truth
        after = read(path)
        for k in structures:
            given[case, k] = dice(before == k, truth == k)
            cleansed[case, k] = dice(after == k, truth == k)

    print(
        "detection in the report (AUROC and AP of 1 - clean probability; `<.8`: noisy labels of Dice under 0.8 alone)"
    )
    groups = [("all", set(structures)), *((f"structure {k}", {k}) for k in structures)]
    for name, group in groups:
        some = [r for r in rows if int(r["structure"]) in group]
        score = np.array([1 - float(r["clean_probability"]) for r in some])
        dices = np.array([given[r["case"], int(r["structure"])] for r in some])
        suspected = np.array([r["suspected"] == "1" for r in some])
        print(f"  {name:12s}", detection(score, suspected, dices))

    checkpoint = (args.ckpt_dir or args.output_dir / "models") / "checkpoint" / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)["label_filter"]
        print("detection by round (today's filter on the round's evidence)")
        for epoch, evidence in zip(state["epochs"], state["history"], strict=True):
            e = {k: v.numpy() for k, v in evidence.items()}
            found = [
                filter_labels(e["score"][:, i], e["expected_dice"][:, i] - e["dice"][:, i])
                for i in range(len(structures))
            ]
            dices = np.array([[given[case, k] for k in structures] for case in state["cases"]])
            score = 1 - np.stack([f.clean_probability for f in found], 1)
            suspected = np.stack([f.suspected for f in found], 1)
            words = ", ".join(f"{f.verdict} (gap {f.gap:.2f})" for f in found)
            print(f"  epoch {epoch:3d}   ", detection(score.ravel(), suspected.ravel(), dices.ravel()), "|", words)

    print("Dice to the truth, given -> cleansed, by structure, kind of label and whether it is suspected")
    suspects = {(r["case"], int(r["structure"])): r["suspected"] for r in rows}
    table = defaultdict(list)
    for key, before in given.items():
        kind = "noisy" if before < 0.95 else "clean" if before >= 0.99 else "between"
        for label in (f"structure {key[1]}, {kind}, suspected {suspects[key]}", f"all, {kind}"):
            table[label].append((before, cleansed[key]))
    for label in sorted(table):
        values = np.array(table[label])
        worse = int((values[:, 1] < values[:, 0] - 0.02).sum())
        print(
            f"  {label:36s} n {len(values):4d}  {values[:, 0].mean():.3f} -> {values[:, 1].mean():.3f}  worse {worse}"
        )


def detection(score: np.ndarray, suspected: np.ndarray, given_dice: np.ndarray) -> str:
    parts = []
    for name, noisy in (("", given_dice < 0.95), ("<.8 ", given_dice < 0.8)):
        counted = noisy | (given_dice >= 0.99)
        hits = int((noisy & suspected).sum())
        n_suspected, n_noisy = int(suspected[counted].sum()), int(noisy.sum())
        if not n_noisy or n_noisy == counted.sum():
            parts.append(f"{name}{n_suspected} of {counted.sum()} suspected, {n_noisy} noisy")
            continue
        precision, recall = hits / max(n_suspected, 1), hits / n_noisy
        parts.append(
            f"{name}AUROC {roc_auc_score(noisy[counted], score[counted]):.3f}"
            f" AP {average_precision_score(noisy[counted], score[counted]):.3f}"
            f" P {precision:.2f} R {recall:.2f} F1 {2 * precision * recall / max(precision + recall, 1e-9):.2f}"
        )
    return "; ".join(parts)


if __name__ == "__main__":
    main()
