"""``exclude.txt`` and nnU-Net's ``splits_final.json``: a training without the cases that are better left out.

nnU-Net reads ``splits_final.json`` in ``nnUNet_preprocessed/DatasetNNN_Name``: a list of folds, each of them the cases
to train on and those to validate on. A case in none of them is not used. Its labels would otherwise count in the
figures by which nnU-Net chooses configuration and post-processing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.case_id import case_of, patient_of
from ..core.seeding import case_generator
from ..files import atomic_path
from .exclusion import write_exclusions
from .label_set import LabelSet
from .nnunet import nnunet_names
from .provenance import read_provenance

__all__ = ["N_FOLDS", "nnunet_splits", "write_exclusion_files"]

N_FOLDS = 5
"""Number of nnU-Net's folds. It trains a fold that the file lacks on a random part of all cases, excluded ones too."""

_FILES = ("exclude.txt", "exclude.csv", "exclude.json", "splits_final.json")


def nnunet_splits(data: Sequence[Mapping[str, Any]], excluded: Collection[str]) -> list[dict[str, list[str]]]:
    """nnU-Net's folds over the cases that are not excluded; all cases of a patient are in one fold.

    Args:
        data: the cases' dictionaries.
        excluded: ids of the cases that are in no fold.

    Returns:
        Five times ``{"train": [...], "val": [...]}``, with the cases' names as
        :func:`monai_selfcleanse.results.nnunet.nnunet_names` makes them of all cases; always the same for the same
        cases.

    Raises:
        ValueError: fewer than five patients are left.
    """
    names, kept = nnunet_names([case_of(item) for item in data]), [i for i in data if case_of(i) not in excluded]
    patients = sorted({patient_of(item) for item in kept}, key=lambda one: case_generator(0, one, "fold").random())
    if len(patients) < N_FOLDS:
        raise ValueError(f"nnU-Net's {N_FOLDS} folds need {N_FOLDS} patients, and {len(patients)} are not excluded")
    fold_of = {patient: i % N_FOLDS for i, patient in enumerate(patients)}
    folds = []
    for fold in range(N_FOLDS):
        parts: dict[str, list[str]] = {"train": [], "val": []}
        for item in kept:
            parts["val" if fold_of[patient_of(item)] == fold else "train"].append(names[case_of(item)])
        folds.append({name: sorted(cases) for name, cases in parts.items()})
    return folds


def write_exclusion_files(directory: str | Path, labels: LabelSet) -> list[Path]:
    """Write ``exclude.txt`` (a case a line), ``exclude.csv``, ``exclude.json`` and ``splits_final.json``.

    Args:
        directory: the folder; those of an earlier export are replaced, other files are left alone.
        labels: labels, and which cases are better left out.

    Returns:
        The paths.

    Raises:
        ValueError: one of the files is there, and is not of an earlier export; fewer than five patients are left.
    """
    folder, about = Path(directory), labels.provenance()
    paths = [folder / name for name in _FILES]
    there = [path for path in paths if path.exists()]
    if there and read_provenance(folder, "exclude.json") is None:
        raise ValueError(f"{there[0]} is in the way: it is not of an earlier export; move it, or give another folder")
    excluded = labels.excluded
    cases = [one["case"] for one in excluded]
    splits = nnunet_splits(labels.data, cases)
    about = {key: value for key, value in about.items() if key not in ("cases", "changed", "decisions")}
    write_exclusions(folder, excluded, about)  # first, so that what follows is known to be ours
    with atomic_path(folder / "exclude.txt") as part:
        part.write_text("".join(f"{case}\n" for case in cases), encoding="utf-8", errors="surrogateescape")
    with atomic_path(folder / "splits_final.json") as part:
        part.write_text(json.dumps(splits, indent=4) + "\n", encoding="utf-8")
    return paths
