"""Look at every file of a data set before anything else is done, and name all that is broken at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from ..cases.case import check_unique_cases
from ..cases.grid import log_notes, notes_of, turn_onto
from ..cases.image_file import open_image
from ..cases.label_file import GivenLabel, label_of
from ..core.case_id import images_of
from ..distributed import in_workers, worker_count
from ..progress import progress
from .case_check import CaseCheck
from .checked import CheckedCases
from .problems import in_few_lines
from .resampling import Resampling

__all__ = [
    "DatasetError",
    "check_case",
    "check_cases",
    "check_values",
    "look_into",
    "warn_of_other_slices",
]

logger = logging.getLogger(__name__)


class DatasetError(ValueError):
    """A data set that cannot be trained on; the message names every broken case and what to do."""


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
            f"{given.file.path}: is a soft label, fractions in [0, 1], which are read only where there is one "
            "structure; name it alone with --structures \"{'1': 'NAME'}\", or give indices, or the probability of each "
            "class along a fourth axis"
        ]
    if extra := [int(v) for v in np.unique(given.index) if v not in known][:5]:
        named = known if len(known) < 20 else f"0 to {known[-1]}"
        line = (
            f"{given.file.path}: holds the values {extra}, which are none of the known structures {named}; name them "
            "in --structures"
        )
        # nnU-Net wants its ignore label to be the highest, right after the structures.
        is_ignore = extra == [max(known) + 1]
        ignored = "; or, if it is nnU-Net's ignore label, give these voxels a class, or leave the case out"
        return [line + ignored * is_ignore]
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


def check_finite(path: str, voxels: np.ndarray) -> list[str]:
    """What is wrong with an image's numbers, in 32 bits, as a network reads them: a line, or none.

    Args:
        path: the image, for the line.
        voxels: of any shape and type.
    """
    if voxels.dtype.kind != "f":
        return []
    with np.errstate(over="ignore"):
        finite = np.isfinite(voxels if voxels.dtype.itemsize <= 4 else voxels.astype(np.float32))
    if finite.all():
        return []
    n = int(np.count_nonzero(~finite))
    those = f"{n} voxels that are" if n > 1 else "1 voxel that is"
    return [f"{path}: has {those} NaN, infinite, or too large for 32-bit floats: give each a value"]


def _check_voxels(path: str, stack: np.ndarray) -> list[str]:
    """What is wrong with an image's voxels, channels last."""
    if wrong := check_finite(path, stack):
        return wrong
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


def _look_into_all(
    cases: Sequence[Mapping[str, Any]],
    structures: Sequence[int],
    ndim: int | None,
    num_workers: int | None,
    checked: CheckedCases,
) -> list[CaseCheck]:
    """What is found of each case, or was found before of those that have not changed."""
    found = [checked.find(case) for case in cases]
    rest = [case for case, one in zip(cases, found, strict=True) if one is None]
    known = len(cases) - len(rest)
    logger.info(f"checking {len(rest)} cases" + (f"; {known} have not changed since they were" if known else ""))
    step = partial(look_into, structures=structures, ndim=ndim)
    looks = in_workers(step, rest, worker_count(len(rest), num_workers))
    new = iter([one for _, one in zip(progress(rest, "checks"), looks, strict=True)])
    everything = [next(new) if one is None else one for one in found]
    checked.note(cases, everything)
    return everything


def check_cases(
    cases: Sequence[Mapping[str, Any]],
    structures: Sequence[int],
    problems: Sequence[str] = (),
    ndim: int | None = None,
    channels: int = 1,
    num_workers: int | None = None,
    checked: CheckedCases | None = None,
    resampling: Resampling | None = None,
) -> None:
    """Check all cases and report once; warn of a structure that no label has.

    Cases are read by worker processes. Those that were in order at the last check, and whose files have not changed in
    size or time since, are not read again.

    Args:
        cases: their dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        structures: the known structures, 1, 2, ... where cases say their ``values``.
        problems: what was found wrong before, to be reported together.
        ndim, channels: see :func:`check_case`.
        num_workers: number of worker processes, 0 for none; None: as many as there are cores.
        checked: what is known of an earlier check, for the same ``structures`` and ``ndim``; it notes what this one
            finds. Its file is written by the caller or, where something is wrong, here if its folder is there.
        resampling: what becomes of the images in memory; None: they are not resampled.

    Raises:
        DatasetError: something is wrong; up to 20 lines say what (:func:`.problems.in_few_lines`), and how much it is.
    """
    if not problems:
        check_unique_cases(cases)
    checked = checked or CheckedCases(None, structures, ndim)
    found = _look_into_all(cases, structures, ndim, num_workers, checked)
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
    if checked.path is not None and checked.path.parent.is_dir():
        checked.write()  # so that the next start, with these mended, reads these alone
    few = in_few_lines(everything)
    count = "1 problem" if len(everything) == 1 else f"{len(everything)} problems"
    more = " (selfcleanse doctor names more of them)" if len(few) < len(everything) else ""
    raise DatasetError(
        f"{count} in the data set; mend these files or take them out of the folder, then start again{more}:"
        + "".join(f"\n  {line}" for line in few)
    )
