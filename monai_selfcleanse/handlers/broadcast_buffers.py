"""Handler that keeps the ranks of a distributed training from drifting apart in what is not a parameter."""

from __future__ import annotations

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

__all__ = ["BroadcastBuffers"]


class BroadcastBuffers:
    """Give every rank rank 0's buffers of a model at the end of each epoch.

    ``DistributedDataParallel`` keeps the parameters alike, and averages of them stay alike by themselves. Running
    statistics of a plain ``BatchNorm`` are each rank's own after an iteration (``SyncBatchNorm``, for GPUs alone, has
    none of this), so those of averaged (EMA) weights are, too. Attach it after the averaging and before whatever
    predicts with the model, so that all ranks predict with one network, the one that is saved. In one process it does
    nothing.

    Args:
        model: the averaged network usually.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.model = model

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Broadcast."""
        if idist.get_world_size() == 1:
            return
        for buffer in self.model.buffers():
            torch.distributed.broadcast(buffer, src=0)
