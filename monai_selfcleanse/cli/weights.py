"""A network's weights from a file, looked at before anything else happens."""

from __future__ import annotations

import os

import torch

__all__ = ["check_weights", "load_weights"]


def check_weights(path: str | os.PathLike, network: torch.nn.Module) -> None:
    """See that a file holds the flat state dict of a network, and nothing else. The network is left as it is.

    Raises:
        ValueError: the file is missing, cannot be read as tensors, or holds other entries or shapes; the message says
            which.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch says of a file that is none of ours
        raise ValueError(
            f"ckpt_path {str(path)!r} cannot be read as a state dict of tensors ({type(error).__name__}); give another "
            "one with --ckpt_path"
        ) from error
    shapes = {k: getattr(v, "shape", None) for k, v in found.items()} if isinstance(found, dict) else {}
    expected = {k: v.shape for k, v in network.state_dict().items()}
    amiss = sorted(str(k) for k in {**expected, **shapes} if k not in expected or shapes.get(k) != expected[k])
    if amiss:
        raise ValueError(
            f"ckpt_path {str(path)!r} does not fit network_def: {len(amiss)} entries are missing, unknown or of "
            f"another shape, such as {', '.join(amiss[:3])}; it must be the flat state dict of that network"
        )


def load_weights(path: str | os.PathLike, network: torch.nn.Module) -> None:
    """Give a network the weights of a file, all of them or none.

    Raises:
        ValueError: see :func:`check_weights`.
    """
    check_weights(path, network)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
