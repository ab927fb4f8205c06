"""Labels that reviewers have drawn: ``edited_labels/``, each file as its given label's is.

A drawing begins with the label as it stands: redrawn, edited or as given, structure by structure, as decided. It ends
so, too: what :func:`monai_selfcleanse.results.apply_decisions` makes of a saved drawing is what was drawn.
"""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np

from ..cases.case import label_file_of
from ..cases.label_file import GivenLabel, save_index_map
from ..cases.view import CaseView
from ..files import waiting_turn
from ..results.decisions import Decision
from ..results.drawing import edited_onto, read_edited
from .session import ConflictError, Label, Review, UnknownError, state_of
from .volumes import Volumes

__all__ = ["Basis", "Edits", "UndecidedError", "unpacked"]


class UndecidedError(Exception):
    """A label was saved, and could not be decided.

    Attributes:
        version: the file's :meth:`Edits.version` by now.
    """

    def __init__(self, version: str, reason: Exception) -> None:
        super().__init__(f"the label is saved, but not decided ({reason}): save again")
        self.version = version


@dataclass(frozen=True)
class Basis:
    """What a drawing began from.

    Attributes:
        version: of the edited label's file; empty where there was none.
        decided: the decisions about the case, each as :func:`_stamp` says it, by class index.
        start: what the label itself was: ``given``, ``redrawn`` or ``edited``; empty: as decided.
    """

    version: str = ""
    decided: Mapping[int, str] | None = None
    start: str = ""

    @property
    def stamps(self) -> str:
        """The decisions as a line of ASCII."""
        return ",".join(f"{k}:{stamp}" for k, stamp in sorted((self.decided or {}).items()))

    @classmethod
    def of(cls, version: str, stamps: str, start: str) -> Basis:
        """What such a line, a version and a start say.

        Raises:
            ValueError: it is no such line, or no start.
        """
        found = [re.fullmatch(r"(\d{1,6}):([a-z-]+:[0-9a-f]{12})", part) for part in stamps.split(",") if part]
        if None in found or start not in ("", "given", "redrawn", "edited"):
            raise ValueError("what was sent does not say what the drawing began from: load the page again")
        return cls(version, {int(one[1]): one[2] for one in found if one is not None}, start)

    def decided_as(self, choice: str) -> set[int]:
        """The structures with a decision."""
        return {k for k, stamp in (self.decided or {}).items() if stamp.split(":")[0] == choice}


