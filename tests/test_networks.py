"""A network that is given further input channels segments as before, until it is trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import AttentionUnet, BasicUNet, DynUNet, SegResNet, UNet, VNet
from torch import nn

from monai_selfcleanse.networks import with_label_channels

NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "UNet": (lambda: UNet(2, 1, 4, (8, 16), (2,), num_res_units=2, norm="BATCH"), 2, 1),
    "UNet without residuals": (lambda: UNet(3, 2, 4, (8, 16), (2,)), 3, 2),
    "SegResNet": (lambda: SegResNet(3, 8, 1, 4), 3, 1),
    "DynUNet": (lambda: DynUNet(2, 1, 4, [3, 3, 3], [1, 2, 2], [2, 2]), 2, 1),
    "BasicUNet": (lambda: BasicUNet(2, 3, 4, (8, 8, 8, 8, 8, 8)), 2, 3),
    "AttentionUnet": (lambda: AttentionUnet(2, 1, 4, (8, 16), (2,)), 2, 1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_wider_network_does_not_heed_the_label_until_it_learns(name: str) -> None:
    make, ndim, channels = NETWORKS[name]
    torch.manual_seed(0)
    network = make().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.randn(2, channels, *[32] * ndim)
    label = torch.randint(0, 2, (2, 3, *[32] * ndim)).float()
    wide = with_label_channels(network, image, 3)
    assert wide.training
    with torch.no_grad():
        expected, found = network.eval()(image), wide.eval()(torch.cat([image, label], 1))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    optimizer = torch.optim.SGD(wide.train().parameters(), 0.1)
    wide(torch.cat([image, label], 1))[:, 1].mean().backward()
    optimizer.step()
    with torch.no_grad():
        wide.eval()
        shown, hidden = wide(torch.cat([image, label], 1)), wide(torch.cat([image, 0 * label], 1))
    assert (shown - hidden).abs().max() > 1e-4
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


class _SeveralTensors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.layer(x), self.layer(x)]


class _AddsItsImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x) + x.sum(1, keepdim=True)


@pytest.mark.parametrize("network", [VNet(2, 1, 4), _SeveralTensors(), _AddsItsImage(), nn.Identity()])
def test_a_network_that_cannot_be_widened_is_named(network: nn.Module) -> None:
    with pytest.raises(ValueError, match=f"{type(network).__name__} cannot be given further input channels"):
        with_label_channels(network, torch.randn(1, 1, 32, 32), 3)


def test_there_is_at_least_one_further_channel() -> None:
    with pytest.raises(ValueError, match="n_channels must be at least 1, got 0"):
        with_label_channels(nn.Conv2d(1, 2, 3), torch.zeros(1, 1, 8, 8), 0)
