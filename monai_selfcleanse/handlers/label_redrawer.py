"""Handler that redraws suspects by a network that sees the given label, too."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.data import DataLoader, Dataset, MetaTensor
from monai.data.utils import set_rnd
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.transforms import apply_transform
from monai.utils import CommonKeys
from torch import nn

from ..cases.look import await_seen
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of
from ..core.index_map import index_map
from ..core.prediction import condensed
from ..core.strays import find_strays, without_strays
from ..data.case_dataset import CaseDataset
from ..distributed import gathered
from ..lr_scheduler import RoundsLR
from ..noise.prompt import RandLabelPromptd
from ..prepare_batch import with_prompt
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_channels import with_label_channels
from .label_filter import LabelFilterResult

__all__ = ["LabelRedrawer"]


class LabelRedrawer:
    """After a training's last look, redraw its suspects with the given labels at hand.

    A wrong label still tells something: where the structure lies, or what its other half looks like. The network that
    the filter asks does not see it. The *redrawing network* does: it is a copy of that network with the label's
    structures as further input channels. It learns on the trusted cases to find back the label from one that was
    spoilt at random (:class:`monai_selfcleanse.noise.RandLabelPromptd`). What a suspect is redrawn by is the mean of
    both networks' probabilities, wherever the label is to be redrawn.

    Which labels are suspected and redrawn, is not changed, and neither is the trained network: this is for the labels
    on disk. Nothing is done where no label is redrawn, or where fewer than ``min_cases`` cases have no suspect.

    Attach it to the filter's trainer, before the :class:`LabelCleanser`. Loss, ``prepare_batch`` and mixed precision
    are the trainer's, batch size and workers its data loader's. In a distributed training each rank trains the same
    redrawing network, and draws its share of the cases.

    Args:
        network: the network that the filter's evaluator asks, best with averaged weights; it is not changed.
        dataset: the training cases, whose augmentation starts with
            :class:`monai_selfcleanse.transforms.CleansedLabeld`, and whose batches
            :class:`monai_selfcleanse.prepare_batch.PrepareBatchWeighted` takes.
        store: the filter's folder or store.
        evaluator: the filter's, for its inferer and mixed precision.
        num_classes: ``C``, background included.
        steps: training steps of the redrawing network; 0 for no redrawing network.
        learning_rate: highest learning rate.
        seed: of faults, patches and order.
        min_cases: number of cases without a suspect, at least 1, that the redrawing network needs to learn from.

    Raises:
        ValueError: ``steps`` is negative, or ``min_cases`` is below 1.
    """

    def __init__(
        self,
        network: nn.Module,
        dataset: CaseDataset,
        store: StoreLike,
        evaluator: SupervisedEvaluator,
        num_classes: int,
        steps: int,
        learning_rate: float = 2e-3,
        seed: int = 0,
        min_cases: int = 8,
    ) -> None:
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        if min_cases < 1:
            raise ValueError(f"min_cases must be at least 1, got {min_cases}")
        self.network, self.dataset, self.store = network, dataset, CaseStore.at(store)
        self.evaluator, self.num_classes = evaluator, num_classes
        self.steps, self.learning_rate, self.seed, self.min_cases = steps, learning_rate, seed, min_cases
        self.logger = logging.getLogger(f"{__name__}.{type(self).__name__}")

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        register_self_cleanse_events(engine)
        if self.steps > 0 and not engine.has_event_handler(self, SelfCleanseEvents.LABELS_FILTERED):
            engine.add_event_handler(SelfCleanseEvents.LABELS_FILTERED, self)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Redraw, if this look is the last one."""
        result: LabelFilterResult = engine.state.label_filter_result
        if result.epoch != engine.state.max_epochs:
            return
        redrawn = set(result.by_case(result.redrawn))
        with_suspect = set(result.by_case(result.suspected))
        cases = [case_of(item) for item in self.dataset.cases.data]
        trusted = [i for i, case in enumerate(cases) if case not in with_suspect]
        if not redrawn or len(trusted) < self.min_cases:
            return
        self.logger.info(
            f"epoch {result.epoch}: a redrawing network learns from {len(trusted)} cases without a suspect "
            f"({self.steps} steps)"
        )
        network = self._trained(engine, trusted)
        everywhere = all(gathered(network is not None))
        if network is None or not everywhere:
            return
        mine = [i for i, case in enumerate(cases) if case in redrawn][idist.get_rank() :: idist.get_world_size()]
        for i in mine:
            self._draw(network, self.dataset.cases[i], engine.state.device, result.one_piece)
        await_seen(self.store, [cases[i] for i in mine])

    def _trained(self, engine: SupervisedTrainer, trusted: Sequence[int]) -> nn.Module | None:
        """The redrawing network, averaged; None where there can be none."""
        device, loader = engine.state.device, self._loader(engine, trusted)
        images, _ = engine.prepare_batch(next(iter(loader)), device, engine.non_blocking)
        try:
            network = with_label_channels(self.network, images[:1, : 1 - self.num_classes], self.num_classes - 1)
        except ValueError as error:
            self.logger.warning(f"suspects are redrawn by the network alone: {error}")
            return None
        network.requires_grad_(True)
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=1e-4)
        schedule = RoundsLR(optimizer, [self.steps], warm_up=0.0, hold=0.5, start_factor=1.0)
        average = EMAHandler(
            network,
            momentum=1 / (3 * len(loader)),
            momentum_warmup=1.0,
            warmup_iters=len(loader),
            handle_buffers="update",
        )
        trainer = SupervisedTrainer(
            device=device,
            max_epochs=1,
            epoch_length=self.steps,
            train_data_loader=loader,
            network=network,
            optimizer=optimizer,
            loss_function=engine.loss_function,
            prepare_batch=engine.prepare_batch,
            non_blocking=engine.non_blocking,
            train_handlers=[average, LrScheduleHandler(schedule, print_lr=False, epoch_level=False)],  # type: ignore[arg-type]
            amp=engine.amp,
            decollate=False,
        )
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            trainer.run()
        if not all(torch.isfinite(values).all() for values in average.ema_model.state_dict().values()):
            self.logger.warning(
                "suspects are redrawn by the network alone: the redrawing network's weights are no longer numbers"
            )
            return None
        return average.ema_model.eval()

    def _loader(self, engine: SupervisedTrainer, trusted: Sequence[int]) -> DataLoader:
        """Batches of trusted cases with prompts, as many cases in each as the trainer has."""
        like: Any = engine.data_loader
        dataset = _PromptedCases(self.dataset, trusted)
        loader = DataLoader(
            dataset,
            batch_size=min(like.batch_size or 1, len(dataset)),
            shuffle=True,
            drop_last=True,  # a rest may be too small for a network's normalization
            num_workers=like.num_workers,
            pin_memory=like.pin_memory,
            generator=torch.Generator().manual_seed(self.seed),
        )
        set_rnd(dataset, self.seed)
        return loader

    def _draw(
        self, network: nn.Module, item: Mapping[str, Any], device: torch.device, one_piece: Sequence[int]
    ) -> None:
        """Keep the mean of both networks' drawings of a case."""
        case = case_of(item)
        given = index_map(item[CommonKeys.LABEL], f"case {case!r}, {CommonKeys.LABEL}")
        image = torch.as_tensor(item[CommonKeys.IMAGE])[None].to(device).float()
        image = image.as_tensor() if isinstance(image, MetaTensor) else image
        shown = with_prompt(image, torch.as_tensor(given)[None].to(device), self.num_classes)
        probabilities = self._probabilities(self.network, image)
        probabilities += self._probabilities(network, shown)
        probabilities /= 2
        prediction = condensed(probabilities)
        prediction = without_strays(prediction, find_strays(given, prediction.predicted, one_piece))
        self.store.write_drawn(case, prediction.predicted, prediction.confidence)

    def _probabilities(self, network: nn.Module, inputs: torch.Tensor) -> np.ndarray:
        """Class probabilities ``(C, *spatial)``."""
        training = network.training
        network.eval()
        try:
            with torch.no_grad(), torch.autocast("cuda", enabled=self.evaluator.amp):
                return self.evaluator.inferer(inputs, network)[0].float().softmax(0).cpu().numpy()
        finally:
            network.train(training)


class _PromptedCases(Dataset):
    """Patches of some of the cases, each with its label as it was given, and the prompt."""

    def __init__(self, dataset: CaseDataset, cases: Sequence[int]) -> None:
        self.cases, self.prompt = dataset.cases, RandLabelPromptd()
        super().__init__(list(cases), dataset.transform)

    def _transform(self, index: int) -> Any:
        return apply_transform(self.transform, self.prompt(deepcopy(self.cases[self.data[index]])))
