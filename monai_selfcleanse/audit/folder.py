"""Predictions that anyone's model has made: segmentations, and nnU-Net's probabilities where they are kept.

Out-of-fold predictions are the best evidence there is, since no network has seen the label that it is held against. A
cross-validation of nnU-Net leaves them in ``fold_0/validation`` ... ``fold_4/validation``.
"""

from __future__ import annotations

import glob
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.label_file import read_label
from ..core.border import BORDER, BorderProbabilities
from ..core.case_id import case_of, images_of, split_channel, strip_nifti
from ..data.checks import check_values, same_grid
from .source import LoadedCase

__all__ = ["FolderPredictions"]

logger = logging.getLogger(__name__)


class FolderPredictions:
    """Read each case's prediction from a folder, and judge its label on its own grid.

    A case's prediction is a NIfTI file, anywhere below the folder: at the label's path within the data set, at the
    image's, or of the name of one of them (without nnU-Net's number of a channel) or of the case's id. Of several of
    the name, one with probabilities goes first, then the one nearest to the folder; where there are still two, the case
    is not judged. A prediction is an index map in the label's numbers, of the label's shape. Axes that are turned or
    mirrored against the label's are turned back; a file that does not say where it lies (affine 1) is taken as it is.

    Where nnU-Net has written class probabilities beside *every* case's prediction (``NAME.npz`` with the array
    ``probabilities`` or, of version 1, ``softmax``: ``(C, z, y, x)``), these are judged by. Otherwise
    :class:`monai_selfcleanse.core.border.BorderProbabilities` stands in for them, and what is redrawn takes the prediction at its word.

    Args:
        directory: the folder.
        structures: the known foreground values.
    """

    def __init__(self, directory: str | os.PathLike, structures: Mapping[Any, str] | Sequence[int]) -> None:
        self.directory = Path(directory)
        self.structures = [int(k) for k in structures]
        self.has_probabilities = False
        self._files: dict[str, list[Path]] = {}

    @property
    def about(self) -> dict[str, Any]:
        """Folder and kind of the predictions."""
        kind = "class probabilities" if self.has_probabilities else "segmentations"
        return {"predictions": str(self.directory), "kind": kind}

    def prepare(self, cases: Sequence[Mapping[str, Any]]) -> str:
        """Find each case's prediction.

        Raises:
            ValueError: the folder has none of any case.
        """
        found = {
            Path(path)
            for path in glob.glob(os.path.join(glob.escape(str(self.directory)), "**", "*.nii*"), recursive=True)
            if path.endswith((".nii", ".nii.gz"))
        }
        by_name: dict[str, list[Path]] = {}
        for path in found:
            by_name.setdefault(strip_nifti(path.name), []).append(path)
        names = {case_of(case): _names(case) for case in cases}
        # Raters of one image share its prediction; a name that several images have is nobody's.
        images = {(name, str(case["image"])) for case in cases for name in names[case_of(case)]}
        owners = Counter(name for name, _ in images)
        for case in cases:
            exact = [path for path in _relative_paths(case, self.directory) if path in found]
            own = {p for name in names[case_of(case)] if owners[name] == 1 for p in by_name.get(name, ())}
            first = min(map(_preference, own), default=None)
            self._files[case_of(case)] = exact[:1] or sorted(p for p in own if _preference(p) == first)
        files = [paths[0] for paths in self._files.values() if len(paths) == 1]
        if not any(self._files.values()):
            example = sorted(names[case_of(cases[0])])[0]
            raise ValueError(
                f"predictions_dir {str(self.directory)!r} holds a prediction of none of the {len(cases)} cases: "
                f"expected files such as {example}.nii.gz in it or in folders below"
            )
        with_probabilities = sum(_npz(path).exists() for path in files)
        self.has_probabilities = 0 < with_probabilities == len(files)
        if 0 < with_probabilities < len(files):
            logger.warning(
                f"only {with_probabilities} of {len(files)} predictions come with probabilities (.npz): all are taken "
                "for segmentations, so that they can be compared"
            )
        return "class probabilities" if self.has_probabilities else f"segmentations, border {BORDER}"

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
        label, given = self._read_labels(case["label"])
        file, predicted = self._read_labels(path)
        turn = _turn(file.affine, predicted.shape, label.affine, given.shape, path)
        predicted = _turned(predicted, turn)
        if not self.has_probabilities:
            return LoadedCase(given, predicted.astype(np.uint8), label.affine)
        return LoadedCase(given, self._read_probabilities(path, predicted, turn), label.affine)

    def predict(self, loaded: LoadedCase) -> tuple[np.ndarray | BorderProbabilities, np.ndarray]:
        """The probabilities that were found, or those that stand in for them."""
        if self.has_probabilities:
            return loaded.basis, loaded.basis.max(0)
        spacing = nib.affines.voxel_sizes(loaded.affine)[: loaded.given.ndim]
        probabilities = BorderProbabilities(loaded.basis, max(self.structures) + 1, spacing)
        return probabilities, np.ones(loaded.given.shape, dtype=np.float32)

    def _read_labels(self, path: str | os.PathLike) -> tuple[nib.Nifti1Image, np.ndarray]:
        label = read_label(path)
        if wrong := check_values(label, str(path), self.structures):
            raise ValueError("; ".join(wrong))
        return label.file, label.index

    def _read_probabilities(self, path: Path, predicted: np.ndarray, turn: np.ndarray | None) -> np.ndarray:
        with np.load(_npz(path)) as arrays:
            name = next((n for n in ("probabilities", "softmax") if n in arrays), None)
            if name is None:
                raise ValueError(f"{_npz(path)}: has no array 'probabilities' or 'softmax', but {sorted(arrays)}")
            stored = arrays[name]
        probabilities = np.stack([_turned(channel.T, turn) for channel in stored.astype(np.float32)])
        if probabilities.shape[1:] != predicted.shape or len(probabilities) <= max(self.structures):
            raise ValueError(
                f"{_npz(path)}: has shape {stored.shape}, expected the classes 0 ... {max(self.structures)} of the "
                f"shape {predicted.shape[::-1]}, with axes reversed; without these files segmentations are judged by"
            )
        if np.abs(probabilities.sum(0) - 1).max() > 0.05:
            raise ValueError(
                f"{_npz(path)}: its probabilities do not add up to 1 (a training by regions?); without these files "
                "segmentations are judged by"
            )
        # nnU-Net may have taken specks away from the segmentation; axes in another order are another matter.
        differ = np.count_nonzero(probabilities.argmax(0) != predicted)
        if differ > max(0.5 * np.count_nonzero(predicted), 1e-3 * predicted.size):
            raise ValueError(
                f"{_npz(path)}: is another prediction than {path.name}; without these files segmentations are judged by"
            )
        return probabilities


