"""One rule for two files of one case: whether they lie on one grid, and how one is turned to lie as the other.

Image and label, label and prediction, the channels of an image: all of them are compared here.

1. Of the same shape, and no corner is off by more than a tenth of a voxel: one grid.
2. Of the same shape, and one of the two says no position: it is taken as it lies.
3. Axes in another order or direction, and one grid when they are turned: turned.
4. Of the same shape, the first voxel in its place, directions a little off (:data:`ROUNDING`): taken as it lies.
5. Anything else: two grids, an error that says by how much they are off.

A file that holds two positions (:attr:`monai_selfcleanse.cases.image_file.ImageFile.affines`) lies at either.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import nibabel as nib
import numpy as np

from .image_file import ImageFile

__all__ = ["NOTE_KINDS", "TOLERANCE", "Notes", "Turn", "log_notes", "notes_of", "offset", "same_grid", "turn_onto"]

Notes = dict[str, str]
"""What was tolerated about a case's files, by its kind: a key of :data:`NOTE_KINDS`, and a line."""

NOTE_KINDS = {
    "headers": "have headers whose positions disagree",
    "position": "say no position, and are taken as they lie",
    "rounding": "have files whose positions differ a little, and are taken as they lie",
    "probabilities": "have class probabilities that cannot be used, and are judged by their segmentations",
}
"""What is said of the cases with a note of each kind."""

logger = logging.getLogger(__name__)

TOLERANCE = 0.1
"""How far a corner of a volume may be off, in voxels along any axis."""

ROUNDING = 0.002
"""Share of a volume's extent by which other corners may be off beyond that if the first voxel is in its place: tools
make an oblique grid's axes perpendicular (ITK does). The voxels are taken as they lie, and the distance is said."""


def offset(affine: np.ndarray, target: np.ndarray, shape: Sequence[int]) -> float:
    """How far a corner of a volume is off, in the target's voxels, along the axis where it is most.

    Args:
        affine, target: voxel to world, ``(4, 4)``.
        shape: of the volume, 2 or 3 axes.
    """
    corners = _corners(shape)
    return float(np.abs(np.linalg.solve(target, affine @ corners) - corners)[:3].max())


def _corners(shape: Sequence[int]) -> np.ndarray:
    """Corners of a volume in voxels, ``(4, 8)``; an axis of one voxel counts as of two."""
    ends = [[0, max(n - 1, 1)] for n in (*shape, 1)[:3]]
    return np.array(np.meshgrid(*ends, 1, indexing="ij")).reshape(4, -1)


def same_grid(affine: np.ndarray, target: np.ndarray, shape: Sequence[int]) -> bool:
    """Whether two affines place a volume alike, to within :data:`TOLERANCE`."""
    return offset(affine, target, shape) <= TOLERANCE


@dataclass(frozen=True)
class Turn:
    """How the axes of one file are turned to lie as another's.

    Attributes:
        orientation: nibabel's, ``(3, 2)``; None for not at all.
        note: what was taken for granted, to be said; empty where nothing was.
        kind: of the note, one of :data:`NOTE_KINDS`.
    """

    orientation: np.ndarray | None = None
    note: str = ""
    kind: str = "position"

    @property
    def notes(self) -> Notes:
        """The note under its kind."""
        return {self.kind: self.note} if self.note else {}

    def __call__(self, array: np.ndarray, ndim: int) -> np.ndarray:
        """Turn the first ``ndim`` axes of an array."""
        if self.orientation is None:
            return array
        if ndim == 3:
            return nib.orientations.apply_orientation(array, self.orientation)
        return nib.orientations.apply_orientation(array[:, :, None], self.orientation)[:, :, 0]


def turn_onto(file: ImageFile, target: ImageFile, ndim: int) -> Turn:
    """How a file is turned to lie as another one, both with ``ndim`` spatial axes.

    Raises:
        ValueError: they do not lie on one grid; the message names both, and says by how much they are off.
    """
    shape, wanted = file.spatial(ndim), target.spatial(ndim)
    pairs = list(product(file.affines, target.affines))
    if shape == wanted:
        if any(same_grid(*pair, shape) for pair in pairs):
            return Turn()
        for one, other in ((file, target), (target, file)):
            if not one.has_position:
                return Turn(note=f"{one.path}: says no position; its voxels are taken as they lie, as {other.path}'s")
    if file.has_position and target.has_position:
        for affine, onto in pairs:
            if (orientation := _orientation(affine, shape, onto, wanted)) is not None:
                return Turn(orientation)
    if shape != wanted:
        raise ValueError(f"{file.path}: has shape {_words(shape)}, {target.path} {_words(wanted)}")
    off, (affine, onto) = min(((offset(*pair, shape), pair) for pair in pairs), key=lambda found: found[0])
    if off <= TOLERANCE + ROUNDING * max(shape) and same_grid(affine, onto, (1,) * ndim):
        corners = _corners(shape)
        distance = float(np.linalg.norm(((affine - onto) @ corners)[:3], axis=0).max())
        return Turn(note=f"{file.path}: a corner is {distance:.2g} mm off {target.path}", kind="rounding")
    raise ValueError(
        f"{file.path}: lies elsewhere than {target.path}, a corner is off by {off:.3g} voxels; if the voxels belong "
        "together, give both files the same position, else draw or predict on the image's own grid"
    )


def notes_of(*files: ImageFile) -> Notes:
    """What was tolerated about files by themselves."""
    odd = [file for file in files if file.disagreement]
    return {"headers": f"{odd[0].path}: {odd[0].disagreement}"} if odd else {}


def log_notes(notes: Iterable[Notes], n_cases: int) -> None:
    """Warn of what was tolerated in a data set, once a kind.

    Args:
        notes: of each case.
        n_cases: number of cases looked at.
    """
    found = list(notes)
    for kind, words in NOTE_KINDS.items():
        if lines := [note[kind] for note in found if kind in note]:
            logger.warning(f"{len(lines)} of {n_cases} cases {words}, such as {lines[0]}")


def _orientation(
    affine: np.ndarray, shape: tuple[int, ...], target: np.ndarray, wanted: tuple[int, ...]
) -> np.ndarray | None:
    three = (*shape, 1)[:3]
    orientation = nib.orientations.io_orientation(np.linalg.solve(target, affine))
    if np.isnan(orientation).any():
        return None
    turned = tuple(three[i] for i in np.argsort(orientation[:, 0]))
    moved = affine @ nib.orientations.inv_ornt_aff(orientation, three)
    fits = turned[: len(shape)] == wanted and all(n == 1 for n in turned[len(shape) :])
    return orientation if fits and same_grid(moved, target, wanted) else None


def _words(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
