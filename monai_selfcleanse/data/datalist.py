"""A data set as a plain JSON file, in the manner of MONAI's Decathlon datalists.

::

    {"training": [{"image": "images/a.nii.gz", "label": "labels/a.nii.gz"},
                  {"image": ["b_t1.nii.gz", "b_t2.nii.gz"], "label": "/mnt/b_seg.nii.gz", "patient": "b"}],
     "labels": {"1": "liver"}}

or the list alone. Paths are relative to the file's folder, and may lead out of it. ``image`` is one file or a list, one
a channel. An image that is not there, while ``NAME_0000.nii.gz`` is, stands for the channels that nnU-Net has made of
it. Optional keys of an entry are ``case``, ``patient`` and ``file`` of :mod:`monai_selfcleanse.cases.case`; all else,
``"validation"`` and ``"test"`` as well, is passed over, with a warning where it looks like a misspelt key. ``null``,
and a text without letters, say that something is not given.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..core.case_id import (
    ENDINGS,
    as_compared,
    channel_name,
    ending_as_written,
    ending_of,
    name_of,
    split_channel,
    strip_ending,
)
from .decathlon import decathlon_folders
from .json_file import read_json
from .listing import Locator
from .nnunet import structures_of_json, wrong_number_of_channels

__all__ = ["datalist_structures", "find_datalist_cases"]

logger = logging.getLogger(__name__)

_NEEDED, _OPTIONAL = ("image", "label"), ("case", "patient", "file")
"""Keys of an entry."""


class _Files(NamedTuple):
    """Files of an entry, the name that it goes by where it has no ``case``, and whether nnU-Net has split its image."""

    entry: Mapping[str, Any]
    images: list[str]
    label: str
    name: str
    is_split: bool


def find_datalist_cases(path: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a datalist, in its order, and what is broken about its entries.

    A case's id is its own ``case``, else the name of its image's file, of several the first without nnU-Net's number of
    a channel. Where names are not unique, all entries without ``case`` take the image's path instead. Cleansed labels
    are written under the label's path. Such paths are relative to the datalist's folder if all lie in it, else to the
    folder that they have in common, so that none leads out of the output's folder and no two meet.

    Args:
        path: the JSON file.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), each case its own patient unless its entry names one, and one line for
        each entry that lacks image or label, or names a file that is not there.

    Raises:
        ValueError: the file is no JSON, or holds no list of cases; the message says what was expected.
    """
    content = read_json(path)
    folder = os.path.dirname(os.path.abspath(path))
    found: list[_Files] = []
    problems: list[str] = []
    locator = Locator()
    dataset = content if isinstance(content, dict) else {}
    misspelt: Counter[tuple[str, str]] = Counter()
    for i, given in enumerate(_entries(path, content)):
        entry = {key: v for key, v in given.items() if not _is_nothing(v)} if isinstance(given, dict) else given
        misspelt.update((key, meant) for meant in _OPTIONAL if (key := _stands_for(meant, entry)))
        try:
            if wrong := _wrong(entry):
                raise ValueError(wrong)
            files = _files_of(entry, folder, locator)
            if files.is_split and (wrong := wrong_number_of_channels(files.images, dataset)):
                raise ValueError(wrong)
        except ValueError as error:
            problems.append(f"{path}, entry {i}: {error}")
        else:
            found.append(files)
    for (key, meant), n in misspelt.items():
        entries = f"{n} entries have" if n > 1 else "1 entry has"
        logger.warning(f"{path}: {entries} the key {key!r}, which is passed over; did you mean {meant!r}?")
    names = [files.name for files in found]
    if len(set(names)) < len(names):
        firsts = _relative([files.images[0] for files in found], folder)
        names = [as_compared((first.parent / strip_ending(first.name)).as_posix()) for first in firsts]
    own_files = _relative([files.label for files in found], folder)
    return [_case(*both) for both in zip(found, names, own_files, strict=True)], problems


def datalist_structures(path: str | os.PathLike) -> dict[int, str] | None:
    """Structures that a datalist's ``labels`` name, by value; None where it has none."""
    content = read_json(path)
    return structures_of_json(content, path) if isinstance(content, dict) else None


def _entries(path: str | os.PathLike, content: Any) -> list[Any]:
    entries = content.get("training") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        beside = decathlon_folders(Path(path).parent)
        raise ValueError(
            f"dataset_dir {str(path)!r} holds no list of cases: expected "
            '{"training": [{"image": "a.nii.gz", "label": "a_seg.nii.gz"}, ...]}, or the list alone'
            + (f"; or give the folder {str(Path(path).parent)!r} instead" if beside else "")
            + _meant("training", content)
        )
    return entries


