"""Look at every file of a data set before anything else is done, and name all that is broken at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..cases import case_of, check_unique_cases
from ..files import load_nifti

__all__ = ["DatasetError", "check_case", "check_cases"]

logger = logging.getLogger(__name__)


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every broken case and what to do."""


def check_case(image: str, label: str, structures: Sequence[int]) -> list[str]:
    """What is wrong with one image and its label; an empty list if nothing is.

    Checked are: both files can be read to the end; 2 or 3 axes; shapes and affines agree (to 1e-3 of a voxel size);
    the image is finite and not constant; the label holds whole numbers among 0 and ``structures``. An empty label is
    in order: all structures may have been missed.
    """
    problems = []
    arrays, affines = {}, {}
    for name, path in (("image", image), ("label", label)):
        try:
            file = load_nifti(path)
            arrays[name], affines[name] = np.asanyarray(file.dataobj), file.affine
        except Exception as error:  # any reader's failure is this file's problem, not the run's
            problems.append(f"{path}: cannot be read ({type(error).__name__}: {error}); it may be truncated")
    if "image" in arrays:
        voxels = arrays["image"]
        if voxels.ndim not in (2, 3):
            problems.append(f"{image}: has {voxels.ndim} axes, expected a 2-D or 3-D image")
        elif not np.isfinite(voxels).all():
            problems.append(f"{image}: has {int((~np.isfinite(voxels)).sum())} NaN or infinite voxels")
        elif voxels.size == 0 or voxels.min() == voxels.max():
            problems.append(f"{image}: is constant" if voxels.size else f"{image}: is empty")
    if "label" in arrays:
        found = np.unique(arrays["label"])
        known = [0, *structures]
        if not np.array_equal(found, np.rint(found)):
            problems.append(f"{label}: holds values that are no whole numbers; expected structure indices {known}")
        elif not np.isin(found, known).all():
            extra = [int(v) for v in found[~np.isin(found, known)]][:5]
            problems.append(f"{label}: holds the values {extra}, which are none of the known structures {known}")
    if len(arrays) == 2:
        shapes = arrays["image"].shape, arrays["label"].shape
        if shapes[0] != shapes[1]:
            problems.append(f"{label}: has shape {shapes[1]}, its image {shapes[0]}")
        else:
            size = np.linalg.norm(affines["image"][:3, :3], axis=0).min()
            off = float(np.abs(affines["image"] - affines["label"]).max())
            if off > 1e-3 * max(size, 1e-6):
                problems.append(f"{label}: its affine differs from its image's by up to {off:.3g} mm; resample one")
    return problems


def check_cases(
    cases: Sequence[Mapping[str, Any]], structures: Sequence[int], problems: Sequence[str] = (), threads: int = 4
) -> None:
    """Check all cases and report once.

    Args:
        cases: dictionaries with ``image`` and ``label`` paths.
        structures: known foreground values.
        problems: what was found wrong before, to be reported together.
        threads: files are read by this many threads.

    Raises:
        DatasetError: something is wrong; up to 20 problems are named, and how many there are.
    """
    check_unique_cases(cases)
    logger.info(f"checking {len(cases)} cases")
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda c: check_case(str(c["image"]), str(c["label"]), structures), cases))
    broken = [case_of(case) for case, wrong in zip(cases, found, strict=True) if wrong]
    everything = [*problems, *(line for wrong in found for line in wrong)]
    if not everything:
        return
    shown = "\n  ".join(everything[:20]) + (f"\n  ... and {len(everything) - 20} more" if len(everything) > 20 else "")
    count = f"{len(broken)} of {len(cases)} cases are broken" if broken else "the data set is not complete"
    raise DatasetError(f"{count}; mend these files or take them out of the folder, then start again:\n  {shown}")
