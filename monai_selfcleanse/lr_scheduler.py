"""Learning rate over a training of several rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from .core.rounds import place_of

__all__ = ["RoundsLR"]


class RoundsLR(LambdaLR):
    r"""In each round anew: a linear warm-up, the full rate for long, and a cosine down to 0.

    .. math::
        \frac{lr(t)}{lr} = \begin{cases}
            s + (1 - s) \min(1, t / w) & t < h \\
            \tfrac12 \left(1 + \cos \pi \frac{t - h}{T - h}\right) & t \ge h \end{cases}

    of a round's ``T`` steps, with ``w`` those of the warm-up, and ``h`` those before the rate falls. It stays high for
    long, since a network learns wrong labels by heart as it falls.

    Args:
        optimizer: whose rates are the highest ones.
        steps: number of steps of each round, one round or more. Behind the last the rate stays 0.
        warm_up: share of a round's steps, in [0, 1].
        hold: share of a round's steps before the rate falls, in [0, 1].
        start_factor: what the warm-up begins with, as a share of the rate, in [0, 1].
    """

    def __init__(
        self,
        optimizer: Optimizer,
        steps: Sequence[int],
        warm_up: float = 0.1,
        hold: float = 0.6,
        start_factor: float = 0.04,
    ) -> None:
        self.steps = list(steps)
        self.warm_up, self.hold, self.start_factor = warm_up, hold, start_factor
        super().__init__(optimizer, self.factor)

    def factor(self, step: int) -> float:
        """Share of the full rate at a step, from 0 on, in [0, 1]."""
        _, place, total = place_of(step + 1, self.steps)
        done, hold = place - 1, round(self.hold * total)
        if done < hold:
            warm = max(1, round(self.warm_up * total))
            return self.start_factor + (1 - self.start_factor) * min(1.0, done / warm)
        return (1 + math.cos(math.pi * min(1.0, (done - hold) / max(1, total - hold)))) / 2
