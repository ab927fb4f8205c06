"""Handler that keeps suspected labels from teaching, or replaces them by pseudo low-noise labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from ..cleansing import cleanse_label
from ..distributed import blind_ranks, dealt_out, gathered, on_rank_zero
from ..judgement import Judgement
from ..store import CaseStore
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_filter import LabelFilterResult

__all__ = ["LabelCleanser", "LabelCleanserResult"]

CLEAR_GAP = 0.25
"""How much more of a surprise than trusted labels suspects must be to be left out, in Dice."""


@dataclass(frozen=True)
class LabelCleanserResult:
    """What one cleansing did.

    Attributes:
        epoch: the trainer's epoch.
        version: number of the cleansing, from 1.
        cases: ids of the cases with a new target; all others but those left out train on their given label.
        changed_voxels: number of voxels that differ from the given label, one a case in ``cases``.
        left_out: ids of the cases that are not trained on until the next round.
    """

    epoch: int
    version: int
    cases: tuple[str, ...]
    changed_voxels: tuple[int, ...]
    left_out: tuple[str, ...] = ()


class LabelCleanser:
    """After each round of the filter, leave suspected labels out or give them pseudo-labels in their place.

    A network finds wrong labels long before it draws well itself, and what it is taught stays. So until
    ``redraw_epoch`` nothing is redrawn: a case of whose structures a third or more are suspected beyond doubt is not
    trained on. :class:`monai_selfcleanse.data.CaseDataset` gives its place to another; in the pipeline of another data
    set :class:`monai_selfcleanse.transforms.CleansedLabeld` lets it weigh nothing. A case goes as a whole, for a
    structure that is left out alone pulls the borders that it shares with the others. Where that would leave no case to
    train on, none is left out.

    From ``redraw_epoch`` on every suspected label is redrawn. Each cleansing starts from the given labels
    (:func:`monai_selfcleanse.cleansing.cleanse_label`), so that errors do not build up and a label that is no longer
    suspected returns to what was given. The targets are files that :class:`monai_selfcleanse.transforms.CleansedLabeld`
    reads. The result is in ``engine.state.label_cleanser_result`` when ``SelfCleanseEvents.LABELS_CLEANSED`` fires.

    Which is better for the network was measured (``docs/method.md``): to leave out to the end, which
    ``configs/train.json`` does, was never worse than to redraw, and often better. Report and cleansed labels on disk
    hold the redrawn labels either way.

    Attach it to the same trainer as the filter, before whatever saves checkpoints. A training that starts at its first
    epoch starts from the given labels: older targets in the store are put out of force. In a distributed training each
    rank writes a share of the targets, and training goes on when all of them are written and every rank sees them.

    Args:
        store: the filter's folder or store, which also knows how sure a prediction must be to redraw a label
            (``min_confidence``).
        redraw_epoch: first epoch after which suspects are redrawn rather than left out; 0 for all rounds, None for
            none.

    Raises:
        ValueError: ``redraw_epoch`` is negative.
    """

    def __init__(self, store: CaseStore | str, redraw_epoch: int | None = 0) -> None:
        if redraw_epoch is not None and redraw_epoch < 0:
            raise ValueError(f"redraw_epoch must be at least 0, or None, got {redraw_epoch}")
        self.store = CaseStore(store) if isinstance(store, str) else store
        self.redraw_epoch = redraw_epoch
        self.version = 0
        self.cases: tuple[str, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        register_self_cleanse_events(engine)
        if not engine.has_event_handler(self, SelfCleanseEvents.LABELS_FILTERED):
            engine.add_event_handler(SelfCleanseEvents.LABELS_FILTERED, self)
            engine.add_event_handler(Events.STARTED, self._take_up)

    def __call__(self, engine: Engine) -> None:
        """Write and publish the targets of the filter's latest result."""
        result: LabelFilterResult = engine.state.label_filter_result  # type: ignore[attr-defined]
        redraws = self.redraw_epoch is not None and result.epoch >= self.redraw_epoch
        suspects = result.suspects if redraws else {}
        self.version += 1
        self.cases, self.left_out = tuple(suspects), () if redraws else left_out(result)
        on_rank_zero(lambda: self.store.write_left_out(self.version, self.left_out))
        changed = {}
        for case in self.cases[idist.get_rank() :: idist.get_world_size()]:
            seen = self.store.read_seen(case)
            target, weight = cleanse_label(
                seen.given, seen.predicted, seen.confidence, suspects[case], seen.min_confidence
            )
            self.store.write_target(self.version, case, target, weight)
            changed[case] = int(np.count_nonzero(target != seen.given))
        changed = dealt_out(gathered(changed))
        self._publish()
        voxels = tuple(changed[case] for case in self.cases)
        done = LabelCleanserResult(result.epoch, self.version, self.cases, voxels, self.left_out)
        engine.state.label_cleanser_result = done  # type: ignore[attr-defined]
        what = f"{len(self.cases)} of {len(result.cases)} cases train on cleansed labels"
        if not redraws:
            what = f"{len(self.left_out)} of {len(result.cases)} cases are left out"
        self.logger.info(f"epoch {result.epoch}: {what}")
        engine.fire_event(SelfCleanseEvents.LABELS_CLEANSED)

    def state_dict(self) -> dict[str, Any]:
        """Number of the cleansing in force, the cases with a target, and those left out."""
        return {"version": self.version, "cases": list(self.cases), "left_out": list(self.left_out)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put the cleansing of an interrupted run's checkpoint into force again."""
        self.version, self.cases = int(state_dict["version"]), tuple(state_dict["cases"])
        self.left_out = tuple(state_dict["left_out"])

    def _take_up(self, engine: Engine) -> None:
        if engine.state.epoch == 0:
            self.version, self.cases, self.left_out = 0, (), ()
        lost = [case for case in self.cases if not self.store.has_target(self.version, case)]
        lost += sorted(set(self.left_out) - self.store.read_left_out(self.version))
        if lost:
            raise RuntimeError(
                f"cannot resume: {len(lost)} targets of cleansing {self.version} are not in {self.store.directory} "
                f"({lost[0]!r}, ...): resume with the output_dir of the interrupted run, or start afresh"
            )
        self._publish()

    def _publish(self) -> None:
        """Put the targets into force, for all ranks in the same step."""
        on_rank_zero(lambda: self.store.publish(self.version))
        blind = blind_ranks(
            lambda: (
                self.store.version == self.version
                and self.store.read_left_out(self.version) == frozenset(self.left_out)
                and all(self.store.has_target(self.version, case) for case in self.cases)
            )
        )
        if blind:
            raise RuntimeError(
                f"rank {blind} does not see cleansing {self.version} in {self.store.directory}: the file system that "
                "all processes share keeps showing an earlier one"
            )


def left_out(judgement: Judgement) -> tuple[str, ...]:
    """Cases of whose judged structures a third or more are suspected beyond doubt; none where these are all cases.

    What is left out stays hard for the network, and so suspected: on right labels the hard cases that the filter's gate
    let pass would grow to many. So it takes more than the filter's suspicion: the structure's two groups must be
    further apart (``FilterDecision.gap``), and the label itself must fall short of what the network expects by that
    much more than trusted labels do (both :data:`CLEAR_GAP`). Where the network is in doubt itself, it does not.
    """
    surprise = judgement.evidence["expected_dice"] - judgement.evidence["dice"]
    judged = ~np.isnan(judgement.evidence["score"])
    trusted = judged & ~judgement.suspected
    usual = np.where(trusted, surprise, 0.0).sum(0) / np.maximum(trusted.sum(0), 1)
    clear = np.array([decision.gap >= CLEAR_GAP for decision in judgement.decisions], dtype=bool)
    beyond_doubt = judgement.suspected & clear & (surprise - usual >= CLEAR_GAP)
    bad = beyond_doubt.any(1) & (beyond_doubt.sum(1) * 3 >= judged.sum(1))
    return () if bad.all() else tuple(case for case, out in zip(judgement.cases, bad, strict=True) if out)
