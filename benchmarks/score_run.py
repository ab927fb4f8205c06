"""Score a finished training run against the truth: detection by look, and labels before and after cleansing.

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
from typing import Any

import nibabel as nib
import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from monai_selfcleanse.core.case_id import strip_ending
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.results.truth import CLEAN_FROM, NOISY_BELOW


def read(path: Path) -> np.ndarray:
    return np.rint(np.asanyarray(nib.load(path).dataobj)).astype(int)


def dices(output_dir: Path, truth_dir: Path, given_dir: Path) -> dict[tuple[str, int], tuple[float, float]]:
    """Dice to the truth of the given and of the cleansed label, by case and structure."""
    with open(output_dir / "label_report.csv", newline="") as file:
        structures = sorted({int(row["structure"]) for row in csv.DictReader(file)})
    out = {}
    for path in (output_dir / "cleansed_labels").rglob("*.nii*"):
        relative = path.relative_to(output_dir / "cleansed_labels")
        truth = read(truth_dir / relative)
        before = read(given_dir / relative) if (given_dir / relative).exists() else truth
        after = read(path)
        case = strip_ending(path.name).removesuffix("_gt")  # ACDC's labels have an ending, the Decathlon's have not
        for k in structures:
            out[case, k] = dice(before == k, truth == k), dice(after == k, truth == k)
    return out


def report_rows(output_dir: Path) -> dict[tuple[str, int], tuple[float, bool]]:
    """Clean probability and whether it is suspected, by case and structure."""
    with open(output_dir / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return {(r["case"], int(r["structure"])): (float(r["clean_probability"]), r["suspected"] == "1") for r in rows}


def score_labels(output_dir: Path, truth_dir: Path, given_dir: Path | None = None) -> dict[str, Any]:
    """How right filter and cleanser were in the end.

    Args:
        output_dir, truth_dir: see above.
        given_dir: the labels trained on; by default ``output_dir / "noisy_labels"``.

    Returns:
        :func:`detection`'s figures, and under ``"noisy"`` and ``"clean"`` the ``n`` labels of that kind, their mean
        Dice to the truth ``given`` and ``cleansed``, and how many were made ``worse`` by over 0.02.
    """
    pairs = dices(output_dir, truth_dir, given_dir or output_dir / "noisy_labels")
    rows = report_rows(output_dir)
    given, cleansed = (np.array([pairs[key][i] for key in pairs]) for i in (0, 1))
    probability, suspected = (np.array([rows[key][i] for key in pairs]) for i in (0, 1))
    out = detection(1 - probability, suspected, given)
    for kind, chosen in (("noisy", given < NOISY_BELOW), ("clean", given >= CLEAN_FROM)):
        if chosen.any():
            worse = int((cleansed[chosen] < given[chosen] - 0.02).sum())
            before, after = float(given[chosen].mean()), float(cleansed[chosen].mean())
            out[kind] = {"n": int(chosen.sum()), "given": before, "cleansed": after, "worse": worse}
    return out


def detection(score: np.ndarray, suspected: np.ndarray, given_dice: np.ndarray) -> dict[str, Any]:
    """Figures of detection over all noisy labels and, under ``"below_0.8"``, over those of a Dice under 0.8 alone.

    ``n_counted``, ``n_suspected`` and ``n_noisy`` are numbers of labels; where there are both kinds, ``auroc``, ``ap``,
    ``precision``, ``recall`` and ``f1``.
    """
    out: dict[str, Any] = {}
    for name, noisy in ((None, given_dice < NOISY_BELOW), ("below_0.8", given_dice < 0.8)):
        counted = noisy | (given_dice >= CLEAN_FROM)
        hits, n_suspected, n_noisy = int((noisy & suspected).sum()), int(suspected[counted].sum()), int(noisy.sum())
        part: dict[str, Any] = {"n_counted": int(counted.sum()), "n_suspected": n_suspected, "n_noisy": n_noisy}
        if 0 < n_noisy < counted.sum():
            part |= {
                "auroc": float(roc_auc_score(noisy[counted], score[counted])),
                "ap": float(average_precision_score(noisy[counted], score[counted])),
                "precision": hits / max(n_suspected, 1),
                "recall": hits / n_noisy,
                "f1": 2 * hits / (n_suspected + n_noisy),
            }
        out |= part if name is None else {name: part}
    return out


def in_words(found: dict[str, Any]) -> str:
    parts = []
    for name, part in (("", found), ("<.8 ", found["below_0.8"])):
        if "auroc" in part:
            parts.append(
                f"{name}AUROC {part['auroc']:.3f} AP {part['ap']:.3f}"
                f" P {part['precision']:.2f} R {part['recall']:.2f} F1 {part['f1']:.2f}"
            )
        else:
            parts.append(f"{name}{part['n_suspected']} of {part['n_counted']} suspected, {part['n_noisy']} noisy")
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("truth_dir", type=Path)
    parser.add_argument("--given_dir", type=Path, help="the labels trained on; by default OUTPUT_DIR/noisy_labels")
    parser.add_argument("--ckpt_dir", type=Path, help="by default OUTPUT_DIR/models")
    args = parser.parse_args()
    if not (args.output_dir / "label_report.csv").is_file():
        parser.error(f"{args.output_dir} has no label_report.csv: give the output_dir of a finished run or audit")
    if not args.truth_dir.is_dir():
        parser.error(f"{args.truth_dir} is no folder: give the one that holds the right labels")
    given_dir = args.given_dir or args.output_dir / "noisy_labels"
    if not given_dir.is_dir():
        parser.error(f"{given_dir} is no folder: say with --given_dir which labels were trained on")
    cleansed = args.output_dir / "cleansed_labels"
    if not any((given_dir / path.relative_to(cleansed)).is_file() for path in cleansed.rglob("*.nii*")):
        parser.error(f"{given_dir} has no label under the paths of {cleansed}: give another --given_dir")
    pairs = dices(args.output_dir, args.truth_dir, given_dir)
    rows = report_rows(args.output_dir)
    structures = sorted({k for _, k in pairs})

    print(
        "detection in the report (AUROC and AP of 1 - clean probability; `<.8`: noisy labels of Dice under 0.8 alone)"
    )
    for name, group in [("all", structures), *((f"structure {k}", [k]) for k in structures)]:
        some = [key for key in rows if key[1] in group]
        probability, suspected = (np.array([rows[key][i] for key in some]) for i in (0, 1))
        found = detection(1 - probability, suspected, np.array([pairs[key][0] for key in some]))
        print(f"  {name:12s}", in_words(found))

    checkpoint = (args.ckpt_dir or args.output_dir / "models") / "checkpoint" / "last.pt"
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)["label_filter"]
        print("detection by look (today's filter on the look's evidence)")
        for epoch, evidence in zip(state["epochs"], state["history"], strict=True):
            e = {k: v.numpy() for k, v in evidence.items()}
            judged = LabelJudge(structures).judge(state["cases"], e)
            given = np.array([[pairs[case, k][0] for k in structures] for case in state["cases"]])
            words = ", ".join(f"{d.verdict} (separation {d.separation:.2f})" for d in judged.decisions)
            found = detection(1 - judged.clean_probability.ravel(), judged.suspected.ravel(), given.ravel())
            print(f"  epoch {epoch:3d}   ", in_words(found), "|", words)

    print("Dice to the truth, given -> cleansed, by structure, kind of label and whether it is suspected")
    table = defaultdict(list)
    for key, (before, after) in pairs.items():
        kind = "noisy" if before < NOISY_BELOW else "clean" if before >= CLEAN_FROM else "between"
        for label in (f"structure {key[1]}, {kind}, suspected {int(rows[key][1])}", f"all, {kind}"):
            table[label].append((before, after))
    for label in sorted(table):
        values = np.array(table[label])
        worse = int((values[:, 1] < values[:, 0] - 0.02).sum())
        print(
            f"  {label:36s} n {len(values):4d}  {values[:, 0].mean():.3f} -> {values[:, 1].mean():.3f}  worse {worse}"
        )


if __name__ == "__main__":
    main()
