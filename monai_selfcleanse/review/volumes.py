"""What of a case the browser gets: its image, one volume that holds the overlays, pictures, and the label to draw on.

All volumes of a case lie on one grid in the browser: that of the label's file, in that file's order of voxels. So what
is drawn there goes back into the file voxel by voxel.

* The image goes as the file that it is, where the browser reads it as this package does. Else it is turned to lie as
  the label, and sent as NIfTI.
* The overlays of a label are one volume, in which each layer is a bit (:data:`LAYERS`): the browser switches and fades
  them without asking again. Packed, it has some 100 kB.

One case is in memory at a time, and nothing is read before it is asked for.
"""

from __future__ import annotations

import gzip
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.grid import offset, turn_onto
from ..cases.image_file import ImageFile, open_image
from ..cases.nifti_file import plain_image
from ..cases.view import CaseView, lies_at, read_channel, view_case
from ..core.case_id import ending_of, images_of
from ..results.page.pictures import draw_slices
from ..results.page.table_data import packed
from ..results.slices import slice_rows
from .session import Label, Review, SupersededError, UnknownError

__all__ = ["LAYERS", "Grid", "Volumes"]

LAYERS = {"given": 1, "predicted": 2, "redrawn": 4}
"""Bits of the overlays' voxels: the structure in the given label, in the prediction, in the label with it redrawn."""

_SLICES = 12
"""Slices named for a label, worst first."""

_COLUMNS = ("slice", "disagreement_mm2", "dice", "debatable")
"""What is said of each of them, beside a voxel in the middle of what differs."""

_PICTURES = 6
"""Slices pictured where the browser cannot show volumes."""

_KEPT = 64 << 20
"""Bytes of packed overlays that are kept, so that going back is fast."""

