"""The layout of the Medical Segmentation Decathlon: a folder of images, and one of labels of the same names.

::

    DIR/imagesTr/hippocampus_001.nii.gz       image; DIR/images is read as well
        labelsTr/hippocampus_001.nii.gz       its label; DIR/labels
        imagesTs/...                          (optional) ignored, as is all else
        dataset.json                          (optional) its ``labels`` must be the structures that are configured

(Antonelli et al., Nature Communications 13, 2022.) nnU-Net's raw data have the same folders; the number of the channel
that ends its images' names, ``imagesTr/hippocampus_001_0000.nii.gz``, is no part of the case's, and several channels of
a case are a list of images. Files may have any of the endings :data:`monai_selfcleanse.core.case_id.ENDINGS`;
:mod:`.listing` says which are passed over, such as the ``._NAME.nii.gz`` of the official archives.
"""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path
from typing import Any

from ..core.case_id import channel_name, split_channel
from .listing import image_files, unread_images, warn_of_unread

__all__ = ["decathlon_folders", "find_decathlon_cases"]

_FOLDERS = (("imagesTr", "labelsTr"), ("images", "labels"))


def decathlon_folders(directory: str | os.PathLike) -> tuple[Path, Path] | None:
    """The folders of images and of labels, the official ones first; None where there are none that belong together.

    Raises:
        ValueError: one of them is a link that leads nowhere.
    """
    for pair in _FOLDERS:
        images, labels = (Path(directory) / name for name in pair)
        if os.path.isdir(images) and os.path.isdir(labels):
            return images, labels
        for folder in (images, labels):
            if os.path.islink(folder) and not os.path.exists(folder):
                raise ValueError(f"{folder}: is a link that leads nowhere: mend it, or take it away")
    return None


def find_decathlon_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a folder in the Decathlon's layout, sorted, and what is broken about its files' names.

    Args:
        directory: the folder that holds those of images and labels.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), each case its own patient, and one line for each image without a label,
        label without an image, second file of one name, or case that lacks a channel. Such files are of no case.

    Raises:
        ValueError: the two folders are missing, cannot be read, or hold no image and no label; the message says what
            was expected.
    """
    root = Path(directory)
    folders = decathlon_folders(root) or ()
    problems: list[str] = []
    listed = [image_files(folder, problems) for folder in folders]
    (images, lost_images), (labels, lost) = listed or [({}, set()), ({}, set())]
    if not images and not labels and not problems:
        unread = unread_images(folders)
        raise ValueError(
            f"dataset_dir {str(directory)!r} holds no image and no label in the Decathlon's layout: expected files "
            f"such as {root / 'imagesTr' / 'NAME.nii.gz'} and {root / 'labelsTr' / 'NAME.nii.gz'}"
            + (f" ({unread})" if unread else "")
        )
    warn_of_unread(folders)
    channels: dict[str, dict[str, Path]] = {}
    for name in sorted({*images, *lost_images}):
        case = _case_of_image(name, {*labels, *lost})
        if name in lost_images:
            lost.add(case)
        elif case not in labels and case not in lost:
            problems.append(f"{images[name]}: has no label of that name")
        else:
            channels.setdefault(case, {})[name] = images[name]
    cases = []
    for case, label in labels.items():
        own = channels.get(case, {})
        if case in lost:
            continue
        if not own:
            problems.append(f"{label}: has no image of that name")
        elif len(own) > 1 and list(own) != [channel_name(case, i) for i in range(len(own))]:
            found = ", ".join(path.name for path in own.values())
            wanted = f"{channel_name(case, 0)}, {channel_name(case, 1)}, ..."
            problems.append(f"{label}: its image must be one file, or {wanted}, got {found}")
        else:
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


def _case_of_image(name: str, labels: Container[str]) -> str:
    """Whose image it is by its name, which may end with the number of a channel."""
    stem, channel = split_channel(name)
    return stem if channel is not None and name not in labels and stem in labels else name
