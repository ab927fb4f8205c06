"""What all campaigns share: commands that are run and killed, tiny data, and what counts as held."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import resource
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

ROOT = Path(__file__).parents[2]

LIMIT_SECONDS = 120
"""A command that takes longer counts as hanging."""

TINY_TRAINING = [
    *("--epochs", "4", "--warmup_epochs", "2", "--redraw_epoch", "4", "--val_interval", "2"),
    *("--patch_size", "[32,32,1]", "--inferer#roi_size", "[32,32]", "--learning_rate", "0.02"),
    *("--network_def#channels", "[4,8,16]", "--network_def#strides", "[2,2]", "--device", "cpu"),
]
"""Options of a training of seconds."""


@dataclass
class Row:
    """A line of the table.

    Attributes:
        tried: what, in words.
        n: how often.
        broken: what did not hold, a line each.
        note: numbers, if there are any.
    """

    tried: str
    n: int = 0
    broken: list[str] = field(default_factory=list)
    note: str = ""

    def see(self, holds: bool, otherwise: str) -> None:
        """Count one more."""
        self.n += 1
        if not holds:
            self.broken.append(otherwise)


@dataclass(frozen=True)
class Ended:
    """How a command has ended: its exit code (negative for a signal), what it has said, and what it took."""

    code: int
    said: str
    seconds: float
    megabytes: float
    hung: bool = False

    @property
    def has_traceback(self) -> bool:
        return "Traceback (most recent call last)" in self.said

    @property
    def is_refusal(self) -> bool:
        """One error that says what is wrong, and nothing that only a programmer reads."""
        says = any(line.startswith("error: ") or "error: " in line for line in self.said.splitlines())
        return self.code in (1, 2) and says and not self.has_traceback and not self.hung

    def __str__(self) -> str:
        last = next((line for line in reversed(self.said.splitlines()) if line.strip()), "")
        how = "hangs" if self.hung else "traceback" if self.has_traceback else f"exit code {self.code}"
        return f"{how}, {self.seconds:.0f} s: {last[:150]}"


def warm_up() -> None:
    """Import what commands need, so that a forked one starts at once."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    import torch

    import monai_selfcleanse.audit
    import monai_selfcleanse.cli.command
    import monai_selfcleanse.data.noisy_copy
    import monai_selfcleanse.handlers  # noqa: F401

    torch.set_num_threads(1)


def run(
    command: Sequence[Any],
    seconds: float = LIMIT_SECONDS,
    kill_after: float | None = None,
    gigabytes: float | None = None,
) -> Ended:
    """Run ``selfcleanse ...``, or a module as ``python -m`` does, in a process of its own.

    Args:
        command: ``"selfcleanse"`` or the module, and its arguments.
        seconds: after which it counts as hanging, and is killed.
        kill_after: seconds after which it gets a SIGKILL, with all its workers.
        gigabytes: limit of its address space.
    """
    log = Path(f"/tmp/reliability-{os.getpid()}.log")
    process = multiprocessing.get_context("fork").Process(
        target=_child, args=([str(part) for part in command], log, gigabytes)
    )
    start = time.monotonic()
    process.start()
    limit = seconds if kill_after is None else kill_after
    process_id = process.pid or 0
    while True:
        ended, status, used = os.wait4(process_id, os.WNOHANG)
        took = time.monotonic() - start
        if ended:
            break
        if took > limit:
            with suppress(ProcessLookupError):  # it has no group of its own yet
                os.killpg(process_id, signal.SIGKILL)
            process.kill()
            _, status, used = os.wait4(process_id, 0)
            break
        time.sleep(0.005)
    said = log.read_text(errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    code = os.waitstatus_to_exitcode(status)
    return Ended(code, said, took, used.ru_maxrss / 1024, hung=kill_after is None and took > limit)


def _child(command: list[str], log: Path, gigabytes: float | None) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(log, "w") as file, open(os.devnull) as nothing:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        os.dup2(nothing.fileno(), 0)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(stream), "w", buffering=1) for stream in (1, 2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))  # who copies /dev/zero shall not fill the disk
    if gigabytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (int(gigabytes * 2**30),) * 2)
    code: Any = 0
    try:
        sys.argv = command
        if command[0] == "selfcleanse":
            from monai_selfcleanse.cli.command import main

            main(command[1:])
        else:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def in_fork(step: Callable[[], None], seconds: float) -> int:
    """Do a step in a process of its own: 0, its exit code, or the number of the signal that has ended it, negative."""
    process = multiprocessing.get_context("fork").Process(target=step)
    process.start()
    process.join(seconds)
    if process.is_alive():
        process.kill()
        process.join()
        return -signal.SIGALRM
    return int(process.exitcode or 0)


def tiny_label(number: int) -> np.ndarray:
    """Three structures in 24 x 24 x 4 voxels, elsewhere in each case."""
    across, along = np.random.default_rng(number).integers(0, 4, 2)
    label = np.zeros((24, 24, 4), np.uint8)
    label[2:8, 2 + along : 10 + along, :3] = 1
    label[10:21, 6 + across : 18 + across] = 2
    label[13:18, 10 + across : 14 + across, 1:3] = 3
    return label


def write(path: Path, voxels: np.ndarray, size: Sequence[float] = (1.5, 1.5, 10.0)) -> Path:
    """Write a NIfTI file with voxels of a size in mm."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.diag([*size, 1.0])), path)
    return path


def write_cases(folder: Path, n: int, spoilt: bool = True) -> Path:
    """A data set whose images show their structures; every third label lacks one if ``spoilt``.

    Predictions that are right lie in ``folder.parent / "predictions"``.
    """
    for number in range(n):
        truth = tiny_label(number)
        given = truth.copy()
        if spoilt and number % 3 == 0:
            given[given == 1 + number // 3 % 3] = 0
        image = truth * 60.0 + np.random.default_rng(10_000 + number).normal(0, 6, truth.shape)
        write(folder / "imagesTr" / f"case_{number:04d}.nii.gz", image.astype(np.float32))
        write(folder / "labelsTr" / f"case_{number:04d}.nii.gz", given)
        write(folder.parent / "predictions" / f"case_{number:04d}.nii.gz", truth)
    return folder


def digests(folder: Path, *patterns: str) -> dict[str, str]:
    """SHA-256 of the files below a folder, of those that match."""
    files = {path for pattern in patterns or ("**/*",) for path in folder.glob(pattern) if path.is_file()}
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def litter(folder: Path) -> list[str]:
    """Unfinished files below a folder."""
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if ".part-" in path.name]


def bundle(run_id: str, *overlays: str) -> list[str]:
    """The beginning of a command of the bundle."""
    files = [f"configs/{name}.json" for name in ("train", *overlays)]
    return ["monai.bundle", "run", run_id, "--config_file", str(files)]
