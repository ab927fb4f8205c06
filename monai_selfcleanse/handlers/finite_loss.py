"""Handler that ends a training whose loss is no longer a number."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines.utils import IterationEvents

from ..distributed import gathered

__all__ = ["FiniteLoss", "LossNotFiniteError"]

_NAMED = 10
"""Cases that a message names at most."""


class LossNotFiniteError(ValueError):
    """The loss is NaN or infinite: the training has failed."""


class FiniteLoss:
    """Raise an error where the loss is NaN or infinite.

    The weights of a training that went on would be NaN, and so would all that follows. On a CPU the error comes before
    the optimizer takes a step by the loss. A GPU is not waited for: there it comes some steps later, at the latest at
    the epoch's end. In mixed precision the gradient scaler leaves out single steps of that kind; then it takes ten in a
    row, or the end of an epoch, to give up. No checkpoint is written meanwhile: the last one can be resumed from.

    Ignite's ``TerminateOnNan`` looks when the step has been taken, and then fires ``COMPLETED``: weights and report
    would be written. Attach this one to MONAI's trainers before whatever judges labels or saves.

    Raises:
        LossNotFiniteError: in training; the message has epoch, step and the cases of the batch. Also at an epoch's end
            where the network's running statistics are not finite.
    """

    patience = 10

    def __init__(self) -> None:
        self._since = ""
        self._in_a_row = 0
        self._open: deque[tuple[_Answer, str]] = deque()

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, IterationEvents.LOSS_COMPLETED):
            engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)
            engine.add_event_handler(Events.EPOCH_COMPLETED, self._epoch_completed)

    def __call__(self, engine: Engine) -> None:
        """Look at the loss of a step, and at those of earlier steps that are known by now."""
        output: Any = engine.state.output
        step = (engine.state.iteration - 1) % (engine.state.epoch_length or 1) + 1
        cases = list(dict.fromkeys(_cases(engine.state.batch)))
        named = ", ".join(cases[:_NAMED]) + (", ..." if len(cases) > _NAMED else "")
        where = f"epoch {engine.state.epoch}, step {step}" + (f" (cases {named})" if cases else "")
        self._open.append((_Answer(torch.isfinite(torch.as_tensor(output["loss"])).all()), where))
        self._heed(engine, wait=False)

    def _heed(self, engine: Engine, wait: bool) -> None:
        """Take the answers that are known, in order; those that are not, too, if it may take time."""
        while self._open and (wait or self._open[0][0].is_known):
            answer, where = self._open.popleft()
            if answer.value:
                self._in_a_row = 0
                continue
            self._since = self._since if self._in_a_row else where
            self._in_a_row += 1
            scaler = getattr(engine, "scaler", None)
            if scaler is None or not scaler.is_enabled() or self._in_a_row >= self.patience:
                self._give_up()

    def _epoch_completed(self, engine: Engine) -> None:
        """See that no rank's loss is still lost, and that no running statistics were, of a step that was left out."""
        self._heed(engine, wait=True)
        since = next((since for since in gathered(self._since if self._in_a_row else "") if since), "")
        if not since and not all(map(_is_finite, getattr(engine, "network", torch.nn.Identity()).buffers())):
            since = f"epoch {engine.state.epoch} (the network's running statistics are not)"
        if since:
            self._since = since
            self._give_up()

    def _give_up(self) -> None:
        self._open.clear()
        raise LossNotFiniteError(
            f"the loss is not finite since {self._since}: lower --learning_rate, or look at the intensities of these "
            "cases' images"
        )


class _Answer:
    """Yes or no from a device, which is not waited for before it is asked for.

    Args:
        flag: the answer, bool, one element.
    """

    def __init__(self, flag: torch.Tensor) -> None:
        self._flag, self._event = flag, None
        if flag.is_cuda:
            self._flag = torch.empty(flag.shape, dtype=flag.dtype, pin_memory=True)
            self._flag.copy_(flag, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    @property
    def is_known(self) -> bool:
        """Whether the value is there."""
        return self._event is None or self._event.query()

    @property
    def value(self) -> bool:
        """The answer."""
        if self._event is not None:
            self._event.synchronize()
        return bool(self._flag)


def _is_finite(buffer: torch.Tensor) -> bool:
    return not buffer.is_floating_point() or bool(torch.isfinite(buffer).all())


def _cases(batch: Any) -> Iterator[str]:
    """The ids of a batch's cases, collated or not; none where it does not know them."""
    for item in batch if isinstance(batch, (list, tuple)) else [batch]:
        found = item.get("case", ()) if isinstance(item, Mapping) else ()
        yield from [found] if isinstance(found, str) else map(str, found)
