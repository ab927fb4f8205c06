"""Weights are written as a whole, at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from monai_selfcleanse.handlers import WeightsSaver


def test_weights_are_written_only_when_training_completes(tmp_path: Path) -> None:
    network, path = torch.nn.Linear(2, 1), tmp_path / "models" / "model.pt"

    def fail(engine: Engine, batch: Any) -> None:
        raise ArithmeticError

    engine = Engine(fail)
    WeightsSaver(str(path), network).attach(engine)
    with pytest.raises(ArithmeticError):
        engine.run([0])
    assert not path.exists()
    engine = Engine(lambda e, b: None)
    WeightsSaver(str(path), network).attach(engine)
    engine.run([0])
    weights = torch.load(path, weights_only=True)
    assert torch.equal(weights["weight"], network.weight)
