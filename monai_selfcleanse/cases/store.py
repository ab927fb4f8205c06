"""What the looks saw and the cleanser made, one file a case, where every worker and rank can read it.

Layout of the folder::

    seen/CASE.npz          what the last look saw of the case: given label, prediction with its strays, confidence,
                           affine, evidence, and the fingerprint of what these rest on; and by what its suspects are
                           redrawn, where that is not the prediction
    targets/3/CASE.npy     the third cleansing's targets; cases without one train on their given label
    targets/3/LEFT_OUT     ids of the cases that nobody trains on meanwhile, as JSON
    targets/CURRENT        number of the cleansing in force; 0 or no file: given labels everywhere

All files are written atomically, and a cleansing comes into force at once, by the one small file that names it. The one
before it is kept until the next, so that a run resumed from its last checkpoint finds the targets it had.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias, overload

import numpy as np

from ..core.case_id import file_stem
from ..core.cleansing import MIN_CONFIDENCE
from ..core.prediction import Predicted, condensed
from ..core.size_bias import drawn_without_size_bias
from ..files import atomic_path
from .seen import Redrawing, SeenCase

__all__ = ["CaseStore", "StoreLike"]

_EVIDENCE = "evidence_"
"""What the names of evidence begin with in a file."""

_NOTES = "notes"
"""Name of what was tolerated, in a file."""


class CaseStore:
    """A folder of predictions and targets; nothing is made before something is written.

    Args:
        directory: the folder.
        min_confidence: confidence, in [0, 1], from which on a prediction may redraw a label
            (:func:`monai_selfcleanse.core.cleansing.cleanse_label`), where there is no drawing. It is the store's, so
            that targets for training, labels on disk, report, pictures and exports, which all read predictions here,
            show one and the same label.

    Raises:
        ValueError: ``min_confidence`` is out of range.
    """

    def __init__(self, directory: str | os.PathLike, min_confidence: float = MIN_CONFIDENCE) -> None:
        if not 0 <= min_confidence <= 1:
            raise ValueError(f"min_confidence must lie in [0, 1], got {min_confidence}")
        self.directory = Path(directory)
        self.min_confidence = min_confidence

    @overload
    @classmethod
    def at(cls, store: StoreLike) -> CaseStore: ...

    @overload
    @classmethod
    def at(cls, store: StoreLike | None) -> CaseStore | None: ...

    @classmethod
    def at(cls, store: StoreLike | None) -> CaseStore | None:
        """The store itself, or the one in a folder. Every public function and handler passes its ``store`` through
        here. None stays None, for those that can do without one."""
        return store if store is None or isinstance(store, CaseStore) else cls(store)

    def write_seen(
        self,
        case: str,
        given: np.ndarray,
        probabilities: Predicted,
        affine: np.ndarray,
        confidence: np.ndarray | None = None,
        evidence: Mapping[str, np.ndarray] | None = None,
        fingerprint: str = "",
        strays: Mapping[int, np.ndarray] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what a look saw of a case, in two bytes a voxel and the given label.

        Args:
            case: the case's id.
            given: index map, shape ``spatial``.
            probabilities: ``(C, *spatial)`` in [0, 1], or what they come to.
            affine: voxel to world, ``(4, 4)``.
            confidence: that of the most probable class, in [0, 1], shape ``spatial``; None for its probability.
            evidence: arrays by name, for :meth:`read_evidence`.
            fingerprint: what the evidence rests on.
            strays: see :func:`monai_selfcleanse.core.strays.find_strays`; None for none.
            notes: what was tolerated about the case's files, for :meth:`read_notes`.
        """
        prediction = condensed(probabilities)
        confidence = prediction.confidence if confidence is None else confidence
        kept: dict[str, Any] = {f"{_EVIDENCE}{name}": values for name, values in (evidence or {}).items()}
        kept |= {
            "given": _smallest(given),
            "predicted": _smallest(prediction.predicted),
            "confidence": _as_bytes(confidence),
            "affine": np.asarray(affine, dtype=np.float64),
            "fingerprint": np.array(fingerprint),
            "strays": np.concatenate([np.zeros(0, np.int64), *(strays or {}).values()]),
            _NOTES: np.array(json.dumps(dict(notes or {}))),
        }
        with atomic_path(self._file("seen", case, ".npz")) as part:
            _save_fast(part, kept)

    def write_drawn(self, case: str, drawing: Redrawing) -> None:
        """Add to what the last look saw of a case by what its suspects are redrawn, in place of the prediction.

        Args:
            case: the case's id.
            drawing: of the prediction's shape.

        Raises:
            FileNotFoundError: no look has seen the case.
            ValueError: the shape is another one; the message names the case.
        """
        path = self._file("seen", case, ".npz")
        with np.load(path) as file:
            kept = {name: file[name] for name in file}
        shape = kept["predicted"].shape
        if not shape == drawing.index.shape == drawing.confidence.shape:
            raise ValueError(
                f"case {case!r}: the drawing has the shape {drawing.index.shape}, the prediction {shape}: both must be "
                "of one preprocessing"
            )
        with atomic_path(path) as part:
            added = {"drawn": _smallest(drawing.index), "drawn_confidence": _as_bytes(drawing.confidence)}
            _save_fast(part, kept | added)

    def read_evidence(self, case: str, fingerprint: str) -> dict[str, np.ndarray] | None:
        """Evidence that the last look kept of a case.

        Returns:
            None where there is none, where it rests on something else, or where the file is damaged.
        """
        try:
            with np.load(self._file("seen", case, ".npz")) as file:
                if "fingerprint" not in file or str(file["fingerprint"]) != fingerprint:
                    return None
                return {key[len(_EVIDENCE) :]: file[key] for key in file if key.startswith(_EVIDENCE)}
        except Exception:  # a damaged archive raises much: EOFError, zlib.error, NotImplementedError
            return None

    def read_notes(self, case: str) -> dict[str, str]:
        """What was tolerated about the case's files when its evidence was kept; empty where nothing was."""
        with np.load(self._file("seen", case, ".npz")) as file:
            return json.loads(str(file[_NOTES])) if _NOTES in file else {}

    def read_seen(
        self, case: str, one_piece: Collection[int] = (), size_bias: Mapping[int, float] | None = None
    ) -> SeenCase:
        """What the last look saw of a case.

        Args:
            case: the case's id.
            one_piece: the judgement's structures in one piece, whose strays are left out: in their place is background,
                with a confidence of 0.
            size_bias: the judgement's size biases, without which suspects are redrawn; None for none.

        Raises:
            FileNotFoundError: no look has seen the case.
        """
        with np.load(self._file("seen", case, ".npz")) as file:
            predicted, confidence = file["predicted"], _from_bytes(file["confidence"])
            by = Redrawing(file["drawn"], _from_bytes(file["drawn_confidence"])) if "drawn" in file else None
            if one_piece:
                strays = file["strays"][np.isin(predicted.flat[file["strays"]], list(one_piece))]
                predicted.flat[strays], confidence.flat[strays] = 0, 0
            if by is None and size_bias:
                by = Redrawing(*drawn_without_size_bias(predicted, confidence, size_bias), self.min_confidence)
            return SeenCase(file["given"], predicted, confidence, file["affine"], self.min_confidence, by)

    def stamp(self, case: str) -> str:
        """What tells label and prediction that a look saw of a case from any others; empty where there are none."""
        try:
            with zipfile.ZipFile(self._file("seen", case, ".npz")) as file:
                of_others = (_EVIDENCE, _NOTES)
                sums = [(one.filename, one.CRC) for one in file.infolist() if not one.filename.startswith(of_others)]
        except (OSError, zipfile.BadZipFile):
            return ""
        return hashlib.sha256(repr(sorted(sums)).encode()).hexdigest()[:16]

    def has_drawn(self, case: str) -> bool:
        """Whether :meth:`write_drawn` has added a drawing to what the last look saw of a case."""
        try:
            with zipfile.ZipFile(self._file("seen", case, ".npz")) as file:
                return "drawn.npy" in file.namelist()
        except (OSError, zipfile.BadZipFile):
            return False

    def read_given(self, case: str) -> np.ndarray:
        """The case's given label alone, as :meth:`read_seen` has it.

        Raises:
            FileNotFoundError: no look has seen the case.
        """
        with np.load(self._file("seen", case, ".npz")) as file:
            return file["given"]

    def write_target(self, version: int, case: str, target: np.ndarray, weight: np.ndarray) -> None:
        """Add a case's target (index map) and voxel weights (in [0, 1], kept in steps of 1/255) to a cleansing."""
        folder = f"targets/{version}"
        with atomic_path(self._file(folder, case, ".npy")) as part:
            np.save(part, np.stack([target.astype(np.uint8), np.rint(weight * 255).astype(np.uint8)]))

    def read_target(self, case: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Target and weights (float32) of a case in the cleansing in force; None: train on the given label."""
        version = self.version
        path = self._file(f"targets/{version}", case, ".npy")
        if version == 0 or not path.exists():
            return None
        target, weight = np.load(path)
        return target, weight.astype(np.float32) / 255

    def has_target(self, version: int, case: str) -> bool:
        """Whether a cleansing has a target for the case."""
        return self._file(f"targets/{version}", case, ".npy").exists()

    def write_left_out(self, version: int, cases: Collection[str]) -> None:
        """Add to a cleansing which cases are not trained on while it is in force."""
        with atomic_path(self.directory / "targets" / str(version) / "LEFT_OUT") as part:
            part.write_text(json.dumps(sorted(cases)))

    def read_left_out(self, version: int) -> frozenset[str]:
        """Cases that are not trained on while that cleansing is in force."""
        try:
            return frozenset(json.loads((self.directory / "targets" / str(version) / "LEFT_OUT").read_text()))
        except FileNotFoundError:
            return frozenset()

    @property
    def version(self) -> int:
        """Number of the cleansing in force, 0 for none."""
        try:
            return int((self.directory / "targets" / "CURRENT").read_text())
        except FileNotFoundError:
            return 0

    def publish(self, version: int) -> None:
        """Put a cleansing into force (0: the given labels), and delete all but it and the one before."""
        if version > 0 or self.version > 0:
            with atomic_path(self.directory / "targets" / "CURRENT") as part:
                part.write_text(str(version))
        for folder in (self.directory / "targets").glob("[0-9]*"):
            if int(folder.name) not in (version, version - 1):
                shutil.rmtree(folder)

    def _file(self, folder: str, case: str, ending: str) -> Path:
        return self.directory / folder / (file_stem(case) + ending)


StoreLike: TypeAlias = CaseStore | str | os.PathLike
"""A store, or its folder."""


def _save_fast(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file as ``numpy.savez_compressed`` does, but at zlib's fastest level: a whole body takes seconds."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, array in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _as_bytes(confidence: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1] in steps of 1/255; part by part, so that none but the result takes a volume's memory."""
    out = np.empty(confidence.shape, np.uint8)
    for part, bytes_ in zip(confidence, out, strict=True):
        bytes_[...] = np.rint(np.clip(part, 0, 1) * 255)
    return out


def _from_bytes(confidence: np.ndarray) -> np.ndarray:
    """What :func:`_as_bytes` has kept, float32."""
    return confidence.astype(np.float32) / 255


def _smallest(label: np.ndarray) -> np.ndarray:
    """The same index map as uint8, in which targets are kept.

    Raises:
        ValueError: a value does not fit.
    """
    if label.size and not 0 <= label.min() <= label.max() <= 255:
        raise ValueError(f"labels must lie in 0 ... 255, got {label.min()} ... {label.max()}")
    return label.astype(np.uint8)
