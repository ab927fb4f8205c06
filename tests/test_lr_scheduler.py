"""Learning rate over rounds."""

from __future__ import annotations

import pytest
import torch

from monai_selfcleanse.lr_scheduler import RoundsLR


def rates(steps: list[int], n: int, **options: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2.0)
    scheduler = RoundsLR(optimizer, steps, **options)
    found = []
    for _ in range(n):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_one_round_equals_torchs_own_schedules_one_after_the_other() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2.0)
    parts = [
        torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.04, total_iters=5),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
    ]
    scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, parts, milestones=[30])
    expected = []
    for _ in range(50):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates([50], 50) == pytest.approx(expected, abs=1e-12)


def test_each_round_begins_anew_and_the_end_stays_the_end() -> None:
    assert rates([20, 50], 70) == pytest.approx(rates([20], 20) + rates([50], 50))
    assert rates([5], 8)[5:] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("steps", [[1], [1, 1], [2, 3]])
def test_the_shortest_rounds_have_rates_within_bounds(steps: list[int]) -> None:
    found = rates(steps, sum(steps))
    assert found[0] > 0
    assert all(0 <= rate <= 2.0 for rate in found)


def test_a_resumed_schedule_goes_on() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2.0)
    first, second = RoundsLR(optimizer, [4, 8]), None
    for _ in range(7):
        optimizer.step()
        first.step()
    state = {"optimizer": optimizer.state_dict(), "scheduler": first.state_dict()}
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 2.0)
    second = RoundsLR(optimizer, [4, 8])
    optimizer.load_state_dict(state["optimizer"])
    second.load_state_dict(state["scheduler"])
    found = []
    for _ in range(5):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        second.step()
    assert found == pytest.approx(rates([4, 8], 12)[7:])
