"""Cleansed labels in the layout of the data set that they come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..cases.label_file import save_index_map
from ..cases.seen import SeenCase
from ..cases.store import StoreLike
from ..core.judgement import Judgement
from .drawing import Recipe, draw_label
from .label_set import JudgedLabels, write_labels

__all__ = ["cleanse_file", "write_cleansed_labels"]


def write_cleansed_labels(
    directory: str | Path,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
    num_workers: int | None = 0,
) -> None:
    """Write every case's label, its redrawn structures in it, under its own relative path, and ``provenance.json``.

    A label in which nothing changes is copied as a file, if it is an index map. Soft labels and class probabilities
    (:mod:`monai_selfcleanse.core.index_map`) all become index maps. The folder is built beside its place and then put
    there as a whole; an earlier export that was there is replaced. Given labels are only read.

    Args:
        directory: the folder to write.
        judgement: on the labels; its ``redrawn`` structures are redrawn.
        data: the cases' dictionaries, with paths.
        store: folder or store of what the last look saw.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.
        num_workers: see :func:`monai_selfcleanse.results.label_set.write_labels`.

    Raises:
        ValueError: the folder holds something that is not an earlier export.
    """
    write_labels(directory, JudgedLabels.in_store(judgement, data, store, source), num_workers=num_workers)


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
    drawing = draw_label(data, Recipe(redrawn=tuple(structures)), lambda: seen)
    save_index_map(drawing.index, drawing.label, target)
