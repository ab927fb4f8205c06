"""The options of the bundle's commands: what each one means, and what it may be.

The checks of :mod:`monai_selfcleanse.cli.options` and the table in ``docs/reference/options.md`` are both made from
:data:`OPTIONS`. Defaults stand in ``bundle/configs/train.json`` and its overlays.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["COMMANDS", "FLAGS", "OPTIONS", "TEXTS", "Option", "options_page"]

COMMANDS = ("training", "auditing", "evaluating")
"""What takes these options."""

Check = Callable[[str, Any], None]
"""Raises a ``ValueError`` that names the option, what was found and what is allowed."""


@dataclass(frozen=True)
class Option:
    """One option of the command line, a top-level id of the configs.

    Attributes:
        meaning: what it does, in Markdown.
        check: whether a value is of the right kind; None for one that is looked at where it is used.
        default: words for the default where the config computes it; empty where the config has a plain value.
        commands: which of :data:`COMMANDS` heed it.
        fixed: whether a resumed training must share it with the interrupted one.
    """

    meaning: str
    check: Check | None
    default: str = ""
    commands: tuple[str, ...] = COMMANDS
    fixed: bool = False


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(low: int) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")

    return check


def _whole_or_none(low: int) -> Check:
    def check(name: str, value: Any) -> None:
        if value is not None:
            _whole(low)(f"{name}, if not None,", value)

    return check


def _share(interval: str) -> Check:
    """A share in ``[0, 1]`` or ``(0, 1]``."""

    def check(name: str, value: Any) -> None:
        if not _is_number(value):
            raise ValueError(f"{name} must be a number in {interval}, got {value!r}")
        if not 0 <= value <= 1 or (value == 0 and interval.startswith("(")):
            raise ValueError(f"{name} must lie in {interval}, got {value}")

    return check


def _positive(name: str, value: Any) -> None:
    if not _is_number(value) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a number above 0, got {value!r}")


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")


def _text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a name, got {value!r}")


def _path(name: str, value: Any) -> None:
    if not isinstance(value, (str, os.PathLike)) or not str(value).strip(" '\""):
        raise ValueError(f"{name} must be a path, got {value!r}")


def _path_or_none(name: str, value: Any) -> None:
    if value is not None:
        _path(name, value)


def _per_axis(what: str, allowed: Callable[[Any], bool]) -> Check:
    def check(name: str, value: Any) -> None:
        if not isinstance(value, (list, tuple)) or len(value) != 3 or not all(map(allowed, value)):
            raise ValueError(f"{name} must be three {what}, one an axis, got {value!r}")

    return check


def _is_spacing(value: Any) -> bool:
    return _is_number(value) and (value == -1 or 0 < value < math.inf)


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _structures(name: str, value: Any) -> None:
    example = f"--{name} \"{{'1': 'liver', '2': 'tumour'}}\""
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(re.fullmatch("[1-9][0-9]*", str(structure)) for structure in value)
    ):
        raise ValueError(f"{name} must be label values from 1 on and their names, such as {example}, got {value!r}")
    if len(value) > 255:
        raise ValueError(f"{name} must be 255 at most, got {len(value)}")
    if wrong := [text for text in value.values() if not isinstance(text, str) or not text.strip()]:
        raise ValueError(f"{name} must each have a name, such as {example}, got {wrong[0]!r}")
    for what, found in (("values", [int(key) for key in value]), ("names", [text.strip() for text in value.values()])):
        if twice := [one for i, one in enumerate(found) if one in found[:i]]:
            raise ValueError(f"{name} must have {what} of their own, got {twice[0]!r} twice")


def _device(name: str, value: Any) -> None:
    try:
        kind = torch.device(value)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{name} must be cpu, cuda or cuda:N, got {value!r}") from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"{name} {value!r} is not there: {torch.cuda.device_count()} CUDA devices found; use cpu")
    if kind.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError(f"{name} {value!r} is not there; use cpu")
    if kind.type not in ("cpu", "cuda", "mps") or (kind.type != "cuda" and kind.index):
        raise ValueError(f"{name} must be cpu, cuda or cuda:N, got {value!r}")


_TRAINING, _JUDGING = ("training",), ("training", "auditing")

OPTIONS: Mapping[str, Option] = {
    "dataset_dir": Option(
        "folder of the data, or a JSON file that lists them ([forms](../how-to/own-data.md))",
        _path_or_none,
        "the phantom; an audit has none",
    ),
    "output_dir": Option("folder where everything goes ([files](files.md))", _path, "`output`"),
    "ckpt_dir": Option(
        "folder of weights and checkpoint",
        _path,
        "`OUTPUT_DIR/models`; with an absolute `bundle_root`, as MONAI Label sets it, that bundle's `models`",
        _TRAINING,
    ),
    "ckpt_path": Option(
        "weights of the network that judges or is evaluated, a flat state dict",
        _path_or_none,
        "`bundle/models/model.pt`",
        ("auditing", "evaluating"),
    ),
    "predictions_dir": Option(
        "folder of predictions to judge by in place of a network", _path_or_none, commands=("auditing",)
    ),
    "raters": Option(
        "folders of labels by the rater's name, `\"{'anna': 'DIR', 'ben': 'DIR'}\"`", None, commands=("auditing",)
    ),
    "epochs": Option("length of a round", _whole(1), "60; with the phantom 32", _TRAINING, True),
    "rounds": Option(
        "number of rounds. A round begins from fresh weights, with the targets that the one before has left",
        _whole(1),
        "2; without self-cleansing 1",
        _TRAINING,
        True,
    ),
    "warmup_epochs": Option(
        "epoch of the first look. In the first round, another look follows every tenth of `epochs`. Each round ends "
        "with a look",
        _whole(1),
        "three tenths of `epochs`",
        _TRAINING,
        True,
    ),
    "redraw_epoch": Option(
        "from this epoch on, the training takes suspects beyond doubt redrawn, where the network draws well enough. "
        "Before it, and with `'$None'`, their cases are left out",
        _whole_or_none(0),
        "the first round's last; in one round None",
        _TRAINING,
        True,
    ),
    "redrawing_share": Option(
        "steps of the redrawing network, which draws suspects with the given label at hand when training ends, as a "
        "share of a round's; 0: suspects are redrawn by the network alone",
        _share("[0, 1]"),
        commands=_TRAINING,
    ),
    "self_cleanse": Option(
        "False: the very same training without label filter and label cleanser", _flag, commands=_TRAINING, fixed=True
    ),
    "structures": Option(
        "label values and their names, `\"{'1': 'liver', '2': 'tumour'}\"`", _structures, "ACDC's", fixed=True
    ),
    "in_channels": Option("number of channels of the images", _whole(1), fixed=True),
    "partial_labels": Option(
        "True: a structure that a label lacks was not annotated, rather than missed",
        _flag,
        commands=_JUDGING,
        fixed=True,
    ),
    "validation_share": Option(
        "share of the patients that are validated on, and not trained on, in (0, 1]",
        _share("(0, 1]"),
        commands=("training", "evaluating"),
        fixed=True,
    ),
    "spacing": Option(
        "voxel size in mm that images are resampled to, one number an axis; -1 keeps an axis as it is",
        _per_axis("numbers above 0 (or -1, which keeps an axis as it is)", _is_spacing),
        fixed=True,
    ),
    "patch_size": Option(
        "voxels that the network is trained on at a time, one number an axis",
        _per_axis("whole numbers from 1 on", _is_length),
        fixed=True,
    ),
    "divisible_by": Option(
        "what the sides of slices are padded to multiples of; the network must take slices of such sides",
        _whole(1),
        fixed=True,
    ),
    "mirror_axis": Option(
        "axis of the patches, from 0 on. Training mirrors them along it at random. Evaluation and inference ask for "
        "the mirror image, too, and take the mean; looks and audits do not. `'$None'`: no mirroring. Take that if two "
        "structures are mirror images, such as two kidneys",
        None,
        commands=("training", "evaluating"),
        fixed=True,
    ),
    "batch_size": Option("cases a step; of each, several patches", _whole(1), "2; with the phantom 1", _TRAINING, True),
    "learning_rate": Option("highest learning rate of the schedule", _positive, commands=_TRAINING, fixed=True),
    "val_interval": Option("epochs from one validation to the next", _whole(1), commands=_TRAINING),
    "num_workers": Option(
        "processes that read data and, in an audit of predictions, score it; 0: the main process does",
        _whole(0),
        "0; in an audit as many as there are cores",
    ),
    "device": Option("`cpu`, `cuda` or `cuda:1`", _device, "the GPU if there is one"),
    "compile": Option(
        "True: `torch.compile` the network; needs a C++ compiler",
        _flag,
        commands=_TRAINING,
    ),
    "seed": Option(
        "decides split, noise, weights, order and augmentation",
        _whole(0),
        commands=("training", "evaluating"),
        fixed=True,
    ),
    "resume": Option(
        "True: go on where an interrupted training stopped, to the same result", _flag, commands=_TRAINING
    ),
    "noise_rate": Option(
        "share of the training patients that get synthetic label noise, in [0, 1]; the truth is then kept for the "
        "closing table",
        _share("[0, 1]"),
        "0; with the phantom 0.5",
        _TRAINING,
        True,
    ),
    "noise_preset": Option(
        "kind of noise: `boundary`, `missing`, `mixed`, and each with `_mild` ([presets](label-noise.md))",
        _text,
        commands=_TRAINING,
        fixed=True,
    ),
}
"""All options by name, in the order of the documents."""

FLAGS = frozenset(name for name, option in OPTIONS.items() if option.check is _flag)
"""Options that are True or False."""

TEXTS = frozenset(name for name, option in OPTIONS.items() if option.check in (_path, _path_or_none, _text))
"""Options that are taken as they are typed: a path may look like a number or a list."""


def options_page(defaults: Mapping[str, Any]) -> str:
    """``docs/reference/options.md``.

    Args:
        defaults: the configs' values by name.
    """
    head = ["option", "default", *COMMANDS, "meaning"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, option in OPTIONS.items():
        default = option.default or f"`{defaults.get(name)}`"
        heeded = ["x" if command in option.commands else "" for command in COMMANDS]
        lines.append(f"| `--{name}` | {default} | {' | '.join(heeded)} | {option.meaning} |")
    return _HEAD + "\n".join(lines) + "\n"


_HEAD = """# Options

Options follow the command: `--epochs 30`. An `x` says which command heeds an option. The values of a path, a list or a
name need quotes only where the shell does.

Other commands have pages of their own: [review](../how-to/review.md), [apply and export](../how-to/export.md),
[inference](../how-to/use-the-network.md). `selfcleanse` [writes some options otherwise](../how-to/command-line.md).

This page is made from the code: `python docs/make_options.py`.

"""
