"""Bad input is one line on the command line, and an error everywhere else."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
from monai.bundle import ConfigParser

from monai_selfcleanse import bad_input
from monai_selfcleanse.bad_input import exit_on_bad_input
from monai_selfcleanse.distributed import RankZeroError


@pytest.fixture(autouse=True)
def _hooks_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL), logging.getLogRecordFactory()
    yield
    signal.signal(signal.SIGTERM, before[0])
    logging.setLogRecordFactory(before[1])


def run_as(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this program be ``python -m`` a module; None for a script."""
    main = ModuleType("__main__")
    main.__spec__ = None if name is None else ModuleSpec(name, None)
    monkeypatch.setitem(sys.modules, "__main__", main)


def raising(error: BaseException) -> None:
    raise error


COMMANDS = ["monai.bundle.__main__", "monai_selfcleanse.noise.__main__", "monai_selfcleanse.monai_label.__main__"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "error", [ValueError("no such case"), FileNotFoundError("no such case"), RankZeroError("no"), MemoryError("no")]
)
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


@pytest.mark.parametrize("error", [RuntimeError("a bug"), KeyError("a bug")])
def test_what_is_no_bad_input_passes_through(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(COMMANDS[0], monkeypatch)
    with pytest.raises(type(error)):
        exit_on_bad_input(lambda: raising(error))


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_good_input_gives_the_steps_result(command: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(command, monkeypatch)
    assert exit_on_bad_input(lambda: 7) == 7


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_is_one_line_and_the_exit_code_that_shells_know(
    number: int, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_as(COMMANDS[0], monkeypatch)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job would ignore it
    with pytest.raises(SystemExit) as stop:
        exit_on_bad_input(lambda: os.kill(os.getpid(), number), "interrupted: nothing was written")
    signal.signal(signal.SIGINT, before)
    assert stop.value.code == code
    assert capsys.readouterr().err == "interrupted: nothing was written\n"


def error_of(config: dict[str, Any], name: str) -> BaseException:
    """What MONAI raises where it makes a component of a config."""
    parser = ConfigParser(config)
    with pytest.raises(RuntimeError) as caught:
        parser.get_parsed_content(name)
    return caught.value


def said(error: BaseException, capsys: pytest.CaptureFixture[str]) -> str:
    """What is said at last of an error that nobody has caught."""
    sys.excepthook(type(error), error, error.__traceback__)
    return capsys.readouterr().err


STORE = "monai_selfcleanse.cases.CaseStore"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"min_confidence": 2}, "min_confidence must lie in [0, 1], got 2"),
        ({"min_confidence": 0.5, "gap": 2}, "unexpected keyword argument 'gap'"),
    ],
)
def test_a_component_that_cannot_be_made_is_one_line(
    values: dict[str, Any], text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"store": {"_target_": STORE, "directory": "x", **values}, "run": "$@store.version"}
    error = error_of(config, "run")
    assert "Traceback" in said(error, capsys)
    run_as(COMMANDS[0], monkeypatch)
    exit_on_bad_input(lambda: None)
    line = said(error, capsys)
    assert line.startswith("error: CaseStore cannot be made of the values in config and options: ")
    assert text in line
    assert line.count("\n") == 1


def test_what_fails_in_a_run_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_as(COMMANDS[0], monkeypatch)
    exit_on_bad_input(lambda: None)
    assert "Traceback" in said(error_of({"run": "$__import__('json').loads('a bug')"}, "run"), capsys)
    for error, line in ((KeyboardInterrupt(), "interrupted\n"), (RuntimeError("a bug"), "RuntimeError: a bug\n")):
        assert said(error, capsys) == line


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (
            {"run": "$1 / 0"},
            "the configs' expression '$1 / 0' cannot be evaluated: ZeroDivisionError: division by zero",
        ),
        (
            {"run": "$nope"},
            "the configs' expression '$nope' cannot be evaluated: NameError: name 'nope' is not defined",
        ),
        ({"run": "@nope"}, "the configs do not fit together: the referring item `@nope` is not defined in the config"),
        ({"run": {"_target_": "no.such"}}, "the configs do not fit together: Cannot locate class or function path"),
    ],
)
def test_configs_that_do_not_fit_together_are_one_line(
    config: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_as(COMMANDS[0], monkeypatch)
    exit_on_bad_input(lambda: None)
    parser = ConfigParser(config)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        parser.get_parsed_content("run")
    shown = said(caught.value, capsys)
    assert shown.startswith(f"error: {line}")
    assert shown.count("\n") == 1


HOSTILE = "a\x1b[31mb\r\x9b\u202egnp.exe\u2066\x07\udcff"


def test_names_from_data_do_not_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    run_as(COMMANDS[0], monkeypatch)
    shown = "a\\x1b[31mb\\r\\x9b\\u202egnp.exe\\u2066\\x07\\udcff"
    with pytest.raises(SystemExit) as stop:
        exit_on_bad_input(lambda: raising(ValueError(HOSTILE)))
    assert stop.value.code == f"error: {shown}"
    record = logging.Logger("of this test").makeRecord("x", logging.INFO, "", 0, "case %s:\n\tü", (HOSTILE,), None)
    assert record.getMessage() == f"case {shown}:\n\tü"
