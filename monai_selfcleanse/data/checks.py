"""Look at every file of a data set before anything else is done, and name all that is broken at once."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..cases.case import check_unique_cases
from ..cases.grid import Notes, log_notes, notes_of, turn_onto
from ..cases.image_file import open_image
from ..cases.label_file import GivenLabel, label_of
from ..core.case_id import images_of

__all__ = [
    "CaseCheck",
    "DatasetError",
    "Resampling",
    "check_case",
    "check_cases",
    "check_values",
    "look_into",
    "warn_of_other_slices",
]

logger = logging.getLogger(__name__)


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every broken case and what to do."""


@dataclass
class CaseCheck:
    """What was found of one case's files.

    Attributes:
        problems: what is wrong, a line each.
        notes: what was tolerated.
        structures: the structures that the label has.
        n_channels: number of the image's channels.
        spacing: voxel size of the label in mm.
        spatial: number of the label's voxels along each axis.
    """

    problems: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=dict)
    structures: set[int] = field(default_factory=set)
    n_channels: int = 0
    spacing: tuple[float, ...] = ()
    spatial: tuple[int, ...] = ()


@dataclass(frozen=True)
class Resampling:
    """What becomes of images in memory.

    Attributes:
        spacing: voxel size in mm that they are resampled to; -1 keeps an axis as it is.
        cache_rate: share of the cases that is held in memory.
        memory: bytes that there are; None for the machine's.
    """

    spacing: Sequence[float]
    cache_rate: float = 1.0
    memory: int | None = None

    def too_large(self, found: Mapping[str, CaseCheck]) -> list[str]:
        """A line where the images do not fit into the memory; the first is of the largest one.

        Args:
            found: what was found of each case, by its label's file.
        """
        memory = _memory() if self.memory is None else self.memory
        held = {path: self._voxels(one) * 4 * (one.n_channels + 1) for path, one in found.items()}
        largest = max(held, key=lambda path: held[path], default=None)
        if largest is None or memory is None:
            return []
        grid = 24 * self._voxels(found[largest])  # where MONAI takes each voxel from, while it resamples
        needed = held[largest] + grid + self.cache_rate * sum(held.values())
        if needed <= memory:
            return []
        sizes = " x ".join(map(str, found[largest].spatial)), " x ".join(f"{s:.3g}" for s in found[largest].spacing)
        return [
            f"{largest}: with spacing {list(self.spacing)} its {sizes[0]} voxels of {sizes[1]} mm become "
            f"{self._voxels(found[largest]):,.0f}, and the {len(found)} cases take {needed / 1e9:,.1f} GB, where the "
            f"machine has {memory / 1e9:,.1f} GB: give a larger --spacing, or hold fewer cases with --cache_rate "
            f"(now {self.cache_rate})"
        ]

    def _voxels(self, one: CaseCheck) -> float:
        axes = zip(one.spatial, one.spacing, self.spacing, strict=False)
        return math.prod(max(1.0, n * size / wanted) if wanted > 0 else n for n, size, wanted in axes)


