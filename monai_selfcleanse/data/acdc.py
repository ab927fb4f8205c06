"""The ACDC layout: one folder a patient, two labelled frames in it.

::

    DIR[/training]/patient001/Info.cfg                        (optional) ED: 1, ES: 12, ...
                              patient001_frame01.nii.gz       image of the first labelled frame
                              patient001_frame01_gt.nii.gz    its label
                              patient001_frame12.nii.gz
                              patient001_frame12_gt.nii.gz
                              patient001_4d.nii.gz            (optional) ignored

(Bernard et al., IEEE TMI 37(11), 2018.) ``.nii`` is read as well as ``.nii.gz``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..core.case_id import strip_nifti

__all__ = ["ACDC_STRUCTURES", "find_acdc_cases", "read_info"]

ACDC_STRUCTURES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
"""ACDC's label values and their names."""

_FRAME = re.compile(r"^(?P<patient>.+)_frame(?P<frame>\d+)(?P<label>_gt)?\.nii(\.gz)?$")


def read_info(path: str | os.PathLike) -> dict[str, str]:
    """Entries of an ``Info.cfg``, lines of ``key: value``; lines without a colon are passed over."""
    lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}


def find_acdc_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a folder in ACDC's layout, sorted, and what is broken about its files' names.

    Args:
        directory: the folder with the patients' folders, or one that has them in ``training/``.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), and one line for each image without a label, label without an image, or
        frame of ``Info.cfg`` without files.

    Raises:
        ValueError: the folder is missing, is none, or holds no labelled frame; the message says what was expected.
    """
    root = Path(directory)
    if not root.is_dir():
        raise ValueError(f"dataset_dir {str(directory)!r} is not a folder: give the folder that holds patient001, ...")
    if (root / "training").is_dir() and not any(_FRAME.match(p.name) for p in root.glob("*/*")):
        root = root / "training"
    cases, problems = [], []
    for folder in sorted(p for p in root.iterdir() if p.is_dir()):
        images: dict[int, Path] = {}
        labels: dict[int, Path] = {}
        for path in sorted(folder.iterdir()):
            match = _FRAME.match(path.name)
            if match:
                found = labels if match["label"] else images
                if int(match["frame"]) in found:
                    problems.append(f"{path}: is the same frame as {found[int(match['frame'])].name}; keep one of them")
                found[int(match["frame"])] = path
        for frame in sorted({*images, *labels, *_labelled_frames(folder)} if images or labels else ()):
            if frame in images and frame in labels:
                image, label = images[frame], labels[frame]
                cases.append(
                    {
                        "case": strip_nifti(image.name),
                        "patient": folder.name,
                        "image": str(image),
                        "label": str(label),
                        "file": str(label.relative_to(root)),
                    }
                )
            elif frame in images:
                problems.append(f"{images[frame]}: has no label; expected {strip_nifti(images[frame].name)}_gt.nii.gz")
            elif frame in labels:
                problems.append(f"{labels[frame]}: has no image beside it")
            else:
                problems.append(
                    f"{folder / 'Info.cfg'}: names frame {frame:02d}, of which there is neither image nor label"
                )
    by_id: dict[str, str] = {}
    for case in cases:
        if case["case"] in by_id:
            problems.append(f"{case['image']}: has the same name as {by_id[case['case']]}; names must be unique")
        by_id[case["case"]] = case["image"]
    if not cases and not problems:
        raise ValueError(
            f"dataset_dir {str(directory)!r} holds no labelled frame in ACDC's layout: expected files such as "
            f"{root / 'patient001' / 'patient001_frame01.nii.gz'} and ..._frame01_gt.nii.gz"
        )
    return cases, problems


def _labelled_frames(folder: Path) -> list[int]:
    if not (folder / "Info.cfg").is_file():
        return []
    info = read_info(folder / "Info.cfg")
    return [int(info[phase]) for phase in ("ED", "ES") if info.get(phase, "").isdigit()]
