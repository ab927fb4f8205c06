"""What the campaigns of reliability count as held, and their cheapest part."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "reliability"))
common = import_module("common")
damage = import_module("damage")


@pytest.mark.parametrize(
    ("code", "said", "refusal"),
    [
        (1, "error: no such folder\n", True),
        (2, "error: unknown option\n", True),
        (0, "error: no such folder\n", False),
        (1, "no such folder\n", False),
        (-9, "error: no such folder\n", False),
        (1, "Traceback (most recent call last):\nerror: x\n", False),
    ],
)
def test_a_refusal_is_one_line_and_a_code(code: int, said: str, refusal: bool) -> None:
    assert common.Ended(code, said, 1.0, 1.0).is_refusal == refusal
    assert not common.Ended(code, said, 1.0, 1.0, hung=True).is_refusal


def test_a_command_is_run_killed_and_timed(tmp_path: Path) -> None:
    refused = common.run(["selfcleanse", "doctor", tmp_path / "nowhere"])
    assert refused.is_refusal
    assert "nowhere" in refused.said
    assert common.run(["selfcleanse", "doctor", tmp_path], kill_after=0.0).code == -9


@pytest.mark.slow
def test_mutated_files_neither_crash_nor_hang(tmp_path: Path) -> None:
    for row in damage.campaign(tmp_path, times=1, seed=3):
        assert row.n >= 50
        assert row.broken == []