def _names(case: Mapping[str, Any]) -> set[str]:
    """Names without ending that a case's prediction may have."""
    image = images_of(case)[0]
    stem = strip_nifti(str(image))
    return {case_of(case), strip_nifti(str(case["label"])), stem, split_channel(stem)[0]}


def _relative_paths(case: Mapping[str, Any], directory: Path) -> list[Path]:
    """Paths in a folder of predictions where the label or the image lies in the data set, ending ``.nii`` or not."""
    out = []
    if "file" in case:
        file = Path(case["file"]).relative_to(case.get("rater", ""))
        out.append(directory / file)
        root = Path(str(case["label"])[: -len(str(file))])
        image = images_of(case)[0]
        if root / file == Path(case["label"]) and Path(image).is_relative_to(root):
            out.append(directory / Path(image).relative_to(root))
    return [path.with_name(strip_nifti(path.name) + ending) for path in out for ending in (".nii.gz", ".nii")]


def _preference(path: Path) -> tuple[bool, int]:
    """Which of several predictions of a case is taken: smaller is better."""
    return not _npz(path).exists(), len(path.parts)


def _npz(path: Path) -> Path:
    return path.with_name(strip_nifti(path.name) + ".npz")


def _turn(
    affine: np.ndarray, shape: tuple[int, ...], target: np.ndarray, target_shape: tuple[int, ...], path: Path
) -> np.ndarray | None:
    """How a prediction's axes are to be turned to lie as the label's (nibabel's orientation); None: not at all.

    Raises:
        ValueError: no turn brings it onto the label's grid.
    """
    if shape == target_shape and same_grid(affine, target, shape):
        return None
    three = (*shape, 1)[:3]
    turn = nib.orientations.io_orientation(np.linalg.solve(target, affine))
    turned_shape = tuple(three[i] for i in np.argsort(turn[:, 0]))
    if turned_shape[: len(shape)] == target_shape and same_grid(
        affine @ nib.orientations.inv_ornt_aff(turn, three), target, target_shape
    ):
        return turn
    if shape != target_shape:
        raise ValueError(f"{path}: has shape {shape}, the label {target_shape}")
    if np.allclose(affine, np.eye(4)):
        logger.warning(f"{path}: does not say where it lies (affine 1); its voxels are taken in the label's order")
        return None
    raise ValueError(f"{path}: its affine differs from its label's; resample one to the other")


def _turned(array: np.ndarray, turn: np.ndarray | None) -> np.ndarray:
    """An array of 2 or 3 axes, turned."""
    if turn is None:
        return array
    turned = nib.orientations.apply_orientation(array if array.ndim == 3 else array[..., None], turn)
    return turned if array.ndim == 3 else turned[..., 0]
