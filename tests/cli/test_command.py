"""``selfcleanse``: what its commands pass on, refuse and say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny_image, tiny_label, write_decathlon, write_nifti, write_patients
from monai.bundle import ConfigParser

from monai_selfcleanse import bad_input
from monai_selfcleanse.cli.command import main
from monai_selfcleanse.cli.ids import check_command_line, check_ids
from monai_selfcleanse.cli.option_table import FLAGS, OPTIONS

ROOT = Path(__file__).parents[2]
AUDIT = str(ROOT / "bundle" / "configs" / "audit.json")
TRAIN = str(ROOT / "bundle" / "configs" / "train.json")


@pytest.fixture(autouse=True)
def _no_command_line_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_input, "_console_script", False)


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``monai.bundle.run`` is called with."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("monai.bundle.run", lambda **arguments: given.update(arguments))
    return given


def ended(arguments: list[str], capsys: pytest.CaptureFixture) -> tuple[int, str]:
    """Exit code and what was said, where a command ends early."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    code, said = caught.value.code, capsys.readouterr()
    return (1, str(code)) if isinstance(code, str) else (int(code or 0), said.out + said.err)


def test_training_gets_its_options_through_the_bundle(passed_on: dict[str, Any]) -> None:
    main(["train", "DATA", "-o", "OUT", "--epochs", "3", "--structures", "{'1': 'liver'}", "--resume", "--rounds=1"])
    assert passed_on.pop("config_file") == [TRAIN]
    root = Path(passed_on.pop("bundle_root"))
    assert not root.is_absolute()  # or the bundle would write into its own folder
    assert root.resolve() == ROOT / "bundle"
    assert passed_on == {
        "run_id": "training",
        "dataset_dir": "DATA",
        "output_dir": "OUT",
        "epochs": 3,
        "structures": {"1": "liver"},
        "resume": True,
        "rounds": 1,
    }


@pytest.mark.parametrize(
    "path", ["study #3", "2024_07", "[a, b]", "1e3", "Ä ö", "a,b", "@x", "None", "$1 + 1", "a::b", "C:\\new", "it's %d"]
)
def test_paths_arrive_as_they_were_typed(path: str, passed_on: dict[str, Any]) -> None:
    main(["audit", path, "-o", path, "--predictions", path, "--structures", repr({"1": path})])
    parser = ConfigParser({name: passed_on[name] for name in ("dataset_dir", "output_dir", "structures")})
    assert parser.get_parsed_content("dataset_dir") == parser.get_parsed_content("output_dir") == path
    assert parser.get_parsed_content("structures") == {"1": path}


def test_an_audit_lays_its_config_and_a_task_on_the_bundles(passed_on: dict[str, Any], tmp_path: Path) -> None:
    own = tmp_path / "my task.json"
    own.write_text(json.dumps({"spatial_dims": 3}))
    main(["audit", "DATA", "--weights", "w.pt", "--task", str(own), "--set", "label_filter#min_cases=8"])
    names = [Path(path).name for path in passed_on["config_file"]]
    assert names == ["train.json", "my task.json", "audit.json"]
    assert (passed_on["ckpt_path"], passed_on["label_filter#min_cases"]) == ("w.pt", 8)
    main(["train", "DATA", "--redraw_epoch", "None", "--set", "ema=None"])
    assert passed_on["redraw_epoch"] == passed_on["ema"] == "$None"  # MONAI passes a plain one over
    main(["train", "DATA", "--task", "hippocampus"])
    assert [Path(path).name for path in passed_on["config_file"]] == ["train.json", "hippocampus.json"]


@pytest.mark.parametrize("command", ["train", "audit"])
def test_every_option_of_the_bundle_is_known(command: str, passed_on: dict[str, Any]) -> None:
    run_id = {"train": "training", "audit": "auditing"}[command]
    named = ("dataset_dir", "output_dir", "predictions_dir", "ckpt_path")
    options = [name for name, option in OPTIONS.items() if run_id in option.commands and name not in named]
    main([command, "DATA", *(part for name in options for part in (f"--{name}", "True" if name in FLAGS else "1"))])
    assert {name: passed_on[name] for name in options} == {
        name: "1" if name in ("ckpt_dir", "noise_preset") else 1 for name in options
    }


