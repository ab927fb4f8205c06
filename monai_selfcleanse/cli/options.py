"""The options a user gives on the command line, looked at before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch

from ..core.rounds import total_epochs
from ..files import check_writable
from ..run_folder import RunFolder
from .option_table import OPTIONS

__all__ = ["AuditOptions", "TrainingOptions", "read_checkpoint", "share_of_epochs"]


def share_of_epochs(epochs: Any, share: float) -> int:
    """That share of the epochs, rounded, at least 1; for what is no whole number, which others refuse, 1."""
    return max(1, round(epochs * share)) if isinstance(epochs, int) else 1


class TrainingOptions:
    """Top-level options of ``train.json`` that must be of the right kind and fit together.

    The constructor keeps them; :meth:`check` is the first step of ``run``, so that a config may be loaded, or its
    trainer's epochs overridden, without being refused. Its ``state_dict`` in a checkpoint ties that to the options of
    its run.

    Args:
        options: values by their names in :data:`monai_selfcleanse.cli.option_table.OPTIONS`.
        checkpoint: the file that ``resume`` takes up.
        round_epochs: number of epochs of each of the trainer's rounds.
    """

    def __init__(self, options: Mapping[str, Any], checkpoint: str, round_epochs: Sequence[int]) -> None:
        self.options = dict(options)
        self.checkpoint = checkpoint
        self.round_epochs = list(round_epochs)

    def check(self) -> None:
        """Look at the options.

        Raises:
            ValueError: one is out of range, of the wrong kind, or does not fit another; the message names it.
        """
        o = self.options
        _check_kinds(o)
        # A trainer whose epochs are set elsewhere, as by MONAI Label, is not refused: the filter warns when it starts.
        if o["self_cleanse"] and sum(self.round_epochs) == total_epochs(o["epochs"], o["rounds"]):
            _check_looks(self.round_epochs, o["warmup_epochs"], o["redraw_epoch"])
        for name in ("output_dir", "ckpt_dir"):
            check_writable(o[name], name)
        if o["resume"] and Path(self.checkpoint).exists():
            self.load_state_dict(read_checkpoint(self.checkpoint, "options"))

    def state_dict(self) -> dict[str, Any]:
        """The options that a resumed training must share, and the number of processes, on which its epochs depend."""
        values = {name: value for name, value in self.options.items() if OPTIONS[name].fixed}
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
        if "structures" in values:  # keys may be numbers or text
            values["structures"] = {str(key): name for key, name in values["structures"].items()}
        return values | {"world_size": idist.get_world_size()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See that the options are those of the interrupted run.

        Raises:
            ValueError: one differs, or the other run did not know one; the message names all that do.
        """
        unknown = [name for name in self.state_dict() if name not in state_dict]
        if unknown:
            raise ValueError(
                f"cannot resume from {self.checkpoint}: another version wrote it, which knew no {', '.join(unknown)}; "
                "start afresh without --resume"
            )
        differing = [
            f"{name} (then {state_dict[name]!r}, now {value!r})"
            for name, value in self.state_dict().items()
            if state_dict[name] != value
        ]
        if differing:
            raise ValueError(
                f"cannot resume from {self.checkpoint}: it was written with other options: {', '.join(differing)}; "
                "give the same, or start afresh without --resume"
            )


def read_checkpoint(path: str, name: str) -> Any:
    """One object's state from a checkpoint.

    Raises:
        ValueError: the file is none of this training, or damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)[name]
    except Exception as error:  # whatever torch says of a file that is none of ours
        raise ValueError(
            f"cannot resume from {path}: it is no checkpoint of this training, of another version, or damaged "
            f"({type(error).__name__}); delete it or start afresh without --resume"
        ) from error


def _check_looks(rounds: Sequence[int], warmup_epochs: int, redraw_epoch: int | None) -> None:
    """See that labels are judged early enough to be cleansed, in rounds of so many epochs.

    Raises:
        ValueError: they are not; the message names the option.
    """
    if warmup_epochs > rounds[0] or [warmup_epochs] == [*rounds]:
        wanted = f"epochs ({rounds[0]}) must be more than"
        if len(rounds) > 1:
            wanted = f"epochs of the first of {len(rounds)} rounds ({rounds[0]}) must be at least"
        raise ValueError(
            f"{wanted} warmup_epochs ({warmup_epochs}), or labels are judged too late to be cleansed: train longer, "
            "warm up for fewer epochs, or switch the filter off with --self_cleanse False"
        )
    if redraw_epoch is not None and redraw_epoch > sum(rounds):
        raise ValueError(
            f"redraw_epoch ({redraw_epoch}) lies behind the last of the epochs ({sum(rounds)}): give an earlier "
            "one, or omit it"
        )


class AuditOptions:
    """Top-level options of ``audit.json``, looked at by :meth:`check` in the first step of ``run``.

    Args:
        options: values by their names in :data:`monai_selfcleanse.cli.option_table.OPTIONS`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = dict(options)

    def check(self) -> None:
        """Look at the options.

        Raises:
            ValueError: one is missing, of the wrong kind, or does not fit another; the message names it.
        """
        o = self.options
        _check_kinds({name: value for name, value in o.items() if (name, value) != ("num_workers", None)})
        if o["dataset_dir"] is None:
            raise ValueError("dataset_dir is missing: say which data set to audit with --dataset_dir")
        if (o["ckpt_path"] is None) == (o["predictions_dir"] is None):
            raise ValueError(
                "labels are judged by a network (--ckpt_path) or by predictions (--predictions_dir): give one of the "
                f"two, not {'both' if o['ckpt_path'] else 'none'}"
            )
        if o["predictions_dir"] is not None and not os.path.isdir(o["predictions_dir"]):
            raise ValueError(
                f"predictions_dir {str(o['predictions_dir'])!r} is not a folder: give the one that holds the "
                "predictions"
            )
        check_writable(o["output_dir"])
        if o["predictions_dir"] is not None:
            _check_no_labels(o["predictions_dir"], RunFolder(o["output_dir"]))


def _check_no_labels(predictions_dir: str | os.PathLike, folder: RunFolder) -> None:
    """See that predictions do not lie in a folder of labels in the output folder.

    Raises:
        ValueError: they do; the message names the folder.
    """
    here = Path(predictions_dir).resolve()
    for labels in folder.of_labels():
        if labels.resolve() in (here, *here.parents):
            raise ValueError(
                f"predictions_dir {str(predictions_dir)!r} lies in {labels}, where this package keeps labels: these "
                "would be judged by themselves; give the folder of a network's predictions"
            )


def _check_kinds(options: Mapping[str, Any]) -> None:
    """See that each option is of the right kind (:data:`monai_selfcleanse.cli.option_table.OPTIONS`)."""
    for name, value in options.items():
        if (check := OPTIONS[name].check) is not None:
            check(name, value)
