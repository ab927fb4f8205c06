"""A noisy copy of a whole data set on disk, the original untouched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from ..core.case_id import strip_nifti
from ..files import atomic_folder
from ..noise.presets import make_annotator
from ..progress import progress
from .acdc import find_acdc_cases
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
    if not source.is_dir():
        raise ValueError(f"{source} is not a folder: give the one that holds the data set")
    if pattern is not None and Path(pattern).is_absolute():
        raise ValueError(f"--labels {pattern!r} must be relative to {source}")
    if pattern is None:
        folders = [folder for folder in _LABEL_FOLDERS if (source / folder).is_dir()]
        if len(folders) > 1:
            raise ValueError(f"{source} has {' and '.join(folders)}: say which with --labels '{folders[0]}/*.nii*'")
        pattern = f"{folders[0]}/*.nii*" if folders else None
        if pattern is None:
            cases, problems = find_acdc_cases(source)
            if problems:
                raise ValueError(f"{len(problems)} files are broken:\n  " + "\n  ".join(problems[:20]))
            return [case | {"file": str(Path(case["label"]).relative_to(source))} for case in cases]
    paths = [p for p in sorted(source.glob(pattern)) if p.is_file() and not p.name.startswith(".")]
    if not paths:
        raise ValueError(f"no label matches {pattern!r} in {source}: say where the labels are with --labels")
    several = len({p.parent for p in paths}) > 1
    out = []
    for path in paths:
        relative = path.relative_to(source)
        case = (relative.parent / strip_nifti(path.name)).as_posix() if several else strip_nifti(path.name)
        patient = relative.parent.as_posix() if several else case
        out.append({"case": case, "patient": patient, "label": str(path), "file": str(relative)})
    return out


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
    with atomic_folder(target) as part:
        if manifest is None:
            cases = corrupt_cohort(cases, part, rate, preset, seed, show_progress)
        else:
            cases = replay_manifest(cases, part, manifest, show_progress)
        for path in progress(_files_below(source), "files", show_progress):
            copy = part / path.relative_to(source)
            if not copy.exists():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
    return [case | {"label": str(target / case["file"])} for case in cases]


def _files_below(source: Path) -> list[Path]:
    """All files, also those in linked folders, sorted.

    Raises:
        ValueError: a link leads nowhere, or to a folder above it.
    """
    out = []
    for folder, names, files in os.walk(source, followlinks=True):
        here = Path(folder)
        for name in names:
            if here.resolve().is_relative_to((here / name).resolve()):
                raise ValueError(f"{here / name} is a link to a folder above it: remove it, or give another source")
        for name in files:
            if not (here / name).exists():
                raise ValueError(f"{here / name} is a link that leads nowhere: remove or mend it")
            out.append(here / name)
    return sorted(out)
