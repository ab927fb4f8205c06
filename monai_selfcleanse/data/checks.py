"""Look at every file of a data set before anything else is done, and name all that is broken at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.case import check_unique_cases
from ..cases.label_file import GivenLabel, read_label
from ..cases.nifti import load_nifti
from ..core.case_id import images_of

__all__ = ["DatasetError", "check_case", "check_cases", "check_values", "same_grid"]

logger = logging.getLogger(__name__)


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every broken case and what to do."""


def check_case(
    image: str | Sequence[str], label: str, structures: Sequence[int], ndim: int | None = None, channels: int = 1
) -> list[str]:
    """What is wrong with one image and its label; an empty list if nothing is.

    Checked are: all files can be read to the end; the label is in one of the forms of
    :mod:`monai_selfcleanse.cases.label_file` and holds nothing but 0 and ``structures``; both have ``ndim`` axes (None:
    2 or 3) beside that of channels, the image as many ``channels`` as the network; shapes agree, and affines so far
    that no corner of the volume is off by more than a tenth of a voxel; the image is finite and no channel constant. An
    empty label is in order: all structures may have been missed.

    Args:
        image: its file, or a list of files, one a channel.
        label: its file.
        structures: known foreground values.
        ndim: number of spatial axes.
        channels: number of the network's input channels.
    """
    images = [str(path) for path in images_of({"image": image})]
    problems, _, found = _check_case(images, str(label), structures, ndim)
    return problems or _compare_channels({found: [images[0]]}, channels)


def _check_case(
    images: Sequence[str], label: str, structures: Sequence[int], ndim: int | None
) -> tuple[list[str], set[int], int]:
    """What is wrong, the values that the label holds, and the number of the image's channels."""
    try:
        return _check_files(images, label, structures, (2, 3) if ndim is None else (ndim,))
    except Exception as error:  # whatever a file does to us is this case's problem, not the run's
        return [f"{images[0]} or its label: cannot be checked ({type(error).__name__}: {error})"], set(), 0


def _check_files(
    images: Sequence[str], label: str, structures: Sequence[int], axes: tuple[int, ...]
) -> tuple[list[str], set[int], int]:
    problems: list[str] = []
    given = None
    try:
        given = read_label(label)
    except ValueError as error:
        problems.append(str(error))
    n_channels, grid = 0, None
    for path in images:
        try:
            file = load_nifti(path)
            voxels = np.asanyarray(file.dataobj)
        except Exception as error:  # any reader's failure is this file's problem, not the run's
            problems.append(f"{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated")
            continue
        spatial = max(axes) if given is None else given.index.ndim
        stack = voxels if voxels.ndim == spatial + 1 else voxels[..., None]
        n_channels += stack.shape[-1]
        problems += _check_voxels(path, stack, axes)
        grid = file.affine if grid is None else grid
        if not np.allclose(file.affine, grid):  # MONAI's loader stacks nothing else
            problems.append(f"{path}: its affine is not that of {images[0]}; write both on one grid")
        if given is not None and stack.shape[:-1] != given.index.shape:
            problems.append(f"{label}: has shape {given.index.shape}, its image {stack.shape[:-1]}")
        elif given is not None:
            problems += _compare_affines(label, file.affine, given.file.affine, given.index.shape)
    if given is None:
        return problems, set(), n_channels
    problems += check_values(given, label, structures)
    return problems, {int(v) for v in np.unique(given.index)}, n_channels


def check_values(given: GivenLabel, label: str, structures: Sequence[int]) -> list[str]:
    """What is wrong with a label's values, as :func:`check_case` says it.

    Args:
        given: the label.
        label: its file.
        structures: known foreground values.
    """
    known = [0, *structures]
    if given.form == "soft label" and list(structures) != [1]:
        return [
            f"{label}: is a soft label, fractions in [0, 1] of one structure, but {known[1:]} are the known "
            "structures; give indices, or the probability of each class along a fourth axis; if there is but one "
            "structure, name it with --structures \"{'1': 'NAME'}\""
        ]
    if extra := [int(v) for v in np.unique(given.index) if v not in known][:5]:
        return [f"{label}: holds the values {extra}, which are none of the known structures {known}"]
    return []


def _compare_channels(found: Mapping[int, Sequence[str]], channels: int) -> list[str]:
    """A line for each wrong number of channels.

    Args:
        found: a file of each image by the image's number of channels.
        channels: the network's number.
    """
    return [
        f"{images[0]}: the image has {n} channel{'s' * (n != 1)}"
        + (f", as have {len(images) - 1} others" if len(images) > 1 else "")
        + f", the network takes {channels}; set in_channels (--in_channels {n}), or mend the data"
        for n, images in sorted(found.items())
        if n != channels
    ]


