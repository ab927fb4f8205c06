"""A cardiac short-axis MR phantom in ACDC's layout: real enough to learn from, small enough to need no download.

Not a heart: an ellipsoidal left ventricle in a myocardial ring with a crescent-shaped right ventricle around part of
it, in end-diastole and end-systole, in a chest of smooth tissue. Size, position, wall thickness, orientation, contrast,
bias field, noise and spacing vary from patient to patient; towards the apex the structures shrink and vanish, the right
ventricle first, and the outermost slices hold none. All of it follows from a patient's number and the seed.
"""

from __future__ import annotations

import os
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from ..core.seeding import case_generator
from ..files import atomic_folder

__all__ = ["phantom_frames", "write_phantom"]


def phantom_frames(patient: str, seed: int = 0) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], tuple[float, ...]]:
    """Images and labels of one patient.

    Args:
        patient: its id.
        seed: together with the id it decides everything.

    Returns:
        ``{"ED": (image, label), "ES": ...}``, images int16 and labels uint8 of shape ``(x, y, slices)`` with 1 right
        ventricle, 2 myocardium, 3 left ventricle; and the voxel size in mm.
    """
    rng = case_generator(seed, patient, "phantom")
    in_plane = float(rng.uniform(1.4, 1.7))
    spacing = (in_plane, in_plane, float(rng.choice([8.0, 10.0])))
    shape = (int(rng.integers(118, 132)), int(rng.integers(118, 132)), int(rng.integers(7, 10)))
    heart = {
        "centre": np.array(shape[:2]) / 2 * in_plane + rng.uniform(-12, 12, 2),
        "drift": rng.uniform(-0.06, 0.06, 2),  # mm in plane per mm along the axis: the long axis is never quite upright
        "length": rng.uniform(0.80, 0.90) * (shape[2] - 1) * spacing[2],
        "radius": rng.uniform(20, 27),
        "wall": rng.uniform(7.5, 11),
        "oval": rng.uniform(0.9, 1.1),
        "angle": rng.uniform(-0.5, 0.5),
        "rv_width": rng.uniform(24, 34),
        "rv_reach": rng.uniform(0.70, 0.85),
    }
    tissue = {"blood": rng.uniform(210, 260), "muscle": rng.uniform(85, 120), "chest": rng.uniform(90, 150)}
    gain, noise = rng.uniform(0.8, 1.6), rng.uniform(6, 12)
    background = _chest(rng, shape, spacing, tissue["chest"])
    bias = np.exp(_smooth(rng, shape, [40 / s for s in spacing[:2]] + [2], 0.18))
    frames = {}
    for phase, squeeze in (("ED", 1.0), ("ES", float(rng.uniform(0.62, 0.78)))):
        label = _heart(shape, spacing, heart, squeeze)
        image = background.copy()
        # Papillary muscles darken part of the blood pool without being labelled, as in ACDC.
        blood = tissue["blood"] * (1 - 0.25 * (_smooth(rng, shape, [2.5, 2.5, 0.5], 1.0) > 1.6))
        image[label == 2] = tissue["muscle"] * (1 + 0.1 * _smooth(rng, shape, [3, 3, 1], 1.0)[label == 2])
        pool = (label == 1) | (label == 3)
        image[pool] = blood[pool]
        image = ndimage.gaussian_filter(image, [0.8, 0.8, 0.0]) * bias
        image = np.abs(image + rng.normal(0, noise, shape)) * gain
        frames[phase] = (np.rint(image).astype(np.int16), label)
    return frames, spacing


