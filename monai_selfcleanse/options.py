"""The options a user gives on the command line, looked at before anything else happens."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TypeVar

from .data.cohort import check_writable

__all__ = ["TrainingOptions", "exit_on_bad_input"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


def exit_on_bad_input(step: Callable[[], T]) -> T:
    """Do a step that looks at the user's input; where it raises ``ValueError``, end the program with its message alone.

    What a config's expression raises is wrapped by MONAI in an error of its own, behind two tracebacks, where nobody
    finds the one line that says what to do. ``SystemExit`` passes through. The traceback is logged at level DEBUG.
    """
    try:
        return step()
    except ValueError as error:
        logger.debug("bad input", exc_info=True)
        raise SystemExit(f"error: {error}") from error


class TrainingOptions:
    """Top-level options of ``train.json`` that must fit together.

    The constructor keeps them; :meth:`check` is the first step of ``run``, so that a config may be loaded, or its
    trainer's epochs overridden, without being refused.

    Args:
        epochs: number of epochs.
        warmup_epochs: epoch of the filter's first round.
        seed: at least 0.
        output_dir, ckpt_dir: folders to write to.
        self_cleanse: whether filter and cleanser take part.
    """

    def __init__(
        self, epochs: int, warmup_epochs: int, seed: int, output_dir: str, ckpt_dir: str, self_cleanse: bool
    ) -> None:
        self.epochs, self.warmup_epochs, self.seed = epochs, warmup_epochs, seed
        self.output_dir, self.ckpt_dir = output_dir, ckpt_dir
        self.self_cleanse = self_cleanse

    def check(self) -> None:
        """Look at the options.

        Raises:
            ValueError: one is out of range, of the wrong kind, or does not fit another; the message names it.
        """
        for name, low in (("epochs", 1), ("warmup_epochs", 1), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise ValueError(f"{name} must be a whole number of at least {low}, got {value!r}")
        if not isinstance(self.self_cleanse, bool):
            raise ValueError(f"self_cleanse must be True or False, got {self.self_cleanse!r}")
        if self.self_cleanse and self.epochs <= self.warmup_epochs:
            raise ValueError(
                f"epochs ({self.epochs}) must be more than warmup_epochs ({self.warmup_epochs}), or no label is ever "
                "judged: train longer, warm up for fewer epochs, or switch the filter off with --self_cleanse False"
            )
        for name in ("output_dir", "ckpt_dir"):
            directory = getattr(self, name)
            if not isinstance(directory, (str, os.PathLike)):
                raise ValueError(f"{name} must be a path, got {directory!r}")
            check_writable(directory)
