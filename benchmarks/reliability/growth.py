"""More cases take more time, and no more memory."""

from __future__ import annotations

import shutil
from pathlib import Path

from common import Row, bundle, run, write_cases

_CASES = (30, 300, 1000)


def campaign(work: Path, times: int, seed: int) -> list[Row]:
    """Audits by predictions, and the doctor, of 30, 300 and 1,000 cases."""
    rows = []
    for name in ("audit", "doctor"):
        row, took = Row(f"growth, {' / '.join(f'{n:,}' for n in _CASES)} cases: {name}"), []
        for n in _CASES:
            data = write_cases(work / str(n) / "data", n)
            command = [*bundle("auditing", "audit"), "--dataset_dir", data, "--output_dir", work / "out"]
            command += ["--predictions_dir", work / str(n) / "predictions", "--device", "cpu", "--num_workers", 0]
            ended = run(["selfcleanse", "doctor", data] if name == "doctor" else command, seconds=1200)
            row.see(ended.code == 0, f"{n} cases: {ended}")
            took.append(ended)
            shutil.rmtree(work / "out", ignore_errors=True)
        few, some, many = took
        slope = (many.seconds - some.seconds) / (_CASES[2] - _CASES[1])
        first = max((some.seconds - few.seconds) / (_CASES[1] - _CASES[0]), 1e-3)
        row.see(many.megabytes < few.megabytes + 100, f"memory grows: {few.megabytes:.0f} to {many.megabytes:.0f} MB")
        row.see(slope < 2 * first, f"time is not linear: {first * 1e3:.0f}, then {slope * 1e3:.0f} ms a case")
        row.note = (
            f"{' / '.join(f'{one.seconds:.0f}' for one in took)} s, "
            f"{' / '.join(f'{one.megabytes:.0f}' for one in took)} MB"
        )
        rows.append(row)
    return rows
