"""Predictions that anyone's model has made: segmentations, and nnU-Net's probabilities where they are kept.

Out-of-fold predictions are the best evidence there is, since no network has seen the label that it is held against. A
cross-validation of nnU-Net leaves them in ``fold_0/validation`` ... ``fold_4/validation`` (version 1:
``validation_raw``).
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.grid import notes_of, turn_onto
from ..cases.image_file import open_image
from ..cases.label_file import label_of, read_label
from ..cases.view import position_of
from ..core.border import BORDER_SCALE, stand_in
from ..core.case_id import ENDINGS, case_of, ending_of, images_of, listed, name_of, split_channel, strip_ending
from ..core.judge import LabelJudge
from ..core.prediction import Prediction
from ..data.checks import check_values
from ..data.listing import is_passed_over
from ..results.provenance import read_provenance
from ..run_folder import RunFolder
from .npz import StoredProbabilities, shape_of_probabilities
from .source import LoadedCase

__all__ = ["FolderPredictions"]

logger = logging.getLogger(__name__)

LABEL_COPIES = ("gt_niftis", "gt_segmentations")
"""Folders in which nnU-Net keeps copies of the labels, beside the predictions; never looked into."""

OWN_LABELS = tuple(folder.name for folder in RunFolder("").of_labels())
"""Folders in which this package keeps labels, where its output lies beside the predictions; never looked into."""

PROCESSED = ("postprocess", "ensemble")
"""What a folder's name has in it whose predictions were worked on afterwards; raw ones go first."""

TRAINED_ON_ALL = "fold_all"
"""nnU-Net's folder of a network that was trained on every case, and so has seen each label that it predicts."""


