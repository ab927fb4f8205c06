"""A look and a training step on a GPU, in mixed precision; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from oracle import make_cases, make_trainer, spoil

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.handlers import FiniteLoss, LabelCleanser, LabelFilter, TrainingCheckpoint, WeightsSaver
from monai_selfcleanse.losses import WeightedDiceCELoss

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def test_a_look_and_a_step_in_mixed_precision_find_what_a_cpu_finds(tmp_path: Path) -> None:
    found, stepped = {}, {}
    for name in ("cpu", "cuda"):
        cases, store = make_cases(16, 3), CaseStore(tmp_path / name)
        spoil(cases[4], structure=2)
        trainer, look = make_trainer(cases, store, 1, [], lr=1e-3, device=name, amp=name == "cuda")
        before = float(trainer.network.sharpness.detach())
        losses: list[float] = []
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine, out=losses: out.append(engine.state.output["loss"].item())
        )
        LabelFilter(look, store, [1, 2], warmup_epochs=1).attach(trainer)
        LabelCleanser(store, redraw_epoch=0).attach(trainer)
        TrainingCheckpoint(str(tmp_path / name / "last.pt"), {"network": trainer.network}).attach(trainer)
        WeightsSaver(str(tmp_path / name / "model.pt"), trainer.network).attach(trainer)
        trainer.run()
        found[name] = trainer.state.label_filter_result
        stepped[name] = float(trainer.network.sharpness.detach()) - before
        assert np.isfinite(losses).all()
        assert trainer.state.label_cleanser_result.cases == ("case04",)
        weights = torch.load(tmp_path / name / "model.pt", weights_only=True)
        assert all(value.device.type == "cpu" for value in weights.values())
    np.testing.assert_array_equal(found["cuda"].suspected, found["cpu"].suspected)
    np.testing.assert_allclose(found["cuda"].clean_probability, found["cpu"].clean_probability, atol=0.05)
    assert stepped["cuda"] != 0
    assert np.sign(stepped["cuda"]) == np.sign(stepped["cpu"])


def test_a_step_never_waits_for_the_gpu(tmp_path: Path) -> None:
    """Steps without a gradient scaler, which waits by itself; ``set_sync_debug_mode`` makes an error of each wait."""
    cases, device = make_cases(8, 3), torch.device("cuda")
    trainer, _ = make_trainer(cases, CaseStore(tmp_path), 2, [], lr=1e-3, device="cuda")
    trainer.non_blocking = True
    trainer.loss_function = WeightedDiceCELoss(partial_labels=False)
    FiniteLoss().attach(trainer)
    steps: list[int] = []

    def watch(engine: Any) -> None:
        steps.append(engine.state.iteration)
        torch.cuda.set_sync_debug_mode("error")

    # Copies wait unless they come from pinned memory, as the bundle's data loader has it.
    trainer.data_loader = DataLoader(trainer.data_loader.dataset, batch_size=2, pin_memory=True)
    trainer.state.dataloader = trainer.data_loader
    trainer.add_event_handler(Events.ITERATION_STARTED, watch)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: torch.cuda.set_sync_debug_mode("default"))
    try:
        trainer.run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(steps) == 8
    assert next(trainer.network.parameters()).device.type == device.type
