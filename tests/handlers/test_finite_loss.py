"""A training whose loss is no number ends, before its weights are lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedTrainer
from monai.engines.utils import IterationEvents

from monai_selfcleanse.handlers import FiniteLoss, LossNotFiniteError, TrainingCheckpoint


def trainer_of(
    images: list[float], network: torch.nn.Module, kind: type[SupervisedTrainer] = SupervisedTrainer
) -> SupervisedTrainer:
    """Two images a step, each a number; of an image of NaN the loss is NaN."""
    data = [{"image": torch.tensor([x]), "label": torch.zeros(1), "case": f"case_{i}"} for i, x in enumerate(images)]
    return kind(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(data, batch_size=2),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), 0.1),
        loss_function=torch.nn.MSELoss(),
    )


def test_epoch_step_and_cases_are_named_and_weights_stay_finite(tmp_path: Path) -> None:
    network = torch.nn.Linear(1, 1)
    trainer = trainer_of([1.0, 2.0, 3.0, float("nan"), 4.0, 5.0], network)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"network": network}).attach(trainer)
    FiniteLoss().attach(trainer)
    with pytest.raises(
        LossNotFiniteError, match=r"since epoch 1, step 2 \(cases case_2, case_3\): lower --learning_rate, or look at"
    ):
        trainer.run()
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    assert not (tmp_path / "last.pt").exists()


def test_a_finite_loss_passes() -> None:
    network = torch.nn.Linear(1, 1)
    trainer = trainer_of([1.0, 2.0, 3.0, 4.0], network)
    FiniteLoss().attach(trainer)
    trainer.run()
    assert trainer.state.epoch == 2


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("images", "ends"),
    [
        ([NAN, 1.0, 2.0, 2.0], False),  # a single step, which the scaler leaves out
        ([1.0, 1.0, NAN, 2.0], True),  # the epoch's last
        ([1.0, 1.0, *[INF] * 20, 1.0, 1.0], True),
        ([1.0, 1.0, *[INF] * 18, 1.0, 1.0], False),
    ],
)
def test_in_mixed_precision_single_steps_are_left_to_the_scaler(images: list[float], ends: bool) -> None:
    class Scaled(SupervisedTrainer):
        """Leaves out steps whose gradients are not finite, as a scaler does on a GPU."""

        def _iteration(self, engine: Any, batch: Any) -> dict:
            self.state.output = {"loss": batch["image"].mean()}
            self.fire_event(IterationEvents.LOSS_COMPLETED)
            return self.state.output

    trainer = trainer_of(images, torch.nn.Linear(1, 1), kind=Scaled)
    scaler = torch.amp.GradScaler("cpu", enabled=True)
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine, "scaler", scaler))
    FiniteLoss().attach(trainer)
    if ends:
        with pytest.raises(LossNotFiniteError, match="since epoch 1, step 2 "):
            trainer.run()
    else:
        trainer.run()
        assert trainer.state.epoch == 2


def test_running_statistics_that_are_lost_end_the_training_though_the_loss_is_finite_again(tmp_path: Path) -> None:
    """A step that the gradient scaler leaves out has changed them all the same."""
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
    trainer = trainer_of([1.0, 2.0, 3.0, 4.0], network)
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"network": network}).attach(trainer)
    FiniteLoss().attach(trainer)
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED(once=3),
        lambda: network[1].running_var.fill_(float("nan")),  # type: ignore[union-attr]
    )
    with pytest.raises(LossNotFiniteError, match=r"since epoch 2 \(the network's running statistics are not\)"):
        trainer.run()
    kept = torch.load(tmp_path / "last.pt", weights_only=True)
    assert kept["trainer"]["epoch"] == 1
    assert torch.isfinite(kept["network"]["1.running_var"]).all()


class Later:
    """An answer as from a GPU: it is not known before the next step but one, or until it is waited for."""

    made = 0

    def __init__(self, flag: torch.Tensor) -> None:
        Later.made += 1
        self._flag, self._number = flag, Later.made

    @property
    def is_known(self) -> bool:
        return Later.made > self._number + 1

    @property
    def value(self) -> bool:
        return bool(self._flag)


@pytest.mark.parametrize("steps_after", [0, 1, 4])
def test_an_answer_that_comes_later_names_the_step_that_it_is_of(
    steps_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monai_selfcleanse.handlers.finite_loss._Answer", Later)
    network = torch.nn.Linear(1, 1)
    trainer = trainer_of([1.0, 2.0, 3.0, NAN, *[4.0, 5.0] * steps_after], network)
    steps: list[int] = []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: steps.append(engine.state.iteration))
    TrainingCheckpoint(str(tmp_path / "last.pt"), {"network": network}).attach(trainer)
    FiniteLoss().attach(trainer)
    with pytest.raises(LossNotFiniteError, match=r"since epoch 1, step 2 \(cases case_2, case_3\)"):
        trainer.run()
    assert len(steps) == min(2 + steps_after, 3)  # it ends as soon as it is known
    assert not (tmp_path / "last.pt").exists()