class FolderPredictions:
    """Read each case's prediction from a folder, and judge its label on its own grid.

    A case's prediction is an image file, anywhere below the folder: at the label's path within the data set, at the
    image's, or of the name of one of them (without nnU-Net's number of a channel) or of the case's id. Of several of
    the name, those of :data:`TRAINED_ON_ALL` go last, raw ones go before those that were postprocessed, one with
    probabilities goes first, then the one nearest to the folder; where there are still two, the case is not judged.
    nnU-Net's copies of the labels (:data:`LABEL_COPIES`) are passed over, and so are labels that this package has
    written (:data:`OWN_LABELS`, and its exports), and what is hidden. A prediction is an index map in the label's
    numbers, on the label's grid; :mod:`monai_selfcleanse.cases.grid` says how it may be turned.

    Where nnU-Net has written class probabilities beside *every* case's prediction (``NAME.npz`` with the array
    ``probabilities`` or, of version 1, ``softmax``: ``(C, z, y, x)``), these are judged by. Otherwise
    :class:`monai_selfcleanse.core.border.BorderProbabilities` stand in for them, and what is redrawn takes the
    prediction at its word.

    Args:
        directory: the folder.
        structures: the known structures, as class indices.
    """

    in_workers = True

    def __init__(self, directory: str | os.PathLike, structures: Mapping[Any, str] | Sequence[int]) -> None:
        self.directory = Path(directory)
        self.structures = [int(k) for k in structures]
        self.has_probabilities = False
        self._files: dict[str, list[Path]] = {}

    @property
    def files(self) -> list[Path]:
        """The predictions found."""
        return [path for paths in self._files.values() for path in paths]

    @property
    def about(self) -> dict[str, Any]:
        """Folder and kind of the predictions."""
        kind = "class probabilities" if self.has_probabilities else "segmentations"
        return {"predictions": str(self.directory), "kind": kind}

    def prepare(self, cases: Sequence[Mapping[str, Any]]) -> str:
        """Find each case's prediction.

        Raises:
            ValueError: the folder has none of any case, or several of every one.
        """
        found = _image_files(self.directory)
        by_name: dict[str, list[Path]] = {}
        for path in found:
            by_name.setdefault(name_of(path.name), []).append(path)
        names = {case_of(case): _names(case) for case in cases}
        # Raters of one image share its prediction; a name that several images have is nobody's.
        images = {(name, str(case["image"])) for case in cases for name in names[case_of(case)]}
        owners = Counter(name for name, _ in images)
        for case in cases:
            exact = [path for path in _relative_paths(case, self.directory) if path in found]
            own = {p for name in names[case_of(case)] if owners[name] == 1 for p in by_name.get(name, ())}
            first = min(map(_preference, own), default=None)
            self._files[case_of(case)] = exact[:1] or sorted(p for p in own if _preference(p) == first)
        if not any(self._files.values()):
            example = sorted(names[case_of(cases[0])])[0]
            raise ValueError(
                f"predictions_dir {str(self.directory)!r} holds a prediction of none of the {len(cases)} cases: "
                f"expected files such as {example}.nii.gz in it or in folders below, but those with labels "
                f"({', '.join((*LABEL_COPIES, *OWN_LABELS))})"
            )
        taken = [paths[0] for paths in self._files.values() if len(paths) == 1]
        if not taken:
            several = next(paths for paths in self._files.values() if paths)
            raise ValueError(
                f"predictions_dir {str(self.directory)!r} holds several predictions of each case, such as "
                f"{several[0]} and {several[1]}: give a folder of one network's alone"
            )
        self._say_which_were_taken(taken, found)
        self._look_for_probabilities(taken)
        return "class probabilities" if self.has_probabilities else f"segmentations, border {BORDER_SCALE}"

    def _say_which_were_taken(self, taken: Sequence[Path], found: set[Path]) -> None:
        """Name the folders of the predictions, and those that have others of the same names."""
        names = {name_of(path.name) for path in taken}
        folders = Counter(str(path.parent.relative_to(self.directory)) for path in taken)
        others = {p.parent for p in found - set(taken) if name_of(p.name) in names}
        if passed_over := sorted(str(path.relative_to(self.directory)) for path in others):
            logger.warning(
                f"predictions are taken from {_listed(folders)}; others of the same names are passed over, in "
                f"{_listed(passed_over)}"
            )
        if seen := sum(TRAINED_ON_ALL in path.parts for path in taken):
            logger.warning(
                f"{seen} of {len(taken)} predictions lie in {TRAINED_ON_ALL}: their network was trained on the very "
                "labels that it judges, and may have learned their mistakes; predictions of folds that leave each case "
                "out once find more"
            )

    def _look_for_probabilities(self, taken: Sequence[Path]) -> None:
        """Judge by probabilities if every prediction has some that fit, by the look of their files' heads."""
        beside = [path for path in taken if _npz(path).exists()]
        wrong = {path: why for path in beside if (why := self._npz_problem(path))}
        self.has_probabilities = 0 < len(beside) == len(taken) and not wrong
        if beside and not self.has_probabilities:
            why = next(iter(wrong.values())) if wrong else f"the others have none, such as {_without(taken, beside)}"
            logger.warning(
                f"{len(beside) - len(wrong)} of {len(taken)} predictions come with probabilities (.npz) that can be "
                f"used: all are taken for segmentations, so that they can be compared; {why}"
            )

    def _npz_problem(self, path: Path) -> str:
        """Why the probabilities beside a prediction cannot be used, as the file's head tells; empty if they can."""
        try:
            shape = shape_of_probabilities(_npz(path))
            wanted = open_image(path).spatial()[::-1]
        except ValueError as error:
            return str(error)
        if shape[1:] != wanted or shape[0] <= len(self.structures):
            line = (
                f"{_npz(path)}: has the shape {shape}, its segmentation {wanted} and {len(self.structures)} structures"
            )
            return line + " (a training by regions has no channel of the background)" * (shape[1:] == wanted)
        return ""

    def read(self, case: Mapping[str, Any]) -> LoadedCase:
        """Read label and prediction.

        Raises:
            ValueError: either is missing, or they do not belong together; the message says how.
        """
        paths = self._files[case_of(case)]
        if len(paths) != 1:
            raise ValueError(
                f"has predictions in {' and '.join(map(str, paths[:3]))}: leave one of them"
                if paths
                else f"no prediction in {self.directory}"
            )
        path = paths[0]
        if os.path.samefile(path, case["label"]):
            raise ValueError(f"{path}: is the label itself, not a prediction")
        label = label_of(case)
        prediction = read_label(path, case.get("values"), label.index.ndim)
        if wrong := [*check_values(label, self.structures), *check_values(prediction, self.structures)]:
            raise ValueError("; ".join(wrong))
        turn = turn_onto(prediction.file, label.file, label.index.ndim)
        predicted = turn(prediction.index, label.index.ndim)
        notes = notes_of(label.file, prediction.file) | turn.notes
        affine = position_of(case, label)
        loaded = LoadedCase(label.index, predicted.astype(np.uint8), affine, notes=notes)
        if not self.has_probabilities:
            return loaded
        try:
            stored = StoredProbabilities(
                _npz(path), max(self.structures) + 1, prediction.index.shape, loaded.basis, turn
            )
            return replace(loaded, batch=stored, files=stored.digest())
        except ValueError as error:
            notes["probabilities"] = str(error)
            return loaded

    def predict(self, loaded: LoadedCase, judge: LabelJudge) -> tuple[Prediction, np.ndarray | None]:
        """What the probabilities come to that were found, or those that stand in for them."""
        if loaded.batch is not None:
            try:
                return judge.in_label_terms(loaded.given, loaded.batch), None
            except ValueError as error:
                loaded.notes["probabilities"] = str(error)
        probabilities, confidence = stand_in(loaded.basis, max(self.structures) + 1, loaded.affine)
        return judge.in_label_terms(loaded.given, probabilities), confidence