_STREAMED = (np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64)
"""Data types of images that the browser reads itself."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Where the volumes of a case lie in the browser.

    Attributes:
        shape: of the label's file, three axes; of a 2-D label the third is 1.
        affine: voxel to world, ``(4, 4)``.
        streamed: the image's file, if it goes as it is.
        n_channels: of the image; 0 where the case has none.
        note: why there is no image to show; empty if there is one.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    streamed: Path | None
    n_channels: int
    note: str = ""


class Volumes:
    """The volumes of a review's cases. Its methods may be called from any thread; one computes at a time.
    Who waits gives up (:class:`~.session.SupersededError`) when another case is asked for.

    Args:
        review: the review.
    """

    def __init__(self, review: Review) -> None:
        self.review, self.run = review, review.run
        self._lock = threading.Lock()
        self._wanted = ""
        self._held: tuple[str, CaseView] | None = None
        self._image: tuple[str, np.ndarray] | None = None
        self._packed: OrderedDict[Label, bytes] = OrderedDict()

    def grid(self, case: str) -> Grid:
        """Where a case's volumes lie; reads headers alone.

        Raises:
            ValueError: the label cannot be read.
        """
        item = self.run.by_case[case]
        label = open_image(item["label"])
        shape, affine = (*label.spatial(), 1)[:3], lies_at(item, label, label.ndim)
        if "image" not in item:
            return Grid(shape, affine, None, 0, "The case has no image.")
        try:
            paths = images_of(item)
            image = open_image(paths[0])
            turn = turn_onto(image, label, label.ndim)
        except ValueError as error:
            return Grid(shape, affine, None, 0, str(error))
        n_channels = len(paths) if len(paths) > 1 else image.n_channels(label.ndim)
        seen = _affine_in_the_browser(image)
        if seen is None or turn.orientation is not None or len(image.shape) != 3:
            return Grid(shape, affine, None, n_channels)
        target = image.affine if turn.kind == "rounding" else affine  # the voxels belong together, whatever headers say
        if offset(seen, target, shape) >= 0.1:
            return Grid(shape, affine, None, n_channels)
        return Grid(shape, seen, image.path, n_channels)

    def image(self, case: str, channel: int = 0) -> Path | bytes:
        """A channel of a case's image: the file itself, or a NIfTI file as bytes, unpacked.

        Where the image cannot be read, an empty one of the label's shape stands for it.

        Raises:
            UnknownError: there is no such channel.
            ValueError: the label cannot be read.
        """
        grid = self.grid(case)
        if channel and not 0 <= channel < grid.n_channels:
            raise UnknownError(f"there is no channel {channel}")
        if channel == 0 and grid.streamed is not None:
            return grid.streamed
        if not grid.n_channels:
            return _as_nifti(np.zeros(grid.shape, np.uint8), grid.affine)
        with self._turn(case):
            return _as_nifti(self._read_channel(case, channel).reshape(grid.shape), grid.affine)

    def overlay(self, label: Label) -> bytes:
        """The overlays of a label, ``.nii.gz``, around what it has alone; each voxel has bits of :data:`LAYERS`."""
        with self._turn(label.case):
            return self._keep(label, lambda: self._layers(label))

    def facts(self, label: Label) -> dict[str, Any]:
        """What there is to show of a label's case; from headers, so that it is there at once."""
        grid = self.grid(label.case)
        return {
            "shape": list(grid.shape),
            "channels": grid.n_channels,
            "packed": grid.streamed is not None and ending_of(grid.streamed.name) == ".nii.gz",
            "note": grid.note,
        }

    def slices(self, label: Label) -> dict[str, Any]:
        """The slices in which given label and prediction differ most, each as its ``columns`` say, and their number."""
        with self._turn(label.case):
            view = self._view(label.case)
            rows = slice_rows(view, label.structure, label.name)
            worst = [[*(row[key] for key in _COLUMNS), _centre(view, label, row["slice"])] for row in rows[:_SLICES]]
        return {"columns": [*_COLUMNS, "centre"], "slices": worst, "count": len(rows)}

    def pictures(self, label: Label, slices: Sequence[int] = ()) -> list[dict[str, Any]]:
        """Pictures of slices as ``report.html`` has them.

        Args:
            label: the label.
            slices: which; empty for those that differ most.
        """
        with self._turn(label.case):
            view = self._view(label.case, label)
            rows = {row["slice"]: row for row in slice_rows(view, label.structure, label.name)}
            n_slices = (*view.given.shape, 1)[2]
            wanted = [z for z in slices if 0 <= z < n_slices] or list(rows)[:_PICTURES] or [n_slices // 2]
            image = self._read_channel(label.case, 0) if self.grid(label.case).n_channels else None
            drawn = draw_slices(view, label.structure, wanted[:_PICTURES], image)
        return [
            packed(picture)
            | ({"dice": row["dice"], "mm2": row["disagreement_mm2"]} if (row := rows.get(picture.slice)) else {})
            for picture in drawn
        ]

    def view(self, case: str, insist: bool = False) -> CaseView:
        """A case on its label's grid.

        Args:
            case: the case.
            insist: wait for one's turn, whatever others ask for.

        Raises:
            SupersededError: another case was asked for meanwhile.
        """
        with self._lock if insist else self._turn(case):
            return self._view(case)

    @contextmanager
    def _turn(self, case: str) -> Iterator[None]:
        """Keep other threads from computing, after waiting for them; who waits for an earlier case gives up.

        Raises:
            SupersededError: another case was asked for meanwhile.
        """
        self._wanted = case
        with self._lock:
            if self._wanted != case:
                raise SupersededError("another case was asked for meanwhile")
            yield

    def _layers(self, label: Label) -> bytes:
        k, view, affine = label.structure, self._view(label.case), self.grid(label.case).affine
        box = view.box_of([k]) or (slice(0, 1),) * view.given.ndim
        part = view.seen.part(box)
        voxels = np.zeros(part.given.shape, np.uint8)
        for name, index in (("given", part.given), ("predicted", part.predicted), ("redrawn", part.cleansed([k])[0])):
            voxels |= (index == k) * np.uint8(LAYERS[name])
        here = affine @ nib.affines.from_matvec(np.eye(3), [*(one.start for one in box), 0][:3])
        return gzip.compress(_as_nifti(voxels.reshape((*voxels.shape, 1)[:3]), here), 1, mtime=0)

    def _view(self, case: str, redrawn: Label | None = None) -> CaseView:
        """A case, kept until another one is asked for; with one label redrawn, if that is named."""
        if self._held is None or self._held[0] != case:
            self._held = self._image = None  # before the next one takes its place in memory
            view = view_case(self.run.by_case[case], self.run.read_seen(case))
            given, predicted = (np.ascontiguousarray(index) for index in (view.given, view.predicted))
            self._held = case, replace(view, seen=replace(view.seen, given=given, predicted=predicted))
        view = self._held[1]
        return view if redrawn is None else replace(view, redrawn=(redrawn.structure,))

    def _read_channel(self, case: str, channel: int) -> np.ndarray:
        """A channel of the image, turned to lie as the label."""
        if self._image is None or self._image[0] != f"{channel} {case}":
            self._image = None
            item = self.run.by_case[case]
            label = open_image(item["label"])
            self._image = f"{channel} {case}", read_channel(item, label, label.ndim, channel)
        return self._image[1]

    def _keep(self, key: Label, make: Callable[[], bytes]) -> bytes:
        if key in self._packed:
            self._packed.move_to_end(key)
            return self._packed[key]
        made = self._packed[key] = make()
        while sum(map(len, self._packed.values())) > _KEPT and len(self._packed) > 1:
            self._packed.popitem(last=False)
        return made


def _centre(view: CaseView, label: Label, z: int) -> list[int]:
    """A voxel in the middle of what differs in a slice, by the label file's first two axes."""
    given, predicted = (index if index.ndim == 2 else index[..., z] for index in (view.given, view.predicted))
    where = np.argwhere((given == label.structure) != (predicted == label.structure))
    return [int(i) for i in where[np.abs(where - where.mean(0)).sum(1).argmin()]]


def _affine_in_the_browser(image: ImageFile) -> np.ndarray | None:
    """Where NiiVue takes a file to lie; None for one that it is not given as it is."""
    if ending_of(image.path.name) not in (".nii", ".nii.gz"):
        return None
    header: Any = nib.load(image.path).header
    plain = image.dtype in [np.dtype(kind) for kind in _STREAMED] and image.dtype.isnative
    if not plain or int(header["intent_code"]):
        return None
    sform, qform = int(header["sform_code"]), int(header["qform_code"])
    if not (sform or qform):
        return None
    affine = header.get_qform() if qform > sform else header.get_sform()
    return affine if np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 0 else None


def _as_nifti(voxels: np.ndarray, affine: np.ndarray) -> bytes:
    return plain_image(voxels, affine).to_bytes()
