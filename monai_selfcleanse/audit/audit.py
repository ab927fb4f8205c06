"""The audit: read, predict and score each case once, then decide on all of them and write what was found."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import ignite.distributed as idist
import numpy as np

from ..cases.apart import check_apart, check_not_among
from ..cases.case import check_unique_cases, files_of, with_values
from ..cases.grid import Notes, log_notes
from ..cases.image_file import open_image
from ..cases.look import await_seen, score_case
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of
from ..core.evidence import EVIDENCE_VERSION, stack_evidence
from ..core.judge import LabelJudge
from ..core.judgement import Judgement
from ..data.checks import warn_of_other_slices
from ..data.problems import alike, in_few_lines
from ..distributed import check_shared, gathered, in_workers, on_rank_zero, worker_count
from ..progress import progress
from ..results.write import closing_table, replace_results, write_results
from ..run_folder import RunFolder
from ..version import __version__
from .source import LoadedCase, PredictionSource, digest

__all__ = ["audit_labels"]

_MOST_READERS = 4
"""Workers that read ahead for a network, each of which hands over a whole volume: more would wait for it."""

logger = logging.getLogger(__name__)


def audit_labels(
    cases: Sequence[Mapping[str, Any]],
    source: PredictionSource,
    judge: LabelJudge,
    store: StoreLike,
    output_dir: str | os.PathLike,
    problems: Sequence[str] = (),
    num_workers: int | None = None,
) -> Judgement:
    """Judge every label of a data set, and leave report and cleansed labels in a folder.

    Cases are dealt out to the processes of ``torch.distributed``, if there are several; all of them must share the
    folders. In each, worker processes read, unpack and score cases, one at a time each. A network predicts in the
    process itself what its workers have read ahead. The result does not depend on the number of any of them.

    What is known of a case is written when it is done, with a fingerprint of what it rests on: the given label, the
    image as the network sees it or the prediction as it was found, weights, network, inferer, structures, and the
    version of this package. An audit that is started again takes up what still holds, and judges the rest. The results
    of an earlier audit stay until those of this one are complete, and are then moved to ``earlier/N``
    (:func:`monai_selfcleanse.earlier_results.set_aside`).

    Args:
        cases: their dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        source: where predictions come from.
        judge: the structures, and when a label is suspected.
        store: folder or store for what was seen.
        output_dir: where the results go.
        problems: what was found broken before, to be listed with the cases that cannot be judged.
        num_workers: number of worker processes of each process; 0: there are none, and it does all itself. None: as
            many as it has processor cores, but none on systems that cannot fork.

    Raises:
        ValueError: no case can be judged, ids are not unique, another run is at work in the folder, or a case or a
            prediction lies in what the results replace, or right in the folder.
    """
    store, folder, cases = CaseStore.at(store), RunFolder(output_dir), with_values(cases, judge.values)
    check_unique_cases(cases)
    if not cases:
        raise ValueError("there is no case to audit" + "".join(f"\n  {line}" for line in in_few_lines(problems)))
    how, what = source.prepare(cases), repr((tuple(judge.names), judge.values, judge.partial_labels))
    check_apart(folder.replaced(), cases, source.files, remedy="another output_dir")
    check_not_among(folder, [*source.files, *(path for case in cases for path in files_of(case))])
    identity = digest([__version__, str(EVIDENCE_VERSION), how, what])
    with _only_run(folder):
        if idist.get_rank() == 0:
            warn_of_other_slices(_spacings(cases))
        check_shared(store.directory)
        share = cases[idist.get_rank() :: idist.get_world_size()]
        scoring = _Scoring(source, judge, store, identity)
        found: dict[str, Mapping[str, np.ndarray] | str] = {}
        notes: list[Notes] = []
        reused = 0
        most = len(share) if source.in_workers else min(len(share), _MOST_READERS)
        outcomes = _outcomes(share, scoring, worker_count(most, num_workers))
        for case, outcome in zip(progress(share, "cases", show=idist.get_rank() == 0), outcomes, strict=True):
            found[case_of(case)] = outcome.evidence
            notes.append(outcome.notes)
            reused += outcome.is_reused
        await_seen(store, (case for case, outcome in found.items() if not isinstance(outcome, str)))
        everything = {case: outcome for shard in gathered(found) for case, outcome in shard.items()}
        log_notes((note for shard in gathered(notes) for note in shard), len(cases))
        if n_reused := sum(gathered(reused)):
            logger.info(f"{n_reused} of {len(cases)} cases had been judged before, by the same and as they are")
        return on_rank_zero(lambda: _conclude(cases, everything, source, judge, store, folder, problems, num_workers))


@contextmanager
def _only_run(folder: RunFolder) -> Iterator[None]:
    """Rank 0 keeps other runs out of the folder, on behalf of all ranks."""
    with ExitStack() as stack:
        on_rank_zero(lambda: stack.enter_context(folder.only_run()))
        yield


@dataclass(frozen=True, eq=False)
class _Outcome:
    """Evidence about a case, or why there is none; what was tolerated; whether the evidence was there already."""

    evidence: Mapping[str, np.ndarray] | str
    notes: Notes
    is_reused: bool = False


@dataclass(frozen=True)
class _Scoring:
    """How each case is judged, in whatever process.

    A broken file must not end the run: what goes wrong with a case becomes its outcome.
    """

    source: PredictionSource
    judge: LabelJudge
    store: CaseStore
    identity: str

    def hand_over(self, case: Mapping[str, Any]) -> LoadedCase | _Outcome:
        """A worker's part: the case judged or, where predictions are the main process's, as it is read."""
        try:
            loaded = self.source.read(case)
        except Exception as error:
            return _Outcome(_reason(error), {})
        return self.score(case, loaded) if self.source.in_workers else loaded

    def score(self, case: Mapping[str, Any], loaded: LoadedCase) -> _Outcome:
        """Evidence about the case, which is kept; what was kept before is taken if it still holds."""
        fingerprint = digest([self.identity, loaded.given, loaded.basis, loaded.files, loaded.affine])
        if kept := self.store.read_evidence(case_of(case), fingerprint):
            return _Outcome(kept, loaded.notes | self.store.read_notes(case_of(case)), True)
        before = set(loaded.notes)
        try:
            prediction, confidence = self.source.predict(loaded, self.judge)
            seen = case_of(case), loaded.given, prediction, loaded.affine, confidence, fingerprint
        except Exception as error:  # the case's problem, not the run's
            return _Outcome(_reason(error), loaded.notes)
        try:
            # what was said of the files is said again whenever they are read
            notes = {kind: note for kind, note in loaded.notes.items() if kind not in before}
            return _Outcome(score_case(self.judge, self.store, *seen, notes), loaded.notes)
        except OSError:  # the disk's problem, and so the run's
            raise
        except Exception as error:
            return _Outcome(_reason(error), loaded.notes)


def _outcomes(cases: Sequence[Mapping[str, Any]], scoring: _Scoring, workers: int) -> Iterator[_Outcome]:
    """The outcome of each case, in order."""
    for case, loaded in zip(cases, in_workers(scoring.hand_over, cases, workers), strict=True):
        yield loaded if isinstance(loaded, _Outcome) else scoring.score(case, loaded)


def _spacings(cases: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, ...]]:
    """Voxel sizes of the labels, as far as their files can be opened; what cannot is named where it is read."""
    out = {}
    for case in cases:
        with suppress(ValueError):
            out[str(case["label"])] = tuple(map(float, open_image(case["label"]).spacing()))
    return out


def _warn_of_unreadable(unreadable: Sequence[tuple[str, str]]) -> None:
    """Say which cases are not judged, and why; where reasons differ in the files alone, once."""
    for group in alike([reason for _, reason in unreadable]):
        case, reason = unreadable[group[0]]
        which = f"case {case!r} is" if len(group) == 1 else f"{len(group)} cases, such as {case!r}, are"
        logger.warning(f"{which} not judged: {reason}")


def _warn_of_copies(judgement: Judgement) -> None:
    """Warn where predictions are nearly all equal to their labels: then somebody compares labels with themselves."""
    known = ~np.isnan(judgement.evidence["score"])
    differ = (judgement.evidence["outside"] > 0) | (judgement.evidence["inside"] > 0)
    judged = known.any(1)
    equal = judged & ~(differ & known).any(1)
    if equal.sum() > 0.9 * judged.sum():
        logger.warning(
            f"{int(equal.sum())} of {int(judged.sum())} predictions equal their labels to the voxel: are these copies "
            "of the labels, or were the labels made from them? Nothing can be found wrong in this way"
        )


def _reason(error: Exception) -> str:
    logger.debug("cannot be judged", exc_info=error)
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def _conclude(
    cases: Sequence[Mapping[str, Any]],
    found: Mapping[str, Mapping[str, np.ndarray] | str],
    source: PredictionSource,
    judge: LabelJudge,
    store: CaseStore,
    folder: RunFolder,
    problems: Sequence[str],
    num_workers: int | None,
) -> Judgement:
    """Decide on all cases, write the results, and log the closing table."""
    evidence = {case_of(case): found[case_of(case)] for case in cases}
    unreadable = [(case, outcome) for case, outcome in evidence.items() if isinstance(outcome, str)]
    _warn_of_unreadable(unreadable)
    judged = {case: outcome for case, outcome in evidence.items() if not isinstance(outcome, str)}
    if not judged:
        raise ValueError(
            f"none of the {len(cases)} cases can be judged; the first, {unreadable[0][0]!r}: {unreadable[0][1]}"
        )
    judgement = judge.judge(tuple(judged), stack_evidence(judged, len(judge.names)), source.has_probabilities)
    _warn_of_copies(judgement)
    data = [case for case in cases if case_of(case) in judged]
    listed = [*unreadable, *(("", problem) for problem in problems)]
    rows = replace_results(
        folder,
        lambda part: write_results(part, judgement, data, store, source.about, listed, num_workers=num_workers),
    )
    logger.info(closing_table("the audit has ended", rows, folder.results()))
    return judgement
