"""Handler that makes every epoch's randomness a function of the seed and the epoch's number."""

from __future__ import annotations

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd
from monai.utils import set_determinism

__all__ = ["EpochSeeder"]


class EpochSeeder:
    """Seed Python, NumPy, torch and the data set's transforms at the start of each epoch.

    Shuffling and augmentation of epoch ``e`` then depend on ``(seed, e)`` alone, so that a training resumed after any
    epoch goes on as if it had not been interrupted. Ignite makes the data loader's iterator after this event, so that
    worker processes get their seeds from it, too. The ranks of a distributed training get different seeds, for they are
    to augment differently; which cases each takes is up to its ``DistributedSampler``, which has a seed of its own.

    Args:
        seed: at least 0.
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"seed must be at least 0, got {seed}")
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.EPOCH_STARTED):
            engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that starts."""
        # The factor (2**32 by the golden ratio) keeps ranks far from each other's epochs, whatever the seed.
        seed = (self.seed * 1_000_003 + engine.state.epoch + idist.get_rank() * 0x9E3779B1) % 2**32
        set_determinism(seed)
        dataset = getattr(engine.state.dataloader, "dataset", None)
        if dataset is not None:
            set_rnd(dataset, seed)