def test_a_flag_takes_no_path_for_its_value(passed_on: dict[str, Any], capsys: pytest.CaptureFixture) -> None:
    main(["train", "--resume", "DATA", "--self_cleanse", "False", "--partial_labels"])
    assert {name: passed_on.get(name) for name in ("dataset_dir", "resume", "self_cleanse", "partial_labels")} == {
        "dataset_dir": "DATA",
        "resume": True,
        "self_cleanse": False,
        "partial_labels": True,
    }
    for wrong in (["--resume=DATA"], ["--resume", "true"]):
        code, words = ended(["train", *wrong], capsys)
        assert code == 2
        assert "argument --resume: invalid choice" in words


def test_an_unknown_option_is_said_before_what_is_missing(capsys: pytest.CaptureFixture) -> None:
    code, words = ended(["audit", "--output_dri", "OUT"], capsys)
    assert code == 2
    assert "unknown option --output_dri; did you mean --output_dir?" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "selfcleanse doctor DATA"),
        (["trian"], "unknown command 'trian'; did you mean train?"),
        (["train", "D", "--epoch", "3"], "unknown option --epoch; did you mean --epochs?"),
        (["audit", "D", "--out", "o"], "unknown option --out; did you mean --output_dir?"),
        (["audit", "D", "--prediction_dir", "P"], "unknown option --prediction_dir"),
        (["audit"], "the following arguments are required: DATA"),
        (["audit", "D", "--predictions", "P", "--weights", "W"], "not allowed with"),
        (["train", "D", "--set", "epochs"], "--set epochs: expected ID=VALUE"),
        (["train", "D", "more"], "unrecognized arguments: more"),
    ],
)
def test_wrong_use_ends_with_code_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    code, words = ended(arguments, capsys)
    assert code == 2
    assert said in words
    assert len(words.splitlines()) == 1 or not arguments


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "D", "--set", "lable_filter#threshold=3"], "no config defines 'lable_filter'; did you mean label_f"),
        (["train", "D", "--task", "heart"], "--task heart: there is no such file"),
        (["train", "D", "--bundle", "no/such"], "there is no bundle in no/such: name its folder with --bundle DIR"),
        (["doctor", "no/such"], "'no/such' is not a folder"),
        (["doctor", "no/such", "--structures", "[1, 2]"], "structures must be label values from 1 on and their names"),
    ],
)
def test_bad_input_ends_with_code_1_and_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    code, words = ended(arguments, capsys)
    assert code == 1
    assert words.startswith("error: ")
    assert said in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no config (Expecting property name"),
        ("[1]", "is no config (its ids and values must stand in braces)"),
        ("[" * 100_000, "is no config (maximum recursion depth"),
        ('{"nope#x": 1}', "sets into what no config before it has ('query key: nope')"),
    ],
)
def test_an_overlay_that_is_none_is_named(text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "mine.json").write_text(text)
    code, words = ended(["train", "D", "--task", str(tmp_path / "mine.json")], capsys)
    assert code == 1
    assert words.startswith(f"error: {tmp_path / 'mine.json'}: {said}")
    assert "\n" not in words


@pytest.mark.parametrize("command", ["", "train", "audit", "doctor", "noise", "app"])
def test_help_fits_a_screen(command: str, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "argv", ["selfcleanse"])
    code, words = ended([*filter(None, [command]), "--help"], capsys)
    assert code == 0
    assert 5 < len(words.splitlines()) < 40


def test_ids_that_no_config_defines_are_found() -> None:
    check_ids(
        ["epochs", "label_filter#threshold", "train::trainer::amp", "+train#handlers", "network_def#dropout"], [TRAIN]
    )
    with pytest.raises(ValueError, match="--dataset_dri: no config defines 'dataset_dri'; did you mean dataset_dir"):
        check_ids(["dataset_dri"], [TRAIN])
    with pytest.raises(ValueError, match="'train#trianer'; did you mean train#trainer"):
        check_ids(["train#trianer#amp"], [TRAIN])
    for name in ("train#handlers#foo#x", "train#handlers#99#x"):
        with pytest.raises(ValueError, match="no config defines 'train#handlers#"):
            check_ids([name], [TRAIN])
    check_ids(["train#handlers#0#x"], [TRAIN])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("validate#inferer#roi_size", "within validate#inferer, which is @inferer: set inferer#roi_size"),
        ("validate#inferer#a#b", "within validate#inferer, which is @inferer: set inferer#a#b"),
        ("network#x", r"within network, which is '\$@network_def.*': set it as a whole"),
        ("epochs#x", "within epochs, which is .*: set it as a whole"),
    ],
)
def test_what_cannot_be_set_into_is_named(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"--{name}: nothing can be set {said}"):
        check_ids([name], [TRAIN])


