"""What the benchmark compares with, for use in the configs of ``benchmarks/arms``.

Losses come from PyMIC (Apache-2.0, ``pip install pymic==0.6.2``) and the score of labels from cleanlab (Apache-2.0,
``pip install cleanlab==2.9.0``): both are run, neither is copied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator
from monai.networks.nets import UNet
from monai.utils import optional_import
from torch import nn

from monai_selfcleanse.cases import read_label
from monai_selfcleanse.cases.case import decollated
from monai_selfcleanse.core.case_id import case_of, patient_of
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data import split_patients
from monai_selfcleanse.handlers import LabelFilter, LabelFilterResult
from monai_selfcleanse.losses import split_target
from monai_selfcleanse.results.truth import NOISY_BELOW

pymic_losses, _ = optional_import("pymic.loss.loss_dict_seg", name="SegLossDict")
softmin_scores, _ = optional_import("cleanlab.segmentation.rank", name="get_label_quality_scores")

__all__ = [
    "CoTeachingLoss",
    "PyMICLoss",
    "SoftminScores",
    "SuspectAll",
    "TwinUNet",
    "fold",
    "only",
    "without_noisy",
    "wrong_share",
]


class PyMICLoss(nn.Module):
    """A loss of PyMIC by its name there, on the targets of this package's training.

    Args:
        name: key of ``pymic.loss.loss_dict_seg.SegLossDict``.
        params: PyMIC's own parameters.
    """

    def __init__(self, name: str, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.loss = pymic_losses[name](dict(params))

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        probabilities, _ = split_target(target, input.shape[1])
        return self.loss({"prediction": input.float(), "ground_truth": probabilities})


class TwinUNet(nn.Module):
    """Two U-Nets of different initial weights: their outputs side by side in training, their mean at inference.

    Args:
        definition: the arguments of ``monai.networks.nets.UNet``, for both.
    """

    def __init__(self, **definition: Any) -> None:
        super().__init__()
        self.first, self.second = UNet(**definition), UNet(**definition)

    def forward(self, x: torch.Tensor) -> Any:
        one, other = self.first(x), self.second(x)
        return (one, other) if self.training else (one.softmax(1) + other.softmax(1)).div(2).clamp(min=1e-6).log()


class CoTeachingLoss(nn.Module):
    """Co-Teaching (Han et al., NeurIPS 2018) by voxels, as PyMIC's agent selects them.

    Of a batch, each network learns from the voxels whose cross-entropy is smallest in the *other*; the share left out
    grows along a sigmoid from 0 to ``forget``, the true share of wrong voxels, over ``rampup_steps`` steps. (PyMIC has
    it only inside its own training loop, hence written here.)
    """

    def __init__(self, forget: float, rampup_steps: int) -> None:
        super().__init__()
        self.forget, self.rampup_steps = forget, max(1, int(rampup_steps))
        self.step = 0

    def forward(self, input: Sequence[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
        probabilities, _ = split_target(target, input[0].shape[1])
        losses = [-(probabilities * x.float().log_softmax(1)).sum(1).flatten() for x in input]
        progress = min(1.0, self.step / self.rampup_steps)
        self.step += 1
        kept = int((1 - self.forget * float(np.exp(-5 * (1 - progress) ** 2))) * len(losses[0]))
        chosen = [loss.detach().topk(kept, largest=False).indices for loss in losses]
        return losses[0][chosen[1]].mean() + losses[1][chosen[0]].mean()


class SuspectAll(LabelFilter):
    """The cleanser alone: every label of every structure is taken for noisy, and redrawn if the network sees it."""

    def result(self) -> LabelFilterResult | None:
        found = super().result()
        if found is None:
            return None
        decisions = tuple(replace(decision, separation=0.0) for decision in found.decisions)  # no case is left out
        suspected, probability = np.ones_like(found.suspected), np.zeros_like(found.clean_probability)
        return replace(found, suspected=suspected, clean_probability=probability, decisions=decisions)


def without_noisy(
    data: Sequence[dict[str, Any]], structures: Iterable[Any], least_dice: float = NOISY_BELOW
) -> list[dict]:
    """Oracle: the cases all of whose structures have at least that Dice to the truth."""

    def clean(item: Mapping[str, Any]) -> bool:
        if item["label"] == item.get("truth", item["label"]):  # without noise there is none
            return True
        given, truth = (read_label(item[key]).index for key in ("label", "truth"))
        return all(dice(given == int(k), truth == int(k)) >= least_dice for k in structures)

    return [item for item in data if clean(item)]


def wrong_share(data: Sequence[dict[str, Any]], patch_size: Sequence[int], spacing: Sequence[float]) -> float:
    """True share of wrong voxels in training patches: one around the structures of each slice, or in 3-D of each case.

    Args:
        data: cases with ``label`` and, where that may be wrong, ``truth``.
        patch_size: in voxels, three numbers, the last of which is 1 for patches in a slice.
        spacing: of these voxels in mm; the case's own where it is not positive.
    """
    shares = []
    for item in data:
        label = read_label(item["label"])
        wrong = label.index != read_label(item.get("truth", item["label"])).index
        own = label.file.spacing(3)
        patch_mm = [n * (s if s > 0 else o) for n, s, o in zip(patch_size, spacing, own, strict=True)]
        n_patches = wrong.shape[-1] if patch_size[-1] == 1 else 1
        shares.append(wrong.sum() * np.prod(own) / (n_patches * np.prod(patch_mm)))
    return float(np.mean(shares))


def only(data: Sequence[dict[str, Any]], cases_file: str) -> list[dict[str, Any]]:
    """The cases whose ids a JSON list in a file names."""
    kept = set(json.loads(Path(cases_file).read_text()))
    return [item for item in data if case_of(item) in kept]


def fold(data: Sequence[dict[str, Any]], index: int, seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cases to train on and cases held out, each of one half of the patients; ``index`` 0 or 1 says which."""
    halves = split_patients([patient_of(item) for item in data], 0.5, seed)
    held = [item for item in data if patient_of(item) in halves[index]]
    return [item for item in data if patient_of(item) in halves[1 - index]], held


class SoftminScores:
    """When training ends, cleanlab's softmin score of every case the evaluator predicts, as JSON ``{case: score}``."""

    def __init__(self, evaluator: Evaluator, path: str) -> None:
        self.evaluator, self.path = evaluator, Path(path)
        self.scores: dict[str, float] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        with self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect):
            self.evaluator.run(engine.state.epoch)
        self.path.write_text(json.dumps(self.scores))

    def _collect(self, evaluator: Engine) -> None:
        for loaded, out in zip(decollated(evaluator.state.batch), decollated(evaluator.state.output), strict=True):
            label = np.rint(np.asarray(out["label"]))[0].astype(int)
            probabilities = np.asarray(out["pred"], dtype=np.float64)
            flat = probabilities.reshape(1, len(probabilities), label.shape[0], -1)
            score, _ = softmin_scores(label.reshape(1, label.shape[0], -1), flat, method="softmin", verbose=False)
            self.scores[case_of(loaded)] = float(score[0])
