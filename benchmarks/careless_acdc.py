"""Careless labels that the package's own noise models did not make: an independent check.

    python benchmarks/careless_acdc.py ACDC TARGET [SEED]

writes ``TARGET/train`` (65 patients, half of them with careless labels) and ``TARGET/held`` (15 patients, untouched, of
whose images ``TARGET/held_images`` holds links), and ``TARGET/manifest.json``. A careless patient has two structures in
three spoilt in both frames: under- or over-drawn, moved, cut off, drawn in a few slices only, gone or an ellipse;
one in eight has right and left ventricle swapped. Nothing here uses the package, so that it does not test itself.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

rng = np.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 4711)


def under(m: np.ndarray) -> np.ndarray:
    depth = ndimage.distance_transform_edt(np.pad(m, ((1, 1), (1, 1), (0, 0))), sampling=(1, 1, 1e6))[1:-1, 1:-1]
    return depth > rng.uniform(0.35, 0.7) * depth.max(axis=(0, 1), keepdims=True)


def over(m: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~m, sampling=(1, 1, 1e6)) <= rng.uniform(2.5, 5)


def move(m: np.ndarray) -> np.ndarray:
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(4, 9)
    return ndimage.shift(m.astype(float), (length * np.cos(angle), length * np.sin(angle), 0), order=1) > 0.5


def cut(m: np.ndarray) -> np.ndarray:
    out, angle = m.copy(), rng.uniform(0, 2 * np.pi)
    for z in range(m.shape[2]):
        points = np.argwhere(m[..., z])
        if len(points):
            along = (points - points.mean(0)) @ [np.cos(angle), np.sin(angle)]
            far = points[along > np.quantile(along, 0.55)]
            out[far[:, 0], far[:, 1], z] = False
    return out


def few(m: np.ndarray) -> np.ndarray:
    out, slices = m.copy(), np.flatnonzero(m.any((0, 1)))
    n = max(1, round(len(slices) * rng.uniform(0.3, 0.5)))
    for z in slices[-n:] if rng.random() < 0.5 else slices[:n]:
        out[..., z] = False
    return out


def gone(m: np.ndarray) -> np.ndarray:
    return np.zeros_like(m)


def ellipse(m: np.ndarray) -> np.ndarray:
    out = np.zeros_like(m)
    for z in range(m.shape[2]):
        points = np.argwhere(m[..., z])
        if len(points):
            spread = np.cov(points.T) + np.eye(2) if len(points) > 3 else np.eye(2)
            grid = np.stack(np.mgrid[: m.shape[0], : m.shape[1]], -1) - points.mean(0)
            out[..., z] = np.einsum("...i,ij,...j", grid, np.linalg.inv(spread), grid) < 4 * rng.uniform(0.9, 1.4)
    return out


KINDS = {"under": under, "over": over, "move": move, "cut": cut, "few": few, "gone": gone, "ellipse": ellipse}
CHANCES = [0.25, 0.2, 0.15, 0.12, 0.14, 0.06, 0.08]


def main(source: Path, target: Path) -> None:
    patients = sorted(p.name for p in source.iterdir() if p.is_dir())
    held = [p for p in patients if int(p[7:]) % 20 in (14, 15, 16)]
    train = [p for p in patients if p not in held]
    careless = set(rng.permutation(train)[: len(train) // 2])
    manifest = []
    for patient in train:
        (target / "train" / patient).mkdir(parents=True)
        swap = patient in careless and rng.random() < 0.12
        plan = {k: (str(rng.choice(list(KINDS), p=CHANCES)) if rng.random() < 0.7 else None) for k in (1, 2, 3)}
        if patient in careless and not swap and not any(plan.values()):
            plan[2] = "under"
        for path in sorted((source / patient).iterdir()):
            copy = target / "train" / patient / path.name
            if not path.name.endswith("_gt.nii.gz") or patient not in careless:
                shutil.copy(path, copy)
                continue
            file = nib.load(path)
            truth = np.asarray(file.dataobj).round().astype(int)
            out = truth.copy()
            if swap:
                out[truth == 1], out[truth == 3] = 3, 1
            for k in () if swap else rng.permutation([1, 2, 3]):
                if plan[k] is not None:
                    before, after = out == k, KINDS[plan[k]](out == k)
                    out[before & ~after] = 0
                    out[after & (out == 0)] = k
            nib.save(nib.Nifti1Image(out.astype(np.uint8), file.affine, file.header), copy)
            dice = {k: 2 * np.sum((out == k) & (truth == k)) / np.sum((out == k) * 1 + (truth == k)) for k in (1, 2, 3)}
            manifest.append({"file": path.name, "swap": swap, "plan": plan, "dice": dice})
    (target / "held_images").mkdir(parents=True)
    for patient in held:
        shutil.copytree(source / patient, target / "held" / patient)
        for path in (target / "held" / patient).iterdir():
            if "_frame" in path.name and not path.name.endswith("_gt.nii.gz"):
                (target / "held_images" / path.name).symlink_to(path.resolve())
    (target / "manifest.json").write_text(json.dumps(manifest, indent=1, default=float))
    values = np.array([[line["dice"][k] for k in (1, 2, 3)] for line in manifest])
    print(f"{len(train)} patients to train on, {len(careless)} of them careless; {len(held)} held back")
    print("their labels' Dice to the truth, and share under 0.95:", values.mean(0).round(3), (values < 0.95).mean(0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
