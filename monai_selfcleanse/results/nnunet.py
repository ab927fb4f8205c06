"""A raw data set of nnU-Net v2, made of the cleansed labels.

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
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.case import check_unique_cases
from ..cases.label_file import read_label
from ..cases.nifti import image_channels
from ..cases.store import CaseStore
from ..cases.view import view_case
from ..core.case_id import case_of, images_of, split_channel
from ..core.cleansing import untrusted_voxels
from ..core.judgement import Judgement
from ..files import atomic_folder
from .provenance import PROVENANCE_FILE, is_export, judgement_by_case, provenance, write_json

__all__ = ["nnunet_names", "write_nnunet_dataset"]


def write_nnunet_dataset(
    directory: str | Path,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: CaseStore,
    source: Mapping[str, Any],
    *,
    channel_names: Sequence[str] | None = None,
    ignore: bool = False,
) -> None:
    """Write images and cleansed labels as nnU-Net takes them.

    Images are copies. Labels are new files of 8 bits on their image's grid, their structures numbered 1, 2, ... in the
    judgement's order, since nnU-Net wants no number left out.

    Args:
        directory: the data set's folder, by nnU-Net's rule ``DatasetNNN_Name``, in its ``nnUNet_raw``.
        judgement: on the labels; its ``redrawn`` structures are redrawn.
        data: the cases' dictionaries; ``image`` may be a list of paths, one a channel, or a file with the channels
            along one more axis than its label has.
        store: what the last look saw; asked for cases with a suspected structure alone.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.
        channel_names: one a channel. nnU-Net scales a channel named ``CT`` by the intensities of the whole data set,
            any other by its own. None: ``channel 0``, ``channel 1``, ...
        ignore: give voxels that neither the annotator nor the network can be trusted on
            (:func:`monai_selfcleanse.core.cleansing.untrusted_voxels`) nnU-Net's ``ignore`` label, which is the
            highest.

    Raises:
        ValueError: the folder's name is against nnU-Net's rule, or it holds something that is not an earlier export;
            structures' names are not unique; a label has other values; an image has another shape
            than its label; cases differ in their number of channels.
    """
    directory = Path(directory)
    if not re.fullmatch(r"Dataset\d{3}_[A-Za-z0-9_-]+", directory.name):
        raise ValueError(f"{directory.name!r} is no nnU-Net data set: name the folder DatasetNNN_Name, Dataset501_Mine")
    check_unique_cases(data)
    value = {k: i for i, k in enumerate(judgement.structures, 1)}
    labels = _labels(judgement.names, ignore)
    suspected, redrawn = (judgement.by_case(mark) for mark in (judgement.suspected, judgement.redrawn))
    ending = ".nii" if all(_all_end_plain(item) for item in data) else ".nii.gz"
    known = nnunet_names([case_of(item) for item in data])
    n_channels = 0
    with atomic_folder(directory, is_export) as part:
        for folder in ("imagesTr", "labelsTr"):
            (part / folder).mkdir()
        for item in data:
            case = case_of(item)
            index = _cleansed(item, suspected.get(case, []), redrawn.get(case, []), store, value, labels.get("ignore"))
            channels = image_channels(images_of(item), index.ndim)
            n_channels = n_channels or len(channels)
            if len(channels) != n_channels:
                raise ValueError(f"case {case!r}: its image has {len(channels)} channels, those before it {n_channels}")
            _write_case(case, channels, index, part, known[case], ending)
        channel_names = channel_names or [f"channel {i}" for i in range(n_channels)]
        if len(channel_names) != n_channels:
            raise ValueError(f"{len(channel_names)} channel names for {n_channels} channels: {list(channel_names)}")
        dataset = {
            "channel_names": {str(i): name for i, name in enumerate(channel_names)},
            "labels": labels,
            "numTraining": len(data),
            "file_ending": ending,
        }
        write_json(dataset, part / "dataset.json")
        origin = {"case_of": {name: case for case, name in known.items()}, "cases": judgement_by_case(judgement)}
        write_json(provenance(source) | origin, part / PROVENANCE_FILE)


def _write_case(
    case: str, channels: Sequence[nib.Nifti1Image], label: np.ndarray, directory: Path, name: str, ending: str
) -> None:
    """One case's images, and its label in their geometry: nnU-Net wants one for both, and affines differ by rounding.

    Raises:
        ValueError: an image has another shape than the label.
    """
    if wrong := [channel.shape for channel in channels if channel.shape != label.shape]:
        raise ValueError(f"case {case!r}: its image has the shape {wrong[0]}, its label {label.shape}")
    for i, channel in enumerate(channels):
        _write_image(channel, directory / "imagesTr" / f"{name}_{i:04d}{ending}")
    file = nib.Nifti1Image(label, channels[0].affine)
    file.set_qform(*channels[0].get_qform(coded=True))
    file.set_sform(*channels[0].get_sform(coded=True))
    nib.save(file, directory / "labelsTr" / f"{name}{ending}")


def _labels(names: Sequence[str], ignore: bool) -> dict[str, int]:
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
    return all(str(path).endswith(".nii") for path in [*images_of(item), item["label"]])


def _write_image(channel: nib.Nifti1Image, target: Path) -> None:
    """One channel as a file: copied or packed as it is; with another ending or more axes, saved anew."""
    path = channel.get_filename()
    if path is None or not str(path).endswith((".nii", ".nii.gz")):
        nib.save(channel, target)
    elif str(path).endswith(".nii.gz") == target.name.endswith(".nii.gz"):
        shutil.copyfile(path, target)
    else:
        with open(path, "rb") as plain, gzip.open(target, "wb") as packed:
            shutil.copyfileobj(plain, packed)


def _cleansed(
    item: Mapping[str, Any],
    suspected: Sequence[int],
    redrawn: Sequence[int],
    store: CaseStore,
    value: Mapping[int, int],
    ignore: int | None,
) -> np.ndarray:
    """A case's cleansed label, uint8, in nnU-Net's numbers."""
    if suspected:
        view = view_case(item, store.read_seen(case_of(item)), redrawn)
        label = view.cleansed
    else:
        label = read_label(item["label"]).index
    unknown = np.setdiff1d(label, [0, *value])
    if unknown.size:
        raise ValueError(f"{item['label']}: holds the values {unknown[:5].tolist()}, which are none of {[0, *value]}")
    out = np.zeros(label.shape, dtype=np.uint8)
    for structure, number in value.items():
        out[label == structure] = number
    if ignore is not None and suspected:
        untrusted = untrusted_voxels(view.given, view.predicted, view.confidence, redrawn, view.min_confidence)
        # Of a suspect that is not redrawn neither is believed where they differ, however sure the network is.
        left, never = [k for k in suspected if k not in redrawn], np.full(view.given.shape, -1.0)
        untrusted |= untrusted_voxels(view.given, view.predicted, never, left, view.min_confidence)
        out[untrusted & (label == view.given)] = ignore
    return out
