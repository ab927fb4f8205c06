"""Look at every file of a data set before anything else is done, and name all that is broken at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..cases import check_unique_cases
from ..files import load_nifti

__all__ = ["DatasetError", "check_case", "check_cases"]

logger = logging.getLogger(__name__)


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every broken case and what to do."""


def check_case(image: str, label: str, structures: Sequence[int], ndim: int | None = None) -> list[str]:
    """What is wrong with one image and its label; an empty list if nothing is.

    Checked are: both files can be read to the end; ``ndim`` axes (None: 2 or 3); shapes agree, and affines so far that
    no corner of the volume is off by more than a tenth of a voxel; the image is finite and not constant; the label
    holds whole numbers (to 1e-3) among 0 and ``structures``. An empty label is in order: all structures may have been
    missed.
    """
    return _check_case(image, label, structures, ndim)[0]


def _check_case(
    image: str, label: str, structures: Sequence[int], ndim: int | None = None
) -> tuple[list[str], set[int]]:
    """What is wrong, and the values that the label holds."""
    try:
        return _look_at(image, label, structures, (2, 3) if ndim is None else (ndim,))
    except Exception as error:  # whatever a file does to us is this case's problem, not the run's
        return [f"{image} or its label: cannot be checked ({type(error).__name__}: {error})"], set()


def _look_at(image: str, label: str, structures: Sequence[int], axes: tuple[int, ...]) -> tuple[list[str], set[int]]:
    problems, values = [], set()
    arrays, affines = {}, {}
    for name, path in (("image", image), ("label", label)):
        try:
            file = load_nifti(path)
            arrays[name], affines[name] = np.asanyarray(file.dataobj), file.affine
        except Exception as error:  # any reader's failure is this file's problem, not the run's
            problems.append(f"{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated")
    if "image" in arrays:
        voxels = arrays["image"]
        if voxels.ndim not in axes:
            expected = " or ".join(f"{n}-D" for n in axes)
            problems.append(f"{image}: has {voxels.ndim} axes, expected a {expected} image")
        elif not np.isfinite(voxels).all():
            problems.append(f"{image}: has {int((~np.isfinite(voxels)).sum())} NaN or infinite voxels")
        elif voxels.size == 0 or voxels.min() == voxels.max():
            problems.append(f"{image}: is constant" if voxels.size else f"{image}: is empty")
    if "label" in arrays:
        found = np.unique(arrays["label"])
        known = [0, *structures]
        if not np.isfinite(found).all() or not np.allclose(found, np.rint(found), rtol=0, atol=1e-3):
            problems.append(f"{label}: holds values that are no whole numbers; expected structure indices {known}")
        elif not np.isin(np.rint(found), known).all():
            extra = [int(v) for v in np.rint(found[~np.isin(np.rint(found), known)])][:5]
            problems.append(f"{label}: holds the values {extra}, which are none of the known structures {known}")
        else:
            values = {int(v) for v in np.rint(found)}
    if len(arrays) == 2:
        shapes = arrays["image"].shape, arrays["label"].shape
        if shapes[0] != shapes[1]:
            problems.append(f"{label}: has shape {shapes[1]}, its image {shapes[0]}")
        else:
            problems += _compare_affines(label, affines["image"], affines["label"], shapes[0])
    return problems, values


def _compare_affines(label: str, image_affine: np.ndarray, label_affine: np.ndarray, shape: tuple) -> list[str]:
    for affine in (image_affine, label_affine):
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            return [f"{label}: it or its image has an affine that is not invertible:\n{affine}"]
    n = [*shape, 1, 1][:3]
    corners = np.array([[i, j, k, 1] for i in (0, n[0]) for j in (0, n[1]) for k in (0, n[2])], dtype=float)
    off = float(np.abs(corners @ (image_affine - label_affine).T).max())
    if off > 0.1 * np.linalg.norm(image_affine[:3, :3], axis=0).min():
        return [f"{label}: its affine differs from its image's, by up to {off:.3g} mm; resample one to the other"]
    return []


def check_cases(
    cases: Sequence[Mapping[str, Any]],
    structures: Sequence[int],
    problems: Sequence[str] = (),
    ndim: int | None = None,
    threads: int = 4,
) -> None:
    """Check all cases and report once; warn of a structure that no label has.

    Args:
        cases: dictionaries with ``image`` and ``label`` paths.
        structures: known foreground values.
        problems: what was found wrong before, to be reported together.
        ndim: number of axes that images must have; None for 2 or 3.
        threads: files are read by this many threads.

    Raises:
        DatasetError: something is wrong; up to 20 problems are named, and how many there are.
    """
    if not problems:
        check_unique_cases(cases)
    logger.info(f"checking {len(cases)} cases")
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda c: _check_case(str(c["image"]), str(c["label"]), structures, ndim), cases))
    everything = [*problems, *(line for wrong, _ in found for line in wrong)]
    if not everything:
        present = set().union(*(values for _, values in found))
        if absent := [k for k in structures if k not in present]:
            logger.warning(
                f"no label has the structures {absent} of {list(structures)}: are these the right data and "
                "configuration (its 'structures')? The network cannot learn what no label shows"
            )
        return
    shown = "\n  ".join(everything[:20]) + (f"\n  ... and {len(everything) - 20} more" if len(everything) > 20 else "")
    count = "1 problem" if len(everything) == 1 else f"{len(everything)} problems"
    raise DatasetError(
        f"{count} in the data set; mend these files or take them out of the folder, then start again:\n  {shown}"
    )
