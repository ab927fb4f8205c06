"""Tiny NIfTI data sets, written where a test wants them, and what the filter says of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_selfcleanse.cases.look import score_case
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.evidence import EVIDENCE, stack_evidence
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.mixture import FilterDecision

AFFINE = np.array([[1.5, 0.0, 0.0, -7.0], [0.0, 1.5, 0.0, 3.0], [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 0.0, 1.0]])


def write_nifti(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write voxels in their own data type; folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def read_nifti(path: str | Path) -> np.ndarray:
    return np.asanyarray(nib.load(path).dataobj)


def tiny_image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (12, 12, 4)).astype(np.int16)


def tiny_label(shift: int = 0) -> np.ndarray:
    """Structure 1 in a corner; structure 3 within structure 2."""
    label = np.zeros((12, 12, 4), dtype=np.uint8)
    label[0:4, shift : shift + 4, :3] = 1
    label[5:11, 5:11] = 2
    label[7:9, 7:9, 1:3] = 3
    return label


def write_patient(
    root: Path, patient: str, frames: Sequence[int] = (1, 9), *, info: bool = True, ending: str = ".nii.gz"
) -> Path:
    """Write one patient in ACDC's layout, and return the folder."""
    folder = root / patient
    for frame in frames:
        stem = f"{patient}_frame{frame:02d}"
        write_nifti(folder / f"{stem}{ending}", tiny_image(frame))
        write_nifti(folder / f"{stem}_gt{ending}", tiny_label(frame % 5))
    if info:
        text = "".join(f"{phase}: {frame}\n" for phase, frame in zip(("ED", "ES"), frames, strict=False))
        (folder / "Info.cfg").write_text(text + "Group: DCM\nNbFrame: 30\n")
    return folder


def write_patients(root: Path, n: int) -> Path:
    for i in range(1, n + 1):
        write_patient(root, f"patient{i:03d}")
    return root


def write_decathlon(root: Path, n: int, folders: tuple[str, str] = ("imagesTr", "labelsTr")) -> Path:
    """Write ``case_0`` ... in the Decathlon's layout, and return the folder."""
    for i in range(n):
        write_nifti(root / folders[0] / f"case_{i}.nii.gz", tiny_image(i))
        write_nifti(root / folders[1] / f"case_{i}.nii.gz", tiny_label(i % 8))
    return root


@contextmanager
def refused(match: str) -> Iterator[None]:
    """Bad input: an error that says so, which MONAI wraps in its own if a config's expression has raised it."""
    with pytest.raises((RuntimeError, ValueError, OSError)) as caught:
        yield
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, (ValueError, OSError)):
        error = error.__cause__
    assert re.search(match, str(error)), caught.getrepr()


