"""Which labels of a MONAI Label datastore have been judged, what was found, and which wait for a reviewer.

Knows the datastore by its methods alone, so that nothing here needs MONAI Label.

What is kept, both under the key ``label_noise``: in a label's info its evidence (:func:`score_labels`), and in its
image's info that a label of it has been judged. MONAI Label starts a submitted label with an info of its own: a label
without evidence whose image was judged before has been submitted since then, corrected or as it was, and with that
reviewed.

A label's segments may be numbered otherwise than the network's structures; :mod:`.segments` puts that right.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from ..core.evidence import EVIDENCE, EVIDENCE_VERSION, LARGEST_SHARE, WITHOUT_STRAYS
from ..core.judge import LabelJudge
from ..core.mixture import FilterDecision, Verdict
from ..core.reason import reason_for
from ..core.size_bias import filter_without_size_bias, score_without_size_bias
from ..core.strays import is_in_one_piece
from ..files import file_digest
from ..results.words import VERDICTS
from .segments import SegmentNumbers, segment_numbers

__all__ = ["KEY", "TAG", "Datastore", "Doubt", "Predict", "ReviewQueue", "score_labels", "review_queue"]

KEY = "label_noise"
"""Key of what is kept in the infos of labels and images; name of the scoring method."""

TAG = "final"
"""MONAI Label's tag of the labels that count."""

Predict = Callable[[str, str], tuple[np.ndarray, np.ndarray, Sequence[float]]]
"""From the paths of an image and its label to the label's index map ``spatial``, the network's class probabilities
``(C, *spatial)``, and the voxel size in mm."""

_DECIDE_BY = ("score", "dice", "expected_dice", "size_ratio")
"""Evidence that a decision takes."""

logger = logging.getLogger(__name__)


class Datastore(Protocol):
    """What is asked of ``monailabel.interfaces.datastore.Datastore``."""

    def get_labeled_images(self, label_tag: str | None = None) -> list[str]: ...

    def get_image_uri(self, image_id: str) -> str: ...

    def get_image_info(self, image_id: str) -> dict[str, Any]: ...

    def get_label_by_image_id(self, image_id: str, tag: str) -> str: ...

    def get_label_uri(self, label_id: str, label_tag: str) -> str: ...

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]: ...

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None: ...

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None: ...


def score_labels(
    datastore: Datastore, predict: Predict, structures: Mapping[int, str], model: float
) -> dict[str, list[str]]:
    """Bring the evidence about every label up to date.

    A label's evidence is computed where there is none yet, or where the network or the label's file has changed since.
    It is kept case by case, so that a scoring that is broken off has not worked in vain. A case that cannot be judged
    is logged and left out. So is a segment whose name is no structure's; its number decides.

    Args:
        datastore: where images and labels are, and where the evidence goes.
        predict: the network and the label's reader.
        structures: the structures to judge and their names.
        model: what identifies the network's weights, such as their file's modification time.

    Returns:
        Image ids under ``"judged"`` (now), ``"unchanged"`` (evidence was up to date) and ``"failed"``.
    """
    done: dict[str, list[str]] = {"judged": [], "unchanged": [], "failed": []}
    for image in sorted(datastore.get_labeled_images(TAG)):
        label = datastore.get_label_by_image_id(image, TAG)
        try:
            path = datastore.get_label_uri(label, TAG)
            checksum = file_digest(path)
            info = deepcopy(datastore.get_label_info(label, TAG))
            record = info.get(KEY)
            numbers = segment_numbers(info.get("label_info"), structures)
            same = {"model": model, "checksum": checksum, "evidence_version": EVIDENCE_VERSION}
            if numbers.changes:
                same["renumbered"] = [list(change) for change in numbers.changes.items()]
            if record and same.items() <= record.items():
                done["unchanged"].append(image)
                continue
            reviewed = is_reviewed(datastore, image, label) and not (record and record["checksum"] != checksum)
            given, probabilities, spacing = predict(datastore.get_image_uri(image), path)
            _say_numbers(image, numbers, given)
            given = numbers.renumber(given)
            evidence = LabelJudge(structures).evidence(given, probabilities, spacing)
        except Exception as error:  # whatever a file does to us is this case's problem, not the others'
            logger.error(f"{KEY}: cannot judge the label of {image!r} ({type(error).__name__}: {error})")
            logger.debug("cannot judge", exc_info=True)
            done["failed"].append(image)
            continue
        if datastore.get_label_info(label, TAG) != info:
            continue  # submitted while the network looked at what was there before: the next scoring's business
        record = {**same, "reviewed": reviewed, "structures": {}}
        for i, k in enumerate(structures):
            if np.isnan(evidence["score"][i]):
                continue  # nothing to judge, and JSON knows no NaN
            share = float(evidence[LARGEST_SHARE][i])
            record["structures"][str(k)] = {
                **_kept(evidence, i, structures),
                LARGEST_SHARE: None if np.isnan(share) else share,
                "without_strays": _kept(evidence, i, structures, WITHOUT_STRAYS),
            }
        datastore.update_label_info(label, TAG, {KEY: record})
        if KEY not in datastore.get_image_info(image):
            datastore.update_image_info(image, {KEY: {"judged": True}})
        done["judged"].append(image)
    return done


