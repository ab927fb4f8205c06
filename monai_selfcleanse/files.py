"""Files and folders that are either whole or not there, and folders kept from other processes.

What is written lies beside its place first, and is moved into it when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .core.case_id import ending_as_written

__all__ = [
    "atomic_folder",
    "atomic_path",
    "check_writable",
    "free_folder",
    "hold_folder",
    "only_process",
    "staged",
    "umask",
]


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Temporary path in the folder of ``path`` that becomes ``path`` if the block ends well, and vanishes if not.

    The folder is made where it is missing. The temporary name keeps the ending (``.nii.gz``), which writers go by.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".part-", suffix=_ending(target.name), dir=target.parent)
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o666 & ~umask())  # mkstemp makes private files; these are for whoever may read the folder
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _ending(name: str) -> str:
    """What a writer may go by. The rest of a name may be as long as file systems allow, with no room for more."""
    ending = ending_as_written(name) or name[name.rfind(".") :] * ("." in name)  # of "...npy", too
    return ending if len(ending) <= 10 else ""


@contextmanager
def atomic_folder(path: str | os.PathLike, is_ours: Callable[[Path], bool] = lambda folder: False) -> Iterator[Path]:
    """Temporary folder beside ``path`` that becomes ``path`` as a whole if the block ends well, and vanishes if not.

    A folder that was there before is deleted when its successor is in its place. Where a process was killed between the
    two, when the earlier folder had just been moved aside, the next one to ask for this path brings it back first.

    Args:
        path: the folder.
        is_ours: whether a folder that is not empty may be replaced; by default none may.

    Raises:
        ValueError: something else is in the way; nothing is written then.
    """
    target = Path(os.path.abspath(path))
    if not os.path.lexists(target) and (aside := _moved_aside(target)):
        (aside[0] / "folder").rename(target)
        aside[0].rmdir()
    if os.path.lexists(target) and (
        target.is_symlink() or not target.is_dir() or (any(target.iterdir()) and not is_ours(target))
    ):
        raise ValueError(
            f"{target} is in the way: it holds something that is not an earlier export; move it, or give another folder"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=target.parent))
    try:
        yield part
        part.chmod(0o777 & ~umask())
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=_aside_prefix(target), dir=target.parent))
            target.rename(old / "folder")
            try:
                part.rename(target)
            except BaseException:
                (old / "folder").rename(target)
                old.rmdir()
                raise
            for folder in _moved_aside(target):
                shutil.rmtree(folder, ignore_errors=True)
        else:
            part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _moved_aside(target: Path) -> list[Path]:
    """Where :func:`atomic_folder` keeps what was at a path before, ``FOLDER/folder``."""
    name = re.compile(rf"{re.escape(_aside_prefix(target))}\w+")
    beside = target.parent.iterdir() if target.parent.is_dir() else ()
    return [path for path in beside if name.fullmatch(path.name) and (path / "folder").is_dir()]


def _aside_prefix(target: Path) -> str:
    """What the names of these folders begin with: a path's own, and short however long its name is."""
    return f".old-{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


@contextmanager
def staged(directory: str | os.PathLike, before: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Temporary folder in ``directory`` whose files and folders move there if the block ends well, and vanish if not.

    Args:
        directory: the folder; one process at a time may do this in it (:func:`only_process`). What a killed one has
            left of its temporary folder is deleted.
        before: done when the block has ended well, before the first of them moves; takes away what is in their place.
    """
    part = Path(directory) / ".part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        before()
        for path in part.iterdir():
            path.rename(Path(directory) / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def hold_folder(directory: str | os.PathLike) -> None:
    """Keep a folder, made where it is missing, from other processes, until :func:`free_folder` or this one's end.

    The operating system holds the lock, on the file ``.lock``: a process that is killed leaves none behind. To ask for
    what this process holds already changes nothing.

    Raises:
        ValueError: another process has it.
    """
    lock = _lock_of(directory)
    if not lock.is_locked:
        _acquire(lock, directory)


def free_folder(directory: str | os.PathLike) -> None:
    """Let other processes have a folder that this one holds; nothing, if it does not."""
    _lock_of(directory).release(force=True)


@contextmanager
def only_process(directory: str | os.PathLike) -> Iterator[None]:
    """Keep a folder from other processes for a while, as :func:`hold_folder` does for long.

    Raises:
        ValueError: another process has it.
    """
    lock = _lock_of(directory)
    _acquire(lock, directory)
    try:
        yield
    finally:
        lock.release()


_LOCKS: dict[Path, FileLock] = {}  # one a folder, for a process may ask again for what it has


def _lock_of(directory: str | os.PathLike) -> FileLock:
    folder = Path(directory).resolve()
    return _LOCKS.setdefault(folder, FileLock(folder / ".lock", thread_local=False))


def _acquire(lock: FileLock, directory: str | os.PathLike) -> None:
    Path(directory).mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"{directory} is in use by another run: wait for its end, or give another folder") from error


def umask() -> int:
    """Permissions that new files and folders are not to have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check_writable(directory: str | os.PathLike, name: str = "output_dir") -> None:
    """See that files can be written under a folder that may not exist yet, without making it.

    Args:
        directory: the folder.
        name: what the caller's user calls it, for the message.

    Raises:
        ValueError: it is a file, or it (or the nearest folder above it) cannot be written to.
    """
    path = Path(directory).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(
            f"{name} {os.fspath(directory)!r} cannot be written: {path} is "
            + ("not writable" if path.is_dir() else "a file")
            + "; give another one"
        )
