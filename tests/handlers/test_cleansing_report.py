"""What a training leaves behind, and what it does with what an earlier one has left."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from helpers import files_below, judged_cohort
from ignite.engine import Engine, Events

from monai_selfcleanse.handlers import CleansingReport, LabelFilterResult


def run(folder: Path, *, epochs: int = 1, from_epoch: int = 0, judged: bool = True, **options: Any) -> None:
    """A training that does nothing, whose filter has looked at :func:`judged_cohort`."""
    judgement, data, store = judged_cohort(folder / "data")
    engine = Engine(lambda e, b: None)
    engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", from_epoch))
    CleansingReport(data, store, str(folder / "out"), **options).attach(engine)
    if judged:
        result = LabelFilterResult.of(judgement, epoch=epochs)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: setattr(e.state, "label_filter_result", result))
    engine.run([0], max_epochs=epochs)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


RESULTS = {"report.html", "label_report.csv", "slices.csv", "cleansed_labels", "judged.npz"}


def test_results_are_written_and_named_in_a_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(tmp_path, model_file="models/model.pt")
    assert names(tmp_path / "out") == RESULTS
    (table,) = [record.message for record in caplog.records if record.message.startswith("training has ended")]
    for words in ("labels suspected", str(tmp_path / "out" / "report.html"), "trained weights", "models/model.pt"):
        assert words in table
    assert '"epoch": 1' in (tmp_path / "out" / "cleansed_labels" / "provenance.json").read_text()


def test_a_training_that_starts_afresh_moves_what_an_earlier_one_has_left(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_text("first")
    run(tmp_path)
    (tmp_path / "out" / "label_report.csv").write_text("worked on")
    run(tmp_path, model_file=str(weights))
    aside = tmp_path / "out" / "earlier" / "1"
    assert names(aside) == {*RESULTS, "model.pt"}
    assert (aside / "label_report.csv").read_text() == "worked on"
    assert names(tmp_path / "out") == {*RESULTS, "earlier"}


def test_a_training_that_goes_on_replaces_its_own_results(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, epochs=2, from_epoch=1)
    assert names(tmp_path / "out") == RESULTS
    assert '"epoch": 2' in (tmp_path / "out" / "cleansed_labels" / "provenance.json").read_text()


def test_without_a_look_nothing_is_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        run(tmp_path, judged=False)
    assert not (tmp_path / "out").exists()
    assert "training has ended" not in caplog.text


def test_labels_that_the_results_would_replace_are_refused_and_stay(tmp_path: Path) -> None:
    _, data, store = judged_cohort(tmp_path / "out" / "cleansed_labels")
    before = files_below(tmp_path)
    engine = Engine(lambda e, b: None)
    CleansingReport(data, store, str(tmp_path / "out")).attach(engine)
    with pytest.raises(ValueError, match="would be replaced: give another output_dir"):
        engine.run([0])
    assert files_below(tmp_path) == before