def _kept(
    evidence: Mapping[str, np.ndarray], i: int, structures: Mapping[int, str], ending: str = ""
) -> dict[str, Any]:
    """What is kept of the evidence about the ``i``-th structure, of that whose names have an ending."""
    own = {name: float(evidence[f"{name}{ending}"][i]) for name in EVIDENCE}
    kept = {name: None if np.isnan(own[name]) else own[name] for name in _DECIDE_BY}  # JSON knows no NaN
    return kept | {"reason": reason_for(own, structures)}


def _say_numbers(image: str, numbers: SegmentNumbers, given: np.ndarray) -> None:
    """Log which segments of an image's label are renumbered, and which cannot be matched."""
    if numbers.changes:
        changes = [f"{numbers.structures[k]} from {number} to {k}" for number, k in numbers.changes.items()]
        logger.info(f"{KEY}: {image}: renumbered as label_info names the segments: {', '.join(changes)}")
    for mismatch in numbers.mismatches(given):
        logger.warning(f"{KEY}: {image}: {mismatch}")


def is_reviewed(datastore: Datastore, image: str, label: str) -> bool:
    """Whether a label has been submitted after it was judged, or approved in MONAI Label's Reviewer for 3D Slicer."""
    info = datastore.get_label_info(label, TAG)
    if str(info.get("segmentationMeta", {}).get("status", "")).lower() == "approved":
        return True
    return info[KEY]["reviewed"] if KEY in info else KEY in datastore.get_image_info(image)


@dataclass(frozen=True)
class Doubt:
    """One structure of one label that a reviewer should look at.

    Attributes:
        structure, name: which.
        reason: what seems wrong, in words; see :func:`monai_selfcleanse.core.reason.reason_for`.
        clean_probability: in [0, 1], 1 = clean.
        score: evidence against the label, at least 0.
    """

    structure: int
    name: str
    reason: str
    clean_probability: float
    score: float


@dataclass(frozen=True)
class ReviewQueue:
    """The labels that wait for a reviewer.

    Attributes:
        waiting: image ids, the most suspect first, and what is in doubt about each.
        verdicts: what is to be said of each structure, by name: ``"suspects"`` or the filter's other verdicts.
        n_judged: number of labels with evidence.
        n_reviewed: number of labels, with or without evidence, that have been reviewed.
        unjudged: image ids of the labels that are neither judged nor reviewed.
        one_piece: the structures of which strays do not count (:mod:`monai_selfcleanse.core.strays`).
        size_bias: the structures that the network draws too small or too large as a rule, and by how much
            (:mod:`monai_selfcleanse.core.size_bias`).
    """

    waiting: Mapping[str, Sequence[Doubt]]
    verdicts: Mapping[str, Verdict]
    n_judged: int
    n_reviewed: int
    unjudged: Sequence[str]
    one_piece: Sequence[int] = ()
    size_bias: Mapping[int, float] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.waiting)} labels wait for review, {self.n_judged} judged, {self.n_reviewed} reviewed"]
        parts += [f"{name}: {VERDICTS[v]}" for name, v in self.verdicts.items() if v in VERDICTS]
        if self.unjudged:
            parts.append(f"{len(self.unjudged)} not judged yet: run the scoring method {KEY}")
        return "; ".join(parts)


