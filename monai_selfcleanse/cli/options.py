"""The options a user gives on the command line, looked at before anything else happens."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from ..files import check_writable

__all__ = ["AuditOptions", "TrainingOptions", "share_of_epochs"]


def share_of_epochs(epochs: Any, share: float) -> int:
    """That share of the epochs, rounded, at least 1; for what is no whole number, which others refuse, 1."""
    return max(1, round(epochs * share)) if isinstance(epochs, int) else 1


class TrainingOptions:
    """Top-level options of ``train.json`` that must be of the right kind and fit together.

    The constructor keeps them; :meth:`check` is the first step of ``run``, so that a config may be loaded, or its
    trainer's epochs overridden, without being refused. Its ``state_dict`` in a checkpoint ties that to the options of
    its run.

    Args:
        options: by their names in ``train.json``: ``epochs``, ``warmup_epochs``, ``redraw_epoch``, ``seed``,
            ``self_cleanse``, ``partial_labels``, ``resume``, ``validation_share``, ``noise_rate``, ``noise_preset``,
            ``learning_rate``, ``batch_size``, ``spacing``, ``patch_size``, ``dataset_dir``, ``output_dir``,
            ``ckpt_dir``, ``device``, ``structures``, ``in_channels``, ``num_workers``.
        checkpoint: the file that ``resume`` takes up.
    """

    decisive = (
        "epochs",
        "warmup_epochs",
        "redraw_epoch",
        "seed",
        "self_cleanse",
        "partial_labels",
        "validation_share",
        "noise_rate",
        "noise_preset",
        "learning_rate",
        "batch_size",
        "spacing",
        "patch_size",
    )
    """Options that a resumed run must share with the interrupted one."""

    def __init__(self, options: Mapping[str, Any], checkpoint: str) -> None:
        self.options = dict(options)
        self.checkpoint = checkpoint

    def check(self) -> None:
        """Look at the options.

        Raises:
            ValueError: one is out of range, of the wrong kind, or does not fit another; the message names it.
        """
        o = self.options
        lowest = {"epochs": 1, "warmup_epochs": 1, "seed": 0, "batch_size": 1, "in_channels": 1, "num_workers": 0}
        for name, low in lowest.items():
            _check_whole(name, o[name], low)
        if o["redraw_epoch"] is not None:
            _check_whole("redraw_epoch, if not None,", o["redraw_epoch"], 0)
        _check_structures(o["structures"])
        for name in ("self_cleanse", "partial_labels", "resume"):
            if not isinstance(o[name], bool):
                raise ValueError(f"{name} must be True or False, got {o[name]!r}")
        for name, interval in (("noise_rate", "[0, 1]"), ("validation_share", "(0, 1]")):
            if not _is_number(o[name]):
                raise ValueError(f"{name} must be a number in {interval}, got {o[name]!r}")
        if not isinstance(o["noise_preset"], str):
            raise ValueError(f"noise_preset must be a name, got {o['noise_preset']!r}")
        if o["self_cleanse"] and o["epochs"] <= o["warmup_epochs"]:
            raise ValueError(
                f"epochs ({o['epochs']}) must be more than warmup_epochs ({o['warmup_epochs']}), or labels are judged "
                "too late to be cleansed: train longer, warm up for fewer epochs, or switch the filter off with "
                "--self_cleanse False"
            )
        if o["self_cleanse"] and o["redraw_epoch"] is not None and o["redraw_epoch"] > o["epochs"]:
            raise ValueError(
                f"redraw_epoch ({o['redraw_epoch']}) lies behind the last of the epochs ({o['epochs']}): give an "
                "earlier one, or omit it to leave suspects out to the end"
            )
        for name in ("spacing", "patch_size"):
            if not isinstance(o[name], (list, tuple)) or len(o[name]) != 3 or not all(map(_is_number, o[name])):
                raise ValueError(f"{name} must be three numbers, one an axis, got {o[name]!r}")
        rate = o["learning_rate"]
        if not _is_number(rate) or not 0 < rate < math.inf:
            raise ValueError(f"learning_rate must be a number above 0, got {rate!r}")
        _check_device(o["device"])
        _check_paths(o, ("dataset_dir", "output_dir", "ckpt_dir"), optional=("dataset_dir",))
        for name in ("output_dir", "ckpt_dir"):
            check_writable(o[name], name)
        if o["resume"] and Path(self.checkpoint).exists():
            self._check_checkpoint()

    def state_dict(self) -> dict[str, Any]:
        """The decisive options, and the number of processes, on which an epoch's length depends."""
        values = {name: self.options[name] for name in self.decisive}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        return values | {"world_size": idist.get_world_size()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See that the options are those of the interrupted run.

        Raises:
            ValueError: one differs; the message names all that do.
        """
        differing = [
            f"{name} (then {state_dict.get(name, 'not kept')!r}, now {value!r})"
            for name, value in self.state_dict().items()
            if state_dict.get(name) != value
        ]
        if differing:
            raise ValueError(
                f"cannot resume from {self.checkpoint}: it was written with other options: {', '.join(differing)}; "
                "give the same, or start afresh without --resume"
            )

    def _check_checkpoint(self) -> None:
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)["options"]
        except Exception as error:  # whatever torch says of a file that is none of ours
            raise ValueError(
                f"cannot resume from {self.checkpoint}: it is no checkpoint of this training, or damaged "
                f"({type(error).__name__}); delete it or start afresh without --resume"
            ) from error
        self.load_state_dict(state)


class AuditOptions:
    """Top-level options of ``audit.json``, looked at by :meth:`check` in the first step of ``run``.

    Args:
        dataset_dir, output_dir, ckpt_path, predictions_dir, partial_labels, device, structures, in_channels,
            num_workers: by their names there and in ``train.json``.
    """

    def __init__(
        self,
        dataset_dir: Any,
        output_dir: Any,
        ckpt_path: Any,
        predictions_dir: Any,
        partial_labels: Any,
        device: Any,
        structures: Any,
        in_channels: Any,
        num_workers: Any,
    ) -> None:
        self.paths = {
            "dataset_dir": dataset_dir,
            "output_dir": output_dir,
            "ckpt_path": ckpt_path,
            "predictions_dir": predictions_dir,
        }
        self.partial_labels, self.device, self.structures = partial_labels, device, structures
        self.in_channels, self.num_workers = in_channels, num_workers

    def check(self) -> None:
        """Look at the options.

        Raises:
            ValueError: one is missing, of the wrong kind, or does not fit another; the message names it.
        """
        paths = self.paths
        _check_paths(paths, tuple(paths), optional=("ckpt_path", "predictions_dir", "dataset_dir"))
        if paths["dataset_dir"] is None:
            raise ValueError("dataset_dir is missing: say which data set to audit with --dataset_dir")
        if (paths["ckpt_path"] is None) == (paths["predictions_dir"] is None):
            raise ValueError(
                "labels are judged by a network (--ckpt_path) or by predictions (--predictions_dir): give one of the "
                f"two, not {'both' if paths['ckpt_path'] else 'none'}"
            )
        if paths["predictions_dir"] is not None and not os.path.isdir(paths["predictions_dir"]):
            raise ValueError(
                f"predictions_dir {str(paths['predictions_dir'])!r} is not a folder: give the one that holds the "
                "predictions"
            )
        if not isinstance(self.partial_labels, bool):
            raise ValueError(f"partial_labels must be True or False, got {self.partial_labels!r}")
        _check_whole("in_channels", self.in_channels, 1)
        _check_whole("num_workers", self.num_workers, 0)
        _check_structures(self.structures)
        _check_device(self.device)
        check_writable(paths["output_dir"])


def _check_paths(options: Mapping[str, Any], names: tuple[str, ...], optional: tuple[str, ...]) -> None:
    for name in names:
        value = options[name]
        if not isinstance(value, (str, os.PathLike)) and not (name in optional and value is None):
            raise ValueError(f"{name} must be a path, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _check_whole(name: str, value: Any, low: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")


def _check_structures(structures: Any) -> None:
    if (
        not isinstance(structures, Mapping)
        or not structures
        or not all(re.fullmatch("[1-9][0-9]*", str(value)) for value in structures)
    ):
        raise ValueError(
            "structures must be label values from 1 on and their names, such as "
            f"--structures \"{{'1': 'liver', '2': 'tumour'}}\", got {structures!r}"
        )
    if high := [str(value) for value in structures if int(str(value)) > 255]:
        raise ValueError(f"structures must have label values up to 255, got {', '.join(high)}: renumber the labels")


def _check_device(device: Any) -> None:
    try:
        kind = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be cpu, cuda or cuda:N, got {device!r}") from error
    if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {device!r} is not there: {torch.cuda.device_count()} CUDA devices found; use cpu")
