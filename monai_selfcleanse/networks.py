"""A network that sees the given label beside the image: the label's structures are further input channels."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

__all__ = ["with_label_channels"]

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def with_label_channels(network: nn.Module, image: torch.Tensor, n_channels: int) -> nn.Module:
    """Copy of a network that takes further channels behind the image's, and does not heed them yet.

    The convolutions that take the image itself get further input channels, whose weights are 0. So the copy segments as
    the network does, whatever the further channels hold, until it is trained.

    Args:
        network: takes ``(B, C, *spatial)`` and returns one tensor. It is not changed.
        image: a batch that the network takes, on its device; its values do not matter.
        n_channels: number of further channels, at least 1.

    Returns:
        A network of the same kind that takes ``(B, C + n_channels, *spatial)``.

    Raises:
        ValueError: ``n_channels`` is below 1. Or the network cannot be widened: no convolution takes the image itself,
            or something else does, too; or it returns several tensors.
    """
    if n_channels < 1:
        raise ValueError(f"n_channels must be at least 1, got {n_channels}")
    wide = deepcopy(network).eval()
    more = torch.ones_like(image[:, :1]).expand(-1, n_channels, *image.shape[2:])
    with torch.no_grad():
        as_it_was = wide(image)
        try:
            for module in _convolutions_of(wide, image):
                new = module.weight.new_zeros((len(module.weight), n_channels, *module.weight.shape[2:]))
                module.weight = nn.Parameter(torch.cat([module.weight, new], 1))
                module.in_channels += n_channels
            difference = (wide(torch.cat([image, more], 1)) - as_it_was).abs().max()
            same = bool(difference <= 1e-2 * as_it_was.abs().max())
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # networks raise much where a shape is not what they know
            raise ValueError(f"{type(network).__name__} cannot be given further input channels") from error
    if not same:
        raise ValueError(f"{type(network).__name__} cannot be given further input channels")
    return wide.train(network.training)


def _convolutions_of(network: nn.Module, image: torch.Tensor) -> list[Any]:
    """The convolutions of one group that are given the network's own input."""
    found: dict[int, nn.Module] = {}

    def seen(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if inputs and inputs[0] is image and module.groups == 1:
            found[id(module)] = module

    handles = [m.register_forward_pre_hook(seen) for m in network.modules() if isinstance(m, _CONVOLUTIONS)]
    network(image)
    for handle in handles:
        handle.remove()
    return list(found.values())
