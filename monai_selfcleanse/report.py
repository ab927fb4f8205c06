"""From the filter's result to what a person uses: the ranked list of suspects and the cleansed labels on disk."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import SpatialResample
from sklearn.metrics import roc_auc_score

from .cases import case_of, label_file_of
from .cleansing import cleanse_label
from .files import atomic_path, load_nifti, save_like
from .noise.functional import dice
from .scoring import EVIDENCE, reason_for
from .store import CaseStore, SeenCase

__all__ = [
    "REPORT_COLUMNS",
    "TruthSummary",
    "cleanse_file",
    "compare_with_truth",
    "report_rows",
    "write_cleansed_labels",
    "write_label_report",
]

REPORT_COLUMNS = ("case", "structure", "structure_name", "clean_probability", "suspected", "reason", *EVIDENCE)
"""Columns of ``label_report.csv``; the evidence is explained in :mod:`monai_selfcleanse.scoring`."""


def report_rows(
    cases: Sequence[str],
    names: Mapping[int, str],
    evidence: Mapping[str, np.ndarray],
    clean_probability: np.ndarray,
    suspected: np.ndarray,
) -> list[dict[str, Any]]:
    """One row a case and structure, most suspect first.

    Args:
        cases: the ``n`` ids.
        names: the ``K`` structures and their names, in the arrays' order.
        evidence: arrays ``(n, K)`` by name, all of :data:`monai_selfcleanse.scoring.EVIDENCE`.
        clean_probability: ``(n, K)`` in [0, 1].
        suspected: ``(n, K)`` bool.

    Returns:
        Dictionaries with :data:`REPORT_COLUMNS` as keys.
    """
    rows = []
    for i, case in enumerate(cases):
        for j, (structure, name) in enumerate(names.items()):
            values = {key: float(evidence[key][i, j]) for key in EVIDENCE}
            rows.append(
                {
                    "case": case,
                    "structure": structure,
                    "structure_name": name,
                    "clean_probability": float(clean_probability[i, j]),
                    "suspected": int(suspected[i, j]),
                    "reason": reason_for(values, names) if suspected[i, j] else "",
                    **values,
                }
            )
    return sorted(rows, key=lambda row: (row["clean_probability"], -np.nan_to_num(row["score"]), row["case"]))


def write_label_report(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Write rows of :func:`report_rows` as CSV; probabilities keep six digits, so that they keep their order."""
    with atomic_path(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, REPORT_COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def write_cleansed_labels(
    data: Sequence[Mapping[str, Any]],
    suspected: Mapping[str, Sequence[int]],
    store: CaseStore,
    directory: str | Path,
) -> None:
    """Write every case's label, cleansed where it is suspected, under its own relative path.

    A label without suspected structure is copied as a file. The folder is built beside its place and then put there
    as a whole; what was there is replaced. Given labels are only read.

    Args:
        data: the cases' dictionaries, with paths.
        suspected: structures to redraw, by case; cases that are not in it are copied.
        store: where the filter's last sweep is.
        directory: the folder to write.
    """
    directory = Path(directory)
    part = directory.with_name(directory.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for item in data:
        target = part / label_file_of(item)
        structures = list(suspected.get(case_of(item), ()))
        if structures:
            cleanse_file(item["label"], store.read_seen(case_of(item)), structures, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(item["label"], target)
    if directory.exists():
        shutil.rmtree(directory)
    part.rename(directory)


def cleanse_file(label: str | Path, seen: SeenCase, structures: Sequence[int], target: Path) -> None:
    """Write the cleansed copy of one label file on that label's own grid, with its header and data type.

    The rule is that of training (:func:`monai_selfcleanse.cleansing.cleanse_label`); what lies outside of what the
    network has seen keeps what was given.
    """
    given_file = load_nifti(label)
    given = np.asanyarray(given_file.dataobj)
    index = np.rint(given).astype(np.int64)
    predicted, confidence = _on_grid(seen, given.shape, given_file.affine)
    cleansed, _ = cleanse_label(index, predicted, confidence, structures)
    save_like(np.where(cleansed != index, cleansed.astype(given.dtype), given), given_file, target)


def _on_grid(seen: SeenCase, shape: tuple[int, ...], affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and confidence on another grid; outside the seen volume, background with confidence 0."""
    if seen.given.shape == shape and np.allclose(seen.affine, affine, atol=1e-4):
        return seen.predicted.astype(np.int64), seen.confidence
    n_classes = int(seen.predicted.max()) + 1
    one_hot = torch.nn.functional.one_hot(torch.as_tensor(seen.predicted.astype(np.int64)), n_classes).movedim(-1, 0)
    stacked = torch.cat([one_hot.float(), torch.as_tensor(seen.confidence)[None]])
    resample = SpatialResample(mode="bilinear", padding_mode="zeros")
    moved = resample(MetaTensor(stacked, affine=torch.as_tensor(seen.affine)), torch.as_tensor(affine), shape)
    array = moved.numpy()
    return array[:-1].argmax(0), array[-1]


@dataclass(frozen=True)
class TruthSummary:
    """How right filter and cleanser were, where the truth is known. Pairs are of a case and a structure.

    A label is *noisy* here if its Dice to the truth is under 0.95, *clean* from 0.99 on; those between are not counted
    in the filter's figures.

    Attributes:
        given_dice, cleansed_dice: Dice to the truth of each pair, ``(n, K)``.
        clean_probability: ``(n, K)`` in [0, 1].
        suspected: ``(n, K)`` bool.
    """

    given_dice: np.ndarray
    cleansed_dice: np.ndarray
    clean_probability: np.ndarray
    suspected: np.ndarray

    @property
    def noisy(self) -> np.ndarray:
        """Pairs whose given label is noisy."""
        return self.given_dice < 0.95

    @property
    def clean(self) -> np.ndarray:
        """Pairs whose given label is clean."""
        return self.given_dice >= 0.99

    @property
    def auroc(self) -> float:
        """Area under the ROC curve of 1 - clean probability, noisy against clean; NaN where one does not occur."""
        if not self.noisy.any() or not self.clean.any():
            return float("nan")
        counted = self.noisy | self.clean
        return float(roc_auc_score(self.noisy[counted], 1.0 - self.clean_probability[counted]))


def compare_with_truth(
    data: Sequence[Mapping[str, Any]],
    cleansed_directory: str | Path,
    cases: Sequence[str],
    structures: Sequence[int],
    clean_probability: np.ndarray,
    suspected: np.ndarray,
) -> TruthSummary | None:
    """Compare given and cleansed labels with the truth; None where any case has no ``truth``."""
    by_case = {case_of(item): item for item in data}
    if not all(by_case.get(case, {}).get("truth") for case in cases):
        return None
    given_dice, cleansed_dice = np.zeros((2, len(cases), len(structures)))
    for i, case in enumerate(cases):
        item = by_case[case]
        truth, given = _read(item["truth"]), _read(item["label"])
        cleansed = _read(Path(cleansed_directory) / label_file_of(item))
        for j, k in enumerate(structures):
            given_dice[i, j] = dice(given == k, truth == k)
            cleansed_dice[i, j] = dice(cleansed == k, truth == k)
    return TruthSummary(given_dice, cleansed_dice, clean_probability, suspected)


def _read(path: str | Path) -> np.ndarray:
    return np.rint(np.asanyarray(load_nifti(path).dataobj)).astype(np.int64)
