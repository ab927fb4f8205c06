"""Randomness that follows from a seed and a name alone."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["case_generator"]


def case_generator(seed: int, case: str, name: str) -> np.random.Generator:
    """Random generator that depends on ``(seed, case, name)`` alone: not on order, worker, process or epoch."""
    digest = hashlib.sha256(f"{seed}\x1f{case}\x1f{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
