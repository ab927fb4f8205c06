"""Handler that leaves the results behind when training ends, and says in a short table what they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import ignite.distributed as idist
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from ..bad_input import exit_on_bad_input
from ..cases.apart import check_apart
from ..cases.store import CaseStore, StoreLike
from ..distributed import on_rank_zero
from ..earlier_results import set_aside
from ..results.write import TableRows, closing_table, write_results
from ..run_folder import RunFolder
from .label_cleanser import LabelCleanserResult
from .label_filter import LabelFilterResult

__all__ = ["CleansingReport"]


class CleansingReport:
    """Write the report and ``cleansed_labels/`` from the filter's last result, and log a closing table.

    The report is ``label_report.csv``, ``slices.csv`` and ``report.html``, see
    :func:`monai_selfcleanse.results.write_report`.

    Those that an earlier run left in the folder are moved to ``earlier/N``, with a copy of its weights, when a training
    starts afresh.

    Without a result (no filter attached, or no look taken) the table has the validation figures alone. In a distributed
    training all ranks validate, and rank 0 does the rest while the others wait.

    Args:
        data: the training cases' dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        store: the filter's folder or store.
        output_dir: where all of it goes.
        validator: evaluator whose metrics are shown, and which is run if it has not been after the last epoch; None
            for none.
        model_file: path of the trained weights, to be named in the table; None for none.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        store: StoreLike,
        output_dir: str,
        validator: Evaluator | None = None,
        model_file: str | None = None,
    ) -> None:
        self.data = data
        self.store = CaseStore.at(store)
        self.folder = RunFolder(output_dir)
        self.validator = validator
        self.model_file = model_file
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.STARTED, self._started)
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the files and log the table."""
        result: LabelFilterResult | None = getattr(engine.state, "label_filter_result", None)
        rows: TableRows = []
        files: TableRows = []
        if result is not None:
            source: dict[str, Any] = {"epoch": result.epoch} | ({"round": result.round} if result.round else {})
            source |= {} if self.model_file is None else {"model": self.model_file}
            if any(self.store.has_drawn(case) for case in result.by_case(result.redrawn)):
                source["redrawn_by"] = "network and redrawing network"
            rows += on_rank_zero(lambda: write_results(self.folder, result, self.data, self.store, source))
            rows += [("rounds of training", str(result.round))] if result.round else []
            done: LabelCleanserResult | None = getattr(engine.state, "label_cleanser_result", None)
            if not result.round and done is not None and done.left_out:
                rows.append(("cases left out in the end", f"{len(done.left_out)} of {len(result.cases)}"))
            files += self.folder.results()
        rows += self._validation_rows(engine.state.epoch)
        if self.model_file is not None:
            files.append(("trained weights", self.model_file))
        if idist.get_rank() == 0 and (rows or files):
            self.logger.info(closing_table("training has ended", rows, files))

    def _started(self, engine: Engine) -> None:
        if engine.state.epoch == 0:
            exit_on_bad_input(lambda: on_rank_zero(self._set_aside))

    def _set_aside(self) -> None:
        """Move an earlier run's results out of the way of one that starts afresh; a user may have worked on them."""
        check_apart(self.folder.replaced(), self.data, remedy="another output_dir")
        weights = () if self.model_file is None else (self.model_file,)
        if (aside := set_aside(self.folder, *weights)) is not None:
            self.logger.info(f"moved the results of an earlier run to {aside}")

    def _validation_rows(self, epoch: int) -> TableRows:
        if self.validator is None or not self.validator.state.epoch_length:
            return []
        if self.validator.state.epoch != epoch:
            self.validator.run(epoch)
        metrics = self.validator.state.metrics
        return [(f"validation {name.removeprefix('val_')}", f"{float(value):.3f}") for name, value in metrics.items()]
