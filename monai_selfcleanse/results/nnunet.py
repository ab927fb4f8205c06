"""A raw data set of nnU-Net v2, made of cleansed or corrected labels.

::

    DIR/Dataset501_Cleansed/imagesTr/NAME_0000.nii.gz    first channel; NAME_0001.nii.gz the second, ...
                            labelsTr/NAME.nii.gz
                            dataset.json
                            provenance.json              not nnU-Net's: where it comes from, and each NAME's case

(Isensee et al., Nature Methods 18, 2021; the format is nnU-Net's documentation/dataset_format.md.)
"""

from __future__ import annotations

import gzip
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.case import check_unique_cases
from ..cases.grid import Turn, turn_onto
from ..cases.image_file import ImageFile, open_image
from ..cases.nifti_file import plain_image
from ..cases.store import StoreLike
from ..core.case_id import case_of, channel_name, ending_of, images_of, split_channel
from ..core.judgement import Judgement
from ..data.checks import check_finite
from ..distributed import in_workers, worker_count
from ..files import atomic_folder
from ..progress import progress
from .drawing import Drawing
from .label_set import JudgedLabels, LabelSet, check_target
from .provenance import PROVENANCE_FILE, Kind, is_export, write_json

__all__ = ["nnunet_names", "write_nnunet_dataset", "write_nnunet_labels"]

_KIND: Kind = "nnU-Net data set"


def write_nnunet_dataset(
    directory: str | Path,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
    *,
    channel_names: Sequence[str] | None = None,
    ignore: bool = False,
) -> None:
    """Write images and cleansed labels as nnU-Net takes them.

    Args:
        directory: see :func:`write_nnunet_labels`.
        judgement: on the labels; its ``redrawn`` structures are redrawn.
        data: the cases' dictionaries; ``image`` may be a list of paths, one a channel, or a file with the channels
            along one more axis than its label has.
        store: folder or store of what the last look saw; asked for cases with a suspected structure alone.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.
        channel_names, ignore: see :func:`write_nnunet_labels`.

    Raises:
        ValueError: see :func:`write_nnunet_labels`.
    """
    labels = JudgedLabels.in_store(judgement, data, store, source)
    write_nnunet_labels(directory, labels, channel_names=channel_names, ignore=ignore)


