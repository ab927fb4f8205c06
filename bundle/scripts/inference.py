"""What ``configs/inference.json`` does besides naming MONAI's components.

The config loads this file by its path. It needs MONAI alone.
"""

from __future__ import annotations

import glob
import os
import sys
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import nibabel as nib
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from torch.serialization import get_unsafe_globals_in_checkpoint

__all__ = ["as_stored", "check_inputs", "find_images", "read_weights", "slices_last"]

LABEL_FOLDERS = ("labelsTr", "labelsTs", "labels")
"""Folders that hold labels."""

NO_IMAGES = ("_gt", "_4d")
"""Endings of names in ACDC that are no images of one moment: labels, and whole heart cycles."""


def find_images(dataset_dir: str, output_dir: str) -> list[str]:
    """Find the images in a folder and in the folders below it.

    Labels are left out, and so are segmentations that an earlier run has left in ``output_dir``.

    Args:
        dataset_dir: the folder. Where it does not exist, nothing is found.
        output_dir: where segmentations go. It may lie in ``dataset_dir``.

    Returns:
        Paths of all ``.nii`` and ``.nii.gz`` files that are left, sorted.
    """
    inputs, outputs = _folder(dataset_dir), _folder(output_dir)
    output_is_inside = outputs != inputs and outputs.startswith(inputs)

    def is_image(path: str) -> bool:
        folder, name = os.path.split(path)
        return (
            name.endswith((".nii", ".nii.gz"))
            and not name.split(".nii")[0].endswith(NO_IMAGES)
            and os.path.basename(folder) not in LABEL_FOLDERS
            and not (output_is_inside and os.path.realpath(path).startswith(outputs))
        )

    return sorted(filter(is_image, glob.glob(os.path.join(dataset_dir, "**", "*.nii*"), recursive=True)))


def slices_last(image: MetaTensor) -> torch.Tensor:
    """Put the axis across the slices last. The other two keep their order.

    It is the axis with the largest voxel size. Of equal ones it is the last.

    Many requests to a server share one config. So each image gets an ``Orientation`` of its own: a shared one would
    have to be changed for each image.

    Args:
        image: ``(C, *spatial)`` with three spatial axes.
    """
    codes = "".join(nib.aff2axcodes(image.affine))
    across = max(range(3), key=lambda axis: (round(float(image.pixdim[axis]), 3), axis))
    return Orientation(axcodes=codes[:across] + codes[across + 1 :] + codes[across], labels=None)(image)


def as_stored(image: MetaTensor) -> torch.Tensor:
    """Bring the axes back to the order in which the image's file has them.

    ``Invertd`` cannot undo :func:`slices_last`, since that stands in a ``Lambdad``.
    """
    return Orientation(axcodes=nib.aff2axcodes(image.meta["original_affine"]), labels=None)(image)


def check_inputs(
    ckpt_path: str | None,
    network: torch.nn.Module,
    cases: Sequence[Mapping[str, Any]],
    dataset_dir: str,
    output_dir: str,
) -> None:
    """End the program with a line a problem, if weights or images have any.

    Args:
        ckpt_path: the file of the weights. None if none are to be loaded.
        network: what the weights must fit.
        cases: the images, each under ``image``.
        dataset_dir: the folder that they come from.
        output_dir: the folder that segmentations are to go to.

    Raises:
        SystemExit: there is a problem; the message names all of them.
    """
    images = [str(case["image"]) for case in cases]
    problems = [
        "" if ckpt_path is None else _weights_amiss(ckpt_path, network),
        "" if images else _no_images(dataset_dir),
        _overwriting(images, dataset_dir, output_dir),
        _no_volumes(images),
    ]
    if any(problems):
        sys.exit("error: " + "\n".join(filter(None, problems)))


def read_weights(path: str) -> Any:
    """Read what ``torch.save`` has written. None for any other file, and for one with more than tensors in it."""
    if not zipfile.is_zipfile(path) or get_unsafe_globals_in_checkpoint(path):
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def _weights_amiss(path: str, network: torch.nn.Module) -> str:
    """What is wrong with a file of weights, or ''."""
    weights = read_weights(path)
    if weights is None:
        return (
            f"ckpt_path {path!r} is missing, or no state dict that torch.save has written; give another one with "
            "--ckpt_path"
        )
    amiss = sorted({name for name, _ in _shapes(weights).items() ^ _shapes(network.state_dict()).items()})
    if not amiss:
        return ""
    return (
        f"ckpt_path {path!r} does not fit network_def: {len(amiss)} entries are missing, unknown or of another shape, "
        f"such as {', '.join(amiss[:3])}; give the flat state dict of that network with --ckpt_path"
    )


def _shapes(weights: Any) -> dict[str, Any]:
    """Shape of each entry of a state dict. Empty for anything else."""
    if not isinstance(weights, dict):
        return {}
    return {str(name): getattr(value, "shape", None) for name, value in weights.items()}


def _no_images(dataset_dir: str) -> str:
    """That a folder holds no image."""
    return f"dataset_dir {dataset_dir!r} holds no image: expected .nii or .nii.gz files in it or in folders below"


def _overwriting(images: Sequence[str], dataset_dir: str, output_dir: str) -> str:
    """That segmentations would take the place of images, or ''."""
    written = {os.path.join(_folder(output_dir), os.path.relpath(path, dataset_dir)) for path in images}
    if written.isdisjoint(map(os.path.realpath, images)):
        return ""
    return (
        f"output_dir {output_dir!r} would have images of dataset_dir overwritten by their segmentations; give another "
        "one with --output_dir"
    )


def _no_volumes(images: Sequence[str]) -> str:
    """Which files are no volumes, or ''. The first 20 are named."""
    shapes = {path: _shape(path) for path in images}
    amiss = [f"{path}: {shape or 'no NIfTI file'}" for path, shape in shapes.items() if len(shape or ()) != 3]
    if not amiss:
        return ""
    head = f"{len(amiss)} images are no 3-D NIfTI volumes; take them out of dataset_dir, or split them:"
    return "\n  ".join([head, *amiss[:20]])


def _shape(path: str) -> tuple[int, ...] | None:
    """An image's shape. None for a file that is no image."""
    if any(kind.path_maybe_image(path)[0] for kind in nib.all_image_classes):
        return tuple(nib.load(path).shape)  # type: ignore[attr-defined]
    return None


def _folder(path: str) -> str:
    """The real path of a folder, with a separator at its end."""
    return os.path.join(os.path.realpath(path), "")
