"""Write a noisy copy of a data set, for experiments in which the truth is known.

    python -m monai_selfcleanse.noise SOURCE TARGET --preset mixed --rate 0.5 --seed 0
    python -m monai_selfcleanse.noise SOURCE TARGET --replay OTHER_TARGET/manifest.jsonl

Known layouts: ACDC's, and labels in labelsTr/ (Decathlon, nnU-Net) or labels/; --labels for any other.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bad_input import exit_on_bad_input
from ..core.case_id import patient_of
from ..data.noisy_copy import copy_with_noise
from ..noise.presets import PRESETS


def main(arguments: Sequence[str] | None = None, program: str = "python -m monai_selfcleanse.noise") -> None:
    """Parse the command line, write the copy and say what was done."""
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the data set; its labels are taken as the truth")
    parser.add_argument("target", help="folder of the copy; it must not exist")
    parser.add_argument("--preset", default="mixed", help=f"kind of noise, one of {', '.join(PRESETS)} (mixed)")
    parser.add_argument("--rate", type=float, default=0.5, help="share of patients with noisy labels (0.5)")
    parser.add_argument("--seed", type=int, default=0, help="decides who is noisy and how (0)")
    parser.add_argument("--replay", metavar="MANIFEST", help="repeat the noise of this manifest.jsonl instead")
    parser.add_argument("--labels", metavar="GLOB", help="where the labels are in SOURCE, such as '*/seg.nii.gz'")
    args = parser.parse_args(arguments)
    cases = exit_on_bad_input(
        lambda: copy_with_noise(
            args.source, args.target, args.rate, args.preset, args.seed, args.replay, args.labels, show_progress=True
        ),
        "interrupted: nothing was written",
    )
    print(summary(Path(args.target), cases))


def summary(target: Path, cases: Sequence[Mapping[str, Any]]) -> str:
    """What the manifest of a copy says, in a few lines."""
    lines = [json.loads(line) for line in (target / "manifest.jsonl").read_text().splitlines()]
    noisy = {line["case"] for line in lines}
    patients = {patient_of(case) for case in cases if case["case"] in noisy}
    said = [f"{len(noisy)} of {len(cases)} labels are noisy ({len(patients)} patients); changes:"]
    for model, n in Counter(line["model"] for line in lines).most_common():
        left = [line["dice"] for line in lines if line["model"] == model]
        said.append(f"  {model:16s} {n:5d}, mean Dice to the truth {sum(left) / n:.3f}")
    return "\n".join([*said, f"manifest: {target / 'manifest.jsonl'}"])
