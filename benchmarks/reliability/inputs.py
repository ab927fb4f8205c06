"""Bad options and bad files, through every command: one line each, and no original is touched.

To take in a new command, add a function to :data:`COMMANDS`, and its options to :data:`OPTIONS`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, TINY_TRAINING, Ended, Row, bundle, digests, run, write, write_cases

Options = Mapping[str, Any]


def _bundle_run(start: Sequence[Any], fixed: Options) -> Callable[[Path, Path, Options], list[Any]]:
    def command(data: Path, out: Path, options: Options) -> list[Any]:
        merged = {"dataset_dir": data, "output_dir": out, "device": "cpu"} | dict(fixed) | dict(options)
        return [*start, *(part for name, value in merged.items() for part in (f"--{name}", value))]

    return command


def _positional(name: str, *fixed: Any) -> Callable[[Path, Path, Options], list[Any]]:
    """A command of ``selfcleanse`` that takes its folders without a name."""

    def command(data: Path, out: Path, options: Options) -> list[Any]:
        given = [part for option, value in options.items() for part in (f"--{option}", value)]
        return ["selfcleanse", name, data, *([] if name == "doctor" else [out]), *fixed, *given]

    return command


def _of_run(name: str, **fixed: Any) -> Callable[[Path, Path, Options], list[Any]]:
    """A command of ``selfcleanse`` on the results of :data:`RUN`, beside the data set."""

    def command(data: Path, out: Path, options: Options) -> list[Any]:
        merged = ({} if name == "review" else {"output_dir": out}) | fixed | dict(options)
        given = [part for option, value in merged.items() for part in (f"--{option}", value)]
        return ["selfcleanse", name, data.parent / RUN, *given, *(["--no-browser"] if name == "review" else [])]

    return command


def _tiny() -> dict[str, Any]:
    return {name.removeprefix("--"): value for name, value in zip(TINY_TRAINING[::2], TINY_TRAINING[1::2], strict=True)}


COMMANDS: dict[str, Callable[[Path, Path, Options], list[Any]]] = {
    "training": _bundle_run(bundle("training"), _tiny()),
    "audit": _bundle_run(bundle("auditing", "audit"), {}),
    "evaluate": _bundle_run(bundle("evaluating", "evaluate"), {}),
    "inference": _bundle_run(["monai.bundle", "run", "--config_file", "configs/inference.json"], {}),
    "noise": _positional("noise", "--rate", "1"),
    "doctor": _positional("doctor"),
    "review": _of_run("review"),
    "apply": _of_run("apply", undecided="keep"),
    "export": _of_run("export", to="labels"),
}
"""Each command's line, from a data set, an output folder and options. (What makes an app is tried by :func:`_app`.)"""

RUN = "run"
"""Folder of an audit's results, beside the data set: what is reviewed, applied and exported."""

_KINDS = {
    "whole": ("0", "-1", "2.5", "x", "[3]"),
    "axes": ("1.5", "[1,1]", "[0,0,0]", "x"),
    "device": ("gpu", "cuda:63", "meta", "cpu:7"),
    "folder": ("/nowhere", "5", "/etc/passwd"),
    "place": ("5", "/dev/null/x", "/proc/nothing/x"),
    "file": ("/nowhere.pt", "5", "/etc/passwd"),
    "share": ("-0.1", "1.5", "x", "nan"),
    "flag": ("yes", "5"),
    "structures": ("{}", "{'0':'a'}", "{'1':'a','2':'a'}", "{'1':''}", "[1,2]", "x"),
}
"""Values that have no meaning, by what an option is."""

