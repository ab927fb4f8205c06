"""Tables and a plot of what ``compare.py`` has found.

    python benchmarks/summary.py OUT [--plot FILE.png]

Gap recovery is (arm - noisy) / (clean - noisy) in Dice, with a 95 % bootstrap interval over the held-out patients (all
seeds' networks of a patient together). It is withheld where the gap is under three standard deviations of the seeds,
or, with fewer than three seeds, under three standard errors over patients. No interval is given where the arms
were trained on different processors: a training differs between two of them as it does between two draws, which the
bootstrap does not see.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from compare import ARMS, PEERS, patient_in_id, read_results, structures_of

Lines = dict[str, list[dict[str, Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--plot", type=Path, help="draw Dice by arm into this file (needs matplotlib)")
    args = parser.parse_args()
    settings = by_setting(read_results(args.out))
    for name, arms in sorted(settings.items()):
        print(f"\n### {name}\n")
        networks(arms)
        labels(arms)
    commits = {line["commit"] for arms in settings.values() for lines in arms.values() for line in lines}
    print(f"\nCommits: {', '.join(sorted(commits))}")
    if args.plot:
        plot(settings, args.plot)


def by_setting(lines: list[dict[str, Any]]) -> dict[str, Lines]:
    """Lines by data set and noise, and by arm; to each the right labels' of the seeds that it has."""
    settings: dict[str, Lines] = defaultdict(lambda: defaultdict(list))
    clean: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    trained_as = {}
    for line in lines:
        base = ", ".join([line["data"], *(["small"] if line["small"] else []), *line["extra"]])
        if line["arm"] == "clean":
            clean[base][line["seed"]] = line
        else:
            name = f"{base}, {line['preset']}, {100 * line['rate']:.0f} %"
            settings[name][line["arm"]].append(line)
            trained_as[name] = base
    for name, arms in settings.items():
        seeds = {line["seed"] for some in arms.values() for line in some}
        arms["clean"] = [line for seed, line in sorted(clean[trained_as[name]].items()) if seed in seeds]
    return settings


