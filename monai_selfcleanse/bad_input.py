"""What a user can mend ends with one line where somebody is at the command line: bad input, and an interruption."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeVar

import torch

from .distributed import RankZeroError

__all__ = [
    "Terminated",
    "at_the_command_line",
    "exit_code_of",
    "exit_on_bad_input",
    "on_command_line",
    "printable",
    "shortage",
]

T = TypeVar("T")
logger = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM has come: an interruption like Ctrl-C, with another exit code."""


def exit_code_of(interruption: KeyboardInterrupt) -> int:
    """The exit code that shells know: 143 after SIGTERM, 130 after Ctrl-C."""
    return 128 + (signal.SIGTERM if isinstance(interruption, Terminated) else signal.SIGINT)


_UNPRINTABLE = re.compile(
    "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
)
"""What moves a terminal's cursor, changes its colours, or the direction of its text; and what is no text."""


def printable(text: str) -> str:
    """A text for a terminal, whatever names from data are in it: control and bidi characters as ``\\x1b``."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortage(error: BaseException) -> str | None:
    """What a machine has too little of, and what to do, where an error says that; None for any other error."""
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, RuntimeError) and text.startswith("DataLoader worker"):
        return f"{text.rstrip('. ')}: most often the memory is full; give a smaller --num_workers, or 0"
    if isinstance(error, MemoryError):
        return text or "out of memory"
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"{text.rstrip('. ')}: take a smaller --batch_size or --patch_size, or larger voxels"
    return None


def exit_on_bad_input(step: Callable[[], T], interrupted: str = "interrupted") -> T:
    """Do a step that looks at the user's input; on the command line, end with the message alone where that is bad.

    What a config's expression raises is wrapped by MONAI in an error of its own, behind two tracebacks, where nobody
    finds the one line that says what to do; ``SystemExit`` passes through. So ``python -m monai.bundle``, and this
    package's own commands, end with the message of a ``ValueError``, of an ``OSError`` (a file or folder that cannot be
    read or written) or of a :func:`shortage`, and the traceback is logged at level DEBUG. From the first such step on,
    these programs end in the same way where a component of a config cannot be made of its values, and where they are
    interrupted, and log names from data without characters that would steer a terminal. In every other program, such as
    one with a ``ConfigParser`` or a ``MonaiAlgo``, or MONAI Label's server, the error is raised as it is.

    Args:
        step: takes nothing.
        interrupted: what to say where Ctrl-C or SIGTERM ends the step.
    """
    if not on_command_line():
        return step()
    _end_plainly()
    try:
        return step()
    except (ValueError, OSError, RankZeroError) as error:
        logger.debug("bad input", exc_info=True)
        raise SystemExit(printable(f"error: {error}")) from error
    except (RuntimeError, MemoryError) as error:
        if (line := shortage(error)) is None:
            raise
        logger.debug("bad input", exc_info=True)
        raise SystemExit(printable(f"error: {line}")) from error
    except KeyboardInterrupt as error:
        print(interrupted, file=sys.stderr)
        raise SystemExit(exit_code_of(error)) from error


_console_script = False


def at_the_command_line() -> None:
    """Say that this program is a command of this package, whatever has started it."""
    global _console_script
    _console_script = True


def on_command_line() -> bool:
    """Whether this program is ``python -m monai.bundle`` or a command of this package."""
    if _console_script:
        return True
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    return name.startswith(("monai.bundle.", f"{__package__}."))


def _end_plainly() -> None:
    """Have SIGTERM clean up as Ctrl-C does, and what is left to Python's own end said in one line."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        own = os.getpid()

        def terminate(number: int, frame: FrameType | None) -> None:
            if os.getpid() != own:  # a worker of a data loader, which its parent may end at any time
                os._exit(128 + number)
            raise Terminated

        signal.signal(signal.SIGTERM, terminate)
    sys.excepthook = _say_in_one_line
    if not isinstance(factory := logging.getLogRecordFactory(), _PrintableRecords):
        logging.setLogRecordFactory(_PrintableRecords(factory))


class _PrintableRecords:
    """Makes what is logged :func:`printable`, whoever logs it and wherever it goes."""

    def __init__(self, factory: Callable[..., logging.LogRecord]) -> None:
        self.factory = factory

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self.factory(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception:  # a message that does not fit its values is logging's to tell
            return record
        if (shown := printable(text)) != text:
            record.msg, record.args = shown, ()
        return record


def _say_in_one_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Python's last word on an error that nobody has caught."""
    if isinstance(error, Terminated):  # Python itself ends as after Ctrl-C
        print("interrupted", file=sys.stderr, flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)
    elif isinstance(error, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
    elif (line := _of_the_machine_or_a_component(error)) is not None:
        logger.debug("bad input", exc_info=error)
        print(printable(f"error: {line}"), file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


def _innermost_file(error: BaseException) -> str:
    """The program file in which an error was raised."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return "" if at is None else at.tb_frame.f_code.co_filename


def _of_the_machine_or_a_component(error: BaseException) -> str | None:
    """What a component of a config says of the values that it was to be made of, or MONAI of the configs; else None.

    A file or folder that cannot be read or written is named wherever that shows, and so is a :func:`shortage`. MONAI
    raises an error of its own for each component around the one that failed.
    """
    component, expression = None, ""
    while isinstance(error, RuntimeError) and error.__cause__ is not None and str(error).startswith("Failed to "):
        component = str(error).split("'")[1] if str(error).startswith("Failed to instantiate component '") else None
        expression = " ".join(str(error).partition("ConfigExpression:")[2].split())
        error = error.__cause__
    if (line := shortage(error)) is not None:
        return line
    place = _innermost_file(error)
    if expression and place == "<string>":  # it is the expression that fails, not what it calls
        return f"the configs' expression {expression} cannot be evaluated: {type(error).__name__}: {error}"
    unknown = str(error).startswith("Cannot locate class")
    if unknown or (component is None and os.path.join("monai", "bundle", "") in place):
        return f"the configs do not fit together: {' '.join(str(error).split())}"
    if component is None:
        return str(error) if isinstance(error, OSError) else None
    if not isinstance(error, (ValueError, TypeError, OSError)):
        return None
    text = " ".join(str(error).split())
    return f"{component.rpartition('.')[2]} cannot be made of the values in config and options: {text}"
