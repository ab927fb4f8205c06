"""A disk that is full: nothing of an earlier result is lost, and one line says what is the matter."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import TINY_TRAINING, Row, bundle, digests, litter, run, write_cases

_LEVELS = (0, 16, 60, 150, 260, 420)
"""kB that are free: at each of them another file is the one that does not fit."""

_RESULTS = ("**/label_report.csv", "**/slices.csv", "**/report.html", "**/model.pt", "**/cleansed_labels/**/*.nii.gz")


def campaign(work: Path, times: int, seed: int) -> list[Row]:
    """Fill a small disk to each level before a command starts on top of earlier results."""
    if os.geteuid() != 0:
        return [Row("full disk", note="skipped: only root may mount a small disk")]
    data = write_cases(work / "data", 8)
    judged_by = ["--predictions_dir", work / "predictions"]
    commands = {
        "training": [*bundle("training"), "--dataset_dir", data, *TINY_TRAINING],
        "audit": [*bundle("auditing", "audit"), "--dataset_dir", data, "--device", "cpu", *judged_by],
    }
    rows = []
    for name, command in commands.items():
        row, first = Row(f"full disk: {name}"), work / f"first_{name}"
        begun = run([*command, "--output_dir", first])
        row.see(begun.code == 0, f"with room: {begun}")
        for free in _LEVELS:
            with _small_disk(work / "disk") as disk:
                shutil.copytree(first, disk / "out")
                shutil.rmtree(disk / "out" / "cases")
                had = set(digests(disk / "out", *_RESULTS).values())
                _fill(disk, free)
                ended = run([*command, "--output_dir", disk / "out", "--seed", 1])
                lost = had - set(digests(disk, *_RESULTS).values())
                told = ended.code == 0 or ended.is_refusal
                row.see(told and not lost, f"{free} kB free: {len(lost)} files lost; {ended}")
                (disk / "full").unlink()
                again = run([*command, "--output_dir", disk / "out", "--seed", 1])
                lost = had - set(digests(disk, *_RESULTS).values())
                left = litter(disk)
                row.see(again.code == 0 and not lost and not left, f"{free} kB, then room: {len(lost)} lost, {left}")
        rows.append(row)
    row = Row("full disk: noisy copy")
    for free in _LEVELS:
        with _small_disk(work / "disk") as disk:
            _fill(disk, free)
            ended = run(["selfcleanse", "noise", data, disk / "copy", "--rate", "1"])
            whole = (disk / "copy" / "manifest.jsonl").exists() == (disk / "copy").exists() == (ended.code == 0)
            row.see(whole and (ended.code == 0 or ended.is_refusal), f"{free} kB free: {ended}")
    return [*rows, row]


@contextmanager
def _small_disk(place: Path) -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def _fill(disk: Path, free: int) -> None:
    """Leave so many kB."""
    there = os.statvfs(disk)
    (disk / "full").write_bytes(b"\0" * max(0, there.f_bavail * there.f_frsize - free * 1024))
