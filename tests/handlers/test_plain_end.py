"""What ends a training from outside is one line on the command line."""

from __future__ import annotations

import logging
import resource
import signal
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from helpers import files_below
from ignite.engine import Engine
from monai.handlers import StatsHandler

from monai_selfcleanse.bad_input import Terminated
from monai_selfcleanse.handlers import LossNotFiniteError, PlainEnd, TrainingCheckpoint
from monai_selfcleanse.handlers.state import CannotResumeError, write_state


def run_as(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this program be ``python -m`` a module."""
    main = ModuleType("__main__")
    main.__spec__ = ModuleSpec(name, None)
    monkeypatch.setitem(sys.modules, "__main__", main)


def broken_off(folder: Path, error: BaseException, epoch: int) -> Engine:
    """A trainer that an error ends in an epoch, with a handler that logs every error with its traceback."""

    def step(engine: Engine, _: object) -> None:
        if engine.state.epoch == epoch:
            raise error

    engine = Engine(step)
    PlainEnd().attach(engine)
    StatsHandler(iteration_log=False, epoch_log=False, name="of this test").attach(engine)
    TrainingCheckpoint(str(folder / "last.pt"), {"network": torch.nn.Linear(1, 1)}).attach(engine)
    return engine


@pytest.mark.parametrize(
    ("error", "epoch", "code", "line"),
    [
        (KeyboardInterrupt(), 3, 130, "interrupted after epoch 2; go on with --resume True"),
        (Terminated(), 3, 143, "interrupted after epoch 2; go on with --resume True"),
        (KeyboardInterrupt(), 1, 130, "interrupted in the first epoch; start again"),
        (
            OSError(28, "No space left on device"),
            2,
            "error: [Errno 28] No space left on device: the training has ended after epoch 1; mend this, and go on "
            "with --resume True",
            "",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            2,
            "error: DataLoader worker (pid 7) is killed by signal: Killed: most often the memory is full; give a "
            "smaller --num_workers, or 0: the training has ended after epoch 1; mend this, and go on with --resume "
            "True",
            "",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB."),
            1,
            "error: CUDA out of memory. Tried to allocate 20 GiB: take a smaller --batch_size or --patch_size, or "
            "larger voxels: the training has ended in the first epoch; mend this, and start again",
            "",
        ),
        (LossNotFiniteError("the loss is not finite"), 2, "error: the loss is not finite", ""),
        (CannotResumeError("last.pt: does not fit"), 2, "error: last.pt: does not fit", ""),
    ],
)
def test_a_known_end_is_one_line(
    error: BaseException,
    epoch: int,
    code: int | str,
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    run_as("monai.bundle.__main__", monkeypatch)
    logging.disable(logging.NOTSET)
    with pytest.raises(SystemExit) as stop:
        broken_off(tmp_path, error, epoch).run([0], max_epochs=4)
    assert stop.value.code == code
    assert capsys.readouterr().err == (f"{line}\n" if line else "")
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("error", [KeyError("a bug"), RuntimeError("a bug")])
def test_any_other_error_is_raised(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as("monai.bundle.__main__", monkeypatch)
    with pytest.raises(type(error)):
        broken_off(tmp_path, error, 1).run([0], max_epochs=4)


def test_a_program_of_ones_own_gets_every_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_as("a_program.of_ones_own", monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path, KeyboardInterrupt(), 1).run([0], max_epochs=4)


def test_a_checkpoint_that_finds_no_room_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """``torch.save`` to a path makes a RuntimeError of it, and cuts the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_state({"weights": torch.zeros(10_000)}, tmp_path / "last.pt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert files_below(tmp_path) == []
