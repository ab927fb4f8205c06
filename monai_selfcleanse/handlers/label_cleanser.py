"""Handler that keeps suspected labels from teaching, or gives their cases targets that are redrawn."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events

from ..cases.store import CaseStore, StoreLike
from ..core.leaving_out import LEAVE_OUT_SEPARATION, cases_to_leave_out
from ..distributed import gathered, lagging_ranks, merge_shares, on_rank_zero
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_filter import LabelFilterResult
from .state import CannotResumeError

__all__ = ["LabelCleanser", "LabelCleanserResult"]


@dataclass(frozen=True)
class LabelCleanserResult:
    """What one cleansing did.

    Attributes:
        epoch: the trainer's epoch.
        version: number of the cleansing, from 1.
        cases: ids of the cases with a new target; all others but those left out train on their given label.
        changed_voxels: number of voxels that differ from the given label, one a case in ``cases``.
        left_out: ids of the cases that are not trained on until the next look.
    """

    epoch: int
    version: int
    cases: tuple[str, ...]
    changed_voxels: tuple[int, ...]
    left_out: tuple[str, ...] = ()


class LabelCleanser:
    """After each look of the filter, leave cases with suspected labels out, or train on them redrawn.

    A network finds wrong labels long before it draws well itself, and what it is taught stays. So until
    ``redraw_epoch`` nothing is redrawn: a case of whose structures a third or more are suspected beyond doubt is not
    trained on (:func:`monai_selfcleanse.core.leaving_out.cases_to_leave_out`). It goes as a whole, for a structure that
    is left out alone pulls the borders that it shares with the others. A case with a smaller share of suspects is
    trained on as it was given. :class:`monai_selfcleanse.data.CaseDataset` gives a case's place to another; in the
    pipeline of another data set :class:`monai_selfcleanse.transforms.CleansedLabeld` lets it weigh nothing.

    From ``redraw_epoch`` on suspects beyond doubt are redrawn where the network draws well enough
    (:attr:`monai_selfcleanse.core.judgement.Judgement.redrawn`), and cases are left out for the others alone. Each
    cleansing starts from the given labels (:func:`monai_selfcleanse.core.cleansing.cleanse_label`), so that errors do
    not build up and a label that is no longer suspected returns to what was given. The targets are files that
    :class:`monai_selfcleanse.transforms.CleansedLabeld` reads. The result is in ``engine.state.label_cleanser_result``
    when ``SelfCleanseEvents.LABELS_CLEANSED`` fires.

    Report and cleansed labels on disk hold the redrawn labels either way. The bundle redraws from the end of its first
    round on (:class:`TrainingRounds`); without ``redraw_epoch`` suspects are left out to the end.

    Attach it to the same trainer as the filter, before whatever saves checkpoints. A training that starts at its first
    epoch starts from the given labels: older targets in the store are put out of force. In a distributed training each
    rank writes a share of the targets, and training goes on when all of them are written and every rank sees them.

    Args:
        store: the filter's folder or store, which also knows how sure a prediction must be to redraw a label
            (``min_confidence``).
        redraw_epoch: from the first look at or after this epoch on, suspects beyond doubt are redrawn rather than left
            out where the network draws well enough; 0 for all looks, None for none.
        leave_out_separation: how far apart a structure's two groups must be, in Dice, for its suspects' cases to be
            left out; half of it is enough where they are clear-cut.

    Raises:
        ValueError: ``redraw_epoch`` is negative, or ``leave_out_separation`` is no number.
    """

    def __init__(
        self, store: StoreLike, redraw_epoch: int | None = None, leave_out_separation: float = LEAVE_OUT_SEPARATION
    ) -> None:
        if redraw_epoch is not None and redraw_epoch < 0:
            raise ValueError(f"redraw_epoch must be at least 0, or None, got {redraw_epoch}")
        if not isinstance(leave_out_separation, (int, float)) or math.isnan(leave_out_separation):
            raise ValueError(f"leave_out_separation must be a number, in Dice, got {leave_out_separation!r}")
        self.store = CaseStore.at(store)
        self.redraw_epoch, self.leave_out_separation = redraw_epoch, leave_out_separation
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
        trained_redrawn = result.redrawn & redraws
        self.version += 1
        self.left_out = cases_to_leave_out(result, self.leave_out_separation, trained_redrawn)
        stays = ~np.isin(result.cases, self.left_out)
        redrawn = result.by_case(trained_redrawn & stays[:, None])
        self.cases = tuple(redrawn)
        on_rank_zero(lambda: self.store.write_left_out(self.version, self.left_out))
        changed = {}
        for case in self.cases[idist.get_rank() :: idist.get_world_size()]:
            seen = self.store.read_seen(case, result.one_piece, result.size_bias)
            target, weight = seen.cleansed(redrawn[case])
            self.store.write_target(self.version, case, target, weight)
            changed[case] = int(np.count_nonzero(target != seen.given))
        changed = merge_shares(gathered(changed))
        self._publish()
        voxels = tuple(changed[case] for case in self.cases)
        done = LabelCleanserResult(result.epoch, self.version, self.cases, voxels, self.left_out)
        engine.state.label_cleanser_result = done  # type: ignore[attr-defined]
        parts = [f"{len(self.left_out)} of {len(result.cases)} cases are left out"]
        if redraws:
            parts.insert(0, f"{len(self.cases)} of {len(result.cases)} cases train on cleansed labels")
        if as_given := int((result.suspected & ~trained_redrawn)[stays].sum()):
            parts.append(f"{as_given} suspected labels are trained on as they are")
        # The last look's targets are for a training that is run on, as in a federation.
        level = logging.DEBUG if result.epoch == engine.state.max_epochs else logging.INFO
        self.logger.log(level, f"epoch {result.epoch}: {'; '.join(parts)}")
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
        lost += sorted(set(self.left_out) ^ self.store.read_left_out(self.version))
        if lost:
            raise CannotResumeError(
                f"cannot resume: {self.store.directory} does not hold cleansing {self.version} of the checkpoint "
                f"({lost[0]!r} and {len(lost) - 1} other cases differ): resume with the output_dir of the interrupted "
                "run, or start afresh"
            )
        self._publish()

    def _publish(self) -> None:
        """Put the targets into force, for all ranks in the same step."""
        on_rank_zero(lambda: self.store.publish(self.version))
        lagging = lagging_ranks(
            lambda: (
                self.store.version == self.version
                and self.store.read_left_out(self.version) == frozenset(self.left_out)
                and all(self.store.has_target(self.version, case) for case in self.cases)
            )
        )
        if lagging:
            raise RuntimeError(
                f"rank {lagging} does not see cleansing {self.version} in {self.store.directory}: the file system that "
                "all processes share keeps showing an earlier one"
            )
