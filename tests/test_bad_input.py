"""Bad input is one line on the command line, and an error everywhere else."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from monai_selfcleanse import bad_input
from monai_selfcleanse.bad_input import exit_on_bad_input
from monai_selfcleanse.distributed import RankZeroError


def run_as(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this program be ``python -m`` a module; None for a script."""
    main = ModuleType("__main__")
    main.__spec__ = None if name is None else ModuleSpec(name, None)
    monkeypatch.setitem(sys.modules, "__main__", main)


def raising(error: BaseException) -> None:
    raise error


COMMANDS = ["monai.bundle.__main__", "monai_selfcleanse.noise.__main__", "monai_selfcleanse.monai_label.__main__"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [ValueError("no such case"), FileNotFoundError("no such case"), RankZeroError("no")])
def test_a_command_ends_with_the_message_alone(
    command: str, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_as(command, monkeypatch)
    # A logger of its own: commands that ran in this process before may have switched others off.
    logging.disable(logging.NOTSET)
    logger = logging.Logger("of this test", logging.DEBUG)
    logger.addHandler(caplog.handler)
    monkeypatch.setattr(bad_input, "logger", logger)
    with pytest.raises(SystemExit) as stop:
        exit_on_bad_input(lambda: raising(error))
    assert stop.value.code == f"error: {error}"
    assert [(record.levelname, record.exc_info and record.exc_info[1]) for record in caplog.records] == [
        ("DEBUG", error)
    ]


@pytest.mark.parametrize("program", [None, "monailabel.main", "monai.bundlefly", "monai_selfcleanse_of_another.run"])
def test_any_other_program_gets_the_error(program: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(program, monkeypatch)
    with pytest.raises(ValueError, match="no such case"):
        exit_on_bad_input(lambda: raising(ValueError("no such case")))


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("a bug"), KeyboardInterrupt()])
def test_what_is_no_bad_input_passes_through(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(COMMANDS[0], monkeypatch)
    with pytest.raises(type(error)):
        exit_on_bad_input(lambda: raising(error))


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_good_input_gives_the_steps_result(command: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(command, monkeypatch)
    assert exit_on_bad_input(lambda: 7) == 7