def write_phantom(directory: str | os.PathLike, n_patients: int = 16, seed: int = 0) -> Path:
    """Write the phantom in ACDC's layout; where it is already there whole, nothing is done.

    Args:
        directory: its folder, made as a whole or not at all.
        n_patients: number of patients, each with an end-diastolic and an end-systolic frame.
        seed: decides everything.

    Returns:
        The folder.

    Raises:
        ValueError: the folder holds something else than a phantom.
    """
    root = Path(directory)
    mark = f"phantom of {n_patients} patients, seed {seed}, version 3\n"
    if _mark_of(root) == mark:
        return root
    with atomic_folder(root, lambda folder: _mark_of(folder).startswith("phantom of")) as part:
        for i in range(1, n_patients + 1):
            patient = f"patient{i:03d}"
            frames, spacing = phantom_frames(patient, seed)
            affine = np.diag([*spacing, 1.0])
            numbers = {"ED": 1, "ES": 8 + i % 5}
            (part / patient).mkdir()
            for phase, (image, label) in frames.items():
                stem = part / patient / f"{patient}_frame{numbers[phase]:02d}"
                nib.save(nib.Nifti1Image(image, affine), f"{stem}.nii.gz")
                nib.save(nib.Nifti1Image(label, affine), f"{stem}_gt.nii.gz")
            info = f"ED: {numbers['ED']}\nES: {numbers['ES']}\nGroup: PHANTOM\nNbFrame: 30\n"
            (part / patient / "Info.cfg").write_text(info)
        (part / "README.txt").write_text(mark)
    return root


def _mark_of(folder: Path) -> str:
    """What says of a folder that it is a phantom, and which; empty for another one."""
    readme = folder / "README.txt"
    return readme.read_text(errors="replace") if readme.is_file() else ""


def _smooth(rng: np.random.Generator, shape: tuple[int, ...], sigma: list[float], amplitude: float) -> np.ndarray:
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="nearest")
    return np.clip(field / field.std(), -2.5, 2.5) * amplitude  # near the edges a filtered field runs wild


def _grid(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[np.ndarray, ...]:
    return np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")


def _chest(rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], level: float) -> np.ndarray:
    """Tissue around the heart: lung, fat, liver and vessels as smooth blobs of various brightness."""
    texture = _smooth(rng, shape, [6, 6, 1.0], 1.0)
    levels = np.array([25.0, 0.6 * level, 0.8 * level, level])
    image = levels[np.digitize(texture, [-0.9, 0.3, 1.3])]
    x, y, _ = _grid(shape, spacing)
    for _ in range(3):  # vessels: as bright as blood, so that brightness alone does not tell the ventricles
        cx, cy = rng.uniform(0.05, 0.95, 2) * [x.max(), y.max()]
        image[(x - cx) ** 2 + (y - cy) ** 2 < rng.uniform(3, 7) ** 2] = 220.0
    return ndimage.gaussian_filter(image, [1.0, 1.0, 0.0])


def _heart(shape: tuple[int, ...], spacing: tuple[float, ...], heart: dict, squeeze: float) -> np.ndarray:
    """Label of one phase; ``squeeze`` scales the cavities, and the wall thickens to keep its volume roughly."""
    x, y, z = _grid(shape, spacing)
    along = np.clip((z - 0.5 * spacing[2]) / heart["length"], -1, 1)  # 0 at the base, 1 at the apex
    taper = np.sqrt(np.clip(1 - np.clip(along, 0, 1) ** 2.5, 0, 1))
    dx = x - heart["centre"][0] - heart["drift"][0] * z
    dy = y - heart["centre"][1] - heart["drift"][1] * z
    cos, sin = np.cos(heart["angle"]), np.sin(heart["angle"])
    u, v = (cos * dx + sin * dy) * heart["oval"], (-sin * dx + cos * dy) / heart["oval"]
    r = np.hypot(u, v)
    inside = (along >= 0) & (along < 1)
    cavity = heart["radius"] * squeeze * taper
    outer = cavity + heart["wall"] * (1 + 0.6 * (1 - squeeze)) * np.where(cavity > 3, 1.0, 0.0)
    # The right ventricle: a second, wider disc beside the left one, less the left ventricle and its wall.
    rv_taper = np.sqrt(np.clip(1 - np.clip(along / heart["rv_reach"], 0, 1) ** 2.5, 0, 1))
    offset = -(heart["radius"] * squeeze + heart["wall"]) * 0.75
    rv = np.hypot((u - offset) / 1.0, v / 1.25) < (heart["rv_width"] * (0.55 + 0.45 * squeeze)) * rv_taper
    label = np.zeros(shape, dtype=np.uint8)
    label[inside & rv & (along < heart["rv_reach"])] = 1
    label[inside & (r < outer)] = 2
    label[inside & (r < cavity) & (cavity > 3)] = 3
    return label
