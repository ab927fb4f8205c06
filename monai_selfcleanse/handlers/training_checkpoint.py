"""Handler that lets an interrupted training go on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events

from ..distributed import on_rank_zero
from .state import CannotResumeError, check_states, load_state, state_of, write_state

__all__ = ["TrainingCheckpoint"]


class TrainingCheckpoint:
    """Keep one file with all that training needs to go on, replaced atomically after every epoch.

    MONAI's ``CheckpointSaver`` names its files by epoch and cannot keep just one under a fixed name; here the file is
    always the same, so that ``resume`` needs no path. Attach it before the handlers that have a state, which it loads,
    and it takes its place for saving, behind all of them, only when training starts. In a distributed training rank 0
    saves while the others wait, and every rank loads. What is kept must be the same on all of them. The file's epoch is
    in ``engine.state.checkpoint_epoch``.

    Args:
        path: the file.
        objects: what is kept, by name: everything with ``state_dict`` and ``load_state_dict``, and Ignite's
            ``EMAHandler`` (its model and the state of its momentum's warm-up). The trainer itself is added, and the
            gradient scaler that MONAI's has in mixed precision.
        resume: take up the file's state when training starts; where there is no file, start from the beginning.

    Raises:
        TypeError: an object has no state.
    """

    def __init__(self, path: str, objects: Mapping[str, Any], resume: bool = False) -> None:
        check_states(objects)
        self.path = Path(path)
        self.objects = dict(objects)
        self.resume = resume
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self._started, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self._started)

    def __call__(self, engine: Engine) -> None:
        """Save."""
        on_rank_zero(lambda: self._save(engine))
        engine.state.checkpoint_epoch = engine.state.epoch  # type: ignore[attr-defined]

    def _save(self, engine: Engine) -> None:
        state = {name: state_of(value) for name, value in self.objects.items()}
        state["trainer"] = {"epoch": engine.state.epoch, "iteration": engine.state.iteration}
        if (scaler := getattr(engine, "scaler", None)) is not None:
            state["trainer"]["scaler"] = scaler.state_dict()
        write_state(state, self.path)

    def load(self, engine: Engine) -> None:
        """Take up the file's state if asked to and there is one; not where an engine that has trained goes on.

        Raises:
            CannotResumeError: the file is of another training (other objects, or states that do not fit).
        """
        if not self.resume or engine.state.epoch > 0:
            return
        if not on_rank_zero(self.path.exists):
            self.logger.info(f"nothing to resume: there is no {self.path}; starting from the beginning")
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        if set(state) != {*self.objects, "trainer"}:
            raise CannotResumeError(
                f"{self.path} holds {sorted(state)}, this training needs {sorted([*self.objects, 'trainer'])}: resume "
                "with the options of the run that wrote it, or start afresh without resume"
            )
        try:
            for name, value in self.objects.items():
                load_state(value, state[name])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CannotResumeError(
                f"{self.path}: the state of {name!r} does not fit this training: {error}"
            ) from error
        scaler = getattr(engine, "scaler", None)
        if scaler is not None and state["trainer"].get("scaler"):  # there is none where the run went on on a CPU
            scaler.load_state_dict(state["trainer"]["scaler"])
        engine.state.epoch = state["trainer"]["epoch"]
        engine.state.iteration = state["trainer"]["iteration"]
        engine.state.checkpoint_epoch = engine.state.epoch  # type: ignore[attr-defined]
        self.logger.info(f"resumed from {self.path} after epoch {engine.state.epoch}")

    def _started(self, engine: Engine) -> None:
        self.load(engine)
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
