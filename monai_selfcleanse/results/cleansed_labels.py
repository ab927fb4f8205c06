"""Cleansed labels in the layout of the data set that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cases.case import label_file_of
from ..cases.label_file import label_of, save_index_map
from ..cases.store import CaseStore, SeenCase, StoreLike
from ..cases.view import view_case
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..files import atomic_folder
from .provenance import PROVENANCE_FILE, is_export, judgement_by_case, provenance, write_json

__all__ = ["cleanse_file", "write_cleansed_labels"]


def write_cleansed_labels(
    directory: str | Path,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
) -> None:
    """Write every case's label, its redrawn structures in it, under its own relative path, and ``provenance.json``.

    A label without such a structure is copied as a file, if it is an index map. Soft labels and class probabilities
    (:mod:`monai_selfcleanse.core.index_map`) all become index maps. The folder is built beside its place and then put
    there as a whole; an earlier export that was there is replaced. Given labels are only read.

    Args:
        directory: the folder to write.
        judgement: on the labels; its ``redrawn`` structures are redrawn.
        data: the cases' dictionaries, with paths.
        store: folder or store of what the last look saw.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.

    Raises:
        ValueError: the folder holds something that is not an earlier export.
    """
    store, redrawn = CaseStore.at(store), judgement.by_case(judgement.redrawn)
    with atomic_folder(directory, is_export) as part:
        for item in data:
            target = part / label_file_of(item)
            structures = redrawn.get(case_of(item), [])
            if structures:
                cleanse_file(item, store.read_seen(case_of(item)), structures, target)
            elif (label := label_of(item)).is_index_map:
                label.file.copy(target)
            else:
                save_index_map(label.index, label, target)
        write_json(provenance(source) | {"cases": judgement_by_case(judgement)}, part / PROVENANCE_FILE)


def cleanse_file(data: Mapping[str, Any], seen: SeenCase, structures: Sequence[int], target: Path) -> None:
    """Write the cleansed copy of one label file on that label's own grid.

    Header and data type are its own, too, but that a soft label's index map has 8 bits. What lies outside of what the
    network has seen keeps what was given.

    Args:
        data: the case's dictionary.
        seen: what the network saw.
        structures: the structures to redraw.
        target: file to write.
    """
    view = view_case(data, seen, structures)
    save_index_map(view.cleansed, view.label, target)
