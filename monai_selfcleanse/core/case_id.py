"""What a case's dictionary says of it: the id that every look, file and draw of noise goes by, patient and images."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

__all__ = ["ENDINGS", "case_of", "ending_of", "images_of", "patient_of", "split_channel", "strip_nifti"]


ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".png", ".tif", ".tiff", ".bmp")
"""Endings of the files that are read, in lower case; capitals do as well."""


def ending_of(name: str) -> str:
    """Which of :data:`ENDINGS` a file's name has, in lower case; empty for another one."""
    return next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")


def strip_nifti(name: str) -> str:
    """File name without folder and without ``.nii`` or ``.nii.gz`` (any other ending loses its last part)."""
    base = os.path.basename(name)
    for ending in (".nii.gz", ".nii"):
        if base.endswith(ending):
            return base[: -len(ending)]
    return os.path.splitext(base)[0]


def split_channel(name: str) -> tuple[str, str | None]:
    """A name and the number of the channel that nnU-Net ends images' names with: ``("liver_7", "0000")``.

    The number is None, and the name whole, where there is none.
    """
    found = re.fullmatch(r"(.*)_(\d{4})", name, re.DOTALL)
    return (found[1], found[2]) if found else (name, None)


def images_of(data: Mapping[Any, Any]) -> list[Any]:
    """The images of a case, one a channel or one with all: ``data["image"]`` is one path, or a list of them."""
    image = data["image"]
    return list(image) if isinstance(image, (list, tuple)) else [image]


def case_of(data: Mapping[Any, Any], image_key: str = "image") -> str:
    """The case's id: ``data["case"]``, else the name of the image's file (before loading or, by its metadata, after).

    Raises:
        KeyError: neither is there; the message says what to add.
    """
    if "case" in data:
        return str(data["case"])
    image = data.get(image_key)
    if isinstance(image, (str, os.PathLike)):
        return strip_nifti(os.fspath(image))
    name = getattr(image, "meta", {}).get("filename_or_obj")
    if isinstance(name, (list, tuple)) and len(name) == 1:
        name = name[0]
    if isinstance(name, (str, os.PathLike)):
        return strip_nifti(os.fspath(name))
    raise KeyError(
        f"the case has no id: add a 'case' key to the datalist, or load {image_key!r} with its metadata "
        f"(found keys: {sorted(map(str, data))})"
    )


def patient_of(item: Mapping[str, Any]) -> str:
    """The case's patient; without one the case is its own."""
    return str(item.get("patient", case_of(item)))