@dataclass(frozen=True)
class Saved:
    """What became of a drawing.

    Attributes:
        changed: the names of the structures that are decided ``edit`` by it.
        basis: what the drawing goes on from.
    """

    changed: tuple[str, ...]
    basis: Basis


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

    def basis(self, label: Label, start: str = "") -> Basis:
        """What a drawing of a label begins from now.

        Args:
            label: the label.
            start: ``given``, ``redrawn`` or ``edited``; empty for the last one that there is.

        Raises:
            UnknownError: there is no such start.
        """
        version = self.version(label.case)
        start = start or ("edited" if version else "redrawn")
        if start not in ("given", "redrawn", "edited") or (start == "edited" and not version):
            raise UnknownError("a drawing starts from the given, the redrawn or the edited label")
        decided = {k: _stamp(one) for k, one in self.review.decided_in(label.case).items()}
        return Basis(version, decided, start)

    def begin(self, label: Label, basis: Basis) -> np.ndarray:
        """The label of a case to draw on, uint8, of the label file's shape.

        Raises:
            ValueError: the edited label is damaged, or lies on another grid than the given label.
        """
        return self._start(self.volumes.view(label.case), label, basis)

    def save(self, label: Label, voxels: bytes, basis: Basis, note: str = "") -> Saved:
        """Write a label that was drawn, and decide ``edit`` for each structure that the reviewer has changed.

        Args:
            label: on which the reviewer was at work; the label of its whole case is written.
            voxels: class indices, a byte each, in the order of the label's file (the first axis runs fastest).
            basis: what the drawing began from.
            note: the reviewer's words about this label.

        Raises:
            ConflictError: somebody else has saved the case's label, or decided about a structure that is changed.
            ValueError: it is no label of this case, or nothing was changed; nothing is written then.
            OSError: it cannot be written; the file is as it was.
            UndecidedError: the label is written, the decisions are not.
        """
        review, path, case = self.review, self.path(label.case), label.case
        view = self.volumes.view(case, insist=True)
        index = _index_map(voxels, view.given, review.judgement.structures)
        if np.array_equal(index, view.given):
            raise ValueError("the label is as it was given: press 1 to keep it")
        review.check_same_run()
        _check_apart(path, view.label)
        with waiting_turn(review.run.folder.edited_labels):
            if state_of(path) != basis.version:
                raise ConflictError("somebody else has saved this case's label since you began")
            known = review.decided_in(case)
            changed = self._changed(view, label, index, basis, known)
            if not changed:
                raise ValueError("nothing has changed: the label is decided so already")
            self._check_unseen(case, changed, basis)
            decisions = {k: self._decision(label, k, known.get(k), note) for k in changed}
            save_index_map(index, view.label, path)
            version = state_of(path)
            try:
                review.add(list(decisions.values()), lambda: self._check_unseen(case, changed, basis))
            except (OSError, ValueError) as error:
                raise UndecidedError(version, error) from error
        decided = {**(basis.decided or {}), **{k: _stamp(one) for k, one in decisions.items()}}
        return Saved(tuple(one.structure for one in decisions.values()), Basis(version, decided, "edited"))

    def _start(self, view: CaseView, label: Label, basis: Basis) -> np.ndarray:
        """The label as decided, a structure of it as the basis says."""
        redrawn, edited = basis.decided_as("redraw"), basis.decided_as("edit")
        if basis.start:
            redrawn, edited = redrawn - {label.structure}, edited - {label.structure}
        redrawn |= {label.structure} if basis.start == "redrawn" else set()
        edited |= {label.structure} if basis.start == "edited" else set()
        return self._drawn(view, redrawn, edited, self._read(view) if edited else None)

    def _drawn(self, view: CaseView, redrawn: set[int], edited: set[int], edit: np.ndarray | None) -> np.ndarray:
        order = self.review.judgement.structures
        index = replace(view, redrawn=tuple(k for k in order if k in redrawn)).cleansed
        if edit is not None:
            index = edited_onto(index, view.given, edit, sorted(edited))
        return index.astype(np.uint8)

    def _read(self, view: CaseView) -> np.ndarray | None:
        """A case's edited label; None where there is none."""
        path = self.path(view.case)
        return read_edited(path, view.label, self.review.judgement.structures) if path.exists() else None

    def _changed(
        self, view: CaseView, label: Label, index: np.ndarray, basis: Basis, known: Mapping[int, Decision]
    ) -> list[int]:
        """The structures to decide ``edit``, so that what was drawn is what the decisions come to."""
        changed = self._differ(index, self._start(view, label, basis))
        changed |= {label.structure} & self._differ(index, self._start(view, label, replace(basis, start="")))
        if (edit := self._read(view)) is not None:  # what others have edited, and this would replace
            changed |= {k for k, one in known.items() if one.decision == "edit"} & self._differ(index, edit)
        while True:
            redrawn, edited = basis.decided_as("redraw") - changed, basis.decided_as("edit") | changed
            more = self._differ(index, self._drawn(view, redrawn, edited, index)) - changed
            if not more:
                return [k for k in self.review.judgement.structures if k in changed]
            changed |= more

    def _differ(self, one: np.ndarray, other: np.ndarray) -> set[int]:
        """The structures that do not lie alike in two index maps."""
        here = one != other
        return {*np.unique(one[here]).tolist(), *np.unique(other[here]).tolist()} & {*self.review.judgement.structures}

    def _check_unseen(self, case: str, structures: Collection[int], basis: Basis) -> None:
        """See that nobody has decided about structures what the reviewer has not seen.

        Raises:
            ConflictError: somebody has.
        """
        known, names = self.review.decided_in(case), self.review.judgement.name_of
        for k in structures:
            one, seen = known.get(k), (basis.decided or {}).get(k)
            if one is None and seen is not None:
                raise ConflictError(f"somebody has taken back the decision about {names[k]} since you began")
            if one is not None and _stamp(one) != seen:
                who = one.who or "somebody"
                raise ConflictError(f"{who} has decided {one.decision!r} about {names[k]} since you began")

    def _decision(self, label: Label, k: int, before: Decision | None, note: str) -> Decision:
        """A decision for ``edit``; what another reviewer has noted stays with that reviewer's decision."""
        who, name = self.review.who, self.review.judgement.name_of[k]
        others = before is not None and before.who != who
        words = note if k == label.structure else "" if before is None else before.note
        if others and before is not None and words == before.note:
            words = ""
        return Decision.now(label.case, name, "edit", who, words)


def _stamp(decision: Decision) -> str:
    """What was decided, and what tells a decision from another one about the same label."""
    return f"{decision.decision}:{hashlib.sha256(repr(astuple(decision)).encode()).hexdigest()[:12]}"


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


def _check_apart(path: Path, label: GivenLabel) -> None:
    """See that an edited label's file is not the given one.

    Raises:
        ValueError: it is.
    """
    if os.path.realpath(path) == os.path.realpath(label.file.path):
        raise ValueError(f"{path} leads to the given label itself, which is never overwritten: remove that link")
