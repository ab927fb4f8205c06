"""``selfcleanse review``: how it starts, what it refuses, and how it ends."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers import judged_cohort
from review_cases import folder_of

from monai_selfcleanse import bad_input
from monai_selfcleanse.cli.command import main


@pytest.fixture(autouse=True)
def _no_command_line_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_input, "_console_script", False)


def ended(arguments: list[str], capsys: pytest.CaptureFixture) -> tuple[int, str]:
    """Exit code and what was said."""
    with pytest.raises(SystemExit) as caught:
        main(["review", *arguments])
    code, said = caught.value.code, capsys.readouterr()
    return (1, str(code)) if isinstance(code, str) else (int(code or 0), said.out + said.err)


def test_help_fits_a_screen(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    code, words = ended(["--help"], capsys)
    assert code == 0
    assert 5 < len(words.splitlines()) < 40
    assert "--no-browser" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: OUT"),
        (["OUT", "--prot", "1"], "unknown option --prot; did you mean --port?"),
        (["OUT", "--port", "x"], "argument --port: invalid int value: 'x'"),
        (["OUT", "--port", "70000"], "--port 70000: expected a number up to 65535"),
    ],
)
def test_wrong_use_ends_with_code_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture) -> None:
    code, words = ended(arguments, capsys)
    assert code == 2
    assert said in words
    assert len(words.splitlines()) == 1


def test_a_folder_without_a_record_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    code, words = ended([str(tmp_path)], capsys)
    assert code == 1
    assert f"{tmp_path}: has no judged.npz, so no training or audit has ended there" in words


def test_a_missing_extra_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = importlib.util.find_spec
    monkeypatch.setattr("monai_selfcleanse.cli.review.find_spec", lambda name: None if name == "uvicorn" else own(name))
    code, words = ended([str(tmp_path)], capsys)
    assert (code, words) == (1, "error: review needs uvicorn: pip install starlette uvicorn, the extra review")


def test_a_table_that_is_none_and_a_port_that_is_taken_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("uvicorn")
    folder = folder_of(judged_cohort(tmp_path / "data"), tmp_path / "OUT")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = ended([str(folder), "--no-browser", "--port", str(port)], capsys)
    assert code == 1
    assert re.fullmatch(rf"error: --port {port} cannot be had \(.*\): give another, or none", words)
    (folder / "decisions.csv").write_text("case,structure,decision\nx,1,keep\n")
    code, words = ended([str(folder), "--no-browser"], capsys)
    assert code == 1
    assert "decisions.csv, row 2: no case 'x' was judged" in words


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_review_is_served_until_it_is_ended(tmp_path: Path, number: int, code: int) -> None:
    pytest.importorskip("uvicorn")
    folder = folder_of(judged_cohort(tmp_path / "data"), tmp_path / "OUT")
    before = sorted(folder.rglob("*"))
    script = "from monai_selfcleanse.cli.command import main; main()"
    command = [sys.executable, "-c", script, "review", str(folder), "--no-browser", "--who", "anna"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert server.stdout is not None
        found = re.fullmatch(r"review at (http://127\.0\.0\.1:(\d+)/\?token=([\w-]{20,}))\n", server.stdout.readline())
        assert found
        with urllib.request.urlopen(found[1]) as page:
            assert b"Label review" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(found[1].replace(found[3], "x"))
        server.send_signal(number)
        out, error = server.communicate(timeout=30)
    finally:
        server.kill()
        server.wait()
    assert server.returncode == code
    assert "Traceback" not in error
    assert ("nothing was decided" in out) == (code == 0)
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", int(found[2])), timeout=5)
