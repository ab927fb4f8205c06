"""What an earlier run has left in an output folder, moved out of the way of the next one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from filecmp import cmp
from pathlib import Path

from .files import atomic_path, remove_unfinished
from .run_folder import RunFolder

__all__ = ["set_aside"]


def set_aside(folder: RunFolder, *others: str | os.PathLike) -> Path | None:
    """Move the results that an earlier run left in a folder to ``earlier/N``; a user may have worked on them.

    The folder is filled under the name ``earlier/next``, the copies first. So nothing has moved where there is no
    room for them, and where a process was killed meanwhile, the next call goes on.

    Args:
        folder: the output folder.
        others: files that belong to the results wherever they lie, such as the weights: a copy goes along, for they
            may be in use. Where these alone are there, they are kept unless the latest ``earlier/N`` has them.

    Returns:
        Where they are now; None if there were none.

    Raises:
        ValueError: the disk has no room for the copies.
    """
    filling = folder.path / "earlier" / "next"
    earlier = folder.of_a_judgement()
    copied = [path for path in map(Path, others) if path.exists()]
    has_moved, aside = bool(RunFolder(filling).of_a_judgement()), None
    if has_moved and any((filling / path.name).exists() and not _equal(path, filling) for path in earlier + copied):
        has_moved, aside = False, _next_is_full(filling)  # a resumed run has written results of its own since
    if not earlier and not has_moved and all(_equal(path, _latest(filling.parent)) for path in copied):
        return aside
    _check_room(folder.path, copied)
    filling.mkdir(parents=True, exist_ok=True)
    for path in copied:
        if not _equal(path, filling):
            with atomic_path(filling / path.name) as part:
                shutil.copy2(path, part)
    for path in earlier:
        path.rename(filling / path.name)
    return _next_is_full(filling)


def _next_is_full(filling: Path) -> Path:
    """Give ``earlier/next`` its number."""
    remove_unfinished(filling)
    aside = filling.with_name(str(int(_latest(filling.parent).name) + 1))
    filling.rename(aside)
    return aside


def _latest(folder: Path) -> Path:
    """The ``earlier/N`` of the highest number; ``earlier/0``, which is not there, where there is none."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return folder / str(max((int(name) for name in names if name.isascii() and name.isdigit()), default=0))


def _check_room(output: Path, copied: Iterable[Path]) -> None:
    needed, free = sum(path.stat().st_size for path in copied), shutil.disk_usage(output).free
    if needed > free:
        raise ValueError(
            f"output_dir {str(output)!r} holds results of an earlier run, and the disk has no room to keep its "
            f"weights ({needed:,} bytes, {free:,} are free): make room, or give another output_dir"
        )


def _equal(path: Path, folder: Path) -> bool:
    """Whether a folder has a file like this one; of folders none is."""
    return path.is_file() and (folder / path.name).is_file() and cmp(path, folder / path.name, shallow=False)