@pytest.mark.parametrize("form", [["--dataset_dri", "X"], ["--dataset_dri=X"]])
@pytest.mark.parametrize("file", [TRAIN, f"['{TRAIN}']", f"{TRAIN},{AUDIT}"])
def test_the_command_line_of_monai_bundle_is_looked_at(
    form: list[str], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Main:
        class __spec__:  # noqa: N801
            name = "monai.bundle.__main__"

    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "training", "--config_file", file, "--epochs", "3", *form])
    check_command_line()  # another program's
    monkeypatch.setitem(sys.modules, "__main__", Main)
    with pytest.raises(ValueError, match="--dataset_dri: no config defines"):
        check_command_line()
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "training", "--config_file", file, "--tracking", "mlflow"])
    check_command_line()
    for none in (["--mirror_axis", "None"], ["--mirror_axis=None"]):
        monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "training", "--config_file", file, *none])
        with pytest.raises(ValueError, match=r"--mirror_axis None: MONAI passes over .*; give --mirror_axis '\$None'"):
            check_command_line()
    for fine in (["--mirror_axis", "$None"], ["--dataset_dir", "None"]):  # that is None as it is
        monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "training", "--config_file", file, *fine])
        check_command_line()
    command = ["monai.bundle", "run", "training", "--config-file", file, "--dataset-dir", "X", "--", "--trace"]
    monkeypatch.setattr(sys, "argv", command)  # as Fire takes them
    check_command_line()


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (["trainig"], "no config defines 'trainig', which is to be run; did you mean training\\?"),
        (["--run_id", "trainig"], "no config defines 'trainig', which is to be run; did you mean training\\?"),
        (["auditing"], "'auditing' is defined by .*audit.json, which is to be laid on: --config_file"),
    ],
)
def test_what_is_to_be_run_must_be_there(run: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_selfcleanse.cli.ids.is_run_by_monai", lambda: True)
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", *run, "--config_file", TRAIN])
    with pytest.raises(ValueError, match=said):
        check_command_line()
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", "--config_file", TRAIN])  # "run" is MONAI's own default
    check_command_line()


def test_the_doctor_says_what_a_data_set_is_and_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_decathlon(tmp_path / "data", 4)
    code, words = ended(["doctor", str(data)], capsys)
    lines = dict(line.strip().split("  ", 1) for line in words.splitlines() if line.startswith("  "))
    assert code == 0
    assert {name: value.strip() for name, value in lines.items()} == {
        "taken for": "a folder of images and one of labels, as in the Decathlon",
        "cases": "4 of 4 patients",
        "structures": "1 (in 4 labels), 2 (in 4 labels), 3 (in 4 labels); nobody names them: give --structures",
        "voxels, mm": "1.5 (1.5 to 1.5) x 1.5 (1.5 to 1.5) x 10 (10 to 10)",
        "image channels": "1",
        "broken": "none",
    }
    write_nifti(data / "labelsTr" / "case_1.nii.gz", tiny_label()[:6])
    (data / "imagesTr" / "case_2.nii.gz").write_bytes(b"no image")
    code, words = ended(["doctor", str(data), "--structures", "{'1': 'a', '2': 'b', '3': 'c'}"], capsys)
    assert code == 1
    assert "1 a (in 2 labels), 2 b (in 2 labels), 3 c (in 2 labels)\n" in words
    assert [line.split()[0] for line in words.split("broken")[1].splitlines()[1:3]] == ["case_1", "case_2"]


def test_the_doctor_takes_the_names_that_a_data_set_has(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    entries = []
    for i in range(3):
        image = write_nifti(tmp_path / f"{i}.nii.gz", tiny_image(i))
        label = write_nifti(tmp_path / f"{i}_label.nii.gz", with_gaps(tiny_label(i)))
        entries.append({"image": image.name, "label": label.name})
    listed = {"training": entries, "labels": {"0": "background", "7": "liver", "255": "tumour"}}
    (tmp_path / "list.json").write_text(json.dumps(listed))
    code, words = ended(["doctor", str(tmp_path / "list.json")], capsys)
    assert code == 0
    assert "7 liver (in 3 labels), 255 tumour (in 3 labels) (by list.json)" in words


def with_gaps(label: Any) -> Any:
    return ((label == 1) * 7 + (label == 2) * 255).astype(np.uint8)


def test_the_doctor_knows_patients_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data = write_patients(tmp_path / "acdc", 3)
    before = sorted(tmp_path.rglob("*"))
    _, words = ended(["doctor", str(data)], capsys)
    assert "a folder for each patient, as in ACDC" in words
    assert "6 of 3 patients" in words
    assert sorted(tmp_path.rglob("*")) == before
