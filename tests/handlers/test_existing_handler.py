"""A handler that a config defines elsewhere."""

from __future__ import annotations

from monai_selfcleanse.handlers import EpochSeeder, existing_handler


def test_existing_handler_returns_what_it_is_given() -> None:
    handler = EpochSeeder(0)
    assert existing_handler(handler) is handler
