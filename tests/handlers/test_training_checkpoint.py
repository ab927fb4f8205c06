"""An interrupted training goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from ignite.handlers import EMAHandler
from oracle import draw_one

from monai_selfcleanse.handlers import EpochSeeder, TrainingCheckpoint


class Parts:
    """A little training with all kinds of state: momentum, schedule, averaged weights with a warm-up."""

    def __init__(self, path: Path, resume: bool = False) -> None:
        torch.manual_seed(7)
        self.network = torch.nn.Linear(3, 1)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 0.1)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.9)
        self.ema = EMAHandler(self.network, 0.2, momentum_warmup=1.0, warmup_iters=12)
        self.engine = Engine(self.step)
        checkpoint = TrainingCheckpoint(
            str(path),
            {"network": self.network, "optimizer": self.optimizer, "schedule": self.schedule, "ema": self.ema},
            resume,
        )
        for handler in (checkpoint, EpochSeeder(5), self.ema):
            handler.attach(self.engine)

    def step(self, engine: Engine, batch: Any) -> float:
        self.optimizer.zero_grad()
        loss = self.network(torch.randn(4, 3) + draw_one()).square().mean()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return float(loss.detach())

    def run(self) -> dict[str, torch.Tensor]:
        self.engine.run(range(4), max_epochs=5)
        return {**self.network.state_dict(), **{f"ema.{k}": v for k, v in self.ema.ema_model.state_dict().items()}}


class Scaler:
    """Stands for the gradient scaler that MONAI's trainer has on a GPU."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def state_dict(self) -> dict[str, float]:
        return {"scale": self.scale}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.scale = state_dict["scale"]


@pytest.mark.parametrize(("then", "now", "resumed"), [(8.0, 65536.0, 8.0), (None, 65536.0, 65536.0), (8.0, None, None)])
def test_the_gradient_scaler_goes_on_where_it_was(
    then: float | None, now: float | None, resumed: float | None, tmp_path: Path
) -> None:
    """With a CPU on either side there is none."""
    first, second = Parts(tmp_path / "last.pt"), Parts(tmp_path / "last.pt", resume=True)
    for parts, scale in ((first, then), (second, now)):
        parts.engine.scaler = None if scale is None else Scaler(scale)  # type: ignore[attr-defined]
    first.run()
    second.run()
    assert getattr(second.engine.scaler, "scale", None) == resumed  # type: ignore[attr-defined]


@pytest.mark.parametrize("broken_off_at", [1, 6, 13, 19])
def test_resumed_training_equals_the_uninterrupted_one(broken_off_at: int, tmp_path: Path) -> None:
    expected = Parts(tmp_path / "whole.pt").run()
    first = Parts(tmp_path / "last.pt")

    @first.engine.on(Events.ITERATION_COMPLETED(once=broken_off_at))
    def kill() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        first.run()
    got = Parts(tmp_path / "last.pt", resume=True).run()
    for name, value in expected.items():
        assert torch.equal(got[name], value), name


def test_the_checkpoint_is_written_after_all_other_handlers(tmp_path: Path) -> None:
    class Counter:
        n = 0

        def state_dict(self) -> dict[str, int]:
            return {"n": self.n}

        def load_state_dict(self, state: dict[str, int]) -> None:
            self.n = state["n"]

    counter, engine = Counter(), Engine(lambda e, b: None)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"counter": counter}).attach(engine)

    @engine.on(Events.EPOCH_COMPLETED)
    def count() -> None:
        counter.n += 1

    engine.run([0], max_epochs=3)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state == {"counter": {"n": 3}, "trainer": {"epoch": 3, "iteration": 3}}
    assert [p.name for p in tmp_path.iterdir()] == ["last.pt"]


def test_nothing_to_resume_starts_from_the_beginning(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "none.pt", resume=True)
    parts.run()
    assert parts.engine.state.iteration == 20


def test_a_trainer_that_is_run_on_keeps_the_weights_it_was_given(tmp_path: Path) -> None:
    """As in a federation's next round."""
    parts = Parts(tmp_path / "last.pt", resume=True)
    parts.engine.run(range(4), max_epochs=1)
    given = {name: torch.full_like(value, 0.5) for name, value in parts.network.state_dict().items()}
    parts.network.load_state_dict(given)
    began_with: list[dict[str, torch.Tensor]] = []

    @parts.engine.on(Events.EPOCH_STARTED)
    def look() -> None:
        began_with.append({name: value.clone() for name, value in parts.network.state_dict().items()})

    parts.engine.run(range(4), max_epochs=2)
    assert len(began_with) == 1
    for name, value in given.items():
        assert torch.equal(began_with[0][name], value), name


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    Parts(tmp_path / "last.pt").run()
    engine = Engine(lambda e, b: None)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"other": torch.nn.Linear(1, 1)}, resume=True).attach(engine)
    with pytest.raises(RuntimeError, match=r"this training needs \['other', 'trainer'\]"):
        engine.run([0])


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    engine = Engine(lambda e, b: None)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"network": torch.nn.Linear(2, 2)}).attach(engine)
    engine.run([0])
    other = Engine(lambda e, b: None)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"network": torch.nn.Linear(3, 2)}, resume=True).attach(other)
    with pytest.raises(RuntimeError, match="the state of 'network' does not fit this training"):
        other.run([0], max_epochs=2)


def test_an_object_without_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="objects\\['thing'\\]"):
        TrainingCheckpoint(str(tmp_path / "last.pt"), {"thing": object()})
