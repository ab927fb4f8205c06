"""Handler that shows the label filter's looks in TensorBoard."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Engine, Events
from monai.data import Dataset

from ..cases.store import CaseStore, StoreLike
from ..cases.view import ScreenTurn
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..results.tensorboard import draw_outlines
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_filter import LabelFilterResult

__all__ = ["CleansingBoard"]

_LEGEND = "orange: given, blue: cleansed (the prediction, where the suspect stays)"


class CleansingBoard:
    """After each look of the filter, show how clean the labels look, and the worst suspects as pictures.

    TensorBoard gets, by epoch: a histogram ``clean_probability/STRUCTURE`` and a number ``suspected/STRUCTURE`` a
    structure, and under ``suspects`` a picture of the worst ones side by side, turned as in the report, each in the
    slice where given and cleansed label differ most, with a text that names them in the same order. Cleansed labels are
    those that the report writes. Of a suspect that is not redrawn the prediction is shown instead, and the text says
    so.

    Attach it last: what all handlers have written by the end of an epoch or of training then reaches the disk.

    Args:
        summary_writer: see :func:`monai_selfcleanse.results.tensorboard.summary_writer`; MONAI's TensorBoard handlers
            can share it.
        cases: data set of whole cases with their ``image``, as :attr:`monai_selfcleanse.data.CaseDataset.cases`.
        store: the filter's folder or store.
        n_pictures: number of suspects to show, at least 1.
    """

    def __init__(self, summary_writer: Any, cases: Dataset, store: StoreLike, n_pictures: int = 4) -> None:
        if n_pictures < 1:
            raise ValueError(f"n_pictures must be at least 1, got {n_pictures}")
        self.writer = summary_writer
        self.cases = cases
        self.store = CaseStore.at(store)
        self.n_pictures = n_pictures

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        register_self_cleanse_events(engine)
        if not engine.has_event_handler(self, SelfCleanseEvents.LABELS_FILTERED):
            engine.add_event_handler(SelfCleanseEvents.LABELS_FILTERED, self)
            engine.add_event_handler(Events.EPOCH_COMPLETED | Events.COMPLETED, self.writer.flush)

    def __call__(self, engine: Engine) -> None:
        """Show the filter's latest result."""
        result: LabelFilterResult = engine.state.label_filter_result  # type: ignore[attr-defined]
        bins = np.linspace(0, 1, 21)
        for name, clean, suspected in zip(result.names, result.clean_probability.T, result.suspected.T, strict=True):
            self.writer.add_histogram(f"clean_probability/{name}", clean, result.epoch, bins=bins)
            self.writer.add_scalar(f"suspected/{name}", int(suspected.sum()), result.epoch)
        worst = result.suspects()[: self.n_pictures]
        if worst:
            index = {case_of(item): i for i, item in enumerate(self.cases.data)}
            redrawn = result.by_case(result.redrawn)
            structure = {number: k for k, number in result.numbers.items()}
            pictures = [
                self._picture(index[row["case"]], structure[row["structure"]], redrawn.get(row["case"], []), result)
                for row in worst
            ]
            self.writer.add_image("suspects", _side_by_side(pictures), result.epoch, dataformats="HWC")
            lines = [
                f"{i}. {row['case']}, {row['structure_name']}: {row['reason']} ({row['clean_probability']:.2g})"
                + ("" if row["redrawn"] else ", not redrawn")
                for i, row in enumerate(worst, 1)
            ]
            self.writer.add_text("suspects", f"{_LEGEND}\n\n" + "\n".join(lines), result.epoch)

    def _picture(self, index: int, structure: int, redrawn: list[int], result: Judgement) -> np.ndarray:
        data = self.cases[index]
        seen = self.store.read_seen(case_of(data), result.one_piece, result.size_bias)
        drawn = seen.cleansed(redrawn)[0] if structure in redrawn else seen.predicted
        image = np.asarray(data["image"])[0]
        masks = seen.given == structure, drawn == structure
        if image.ndim == 3:
            differing = (masks[0] != masks[1]).sum((0, 1))
            shown = int(np.argmax(differing if differing.any() else (masks[0] | masks[1]).sum((0, 1))))
            image, masks = image[..., shown], (masks[0][..., shown], masks[1][..., shown])
        turn = ScreenTurn(seen.affine)
        return draw_outlines(turn(image), turn(masks[0]), turn(masks[1]))


def _side_by_side(pictures: list[np.ndarray]) -> np.ndarray:
    """One picture ``(H, W, 3)`` of several, the lower ones filled up with black."""
    height = max(len(picture) for picture in pictures)
    return np.concatenate([np.pad(p, ((0, height - len(p)), (0, 0), (0, 0))) for p in pictures], axis=1)