def write_nnunet_labels(
    directory: str | Path,
    labels: LabelSet,
    *,
    channel_names: Sequence[str] | None = None,
    ignore: bool = False,
    show_progress: bool = False,
    num_workers: int | None = 0,
) -> None:
    """Write images and labels, wherever these come from, as nnU-Net takes them.

    Images are copies. Labels are new files of 8 bits on their image's grid, their structures numbered 1, 2, ... in
    their order, since nnU-Net wants no number left out.

    Args:
        directory: the data set's folder, by nnU-Net's rule ``DatasetNNN_Name``, in its ``nnUNet_raw``.
        labels: the labels.
        channel_names: one a channel. nnU-Net scales a channel named ``CT`` by the intensities of the whole data set,
            any other by its own. None: ``channel 0``, ``channel 1``, ...
        ignore: give voxels that neither the annotator nor the network can be trusted on
            (:func:`monai_selfcleanse.core.cleansing.untrusted_voxels`) nnU-Net's ``ignore`` label, which is the
            highest.
        show_progress: show bars.
        num_workers: number of worker processes that check the images; None: as many as there are cores.

    Raises:
        ValueError: the folder's name is against nnU-Net's rule, or it holds something that is not an earlier export,
            or files of the cases; structures' names are not unique; a label has other values; a case has no image;
            images are damaged, hold NaN, or lie elsewhere than their labels, of which all are named; cases differ in
            their number of channels.
    """
    directory, data, structures = Path(directory), labels.data, tuple(labels.structures)
    if not re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9_-]+", directory.name):
        raise ValueError(f"{directory.name!r} is no nnU-Net data set: name the folder DatasetNNN_Name, Dataset501_Mine")
    check_unique_cases(data)
    if bare := [case_of(item) for item in data if "image" not in item]:
        raise ValueError(f"case {bare[0]!r} has no image, which nnU-Net needs: judge the labels with their images")
    check_target(directory, data)
    numbers = _numbers(list(labels.structures.values()), ignore)
    ending = ".nii" if all(_all_end_plain(item) for item in data) else ".nii.gz"
    known = nnunet_names([case_of(item) for item in data])
    _check_images(data, show_progress, num_workers)
    n_channels = 0
    with atomic_folder(directory, is_export(_KIND)) as part:
        for folder in ("imagesTr", "labelsTr"):
            (part / folder).mkdir()
        for item in progress(data, "cases", show_progress):
            case = case_of(item)
            drawing = labels.draw(item, mark_untrusted=ignore)
            index = _numbered(drawing, structures, numbers.get("ignore"))
            channels = _channels_of(item, index.ndim)
            n_channels = n_channels or len(channels)
            if len(channels) != n_channels:
                raise ValueError(f"case {case!r}: its image has {len(channels)} channels, those before it {n_channels}")
            _write_case(channels, index, drawing.affine, part, known[case], ending)
        channel_names = channel_names or [f"channel {i}" for i in range(n_channels)]
        if len(channel_names) != n_channels:
            raise ValueError(f"{len(channel_names)} channel names for {n_channels} channels: {list(channel_names)}")
        dataset = {
            "channel_names": {str(i): name for i, name in enumerate(channel_names)},
            "labels": numbers,
            "numTraining": len(data),
            "file_ending": ending,
        }
        write_json(dataset, part / "dataset.json")
        origin = {"export": _KIND, "case_of": {name: case for case, name in known.items()}}
        write_json(labels.provenance() | origin, part / PROVENANCE_FILE)


def _check_images(data: Sequence[Mapping[str, Any]], show_progress: bool, num_workers: int | None) -> None:
    """Read every image to its end.

    Raises:
        ValueError: some cannot be exported; the message names up to 20, and says how many there are.
    """
    found = in_workers(_image_problems, data, worker_count(len(data), num_workers))
    looks = [lines for _, lines in zip(progress(data, "images", show_progress), found, strict=True)]
    if problems := list(dict.fromkeys(line for lines in looks for line in lines)):
        shown = [*problems[:20], *([f"... and {len(problems) - 20} more"] if len(problems) > 20 else [])]
        raise ValueError(
            f"{len(problems)} image{'s' * (len(problems) > 1)} cannot be exported (selfcleanse doctor DATA lists what "
            "is wrong with the files): mend them, or leave their cases out, by the decision leave-out in decisions.csv "
            "and selfcleanse apply:\n  " + "\n  ".join(shown)
        )


def _image_problems(item: Mapping[str, Any]) -> list[str]:
    """Why images of a case cannot be exported, a line for each that cannot."""
    out = []
    for path in images_of(item):
        try:
            file, label = open_image(path), open_image(item["label"])
            turn_onto(file, label, label.ndim)
            out += check_finite(path, file.stack(label.ndim))
        except ValueError as error:
            out.append(str(error))
    return out


@dataclass(frozen=True)
class _Channel:
    """One channel of an image: which of a file's, and how it is turned to lie as the label."""

    file: ImageFile
    index: int
    turn: Turn

    def is_plain(self, shape: tuple[int, ...]) -> bool:
        """Whether its file can stand for it as it is, beside a label of that shape."""
        is_nifti = ending_of(self.file.path.name) in (".nii", ".nii.gz")
        return is_nifti and self.file.shape == shape and self.turn.orientation is None and not self.turn.note

    def voxels(self, ndim: int) -> np.ndarray:
        """Its voxels, on the label's grid."""
        return self.turn(self.file.stack(ndim)[..., self.index], ndim)


