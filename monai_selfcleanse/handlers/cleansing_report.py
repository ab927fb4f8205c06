"""Handler that leaves the results behind when training ends, and says in a short table what they are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import numpy as np
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from ..export import write_cleansed_labels
from ..mixture import VERDICTS
from ..report import REPORT_FILES, TruthSummary, compare_with_truth, report_rows, write_report
from ..store import CaseStore
from .label_filter import LabelFilterResult

__all__ = ["CleansingReport"]


class CleansingReport:
    """Write the report and ``cleansed_labels/`` from the filter's last result, and log a closing table.

    The report is ``label_report.csv``, ``slices.csv`` and ``report.html``, see
    :func:`monai_selfcleanse.report.write_report`.

    Those that an earlier run left in the folder are moved to ``earlier/N`` when a training starts afresh.

    Without a result (no filter attached, or no round held) the table has the validation figures alone. In a distributed
    training all ranks validate, and rank 0 does the rest.

    Args:
        data: the training cases' dictionaries, see :mod:`monai_selfcleanse.cases`.
        store: the filter's folder or store.
        output_dir: where all of it goes.
        validator: evaluator whose metrics are shown, and which is run if it has not been after the last epoch; None
            for none.
        model_file: path of the trained weights, to be named in the table; None for none.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        store: CaseStore | str,
        output_dir: str,
        validator: Evaluator | None = None,
        model_file: str | None = None,
    ) -> None:
        self.data = data
        self.store = CaseStore(store) if isinstance(store, str) else store
        self.output_dir = Path(output_dir)
        self.cleansed = self.output_dir / "cleansed_labels"
        self.validator = validator
        self.model_file = model_file
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        if not engine.has_event_handler(self, Events.COMPLETED):
            engine.add_event_handler(Events.STARTED, self._set_aside)
            engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Write the files and log the table."""
        writes = idist.get_rank() == 0
        result: LabelFilterResult | None = getattr(engine.state, "label_filter_result", None)
        rows: list[tuple[str, str]] = []
        files: list[tuple[str, str]] = []
        if result is not None and writes:
            names = dict(zip(result.structures, result.names, strict=True))
            decisions = dict(zip(result.structures, result.decisions, strict=True))
            source = {"epoch": result.epoch} | ({} if self.model_file is None else {"model": self.model_file})
            judgement = result.evidence, result.clean_probability, result.suspected, result.partial_labels
            ranked = report_rows(result.cases, names, *judgement)
            write_report(self.output_dir, ranked, names, decisions, self.data, self.store, source)
            write_cleansed_labels(self.data, ranked, self.store, self.cleansed, source)
            truth = compare_with_truth(
                self.data, self.cleansed, result.cases, result.structures, result.clean_probability, result.suspected
            )
            rows += _filter_rows(result) + ([] if truth is None else _truth_rows(truth))
            table, slices, page = (str(self.output_dir / name) for name in REPORT_FILES)
            files += [("suspects, with pictures", page), ("suspects, ranked", table), ("slices to look at", slices)]
            files += [("cleansed labels", str(self.cleansed))]
        rows += self._validation_rows(engine.state.epoch)
        if self.model_file is not None:
            files.append(("trained weights", self.model_file))
        if writes and (rows or files):
            width = max(len(name) for name, _ in rows + files)
            lines = [f"  {name:<{width}}  {value}" for name, value in rows]
            lines += [""] * bool(lines and files) + [f"  {name:<{width}}  {value}" for name, value in files]
            self.logger.info("\n".join(["training has ended", "", *lines, ""]))

    def _set_aside(self, engine: Engine) -> None:
        """Move an earlier run's results out of the way of one that starts afresh; a user may have worked on them."""
        results = [*(self.output_dir / name for name in REPORT_FILES), self.cleansed]
        earlier = [path for path in results if path.exists()]
        if engine.state.epoch > 0 or not earlier or idist.get_rank() > 0:
            return
        n = 1
        while (aside := self.output_dir / "earlier" / str(n)).exists():
            n += 1
        aside.mkdir(parents=True)
        for path in earlier:
            path.rename(aside / path.name)
        self.logger.info(f"moved the results of an earlier run to {aside}")

    def _validation_rows(self, epoch: int) -> list[tuple[str, str]]:
        if self.validator is None or not self.validator.state.epoch_length:
            return []
        if self.validator.state.epoch != epoch:
            self.validator.run(epoch)
        metrics = self.validator.state.metrics
        return [(f"validation {name.removeprefix('val_')}", f"{float(value):.3f}") for name, value in metrics.items()]


def _filter_rows(result: LabelFilterResult) -> list[tuple[str, str]]:
    n_cases, n_structures = result.suspected.shape
    rows = [
        ("labels judged", f"{result.n_judged} ({n_cases} cases x {n_structures} structures)"),
        ("labels suspected", str(int(result.suspected.sum()))),
    ]
    if result.partial_labels:
        rows.insert(1, ("labels not annotated", str(n_cases * n_structures - result.n_judged)))
    for name, decision, column in zip(result.names, result.decisions, result.suspected.T, strict=True):
        rows.append((f"  {name}", VERDICTS.get(decision.verdict, str(int(column.sum())))))
    return rows


def _truth_rows(truth: TruthSummary) -> list[tuple[str, str]]:
    noisy, clean, suspected = truth.noisy, truth.clean, truth.suspected
    hits = int((suspected & noisy).sum())
    rows = []
    if suspected.any():
        counted = int((suspected & (noisy | clean)).sum())
        rows.append(("  of these truly noisy", f"{hits} of {counted} (precision {hits / max(counted, 1):.2f})"))
    if noisy.any():
        n_noisy = int(noisy.sum())
        rows.append(("truly noisy labels found", f"{hits} of {n_noisy} (recall {hits / n_noisy:.2f})"))
        if np.isfinite(truth.auroc):
            rows.append(("AUROC of clean probability", f"{truth.auroc:.3f}"))
    for name, group in (("all labels", np.ones_like(noisy)), ("noisy labels", noisy), ("clean labels", clean)):
        if group.any():
            before, after = truth.given_dice[group].mean(), truth.cleansed_dice[group].mean()
            rows.append((f"Dice to the truth, {name}", f"given {before:.3f}, cleansed {after:.3f}"))
    return rows
