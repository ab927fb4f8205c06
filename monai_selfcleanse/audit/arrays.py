"""Judge labels and predictions that are at hand as arrays: the shortest way in.

::

    from monai_selfcleanse import judge_labels

    judgement = judge_labels(cases)
    judgement.suspects()
    judgement.write_report("out")

The labels take the same path as in a training or an audit of files (:func:`monai_selfcleanse.cases.score_case`,
:meth:`monai_selfcleanse.core.LabelJudge.judge`), and come to the same judgement.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nibabel as nib
import numpy as np

from ..cases.look import score_case
from ..cases.nifti_file import plain_image
from ..cases.store import CaseStore
from ..core.border import stand_in
from ..core.case_id import file_stem
from ..core.evidence import stack_evidence
from ..core.index_map import to_values
from ..core.judge import LabelJudge
from ..core.judgement import Judgement
from ..core.prediction import Predicted
from ..core.structures import class_names, label_values, values_unless_classes
from ..results.write import replace_results, write_results
from ..run_folder import RunFolder
from .array_case import SEGMENTATIONS, ArrayCase, LabelledCase, read_array_case

__all__ = ["ArrayJudgement", "judge_labels"]


@dataclass(frozen=True, eq=False)
class ArrayJudgement(Judgement):
    """A judgement on labels that came as arrays.

    Attributes:
        data: dictionaries of the cases, see :mod:`monai_selfcleanse.cases.case`; their files are copies of the arrays.
        store: label and prediction of each case.
        about: what judged the labels, for reports.
        has_affines: whether every case says where it lies.
        folder: keeps a temporary folder of these files until the judgement is gone; None for a folder of the caller's.
    """

    data: tuple[Mapping[str, Any], ...]
    store: CaseStore
    about: Mapping[str, Any]
    has_affines: bool
    folder: TemporaryDirectory | None

    def cleansed_label(self, case: str) -> np.ndarray:
        """The given label with its structures redrawn that :attr:`redrawn` names, in the label's own values.

        Raises:
            KeyError: no case has this id.
        """
        if case not in self.cases:
            raise KeyError(f"no case {case!r} was judged")
        seen = self.store.read_seen(case, self.one_piece, self.size_bias)
        redrawn = self.by_case(self.redrawn).get(case, ())
        index, _ = seen.cleansed(redrawn)
        return to_values(index, self.values) if self.values else index

    def write_report(self, directory: str | os.PathLike) -> Path:
        """Write the report, and the cleansed labels where every case says where it lies.

        Review, ``apply`` and ``export`` go on from it where the copies of the arrays lie in a folder of the caller's.
        Results that are there already are moved to ``earlier/N``.

        Args:
            directory: the folder, made where it is missing; see :mod:`monai_selfcleanse.run_folder` for what is in it.

        Returns:
            Path of the page to begin with.

        Raises:
            ValueError: another process is at work in the folder.
        """
        folder = RunFolder(directory)
        with folder.only_run():
            replace_results(
                folder,
                lambda part: write_results(
                    part,
                    self,
                    self.data,
                    self.store,
                    self.about,
                    cleansed=self.has_affines,
                    record=self.folder is None,
                ),
            )
        return folder.page


def judge_labels(
    cases: Iterable[LabelledCase | tuple[Any, ...]],
    names: Mapping[int, str] | None = None,
    *,
    partial_labels: bool = False,
    threshold: float = 0.5,
    min_separation: float = 0.2,
    min_cases: int = 12,
    directory: str | os.PathLike | None = None,
) -> ArrayJudgement:
    """Judge every label of a data set by predictions that are at hand.

    One case is in memory at a time: give a generator where there are many. Label, prediction and image are kept on disk
    for the report, in some bytes a voxel.

    Args:
        cases: :class:`LabelledCase`, or tuples of the same order. Predictions are either all class probabilities or all
            segmentations. A network that was trained on these very labels has learned their mistakes: predict each case
            by one that was not trained on it, as cross-validation does.
        names: the structures' values and names; None judges every foreground class that probabilities have or, of
            segmentations, every value up to the highest, and calls them ``structure 1``, ...
        partial_labels: see :class:`monai_selfcleanse.core.LabelJudge`.
        threshold, min_separation, min_cases: see :func:`monai_selfcleanse.core.filter_labels`.
        directory: folder for what is kept; None for a temporary one that is deleted with the judgement.

    Returns:
        The judgement; :meth:`~monai_selfcleanse.core.Judgement.suspects` is the ranked list.

    Raises:
        ValueError: there is no case or no structure, an id occurs twice, or arrays of a case do not fit together; the
            message names the case.
    """
    known = None if names is None else class_names(names)
    values = () if names is None else values_unless_classes(names)

    def judge_of(structures: Mapping[int, str]) -> LabelJudge:
        return LabelJudge(
            structures,
            threshold,
            min_separation,
            min_cases=min_cases,
            partial_labels=partial_labels,
            values=values or None,
        )

    temporary = TemporaryDirectory(prefix="judge_labels-") if directory is None else None
    keeper = _Keeper(Path(temporary.name if temporary else directory), values)  # type: ignore[arg-type]
    evidence: dict[str, dict[str, np.ndarray]] = {}
    kind = ""
    for item in cases:
        case = read_array_case(LabelledCase(*item), None if names is None else label_values(names))
        if case.name in evidence:
            raise ValueError(f"case {case.name!r} occurs twice: ids must be unique")
        if kind not in ("", case.kind):
            raise ValueError(f"case {case.name!r} comes with {case.kind}, those before it with {kind}: give one kind")
        kind = case.kind
        evidence[case.name] = keeper.score(judge_of(known or _numbered(case.highest)), case)
    if not evidence:
        raise ValueError("there is no case to judge")
    judge = judge_of(known or _numbered(max(len(one["score"]) for one in evidence.values())))
    judgement = judge.judge(tuple(evidence), stack_evidence(evidence, len(judge.names)), kind != SEGMENTATIONS)
    about = {"predictions": "arrays", "kind": kind}
    return ArrayJudgement.of(
        judgement,
        data=tuple(keeper.data),
        store=keeper.store,
        about=about,
        has_affines=keeper.has_affines,
        folder=temporary,
    )


def _numbered(highest: int) -> dict[int, str]:
    return {k: f"structure {k}" for k in range(1, max(highest, 1) + 1)}


class _Keeper:
    """Keeps a copy of each case on disk, so that a judgement on arrays is one on files.

    Args:
        folder: where the copies go.
        values: the structures' values; empty where these are 1, 2, ...

    Attributes:
        store: label and prediction of each case.
        data: the cases' dictionaries.
        has_affines: whether all of them say a position.
    """

    def __init__(self, folder: Path, values: Sequence[int]) -> None:
        self.folder, self.store, self.values = folder, CaseStore(folder / "cases"), values
        self.data: list[dict[str, Any]] = []
        self.has_affines = True

    def score(self, judge: LabelJudge, case: ArrayCase) -> dict[str, np.ndarray]:
        """Evidence about a case, of which a copy is kept.

        Raises:
            ValueError: the prediction holds no probabilities, or a label value over 255; the message names the case.
        """
        probabilities: Predicted = case.predicted
        confidence = None
        if case.kind == SEGMENTATIONS:
            n_classes = max(*judge.names, case.highest) + 1
            probabilities, confidence = stand_in(case.predicted, n_classes, case.affine)
        try:
            found = score_case(judge, self.store, case.name, case.given, probabilities, case.affine, confidence)
        except ValueError as error:
            raise ValueError(f"case {case.name!r}: {error}") from error
        name = f"{file_stem(case.name)}.nii.gz"  # of the case, not its place: the next call may have others before it
        label = to_values(case.given, self.values) if self.values else case.given
        files = {"label": label.astype(np.min_scalar_type(int(label.max())))}
        if case.image is not None:
            files["image"] = case.image
        paths = {key: self._save(voxels, case.affine, self.folder / f"{key}s" / name) for key, voxels in files.items()}
        own = {"values": tuple(self.values)} if self.values else {}
        self.data.append({"case": case.name, "file": f"{case.name}.nii.gz", **paths, **own})
        self.has_affines &= case.has_affine
        return found

    @staticmethod
    def _save(voxels: np.ndarray, affine: np.ndarray, path: Path) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(plain_image(voxels, affine), path)
        return str(path)
