"""What each rank of a small distributed training does; a module that a started process can import."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.data import DistributedSampler
from oracle import make_cases, make_trainer, spoil

from monai_selfcleanse.cases.seen import SeenCase
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.case_id import case_of
from monai_selfcleanse.data import cohort
from monai_selfcleanse.data.noisy_cohort import corrupt_cohort
from monai_selfcleanse.distributed import check_shared, on_rank_zero
from monai_selfcleanse.handlers import (
    BroadcastBuffers,
    EpochSeeder,
    LabelCleanser,
    LabelFilter,
    SelfCleanseEvents,
    TrainingCheckpoint,
    WeightsSaver,
)

WORLD = 2


class RecordingStore(CaseStore):
    """A store that remembers what this process wrote."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.written: list[str] = []

    def write_seen(self, case: str, *args: Any) -> None:
        self.written.append(f"seen {case}")
        super().write_seen(case, *args)

    def write_left_out(self, version: int, cases: Any) -> None:
        self.written.append("left out")
        super().write_left_out(version, cases)

    def write_target(self, version: int, case: str, *args: Any) -> None:
        self.written.append(f"target {case}")
        super().write_target(version, case, *args)


class CachingStore(RecordingStore):
    """A store on a file system that shows for a second what it showed before, as NFS does."""

    looked: tuple[float, int] = (-1.0, 0)

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.asked: dict[str, float] = {}

    def is_hidden(self, case: str) -> bool:
        """Whether what another process wrote of a case is not shown yet."""
        if f"seen {case}" in self.written:
            return False
        return time.monotonic() - self.asked.setdefault(case, time.monotonic()) < 1

    def stamp(self, case: str) -> str:
        return "" if self.is_hidden(case) else super().stamp(case)

    def read_seen(self, case: str, *args: Any) -> SeenCase:
        if self.is_hidden(case):
            raise FileNotFoundError(case)
        return super().read_seen(case, *args)

    @property
    def version(self) -> int:
        if time.monotonic() - self.looked[0] > 1:
            self.looked = time.monotonic(), super().version
        return self.looked[1]


def self_cleanse(
    folder: Path,
    sampler: Any = None,
    kind: type[RecordingStore] = RecordingStore,
    redraw_epoch: int | None = 0,
) -> dict[str, Any]:
    """Two looks of filter and cleanser on 13 cases, 4 of them spoilt, with a network that is right from the start."""
    cases = make_cases(13, 2)
    for i, structure in ((2, 1), (5, 2), (8, 2), (11, 2)):
        spoil(cases[i], structure)
    store = kind(folder)
    trainer, look = make_trainer(cases, store, 2, [], look_sampler=sampler)
    label_filter = LabelFilter(look, store, {1: "outer", 2: "inner"}, warmup_epochs=2)
    label_cleanser = LabelCleanser(store, redraw_epoch)
    label_filter.attach(trainer)

    @trainer.on(SelfCleanseEvents.LABELS_FILTERED)
    def _() -> None:  # each process may read what the others have seen
        for data in cases:
            store.read_seen(case_of(data))

    label_cleanser.attach(trainer)
    trainer.run()
    result, done = trainer.state.label_filter_result, trainer.state.label_cleanser_result
    return {
        "cases": result.cases,
        "evidence": dict(result.evidence),
        "clean_probability": result.clean_probability,
        "suspected": result.suspected,
        "cleansed": done.cases,
        "changed_voxels": done.changed_voxels,
        "trained_on": {d["case"]: (d["label"].numpy(), d["label_weight"].numpy()) for d in trainer.data_loader.dataset},
        "left_out": (done.left_out, store.read_left_out(store.version)),
        "written": store.written,
        "state": label_filter.state_dict() | label_cleanser.state_dict(),
    }


class Averaged:
    """A little distributed training: batch normalisation, averaged weights, a checkpoint after every epoch."""

    def __init__(self, folder: Path, resume: bool = False) -> None:
        torch.manual_seed(7)
        self.network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        self.parallel = torch.nn.parallel.DistributedDataParallel(self.network)
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.1)
        self.ema = EMAHandler(self.parallel, 0.3, handle_buffers="update")
        self.drawn: list[float] = []
        self.engine = Engine(self.step)
        objects = {"network": self.network, "optimizer": self.optimizer, "ema": self.ema}
        for handler in (
            TrainingCheckpoint(str(folder / "last.pt"), objects, resume),
            EpochSeeder(5),
            self.ema,
            BroadcastBuffers(self.ema.ema_model),
            WeightsSaver(str(folder / "model.pt"), self.parallel),
        ):
            handler.attach(self.engine)

    def step(self, engine: Engine, batch: Any) -> None:
        data = torch.randn(8, 3)
        self.drawn.append(float(data.sum()))
        self.optimizer.zero_grad()
        self.parallel(data).square().mean().backward()
        self.optimizer.step()

    def run(self, epochs: int) -> dict[str, torch.Tensor]:
        self.engine.run(range(3), max_epochs=epochs)
        return {name: value.clone() for name, value in self.ema.ema_model.state_dict().items()}


def find_cohort(folder: Path) -> tuple[list[dict[str, Any]], int]:
    """Training cases of a cohort with synthetic noise, and how often this process made the noise."""
    made = []

    def counting(*args: Any, **options: Any) -> list[dict[str, Any]]:
        made.append(args)
        return corrupt_cohort(*args, **options)

    cohort.corrupt_cohort = counting
    return cohort.Cohort(str(folder / "data"), str(folder / "cohort"), noise_rate=0.5).train, len(made)


def failing_step() -> None:
    raise ValueError("the data are bad")


def full_disk(*_: Any) -> None:
    raise OSError("No space left on device")


def error_of(step: Any) -> str:
    try:
        step()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def saving_fails(folder: Path) -> None:
    training = Averaged(folder)
    with patch("torch.save", full_disk):
        training.run(1)


def process(rank: int, folder: Path) -> None:
    """What one rank does; its findings go into a file of its own."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=WORLD)
    sampler = partial(DistributedSampler, shuffle=False)
    whole = Averaged(folder / "whole")
    averaged = whole.run(4)
    Averaged(folder / "resumed").run(2)
    found = {
        "sharded": self_cleanse(folder / "sharded", partial(sampler, even_divisible=False)),
        "padded": self_cleanse(folder / "padded", partial(sampler, even_divisible=True)),
        "everyone all": self_cleanse(folder / "everyone all"),
        "cached": self_cleanse(folder / "cached", partial(sampler, even_divisible=False), CachingStore),
        "left out": self_cleanse(folder / "left out", partial(sampler, even_divisible=False), CachingStore, None),
        "averaged": averaged,
        "resumed": Averaged(folder / "resumed", resume=True).run(4),
        "drawn": whole.drawn,
        "cohort": find_cohort(folder),
        "from rank 0": on_rank_zero(lambda: f"made by {rank}"),
        "disk full": error_of(lambda: saving_fails(folder / "full")),
        "rank 0 fails": error_of(lambda: on_rank_zero(failing_step)),
        "not shared": error_of(lambda: check_shared(folder / f"disk of node {rank}", wait=0.1)),
    }
    torch.save(found, folder / f"rank{rank}.pt")
    torch.distributed.destroy_process_group()
