"""Labels that reviewers have drawn: ``edited_labels/``, each file as its given label's is."""

from __future__ import annotations

import os
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np

from ..cases.case import label_file_of
from ..cases.label_file import GivenLabel, read_label, save_index_map
from ..files import waiting_turn
from ..results.decisions import Decision, read_decisions
from .session import ConflictError, Label, Review, state_of
from .volumes import Volumes

__all__ = ["Edits", "unpacked"]


class Edits:
    """Reads and writes the edited labels of a review.

    Args:
        review: the review.
        volumes: its volumes.
    """

    def __init__(self, review: Review, volumes: Volumes) -> None:
        self.review, self.volumes = review, volumes

    def path(self, case: str) -> Path:
        """File of a case's edited label, which may not be there."""
        run = self.review.run
        return run.folder.edited_labels / label_file_of(run.by_case[case])

    def version(self, case: str) -> str:
        """Changes whenever the file does; empty where there is none."""
        return state_of(self.path(case))

    def read(self, case: str) -> np.ndarray:
        """An edited label, uint8, of the label file's shape.

        Raises:
            ValueError: it is damaged, or lies on another grid than the given label.
        """
        view, path = self.volumes.view(case), self.path(case)
        index = read_label(path, view.label.values, view.given.ndim).index
        if index.shape != view.given.shape:
            raise ValueError(f"{path}: has shape {index.shape}, the given label {view.given.shape}: move it away")
        return index.astype(np.uint8)

    def save(self, label: Label, voxels: bytes, seen: str | None, note: str = "") -> list[str]:
        """Write a label that was drawn, and decide ``edit`` for each structure that is not as given.

        Args:
            label: on which the reviewer was at work; the label of its whole case is written.
            voxels: class indices, a byte each, in the order of the label's file (the first axis runs fastest).
            seen: the :meth:`version` that the drawing began from; None: whatever is there is replaced.
            note: the reviewer's words about this label.

        Returns:
            The names of the structures that differ from the given label.

        Raises:
            ConflictError: somebody else has saved the case's label meanwhile.
            ValueError: it is no label of this case, or as it was given; nothing is written then.
            OSError: it cannot be written; the file is as it was.
        """
        review, path = self.review, self.path(label.case)
        view = self.volumes.view(label.case)
        index = _index_map(voxels, view.given, review.judgement.structures)
        changed = [k for k in review.judgement.structures if ((index == k) != (view.given == k)).any()]
        if not changed:
            raise ValueError("the label is as it was given: press 1 to keep it")
        review.check_same_run()
        _check_writable(path, view.label, index)
        with waiting_turn(review.run.folder.edited_labels):
            if seen is not None and state_of(path) != seen:
                raise ConflictError("somebody else has saved this case's label since you began")
            save_index_map(index, view.label, path)
        names = review.judgement.name_of
        known = read_decisions(review.run.folder.decisions, review.judgement)
        notes = {k: one.note for (case, k), one in known.items() if case == label.case} | {label.structure: note}
        review.add([Decision.now(label.case, names[k], "edit", review.who, notes.get(k, "")) for k in changed])
        return [names[k] for k in changed]


def unpacked(body: bytes, n: int) -> bytes:
    """A body packed with gzip that holds ``n`` bytes; no more than that are unpacked.

    Raises:
        ValueError: it is damaged, or holds more or fewer.
    """
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        out = unpacker.decompress(body, n + 1)
    except zlib.error as error:
        raise ValueError(f"what was sent is damaged ({error}): save again") from error
    if len(out) != n or not unpacker.eof:
        raise ValueError(f"what was sent is no label of this case: expected {n:,} voxels")
    return out


def _index_map(voxels: bytes, given: np.ndarray, structures: Collection[int]) -> np.ndarray:
    """What was drawn, of the given label's shape.

    Raises:
        ValueError: there are too many or too few voxels, or some hold no structure.
    """
    if len(voxels) != given.size:
        raise ValueError(f"what was sent has {len(voxels):,} voxels, the given label {given.size:,}")
    index = np.frombuffer(voxels, np.uint8).reshape(given.shape, order="F")
    known = {0, *structures, *np.unique(given).tolist()}
    if extra := sorted(set(np.unique(index).tolist()) - known):
        raise ValueError(f"what was sent holds {extra[:5]}, which are none of the structures {sorted(known)}")
    return index


def _check_writable(path: Path, label: GivenLabel, index: np.ndarray) -> None:
    """See that a label's file is not in its own place, and that its data type holds all values.

    Raises:
        ValueError: it is, or does not.
    """
    given = label.file.path
    if os.path.realpath(path) == os.path.realpath(given):
        raise ValueError(f"{path} leads to the given label itself, which is never overwritten: remove that link")
    present = np.unique(index)
    values = present if label.values is None else np.array([0, *label.values])[present]
    if label.is_index_map and not np.array_equal(values.astype(label.file.dtype).astype(np.int64), values):
        raise ValueError(f"{given}: its data type, {label.file.dtype}, cannot hold the values {values.tolist()}")
