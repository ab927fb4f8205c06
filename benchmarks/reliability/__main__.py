"""What an unlucky or hostile user meets: campaigns, and a table of what held.

    python benchmarks/reliability OUT                       all of them, about an hour on two cores
    python benchmarks/reliability OUT --only inputs,names   some of them

``OUT/table.md`` is the table, ``OUT/broken.md`` what did not hold. Each campaign is a function that takes a scratch
folder, how often random things are to be done, and a seed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

import common
import damage
import disk
import growth
import inputs
import kills
import names

CAMPAIGNS = {
    "inputs": inputs.campaign,
    "names": names.campaign,
    "damage": damage.campaign,
    "disk": disk.campaign,
    "kills": kills.campaign,
    "growth": growth.campaign,
}


def main() -> None:
    parser = argparse.ArgumentParser("benchmarks/reliability", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the table")
    parser.add_argument("--only", default=",".join(CAMPAIGNS), help="campaigns, with commas (all)")
    parser.add_argument("--times", type=int, default=20, help="kills of each command, and fiftieths of mutations (20)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random (0)")
    args = parser.parse_args()
    if unknown := set(args.only.split(",")) - set(CAMPAIGNS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(CAMPAIGNS)}")
    out = args.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    common.warm_up()
    table = ["| tried | how many | held | more |", "| --- | --- | --- | --- |"]
    broken = []
    print("\n".join(table), flush=True)
    for name in args.only.split(","):
        work, start = out / "work" / name, time.monotonic()
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for row in CAMPAIGNS[name](work, args.times, args.seed):
            table.append(f"| {row.tried} | {row.n:,} | {row.n - len(row.broken):,} | {row.note} |")
            print(table[-1], flush=True)
            broken += [f"* {row.tried}: {line}" for line in row.broken]
            (out / "table.md").write_text("\n".join(table) + "\n")
            (out / "broken.md").write_text("\n".join(broken) + "\n", errors="backslashreplace")
        print(f"{name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
        shutil.rmtree(work, ignore_errors=True)
    print("\n".join(broken), file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
