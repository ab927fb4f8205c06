"""Which layout a data set has, its cases, and the structures that it names itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from .acdc import find_acdc_cases
from .datalist import datalist_structures, find_datalist_cases
from .decathlon import decathlon_folders, find_decathlon_cases
from .nnunet import find_nnunet_cases, is_nnunet, read_dataset_json, structures_of_json

__all__ = ["check_structures", "find_cases", "layout_of", "structures_named"]


def find_cases(dataset: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a data set and what is broken about its files' names, in whichever layout it has.

    A file is a datalist (:mod:`.datalist`). A folder with one of images and one of labels is nnU-Net's
    (:mod:`.nnunet`) if its ``dataset.json`` is, else in the Decathlon's layout (:mod:`.decathlon`), any other in ACDC's
    (:mod:`.acdc`).

    Raises:
        ValueError: there is no such folder or file, it has none of the layouts, or its ``dataset.json`` is broken; the
            message says what was expected.
    """
    layout, find = _layout(dataset)
    try:
        return find(dataset)
    except ValueError as error:
        if layout != _LAST:
            raise
        raise ValueError(
            f"{error}; or, in the layout of the Decathlon or nnU-Net, imagesTr/NAME.nii.gz and labelsTr/NAME.nii.gz; "
            "or give a JSON file that lists the cases"
        ) from error


def layout_of(dataset: str | os.PathLike) -> str:
    """What a data set is taken for, in words."""
    return _layout(dataset)[0]


def structures_named(dataset: str | os.PathLike) -> tuple[Path, dict[int, str] | None]:
    """The file in which a data set may name its structures itself (nnU-Net, datalists with ``labels``), and they.

    None where it names none.

    Raises:
        ValueError: the file is broken.
    """
    if os.path.isfile(dataset):
        return Path(dataset), datalist_structures(dataset)
    file = Path(dataset) / "dataset.json"
    return file, structures_of_json(read_dataset_json(dataset), file) if is_nnunet(dataset) else None


def check_structures(dataset: str | os.PathLike, structures: Mapping[Any, str]) -> None:
    """See that the structures that a data set names itself (nnU-Net, datalists with ``labels``) are those configured.

    Names are compared by their letters and digits alone, in lower case.

    Raises:
        ValueError: values or names differ; the message has the option that mends it.
    """
    file, own = structures_named(dataset)
    configured = {int(k): str(name) for k, name in structures.items()}
    if own is not None and _plain(own) != _plain(configured):
        option = {str(k): name for k, name in own.items()}
        raise ValueError(
            f"{file} names other structures than the configuration: {own}, not {configured}; to train on its own, give "
            f'--structures "{option}"'
        )


_LAST = "a folder for each patient, as in ACDC"
"""The layout that is tried where nothing speaks for another one."""

_Finder: TypeAlias = Callable[[Any], tuple[list[dict[str, Any]], list[str]]]


def _layout(dataset: str | os.PathLike) -> tuple[str, _Finder]:
    """The layout in words, and what finds its cases."""
    if os.path.isfile(dataset):
        return "a JSON list of cases", find_datalist_cases
    if is_nnunet(dataset):
        return "a raw data set of nnU-Net", find_nnunet_cases
    if decathlon_folders(dataset) is not None:
        return "a folder of images and one of labels, as in the Decathlon", find_decathlon_cases
    return _LAST, find_acdc_cases


def _plain(names: Mapping[int, str]) -> dict[int, str]:
    return {k: "".join(c for c in name.lower() if c.isalnum()) for k, name in names.items()}
