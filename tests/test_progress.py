"""What a user sees while something takes long: a bar on a terminal, lines in a log."""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from monai_selfcleanse.progress import progress


def shown(items: Sequence[int], path: Path, monkeypatch: pytest.MonkeyPatch, show: bool = True) -> str:
    """What the items' progress writes to standard error, a file."""
    with open(path, "w", encoding="utf-8") as log:
        monkeypatch.setattr(sys, "stderr", log)
        assert list(progress(items, "cases", show)) == list(items)
    return path.read_text(encoding="utf-8")


def test_a_log_gets_one_line_that_says_how_many_were_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = shown(range(7), tmp_path / "log", monkeypatch)
    assert log.isascii()
    assert log.endswith("\n")
    assert re.fullmatch(r"\s*cases: 100%\|#+\| 7/7 \[.*\]", re.split("[\r\n]", log.rstrip())[-1])
    assert len(re.findall(r"\d+%", log)) <= 2  # the beginning and the end: the items took no half minute


def everything_from(reader: int) -> str:
    parts = []
    with contextlib.suppress(BlockingIOError):
        while part := os.read(reader, 4096):
            parts.append(part)
    return b"".join(parts).decode()


def test_a_terminal_gets_a_bar_that_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    pty, fcntl, termios = map(pytest.importorskip, ("pty", "fcntl", "termios"))  # there are none on Windows
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w", encoding="utf-8") as terminal:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        monkeypatch.setattr(sys, "stderr", terminal)
        for _ in progress(range(4), "labels"):
            time.sleep(0.15)
        terminal.flush()
        monkeypatch.undo()
        os.set_blocking(reader, False)
        seen = everything_from(reader)
    os.close(reader)
    for n in range(5):
        assert f" {n}/4 " in seen
    assert "labels: 100%" in seen
    assert seen.count("\r") >= 5  # each in place of the one before
    assert not seen.isascii()


@pytest.mark.parametrize(("items", "show"), [([], True), ([1, 2, 3], False)])
def test_nothing_is_shown_of_nothing_or_where_it_is_not_wanted(
    items: list[int], show: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(items, tmp_path / "log", monkeypatch, show) == ""


def test_items_are_taken_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", open(tmp_path / "log", "w", encoding="utf-8"))  # noqa: SIM115
    taken = progress([1, 2, 3], "cases")
    assert next(taken) == 1
    assert next(taken) == 2
    taken.close()
    sys.stderr.close()
