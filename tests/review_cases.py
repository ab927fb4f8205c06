"""Output folders to review, and a client that knows the token."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from helpers import NAMES, Judged, judged_cohort, write_nifti

from monai_selfcleanse.cases.label_file import label_of
from monai_selfcleanse.cases.look import score_case
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.cases.view import position_of
from monai_selfcleanse.core.evidence import stack_evidence
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.results.record import read_record, write_record
from monai_selfcleanse.review import Review

SOURCE = {"epoch": 1}
TOKEN = "right-token"
OBLIQUE = np.array([[0.9, -0.3, 0.2, 5.0], [0.35, 1.1, -0.1, -8.0], [-0.25, 0.2, 2.4, 30.0], [0, 0, 0, 1]])
GRIDS = {
    "RAS": nib.affines.from_matvec(np.eye(3), [3, -4, 5]),
    "LPS": np.diag([-1.2, -1.2, 5.0, 1.0]),
    "PIR": np.array([[0, 0, 1.5, -3], [-0.8, 0, 0, 9], [0, -1.1, 0, 2], [0, 0, 0, 1.0]]),
    "oblique": OBLIQUE,
    "far oblique": nib.affines.from_matvec(
        [[0.72, 0.69, 0.05], [-0.69, 0.72, 0.02], [-0.02, -0.05, 1.0]] @ np.diag([1, 1, 3]), [1, 2, 3]
    ),
    "2-D": np.diag([-0.5, -0.5, 1.0, 1.0]),
}
"""Affines by the name of a case."""


def folder_of(judged: Judged, folder: Path) -> Path:
    """Write a judgement's record into an output folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder / "judged.npz", *judged, SOURCE)
    return folder


def reviewed(root: Path, ids: Sequence[str] = ("a", "b", "c", "d", "e", "f"), who: str = "anna") -> Review:
    """A review of :func:`helpers.judged_cohort`: the first two cases have a suspect each."""
    return Review(read_record(folder_of(judged_cohort(root / "data", ids), root / "OUT")), who)


def gridded_cohort(root: Path) -> Judged:
    """A case for each of :data:`GRIDS`, whose label lacks half of structure 1; the images count their voxels."""
    judge, data, store, evidence = LabelJudge(NAMES, min_cases=4, max_share=0.9), [], CaseStore(root / "store"), {}
    for i, (case, affine) in enumerate(GRIDS.items()):
        shape = (11, 9) if case == "2-D" else (11, 9, 6)
        rng = np.random.default_rng(i)
        truth = np.zeros(shape, np.uint8)
        truth[2:8, 1:5], truth[5:9, 4:8] = 1, 2
        truth[rng.random(shape) < 0.05] = 3
        given = np.where((truth == 1) & (np.arange(11).reshape(-1, *[1] * (len(shape) - 1)) > 4), 0, truth)
        image = np.arange(given.size).reshape(shape).astype(np.int16)
        item = {"case": case, "file": f"labels/{i}.nii.gz"}
        item |= {"image": str(write_nifti(root / "images" / f"{i}.nii.gz", image, affine))}
        item |= {"label": str(write_nifti(root / "labels" / f"{i}.nii.gz", given.astype(np.uint8), affine))}
        probabilities = np.moveaxis(np.eye(4)[truth], -1, 0) * 0.96 + 0.01
        evidence[case] = score_case(judge, store, case, given, probabilities, position_of(item, label_of(item)))
        data.append(item)
    judgement = judge.judge(list(GRIDS), stack_evidence(evidence, len(NAMES)), has_probabilities=False)
    return Judged(judgement, data, store)


def number_of(review: Review, case: str, structure: int = 1) -> int:
    """The number of a label."""
    return next(i for i, one in enumerate(review.labels) if (one.case, one.structure) == (case, structure))
