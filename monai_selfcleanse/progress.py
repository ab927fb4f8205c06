"""Progress on standard error."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

from tqdm import tqdm

__all__ = ["progress"]

T = TypeVar("T")


def progress(items: Sequence[T], what: str, show: bool = True) -> Iterator[T]:
    """The items, with a bar that says how many are done and how long the others will take.

    Without a terminal, in a log, a line comes every half minute, and one at the end.

    Args:
        items: a sequence.
        what: what they are, such as ``"cases"``.
        show: False for no bar.
    """
    terminal = sys.stderr.isatty()
    yield from tqdm(
        items,
        desc=what,
        disable=not show or not items,
        mininterval=0.1 if terminal else 30.0,
        ascii=not terminal,
        dynamic_ncols=terminal,
    )