def _channels_of(item: Mapping[str, Any], ndim: int) -> list[_Channel]:
    """An image's channels, file by file.

    Raises:
        ValueError: a file cannot be read, or lies on another grid than the label.
    """
    label, out = open_image(item["label"]), []
    for file in map(open_image, images_of(item)):
        turn = turn_onto(file, label, ndim)
        out += [_Channel(file, i, turn) for i in range(file.n_channels(ndim))]
    return out


def _write_case(
    channels: Sequence[_Channel], label: np.ndarray, affine: np.ndarray, directory: Path, name: str, ending: str
) -> None:
    """One case's images, and its label in their geometry, for nnU-Net wants one for both."""
    target = directory / "labelsTr" / f"{name}{ending}"
    paths = [directory / "imagesTr" / f"{channel_name(name, i)}{ending}" for i in range(len(channels))]
    if all(channel.is_plain(label.shape) for channel in channels):
        for channel, path in zip(channels, paths, strict=True):
            _copy(channel.file.path, path)
        channels[0].file.write(label, target, np.uint8)
        return
    for channel, path in zip(channels, paths, strict=True):
        nib.save(plain_image(channel.voxels(label.ndim), affine), path)
    nib.save(plain_image(label, affine), target)


def _numbers(names: Sequence[str], ignore: bool) -> dict[str, int]:
    """nnU-Net's ``labels``: a number for each name, in their order from 1, ``ignore`` last."""
    labels = {"background": 0} | {name: i for i, name in enumerate(names, 1)}
    if len(labels) <= len(names) or "ignore" in labels:
        raise ValueError(f"structures must have names of their own, none 'background' or 'ignore': {list(names)}")
    return labels | ({"ignore": len(labels)} if ignore else {})


def nnunet_names(cases: Sequence[str]) -> dict[str, str]:
    """Names of cases for nnU-Net: letters, digits, ``_``, ``-`` alone, and unique, on any file system.

    A name is never another's with a channel's number added, so that no image belongs to two cases. Legal names
    are kept.
    """
    out: dict[str, str] = {}
    taken: set[str] = set()  # in lower case: some file systems hold A and a for one
    stems: set[str] = set()
    for case in cases:
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", case) or "case"
        name, n = plain, 2
        while (low := name.lower()) in taken or low in stems or _without_channel(low) in taken:
            name, n = f"{plain}-{n}", n + 1
        out[case] = name
        taken.add(low)
        if (stem := _without_channel(low)) is not None:
            stems.add(stem)
    return out


def _without_channel(name: str) -> str | None:
    """The name without a channel's number at its end; None where there is none."""
    stem, channel = split_channel(name)
    return stem if channel is not None and stem else None


def _all_end_plain(item: Mapping[str, Any]) -> bool:
    return all(str(path).lower().endswith(".nii") for path in [*images_of(item), item["label"]])


def _copy(source: Path, target: Path) -> None:
    """Copy a NIfTI file; with another ending, packed or unpacked."""
    packed = ending_of(source.name) == ".nii.gz"
    if packed == target.name.endswith(".nii.gz"):
        shutil.copyfile(source, target)
        return
    with (gzip.open if packed else open)(source, "rb") as file, (open if packed else gzip.open)(target, "wb") as copy:
        shutil.copyfileobj(file, copy)


def _numbered(drawing: Drawing, structures: Sequence[int], ignore: int | None) -> np.ndarray:
    """A label in nnU-Net's numbers, uint8: structures from 1 on without a gap, ``ignore`` for what is untrusted."""
    index = drawing.index
    unknown = np.setdiff1d(index, [0, *structures])
    if unknown.size:
        path = drawing.label.file.path
        raise ValueError(f"{path}: holds the values {unknown[:5].tolist()}, none of {[0, *structures]}")
    out = np.zeros(index.shape, dtype=np.uint8)
    for number, structure in enumerate(structures, 1):
        out[index == structure] = number
    if ignore is not None and drawing.untrusted is not None:
        out[drawing.untrusted] = ignore
    return out
