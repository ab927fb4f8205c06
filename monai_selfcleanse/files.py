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
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .core.case_id import ending_as_written

__all__ = [
    "atomic_folder",
    "atomic_path",
    "check_writable",
    "file_digest",
    "free_folder",
    "hold_folder",
    "only_process",
    "recover_folder",
    "remove_unfinished",
    "staged",
    "temporary_folder",
    "umask",
    "waiting_turn",
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

    One process at a time writes to a path. A folder that was there before is deleted when its successor is in its
    place. Where a process was killed between the two, when the earlier folder had just been moved aside, the next one
    to ask for this path brings it back first, and deletes what the killed one had written.

    Args:
        path: the folder.
        is_ours: whether a folder that is not empty may be replaced; by default none may.

    Raises:
        ValueError: another process writes to the path, and nothing is written then; or something else is in the way,
            and stays there, whether it was there at the beginning or has appeared meanwhile.
    """
    target = Path(os.path.abspath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _only_writer(target) as work:
        part, old = work / "new", work / "old"
        _bring_back(old, target)
        _check_replaceable(target, is_ours)
        try:
            _remove(work)
            work.mkdir(mode=0o700)
            part.mkdir()
            yield part
            part.chmod(0o777 & ~umask())
            _check_replaceable(target, is_ours)
            if target.exists():
                target.rename(old)
            try:
                part.rename(target)
            except BaseException:
                if old.exists() and not os.path.lexists(target):
                    old.rename(target)
                raise
        finally:
            if not old.exists() or os.path.lexists(target):  # else the next one brings it back
                shutil.rmtree(work, ignore_errors=True)


def recover_folder(path: str | os.PathLike) -> None:
    """Do what :func:`atomic_folder` does first at a path: bring back what a killed process had moved aside.

    What it had written is deleted. Where another process writes to the path, nothing is done.
    """
    target = Path(os.path.abspath(path))
    with suppress(ValueError, FileNotFoundError), _only_writer(target) as work:
        _bring_back(work / "old", target)
        if not (work / "old").exists():
            _remove(work)


def _bring_back(old: Path, target: Path) -> None:
    """Put a folder back into its place, if that is free."""
    if old.is_dir() and (not os.path.lexists(target) or (target.is_dir() and not any(target.iterdir()))):
        old.replace(target)


def _check_replaceable(target: Path, is_ours: Callable[[Path], bool]) -> None:
    """See that a path is free, an empty folder, or one of ours."""
    if os.path.lexists(target) and (
        target.is_symlink() or not target.is_dir() or (any(target.iterdir()) and not is_ours(target))
    ):
        raise ValueError(
            f"{target} is in the way: it holds something that is not an earlier export; move it, or give another folder"
        )


@contextmanager
def _only_writer(target: Path) -> Iterator[Path]:
    """Keep other processes from writing to a path; gives a folder beside it to work in, which may be there already.

    Its name, and that of the lock, are the path's own, and short however long the path's is.
    """
    own = _own_name(target)
    lock = FileLock(target.parent / f".lock-{own}")
    _acquire(lock, target)
    work = target.parent / f".part-{own}"
    try:
        if work.is_symlink():  # what it leads to is not ours
            work.unlink()
        yield work
    finally:
        with suppress(OSError):  # while it is held, so that nobody else's goes
            os.unlink(lock.lock_file)
        lock.release()


def file_digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text, of which a megabyte is in memory at a time."""
    out = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            out.update(part)
    return out.hexdigest()


def _own_name(target: Path) -> str:
    """A short name that is a path's own in its folder, however long the path's is."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]


_UNFINISHED = re.compile(r"\.part(-[a-z0-9_]{8}(\..{1,9})?)?")
"""Names of what :func:`atomic_path`, :func:`staged` and :func:`temporary_folder` write to."""


def remove_unfinished(*directories: str | os.PathLike) -> None:
    """Delete what killed processes have left in folders of their unfinished files; folders below are left alone.

    Args:
        directories: the folders. Others must be kept from writing to them (:func:`hold_folder`).
    """
    for directory in map(Path, directories):
        for path in directory.iterdir() if directory.is_dir() else ():
            if _UNFINISHED.fullmatch(path.name):
                _remove(path)


def _remove(path: Path) -> None:
    """Delete a file, a link or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def temporary_folder(directory: str | os.PathLike) -> Iterator[Path]:
    """A folder in ``directory`` that is deleted when the block ends, or by :func:`remove_unfinished`."""
    with tempfile.TemporaryDirectory(prefix=".part-", dir=directory) as folder:
        yield Path(folder)


@contextmanager
def staged(directory: str | os.PathLike, before: Callable[[], object] = lambda: None) -> Iterator[Path]:
    """Temporary folder in ``directory`` whose files and folders move there if the block ends well, and vanish if not.

    Args:
        directory: the folder; one process at a time may do this in it (:func:`only_process`). What a killed one has
            left of its temporary folder is deleted.
        before: done when the block has ended well, before the first of them moves; takes away what is in their place.
    """
    part = Path(directory) / ".part"
    _remove(part)  # where it is a link, what that leads to stays
    part.mkdir()
    try:
        yield part
        before()
        for path in part.iterdir():
            path.rename(Path(directory) / path.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def hold_folder(directory: str | os.PathLike) -> bool:
    """Keep a folder, made where it is missing, from other processes, until :func:`free_folder` or this one's end.

    The operating system holds the lock, on the file ``.lock``: a process that is killed leaves none behind. To ask for
    what this process holds already changes nothing.

    Returns:
        Whether this process did not hold it before.

    Raises:
        ValueError: another process has it.
    """
    lock = _lock_of(directory)
    if lock.is_locked:
        return False
    Path(directory).mkdir(parents=True, exist_ok=True)
    _acquire(lock, directory)
    return True


def free_folder(directory: str | os.PathLike) -> None:
    """Let other processes have a folder that this one holds; nothing, if it does not."""
    _lock_of(directory).release(force=True)


@contextmanager
def only_process(directory: str | os.PathLike) -> Iterator[None]:
    """Keep a folder from other processes for a while, as :func:`hold_folder` does for long.

    Raises:
        ValueError: another process has it.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    lock = _lock_of(directory)
    _acquire(lock, directory)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def waiting_turn(path: str | os.PathLike, seconds: float = 30) -> Iterator[None]:
    """Keep a file from the other processes and threads that ask in this way, after waiting for them.

    Args:
        path: the file; the lock lies beside it.
        seconds: how long to wait.

    Raises:
        ValueError: another one has not given the file back by then.
    """
    target = Path(os.path.abspath(path))
    lock = FileLock(target.parent / f".lock-{_own_name(target)}")
    try:
        lock.acquire(timeout=seconds)
    except Timeout as error:
        raise ValueError(f"{path} is in use by another program for over {seconds:g} s: try again later") from error
    try:
        yield
    finally:
        lock.release()


_LOCKS: dict[Path, FileLock] = {}  # one a folder, for a process may ask again for what it has


def _lock_of(directory: str | os.PathLike) -> FileLock:
    folder = Path(directory).resolve()
    return _LOCKS.setdefault(folder, FileLock(folder / ".lock", thread_local=False))


def _acquire(lock: FileLock, directory: str | os.PathLike) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"{directory} is in use by another run: wait for its end, or give another folder") from error


os.umask(_UMASK := os.umask(0))  # once: to read it changes it for a moment, for all threads


def umask() -> int:
    """Permissions that new files and folders are not to have, as they were when the process began."""
    return _UMASK


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
