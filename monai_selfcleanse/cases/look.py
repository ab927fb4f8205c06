"""One case in a look: its label is scored against a prediction, and what was seen is kept.

Training, audit and :func:`monai_selfcleanse.judge_labels` all take this path, so the same label and prediction get the
same evidence everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import ignite.distributed as idist
import nibabel as nib
import numpy as np

from ..core.judge import LabelJudge
from ..core.prediction import Predicted
from ..distributed import gathered, lagging_ranks
from .store import CaseStore, StoreLike

__all__ = ["await_seen", "score_case"]


def score_case(
    judge: LabelJudge,
    store: StoreLike,
    case: str,
    given: np.ndarray,
    probabilities: Predicted,
    affine: np.ndarray,
    confidence: np.ndarray | None = None,
    fingerprint: str = "",
    notes: Mapping[str, str] | None = None,
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
        notes: what was tolerated about the case's files, for :meth:`CaseStore.read_notes`.

    Returns:
        Evidence ``(K,)`` by name, see :meth:`monai_selfcleanse.core.LabelJudge.evidence`.

    Raises:
        ValueError: shapes do not fit, or the probabilities are none.
    """
    prediction = judge.in_label_terms(given, probabilities)
    strays = judge.strays(given, prediction)
    evidence = judge.evidence(given, prediction, nib.affines.voxel_sizes(affine), strays)
    CaseStore.at(store).write_seen(case, given, prediction, affine, confidence, evidence, fingerprint, strays, notes)
    return evidence


def await_seen(store: StoreLike, cases: Iterable[str]) -> None:
    """Wait until every rank sees what each of them has kept in a look. Call it on every rank.

    Args:
        store: the folder or store that all ranks share.
        cases: those that this rank has scored.

    Raises:
        RuntimeError: a rank is shown an earlier state for too long; the message names it.
    """
    if idist.get_world_size() == 1:
        return
    store = CaseStore.at(store)
    stamps: dict[str, set[str]] = {}
    for share in gathered({case: store.stamp(case) for case in cases}):
        for case, stamp in share.items():  # several ranks have a case of a sampler that pads; either's will do
            stamps.setdefault(case, set()).add(stamp)
    if lagging := lagging_ranks(lambda: all(store.stamp(case) in known for case, known in stamps.items())):
        raise RuntimeError(
            f"rank {lagging} does not see the latest look in {store.directory}: the file system that all processes "
            "share keeps showing an earlier one"
        )
