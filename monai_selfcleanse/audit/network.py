"""Predictions of a network, made by a MONAI evaluator one case at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor, list_data_collate
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.networks.utils import get_state_dict
from monai.utils import CommonKeys

from ..cases.case import decollated
from ..core.index_map import index_map
from ..core.judge import LabelJudge
from ..core.prediction import Prediction
from ..data.checks import look_into
from ..data.resampling import Resampling
from .source import LoadedCase, digest

__all__ = ["NetworkPredictions"]


class NetworkPredictions:
    """Predict each case with an evaluator, and judge its label on the grid of the preprocessing.

    Args:
        evaluator: its postprocessing turns ``pred`` into class probabilities (``Activationsd(keys="pred",
            softmax=True)``); its data loader is not used.
        preprocessing: deterministic transforms of a case's dictionary, those of the network's training.
        structures: the known structures, as class indices.
        model: name of the weights, for the reports.
        ndim, channels: number of axes and of channels that images must have, see
            :func:`monai_selfcleanse.data.check_case`.
        spacing: voxel size in mm that the preprocessing resamples to, to see that a case fits into memory then; None:
            it is not looked at.
        label_key, image_key, pred_key: keys of the preprocessed case and of the evaluator's output.
    """

    files: Sequence[Path] = ()
    has_probabilities = True
    in_workers = False

    def __init__(
        self,
        evaluator: SupervisedEvaluator,
        preprocessing: Callable,
        structures: Mapping[Any, str] | Sequence[int],
        model: str | None = None,
        ndim: int | None = None,
        channels: int = 1,
        spacing: Sequence[float] | None = None,
        label_key: str = CommonKeys.LABEL,
        image_key: str = CommonKeys.IMAGE,
        pred_key: str = CommonKeys.PRED,
    ) -> None:
        self.evaluator, self.preprocessing = evaluator, preprocessing
        self.structures, self.ndim, self.channels = [int(k) for k in structures], ndim, channels
        self.resampling = None
        if spacing is not None:
            self.resampling = Resampling(spacing, cache_rate=0, classes=len(self.structures) + 1)
        self.about = {} if model is None else {"model": str(model)}
        self.label_key, self.image_key, self.pred_key = label_key, image_key, pred_key

    def prepare(self, cases: Sequence[Mapping[str, Any]]) -> str:
        """See that there is a network; what identifies it are its weights, its layers and the inferer's settings."""
        weights = get_state_dict(self.evaluator.network)
        flat = (tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for tensor in weights.values())
        parts = [*weights, str(self.evaluator.network), repr(_settings(self.evaluator.inferer))]
        return digest([*parts, str(self.evaluator.amp), *(tensor.numpy() for tensor in flat)])

    def read(self, case: Mapping[str, Any]) -> LoadedCase:
        """Check a case's files and preprocess them.

        Raises:
            ValueError: something is wrong with them (:func:`monai_selfcleanse.data.check_case`), or they are too large.
        """
        found = look_into(case, self.structures, self.ndim, self.channels)
        problems = found.problems
        if self.resampling is not None and not problems:
            problems = self.resampling.too_large({str(case["label"]): found})
        if problems:
            raise ValueError("; ".join(problems))
        data = self.preprocessing(dict(case))
        label, image = data[self.label_key], torch.as_tensor(data[self.image_key])
        affine = label.affine.cpu().numpy() if isinstance(label, MetaTensor) else np.eye(4)
        return LoadedCase(index_map(label, str(case["label"])), image.cpu().numpy(), affine, data, found.notes)

    def predict(self, loaded: LoadedCase, judge: LabelJudge) -> tuple[Prediction, None]:
        """Have the evaluator predict a case."""
        self.evaluator.data_loader = [list_data_collate([loaded.batch])]
        self.evaluator.state.epoch_length = 1
        self.evaluator.run()
        (output,) = decollated(self.evaluator.state.output)
        probabilities = torch.as_tensor(output[self.pred_key]).detach().cpu().float().numpy()
        return judge.in_label_terms(loaded.given, probabilities), None


def _settings(inferer: Any) -> list[Any]:
    """What an inferer was told, and those that it asks were."""
    plain = (int, float, str, list, tuple, type(None))
    told = [(k, _settings(v) if isinstance(v, Inferer) else v) for k, v in sorted(vars(inferer).items())]
    return [type(inferer).__name__, *((k, v) for k, v in told if isinstance(v, plain))]