def _check_voxels(path: str, stack: np.ndarray, axes: tuple[int, ...]) -> list[str]:
    """What is wrong with an image's voxels, channels last."""
    if stack.ndim - 1 not in axes:
        expected = " or ".join(f"{n}-D" for n in axes)
        return [f"{path}: has {stack.ndim - 1} axes, expected a {expected} image"]
    if not stack.size:
        return [f"{path}: is empty"]
    if not np.isfinite(stack).all():
        return [f"{path}: has {int((~np.isfinite(stack)).sum())} NaN or infinite voxels"]
    constant = [i for i in range(stack.shape[-1]) if stack[..., i].min() == stack[..., i].max()]
    if constant:
        return [f"{path}: is constant" + (f" in channel {constant[0]}" if stack.shape[-1] > 1 else "")]
    return []


def _compare_affines(label: str, image_affine: np.ndarray, label_affine: np.ndarray, shape: tuple) -> list[str]:
    for affine in (image_affine, label_affine):
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            return [f"{label}: it or its image has an affine that is not invertible:\n{affine}"]
    if not same_grid(label_affine, image_affine, shape):
        off = _offset(label_affine, image_affine, shape)
        return [f"{label}: its affine differs from its image's, by up to {off:.3g} mm; resample one to the other"]
    return []


def same_grid(affine: np.ndarray, target: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether no corner of a volume is off by more than a tenth of the target's smallest voxel size."""
    return _offset(affine, target, shape) <= 0.1 * float(nib.affines.voxel_sizes(target).min())


def _offset(affine: np.ndarray, target: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far a corner of a volume is off at most, along an axis, in mm."""
    corners = np.array(np.meshgrid(*([0, n] for n in (*shape, 1)[:3]), 1, indexing="ij")).reshape(4, -1)
    return float(np.abs((affine - target) @ corners).max())


def warn_of_other_slices(labels: Sequence[str]) -> None:
    """Warn of volumes whose slices seem to lie along another axis than the last, along which this package counts them.

    A volume counts if its voxels are more than twice as large along one axis as along the last, and along the third are
    not: so the slices of a thin-slice CT, whose pixels are larger than that, do not.

    Args:
        labels: files, of which those that cannot be read are passed over.
    """
    odd = []
    for path in labels:
        try:
            sizes = [float(size) for size in load_nifti(path).header.get_zooms()[:3]]
        except Exception:  # said where the file is checked
            continue
        if len(sizes) == 3 and max(sizes[:2]) > 2 * sizes[2] >= min(sizes[:2]):
            odd.append((path, sizes))
    if odd:
        (path, sizes), n = odd[0], len(odd)
        logger.warning(
            f"{n} of {len(labels)} labels have far larger voxels along another axis than the last, such as {path} "
            f"({' x '.join(f'{size:.3g}' for size in sizes)} mm): slices are taken along the last axis, so a 2-D "
            "network sees other sections than the scanner made; store images and labels with that axis last"
        )


def check_cases(
    cases: Sequence[Mapping[str, Any]],
    structures: Sequence[int],
    problems: Sequence[str] = (),
    ndim: int | None = None,
    channels: int = 1,
    threads: int = 4,
) -> None:
    """Check all cases and report once; warn of a structure that no label has.

    Args:
        cases: dictionaries with ``image``, a path or a list of them, and ``label``, a path.
        structures: known foreground values.
        problems: what was found wrong before, to be reported together.
        ndim, channels: see :func:`check_case`.
        threads: files are read by this many threads.

    Raises:
        DatasetError: something is wrong; up to 20 problems are named, and how many there are.
    """
    if not problems:
        check_unique_cases(cases)
    logger.info(f"checking {len(cases)} cases")
    with ThreadPoolExecutor(threads) as pool:
        found = list(
            pool.map(lambda c: _check_case([str(p) for p in images_of(c)], str(c["label"]), structures, ndim), cases)
        )
    by_channels: dict[int, list[str]] = {}
    for case, (wrong, _, n) in zip(cases, found, strict=True):
        if not wrong:
            by_channels.setdefault(n, []).append(str(images_of(case)[0]))
    everything = [*problems, *(line for wrong, *_ in found for line in wrong)]
    everything += _compare_channels(by_channels, channels)
    if not everything:
        present = set().union(*(values for _, values, _ in found))
        if absent := [k for k in structures if k not in present]:
            logger.warning(
                f"no label has the structures {absent} of {list(structures)}: are these the right data and "
                "configuration (its 'structures')? The network cannot learn what no label shows"
            )
        warn_of_other_slices([str(case["label"]) for case in cases])
        return
    shown = "\n  ".join(everything[:20]) + (f"\n  ... and {len(everything) - 20} more" if len(everything) > 20 else "")
    count = "1 problem" if len(everything) == 1 else f"{len(everything)} problems"
    raise DatasetError(
        f"{count} in the data set; mend these files or take them out of the folder, then start again:\n  {shown}"
    )
