"""Handler that tells clean labels from noisy ones while a network trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor
from monai.engines import Evaluator
from monai.utils import CommonKeys

from ..cases.case import decollated
from ..cases.look import await_seen, score_case
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of
from ..core.evidence import EVIDENCE, stack_evidence
from ..core.index_map import index_map
from ..core.judge import LabelJudge
from ..core.judgement import Judgement
from ..core.rounds import place_of
from ..distributed import check_shared, gathered, merge_shares
from ..results.words import VERDICTS
from .events import SelfCleanseEvents, register_self_cleanse_events

__all__ = ["LabelFilter", "LabelFilterResult"]


@dataclass(frozen=True, eq=False)
class LabelFilterResult(Judgement):
    """What the filter knows after one look: its judgement on every label.

    Attributes:
        epoch: the trainer's epoch.
        round: the round that it lies in, from 1; 0 where the training has one alone.
    """

    epoch: int
    round: int = 0


class LabelFilter:
    """Judge every given label of the training set, structure by structure, in regular looks during training.

    A look has the evaluator predict each training case once, scores the given label against the prediction
    (:mod:`monai_selfcleanse.core.evidence`), and fits a Gaussian mixture to the scores
    (:mod:`monai_selfcleanse.core.mixture`). It then puts a :class:`LabelFilterResult` into
    ``engine.state.label_filter_result`` and fires ``SelfCleanseEvents.LABELS_FILTERED``.

    In a distributed training every rank attaches one and looks at its share of the cases: give the evaluator's data
    loader ``monai.data.DistributedSampler(..., even_divisible=False, shuffle=False)``. The evidence is gathered, so
    that all ranks come to the same result. The evaluator's network must be the same on all of them (see
    :class:`BroadcastBuffers`), and the store's folder must be on a file system that they share.

    Attach it to the trainer before whatever saves checkpoints, so that these hold its state. (MONAI has a transform of
    the same name: in configs write this one's whole path.)

    Args:
        evaluator: predicts the training cases: whole, unaugmented, in any order, each once, best with averaged (EMA)
            weights. Its data set holds the *given* labels, preprocessed as for training. Its postprocessing turns
            ``pred`` into class probabilities (``Activationsd(keys="pred", softmax=True)``).
        store: folder or store for what was seen; give the cleanser and the data pipeline the same.
        structures: the foreground classes to judge, ``{index: name}`` or indices.
        warmup_epochs: epoch of the first look; before it a network knows too little.
        interval: epochs from one look to the next. A last look is taken when training ends. Epochs are the trainer's,
            which go on counting where it is run again for more of them (as in a federation).
        rounds: number of epochs of each of the training's rounds (:class:`TrainingRounds`); None for one round. Warm-up
            and interval are the first one's. A later round has one look, at its end: its network draws worse before.
        threshold, min_separation, max_share, min_cases: see :func:`monai_selfcleanse.core.mixture.filter_labels`.
        label_key, pred_key: keys of the evaluator's output.
        random_state: seed of the mixture's fit.
        partial_labels, values: see :class:`monai_selfcleanse.core.judge.LabelJudge`.

    Raises:
        TypeError: the evaluator is not a ``monai.engines.Evaluator``.
        ValueError: a number is out of range, or there is no structure.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        store: StoreLike,
        structures: Mapping[Any, str] | Sequence[int],
        warmup_epochs: int,
        interval: int = 10,
        threshold: float = 0.5,
        min_separation: float = 0.2,
        max_share: float = 0.8,
        min_cases: int = 12,
        label_key: str = CommonKeys.LABEL,
        pred_key: str = CommonKeys.PRED,
        random_state: int = 0,
        partial_labels: bool = False,
        values: Sequence[int] | None = None,
        rounds: Sequence[int] | None = None,
    ) -> None:
        if not isinstance(evaluator, Evaluator):
            raise TypeError(f"evaluator must be a monai.engines.Evaluator, got {type(evaluator).__name__}")
        if warmup_epochs < 1 or interval < 1:
            raise ValueError(f"warmup_epochs and interval must be at least 1, got {warmup_epochs} and {interval}")
        self.judge = LabelJudge(
            structures, threshold, min_separation, max_share, min_cases, random_state, partial_labels, values
        )
        self.evaluator = evaluator
        self.store = CaseStore.at(store)
        self.warmup_epochs, self.interval = warmup_epochs, interval
        self.rounds = list(rounds or ())
        self.label_key, self.pred_key = label_key, pred_key
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")
        self.epochs: list[int] = []
        self.cases: tuple[str, ...] = ()
        self.history: list[dict[str, np.ndarray]] = []
        self._scored: dict[str, dict[str, np.ndarray]] = {}

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        register_self_cleanse_events(engine)
        if not engine.has_event_handler(self, Events.EPOCH_COMPLETED):
            engine.add_event_handler(Events.EPOCH_COMPLETED, self)
            engine.add_event_handler(Events.STARTED, self._started)

    def is_due(self, epoch: int, max_epochs: int | None = None) -> bool:
        """Whether a look follows this epoch."""
        number, place, length = place_of(epoch, self.rounds or [max_epochs or epoch + 1])
        is_last = place == length or epoch == max_epochs
        if number > 1:
            return is_last
        return place >= self.warmup_epochs and (is_last or (place - self.warmup_epochs) % self.interval == 0)

    def __call__(self, engine: Engine) -> None:
        """Take a look if one is due.

        Raises:
            RuntimeError: the evaluator saw no case, or one twice, or others than in the look before.
        """
        if not self.is_due(engine.state.epoch, engine.state.max_epochs):
            return
        self._scored = {}
        with self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect):
            self.evaluator.run(engine.state.epoch)
        await_seen(self.store, self._scored)
        scored = merge_shares(gathered(self._scored))
        self._scored = {}
        if not scored:
            raise RuntimeError("the label filter's evaluator saw no case: is its data set empty?")
        cases = tuple(scored)
        if self.cases and set(cases) != set(self.cases):
            raise RuntimeError(
                f"the label filter saw other cases than in its last look ({len(cases)} and {len(self.cases)}): resume "
                "with the same data set and seed, or start afresh in an empty output_dir"
            )
        self.cases = self.cases or cases
        self.epochs.append(engine.state.epoch)
        self.history.append(stack_evidence({case: scored[case] for case in self.cases}, len(self.judge.names)))
        result = self._show_result(engine)
        assert result is not None
        self.logger.info(summary_line(result))
        engine.fire_event(SelfCleanseEvents.LABELS_FILTERED)

    def result(self) -> LabelFilterResult | None:
        """Decide on the latest evidence, and heed the first look's; None before that."""
        if not self.history:
            return None
        first = self.history[0] if len(self.history) > 1 else None
        judgement = self.judge.judge(self.cases, self.history[-1], first_look=first)
        number = place_of(self.epochs[-1], self.rounds).round if len(self.rounds) > 1 else 0
        return LabelFilterResult.of(judgement, epoch=self.epochs[-1], round=number)

    def state_dict(self) -> dict[str, Any]:
        """Evidence of all looks as tensors and plain values (``weights_only=True``); the last and the first decide."""
        history = [{name: torch.as_tensor(values) for name, values in r.items()} for r in self.history]
        return {"epochs": list(self.epochs), "cases": list(self.cases), "history": history}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up the evidence of an interrupted run.

        Raises:
            ValueError: it is that of another version of the package.
        """
        lacking = [name for looked in state_dict["history"] for name in EVIDENCE if name not in looked]
        if lacking:
            raise ValueError(
                f"the checkpoint's evidence lacks {lacking[0]!r}: it is of another version of monai-selfcleanse; start "
                "afresh in an empty output_dir"
            )
        self.epochs = list(state_dict["epochs"])
        self.cases = tuple(state_dict["cases"])
        self.history = [{name: values.numpy() for name, values in r.items()} for r in state_dict["history"]]

    def _started(self, engine: Engine) -> None:
        check_shared(self.store.directory)
        self._show_result(engine)
        first = self.rounds[0] if len(self.rounds) > 1 else engine.state.max_epochs
        if first is not None and first < self.warmup_epochs:
            what = "the first round" if len(self.rounds) > 1 else "this run"
            self.logger.warning(
                f"no label will be judged in {what}: it ends after epoch {first}, the filter waits for epoch "
                f"{self.warmup_epochs} (warmup_epochs)"
            )

    def _show_result(self, engine: Engine) -> LabelFilterResult | None:
        result = self.result()
        engine.state.label_filter_result = result  # type: ignore[attr-defined]
        return result

    def _collect(self, evaluator: Engine) -> None:
        batch, output = decollated(evaluator.state.batch), decollated(evaluator.state.output)
        for loaded, data in zip(batch, output, strict=True):
            case = case_of(loaded)
            if case in self._scored:
                raise RuntimeError(f"the label filter's evaluator saw case {case!r} twice: case ids must be unique")
            label = data[self.label_key]
            given = index_map(label, f"case {case!r}, {self.label_key}")
            probabilities = torch.as_tensor(data[self.pred_key]).detach().cpu().float().numpy()
            affine = label.affine.cpu().numpy() if isinstance(label, MetaTensor) else np.eye(4)
            self._scored[case] = score_case(self.judge, self.store, case, given, probabilities, affine)


def summary_line(result: LabelFilterResult) -> str:
    """One line for the log: how many labels were judged and what the filter says of each structure."""
    parts = []
    for name, column, decision in zip(result.names, result.suspected.T, result.decisions, strict=True):
        if decision.verdict == "suspects":
            parts.append(f"{name}: {int(column.sum())} suspected")
        else:
            parts.append(f"{name}: {VERDICTS[decision.verdict]}")
    when = f"round {result.round}, epoch {result.epoch}" if result.round else f"epoch {result.epoch}"
    return f"{when}: judged {result.n_judged} labels of {len(result.cases)} cases; " + "; ".join(parts)
