"""Handler that begins a training's later rounds from fresh weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from ignite.engine import Engine, Events

from ..core.rounds import place_of
from .state import check_states, load_state, state_of

__all__ = ["TrainingRounds"]


class TrainingRounds:
    """Put network, optimizer and averages back into their first state at the start of each round but the first.

    What a network has learned from wrong labels goes with its weights. What it has found out about them stays: the
    targets of the :class:`LabelCleanser`, on which the next round is trained, labels kept as given and redrawn ones
    together.

    The first state is the one when training starts. Attach it behind what loads pretrained weights, which then every
    round begins with, and before :class:`TrainingCheckpoint`. A training that is resumed has its first state from the
    same seed as the interrupted one.

    Args:
        epochs: number of epochs of each round (:func:`monai_selfcleanse.core.rounds.epochs_of_rounds`). One round: the
            handler does nothing.
        objects: what begins afresh, by name: everything with ``state_dict`` and ``load_state_dict``, and Ignite's
            ``EMAHandler``. A learning rate by :class:`monai_selfcleanse.lr_scheduler.RoundsLR` knows the rounds itself.

    Raises:
        TypeError: an object has no state.
        ValueError: there is no round, or one without an epoch.
    """

    def __init__(self, epochs: Sequence[int], objects: Mapping[str, Any]) -> None:
        if not epochs or min(epochs) < 1:
            raise ValueError(f"epochs must be at least 1 in each of one or more rounds, got {list(epochs)}")
        check_states(objects)
        self.epochs, self.objects = list(epochs), dict(objects)
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")
        self._first: dict[str, Any] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if len(self.epochs) > 1 and not engine.has_event_handler(self, Events.EPOCH_STARTED):
            engine.add_event_handler(Events.STARTED, self._started)
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Begin a round, if this is its first epoch."""
        number, epoch, length = place_of(engine.state.epoch, self.epochs)
        if epoch > 1:
            return
        start = engine.state.epoch
        self.logger.info(
            f"round {number} of {len(self.epochs)} begins: epochs {start} to {start + length - 1}"
            + (", from fresh weights, with the targets that the last look has left" if number > 1 else "")
        )
        if number > 1:
            for name, value in self.objects.items():
                load_state(value, self._first[name])

    def _started(self) -> None:
        if not self._first:
            self._first = {name: deepcopy(state_of(value)) for name, value in self.objects.items()}