def _memory() -> int | None:
    """Bytes of the machine's memory; None where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def check_case(
    image: str | Sequence[str],
    label: str,
    structures: Sequence[int],
    ndim: int | None = None,
    channels: int = 1,
    values: Sequence[int] | None = None,
) -> list[str]:
    """What is wrong with one image and its label; an empty list if nothing is.

    Checked are: all files can be read to their ends; the label is in one of the forms of
    :mod:`monai_selfcleanse.core.index_map` and holds nothing but 0 and the structures; image and label lie on one grid
    (:mod:`monai_selfcleanse.cases.grid`); the image has as many ``channels`` as the network; its values are finite, as
    32-bit floats, too, and no channel is constant. An empty label is in order: all structures may have been missed.

    Args:
        image: its file, or a list of files, one a channel.
        label: its file.
        structures: the known structures.
        ndim: number of spatial axes, 2 or 3; axes of length 1 come and go. None for the label's.
        channels: number of the network's input channels.
        values: the structures' values in the label's file, where these are not 1, 2, ... (then ``structures`` are).
    """
    case = {"image": image, "label": label} | ({} if values is None else {"values": values})
    return look_into(case, structures, ndim, channels).problems


def look_into(
    case: Mapping[str, Any], structures: Sequence[int], ndim: int | None = None, channels: int | None = None
) -> CaseCheck:
    """Read a case's files to their ends, and say what is wrong with them and what was tolerated.

    Args:
        case: its dictionary, see :mod:`monai_selfcleanse.cases.case`.
        structures, ndim, channels: see :func:`check_case`; None as ``channels`` takes any number.
    """
    out = CaseCheck()
    try:
        _look_into(case, structures, ndim, out)
    except Exception as error:  # whatever a file does to us is this case's problem, not the run's
        out.problems.append(f"{images_of(case)[0]} or its label: cannot be checked ({type(error).__name__}: {error})")
    if channels is not None and not out.problems:
        out.problems += _compare_channels({out.n_channels: [str(images_of(case)[0])]}, channels)
    return out


def _look_into(case: Mapping[str, Any], structures: Sequence[int], ndim: int | None, out: CaseCheck) -> None:
    given = None
    try:
        given = label_of(case, ndim)
        out.spacing = tuple(map(float, given.file.spacing(given.index.ndim)))
        out.spatial = given.index.shape
        out.problems += check_values(given, structures)
        out.structures = {int(v) for v in np.unique(given.index)}
    except ValueError as error:
        out.problems.append(str(error))
    ndim = ndim or (3 if given is None else given.index.ndim)
    onto = None if given is None else given.file
    files = []
    for path in map(str, images_of(case)):
        try:
            file = open_image(path)
            stack = file.stack(ndim)
            out.n_channels += stack.shape[-1]
            out.problems += _check_voxels(path, stack)
            onto = onto or file
            out.notes |= turn_onto(file, onto, ndim).notes
            files.append(file)
        except ValueError as error:
            out.problems.append(str(error))
    out.notes |= notes_of(*([] if given is None else [given.file]), *files)


def check_values(given: GivenLabel, structures: Sequence[int]) -> list[str]:
    """What is wrong with a label's values, as :func:`check_case` says it.

    Args:
        given: the label.
        structures: the known structures.
    """
    known = [0, *structures]
    if given.form == "soft label" and list(structures) != [1]:
        return [
            f"{given.file.path}: is a soft label, fractions in [0, 1] of one structure, but there are {len(known) - 1} "
            "structures; give indices, or the probability of each class along a fourth axis; if there is but one "
            "structure, name it with --structures \"{'1': 'NAME'}\""
        ]
    if extra := [int(v) for v in np.unique(given.index) if v not in known][:5]:
        return [f"{given.file.path}: holds the values {extra}, which are none of the known structures {known}"]
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


def _check_voxels(path: str, stack: np.ndarray) -> list[str]:
    """What is wrong with an image's voxels, channels last."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(stack) if stack.dtype.itemsize <= 4 else np.isfinite(stack.astype(np.float32))
    if not finite.all():
        n = int(np.count_nonzero(~finite))
        return [f"{path}: has {n} voxels that are NaN, infinite, or too large for 32-bit floats: give them a value"]
    constant = [i for i in range(stack.shape[-1]) if stack[..., i].min() == stack[..., i].max()]
    if constant:
        return [f"{path}: is constant" + (f" in channel {constant[0]}" if stack.shape[-1] > 1 else "")]
    return []


def warn_of_other_slices(spacings: Mapping[str, Sequence[float]]) -> None:
    """Warn of volumes whose slices seem to lie along another axis than the last, along which this package counts them.

    A volume counts if its voxels are more than twice as large along one axis as along the last, and along the third are
    not: so the slices of a thin-slice CT, whose pixels are larger than that, do not.

    Args:
        spacings: voxel sizes in mm by label file; those of two axes are passed over.
    """
    odd = [(path, s) for path, s in spacings.items() if len(s) == 3 and max(s[:2]) > 2 * s[2] >= min(s[:2])]
    if odd:
        (path, sizes), n = odd[0], len(odd)
        logger.warning(
            f"{n} of {len(spacings)} labels have far larger voxels along another axis than the last, such as {path} "
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
    resampling: Resampling | None = None,
) -> None:
    """Check all cases and report once; warn of a structure that no label has.

    Args:
        cases: their dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        structures: the known structures, 1, 2, ... where cases say their ``values``.
        problems: what was found wrong before, to be reported together.
        ndim, channels: see :func:`check_case`.
        threads: files are read by this many threads.
        resampling: what becomes of the images in memory; None: they are not resampled.

    Raises:
        DatasetError: something is wrong; up to 20 problems are named, and how many there are.
    """
    if not problems:
        check_unique_cases(cases)
    logger.info(f"checking {len(cases)} cases")
    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(lambda case: look_into(case, structures, ndim), cases))
    by_channels: dict[int, list[str]] = {}
    for case, one in zip(cases, found, strict=True):
        if not one.problems:
            by_channels.setdefault(one.n_channels, []).append(str(images_of(case)[0]))
    everything = [*problems, *(line for one in found for line in one.problems)]
    everything += _compare_channels(by_channels, channels)
    if resampling is not None and not everything:
        everything += resampling.too_large({str(c["label"]): one for c, one in zip(cases, found, strict=True)})
    if not everything:
        log_notes((one.notes for one in found), len(cases))
        present = set().union(*(one.structures for one in found))
        if absent := [k for k in structures if k not in present]:
            logger.warning(
                f"no label has the structures {absent} of {list(structures)}: are these the right data and "
                "configuration (its 'structures')? The network cannot learn what no label shows"
            )
        warn_of_other_slices({str(case["label"]): one.spacing for case, one in zip(cases, found, strict=True)})
        return
    shown = "\n  ".join(everything[:20]) + (f"\n  ... and {len(everything) - 20} more" if len(everything) > 20 else "")
    count = "1 problem" if len(everything) == 1 else f"{len(everything)} problems"
    raise DatasetError(
        f"{count} in the data set; mend these files or take them out of the folder, then start again:\n  {shown}"
    )