def review_queue(datastore: Datastore, structures: Mapping[int, str]) -> ReviewQueue:
    """Decide on the evidence that is kept, and line up what is in doubt.

    Each structure's labels, reviewed ones, too, are filtered over the cohort as in training
    (:func:`monai_selfcleanse.core.size_bias.filter_without_size_bias`), without strays where the structure is in one
    piece (:mod:`monai_selfcleanse.core.strays`). Suspects wait, the least probably clean first. Where there are too few
    labels to tell, all of them wait, the highest score first: a handful can be looked at. Where labels look clean, or
    the network is not ready, none does. A label that has been reviewed never waits again. Evidence that an earlier
    version of the package has kept does not count: those labels are not judged yet.

    Args:
        datastore: where the evidence is.
        structures: the structures judged and their names.
    """
    records: dict[str, dict[str, Any]] = {}
    reviewed, unjudged = set(), []
    for image in sorted(datastore.get_labeled_images(TAG)):
        label = datastore.get_label_by_image_id(image, TAG)
        record = datastore.get_label_info(label, TAG).get(KEY)
        if record and record.get("evidence_version") == EVIDENCE_VERSION:
            records[image] = record
        if is_reviewed(datastore, image, label):
            reviewed.add(image)
        elif image not in records:
            unjudged.append(image)
    doubts: dict[str, list[Doubt]] = {}
    verdicts: dict[str, Verdict] = {}
    one_piece: list[int] = []
    size_bias: dict[int, float] = {}
    for k, name in structures.items():
        cases = [(image, r["structures"][str(k)]) for image, r in records.items() if str(k) in r["structures"]]
        if is_in_one_piece(np.array([e[LARGEST_SHARE] for _, e in cases], float)):
            one_piece.append(k)
            cases = [(image, e["without_strays"]) for image, e in cases]
        decision, scores = _decide(tuple(tuple(e[name] for name in _DECIDE_BY) for _, e in cases))
        verdicts[name] = decision.verdict
        if decision.size_bias:
            size_bias[k] = decision.size_bias
        for i, (image, e) in enumerate(cases):
            if image not in reviewed and (decision.suspected[i] or decision.verdict == "too few"):
                doubt = Doubt(k, name, e["reason"], float(decision.clean_probability[i]), float(scores[i]))
                doubts.setdefault(image, []).append(doubt)
    for found in doubts.values():
        found.sort(key=_suspicion)
    order = sorted(doubts, key=lambda image: (*_suspicion(doubts[image][0]), image))
    waiting = {image: doubts[image] for image in order}
    return ReviewQueue(waiting, verdicts, len(records), len(reviewed), unjudged, one_piece, size_bias)


@lru_cache(maxsize=32)
def _decide(evidence: tuple[tuple[float | None, ...], ...]) -> tuple[FilterDecision, np.ndarray]:
    """The filter's decision on a structure, and the scores that it rests on.

    Every proposal asks for them, and only new evidence changes them.
    """
    columns = dict(zip(_DECIDE_BY, np.array(evidence, np.float64).reshape(-1, len(_DECIDE_BY)).T, strict=True))
    decision = filter_without_size_bias(columns)
    return decision, score_without_size_bias(columns, decision.size_bias)


def _suspicion(doubt: Doubt) -> tuple[float, float]:
    return doubt.clean_probability, -doubt.score
