"""The ACDC layout: one folder a patient, two labelled frames in it.

::

    DIR[/training]/patient001/Info.cfg                        (optional) ED: 1, ES: 12, ...
                              patient001_frame01.nii.gz       image of the first labelled frame
                              patient001_frame01_gt.nii.gz    its label
                              patient001_frame12.nii.gz
                              patient001_frame12_gt.nii.gz
                              patient001_4d.nii.gz            (optional) ignored

(Bernard et al., IEEE TMI 37(11), 2018.) Files may have any of the endings
:data:`monai_selfcleanse.core.case_id.ENDINGS`; :mod:`.listing` says which are passed over.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from ..core.case_id import as_compared, ending_as_written, ending_of, name_of, strip_ending
from .listing import entries, image_files, subfolders, unread_images, warn_of_unread

__all__ = ["ACDC_STRUCTURES", "find_acdc_cases", "read_info"]

ACDC_STRUCTURES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
"""ACDC's label values and their names."""

_FRAME = re.compile(r".+_frame(?P<frame>[0-9]+)(?P<label>_gt)?", re.DOTALL)


def read_info(path: str | os.PathLike) -> dict[str, str]:
    """Entries of an ``Info.cfg``, lines of ``key: value``; lines without a colon are passed over.

    Raises:
        ValueError: the file cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines) if value}


def find_acdc_cases(directory: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a folder in ACDC's layout, sorted, and what is broken about its files' names.

    Args:
        directory: the folder with the patients' folders, or one that has them in ``training/``.

    Returns:
        Dictionaries with ``case``, ``patient``, ``image``, ``label`` and ``file`` (see
        :mod:`monai_selfcleanse.cases.case`), and one line for each image without a label, label without an image, two
        files of one frame, or frame of ``Info.cfg`` without files. Such frames are no cases.

    Raises:
        ValueError: the folder is missing, is none, cannot be read, or holds no labelled frame; the message says what
            was expected.
    """
    root = Path(directory)
    if not os.path.isdir(root):
        raise ValueError(f"dataset_dir {str(directory)!r} is not a folder: give the folder that holds patient001, ...")
    training = root / "training"
    if os.path.isdir(training) and not any(_frames_of(folder) for folder in subfolders(root)):
        root = training
    cases: list[dict[str, Any]] = []
    problems: list[str] = []
    folders = subfolders(root)
    for folder in folders:
        cases += _patients_cases(folder, root, problems)
    first: dict[str, str] = {}
    for case in cases:
        if case["case"] in first:
            problems.append(f"{case['image']}: has the same name as {first[case['case']]}; names must be unique")
        first.setdefault(case["case"], case["image"])
    if not cases and not problems:
        unread = unread_images(folders, _frame)
        raise ValueError(
            f"dataset_dir {str(directory)!r} holds no labelled frame in ACDC's layout: expected files such as "
            f"{root / 'patient001' / 'patient001_frame01.nii.gz'} and ..._frame01_gt.nii.gz"
            + (f" ({unread})" if unread else "")
        )
    warn_of_unread(folders, _frame)
    return cases, problems


def _frame(name: str) -> tuple[int, bool] | None:
    """Number of the frame and whether it is a label, of a file's name without ending; None for any other file."""
    match = _FRAME.fullmatch(name)
    return (int(match["frame"]), match["label"] is not None) if match else None


def _frames_of(folder: Path) -> bool:
    """Whether a folder holds a frame."""
    return any(ending_of(path.name) and _frame(name_of(path.name)) for path in entries(folder))


def _patients_cases(folder: Path, root: Path, problems: list[str]) -> list[dict[str, Any]]:
    """Cases of one patient; problems get what is broken about the files."""
    files, lost = image_files(folder, problems, _frame)
    if not files and not lost:
        return []
    cases = []
    for frame in sorted({frame for frame, _ in (*files, *lost)} | set(_labelled_frames(folder, problems))):
        image, label = files.get((frame, False)), files.get((frame, True))
        if lost & {(frame, False), (frame, True)}:
            continue
        if image and label:
            cases.append(
                {
                    "case": name_of((image if image.parent == folder else image.parent).name),
                    "patient": as_compared(folder.name),
                    "image": str(image),
                    "label": str(label),
                    "file": str(label.relative_to(root)),
                }
            )
        elif image:
            expected = f"{strip_ending(image.name)}_gt{ending_as_written(image.name)}"
            problems.append(f"{image}: has no label; expected {expected}")
        elif label:
            problems.append(f"{label}: has no image beside it")
        else:
            problems.append(
                f"{folder / 'Info.cfg'}: names frame {frame:02d}, of which there is neither image nor label"
            )
    return cases


def _labelled_frames(folder: Path, problems: list[str]) -> list[int]:
    if not os.path.isfile(folder / "Info.cfg"):
        return []
    try:
        info = read_info(folder / "Info.cfg")
    except ValueError as error:
        problems.append(str(error))
        return []
    return [int(info[phase]) for phase in ("ED", "ES") if info.get(phase, "").isdecimal()]
