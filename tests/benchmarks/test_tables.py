"""What the benchmark takes for one training, and which trainings it compares."""

from __future__ import annotations

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
compare = import_module("compare")
summary = import_module("summary")
search = import_module("search")


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


def trained(arm: str, dice: float, machine: str = "one", seed: int = 0) -> dict[str, Any]:
    """A line whose patients differ, but alike for all arms."""
    cases = {f"p{i}_frame{f}": [dice + 0.001 * i] for i in range(6) for f in (1, 2)}
    return line(arm, seed=seed, dice=cases, machine=machine)


def test_recovery_has_an_interval_only_within_one_machine() -> None:
    arms = {name: [trained(name, dice)] for name, dice in (("clean", 0.9), ("noisy", 0.8), ("ours", 0.875))}
    assert summary.recovery(arms, "ours") == "0.75 (0.75 to 0.75)"
    arms["ours"] = [trained("ours", 0.875, machine="another")]
    assert summary.recovery(arms, "ours") == "0.75"


def test_recovery_is_withheld_where_seeds_disagree_about_the_gap() -> None:
    pairs = [(0.90, 0.89), (0.90, 0.80), (0.90, 0.88)]
    arms = {"clean": [trained("clean", c, seed=s) for s, (c, _) in enumerate(pairs)]}
    arms |= {name: [trained(name, n, seed=s) for s, (_, n) in enumerate(pairs)] for name in ("noisy", "ours")}
    assert summary.recovery(arms, "ours") == "gap 0.0433 too small"


def test_an_error_in_one_training_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: Any, *_: Any) -> dict[str, Any]:
        if job.seed == 0:
            raise OSError("no such prediction")
        return {"mean_dice": 0.5}

    monkeypatch.setattr(compare, "train", lambda *_: {"seconds": 1, "provenance": {}})
    monkeypatch.setattr(compare, "all_used", lambda parts: {})
    monkeypatch.setattr(compare, "score", fail)
    monkeypatch.setattr(
        sys, "argv", ["compare.py", str(tmp_path), str(tmp_path), "--seeds", "0", "1", "--arms", "ours"]
    )
    with pytest.raises(SystemExit) as stop:
        compare.main()
    assert stop.value.code
    assert [done["seed"] for done in compare.read_results(tmp_path)] == [1]
    (log,) = tmp_path.rglob("log.txt")
    assert "seed0" in str(log)
    assert "no such prediction" in log.read_text()


def test_options_that_inference_has_reach_it_and_folders_tell_all_options_apart(tmp_path: Path) -> None:
    extra = ("--epochs", "3", "--spacing", "[3,3,-1]", "--network_def#channels", "[8,16]", "--rounds", "1")
    expected = ["--spacing", "[3,3,-1]", "--network_def#channels", "[8,16]"]
    assert compare.known_to(extra, compare.INFER["acdc"]) == expected
    jobs = [
        compare.Job("acdc", tmp_path, tmp_path, "mixed", 0.5, 0, "ours", False, extra)
        for extra in [(), ("--spacing", "[3,3,-1]"), ("--spacing", "[3,3,1]"), ("--x", "a" * 300), ("--x", "a" * 301)]
    ]
    assert len({job.directory for job in jobs}) == 5
    jobs[-1].directory.mkdir(parents=True)


def test_searches_of_different_folders_share_neither_cases_nor_forks(tmp_path: Path) -> None:
    def files(folder: str, **options: Any) -> tuple[Path, Path | None]:
        at = {"dataset_dir": tmp_path / folder / "train", "held": tmp_path / folder / "held", "truth": tmp_path}
        args = Namespace(**at, out=tmp_path, fork=18, device=search.torch.device("cpu"))
        return search.data_file(args, search.Options(**options)), search.fork_file(args, search.Options(**options))

    assert files("a") == files("a", first_look=18)
    assert len({files("a")[0], files("b")[0], files("a", size=128)[0], files("a", spacing=1.5)[0]}) == 4
    different = [files("a"), files("b"), files("a", seed=1), files("a", epochs=30), files("a", labels="truth")]
    assert len({fork for _, fork in different}) == 5


def test_a_look_counts_the_right_labels_that_redrawing_would_spoil() -> None:
    given = np.array([[1.0], [1.0], [0.5], [0.97], [0.6]])
    redrawn = np.array([[1.0], [0.9], [0.8], [0.7], [0.6]])
    suspected = np.array([[False], [True], [True], [True], [False]])
    cases = tuple("abcde")
    judged = search.Judgement(cases, (1,), ("heart",), {}, 1.0 - suspected, suspected, (), False, 0.1)
    found = search.found_by(judged, given, given, redrawn)
    assert found["clean"] == {"n": 2, "worse": 1, "given": 1.0, "trained_on": 1.0, "on_disk": pytest.approx(0.95)}
    assert found["noisy"] == {"n": 2, "worse": 0, "given": 0.55, "trained_on": 0.55, "on_disk": pytest.approx(0.7)}
    assert (found["precision"], found["recall"]) == (0.5, 0.5)  # the label of a Dice of 0.97 is not counted


@pytest.mark.parametrize("late", ["known=1", "scout=12", "first_look=12", "epochs=18"])
def test_a_fork_is_refused_where_runs_are_no_longer_alike(
    late: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    options = ["--set", "first_look=18", "--set", late]
    monkeypatch.setattr(
        sys, "argv", ["search.py", str(tmp_path), str(tmp_path), "--tag", "a", "--fork", "18", *options]
    )
    with pytest.raises(SystemExit):
        search.main()
    assert "so it cannot fork at 18" in capsys.readouterr().err
