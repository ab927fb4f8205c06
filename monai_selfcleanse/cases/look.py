"""One case in a look: its label is scored against a prediction, and what was seen is kept.

Training, audit and :func:`monai_selfcleanse.judge_labels` all take this path, so the same label and prediction get the
same evidence everywhere.
"""

from __future__ import annotations

import nibabel as nib
import numpy as np

from ..core.judgement import LabelJudge
from ..core.prediction import Predicted
from .store import CaseStore, StoreLike

__all__ = ["score_case"]


def score_case(
    judge: LabelJudge,
    store: StoreLike,
    case: str,
    given: np.ndarray,
    probabilities: Predicted,
    affine: np.ndarray,
    confidence: np.ndarray | None = None,
    fingerprint: str = "",
) -> dict[str, np.ndarray]:
    """Score one case's label, and keep label, prediction and evidence in the store.

    Args:
        judge: the structures, and whether labels are partial.
        store: folder or store where it goes.
        case: the case's id.
        given: index map, shape ``spatial`` (2 or 3 axes).
        probabilities: class probabilities ``(C, *spatial)`` in [0, 1], or those that stand in for them.
        affine: voxel to world, ``(4, 4)``, mm.
        confidence: how far the most probable class is to be trusted where a label is redrawn, ``spatial`` in [0, 1];
            None for its probability.
        fingerprint: what the evidence rests on, for :meth:`CaseStore.read_evidence`.

    Returns:
        Evidence ``(K,)`` by name, see :meth:`monai_selfcleanse.core.LabelJudge.evidence`.

    Raises:
        ValueError: shapes do not fit, or the probabilities are none.
    """
    prediction = judge.in_label_terms(given, probabilities)
    strays = judge.strays(given, prediction)
    evidence = judge.evidence(given, prediction, nib.affines.voxel_sizes(affine), strays)
    CaseStore.at(store).write_seen(case, given, prediction, affine, confidence, evidence, fingerprint, strays)
    return evidence
