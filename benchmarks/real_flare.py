"""A real federation: NVIDIA FLARE's simulator, two clients on halves of the phantom, and what each of them finds.

    python -m venv VENV && VENV/bin/pip install -c constraints.txt -e . torch==2.13.0 nvflare==2.9.0
    VENV/bin/python benchmarks/real_flare.py OUT > table.md

Half of the patients of each client get noisy labels. The job is that of ``examples/flare/job``, with the numbers of
rounds and epochs put in. The table has the validation Dice of the server's weights on each client's held-back patients,
and how right each client's suspects are. The script also checks the server's arithmetic: that both clients got the same
weights, and that the next are the mean of what they sent back. ``OUT`` must not exist. The CPU is enough.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from score_run import score_labels

from monai_selfcleanse.data import write_phantom
from monai_selfcleanse.results.tables import read_rows

ROOT = Path(__file__).resolve().parents[1]
JOB = ROOT / "examples" / "flare" / "job"
SITES = ("site-1", "site-2")
"""The simulator's names of two clients."""


def write_halves(folder: Path, n_patients: int) -> None:
    """The phantom's patients, dealt to the clients in turn."""
    whole = write_phantom(folder / "whole", n_patients)
    for i, patient in enumerate(sorted(path for path in whole.iterdir() if path.is_dir())):
        shutil.copytree(patient, folder / SITES[i % len(SITES)] / patient.name)


def write_job(folder: Path, rounds: int, local_epochs: int, more: Sequence[str]) -> None:
    """The job with other numbers."""
    shutil.copytree(JOB, folder)
    for name, change in (("server", rounds), ("client", local_epochs)):
        path = folder / "app" / "config" / f"config_fed_{name}.json"
        config = json.loads(path.read_text())
        if name == "server":
            config["workflows"][0]["args"]["num_rounds"] = change
        else:
            command = config["executors"][0]["executor"]["args"]["command"]
            command[command.index("--local_epochs") + 1] = str(change)
            command += ["--keep_weights", "--set", *more]
        path.write_text(json.dumps(config, indent=4))


def simulate(out: Path) -> float:
    """Run the job; the seconds that it took."""
    bin_folder = Path(sys.executable).parent
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "SELFCLEANSE_BUNDLE": str(ROOT / "bundle"),
        "SELFCLEANSE_DATA": str(out / "data" / "{site}"),
        "SELFCLEANSE_OUTPUT": str(out / "{site}"),
    }
    command = [str(bin_folder / "nvflare"), "simulator", str(out / "job"), "-w", str(out / "server"), "-n", "2"]
    start = time.perf_counter()
    with open(out / "log.txt", "w") as log:
        code = subprocess.run([*command, "-t", "2"], stdout=log, stderr=log, env=environment).returncode
    if code or not all((out / site / "label_report.csv").is_file() for site in SITES):
        sys.exit(f"the simulator ended with code {code}; see {out / 'log.txt'}")
    return time.perf_counter() - start


def check_averages(out: Path, rounds: int) -> str:
    """What became of the weights: whether they are the same for all, differ after a round, and are then averaged."""
    apart, off = 0.0, 0.0
    for number in range(1, rounds + 1):
        first, second = (exchanged(out / site, number) for site in SITES)
        if not same(first["received"], second["received"]):
            sys.exit(f"round {number}: the clients got different weights")
        if same(first["sent"], second["sent"]):
            sys.exit(f"round {number}: the clients sent the same weights: an average cannot be told")
        if number == rounds:
            break
        after = exchanged(out / SITES[0], number + 1)["received"]
        for name, value in after.items():
            one, two = first["sent"][name].double(), second["sent"][name].double()
            scale = float(one.abs().max().clamp(min=1))
            apart = max(apart, float((one - two).abs().max()) / scale)
            off = max(off, float(((one + two) / 2 - value.double()).abs().max()) / scale)
    return f"largest difference of the clients' weights {apart:.2g}, of their mean to the server's next {off:.2g}"


def exchanged(output: Path, number: int) -> dict[str, dict[str, torch.Tensor]]:
    return torch.load(output / "exchanged" / f"round_{number}.pt", weights_only=True, map_location="cpu")


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def final_dice(out: Path) -> dict[str, float]:
    """The last weights' validation Dice at each client, as FLARE keeps it."""
    (path,) = (out / "server").rglob("cross_val_results.json")
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {site: found[site]["SRV_FL_global_model.pt"]["val_mean_dice"] for site in SITES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=32, help="of both clients together (32)")
    parser.add_argument("--rounds", type=int, default=3, help="of the federation (3)")
    parser.add_argument("--local_epochs", type=int, default=5, help="in each (5)")
    args = parser.parse_args()
    out = args.out.absolute()
    if out.exists():
        parser.error(f"{out} is there already: name a new folder")
    write_halves(out / "data", args.patients)
    write_job(out / "job", args.rounds, args.local_epochs, ["noise_rate=0.5", "batch_size=1"])
    seconds = simulate(out)
    print(check_averages(out, args.rounds), f"; {seconds / 60:.1f} minutes", file=sys.stderr)

    final = final_dice(out)
    print("| client | " + " | ".join(f"round {n + 1}" for n in range(args.rounds)) + " | end |")
    print("| --- " * (args.rounds + 2) + "|")
    for site in SITES:
        dices = [float(row["val_mean_dice"]) for row in read_rows(out / site / "rounds.csv")] + [final[site]]
        print(f"| {site} | " + " | ".join(f"{value:.3f}" for value in dices) + " |")
    print("\n| client | labels judged | suspects | precision | recall | AUROC | noisy labels: Dice given | cleansed |")
    print("| --- " * 8 + "|")
    for site in SITES:
        found = score_labels(out / site, out / "data" / site)
        rows = read_rows(out / site / "label_report.csv")
        suspects = sum(row["suspected"] == "1" for row in rows)
        cells = [site, len(rows), suspects]
        cells += [f"{found[key]:.2f}" for key in ("precision", "recall", "auroc")]
        cells += [f"{found['noisy'][key]:.3f}" for key in ("given", "cleansed")]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
