"""Handler that writes the trained weights once training has come to its end."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from ignite.engine import Engine, Events
from monai.networks.utils import get_state_dict

from ..distributed import on_rank_zero
from .state import write_state

__all__ = ["WeightsSaver"]


class WeightsSaver:
    """Write a flat, tensor-only state dict, as ``monai.bundle.load`` takes it, when training completes.

    MONAI's ``CheckpointSaver`` also writes when training breaks off, over weights that may be in use, and not
    atomically. Here a file is replaced by a whole one or not at all. In a distributed training rank 0 writes while
    the others wait.

    Args:
        path: the file; folders are made.
        model: the network whose weights are written, the averaged (EMA) one usually.
    """

    def __init__(self, path: str, model: torch.nn.Module) -> None:
        self.path = Path(path)
        self.model = model
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write."""
        on_rank_zero(self._save)

    def _save(self) -> None:
        weights = get_state_dict(self.model)  # of what DistributedDataParallel wraps, without its prefix
        write_state({name: value.detach().cpu().contiguous() for name, value in weights.items()}, self.path)
