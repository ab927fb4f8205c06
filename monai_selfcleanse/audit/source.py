"""Where predictions come from, in two steps: a case's files are read first, and predicted if need be."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..cases.grid import Notes
from ..core.judge import LabelJudge
from ..core.prediction import Prediction

__all__ = ["LoadedCase", "PredictionSource", "digest"]


@dataclass(frozen=True, eq=False)
class LoadedCase:
    """What the files of one case hold, on the grid on which its label is judged.

    Attributes:
        given: given label, index map of shape ``spatial`` (2 or 3 axes).
        basis: what the prediction rests on: the image as the network takes it, or the prediction as it was found.
        affine: voxel to world, ``(4, 4)``.
        batch: what the source needs beside that.
        notes: what was tolerated about the files; :meth:`PredictionSource.predict` may add to it.
        files: digest of what else the prediction rests on, in files that are yet to be read.
    """

    given: np.ndarray
    basis: np.ndarray
    affine: np.ndarray
    batch: Any = None
    notes: Notes = field(default_factory=dict)
    files: str = ""


class PredictionSource(Protocol):
    """A network, or a folder of predictions."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What judges the labels, for reports and exports; values that JSON holds."""
        ...

    @property
    def in_workers(self) -> bool:
        """Whether :meth:`predict` may be called in worker processes, in which there is no GPU."""
        ...

    @property
    def files(self) -> Sequence[Path]:
        """Files, once prepared, that it reads beside the cases' own; results must not lie among them."""
        ...

    @property
    def has_probabilities(self) -> bool:
        """Whether predictions, once prepared, say how sure they are; else :meth:`predict` assumes it."""
        ...

    def prepare(self, cases: Sequence[Mapping[str, Any]]) -> str:
        """Get ready for these cases, which are all there are.

        Returns:
            A text that is another one if the same loaded would be predicted in another way.

        Raises:
            ValueError: there is nothing to predict with; the message says what to give.
        """
        ...

    def read(self, case: Mapping[str, Any]) -> LoadedCase:
        """Read and check a case's files; done in worker processes where there are any.

        Raises:
            Exception: they cannot be judged; the message says why.
        """
        ...

    def predict(self, loaded: LoadedCase, judge: LabelJudge) -> tuple[Prediction, np.ndarray | None]:
        """Predict a case, in the terms of its label (:meth:`monai_selfcleanse.core.LabelJudge.in_label_terms`).

        Returns:
            What to judge the label by, and how far the most probable class is to be trusted when a suspected label is
            redrawn, ``spatial`` in [0, 1]; None for its probability.
        """
        ...


def digest(parts: Iterable[str | np.ndarray]) -> str:
    """SHA-256 of texts and arrays (values, shape, data type), as hexadecimal text."""
    out = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            out.update(f"{part.shape} {part.dtype.str}".encode())
            out.update(np.ascontiguousarray(part).data)
        else:
            out.update(part.encode())
        out.update(b"\0")
    return out.hexdigest()
