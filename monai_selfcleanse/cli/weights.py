"""A network's weights in a file, looked at before anything else happens."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from ..cases.image_file import LFS_POINTER

__all__ = ["check_weights", "load_weights"]

_OTHERS = "give others with --ckpt_path (of selfcleanse audit: --weights)"


def check_weights(path: str | os.PathLike, network: torch.nn.Module) -> None:
    """See that a file holds the flat state dict of a network, and nothing else. The network is left as it is.

    Raises:
        ValueError: the file is missing, cannot be read as tensors, or holds other entries or shapes, NaN or infinity;
            the message says which.
    """
    _read(path, network)


def load_weights(path: str | os.PathLike, network: torch.nn.Module) -> None:
    """Give a network the weights of a file, all of them or none.

    Raises:
        ValueError: see :func:`check_weights`.
    """
    network.load_state_dict(_read(path, network))


def _read(path: str | os.PathLike, network: torch.nn.Module) -> Mapping[str, torch.Tensor]:
    """The weights of a network in a file, on the CPU."""
    if not os.path.exists(path):
        raise ValueError(f"ckpt_path {str(path)!r}: there is no such file; {_OTHERS}")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch says of a file that is none of ours
        if _is_pointer(path):
            what = "is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`, or"
        else:
            what = f"cannot be read as a state dict of tensors ({type(error).__name__});"
        raise ValueError(f"ckpt_path {str(path)!r} {what} {_OTHERS}") from error
    shapes = {k: getattr(v, "shape", None) for k, v in found.items()} if isinstance(found, dict) else {}
    expected = {k: v.shape for k, v in network.state_dict().items()}
    amiss = sorted(str(k) for k in {**expected, **shapes} if k not in expected or shapes.get(k) != expected[k])
    if amiss:
        raise ValueError(
            f"ckpt_path {str(path)!r} does not fit network_def: {len(amiss)} entries are missing, unknown or of "
            f"another shape, such as {', '.join(amiss[:3])}; it must be the flat state dict of that network"
        )
    broken = sorted(name for name, value in found.items() if not torch.isfinite(value).all())
    if broken:
        raise ValueError(
            f"ckpt_path {str(path)!r} holds NaN or infinity in {len(broken)} entries, such as {', '.join(broken[:3])}: "
            f"the training has failed; {_OTHERS}"
        )
    return found


def _is_pointer(path: str | os.PathLike) -> bool:
    """Whether Git has put a pointer in the file's place."""
    try:
        with open(path, "rb") as file:
            return file.read(len(LFS_POINTER)) == LFS_POINTER
    except OSError:
        return False