def networks(arms: Lines) -> None:
    """Print how good the arms' networks are."""
    data = next(line["data"] for lines in arms.values() for line in lines)
    names = ", ".join(structures_of(data).values())
    print(f"| arm | seeds | Dice | {names} | HD95, mm | gap recovery | time | memory |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for arm in [a for a in ARMS if arms.get(a)]:
        lines = arms[arm]
        per_seed = [line["mean_dice"] for line in lines]
        dice = np.mean([list(line["dice"].values()) for line in lines], axis=(0, 1))
        hd95 = np.array([list(line["hd95_mm"].values()) for line in lines], dtype=float)
        spread = f" ± {np.std(per_seed, ddof=1):.4f}" if len(per_seed) > 1 else ""
        cells = [
            arm,
            str(len(lines)),
            f"{np.mean(per_seed):.4f}{spread}",
            ", ".join(f"{d:.3f}" for d in dice),
            f"{np.mean(hd95[np.isfinite(hd95)]):.2f}",
            recovery(arms, arm),
            ratio(lines, arms.get("noisy", []), "seconds"),
            ratio(lines, arms.get("noisy", []), "peak_mb"),
        ]
        print("| " + " | ".join(cells) + " |")


def labels(arms: Lines) -> None:
    """Print how good their suspicions and their cleansed labels are."""
    found = {arm: [line["labels"] for line in arms[arm] if "labels" in line] for arm in ARMS if arm in arms}
    if not any(found.values()):
        return
    print("\n| arm | AUROC | F1 | AUROC, F1 below 0.8 | noisy labels | clean labels | made worse |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for arm, some in found.items():
        if some:
            below = [line["below_0.8"] for line in some]
            noisy, clean = ([line[kind] for line in some if kind in line] for kind in ("noisy", "clean"))
            cells = [
                arm,
                mean(line.get("auroc") for line in some),
                mean(line.get("f1") for line in some),
                f"{mean(line.get('auroc') for line in below)}, {mean(line.get('f1') for line in below)}",
                f"{mean(n['given'] for n in noisy)} → {mean(n['cleansed'] for n in noisy)}",
                f"{mean(c['given'] for c in clean)} → {mean(c['cleansed'] for c in clean)}",
                f"{100 * sum(c['worse'] for c in clean) / max(1, sum(c['n'] for c in clean)):.1f} %",
            ]
            print("| " + " | ".join(cells) + " |")


def mean(values: Iterable[float | None]) -> str:
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.3f}" if known else ""


def ratio(lines: list[dict[str, Any]], others: list[dict[str, Any]], key: str) -> str:
    """Mean of a figure over that of the plain training of the same seed."""
    plain = {line["seed"]: line[key] for line in others if line[key]}
    ratios = [line[key] / plain[line["seed"]] for line in lines if line[key] and line["seed"] in plain]
    return f"{np.mean(ratios):.2f}" if ratios else ""


def by_patient(lines: list[dict[str, Any]]) -> dict[tuple[int, str], float]:
    """Mean Dice of each seed's held-out patients."""
    values: dict[tuple[int, str], list[float]] = defaultdict(list)
    for line in lines:
        for case, dice in line["dice"].items():
            values[line["seed"], patient_in_id(case)].append(float(np.mean(dice)))
    return {key: float(np.mean(v)) for key, v in values.items()}


def recovery(arms: Lines, arm: str, draws: int = 2000) -> str:
    """Gap recovery with its interval, over the seeds that all three arms have."""
    if arm in ("clean", "noisy") or not ({"clean", "noisy"} <= set(arms)):
        return ""
    scores = [by_patient(arms[name]) for name in ("clean", "noisy", arm)]
    shared = sorted(set(scores[0]) & set(scores[1]) & set(scores[2]))
    if not shared:
        return ""
    clean, noisy, own = (np.array([s[key] for key in shared]) for s in scores)
    seeds = np.array([seed for seed, _ in shared])
    gaps = np.array([(clean - noisy)[seeds == s].mean() for s in np.unique(seeds)])
    gap = clean - noisy
    patients = np.array([patient for _, patient in shared])
    groups = [np.flatnonzero(patients == p) for p in np.unique(patients)]
    by_group = np.array([gap[group].mean() for group in groups])
    spread = gaps.std(ddof=1) if len(gaps) > 2 else by_group.std(ddof=1) / np.sqrt(len(by_group))
    if not gap.mean() > 3 * spread:
        return f"gap {gap.mean():.4f} too small"
    if len({line["machine"] for name in ("clean", "noisy", arm) for line in arms[name]}) > 1:
        return f"{(own - noisy).mean() / gap.mean():.2f}"
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(draws):
        index = np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
        drawn.append((own - noisy)[index].mean() / gap[index].mean())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{(own - noisy).mean() / gap.mean():.2f} ({low:.2f} to {high:.2f})"


def plot(settings: dict[str, Lines], path: Path) -> None:
    """Dice by arm, a dot a seed and a bar for their mean, for the settings in which oracle or other methods were."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    settings = {
        name: arms for name, arms in settings.items() if any(arms.get(a) for a in ("oracle_drop", *PEERS))
    } or settings
    figure, axes = plt.subplots(1, len(settings), figsize=(4.5 * len(settings), 3.5), squeeze=False)
    for axis, (name, arms) in zip(axes[0], sorted(settings.items()), strict=True):
        shown = [a for a in ARMS if arms.get(a)]
        for y, arm in enumerate(shown):
            dice = [line["mean_dice"] for line in arms[arm]]
            axis.plot(dice, [y] * len(dice), "o", color="C3" if arm == "ours" else "0.5", alpha=0.7)
            axis.plot([np.mean(dice)] * 2, [y - 0.3, y + 0.3], color="C3" if arm == "ours" else "0.2")
        for arm, style in (("clean", "-"), ("noisy", ":")):
            if arms.get(arm):
                axis.axvline(np.mean([line["mean_dice"] for line in arms[arm]]), ls=style, lw=0.8, color="0.6")
        axis.set_yticks(range(len(shown)), shown)
        axis.invert_yaxis()
        axis.set_title(name)
        axis.set_xlabel("Dice, patients held out")
    figure.tight_layout()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
