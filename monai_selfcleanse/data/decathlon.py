"""The layout of the Medical Segmentation Decathlon: a folder of images, and one of labels of the same names.

::

    DIR/imagesTr/hippocampus_001.nii.gz       image; DIR/images is read as well
        labelsTr/hippocampus_001.nii.gz       its label; DIR/labels
        imagesTs/...                          (optional) ignored, as is all else
        dataset.json                          (optional)

(Antonelli et al., Nature Communications 13, 2022.) nnU-Net's raw data have the same folders; the number of the channel
that ends its images' names, ``imagesTr/hippocampus_001_0000.nii.gz``, is no part of the case's, and several channels of
a case are a list of images. ``.nii`` is read as well as ``.nii.gz``. Files whose names begin with a dot are passed
over: the official archives hold a ``._NAME.nii.gz`` beside each file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..core.case_id import split_channel, strip_nifti

__all__ = ["decathlon_folders", "find_decathlon_cases"]

_FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))


def decathlon_folders(directory: str | os.PathLike) -> tuple[Path, Path] | None:
    """The folders of images and of labels, the official ones first; None where there are none that belong together."""
    pairs = [(Path(directory) / images, Path(directory) / labels) for images, labels in _FOLDERS]
    return next(((images, labels) for images, labels in pairs if images.is_dir() and labels.is_dir()), None)


def find_decathlon_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a folder in the Decathlon's layout, sorted, and what is broken about its files' names.

    Args:
        directory: the folder that holds those of images and labels.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), each case its own patient, and one line for each image without a label,
        label without an image, second file of one name, or case that lacks a channel.

    Raises:
        ValueError: the two folders are missing or hold no image and no label; the message says what was expected.
    """
    root = Path(directory)
    folders = decathlon_folders(root)
    problems: list[str] = []
    images, labels = (_by_name(folder, problems) for folder in folders) if folders else ({}, {})
    if not images and not labels:
        raise ValueError(
            f"dataset_dir {str(directory)!r} holds no image and no label in the Decathlon's layout: expected files "
            f"such as {root / 'imagesTr' / 'NAME.nii.gz'} and {root / 'labelsTr' / 'NAME.nii.gz'}"
        )
    channels: dict[str, dict[str, Path]] = {}
    for name, image in images.items():
        stem, channel = split_channel(name)
        if name in labels:
            channels.setdefault(name, {})[""] = image
        elif channel is not None and stem in labels:
            channels.setdefault(stem, {})[channel] = image
        else:
            problems.append(f"{image}: has no label of that name")
    problems += [f"{label}: has no image of that name" for name, label in labels.items() if name not in channels]
    cases = []
    for case, label in labels.items():
        own = channels.get(case, {})
        if len(own) > 1 and list(own) != [f"{i:04d}" for i in range(len(own))]:
            found = ", ".join(path.name for path in own.values())
            problems.append(f"{label}: its image must be one file, or {case}_0000, {case}_0001, ..., got {found}")
        elif own:
            paths = [str(path) for path in own.values()]
            cases.append(
                {
                    "case": case,
                    "patient": case,
                    "image": paths if len(paths) > 1 else paths[0],
                    "label": str(label),
                    "file": str(label.relative_to(root)),
                }
            )
    return cases, problems


def _by_name(folder: Path, problems: list[str]) -> dict[str, Path]:
    """NIfTI files of a folder by their names without ending, sorted; of two of one name the second is a problem."""
    out: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.endswith((".nii", ".nii.gz")) and not path.name.startswith("."):
            name = strip_nifti(path.name)
            if name in out:
                problems.append(f"{path}: is of the same name as {out[name].name}; keep one of them")
            else:
                out[name] = path
    return dict(sorted(out.items()))