OPTIONS: dict[str, dict[str, Sequence[str]]] = {
    "training": {
        **dict.fromkeys(("epochs", "rounds", "batch_size", "val_interval", "in_channels"), _KINDS["whole"]),
        **dict.fromkeys(("resume", "self_cleanse", "partial_labels"), _KINDS["flag"]),
        **dict.fromkeys(("noise_rate", "validation_share"), _KINDS["share"]),
        "spacing": (*_KINDS["axes"], "[1e-5,1e-5,1e-5]"),
        "patch_size": (*_KINDS["axes"], "[33,31,1]", "[32,32,4]"),
        "divisible_by": _KINDS["whole"],
        "mirror_axis": ("2", "-1", "None", "x"),
        "learning_rate": ("0", "nan", "x", "1e30"),
        "device": _KINDS["device"],
        "dataset_dir": _KINDS["folder"],
        "output_dir": _KINDS["place"],
        "ckpt_dir": _KINDS["place"],
        "structures": _KINDS["structures"],
        "label_filter#threshold": ("2", "x"),
        "label_filter#min_gap": ("nan",),
        "label_filter#interval": ("0",),
        "network_def#channels": ("[4]", "x"),
        "no_such_option": ("5",),
    },
    "audit": {
        "spacing": (*_KINDS["axes"], "[1e-5,1e-5,1e-5]"),
        "device": _KINDS["device"],
        "dataset_dir": _KINDS["folder"],
        "predictions_dir": _KINDS["folder"],
        "output_dir": _KINDS["place"],
        "ckpt_path": _KINDS["file"],
        "raters": ("abc", "{}", "{'a':'/nowhere','b':'/nowhere'}"),
        "structures": _KINDS["structures"],
        "audit#judge#threshold": ("5", "x"),
        "audit#judge#min_gap": ("nan",),
        "no_such_option": ("5",),
    },
    "evaluate": {
        "mirror_axis": ("2", "-1", "None", "x"),
        "device": _KINDS["device"],
        "dataset_dir": _KINDS["folder"],
        "output_dir": _KINDS["place"],
        "ckpt_path": _KINDS["file"],
        "validation_share": ("0", *_KINDS["share"]),
        "spacing": (*_KINDS["axes"], "[1e-5,1e-5,1e-5]"),
    },
    "inference": {
        "mirror_axis": ("2", "-1", "None", "x"),
        "device": _KINDS["device"],
        "dataset_dir": _KINDS["folder"],
        "output_dir": _KINDS["place"],
        "ckpt_path": _KINDS["file"],
        "spacing": (*_KINDS["axes"], "[1e-5,1e-5,1e-5]"),
        "patch_size": _KINDS["axes"],
        "divisible_by": _KINDS["whole"],
        "in_channels": ("0", "2", "x"),
        "inferer#roi_size": ("[33,33]",),
    },
    "noise": {
        "rate": ("2", "nan", "x"),
        "preset": ("no", ""),
        "seed": ("x",),
        "labels": ("", "/abs/*", "a**b", "none/*"),
        "replay": ("/nowhere", "/etc/passwd", "/tmp"),
        "no_such_option": ("5",),
    },
    "doctor": {"structures": _KINDS["structures"], "no_such_option": ("5",)},
    "review": {"data": _KINDS["folder"], "port": ("-1", "70000", "x"), "no_such_option": ("5",)},
    "apply": {
        "data": _KINDS["folder"],
        "decisions": ("/nowhere", "/etc/passwd"),
        "output_dir": _KINDS["place"][1:],
        "undecided": ("drop", ""),
        "no_such_option": ("5",),
    },
    "export": {
        "data": _KINDS["folder"],
        "output_dir": _KINDS["place"][1:],
        "to": ("nifti", ""),
        "labels": ("given", "corrected"),
        "no_such_option": ("5",),
    },
}
"""Bad values of each command's options."""


def _image(data: Path) -> Path:
    return data / "imagesTr" / "case_0001.nii.gz"


def _label(data: Path) -> Path:
    return data / "labelsTr" / "case_0001.nii.gz"


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path, to: str) -> None:
    path.unlink()
    path.symlink_to(to)


_WAYS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no NIfTI": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" * 90),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "a pipe": _pipe,
    "a link to nowhere": lambda path: _link(path, "nowhere"),
    "a link to /dev/zero": lambda path: _link(path, "/dev/zero"),
    "a Git LFS pointer": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
    "complex": lambda path: write(path, np.ones((24, 24, 4), np.complex64)),
    "of other axes": lambda path: write(path, np.ones((9, 9, 2, 3), np.float32)),
    "of NaN": lambda path: write(path, np.full((24, 24, 4), np.nan, np.float32)),
}

FILES: dict[str, tuple[Callable[[Path], Path], Callable[[Path], Any]]] = {
    f"{what} is {way}": (place, damage)
    for what, place in (("image", _image), ("label", _label))
    for way, damage in _WAYS.items()
}
"""Damages of a data set: which file, and how."""

_READ = {
    "training": ("image", "label"),
    "evaluate": ("image", "label"),
    "doctor": ("image", "label"),
    "audit": ("image", "label"),
    "inference": ("image",),
    "noise": ("label",),
}
"""What each command reads; about the rest it need not say a word."""

DATALISTS: dict[str, str] = {
    "empty": "",
    "cut": "{",
    "null": "null",
    "no list": '{"training": {}}',
    "of numbers": "[1, 2]",
    "nested": "[" * 100_000,
    "deep entry": '[{"image": "a.nii", "label": ' + "[" * 50_000 + "]" * 50_000 + "}]",
    "absent files": '[{"image": "a.nii.gz", "label": "b.nii.gz"}]',
    "NUL in a path": '[{"image": "a\\u0000.nii.gz", "label": "b.nii.gz"}]',
    "half a character": '[{"image": "\\ud800.nii.gz", "label": "b.nii.gz"}]',
    "no label": '[{"image": "a.nii.gz"}]',
}
"""Texts of JSON lists that are none."""

WEIGHTS: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no weights": lambda path: path.write_bytes(b"x" * 500),
    "a list": lambda path: torch.save([1], path),
    "another network's": lambda path: torch.save({"a": torch.zeros(3)}, path),
    "code": lambda path: torch.save(_Code(), path),
}
"""Files of weights that do not fit."""


