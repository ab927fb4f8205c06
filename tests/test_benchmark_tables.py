"""What the benchmark takes for one training, and which trainings it compares."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
compare = import_module("compare")
summary = import_module("summary")


def line(arm: str, **other: Any) -> dict[str, Any]:
    return {"data": "acdc", "preset": "mixed", "rate": 0.5, "seed": 0, "arm": arm, "small": True, "extra": []} | other


def job(**other: Any) -> Any:
    values = {k: v for k, v in line("ours", **other).items() if k != "extra"}
    return compare.Job(dataset_dir=Path("in"), out=Path("out"), extra=tuple(other.get("extra", ())), **values)


def test_right_labels_are_trained_on_once_for_all_noise() -> None:
    key = compare.key_of
    assert key(line("clean", rate=0.7)) == key(line("clean", preset="missing"))
    assert key(line("ours", rate=0.7)) != key(line("ours"))
    assert key(line("clean", small=False)) != key(line("clean"))


@pytest.mark.parametrize(
    "other", [{"small": False}, {"extra": ["--epochs", "9"]}, {"seed": 1}, {"rate": 0.3}, {"preset": "missing"}]
)
def test_different_trainings_have_different_folders(other: dict[str, Any]) -> None:
    assert job(**other).directory != job().directory
    assert job(**other).key != job().key


def test_every_setting_gets_the_right_labels_of_its_own_seeds_and_size() -> None:
    lines = [line("clean", seed=s, small=small, is_clean=(s, small)) for small in (True, False) for s in (0, 1)]
    lines += [line("noisy", seed=1), line("ours", seed=1, rate=0.7), line("ours", small=False)]
    found = summary.by_setting(lines)
    clean = {name: [c["is_clean"] for c in arms["clean"]] for name, arms in found.items()}
    assert clean == {
        "acdc, small, mixed, 50 %": [(1, True)],
        "acdc, small, mixed, 70 %": [(1, True)],
        "acdc, mixed, 50 %": [(0, False)],
    }
