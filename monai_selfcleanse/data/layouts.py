"""Which layout a data set has, its cases, and the structures that it names itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from ..core.case_id import ending_of, listed, name_of, split_channel
from .acdc import find_acdc_cases
from .datalist import datalist_structures, find_datalist_cases
from .decathlon import decathlon_folders, find_decathlon_cases
from .listing import entries, subfolders, unread_images
from .nnunet import are_same_structures, find_nnunet_cases, is_nnunet, read_dataset_json, structures_of_json

__all__ = ["check_structures", "find_cases", "layout_of", "structures_named"]


def find_cases(dataset: str | os.PathLike) -> tuple[list[dict[str, Any]], list[str]]:
    """Cases of a data set and what is broken about its files' names, in whichever layout it has.

    A file is a datalist (:mod:`.datalist`). A folder with one of images and one of labels is nnU-Net's
    (:mod:`.nnunet`) if its ``dataset.json`` is, else in the Decathlon's layout (:mod:`.decathlon`), any other in ACDC's
    (:mod:`.acdc`).

    Raises:
        ValueError: there is no such folder or file, it has none of the layouts, all labels are named otherwise than
            their images, or its ``dataset.json`` is broken; the message says what was found and what was expected.
    """
    _check_there(dataset)
    layout, find = _layout(dataset)
    try:
        cases, problems = find(dataset)
    except ValueError as error:
        if layout != _LAST or not os.path.isdir(dataset):
            raise
        raise ValueError(_in_no_layout(Path(dataset))) from error
    if not cases and (suffix := _suffix_of_labels(dataset)):
        raise ValueError(
            f"dataset_dir {str(dataset)!r}: the labels' names end in {suffix!r}, the images' do not; rename the "
            f"labels, or {_WRITE_A_LIST}"
        )
    return cases, problems


def layout_of(dataset: str | os.PathLike) -> str:
    """What a data set is taken for, in words."""
    return _layout(dataset)[0]


def structures_named(dataset: str | os.PathLike) -> tuple[Path, dict[int, str] | None]:
    """The file in which a data set may name its structures itself (``dataset.json``, datalists), and they.

    None where it names none.

    Raises:
        ValueError: the file is broken.
    """
    if os.path.isfile(dataset):
        return Path(dataset), datalist_structures(dataset)
    file = Path(dataset) / "dataset.json"
    has_one = decathlon_folders(dataset) is not None  # the Decathlon's, or nnU-Net's
    return file, structures_of_json(read_dataset_json(dataset), file) if has_one else None


def check_structures(dataset: str | os.PathLike, structures: Mapping[Any, str]) -> None:
    """See that the structures that a data set names itself (:func:`structures_named`) are those configured.

    Names are compared by :func:`monai_selfcleanse.data.nnunet.are_same_structures`.

    Raises:
        ValueError: values or names differ; the message has the option that mends it.
    """
    file, own = structures_named(dataset)
    configured = {int(k): str(name) for k, name in structures.items()}
    if own is not None and not are_same_structures(own, configured):
        option = {str(k): name for k, name in own.items()}
        raise ValueError(
            f"{file} names other structures than the configuration: {own}, not {configured}; to train on its own, give "
            f'--structures "{option}"'
        )


_LAST = "a folder for each patient, as in ACDC"
"""The layout that is tried where nothing speaks for another one."""

_WRITE_A_LIST = "write a JSON list of the cases (docs/how-to/own-data.md has a script for that)"

_TABLES = {".csv": "CSV", ".tsv": "a table", ".xls": "a table of Excel", ".xlsx": "a table of Excel"}
"""Files that list cases in a way that is not read, by their endings."""

_DEPTH = 4
"""How far below a folder images are looked for, to say where they lie: as deep as BIDS has derivatives."""

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


def _check_there(dataset: str | os.PathLike) -> None:
    """See that there is something that may hold cases.

    Raises:
        ValueError: there is not.
    """
    ending = Path(dataset).suffix.lower()
    if os.path.isfile(dataset) and ending in _TABLES:
        raise ValueError(f"dataset_dir {str(dataset)!r} is {_TABLES[ending]}; {_WRITE_A_LIST}")
    if not os.path.exists(dataset):
        is_file = ending in (".json", *_TABLES)
        what = ": there is no such file" if is_file else " is not a folder, nor a file: there is nothing of that name"
        raise ValueError(f"dataset_dir {str(dataset)!r}{what}")


def _in_no_layout(root: Path) -> str:
    """What a folder holds that has no known layout, and what to do, in words."""
    folders = list(_folders_below(root, _DEPTH))
    places: list[str] = []
    for folder in folders:
        if n := sum(bool(ending_of(path.name)) and os.path.isfile(path) for path in entries(folder)):
            images = "" if places else f" image{'s' * (n > 1)}"
            places.append(f"{n}{images} in {'.' if folder == root else folder.relative_to(root).as_posix()}/")
    unread = unread_images(folders)
    return (
        f"dataset_dir {str(root)!r} has none of the known layouts: found {listed(places, 4) or 'no image'}"
        + (f" ({unread})" if unread else "")
        + f"; {_WRITE_A_LIST}, or rename the files: imagesTr/NAME.nii.gz and labelsTr/NAME.nii.gz, or as in ACDC "
        "patient001/patient001_frame01.nii.gz and patient001/patient001_frame01_gt.nii.gz"
    )


def _folders_below(root: Path, depth: int) -> Iterator[Path]:
    """A folder, and those below it."""
    yield root
    for folder in subfolders(root) if depth else []:
        yield from _folders_below(folder, depth - 1)


def _suffix_of_labels(dataset: str | os.PathLike) -> str:
    """What all labels' names have at their end, the first after the name of an image; empty for nothing."""
    folders = decathlon_folders(dataset)
    if folders is None:
        return ""
    found = [[name_of(path.name) for path in entries(folder) if ending_of(path.name)] for folder in folders]
    images, labels = {split_channel(name)[0] for name in found[0]}, found[1]
    after = [labels[0].removeprefix(image) for image in images if labels and labels[0].startswith(image)]
    suffix = min(after, key=len, default="")
    return suffix if not suffix[:1].isalnum() and all(label.endswith(suffix) for label in labels) else ""
