"""Handler that replaces suspected labels by pseudo low-noise labels."""

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
from ..store import CaseStore
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_filter import LabelFilterResult

__all__ = ["LabelCleanser", "LabelCleanserResult"]


@dataclass(frozen=True)
class LabelCleanserResult:
    """What one cleansing did.

    Attributes:
        epoch: the trainer's epoch.
        version: number of the cleansing, from 1.
        cases: ids of the cases with a new target; all others train on their given label.
        changed_voxels: number of voxels that differ from the given label, one a case in ``cases``.
    """

    epoch: int
    version: int
    cases: tuple[str, ...]
    changed_voxels: tuple[int, ...]


class LabelCleanser:
    """After each round of the filter, give every suspected label a pseudo-label in its place.

    Each cleansing starts from the given labels (:func:`monai_selfcleanse.cleansing.cleanse_label`), so that errors do
    not build up and a label that is no longer suspected returns to what was given. The targets are files that
    :class:`monai_selfcleanse.transforms.CleansedLabeld` reads. The result is in ``engine.state.label_cleanser_result``
    when ``SelfCleanseEvents.LABELS_CLEANSED`` fires.

    Attach it to the same trainer as the filter, before whatever saves checkpoints. A training that starts at its first
    epoch starts from the given labels: older targets in the store are put out of force. In a distributed training each
    rank writes a share of the targets, and training goes on when all of them are written and every rank sees them.

    Args:
        store: the filter's folder or store, which also knows how sure a prediction must be to redraw a label
            (``min_confidence``).
    """

    def __init__(self, store: CaseStore | str) -> None:
        self.store = CaseStore(store) if isinstance(store, str) else store
        self.version = 0
        self.cases: tuple[str, ...] = ()
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
        suspects = result.suspects
        self.version += 1
        self.cases = tuple(suspects)
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
        done = LabelCleanserResult(result.epoch, self.version, self.cases, tuple(changed[case] for case in self.cases))
        engine.state.label_cleanser_result = done  # type: ignore[attr-defined]
        self.logger.info(
            f"epoch {result.epoch}: {len(self.cases)} of {len(result.cases)} cases train on cleansed labels"
        )
        engine.fire_event(SelfCleanseEvents.LABELS_CLEANSED)

    def state_dict(self) -> dict[str, Any]:
        """Number of the cleansing in force, and the cases with a target."""
        return {"version": self.version, "cases": list(self.cases)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put the cleansing of an interrupted run's checkpoint into force again."""
        self.version, self.cases = int(state_dict["version"]), tuple(state_dict["cases"])

    def _take_up(self, engine: Engine) -> None:
        if engine.state.epoch == 0:
            self.version, self.cases = 0, ()
        lost = [case for case in self.cases if not self.store.has_target(self.version, case)]
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
                and all(self.store.has_target(self.version, case) for case in self.cases)
            )
        )
        if blind:
            raise RuntimeError(
                f"rank {blind} does not see cleansing {self.version} in {self.store.directory}: the file system that "
                "all processes share keeps showing an earlier one"
            )