def _image_files(directory: Path) -> set[Path]:
    """All image files below a folder, but hidden ones and labels; a link to a folder above ends there."""
    out = set()
    for folder, names, files in os.walk(directory, followlinks=True):
        above = {os.path.realpath(folder), *map(str, Path(os.path.realpath(folder)).parents)}
        below = [n for n in names if not is_passed_over(n) and not _holds_labels(Path(folder) / n)]
        names[:] = [n for n in below if os.path.realpath(os.path.join(folder, n)) not in above]
        out |= {Path(folder) / n for n in files if ending_of(n) and not is_passed_over(n)}
    return out


def _holds_labels(folder: Path) -> bool:
    """Whether a folder is nnU-Net's or this package's for labels, which would be judged by themselves."""
    return folder.name in (*LABEL_COPIES, *OWN_LABELS) or read_provenance(folder) is not None


def _names(case: Mapping[str, Any]) -> set[str]:
    """Names without ending that a case's prediction may have."""
    stem = name_of(str(images_of(case)[0]))
    return {case_of(case), name_of(str(case["label"])), stem, split_channel(stem)[0]}


def _relative_paths(case: Mapping[str, Any], directory: Path) -> list[Path]:
    """Paths in a folder of predictions where the label or the image lies in the data set, with any ending."""
    out = []
    if "file" in case:
        file = Path(case["file"]).relative_to(case.get("rater", ""))
        out.append(directory / file)
        root = Path(str(case["label"])[: -len(str(file))])
        image = images_of(case)[0]
        if root / file == Path(case["label"]) and Path(image).is_relative_to(root):
            out.append(directory / Path(image).relative_to(root))
    return [path.with_name(strip_ending(path.name) + ending) for path in out for ending in ENDINGS]


def _preference(path: Path) -> tuple[bool, bool, bool, int]:
    """Which of several predictions of a case is taken: smaller is better."""
    processed = any(word in part.lower() for part in path.parts[:-1] for word in PROCESSED)
    return TRAINED_ON_ALL in path.parts, processed, not _npz(path).exists(), len(path.parts)


def _npz(path: Path) -> Path:
    return path.with_name(strip_ending(path.name) + ".npz")


def _without(taken: Sequence[Path], beside: Sequence[Path]) -> str:
    return next(str(path) for path in taken if path not in set(beside))


def _listed(names: Mapping[str, int] | Sequence[str]) -> str:
    return listed([f"{n} ({names[n]})" for n in names] if isinstance(names, Mapping) else list(names))
