"""A later round begins as the training did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler

from monai_selfcleanse.handlers import EpochSeeder, TrainingCheckpoint, TrainingRounds
from monai_selfcleanse.lr_scheduler import RoundsLR


class Parts:
    """A little training with momentum, schedule and averaged weights; its data do not depend on the epoch."""

    def __init__(self, rounds: list[int], path: Path | None = None, resume: bool = False) -> None:
        torch.manual_seed(7)
        self.rounds = rounds
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 0.1)
        self.scheduler = RoundsLR(self.optimizer, [4 * n for n in rounds])
        self.ema = EMAHandler(self.network, 0.2, momentum_warmup=1.0, warmup_iters=6, handle_buffers="update")
        self.engine = Engine(self.step)
        afresh = {"network": self.network, "optimizer": self.optimizer, "ema": self.ema}
        TrainingRounds(rounds, afresh).attach(self.engine)
        if path is not None:
            TrainingCheckpoint(str(path), {**afresh, "schedule": self.scheduler}, resume).attach(self.engine)
        EpochSeeder(5).attach(self.engine)
        self.ema.attach(self.engine, name="ema_momentum")

    def step(self, engine: Engine, batch: int) -> None:
        self.optimizer.zero_grad()
        generator = torch.Generator().manual_seed(batch)
        self.network(torch.randn(8, 3, generator=generator)).square().sum(1).log1p().mean().backward()
        self.optimizer.step()
        self.scheduler.step()

    def run(self) -> dict[str, torch.Tensor]:
        self.engine.run(range(4), max_epochs=sum(self.rounds))
        return self.weights()

    def weights(self) -> dict[str, torch.Tensor]:
        states = {"": self.network.state_dict(), "ema.": self.ema.ema_model.state_dict()}
        return {f"{prefix}{k}": v.clone() for prefix, state in states.items() for k, v in state.items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("rounds", [[2, 3], [1, 3], [2, 2, 3]])
def test_the_last_round_is_a_training_of_its_own(rounds: list[int]) -> None:
    assert equal(Parts(rounds).run(), Parts([3]).run())


def test_without_the_handler_it_would_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingRounds, "__call__", lambda self, engine: None)
    assert not equal(Parts([2, 3]).run(), Parts([3]).run())


@pytest.mark.parametrize("broken_off_at", [3, 7, 8, 9, 15])
def test_a_resumed_training_equals_the_uninterrupted_one(broken_off_at: int, tmp_path: Path) -> None:
    """Round two begins with step 9: also where the training breaks off just before it or in it."""
    expected = Parts([2, 3], tmp_path / "whole.pt").run()
    first = Parts([2, 3], tmp_path / "last.pt")

    @first.engine.on(Events.ITERATION_COMPLETED(once=broken_off_at))
    def kill() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        first.run()
    assert equal(Parts([2, 3], tmp_path / "last.pt", resume=True).run(), expected)


def test_every_round_begins_with_pretrained_weights() -> None:
    parts = Parts([1, 2])
    pretrained = {name: torch.full_like(value, 2) for name, value in parts.network.state_dict().items()}
    began_with: list[dict[str, Any]] = []
    engine = Engine(parts.step)
    engine.add_event_handler(Events.STARTED, lambda: parts.network.load_state_dict(pretrained))
    TrainingRounds([1, 2], {"network": parts.network}).attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda: began_with.append(parts.weights()))
    engine.run(range(4), max_epochs=3)
    assert [equal(pretrained, weights) for weights in began_with] == [True, True, False]


@pytest.mark.parametrize("epochs", [[], [0, 3]])
def test_rounds_have_epochs(epochs: list[int]) -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1 in each of one or more rounds"):
        TrainingRounds(epochs, {})


def test_what_has_no_state_cannot_begin_afresh() -> None:
    with pytest.raises(TypeError, match=r"objects\['loss'\] has no state_dict"):
        TrainingRounds([1, 1], {"loss": torch.nn.functional.mse_loss})