RECORDS: dict[str, Callable[[Path], Any]] = {
    "not there": lambda run: shutil.rmtree(run),
    "a file": lambda run: (shutil.rmtree(run), run.write_text("x")),
    "empty": lambda run: (shutil.rmtree(run), run.mkdir()),
    "with an empty record": lambda run: (run / "judged.npz").write_bytes(b""),
    "with a record that was cut": lambda run: (run / "judged.npz").write_bytes((run / "judged.npz").read_bytes()[:-40]),
    "with a record that is something else": lambda run: (run / "judged.npz").write_bytes(b"\x89PNG\r\n\x1a\n" * 90),
}
"""Results that cannot be gone on with, by what they are."""


class _Code:
    """Unpickled, it would leave a file behind."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("/tmp/reliability-code-has-run",)


def _refused(name: str, ended: Ended) -> bool:
    """Whether a command has said in words that its input is bad. The doctor's table is what it is there for."""
    if name == "doctor" and ended.code == 1 and not ended.has_traceback and not ended.hung:
        return ended.is_refusal or re.search(r"^  broken +\d", ended.said, re.MULTILINE) is not None
    return ended.is_refusal


def campaign(work: Path, times: int, seed: int) -> Iterator[Row]:
    """Every bad value, file and list, once each."""
    data, out = write_cases(work / "data", 18), work / "out"
    audit = ["selfcleanse", "audit", data, "-o", work / RUN, "--predictions", work / "predictions"]
    ended = run([*audit, "--structures", "{'1':'a','2':'b','3':'c'}"])
    if ended.code:
        raise RuntimeError(f"there is nothing to review: {ended}")
    before = digests(data)
    for name, options in OPTIONS.items():
        row = Row(f"bad options: {name}")
        for option, values in options.items():
            for value in values:
                ended = run(COMMANDS[name](data, out, {option: value}))
                row.see(_refused(name, ended), f"--{option} {value}: {ended}")
                shutil.rmtree(out, ignore_errors=True)
        row.see(digests(data) == before, "the originals have changed")
        yield row
    yield from _bad_files(work, out)
    yield from _bad_lists(work, data, out)
    yield _bad_weights(work, data, out)
    yield from _bad_runs(work, data, out)
    yield _app(work)


def _bad_files(work: Path, out: Path) -> list[Row]:
    rows = [Row(f"bad files: {name}") for name in _READ]
    for damage, (place, spoil) in FILES.items():
        data = write_cases(work / "damaged", 6)
        spoil(place(data))
        for row, (name, read) in zip(rows, _READ.items(), strict=True):
            folder = data / "imagesTr" if name == "inference" else data
            ended = run(COMMANDS[name](folder, out, {}))
            unreadable = (out / "unreadable.csv").read_text() if (out / "unreadable.csv").exists() else ""
            named = "case_0001" in unreadable or (_refused(name, ended) and "case_0001" in ended.said)
            quiet = not ended.has_traceback and not ended.hung
            row.see(quiet and (named or damage.split()[0] not in read), f"{damage}: {ended}")
            shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(data)
    return rows


def _bad_lists(work: Path, data: Path, out: Path) -> list[Row]:
    rows, path = [], work / "list.json"
    for name in ("training", "audit", "evaluate", "doctor"):
        row = Row(f"bad lists of cases: {name}")
        for what, text in DATALISTS.items():
            path.write_text(text)
            ended = run(COMMANDS[name](path, out, {}))
            row.see(_refused(name, ended), f"{what}: {ended}")
            shutil.rmtree(out, ignore_errors=True)
        rows.append(row)
    return rows


def _bad_weights(work: Path, data: Path, out: Path) -> Row:
    row, path = Row("bad weights: audit, evaluate, inference"), work / "model.pt"
    for what, make in WEIGHTS.items():
        make(path)
        for name in ("audit", "evaluate", "inference"):
            ended = run(COMMANDS[name](data, out, {"ckpt_path": path}))
            ran = Path("/tmp/reliability-code-has-run")
            row.see(ended.is_refusal and not ran.exists(), f"{name}, {what}: {ended}")
            shutil.rmtree(out, ignore_errors=True)
            if ran.exists():
                ran.rmdir()
    return row


def _bad_runs(work: Path, data: Path, out: Path) -> list[Row]:
    rows, kept = [], shutil.copytree(work / RUN, work / "kept")
    for name in ("review", "apply", "export"):
        row = Row(f"bad results: {name}")
        for what, damage in RECORDS.items():
            damage(work / RUN)
            ended = run(COMMANDS[name](data, out, {}))
            row.see(_refused(name, ended), f"{what}: {ended}")
            for path in (work / RUN, out):
                path.unlink() if path.is_file() else shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(kept, work / RUN)
        rows.append(row)
    return rows


def _app(work: Path) -> Row:
    row = Row("bad names and folders: app")
    for name in (".", "..", "a/b", "a b", "a\nb", "a;b", "", "a" * 300, "a\x1b[31mb"):
        ended = run(["selfcleanse", "app", work / "app", f"{name}={ROOT / 'bundle'}"])
        row.see(ended.is_refusal and not (work / "app").exists(), f"{name!r}: {ended}")
        shutil.rmtree(work / "app", ignore_errors=True)
    for target in ("/etc/passwd", "/dev/null/x"):
        ended = run(["selfcleanse", "app", target, ROOT / "bundle"])
        row.see(ended.is_refusal, f"{target}: {ended}")
    return row
