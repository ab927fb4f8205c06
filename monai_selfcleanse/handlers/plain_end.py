"""Handler that ends a training with one line, where something outside of the program has ended it."""

from __future__ import annotations

import logging
import sys
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from ..bad_input import exit_code_of, on_command_line, printable, shortage
from ..distributed import RankZeroError
from .finite_loss import LossNotFiniteError
from .state import CannotResumeError

__all__ = ["PlainEnd"]


class PlainEnd:
    """Have a training on the command line end with one line and without a traceback where no program is to blame.

    That is an interruption (Ctrl-C, SIGTERM), a file that cannot be read or written, as on a full disk, memory that is
    full, a loss that is not finite, and a checkpoint that does not fit. The line says after which epoch the training
    can be resumed. Every other error, and every error in a program of one's own, is raised as it is.

    Attach it before all other handlers, for Ignite asks the first alone what to do with an error; attach one to an
    evaluator that the training runs, too. It relies on :class:`TrainingCheckpoint` for the epoch.
    """

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer or an evaluator."""
        if not engine.has_event_handler(self, Events.EXCEPTION_RAISED):
            engine.add_event_handler(Events.EXCEPTION_RAISED, self)
            engine.logger.addFilter(_without_word_of_a_known_end)

    def __call__(self, engine: Engine, error: BaseException) -> None:
        """End the training."""
        if isinstance(engine, Evaluator) or not (on_command_line() and _is_known(error)):
            raise error  # an evaluator leaves it to its trainer
        kept: int = getattr(engine.state, "checkpoint_epoch", 0)
        go_on = "go on with --resume True" if kept else "start again"
        where = f"after epoch {kept}" if kept else "in the first epoch"
        if isinstance(error, KeyboardInterrupt):
            if idist.get_rank() == 0:
                print(f"interrupted {where}; {go_on}", file=sys.stderr)
            raise SystemExit(exit_code_of(error)) from error
        text = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        text = shortage(error) or text
        if isinstance(error, OSError) or shortage(error):
            text += f": the training has ended {where}; mend this, and {go_on}"
        raise SystemExit(printable(f"error: {text}")) from error


def _is_known(error: Any) -> bool:
    """Whether it is the user, the machine or the data that ends a training, and not a program."""
    known = (KeyboardInterrupt, OSError, LossNotFiniteError, RankZeroError, CannotResumeError)
    return isinstance(error, known) or (isinstance(error, BaseException) and shortage(error) is not None)


def _without_word_of_a_known_end(record: logging.LogRecord) -> bool:
    """Whether an engine may log this: not what it says of each error, where one line is to come."""
    error: Any = sys.exc_info()[1]
    return not (
        on_command_line()
        and (isinstance(error, SystemExit) or _is_known(error))
        and "terminating" in record.getMessage()
    )
