"""Handler for trainings whose weights are replaced from outside, as in a federation."""

from __future__ import annotations

from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler

__all__ = ["EMARestart"]


class EMARestart:
    """Have an average of weights begin anew, from the network's own, each time the trainer is run.

    A federation's client runs its trainer once a round, with weights that the server has put into the network. An
    average that reaches back behind that would mix them with weights that the federation has left.

    Args:
        ema: the averaging handler; its model becomes a copy of its network when training starts or goes on.
    """

    def __init__(self, ema: EMAHandler) -> None:
        self.ema = ema

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.STARTED):
            engine.add_event_handler(Events.STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Begin anew."""
        self.ema.ema_model.load_state_dict(self.ema.model.state_dict())
