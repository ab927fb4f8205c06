"""What a resumed training must share with the interrupted one besides its options: the cases, and the network."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ..core.case_id import case_of, images_of, listed
from .options import read_checkpoint

__all__ = ["TrainingFacts"]

_BEGINNING = 1 << 16
"""Bytes of an image that are looked at: its header, and enough of its voxels to tell it from others."""


class TrainingFacts:
    """The cases and the network of a training, which a checkpoint keeps beside the options.

    Of each case it is the content that counts: size and beginning of its images, and the whole of its label (of a noisy
    one, what it was made of). Where the files lie does not matter. No file is read before :meth:`check` finds a
    checkpoint to resume, or one is written.

    Args:
        cases: the dictionaries of all training and validation cases.
        network: the network, as it is before anything wraps it.
        checkpoint: the file that ``resume`` takes up.
        resume: whether the training goes on from there.
    """

    def __init__(
        self, cases: Sequence[Mapping[str, Any]], network: torch.nn.Module, checkpoint: str, resume: bool
    ) -> None:
        self.cases, self.checkpoint, self.resume = cases, checkpoint, resume
        self.network = {
            "kind": type(network).__name__,
            "parameters": _n_parameters(network),
            "layers": _layers(network),
        }

    def check(self) -> None:
        """See that cases and network are those of the checkpoint, if the training goes on from one.

        Raises:
            ValueError: they are not; the message names what differs.
        """
        if self.resume and Path(self.checkpoint).exists():
            self.load_state_dict(read_checkpoint(self.checkpoint, "facts"))

    def state_dict(self) -> dict[str, Any]:
        """The network, and a fingerprint a case."""
        return {"network": dict(self.network), "cases": dict(self._fingerprints)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """See that cases and network are those of the interrupted run.

        Raises:
            ValueError: they are not; the message names what differs.
        """
        then, now = state_dict["cases"], self._fingerprints
        differing = [
            *_count(now.keys() - then.keys(), "new"),
            *_count(then.keys() - now.keys(), "gone"),
            *_count([case for case in now if case in then and now[case] != then[case]], "changed"),
        ]
        if state_dict["network"] != self.network:
            was, now_is = _in_words(state_dict["network"]), _in_words(self.network)
            differing.append(f"network_def (then {was}, now {now_is if now_is != was else 'one with other layers'})")
        if differing:
            raise ValueError(
                f"cannot resume from {self.checkpoint}: it was written with other data or another network: "
                f"{', '.join(differing)}; give the same, or start afresh without --resume"
            )

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {case_of(case): _fingerprint(case) for case in self.cases}


def _n_parameters(network: torch.nn.Module) -> int:
    return sum(value.numel() for value in network.parameters())


def _layers(network: torch.nn.Module) -> str:
    """What tells a network from another of as many parameters: its layers in words, and its entries' shapes.

    Words alone do not: a parameter that is no layer's is not among them. Addresses in memory differ in each process.
    """
    words = re.sub(r" at 0x[0-9a-fA-F]+", "", str(network))
    shapes = [(name, getattr(value, "shape", None)) for name, value in network.state_dict().items()]
    return hashlib.sha256(f"{words}\n{shapes}".encode()).hexdigest()[:16]


def _in_words(network: Mapping[str, Any]) -> str:
    return f"{network['kind']} with {network['parameters']:,} parameters"


def _count(cases: Iterable[str], what: str) -> list[str]:
    """How many cases there are of a kind, and the first ones' names; nothing where there is none."""
    names = sorted(cases)
    if not names:
        return []
    named = listed([repr(name) for name in names])
    return [f"{len(names)} cases {what} ({named})" if len(names) > 1 else f"1 case {what} ({named})"]


def _fingerprint(case: Mapping[str, Any]) -> str:
    """What a case's files hold; of what is loaded already, nothing."""
    found = hashlib.sha256()
    label = case.get("truth", case.get("label"))
    for path, length in [*((path, _BEGINNING) for path in images_of(case)), (label, -1)]:
        if isinstance(path, (str, os.PathLike)):
            with open(path, "rb") as file:
                found.update(f"{os.fstat(file.fileno()).st_size}:".encode())
                found.update(file.read(length))
    return found.hexdigest()[:32]
