"""A handler defined elsewhere in a config, as an entry of ``train#handlers``."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["existing_handler"]

T = TypeVar("T")


def existing_handler(handler: T) -> T:
    """Return the handler it is given.

    MONAI Label and MONAI's experiment tracking extend ``train#handlers`` and need a literal list of dictionaries there,
    so that a bare reference such as ``"@ema"`` cannot stand in it. ``{"_target_":
    "monai_selfcleanse.handlers.existing_handler", "handler": "@ema"}`` can.
    """
    return handler
