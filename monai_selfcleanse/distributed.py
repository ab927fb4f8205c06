"""Several processes that work as one (``torch.distributed``, one process a GPU): beginning, end, and steps together.

Each process has a number, its rank. In a single process the functions that do a step together do it and nothing more.
Each may have worker processes besides, which share the cores of its machine.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar, cast

import ignite.distributed as idist
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset

__all__ = [
    "RankZeroError",
    "check_shared",
    "gathered",
    "in_workers",
    "join_processes",
    "lagging_ranks",
    "leave_processes",
    "local_device",
    "merge_shares",
    "on_rank_zero",
    "worker_count",
]

S = TypeVar("S")
T = TypeVar("T")

_FORK = "fork" if "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin" else None
"""How worker processes are started that take over what this one has in memory; None for as the system does."""


def worker_count(n_tasks: int, wanted: int | None = None) -> int:
    """How many worker processes to start.

    Args:
        n_tasks: number of tasks to share out; there are no more workers than that.
        wanted: None: as many as the machine has cores for each of its ranks (``LOCAL_WORLD_SIZE`` of ``torchrun``);
            none where that is a single one, or where processes cannot be forked.
    """
    if wanted is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        ranks = int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if dist.is_initialized() else 1
        wanted = cores // max(1, ranks) if _FORK else 0
        wanted = wanted if wanted > 1 else 0
    return min(wanted, n_tasks)


class _Steps(Dataset):
    def __init__(self, step: Callable, items: Sequence) -> None:
        self.step, self.items = step, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        try:
            return self.step(self.items[index])
        except Exception as error:
            return _Failed.of(error)


@dataclass(frozen=True)
class _Failed:
    """An error on its way to the main process. By itself, a loader puts the worker's traceback into its message."""

    error: Exception
    traceback: str

    @classmethod
    def of(cls, error: Exception) -> _Failed:
        told = "".join(traceback.format_exception(error))
        try:
            return cls(pickle.loads(pickle.dumps(error)), told)
        except Exception:  # it cannot travel
            return cls(RuntimeError(f"{type(error).__name__}: {error}"), told)


def _as_it_is(result: T) -> T:
    return result


def in_workers(step: Callable[[S], T], items: Sequence[S], workers: int) -> Iterator[T]:
    """Do a step for each item in worker processes, and give the results in the items' order.

    A worker has one item at a time, and one result that waits to be taken.

    Args:
        step: its result must be picklable. What it raises is raised here.
        items: what it is done for.
        workers: their number; 0: this process does it.
    """
    options: dict[str, Any] = {"prefetch_factor": 1, "multiprocessing_context": _FORK} if workers else {}
    loader = DataLoader(_Steps(step, items), batch_size=None, collate_fn=_as_it_is, num_workers=workers, **options)
    for result in loader:
        if isinstance(result, _Failed):
            raise result.error from RuntimeError(result.traceback)
        yield result


def local_device() -> torch.device:
    """This process's own device.

    It is the GPU with the number that ``torchrun`` gives the process (``LOCAL_RANK``). A process that ``torchrun`` has
    not started gets the first GPU. Without GPUs it is the CPU.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def join_processes(
    device: torch.device | str, backend: str | None = None, hours: float = 2.0, required: bool = True
) -> None:
    """Join the processes that ``torchrun`` has started, and let rank 0 alone log at level INFO.

    Joining again is harmless. :func:`leave_processes` is the other end.

    Args:
        device: the process's own device. A GPU becomes the current one.
        backend: how the processes talk to each other. None: ``nccl`` between GPUs, ``gloo`` between CPUs.
        hours: how long a process waits for the others before it gives up.
        required: what to do in a process that ``torchrun`` has not started. True: raise, but join if whatever started
            it says of how many it is one (``WORLD_SIZE``). False: leave it alone. Clusters set ``WORLD_SIZE`` for
            processes that have no others, so it does not count then.

    Raises:
        ValueError: ``torchrun`` has not started this process, and that is required.
    """
    started = "WORLD_SIZE" in os.environ if required else dist.is_torchelastic_launched()
    if not dist.is_initialized() and not started:
        if required:
            raise ValueError("this config is for several processes: start it with torchrun -m monai.bundle run ...")
        return
    on_gpu = torch.device(device).type == "cuda"
    if not dist.is_initialized():
        dist.init_process_group(backend or ("nccl" if on_gpu else "gloo"), timeout=timedelta(hours=hours))
    if on_gpu:
        torch.cuda.set_device(device)
    if dist.get_rank() > 0:
        logging.disable(logging.INFO)


def leave_processes() -> None:
    """Leave the processes that :func:`join_processes` has joined, all at the same time.

    A process that ends while another one still talks to it may be aborted. Without any there is nothing to do.
    """
    if dist.is_initialized():
        with suppress(RuntimeError):  # another process has failed, and is gone
            dist.barrier()
        dist.destroy_process_group()


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


def merge_shares(shares: Sequence[Mapping[str, T]]) -> dict[str, T]:
    """Put together what was dealt out to the ranks in turn, as ``DistributedSampler(shuffle=False)`` does.

    Args:
        shares: each rank's items by key, in its order.

    Returns:
        All items, the first of each rank, then the second of each, ...: the order in which they were dealt. A key that
        several ranks have, from a sampler that pads, counts once.
    """
    merged: dict[str, T] = {}
    for row in zip_longest(*(share.items() for share in shares)):
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
