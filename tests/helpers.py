"""Tiny NIfTI data sets, written where a test wants them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np

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


def files_below(folder: Path) -> list[str]:
    """Relative paths of all files and folders, hidden ones, too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))
