"""A network and the sizes of what goes through it, tried before anything else happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..bad_input import shortage

__all__ = ["check_mirror_axis", "check_patch", "check_roi"]


def check_patch(network: torch.nn.Module, patch_size: Sequence[int], in_channels: int, spatial_dims: int) -> None:
    """See that a patch goes through a network and comes out in its own size. The network is left as it is.

    Raises:
        ValueError: it does not; the message says what to change.
    """
    if any(n != 1 for n in patch_size[spatial_dims:]):
        raise ValueError(
            f"patch_size {list(patch_size)} is not flat, but network_def has {spatial_dims} dimensions: its last "
            "number must be 1"
        )
    _check_size("patch_size", list(patch_size[:spatial_dims]), network, in_channels, list(patch_size))


def check_mirror_axis(mirror_axis: Any, spatial_dims: int) -> None:
    """See that patches can be mirrored along an axis; None is for no mirroring.

    Raises:
        ValueError: it is no axis of theirs; the message names those.
    """
    if mirror_axis is not None and (type(mirror_axis) is not int or not 0 <= mirror_axis < spatial_dims):
        axes = ", ".join(map(str, range(spatial_dims)))
        raise ValueError(f"mirror_axis must be {axes} or '$None', got {mirror_axis!r}")


def _check_size(
    name: str, size: list[int], network: torch.nn.Module, in_channels: int, given: list[int] | int | None = None
) -> None:
    was_training = network.training
    device = next((value.device for value in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            out = tuple(network.eval()(torch.zeros(1, in_channels, *size, device=device)).shape[2:])
        problem = "" if out == tuple(size) else f"it comes out as {list(out)}"
    except (RuntimeError, ValueError) as error:
        if shortage(error) is not None:
            raise
        problem = " ".join(str(error).split())
    finally:
        network.train(was_training)
    if problem:
        raise ValueError(
            f"{name} {given or size} does not go through network_def with in_channels {in_channels} "
            f"({problem}): give multiples of the product of the network's strides, such as 16 for four strides of 2"
        )


def check_roi(
    inferer: Any, network: torch.nn.Module, in_channels: int, spatial_dims: int, divisible_by: int | None = None
) -> None:
    """See that the windows of a sliding-window inferer go through a network. Another inferer is passed over.

    Args:
        inferer: a side of its windows that is not above 0 stands for the image's own.
        network: left as it is.
        in_channels: of the image.
        spatial_dims: 2 or 3.
        divisible_by: slices are padded to multiples of this, from 1 on. None, or in 3-D: nothing is padded, and what is
            not known is not tried.

    Raises:
        ValueError: they do not; the message says what to change.
    """
    size = getattr(inferer, "roi_size", None)
    sizes = [size] * spatial_dims if isinstance(size, int) else list(size or [])[:spatial_dims]
    if len(sizes) != spatial_dims or not all(isinstance(n, int) for n in sizes):
        return
    if all(n > 0 for n in sizes):
        _check_size("inferer#roi_size", sizes, network, in_channels)
    elif divisible_by is not None and spatial_dims == 2:
        own = [n if n > 0 else 7 * divisible_by for n in sizes]  # 7: a multiple that strides of 2, 3 or 5 do not share
        _check_size("divisible_by", own, network, in_channels, divisible_by)
