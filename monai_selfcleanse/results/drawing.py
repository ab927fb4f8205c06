"""One case's label as it leaves the package: given, redrawn, edited, or all of these, structure by structure.

1. The structures to redraw are redrawn in the given label, all of them together
   (:func:`monai_selfcleanse.core.cleansing.cleanse_label`).
2. What a reviewer has drawn is laid on top. Where the given label, the redrawn one or the reviewer's has an edited
   structure, the reviewer's decides. So an edited structure lies exactly where the reviewer has drawn it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.grid import turn_onto
from ..cases.label_file import GivenLabel, label_of, read_label, save_index_map
from ..cases.seen import SeenCase
from ..cases.view import position_of, view_case

__all__ = ["Drawing", "ReadEdit", "Recipe", "draw_label", "edited_onto", "read_edited", "untrusted_by"]

ReadEdit = Callable[[Mapping[str, Any], GivenLabel], np.ndarray]
"""From a case and its given label to the index map that a reviewer has drawn, of the given one's shape."""


@dataclass(frozen=True)
class Recipe:
    """What becomes of the structures of one label; those in none of these stay as they were given.

    Attributes:
        redrawn: those to redraw.
        edited: those that a reviewer has drawn.
        decided: those that a reviewer has looked at, whatever came of it.
        suspects: those suspected, on which nobody has decided.
    """

    redrawn: tuple[int, ...] = ()
    edited: tuple[int, ...] = ()
    decided: tuple[int, ...] = ()
    suspects: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawing:
    """One label, drawn.

    Attributes:
        label: the file whose grid, format and header it has.
        index: its index map.
        affine: voxel to world, ``(4, 4)``; the image's where the label says no position.
        untrusted: voxels on which neither the annotator nor the network can be trusted, of ``index``'s shape; None
            where nobody asked.
    """

    label: GivenLabel
    index: np.ndarray
    affine: np.ndarray
    untrusted: np.ndarray | None = None

    @property
    def is_as_given(self) -> bool:
        """Whether the file can stand for the drawing as it is."""
        same = self.index is self.label.index or np.array_equal(self.index, self.label.index)
        return same and self.label.is_index_map

    def save(self, path: Path) -> None:
        """Write it as a file; where nothing has changed, as a copy."""
        if self.is_as_given:
            self.label.file.copy(path)
        else:
            save_index_map(self.index, self.label, path)


def draw_label(
    item: Mapping[str, Any],
    recipe: Recipe,
    read_seen: Callable[[], SeenCase],
    read_edit: ReadEdit | None = None,
    mark_untrusted: bool = False,
) -> Drawing:
    """Draw a case's label on its own grid.

    Args:
        item: the case's dictionary, with paths.
        recipe: what becomes of it.
        read_seen: reads what the last look saw of the case; asked where something is redrawn or marked alone.
        read_edit: reads what a reviewer has drawn; asked where something is edited alone.
        mark_untrusted: fill :attr:`Drawing.untrusted`.

    Raises:
        ValueError: a file cannot be read or lies on another grid; the message names it.
    """
    view = None
    if recipe.redrawn or (mark_untrusted and recipe.suspects):
        view = view_case(item, read_seen(), recipe.redrawn)
    label = label_of(item) if view is None else view.label
    index = label.index if view is None else view.cleansed
    if recipe.edited and read_edit is not None:
        index = edited_onto(index, label.index, read_edit(item, label), recipe.edited)
    untrusted = None
    if mark_untrusted:
        untrusted = np.zeros(index.shape, bool) if view is None else untrusted_by(view.seen, recipe, index)
    return Drawing(label, index, position_of(item, label) if view is None else view.affine, untrusted)


def edited_onto(drawn: np.ndarray, given: np.ndarray, edited: np.ndarray, structures: Sequence[int]) -> np.ndarray:
    """Lay what a reviewer has drawn of some structures onto a label; all arrays are index maps of one shape."""
    here = np.isin(drawn, structures) | np.isin(given, structures) | np.isin(edited, structures)
    return np.where(here, edited, drawn)


def untrusted_by(seen: SeenCase, recipe: Recipe, index: np.ndarray) -> np.ndarray:
    """Where neither the annotator nor the network can be trusted about suspects on which nobody has decided.

    Args:
        seen: given label and prediction, on the grid of the label's file.
        recipe: what has become of the label.
        index: what that is, an index map.

    Returns:
        Boolean, of ``index``'s shape. Voxels of structures that a reviewer has decided on are trusted.
    """
    redrawn = [k for k in recipe.suspects if k in recipe.redrawn]
    left = [k for k in recipe.suspects if k not in recipe.redrawn]
    # Of a suspect that is not redrawn neither is believed where they differ, however sure the network is.
    never = np.broadcast_to(np.float32(-1), seen.given.shape)
    unsure = replace(seen, confidence=never, redrawn_by=None)
    stays = index == seen.given
    # A drawing with the label at hand may decide where it is unsure, but nobody can be trusted there.
    where = stays if seen.redrawn_by is None else stays | (index == seen.redrawn_by.index)
    untrusted = seen.untrusted(redrawn) & where
    return (untrusted | (unsure.untrusted(left) & stays)) & ~np.isin(index, recipe.decided)


def read_edited(path: Path, label: GivenLabel, structures: Sequence[int]) -> np.ndarray:
    """The index map that a reviewer has drawn.

    Args:
        path: its file, on the given label's grid; axes in another order or direction are turned.
        label: the given label.
        structures: the structures that there may be, beside those that the given label has.

    Raises:
        ValueError: it cannot be read, is no index map, lies on another grid, or holds unknown values; the message names
            the file.
    """
    edit = read_label(path, label.values, label.index.ndim)
    if not edit.is_index_map:
        raise ValueError(f"{path}: is no index map but holds fractions ({edit.form}): save whole numbers")
    index = turn_onto(edit.file, label.file, label.index.ndim)(edit.index, label.index.ndim)
    known = np.union1d([0, *structures], label.index)
    if (unknown := np.setdiff1d(index, known)).size:
        raise ValueError(
            f"{path}: holds the values {unknown[:5].tolist()}, which are none of the known structures {known.tolist()}"
        )
    return index
