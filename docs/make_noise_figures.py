"""Draw the pictures of docs/reference/label-noise.md: one tile a noise model, and the presets, on the built-in phantom.

python docs/make_noise_figures.py          (needs matplotlib and scikit-image)
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

from monai_selfcleanse import noise
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data.phantom import phantom_frames

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {1: "#4cc9f0", 2: "#ffd166", 3: "#ef476f"}
IMAGES = Path(__file__).parent / "images"
TILES = [
    ("ErodeLabel, Dice 0.75", noise.ErodeLabel(0.75)),
    ("DilateLabel, Dice 0.75", noise.DilateLabel(0.75)),
    ("ContourKnotLabel, Dice 0.8", noise.ContourKnotLabel(0.8)),
    ("MarkovWalkLabel, Dice 0.75", noise.MarkovWalkLabel(0.75)),
    ("PolygonLabel, Dice 0.88", noise.PolygonLabel(0.88)),
    ("SmoothLabel, Dice 0.8", noise.SmoothLabel(0.8)),
    ("ShiftLabel, 6 mm", noise.ShiftLabel(6.0, "mm")),
    ("RotateLabel, 30 degrees", noise.RotateLabel(30.0, "degrees")),
    ("ScaleLabel, 25 percent", noise.ScaleLabel(25.0, "percent")),
    ("ElasticLabel, Dice 0.8", noise.ElasticLabel(0.8)),
    ("FalsePositiveLabel, radius 0.6", noise.FalsePositiveLabel(0.6, "radius", blobs=3)),
    ("SwapLabel", noise.SwapLabel()),
    ("DropLabel, structure, half of them", noise.DropLabel("structure", prob=0.5)),
]
THROUGH_PLANE = [
    ("given", None),
    ("DropLabel, slices", noise.DropLabel("slices", 0.4)),
    ("DropLabel, sparse, empty", noise.DropLabel("sparse", every=3)),
    ("DropLabel, sparse, interpolated", noise.DropLabel("sparse", every=3, gap="interpolated")),
    ("ExtendLabel, 2.5 slices", noise.ExtendLabel(2.5)),
]


def outlines(axes: plt.Axes, label: np.ndarray, width: float, style: str, spacing: tuple[float, float]) -> None:
    extent = (0, label.shape[0] * spacing[0], 0, label.shape[1] * spacing[1])
    for k, colour in COLOURS.items():
        if (label == k).any():
            axes.contour((label == k).T, [0.5], colors=colour, linewidths=width, linestyles=style, extent=extent)


def tile(
    axes: plt.Axes, title: str, image: np.ndarray, truth: np.ndarray, noisy: np.ndarray, spacing: tuple[float, float]
) -> None:
    extent = (0, image.shape[0] * spacing[0], 0, image.shape[1] * spacing[1])
    axes.imshow(image.T, cmap="gray", origin="lower", extent=extent, vmax=np.percentile(image, 99.5))
    outlines(axes, truth, 0.9, "dotted", spacing)
    outlines(axes, noisy, 1.8, "solid", spacing)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def case(patient: str) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    frames, spacing = phantom_frames(patient, seed=0)
    image, label = frames["ED"]
    (x, y) = (np.flatnonzero((label > 0).any(axis=axes)) for axes in ((1, 2), (0, 2)))
    box = slice(max(0, x[0] - 12), x[-1] + 13), slice(max(0, y[0] - 12), y[-1] + 13)
    return image[box], label[box], spacing


def models() -> None:
    image, label, spacing = case("patient001")
    z = int(np.argmax((label == 3).sum((0, 1)))) + 2
    figure, grid = plt.subplots(3, 5, figsize=(14, 9), layout="constrained")
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (title, transform) in zip(grid.flat, TILES, strict=False):
        noisy, _ = transform.corrupt(label, "patient001", spacing)
        tile(axes, title, image[..., z], label[..., z], noisy[..., z], spacing[:2])
    figure.suptitle("dotted: truth; solid: noisy. Blue: right ventricle, yellow: myocardium, red: left ventricle")
    figure.savefig(IMAGES / "noise_models.png", dpi=75)

    figure, row = plt.subplots(1, 5, figsize=(14, 2.2), layout="constrained")
    x = int(np.argmax((label == 3).sum((1, 2))))
    for axes, (title, transform) in zip(row, THROUGH_PLANE, strict=True):
        noisy = label if transform is None else transform.corrupt(label, "patient001", spacing)[0]
        tile(axes, title, image[x], label[x], noisy[x], spacing[1:])
    figure.savefig(IMAGES / "noise_across_slices.png", dpi=75)


def presets() -> None:
    names = [*noise.PRESETS]
    patients = ["patient001", "patient005", "patient010", "patient011"]  # three of them under-draw
    figure, grid = plt.subplots(len(names), len(patients), figsize=(9, 2.4 * len(names)), layout="constrained")
    for row, name in zip(grid, names, strict=True):
        for axes, patient in zip(row, patients, strict=True):
            image, label, spacing = case(patient)
            z = int(np.argmax((label == 3).sum((0, 1)))) + 1
            noisy, records = noise.make_annotator(name).corrupt(label, patient, spacing)
            left = [f"{dice(noisy == k, label == k):.2f}" for k in COLOURS]
            tile(axes, f"{name}: {', '.join(left)}", image[..., z], label[..., z], noisy[..., z], spacing[:2])
            assert records
    figure.suptitle("one annotator a case; Dice to the truth of right ventricle, myocardium, left ventricle")
    figure.savefig(IMAGES / "noise_presets.png", dpi=60)


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    models()
    presets()
