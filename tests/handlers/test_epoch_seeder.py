"""Every epoch draws from the seed and its own number alone."""

from __future__ import annotations

import pytest
from ignite.engine import Engine, Events
from oracle import draw_one

from monai_selfcleanse.handlers import EpochSeeder


def test_epochs_draw_from_seed_and_number_alone() -> None:
    def draws(seed: int, first_epoch: int) -> list[float]:
        seen: list[float] = []
        engine = Engine(lambda e, b: seen.append(draw_one()))
        EpochSeeder(seed).attach(engine)
        engine.add_event_handler(Events.STARTED, lambda e: setattr(e.state, "epoch", first_epoch - 1))
        engine.run([0], max_epochs=4)
        return seen

    whole = draws(1, 1)
    assert len(set(whole)) == 4
    assert draws(1, 3) == whole[2:]
    assert draws(2, 1) != whole


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        EpochSeeder(-1)
