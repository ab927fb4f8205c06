"""A noisy copy of a whole data set on disk, the original untouched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.case_id import as_compared, ending_of, name_of
from ..files import atomic_folder
from ..noise.presets import make_annotator
from ..progress import progress
from .acdc import find_acdc_cases
from .listing import image_file, image_files, is_passed_over, warn_of_unread
from .noisy_cohort import choose_patients, corrupt_cohort, replay_manifest

__all__ = ["copy_with_noise", "find_labels"]

_LABEL_FOLDERS = ("labelsTr", "labels")


def find_labels(source: str | Path, pattern: str | None = None) -> list[dict[str, Any]]:
    """Labels of a data set, as dictionaries of a case with ``case``, ``patient``, ``label`` and ``file``.

    Args:
        source: a folder in ACDC's layout, or with labels in ``labelsTr`` (Decathlon, nnU-Net) or ``labels``.
        pattern: for any other layout, where the labels are, relative to ``source`` (``"*/seg.nii.gz"``). Labels that
            lie in several folders have these folders as patients; otherwise each file is a patient of its own.

    Raises:
        ValueError: no label is found; the message says where was looked.
    """
    source = Path(source)
    if not os.path.isdir(source):
        raise ValueError(f"{source} is not a folder: give the one that holds the data set")
    if pattern is not None:
        return _labels_by_pattern(source, pattern)
    folders = [folder for folder in _LABEL_FOLDERS if os.path.isdir(source / folder)]
    if len(folders) > 1:
        raise ValueError(f"{source} has {' and '.join(folders)}: say which with --labels '{folders[0]}/*'")
    if not folders:
        cases, problems = find_acdc_cases(source)
        _refuse(problems)
        return [case | {"file": str(Path(case["label"]).relative_to(source))} for case in cases]
    problems = []
    files, _ = image_files(source / folders[0], problems)
    _refuse(problems)
    warn_of_unread([source / folders[0]])
    if not files:
        raise ValueError(f"{source / folders[0]} holds no label: say where the labels are with --labels")
    return [
        {"case": name, "patient": name, "label": str(path), "file": str(path.relative_to(source))}
        for name, path in files.items()
    ]


def _labels_by_pattern(source: Path, pattern: str) -> list[dict[str, Any]]:
    if Path(pattern).is_absolute():
        raise ValueError(f"--labels {pattern!r} must be relative to {source}")
    paths = [
        path
        for path in sorted(source.glob(pattern))
        if ending_of(path.name) and not any(map(is_passed_over, path.relative_to(source).parts))
    ]
    if not paths:
        raise ValueError(f"no label matches {pattern!r} in {source}: say where the labels are with --labels")
    several = len({path.parent for path in paths}) > 1
    found: dict[str, dict[str, Any]] = {}
    problems = []
    for path in paths:
        folder = as_compared(path.parent.relative_to(source).as_posix())
        case = f"{folder}/{name_of(path.name)}" if several and folder != "." else name_of(path.name)
        if case in found:
            problems.append(f"{path}: is of the same case as {found[case]['label']}; keep one of them")
            continue
        try:
            file = image_file(path)
        except ValueError as error:
            problems.append(str(error))
            continue
        patient = folder if several else case
        found[case] = {"case": case, "patient": patient, "label": str(file), "file": str(file.relative_to(source))}
    _refuse(problems)
    return list(found.values())


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ValueError(f"{count} with the files' names:\n  " + "\n  ".join(problems[:20]))


def copy_with_noise(
    source: str | Path,
    target: str | Path,
    rate: float = 0.5,
    preset: str = "mixed",
    seed: int = 0,
    manifest: str | Path | None = None,
    pattern: str | None = None,
    show_progress: bool = False,
) -> list[dict[str, Any]]:
    """Copy a data set, with label noise in some of its labels and ``manifest.jsonl`` beside them.

    The copy appears as a whole when it is complete; all files but the noisy labels are plain copies.

    Args:
        source: see :func:`find_labels`.
        target: folder to make; it must not exist, or be empty, and lie outside ``source``.
        rate, preset, seed: see :func:`monai_selfcleanse.data.noisy_cohort.corrupt_cohort`.
        manifest: replay this manifest instead of drawing noise.
        pattern: see :func:`find_labels`.
        show_progress: show bars on standard error.

    Returns:
        The cases, with ``truth`` the original label and ``label`` what the copy has.

    Raises:
        ValueError: bad arguments or data; nothing is written then.
    """
    source, target = Path(source).resolve(), Path(target).absolute()
    cases = find_labels(source, pattern)
    make_annotator(preset, seed)
    choose_patients([], rate, seed)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} exists already: give the copy a folder of its own")
    if target.resolve().is_relative_to(source):
        raise ValueError(f"{target} lies within {source}: give the copy a folder outside it")
    files = _files_below(source)
    with atomic_folder(target) as part:
        if manifest is None:
            cases = corrupt_cohort(cases, part, rate, preset, seed, show_progress)
        else:
            cases = replay_manifest(cases, part, manifest, show_progress)
        for path in progress(files, "files", show_progress):
            copy = part / path.relative_to(source)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return [case | {"label": str(target / case["file"])} for case in cases]


def _files_below(source: Path) -> list[Path]:
    """All files, also those in linked folders, sorted.

    Raises:
        ValueError: a link leads nowhere, or to a folder above it; there is a pipe or a device; a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise ValueError(f"{error.filename}: the folder cannot be read ({error.strerror}); see to its rights")

    out = []
    for folder, names, files in os.walk(source, onerror=refuse, followlinks=True):
        here = Path(folder)
        for name in names:
            if here.resolve().is_relative_to((here / name).resolve()):
                raise ValueError(f"{here / name} is a link to a folder above it: remove it, or give another source")
        for name in files:
            if not (here / name).exists():
                raise ValueError(f"{here / name} is a link that leads nowhere: remove or mend it")
            if not (here / name).is_file():  # of /dev/zero there is no end
                raise ValueError(f"{here / name} is a pipe or a device, no file: remove it")
            out.append(here / name)
    return sorted(out)
