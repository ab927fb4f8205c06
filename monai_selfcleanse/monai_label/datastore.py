"""Labels that were reviewed in MONAI Label, out of its datastore's folder: decisions, as if they had been edited.

::

    STUDIES/case_1.nii.gz                an image
            labels/final/case_1.nii.gz   its label, as it was submitted last
            datastore_v2.json            what MONAI Label knows of both; that a label was reviewed is known by it

Nothing here needs MONAI Label.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.case import label_file_of
from ..cases.image_file import open_image
from ..cases.label_file import GivenLabel, label_of
from ..cases.view import position_of
from ..core.case_id import case_of, images_of, name_of, split_channel
from ..core.index_map import to_indices
from ..results.decisions import Decision
from ..results.record import JudgedRun
from .review import TAG, is_reviewed
from .segments import segment_numbers
from .submitted import read_submitted

__all__ = ["DATASTORE_FILE", "ReviewedLabels", "read_reviewed"]

DATASTORE_FILE = "datastore_v2.json"
"""Name of the file in a datastore's folder."""

WHO = "MONAI Label"
"""The reviewer: MONAI Label does not keep a name."""


@dataclass(frozen=True, eq=False)
class ReviewedLabels:
    """Reviewed labels of a judged data set.

    Attributes:
        decisions: by case and class index: ``edit`` where the reviewed label has a structure otherwise than the given
            one, else ``keep``.
        labels: the reviewed labels' index maps, by the path of their case's cleansed label.
        unmatched: ids of reviewed images that are no case's.
        waiting: number of the labels that nobody has reviewed.
    """

    decisions: Mapping[tuple[str, int], Decision]
    labels: Mapping[str, _Label]
    unmatched: tuple[str, ...]
    waiting: int

    def read_edit(self, item: Mapping[str, Any], label: GivenLabel) -> np.ndarray:
        """A case's reviewed label; see :data:`monai_selfcleanse.results.drawing.ReadEdit`."""
        return self.labels[label_file_of(item)].read(item, label)


def read_reviewed(folder: str | os.PathLike, run: JudgedRun) -> ReviewedLabels:
    """Read the labels of a datastore that were reviewed (:func:`monai_selfcleanse.monai_label.review.is_reviewed`).

    Images are those of the judged cases that have their files' names.

    Args:
        folder: the datastore's folder, MONAI Label's ``--studies``.
        run: the judgement with its cases.

    Raises:
        ValueError: the folder is no datastore, no label in it was reviewed, two cases have an image of one name, or a
            label cannot be read; the message names it.
    """
    store = _Folder(Path(folder))
    cases = _cases_by_image(run)
    reviewed = [image for image in store.labelled if is_reviewed(store, image, image)]  # type: ignore[arg-type]
    if not reviewed:
        raise ValueError(
            f"{folder}: none of its {len(store.labelled)} labels was reviewed: submit or approve labels in MONAI Label "
            "after they were judged"
        )
    decisions, labels, unmatched = {}, {}, []
    for image in reviewed:
        found = cases.get(name_of(image + store.ending_of(image)), [])
        if len(found) > 1:
            raise ValueError(f"{folder}: the image {image!r} is that of the cases {', '.join(map(case_of, found))}")
        if not found:
            unmatched.append(image)
            continue
        (item,) = found
        label, given = _Label(store, image, run), label_of(item)
        new = label.read(item, given)
        for k, name in run.judgement.name_of.items():
            choice = "keep" if np.array_equal(new == k, given.index == k) else "edit"
            decisions[case_of(item), k] = Decision(case_of(item), name, choice, WHO, label.when)  # type: ignore[arg-type]
        labels[label_file_of(item)] = label
    return ReviewedLabels(decisions, labels, tuple(unmatched), len(store.labelled) - len(reviewed))


def _cases_by_image(run: JudgedRun) -> dict[str, list[dict[str, Any]]]:
    """The cases that have an image of a name; of an image with its channel's number, without it as well."""
    out: dict[str, list[dict[str, Any]]] = {}
    for item in run.data:
        names = [name_of(str(path)) for path in (images_of(item) if "image" in item else ())]
        for name in {*names, *(split_channel(name)[0] for name in names)}:
            out.setdefault(name, []).append(item)
    return out


class _Folder:
    """A datastore as far as it is read here, by the names of MONAI Label's own."""

    def __init__(self, folder: Path) -> None:
        self.folder, path = folder, folder / DATASTORE_FILE
        if not path.is_file():
            raise ValueError(f"{folder}: has no {DATASTORE_FILE}: name a table of decisions, or MONAI Label's folder")
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            self.objects = {str(image): _entry(one) for image, one in about["objects"].items()}
            self.labels = folder / str(about.get("labels_dir") or "labels") / TAG
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: cannot be read as a datastore ({type(error).__name__}: {error})") from error

    @property
    def labelled(self) -> list[str]:
        """Ids of the images with a label."""
        return sorted(image for image, one in self.objects.items() if TAG in one["labels"])

    def ending_of(self, image: str) -> str:
        return str(self.objects[image]["image"]["ext"])

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        return self.objects[image_id]["image"]["info"]

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        return self.objects[label_id]["labels"][label_tag]["info"]

    def label_path(self, image: str) -> Path:
        """The label's file, which lies in the folder."""
        path = Path(os.path.abspath(self.labels / f"{image}{self.objects[image]['labels'][TAG]['ext']}"))
        if Path(os.path.abspath(self.folder)) not in path.parents:
            raise ValueError(f"{self.folder / DATASTORE_FILE}: the label of {image!r} lies outside of the folder")
        return path


def _entry(one: Any) -> dict[str, Any]:
    """An image's entry with all that is asked of it."""
    labels = {tag: {"ext": str(label["ext"]), "info": dict(label["info"])} for tag, label in one["labels"].items()}
    return {"image": {"ext": str(one["image"]["ext"]), "info": dict(one["image"]["info"])}, "labels": labels}


class _Label:
    """One reviewed label."""

    def __init__(self, store: _Folder, image: str, run: JudgedRun) -> None:
        self.path, info = store.label_path(image), store.get_label_info(image, TAG)
        self.value_of, names = run.judgement.numbers, run.judgement.name_of
        self.numbers = segment_numbers(info.get("label_info"), {self.value_of[k]: name for k, name in names.items()})
        self.when = ""
        if isinstance(submitted := info.get("ts"), (int, float)):
            self.when = datetime.fromtimestamp(submitted, timezone.utc).isoformat(timespec="seconds")

    def read(self, item: Mapping[str, Any], label: GivenLabel) -> np.ndarray:
        """Its index map on the given label's grid.

        Raises:
            ValueError: it cannot be read, or holds unknown values; the message names it.
        """
        shape, where = label.index.shape, position_of(item, label)
        index, _ = read_submitted(self.path, label.file.path, where, shape)
        has_channels = _length(open_image(self.path).shape) > _length(shape)  # one each class, in the classes' order
        if not has_channels:
            index = self.numbers.renumber(index)
        known = np.unique([0, *(self.value_of if has_channels else self.value_of.values())])
        if (unknown := np.setdiff1d(index, known)).size:
            raise ValueError(
                f"{self.path}: holds the values {unknown[:5].tolist()}, which are none of the known structures "
                f"{known.tolist()}"
            )
        return index if has_channels or label.values is None else to_indices(index, label.values, str(self.path))


def _length(shape: Sequence[int]) -> int:
    """Number of axes, those of one voxel not counted."""
    return sum(n > 1 for n in shape)
