"""Handler that redraws suspects by a network that sees the given label, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
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
from ..cases.seen import Redrawing
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of
from ..core.evidence import merge_unannotated
from ..core.index_map import index_map
from ..core.prediction import condensed
from ..core.strays import find_strays, without_strays
from ..data.case_dataset import CaseDataset
from ..distributed import gathered
from ..lr_scheduler import RoundsLR
from ..networks import with_label_channels
from ..noise.prompt import RandLabelPromptd
from ..prepare_batch import with_prompt
from .broadcast_buffers import BroadcastBuffers
from .events import SelfCleanseEvents, register_self_cleanse_events
from .label_filter import LabelFilterResult

__all__ = ["LabelRedrawer"]


class LabelRedrawer:
    """After a training's last look, redraw its suspects with the given labels at hand.

    A wrong label still tells something: where the structure lies, or what its other half looks like. The network that
    the filter asks does not see it. The *redrawing network* does: it is a copy of that network with the label's
    structures as further input channels. It learns on the trusted cases to find back the label from one that was
    spoilt at random (:class:`monai_selfcleanse.noise.RandLabelPromptd`). A suspect is redrawn by the mean of both
    networks' probabilities. The cleanser's rules hold, but that the mean need not be sure
    (:meth:`monai_selfcleanse.cases.SeenCase.cleansed`).

    It changes neither which labels are suspected and redrawn nor the trained network: this is for the labels on disk.
    Nothing is done where no label is redrawn. What it has seen in fewer than ``min_cases`` trusted cases the redrawing
    network does not know: cases with such a structure are redrawn by the network alone. So are all of them where there
    can be no redrawing network; the log says why.

    Attach it to the filter's trainer, before the :class:`LabelCleanser`. Loss, ``prepare_batch``, mixed precision and
    frozen layers are the trainer's, batch size, workers and collation its data loader's; the optimizer is AdamW. In a
    distributed training all ranks train one redrawing network together, and each draws its share of the cases.

    Args:
        network: the network that the filter's evaluator asks, best with averaged weights; it returns logits ``(B, C,
            *spatial)``, and is not changed.
        dataset: the training cases, whose augmentation starts with
            :class:`monai_selfcleanse.transforms.CleansedLabeld`, and whose batches
            :class:`monai_selfcleanse.prepare_batch.PrepareBatchWeighted` takes. Transforms in between interpolate the
            weights by the nearest voxel.
        store: the filter's folder or store.
        evaluator: the filter's, for its inferer and mixed precision.
        num_classes: ``C``, background included.
        steps: training steps of the redrawing network, in a distributed training on each rank; 0 for no redrawing
            network.
        learning_rate: highest learning rate.
        seed: of faults, patches and order.
        label_key: key of the label.
        min_cases: number of cases without a suspect, at least 1, that must have a structure for it to be known.

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
        label_key: str = CommonKeys.LABEL,
    ) -> None:
        if steps < 0:
            raise ValueError(f"steps must be at least 0, got {steps}")
        if min_cases < 1:
            raise ValueError(f"min_cases must be at least 1, got {min_cases}")
        self.network, self.dataset, self.store = network, dataset, CaseStore.at(store)
        self.evaluator, self.num_classes = evaluator, num_classes
        self.steps, self.learning_rate, self.seed = steps, learning_rate, seed
        self.min_cases, self.label_key = min_cases, label_key
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
        trusted = ~result.suspected.any(1)
        has = np.nan_to_num(result.evidence["given_ml"]) > 0
        there = has | (np.nan_to_num(result.evidence["predicted_ml"]) > 0)
        unknown = has[trusted].sum(0) < self.min_cases
        drawn = result.redrawn.any(1) & ~there[:, unknown].any(1)
        alone = int((result.redrawn.any(1) & ~drawn).sum())
        if not drawn.any():
            if alone:
                self.logger.info(
                    f"epoch {result.epoch}: suspects are redrawn by the network alone: fewer than {self.min_cases} "
                    "cases without a suspect have their structures"
                )
            return
        self.logger.info(
            f"epoch {result.epoch}: a redrawing network learns from {trusted.sum()} cases without a suspect "
            f"({self.steps} steps)"
            + (f"; cases left to the network alone, for a rarer structure: {alone}" if alone else "")
        )
        place = {case_of(item): i for i, item in enumerate(self.dataset.cases.data)}
        network = self._trained(engine, [place[result.cases[i]] for i in np.flatnonzero(trusted)])
        everywhere = all(gathered(network is not None))
        if network is None or not everywhere:
            return
        mine = [result.cases[i] for i in np.flatnonzero(drawn)[idist.get_rank() :: idist.get_world_size()]]
        for case in mine:
            self._draw(network, self.dataset.cases[place[case]], engine.state.device, result)
        await_seen(self.store, mine)

    def _trained(self, engine: SupervisedTrainer, trusted: Sequence[int]) -> nn.Module | None:
        """The redrawing network, averaged; None where there can be none."""
        device = engine.state.device
        dataset = _PromptedCases(self.dataset, trusted, self.label_key)
        loader = self._loader(engine, dataset)
        network, reason = self._beginning(engine, dataset)
        reasons = gathered(reason)  # before a rank waits for the others in the training
        if network is None or any(reasons):
            self.logger.warning(f"suspects are redrawn by the network alone: {next(filter(None, reasons))}")
            return None
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
            network=_on_all_ranks(network, device),
            optimizer=optimizer,
            loss_function=engine.loss_function,
            prepare_batch=engine.prepare_batch,
            non_blocking=engine.non_blocking,
            train_handlers=[
                average,
                BroadcastBuffers(average.ema_model),
                LrScheduleHandler(schedule, print_lr=False, epoch_level=False),  # type: ignore[arg-type]
            ],
            amp=engine.amp,
            decollate=False,
            to_kwargs=engine.to_kwargs,
            amp_kwargs=engine.amp_kwargs,
        )
        set_rnd(dataset, self._seed_of_rank())
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(self.seed)
            trainer.run()
        if not all(torch.isfinite(values).all() for values in average.ema_model.state_dict().values()):
            self.logger.warning(
                "suspects are redrawn by the network alone: the redrawing network's weights are no longer numbers"
            )
            return None
        return average.ema_model.eval()

    def _beginning(self, engine: SupervisedTrainer, dataset: _PromptedCases) -> tuple[nn.Module | None, str]:
        """The redrawing network before it has learned anything; or why there can be none."""
        like: Any = engine.data_loader
        batch = like.collate_fn([dataset[0]])
        images, _ = engine.prepare_batch(batch, engine.state.device, engine.non_blocking, **engine.to_kwargs)
        channels = dataset.channels()
        if images.shape[1] != channels + self.num_classes - 1:
            return None, (
                "prompts do not come through: begin the augmentation with CleansedLabeld, and keep its weights in the "
                "batches, for PrepareBatchWeighted"
            )
        try:
            network = with_label_channels(self.network, images[:1, :channels].float(), self.num_classes - 1)
        except ValueError as error:
            return None, str(error)
        # An average has lost which layers are frozen; those that take the label must learn.
        frozen = {name.removeprefix("module.") for name, p in engine.network.named_parameters() if not p.requires_grad}
        widened = {name for name, p in self.network.named_parameters() if p.shape != network.get_parameter(name).shape}
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in widened or name not in frozen)
        return network, ""

    def _loader(self, engine: SupervisedTrainer, dataset: Dataset) -> DataLoader:
        """Batches like the trainer's, of as many cases each. Each rank draws from all cases, in an order of its own."""
        like: Any = engine.data_loader
        return DataLoader(
            dataset,
            batch_size=min(like.batch_size or 1, len(dataset)),
            shuffle=True,
            drop_last=True,  # a rest may be too small for a network's normalization
            num_workers=like.num_workers,
            collate_fn=like.collate_fn,
            multiprocessing_context=like.multiprocessing_context,
            pin_memory=like.pin_memory,
            generator=torch.Generator().manual_seed(self._seed_of_rank()),
        )

    def _seed_of_rank(self) -> int:
        return (self.seed + idist.get_rank() * 0x9E3779B1) % 2**32

    def _draw(
        self, network: nn.Module, item: Mapping[str, Any], device: torch.device, result: LabelFilterResult
    ) -> None:
        """Keep the mean of both networks' drawings of a case."""
        case = case_of(item)
        given = index_map(item[self.label_key], f"case {case!r}, {self.label_key}")
        image = torch.as_tensor(item[CommonKeys.IMAGE]).to(device).float()
        image = (image.as_tensor() if isinstance(image, MetaTensor) else image)[None]
        with_label = torch.cat([image, torch.as_tensor(given).to(image)[None, None]], 1)

        def shown(inputs: torch.Tensor) -> torch.Tensor:  # window by window: a hundred channels would not fit
            return network(with_prompt(inputs[:, :-1], inputs[:, -1], self.num_classes))

        probabilities = self._probabilities(self.network, image)
        probabilities += self._probabilities(shown, with_label)
        probabilities /= 2
        prediction = merge_unannotated(given, probabilities) if result.partial_labels else condensed(probabilities)
        prediction = without_strays(prediction, find_strays(given, prediction.predicted, result.one_piece))
        self.store.write_drawn(case, Redrawing(prediction.predicted, prediction.confidence))

    def _probabilities(self, network: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> np.ndarray:
        """Class probabilities ``(C, *spatial)``."""
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), torch.autocast("cuda", enabled=self.evaluator.amp, **self.evaluator.amp_kwargs):
                return self.evaluator.inferer(inputs, network)[0].float().softmax(0).cpu().numpy()
        finally:
            self.network.train(training)


class _PromptedCases(Dataset):
    """Patches of some of the cases, each with its label as it was given, and the prompt."""

    def __init__(self, dataset: CaseDataset, cases: Sequence[int], label_key: str) -> None:
        self.cases, self.prompt = dataset.cases, RandLabelPromptd(label_key)
        super().__init__(list(cases), dataset.transform)

    def channels(self) -> int:
        """Number of the images' channels."""
        return len(self.cases[self.data[0]][CommonKeys.IMAGE])

    def _transform(self, index: int) -> Any:
        return apply_transform(self.transform, self.prompt(deepcopy(self.cases[self.data[index]])))


def _on_all_ranks(network: nn.Module, device: torch.device) -> nn.Module:
    """The network, trained on all ranks as one."""
    if idist.get_world_size() == 1:
        return network
    return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)
