"""Bad input ends with one line where somebody is at the command line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

from .distributed import RankZeroError

__all__ = ["at_the_command_line", "exit_on_bad_input"]

T = TypeVar("T")
logger = logging.getLogger(__name__)


def exit_on_bad_input(step: Callable[[], T]) -> T:
    """Do a step that looks at the user's input; on the command line, end with the message alone where that is bad.

    What a config's expression raises is wrapped by MONAI in an error of its own, behind two tracebacks, where nobody
    finds the one line that says what to do; ``SystemExit`` passes through. So ``python -m monai.bundle``, and this
    package's own commands, end with the message of a ``ValueError`` or of an ``OSError`` (a file or folder that cannot
    be read or written), and the traceback is logged at level DEBUG. In every other program, such as one with a
    ``ConfigParser`` or a ``MonaiAlgo``, or MONAI Label's server, the error is raised as it is.
    """
    try:
        return step()
    except (ValueError, OSError, RankZeroError) as error:
        if not _on_command_line():
            raise
        logger.debug("bad input", exc_info=True)
        raise SystemExit(f"error: {error}") from error


_console_script = False


def at_the_command_line() -> None:
    """Say that this program is a command of this package, whatever has started it."""
    global _console_script
    _console_script = True


def _on_command_line() -> bool:
    """Whether this program is ``python -m monai.bundle`` or a command of this package."""
    if _console_script:
        return True
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    return name.startswith(("monai.bundle.", f"{__package__}."))
