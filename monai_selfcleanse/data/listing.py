"""Which image files a folder holds: what the reader of every layout sees of it.

Passed over without a word are hidden files (``._NAME.nii.gz``, ``.DS_Store``), what archives and servers leave
(``__MACOSX``), and files that are no images. Images in formats that are not read are counted, and named once
(:func:`unread_images`). What a file holds, another part decides (:mod:`monai_selfcleanse.cases.image_file`).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..core.case_id import ENDINGS, as_compared, ending_of, name_of

__all__ = [
    "Locator",
    "entries",
    "image_file",
    "image_files",
    "is_passed_over",
    "subfolders",
    "unread_images",
    "warn_of_unread",
]

logger = logging.getLogger(__name__)

UNREAD = (
    *(".nii.bz2", ".nii.xz", ".nii.zst", ".nii.zip", ".img.gz", ".hdr.gz", ".img", ".hdr", ".nhdr", ".nia"),
    *(".mgz", ".mgh", ".mnc.gz", ".mnc", ".mif.gz", ".mif", ".gipl.gz", ".gipl", ".dcm", ".dicom", ".ima", ".par"),
    *(".vtk", ".vti", ".jpg", ".jpeg", ".jp2", ".gif", ".webp", ".npy", ".npz", ".b2nd", ".h5", ".hdf5", ".mat"),
)
"""Endings of images that are not read, in lower case."""

_LEFT_BY_PROGRAMS = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN")


def entries(folder: str | os.PathLike) -> list[Path]:
    """Files and folders in a folder, sorted by name; hidden ones and ``__MACOSX`` are passed over.

    Raises:
        ValueError: the folder cannot be read.
    """
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise ValueError(
            f"{folder}: the folder cannot be read ({error.strerror or error}); see to its rights, or take it away"
        ) from error
    seen = [name for name in names if not is_passed_over(name)]
    return [Path(folder) / name for name in sorted(seen, key=lambda name: (as_compared(name), name))]


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or none of anybody's making."""
    return name.startswith(".") or name in _LEFT_BY_PROGRAMS


def subfolders(folder: str | os.PathLike) -> list[Path]:
    """Folders in a folder, as :func:`entries` has them."""
    return [path for path in entries(folder) if os.path.isdir(path)]


def image_file(path: Path) -> Path:
    """The file at a path that is named like an image. For a folder of such a name it is the one image within.

    Raises:
        ValueError: there is no file; the message says what there is.
    """
    if os.path.isdir(path):
        within = [inner for inner in entries(path) if ending_of(inner.name) and os.path.isfile(inner)]
        if len(within) == 1:
            return within[0]
        raise ValueError(
            f"{path}: is a folder, though it is named like an image, and holds {len(within)} images: put the right one "
            "in its place"
        )
    if not os.path.exists(path):
        raise ValueError(f"{path}: is a link that leads nowhere: mend it, or take it away")
    if not os.path.isfile(path):
        raise ValueError(f"{path}: is no file, though it is named like an image: take it away")
    return path


def image_files(
    folder: str | os.PathLike, problems: list[str], key: Callable[[str], Any] = lambda name: name
) -> tuple[dict[Any, Path], set[Any]]:
    """Image files of a folder by their names without ending, sorted.

    Args:
        folder: the folder.
        problems: gets a line for each file that cannot be taken, and for a second file of one name or key.
        key: what stands for a name; None passes the file over.

    Returns:
        The files, and the keys of those that cannot be taken: these are in the problems already.

    Raises:
        ValueError: the folder cannot be read.
    """
    files: dict[Any, Path] = {}
    lost: set[Any] = set()
    for path in entries(folder):
        own = key(name_of(path.name)) if ending_of(path.name) else None
        if own is None:
            continue
        try:
            file = image_file(path)
        except ValueError as error:
            problems.append(str(error))
            lost.add(own)
            continue
        if own in files:
            problems.append(f"{path}: is of the same case as {files[own].name}; keep one of them")
            lost.add(own)
        else:
            files[own] = file
    return {own: file for own, file in files.items() if own not in lost}, lost


def unread_images(folders: Iterable[str | os.PathLike], key: Callable[[str], object] = lambda name: name) -> str:
    """What is passed over in folders because its format is not read, in words; empty if there is none.

    Args:
        folders: the folders.
        key: None for a name without ending passes the file over without a word.
    """
    found: Counter[str] = Counter()
    first: Path | None = None
    for folder in folders:
        for path in entries(folder):
            ending = next((ending for ending in UNREAD if path.name.lower().endswith(ending)), "")
            if ending and key(as_compared(path.name[: -len(ending)])) is not None:
                found[ending] += 1
                first = first or path
    if first is None:
        return ""
    n = sum(found.values())
    listed = ", ".join(f"{ending} ({count})" for ending, count in sorted(found.items()))
    return (
        f"{n} file{'s are' if n > 1 else ' is'} passed over, of formats that are not read: {listed}, such as {first}; "
        f"convert what is to be read to one of {', '.join(ENDINGS)}"
    )


def warn_of_unread(folders: Iterable[str | os.PathLike], key: Callable[[str], object] = lambda name: name) -> None:
    """Warn once of what :func:`unread_images` finds."""
    if unread := unread_images(folders, key):
        logger.warning(unread)


class Locator:
    """Finds the files of paths that somebody has written down; folders are listed once.

    A path may have its names in another form of Unicode than the disk, and be a folder that is named like an image
    (:func:`image_file`).
    """

    def __init__(self) -> None:
        self._names: dict[Path, dict[str, str]] = {}

    def __call__(self, path: str | os.PathLike) -> Path | None:
        """The file as it is on the disk; None where there is none.

        Raises:
            ValueError: something else is there.
        """
        here, missing = Path(path), []
        while not os.path.lexists(here) and here != here.parent:
            missing.append(here.name)
            here = here.parent
        for name in reversed(missing):
            own = self._listed(here).get(as_compared(name))
            if own is None:
                return None
            here = here / own
        return image_file(here)

    def _listed(self, folder: Path) -> dict[str, str]:
        if folder not in self._names:
            try:
                names = os.listdir(folder)
            except OSError:  # what lies in it is not there for us
                names = []
            self._names[folder] = {as_compared(name): name for name in sorted(names)}
        return self._names[folder]
