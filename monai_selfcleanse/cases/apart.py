"""What is read must not lie in what is replaced, nor results right among what is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .case import files_of

__all__ = ["check_apart", "check_not_among"]


def check_apart(
    replaced: Iterable[str | os.PathLike],
    data: Iterable[Mapping[str, Any]],
    read: Iterable[str | os.PathLike] = (),
    remedy: str = "another folder",
) -> None:
    """See that no file of a case lies in a folder that is replaced, and that such a folder lies in none that is read.

    Links are followed, and their own places count, too.

    Args:
        replaced: the folders that are replaced or moved.
        data: the cases' dictionaries, whose files are read or are originals.
        read: folders and files that are read besides.
        remedy: what to give instead, for the message.

    Raises:
        ValueError: one does; the message names the first.
    """
    read, targets = list(read), {Path(folder).resolve(): os.fspath(folder) for folder in replaced}
    for folder in read:
        for target, directory in targets.items():
            if Path(folder).resolve() in target.parents:
                raise ValueError(f"{directory!r} lies in {folder}, which is read: give {remedy}")
    for path in [*read, *(path for item in data for path in files_of(item))]:
        here = Path(os.path.abspath(path))
        around = {*here.parents, *here.resolve().parents, here.resolve()}
        if inside := [directory for target, directory in targets.items() if target in around]:
            raise ValueError(f"{path} lies in {inside[0]!r}, which would be replaced: give {remedy}")


def check_not_among(output_dir: str | os.PathLike, read: Iterable[str | os.PathLike]) -> None:
    """See that no file that is read lies right in the folder where results go. It may lie above, or further below.

    Links are followed, and their own places count, too.

    Raises:
        ValueError: one does; the message names the first.
    """
    here = Path(output_dir).resolve()
    for path in read:
        own = Path(os.path.abspath(path))
        if here in (own.parent.resolve(), own.resolve().parent):
            raise ValueError(
                f"{os.fspath(output_dir)!r} is the folder of {path}: results would lie among files that are read; give "
                "another output_dir"
            )