def _stands_for(meant: str, entry: Any) -> str | None:
    """The key that looks like a misspelt one, where there is none of that name."""
    if not isinstance(entry, dict) or meant in entry:
        return None
    others = {key.lower(): key for key in entry if key not in (*_NEEDED, *_OPTIONAL)}
    return next(
        (others[key] for key in difflib.get_close_matches(meant, others, 1, 0.8 if meant in _OPTIONAL else 0.7)), None
    )


def _meant(meant: str, entry: Any) -> str:
    """That a key looks like a misspelt one, in words; empty if none does."""
    key = _stands_for(meant, entry)
    return f"; it has {key!r}: did you mean {meant!r}?" if key else ""


def _is_nothing(value: Any) -> bool:
    """Whether a value says that something is not given."""
    return value is None or (isinstance(value, str) and not value.strip())


def _wrong(entry: Any) -> str:
    """What is wrong with an entry, in words; empty if nothing is."""
    if not isinstance(entry, dict):
        return f"expected {{'image': ..., 'label': ...}}, got {entry!r}"
    image, label = entry.get("image"), entry.get("label")
    if not (isinstance(image, str) or (isinstance(image, list) and image and all(isinstance(p, str) for p in image))):
        return f"'image' must be a path, or a list of them, got {image!r}{_meant('image', entry)}"
    if label is None and (meant := _meant("label", entry)):
        return f"{image!r} has no 'label'{meant}"
    if label is None:
        return f"{image!r} has no 'label'; a case without one cannot be judged: give it a label, or leave it out"
    if isinstance(label, list) and len(label) > 1:
        return f"'label' must be one file that holds all structures, got {label!r}: put these files into one"
    if not isinstance(_only(label), str):
        return f"'label' must be a path, got {label!r}"
    for key in _OPTIONAL:
        value = entry.get(key, "")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            return f"{key!r} must be a text or a number, got {value!r}"
    ending, own = ending_of(_only(label)), ending_of(str(entry.get("file", _only(label))))
    if not ending:
        return f"labels must end in {', '.join(ENDINGS)}, got {_only(label)!r}"
    if own != ending and {own, ending} != {".nii", ".nii.gz"}:
        return f"'file' must end in {ending}, as the label does, got {entry['file']!r}"
    return ""


def _only(value: Any) -> Any:
    """What a list of one holds; anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _files_of(entry: Mapping[str, Any], folder: str, locator: Locator) -> _Files:
    """An entry's files as they are on the disk.

    Raises:
        ValueError: one is not there, or is of two kinds.
    """
    image, label = _only(entry["image"]), os.path.normpath(os.path.join(folder, _only(entry["label"])))
    wanted = [os.path.normpath(os.path.join(folder, p)) for p in (image if isinstance(image, list) else [image])]
    images = [locator(path) for path in wanted]
    name = name_of(wanted[0]) if len(wanted) == 1 else split_channel(name_of(wanted[0]))[0]
    channels = _channels_of(wanted[0], locator) if images == [None] else []
    images = list(channels) or images
    found = locator(label)
    absent = [path for path, file in zip([*wanted, label], [*images, found], strict=False) if file is None]
    if absent or found is None:
        raise ValueError(" and ".join(absent) + (" are" if len(absent) > 1 else " is") + " not there")
    if found in images:
        raise ValueError(f"{found} is named as image and as label: one of them must be another file")
    return _Files(entry, [str(file) for file in images], str(found), name, bool(channels))


def _channels_of(path: str, locator: Locator) -> list[Path]:
    """Files of the channels that nnU-Net makes of an image, ``NAME_0000.nii.gz``, ..., in order."""
    head, ending = os.path.dirname(path), ending_as_written(path)
    out: list[Path] = []
    while ending and (file := locator(os.path.join(head, f"{channel_name(strip_ending(path), len(out))}{ending}"))):
        out.append(file)
    return out


def _case(files: _Files, name: str, own_file: Path) -> dict[str, Any]:
    case = _text(files.entry.get("case", name))
    return {
        "case": case,
        "patient": _text(files.entry.get("patient", case)),
        "image": files.images if len(files.images) > 1 else files.images[0],
        "label": files.label,
        "file": str(files.entry.get("file", own_file)),
    }


def _text(value: str | float) -> str:
    """A name as text; 7.0, as pandas writes a column with gaps, is 7."""
    return as_compared(str(int(value) if isinstance(value, float) and value.is_integer() else value))


def _relative(paths: Sequence[str], folder: str) -> list[Path]:
    """The paths relative to a folder if all lie in it, else to the folder that they have in common."""
    if not paths:
        return []
    if not all(Path(path).is_relative_to(folder) for path in paths):
        folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [Path(path).relative_to(folder) for path in paths]
