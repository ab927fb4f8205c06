"""What a case's dictionary says of it: the id that every look, file and draw of noise goes by, patient and images."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

__all__ = [
    "ENDINGS",
    "as_compared",
    "case_of",
    "channel_name",
    "ending_as_written",
    "ending_of",
    "file_stem",
    "images_of",
    "listed",
    "name_of",
    "patient_of",
    "split_channel",
    "strip_ending",
]

ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")
"""Endings of the files that are read, in lower case; capitals do as well."""


def ending_of(name: str) -> str:
    """Which of :data:`ENDINGS` a file's name has, in lower case; empty for another one."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def ending_as_written(name: str) -> str:
    """The same with its capitals."""
    return name[len(name) - len(ending_of(name)) :]


def strip_ending(name: str) -> str:
    """File name without folder and without its one of :data:`ENDINGS`; any other name loses its last suffix."""
    base = os.path.basename(name)
    ending = ending_of(base)
    return base[: -len(ending)] if ending else os.path.splitext(base)[0]


def file_stem(case: str) -> str:
    """Name of a file that is a case's own, on file systems that hold ``A`` and ``a`` for one, too."""
    name = quote(case, safe="")
    if case != case.lower():  # no quoted id has a plus
        name += "+" + hashlib.sha256(case.encode()).hexdigest()[:8]
    if len(name) > 120:  # file systems end at 255 bytes
        name = name[:80] + hashlib.sha256(case.encode()).hexdigest()[:32]
    return name


def as_compared(text: str) -> str:
    """A name in the form in which names are compared: Unicode's NFC. A Mac may write ``Ä`` as two characters."""
    return unicodedata.normalize("NFC", text)


def listed(names: Sequence[str], most: int = 3) -> str:
    """The first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def name_of(path: str) -> str:
    """The name that files of one case share: without folder and ending, :func:`as_compared`."""
    return as_compared(strip_ending(path))


def split_channel(name: str) -> tuple[str, str | None]:
    """A name and the number of the channel that nnU-Net ends images' names with: ``("liver_7", "0000")``.

    The number is None, and the name whole, where there is none.
    """
    found = re.fullmatch(r"(.*)_(\d{4})", name, re.DOTALL)
    return (found[1], found[2]) if found else (name, None)


def channel_name(name: str, i: int) -> str:
    """The name of a case's channel ``i``, from 0, as nnU-Net writes it: what :func:`split_channel` undoes."""
    return f"{name}_{i:04d}"


def images_of(data: Mapping[Any, Any]) -> list[Any]:
    """The images of a case, one a channel or one with all: ``data["image"]`` is one path, or a list of them."""
    image = data["image"]
    return list(image) if isinstance(image, (list, tuple)) else [image]


def case_of(data: Mapping[Any, Any], image_key: str = "image") -> str:
    """The case's id: ``data["case"]``, else the name of the image's file (before loading or, by its metadata, after).

    A ``case`` of None is as none. Of several files, one a channel, it is the first one's name, without the channel's
    number where they are numbered from 0 on.

    Raises:
        KeyError: neither is there; the message says what to add.
    """
    if data.get("case") is not None:
        return str(data["case"])
    image = data.get(image_key)
    for value in (image, getattr(image, "meta", {}).get("filename_or_obj")):
        paths = list(value) if isinstance(value, (list, tuple)) else [value]
        names = [name_of(os.fspath(path)) for path in paths if isinstance(path, (str, os.PathLike))]
        if names and len(names) == len(paths):
            return _name_of_channels(names)
    raise KeyError(
        f"the case has no id: add a 'case' key to the datalist, or load {image_key!r} with its metadata "
        f"(found keys: {sorted(map(str, data))})"
    )


def _name_of_channels(names: Sequence[str]) -> str:
    """The case that the files of some channels are of, by their names."""
    stem, channel = split_channel(names[0])
    numbered = stem and channel and list(names) == [channel_name(stem, i) for i in range(len(names))]
    return stem if numbered and len(names) > 1 else names[0]


def patient_of(item: Mapping[Any, Any]) -> str:
    """The case's patient; without one, or with None, the case is its own."""
    patient = item.get("patient")
    return case_of(item) if patient is None else str(patient)
