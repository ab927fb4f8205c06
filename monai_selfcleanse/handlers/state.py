"""State of what a training consists of, Ignite's ``EMAHandler`` included, which has no ``state_dict`` of its own."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import torch
from ignite.handlers import EMAHandler

from ..files import atomic_path

__all__ = ["CannotResumeError", "check_states", "load_state", "state_of", "write_state"]


class CannotResumeError(RuntimeError):
    """What an interrupted training has left does not fit the one that is to take it up."""


def check_states(objects: Mapping[str, Any]) -> None:
    """See that all objects have a state.

    Raises:
        TypeError: one has none; the message names it.
    """
    for name, value in objects.items():
        if isinstance(value, EMAHandler):
            continue
        if not hasattr(value, "state_dict") or not hasattr(value, "load_state_dict"):
            raise TypeError(f"objects[{name!r}] has no state_dict and load_state_dict: {type(value).__name__}")


def state_of(value: Any) -> Any:
    """An object's state; of an ``EMAHandler`` its model's, and how far its momentum's warm-up has come."""
    if not isinstance(value, EMAHandler):
        return value.state_dict()
    scheduler = getattr(value, "momentum_scheduler", None)
    return {"model": value.ema_model.state_dict(), "event_index": None if scheduler is None else scheduler.event_index}


def load_state(value: Any, state: Any) -> None:
    """Put an object into the state that :func:`state_of` has told."""
    if not isinstance(value, EMAHandler):
        value.load_state_dict(state)
        return
    value.ema_model.load_state_dict(state["model"])
    scheduler = getattr(value, "momentum_scheduler", None)
    if scheduler is not None:
        scheduler.event_index = state["event_index"]


def write_state(state: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write a state to a file, atomically.

    Raises:
        OSError: the disk is full, say, of which ``torch.save`` to a path makes an error without a kind.
    """
    whole = io.BytesIO()
    torch.save(state, whole)
    with atomic_path(path) as part:
        part.write_bytes(whole.getbuffer())
