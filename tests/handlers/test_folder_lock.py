"""A training keeps others out of its folder."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from monai_selfcleanse.files import only_process
from monai_selfcleanse.handlers import FolderLock

TRY = "import sys; from filelock import FileLock\nwith FileLock(sys.argv[1] + '/.lock').acquire(timeout=0): pass"
"""Another program that asks for a folder; by the lock alone, since to load the package takes seconds."""


def others_may(folder: Path) -> bool:
    return subprocess.run([sys.executable, "-c", TRY, str(folder)], stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.slow
def test_the_folder_is_taken_from_the_first_epoch_to_the_last(tmp_path: Path) -> None:
    engine = Engine(lambda *_: None)
    FolderLock(tmp_path / "out", tmp_path / "weights").attach(engine)
    free: list[bool] = []
    for moment in (Events.EPOCH_STARTED, Events.COMPLETED):  # results are written when it completes
        for name in ("out", "weights"):
            engine.add_event_handler(moment, lambda name: free.append(others_may(tmp_path / name)), name)
    engine.run([0], max_epochs=1)
    engine.run([0], max_epochs=2)  # a trainer that goes on
    assert free == [False] * 8
    assert others_may(tmp_path / "out")
    assert others_may(tmp_path / "weights")


@pytest.mark.slow
def test_a_training_in_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    code = TRY.replace("pass", "print('has it', flush=True); sys.stdin.read()")
    engine = Engine(lambda *_: None)
    FolderLock(tmp_path).attach(engine)
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        with pytest.raises(ValueError, match="is in use by another run"):
            engine.run([0])
        other.communicate("")
    engine.run([0])


@pytest.mark.slow
def test_a_training_that_failed_does_not_bar_the_next_of_its_process(tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise KeyError

    failing, engine = Engine(fail), Engine(lambda *_: None)
    for one in (failing, engine):
        FolderLock(tmp_path).attach(one)
    with pytest.raises(KeyError):
        failing.run([0])
    assert not others_may(tmp_path)
    with only_process(tmp_path):
        pass
    assert not others_may(tmp_path)
    thread = threading.Thread(target=lambda: engine.run([0]))
    thread.start()
    thread.join()
    assert engine.state.epoch == 1
    assert others_may(tmp_path)