def files_below(folder: Path) -> list[str]:
    """Relative paths of all files and folders, hidden ones, too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


NAMES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}


class Judged(NamedTuple):
    """A judged data set, in the order in which all functions of ``results`` take it."""

    judgement: Judgement
    data: list[dict[str, Any]]
    store: CaseStore


def judged_cohort(root: Path, ids: Sequence[str] = ("a", "b", "c", "d", "e", "f")) -> Judged:
    """Tiny cases in the Decathlon's layout, of which the first lacks structure 1 and the second over-draws it.

    The prediction is the truth, sure of itself with 0.97, but in the last row of voxels, where it is unsure. All
    suspects are redrawn.
    """
    judge, data, store = LabelJudge(NAMES, min_cases=4, max_share=0.9), [], CaseStore(root / "store")
    evidence: dict[str, dict[str, np.ndarray]] = {}
    for i, case in enumerate(ids):
        truth = tiny_label(i % 8)
        given = truth.copy()
        if i == 0:
            given[given == 1] = 0
        elif i == 1:
            given[:5, :, :3][truth[:5, :, :3] == 0] = 1
        image = write_nifti(root / "imagesTr" / f"{i}.nii.gz", tiny_image(i))
        label = write_nifti(root / "labelsTr" / f"{i}.nii.gz", given)
        data.append({"case": case, "image": str(image), "label": str(label), "file": f"labelsTr/{i}.nii.gz"})
        probabilities = np.moveaxis(np.eye(4)[truth], -1, 0) * 0.96 + 0.01
        probabilities[:, 3] = probabilities[:, 3] * 0.5 + 0.125
        evidence[case] = score_case(judge, store, case, given, probabilities, AFFINE)
    judgement = judge.judge(ids, stack_evidence(evidence, len(NAMES)), has_probabilities=False)
    return Judged(judgement, data, store)


def judgement_of(
    cases: Sequence[str],
    names: Mapping[int, str],
    clean_probability: np.ndarray,
    suspected: np.ndarray,
    partial_labels: bool = False,
    **evidence: Any,
) -> Judgement:
    """A judgement with these marks; evidence that is not named is 0.5. All suspects beyond doubt are redrawn."""
    shape = len(cases), len(names)
    decisions = [
        FilterDecision(clean, marked, "suspects", None, 0.5, 0.5)
        for clean, marked in zip(clean_probability.T, suspected.T, strict=True)
    ]
    return Judgement(
        tuple(cases),
        tuple(names),
        tuple(names.values()),
        {name: np.broadcast_to(evidence.get(name, 0.5), shape).astype(float) for name in EVIDENCE},
        clean_probability,
        suspected,
        tuple(decisions),
        partial_labels,
        redraw_margin=np.inf,
    )


def doubtful(judgement: Judgement) -> Judgement:
    """The same judgement, but that no suspect is beyond doubt, so that none is redrawn."""
    return replace(judgement, clean_probability=np.maximum(judgement.clean_probability, 0.2))


class IntensityNet(torch.nn.Module):
    """Logits that favour class ``k`` of four where the intensity is near ``k``: right about images of index maps."""

    def __init__(self, sharpness: float = 6.0) -> None:
        super().__init__()
        self.sharpness = torch.nn.Parameter(torch.tensor(sharpness))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        classes = torch.arange(4, dtype=x.dtype).reshape(1, -1, *[1] * (x.ndim - 2))
        return -self.sharpness * (x - classes) ** 2


def write_spoilt(root: Path, n: int = 14) -> dict[str, np.ndarray]:
    """Write ``case_00`` ... in the Decathlon's layout, images that :class:`IntensityNet` segments rightly.

    Of ``case_03`` structure 2 is missing, in ``case_07`` structure 1 is over-drawn.

    Returns:
        The true labels by case.
    """
    truths = {}
    for i in range(n):
        case = f"case_{i:02d}"
        truths[case] = given = tiny_label(i % 8)
        image = given + np.random.default_rng(i).normal(0, 0.08, given.shape)
        given = given.copy()
        if i == 3:
            given[given == 2] = 0
        elif i == 7:
            given[:5, :, :3][given[:5, :, :3] == 0] = 1
        write_nifti(root / "imagesTr" / f"{case}.nii.gz", image.astype(np.float32))
        write_nifti(root / "labelsTr" / f"{case}.nii.gz", given)
    return truths


def write_raters(root: Path) -> Path:
    """Write :func:`write_spoilt`'s data set with two raters, ``anna`` and ``ben``, and return the folder.

    Anna's labels are the data set's. Ben is right where she is wrong, has structure 3 of ``case_05`` in another place,
    and no label of ``case_13``.
    """
    truths = write_spoilt(root / "data")
    (root / "anna").mkdir()
    for path in (root / "data" / "labelsTr").iterdir():
        write_nifti(root / "anna" / path.name, read_nifti(path))
    for case, truth in truths.items():
        label = truth.copy()
        if case == "case_05":
            label[label == 3] = 2
            label[0:3, 9:12, :] = 3
        if case != "case_13":
            write_nifti(root / "ben" / "labelsTr" / f"{case}.nii.gz", label)
    return root
