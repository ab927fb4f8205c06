"""The options' table: one place for checks and documents."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from monai_selfcleanse.cli.option_table import COMMANDS, OPTIONS

ROOT = Path(__file__).parents[2]
TRAIN, AUDIT, EVALUATE = (
    json.loads((ROOT / "bundle" / "configs" / f"{name}.json").read_text()) for name in ("train", "audit", "evaluate")
)


def test_the_page_is_the_tables() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_options.py"))["page"]()
    assert (ROOT / "docs" / "reference" / "options.md").read_text() == page, "run: python docs/make_options.py"


def test_every_option_is_an_id_of_its_commands_configs() -> None:
    configs = {"training": TRAIN, "auditing": TRAIN | AUDIT, "evaluating": TRAIN | EVALUATE}
    missing = [
        (name, command)
        for name, option in OPTIONS.items()
        for command in COMMANDS
        if command in option.commands and name not in configs[command]
    ]
    assert not missing


def test_every_option_that_the_configs_hand_over_is_in_the_table() -> None:
    checked = TRAIN["options"]["options"], AUDIT["audit"]["options"]["options"]
    names = {name for options in checked for name in options if not name.startswith("_")}
    assert names <= set(OPTIONS)


def test_plain_defaults_pass_their_own_checks() -> None:
    for name, option in OPTIONS.items():
        value = TRAIN.get(name)
        if option.check is not None and (not isinstance(value, str) or not value.startswith("$")):
            option.check(name, value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epochs", 0, "epochs must be a whole number of at least 1, got 0"),
        ("epochs", True, "epochs must be a whole number"),
        ("redraw_epoch", -1, "redraw_epoch, if not None, must be a whole number of at least 0"),
        ("val_interval", 0, "val_interval must be a whole number of at least 1"),
        ("learning_rate", 0, "learning_rate must be a number above 0"),
        ("learning_rate", float("nan"), "learning_rate must be a number above 0"),
        ("validation_share", "half", r"validation_share must be a number in \(0, 1\]"),
        ("validation_share", 0, r"validation_share must lie in \(0, 1\], got 0"),
        ("validation_share", 1.01, r"validation_share must lie in \(0, 1\], got 1.01"),
        ("validation_share", True, r"validation_share must be a number in \(0, 1\]"),
        ("noise_rate", -0.5, r"noise_rate must lie in \[0, 1\], got -0.5"),
        ("noise_rate", float("nan"), r"noise_rate must lie in \[0, 1\], got nan"),
        ("resume", 1, "resume must be True or False"),
        ("output_dir", 5, "output_dir must be a path"),
        (
            "spacing",
            [1, 1],
            r"spacing must be three numbers above 0 \(or -1, which keeps an axis as it is\), one an axis",
        ),
        ("spacing", [0, 1, 1], "spacing must be three numbers above 0"),
        ("spacing", [-2, 1, 1], "spacing must be three numbers above 0"),
        ("spacing", [float("inf"), 1, 1], "spacing must be three numbers above 0"),
        ("spacing", [float("nan"), 1, 1], "spacing must be three numbers above 0"),
        ("patch_size", [32, 32], r"patch_size must be three whole numbers from 1 on, one an axis, got \[32, 32\]"),
        ("patch_size", [0, 32, 1], "patch_size must be three whole numbers from 1 on"),
        ("patch_size", [-8, 32, 1], "patch_size must be three whole numbers from 1 on"),
        ("patch_size", [32.5, 32, 1], "patch_size must be three whole numbers from 1 on"),
        ("structures", {"1": "a", "2": "a"}, "structures must have names of their own, got 'a' twice"),
        ("structures", {1: "a", "1": "b"}, "structures must have values of their own, got 1 twice"),
        ("structures", {"1": " ", "2": "b"}, "structures must each have a name, such as .*, got ' '"),
        ("structures", {"1": None, "2": "b"}, "structures must each have a name, such as .*, got None"),
        ("structures", {"1": ["a"], "2": "b"}, "structures must each have a name"),
        ("structures", [1, 2], "structures must be label values from 1 on"),
        ("structures", {"0": "x"}, "structures must be label values from 1 on"),
        ("structures", {str(k): f"s{k}" for k in range(1, 300)}, "structures must be 255 at most, got 299"),
        ("device", "gpu", "device must be cpu, cuda or cuda:N"),
        ("noise_preset", None, "noise_preset must be a name"),
    ],
)
def test_bad_values_are_named_with_what_is_allowed(name: str, value: Any, message: str) -> None:
    check = OPTIONS[name].check
    assert check is not None
    with pytest.raises(ValueError, match=message):
        check(name, value)


@pytest.mark.parametrize(("name", "value"), [("noise_rate", 0), ("noise_rate", 1), ("validation_share", 1)])
def test_the_ends_of_an_interval_are_allowed(name: str, value: int) -> None:
    check = OPTIONS[name].check
    assert check is not None
    check(name, value)
