"""Bad options and broken data end a training before it writes anything."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from bundles import BUNDLE, train
from helpers import refused
from monai.bundle import ConfigParser


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"noise_preset": "nonsense", "noise_rate": 0.5}, "noise_preset 'nonsense' is unknown; choose one of boundary"),
        ({"noise_rate": 1.5}, r"noise_rate must lie in \[0, 1\], got 1.5"),
        ({"epochs": 5, "rounds": 1, "warmup_epochs": 5}, r"epochs \(5\) must be more than warmup_epochs \(5\)"),
        (
            {"epochs": 4, "rounds": 2, "warmup_epochs": 5},
            r"first of 2 rounds \(4\) must be at least warmup_epochs",
        ),
        ({"rounds": 0}, "rounds must be a whole number of at least 1, got 0"),
        ({"rounds": "two"}, "rounds must be a whole number of at least 1, got 'two'"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"redraw_epoch": "soon"}, "redraw_epoch, if not None, must be a whole number of at least 0, got 'soon'"),
        ({"redraw_epoch": 5}, r"redraw_epoch \(5\) lies behind the last of the epochs \(4\)"),
        ({"num_workers": "two"}, "num_workers must be a whole number of at least 0, got 'two'"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, got 0"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number above 0, got '1e-3'"),
        ({"spacing": 1.5}, r"spacing must be three numbers .*, one an axis, got 1.5"),
        ({"patch_size": [64, 64]}, r"patch_size must be three whole numbers .*, one an axis, got \[64, 64\]"),
        (
            {"patch_size": [33, 31, 1]},
            r"patch_size \[33, 31, 1\] does not go through network_def with in_channels 1 \(.*\): give multiples of",
        ),
        ({"patch_size": [32, 32, 4]}, r"patch_size \[32, 32, 4\] is not flat, .* its last number must be 1"),
        ({"mirror_axis": 2}, r"mirror_axis must be 0, 1 or '\$None', got 2"),
        ({"structures": "RV"}, "structures must be label values .*, got 'RV'"),
        ({"structures": {str(k): f"s{k}" for k in range(1, 300)}}, "structures must be 255 at most, got 299"),
        ({"structures": {"RV": 1}}, "structures must be label values from 1 on and their names"),
        ({"self_cleanse": "no"}, "self_cleanse must be True or False"),
        ({"partial_labels": 1}, "partial_labels must be True or False"),
        ({"resume": "false"}, "resume must be True or False"),
        ({"noise_rate": "half"}, "noise_rate must be a number"),
        ({"validation_share": 1}, "validation_share 1 leaves no patient to train on"),
        ({"validation_share": 0}, r"validation_share must lie in \(0, 1\], got 0"),
        ({"device": "gpu"}, "device must be cpu, cuda or cuda:N, got 'gpu'"),
        ({"device": "cuda:63"}, "device 'cuda:63' is not there"),
        ({"device": "meta"}, "device must be cpu, cuda or cuda:N, got 'meta'"),
        ({"device": "cpu:7"}, "device must be cpu, cuda or cuda:N, got 'cpu:7'"),
        ({"dataset_dir": 5}, "dataset_dir must be a path"),
        ({"output_dir": ""}, "output_dir must be a path, got ''"),
        ({"dataset_dir": "no/such/folder"}, "is not a folder"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(
    overrides: dict[str, Any], match: str, phantom: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with refused(match):
        train(output, phantom, **overrides)
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "5", "--warmup_epochs", "6"], "error: epochs of the first of 2 rounds (5) must be at least"),
        (["--noise_preset", "nonsense"], "error: noise_preset 'nonsense' is unknown; choose one of boundary"),
    ],
)
def test_on_the_command_line_bad_input_is_one_line(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ["--config_file", str(BUNDLE / "configs" / "train.json"), "--logging_file", "False"]
    output = ["--output_dir", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", *config, *output, *options])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_who_builds_the_trainer_in_python_gets_an_error_not_the_end_of_the_program(tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser["dataset_dir"], parser["output_dir"] = "no/such/folder", str(tmp_path)
    with refused("is not a folder"):
        parser.get_parsed_content("train#trainer")


def test_all_broken_cases_are_named_at_once_before_anything_is_written(phantom: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "data"
    shutil.copytree(phantom, dataset)
    cut = next((dataset / "patient001").glob("*_frame01.nii.gz"))
    cut.write_bytes(cut.read_bytes()[:2000])
    lonely = next((dataset / "patient002").glob("*_frame01_gt.nii.gz"))
    lonely.unlink()
    strange = next((dataset / "patient003").glob("*_frame01_gt.nii.gz"))
    file = nib.load(strange)
    nib.save(nib.Nifti1Image(np.asarray(file.dataobj) + 4, file.affine), strange)
    output = tmp_path / "out"
    broken = ("patient001_frame01.nii.gz", "patient002_frame01", "patient003_frame01_gt.nii.gz: holds the values")
    with refused("(?s)" + "".join(f"(?=.*{name})" for name in broken)):
        train(output, dataset)
    assert not output.exists()


def test_an_output_folder_that_is_a_file_is_refused(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for option in ("output_dir", "ckpt_dir"):
        with refused(f"{option} .* cannot be written: .*out is a file"):
            train(tmp_path / "run", phantom, **{option: str(tmp_path / "out" / "run")})
