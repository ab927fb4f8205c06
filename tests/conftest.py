"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# No deadline: a busy machine is no failure. No database: tests leave nothing behind.
settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=40)
settings.load_profile("tests")
