"""An average of weights begins anew where a trainer is run again."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler

from monai_selfcleanse.handlers import EMARestart


def test_a_run_averages_nothing_from_before_it() -> None:
    network = torch.nn.Linear(1, 1, bias=False)

    def step(engine: Engine, batch: Any) -> None:
        with torch.no_grad():
            network.weight += 1

    engine, ema = Engine(step), EMAHandler(network, 0.5)
    EMARestart(ema).attach(engine)
    ema.attach(engine)
    for start, epochs in ((0.0, 1), (100.0, 2)):
        with torch.no_grad():
            network.weight.fill_(start)  # as a federation's server does
        engine.run([0], max_epochs=epochs)
        torch.testing.assert_close(ema.ema_model.weight, torch.tensor([[start + 0.5]]))


def test_attaching_twice_changes_nothing() -> None:
    network = torch.nn.Linear(1, 1)
    engine, ema = Engine(lambda e, b: None), EMAHandler(network, 0.5)
    restart = EMARestart(ema)
    restart.attach(engine)
    restart.attach(engine)
    engine.run([0], max_epochs=1)
    assert torch.equal(ema.ema_model.weight, network.weight)
