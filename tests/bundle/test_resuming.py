"""A training that was broken off, and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bundles import rows_of, snapshot, train, workflow
from helpers import refused
from ignite.engine import Events
from monai.utils import set_determinism

from monai_selfcleanse.handlers import LabelCleanserResult, SelfCleanseEvents

pytestmark = pytest.mark.slow


class KilledError(Exception):
    """The run is broken off here."""


@pytest.mark.parametrize(
    "moment",
    [
        Events.ITERATION_COMPLETED(once=5),
        SelfCleanseEvents.LABELS_FILTERED(once=2),
        SelfCleanseEvents.LABELS_CLEANSED(once=2),
        Events.COMPLETED,
    ],
    ids=["in an epoch", "between filter and cleanser", "after cleansing", "before the report"],
)
def test_an_interrupted_run_resumes_to_the_same_suspects_and_weights(
    moment: Any, trained: Path, phantom: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    first = workflow(output, phantom, noise_rate=0.5, noise_preset="mixed")
    set_determinism(0)  # as `run` does before it builds the trainer
    trainer = first.parser.get_parsed_content("train#trainer")
    cleansed: list[LabelCleanserResult] = []
    trainer.add_event_handler(
        SelfCleanseEvents.LABELS_CLEANSED, lambda engine: cleansed.append(engine.state.label_cleanser_result)
    )

    def kill() -> None:
        raise KilledError

    trainer.add_event_handler(moment, kill)
    if moment is Events.COMPLETED:  # ahead of the handlers that write
        handlers = trainer._event_handlers[Events.COMPLETED]
        handlers.insert(0, handlers.pop())
    with pytest.raises((KilledError, RuntimeError)):
        first.run()
    assert not (output / "label_report.csv").exists()
    assert cleansed[0].left_out
    assert [bool(done.cases) for done in cleansed[:2]] == [False, True][: len(cleansed)]
    train(output, phantom, noise_rate=0.5, noise_preset="mixed", resume=True)
    assert rows_of(output) == rows_of(trained)
    weights, expected = (torch.load(o / "models" / "model.pt", weights_only=True) for o in (output, trained))
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name
    labels, expected_labels = (snapshot(o / "cleansed_labels") for o in (output, trained))
    for files in (labels, expected_labels):
        assert b'"epoch": 4' in files.pop("provenance.json")  # has a date, too
    assert labels == expected_labels


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"noise_preset": "missing"}, r"other options: noise_preset \(then 'mixed', now 'missing'\)"),
        (
            {"batch_size": 1, "learning_rate": 0.5},
            r"learning_rate \(then 0.005, now 0.5\), batch_size \(then 2, now 1\)",
        ),
        ({"spacing": [1.0, 1.0, -1.0]}, r"spacing \(then \[.*\], now \[1.0, 1.0, -1.0\]\)"),
        ({"structures": {"1": "a", "2": "b", "3": "c"}}, r"structures \(then \{.*\}, now \{'1': 'a', .*\}\)"),
        ({"network_def#channels": [8, 12]}, r"network_def \(then UNet with .* parameters, now UNet with .* parameters"),
        ({"mirror_axis": 1}, r"mirror_axis \(then 0, now 1\)"),
        ({"seed": 1, "epochs": 3}, r"epochs \(then 2, now 3\), .*seed \(then 0, now 1\)"),
    ],
)
def test_resuming_another_run_is_refused_before_anything_is_written(
    overrides: dict[str, Any], match: str, trained: Path, phantom: Path
) -> None:
    before = snapshot(trained)
    with refused(match):
        train(trained, phantom, **({"noise_rate": 0.5, "resume": True} | overrides))
    assert snapshot(trained) == before


def test_a_run_of_two_processes_is_not_resumed_by_one(trained: Path, phantom: Path, tmp_path: Path) -> None:
    state = torch.load(trained / "models" / "checkpoint" / "last.pt", weights_only=True)
    state["options"]["world_size"] = 2
    checkpoint = tmp_path / "out" / "models" / "checkpoint" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    torch.save(state, checkpoint)
    with refused(r"other options: world_size \(then 2, now 1\)"):
        train(tmp_path / "out", phantom, noise_rate=0.5, resume=True)


def test_a_checkpoint_of_a_version_that_did_not_know_an_option_is_named(
    trained: Path, phantom: Path, tmp_path: Path
) -> None:
    state = torch.load(trained / "models" / "checkpoint" / "last.pt", weights_only=True)
    del state["options"]["mirror_axis"]
    checkpoint = tmp_path / "out" / "models" / "checkpoint" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    torch.save(state, checkpoint)
    with refused(r"last\.pt: another version wrote it, which knew no mirror_axis; start afresh without --resume"):
        train(tmp_path / "out", phantom, noise_rate=0.5, resume=True)


def test_a_damaged_checkpoint_is_named(phantom: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "out" / "models" / "checkpoint" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a checkp")
    with refused(r"cannot resume from .*last\.pt: it is no checkpoint .* or damaged"):
        train(tmp_path / "out", phantom, resume=True)
