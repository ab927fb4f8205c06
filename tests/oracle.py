"""A trainer whose network is right from the start, so that handlers are tested apart from learning.

The image *is* the true index map plus a little noise, and the network's fixed weights turn intensity into logits. What
the filter then says depends on the labels alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd, Compose
from torch.utils.data import Dataset, Sampler

from monai_selfcleanse.data import CaseDataset
from monai_selfcleanse.losses import WeightedDiceCELoss
from monai_selfcleanse.prepare_batch import PrepareBatchWeighted
from monai_selfcleanse.transforms import CleansedLabeld

N_CLASSES = 3


class IntensityNet(torch.nn.Module):
    """Logits that favour class ``k`` where the intensity is near ``k``."""

    def __init__(self, sharpness: float = 8.0) -> None:
        super().__init__()
        self.sharpness = torch.nn.Parameter(torch.tensor(sharpness))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        classes = torch.arange(N_CLASSES, dtype=x.dtype, device=x.device).reshape(1, -1, *[1] * (x.ndim - 2))
        return -self.sharpness * (x - classes) ** 2


def make_cases(n: int, ndim: int, seed: int = 0) -> list[dict[str, Any]]:
    """Cases with two nested boxes of varying size: structure 1 around structure 2."""
    rng = np.random.default_rng(seed)
    size = 24 if ndim == 2 else 12
    cases = []
    for i in range(n):
        label = np.zeros([size] * ndim, dtype=np.int64)
        low, high = int(rng.integers(1, 3)), int(rng.integers(size - 3, size - 1))
        label[(slice(low, high),) * ndim] = 1
        label[(slice(low + 2, high - 3),) * ndim] = 2
        image = torch.as_tensor(label + rng.normal(0, 0.15, label.shape), dtype=torch.float32)[None]
        cases.append(
            {"image": MetaTensor(image), "label": MetaTensor(torch.as_tensor(label)[None]), "case": f"case{i:02d}"}
        )
    return cases


def spoil(case: dict[str, Any], structure: int) -> None:
    """Drop a structure from a case's label."""
    label = case["label"].clone()
    label[label == structure] = 0
    case["label"] = label


def make_trainer(
    cases: list[dict[str, Any]],
    store: Any,
    epochs: int,
    handlers: list[Any],
    lr: float = 0.0,
    look_sampler: Callable[[Dataset], Sampler] | None = None,
    device: str = "cpu",
    amp: bool = False,
) -> tuple[SupervisedTrainer, SupervisedEvaluator]:
    """A trainer over the cases and an evaluator that looks at them; handlers are attached by the caller."""
    network = IntensityNet().to(device)
    dataset = CaseDataset(cases, Compose([]), Compose([CleansedLabeld("label", store)]), store=store)
    look = SupervisedEvaluator(
        device=torch.device(device),
        amp=amp,
        val_data_loader=DataLoader(dataset.cases, batch_size=1, sampler=look_sampler and look_sampler(dataset.cases)),
        network=network,
        inferer=SimpleInferer(),
        postprocessing=Activationsd("pred", softmax=True),
    )
    trainer = SupervisedTrainer(
        device=torch.device(device),
        amp=amp,
        max_epochs=epochs,
        train_data_loader=DataLoader(dataset, batch_size=2, shuffle=True),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr),
        loss_function=WeightedDiceCELoss(),
        prepare_batch=PrepareBatchWeighted(N_CLASSES),
        decollate=False,
    )
    for handler in handlers:
        handler.attach(trainer)
    return trainer, look


def draw_one() -> float:
    """One number that depends on all three global generators."""
    return float(torch.rand(())) + float(np.random.rand()) + random.random()  # noqa: NPY002
