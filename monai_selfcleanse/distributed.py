"""What the ranks of a distributed training (``torch.distributed``, one process a GPU) do together.

In one process each function does its step and nothing more.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar, cast

import ignite.distributed as idist

__all__ = ["RankZeroError", "lagging_ranks", "check_shared", "merge_shares", "gathered", "on_rank_zero"]

T = TypeVar("T")


def gathered(value: T) -> list[T]:
    """Every rank's value, by rank; it must be picklable. Call it on every rank."""
    return [item for (item,) in cast(list[tuple[T]], idist.all_gather((value,)))]


class RankZeroError(RuntimeError):
    """Raised on the other ranks where rank 0 failed at a step for which they waited; its own message says why."""


def on_rank_zero(step: Callable[[], T]) -> T:
    """Do a step on rank 0 alone, while the other ranks wait, and give its result to all.

    Call it on every rank.

    Args:
        step: takes nothing; its result must be picklable.

    Raises:
        RankZeroError: on the other ranks, where the step raised on rank 0, so that none of them waits for ever.
    """
    if idist.get_world_size() == 1:
        return step()
    result: T | None = None
    error: Exception | None = None
    if idist.get_rank() == 0:
        try:
            result = step()
        except Exception as caught:
            error = caught
    result, failed = gathered((result, error is not None))[0]
    if error is not None:
        raise error
    if failed:
        raise RankZeroError("rank 0 failed, and its message says why")
    return result  # type: ignore[return-value]


def merge_shares(shards: Sequence[Mapping[str, T]]) -> dict[str, T]:
    """Put together what was dealt out to the ranks in turn, as ``DistributedSampler(shuffle=False)`` does.

    Args:
        shards: each rank's items by key, in its order.

    Returns:
        All items, the first of each rank, then the second of each, ...: the order in which they were dealt. A key that
        several ranks have, from a sampler that pads, counts once.
    """
    merged: dict[str, T] = {}
    for row in zip_longest(*(shard.items() for shard in shards)):
        for item in row:
            if item is not None:
                merged.setdefault(*item)
    return merged


def lagging_ranks(sees: Callable[[], bool], wait: float = 90.0) -> str:
    """Wait until every rank sees on a shared file system what one of them has written there.

    A rank may be shown an earlier state for a while: NFS remembers for up to a minute what it has looked at. Call it on
    every rank.

    Args:
        sees: whether this rank sees it.
        wait: seconds that a rank gives the file system.

    Returns:
        The ranks that do not see it, for a message; empty if all do. In one process there are none.
    """
    if idist.get_world_size() == 1:
        return ""
    end = time.monotonic() + wait
    while not sees() and time.monotonic() < end:
        time.sleep(0.5)
    return ", ".join(str(rank) for rank, seen in enumerate(gathered(sees())) if not seen)


def check_shared(directory: str | os.PathLike, wait: float = 90.0) -> None:
    """See that all ranks share a folder, which is made where it is missing.

    Args:
        directory: the folder.
        wait: see :func:`lagging_ranks`.

    Raises:
        RuntimeError: some do not see what rank 0 has written there; the message names them.
    """
    if idist.get_world_size() == 1:
        return

    def write() -> str:
        Path(directory).mkdir(parents=True, exist_ok=True)
        path = Path(directory) / f".shared-{uuid.uuid4().hex}"
        path.touch()
        return path.name

    path = Path(directory) / on_rank_zero(write)
    lagging = lagging_ranks(path.exists, wait)
    if idist.get_rank() == 0:
        path.unlink()
    if lagging:
        raise RuntimeError(
            f"rank {lagging} cannot see what rank 0 writes to {directory}: a distributed training "
            "needs an output_dir on a file system that all its processes share"
        )
