"""The MONAI Label app: the stock ``monaibundle`` app, and what lets a reviewer clean labels.

A folder with this as its ``main.py`` is an app (``python -m monai_selfcleanse.monai_label`` makes one)::

    from monai_selfcleanse.monai_label.app import SelfCleanseApp
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Activationsd, AsDiscreted, Invertd, Lambdad
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.exception import MONAILabelError, MONAILabelException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType
from monailabel.interfaces.tasks.scoring import ScoringMethod
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.infer.bundle import BundleInferTask
from monailabel.transform.post import Restored
from monailabel.utils.others.class_utils import module_from_file
from monailabel.utils.others.generic import file_ext

from ..cases.label_file import read_label, save_index_map
from ..core.cleansing import cleanse_label
from ..core.prediction import condensed
from ..core.size_bias import drawn_without_size_bias
from ..core.strays import find_strays, without_strays
from .review import KEY, TAG, review_queue, score_labels
from .segments import segment_numbers
from .submitted import read_submitted

__all__ = ["GivenLabelTask", "LabelCleanserTask", "LabelNoiseScoring", "NoisiestLabelFirst", "SelfCleanseApp"]

logger = logging.getLogger(__name__)

CLEANSER, GIVEN, STRATEGY = "label_cleanser", "given_label", "noisiest_label_first"
"""Names under which MONAI Label shows the two infer tasks and the strategy."""

_installed = [Path(sys.prefix), Path(sys.prefix) / "local", Path.home() / ".local"]  # as MONAI Label itself searches
_stock = next((p for d in _installed if (p := d / "monailabel/sample-apps/monaibundle/main.py").exists()), None)
if _stock is None:
    raise ImportError(f"MONAI Label's sample app monaibundle is not in {', '.join(map(str, _installed))}")
MonaiBundleApp: Any = module_from_file("monaibundle", str(_stock)).MyApp


class LabelCleanserTask(BundleInferTask):
    """What to put in a label's place: redrawn by the bundle's network where it is in doubt, for a reviewer to look at.

    A request that brings a label (``label``, its path) and the structures in doubt (``suspected``) gets that label,
    cleansed (:func:`monai_selfcleanse.core.cleansing.cleanse_label`), without the strays of structures in one piece
    (``one_piece``) and without the network's size biases (``size_bias``); without structures in doubt, as it is. A
    request without a label gets the network's prediction.

    Args:
        path: folder of the bundle.
        conf: MONAI Label's ``--conf`` options.
    """

    def __init__(self, path: str, conf: Mapping[str, str]) -> None:
        super().__init__(path, conf, load_strict=True)  # rather no judge than one with random weights
        self.folder = path
        self.description = "The submitted label, redrawn where it is in doubt"

    @property
    def structures(self) -> dict[int, str]:
        """The network's structures, by index."""
        return {index: name for name, index in sorted(self.labels.items(), key=lambda item: item[1])}

    def post_transforms(self, data: Any = None) -> Sequence[Callable]:
        """The bundle's postprocessing as far as it leaves probabilities, on the image's own grid."""
        kept: list[Callable] = []
        is_index = False
        for transform in super().post_transforms(data):
            is_index |= isinstance(transform, AsDiscreted)  # what follows is for index maps
            if isinstance(transform, (Activationsd, Invertd, Restored)) or (
                isinstance(transform, Lambdad) and not is_index
            ):
                kept.append(transform)
        return kept

    def predict(self, image: str, label: str) -> tuple[np.ndarray, np.ndarray, Sequence[float]]:
        """A :data:`monai_selfcleanse.monai_label.review.Predict`, on the image's grid."""
        _, data = self({"image": image, "skip_writer": True, "logging": "ERROR"})
        given, spacing = _read_label(label, data)
        return given, _probabilities(data), spacing

    def writer(self, data: dict[str, Any], extension: Any = None, dtype: Any = None) -> tuple[Any, Any]:
        """Put the label in the probabilities' place and have MONAI Label write it."""
        probabilities = _probabilities(data)
        label = probabilities.argmax(0)
        if data.get("label"):
            given, _ = _read_label(data["label"], data)
            given = segment_numbers(data.get("label_info"), self.structures).renumber(given)
            prediction = condensed(probabilities)
            strays = find_strays(given, prediction.predicted, data.get("one_piece", ()))
            prediction = without_strays(prediction, strays)
            label = given
            if suspected := data.get("suspected", ()):
                drawing = drawn_without_size_bias(
                    prediction.predicted, prediction.confidence, data.get("size_bias", {})
                )
                label, _ = cleanse_label(given, *drawing, suspected)
        data[self.output_label_key] = label.astype(np.uint8)
        return super().writer(data, extension, dtype)


def _probabilities(data: Mapping[str, Any]) -> np.ndarray:
    return torch.as_tensor(data["pred"]).detach().cpu().float().numpy()


def _read_label(path: str, data: Mapping[str, Any]) -> tuple[np.ndarray, Sequence[float]]:
    """A label's index map on its image's grid, and the voxel size; ``data``: the image's, after inference."""
    meta = data["image"].meta
    affine = torch.as_tensor(meta["original_affine"]).cpu().numpy()
    return read_submitted(path, meta["filename_or_obj"], affine, data["pred"].shape[1:])


class GivenLabelTask(InferTask):
    """The submitted label as it is, so that a reviewer can look at it, and confirm it by submitting it again.

    Where 3D Slicer has numbered its segments otherwise, they get the network's numbers.

    Args:
        labels: names of the structures, and their values.
        dimension: of the network, as MONAI Label shows it.
    """

    def __init__(self, labels: Mapping[str, int], dimension: int) -> None:
        super().__init__(InferType.SEGMENTATION, labels, dimension, "The submitted label as it is")

    def is_valid(self) -> bool:
        """Always: there is no network to wait for."""
        return True

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Copy the request's ``label``: MONAI Label deletes the file it is given once that is sent."""
        if not request.get("label"):
            raise MONAILabelException(
                MONAILabelError.INVALID_INPUT, f"{GIVEN}: no label has been submitted for {request.get('image')}"
            )
        handle, copy = tempfile.mkstemp(suffix=file_ext(request["label"]))
        os.close(handle)
        numbers = segment_numbers(request.get("label_info"), {k: name for name, k in self.labels.items()})
        if numbers.changes:
            given = read_label(request["label"])
            save_index_map(numbers.renumber(given.index), given, copy)
        else:
            shutil.copyfile(request["label"], copy)
        return copy, {"label_names": self.labels}


class LabelNoiseScoring(ScoringMethod):
    """Judge every submitted label by the bundle's network
    (:func:`monai_selfcleanse.monai_label.review.score_labels`)."""

    def __init__(self, task: LabelCleanserTask) -> None:
        super().__init__("Evidence against each submitted label, by the bundle's network")
        self.task = task

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any]:
        """Bring the evidence up to date, and say what is in doubt."""
        _check_network(self.task)
        model = os.stat(self.task.get_path()).st_mtime
        done = score_labels(datastore, self.task.predict, self.task.structures, model)
        queue = review_queue(datastore, self.task.structures)
        logger.info(f"{KEY}: {', '.join(f'{len(ids)} {what}' for what, ids in done.items())}; {queue.summary()}")
        return {
            **done,
            "verdicts": dict(queue.verdicts),
            "waiting": {i: [asdict(d) for d in found] for i, found in queue.waiting.items()},
        }


class NoisiestLabelFirst(Strategy):
    """The submitted label that is most in doubt and has not been reviewed yet; None when there is no such label."""

    def __init__(self, task: LabelCleanserTask) -> None:
        super().__init__("Get the submitted label that is most in doubt, for review")
        self.task = task

    def __call__(self, request: Mapping[str, Any], datastore: Any) -> dict[str, Any] | None:
        """The head of the queue, with what is in doubt about it."""
        _check_network(self.task)
        queue = review_queue(datastore, self.task.structures)
        if not queue.waiting:
            logger.info(f"{STRATEGY}: nothing to review; {queue.summary()}")
            return None
        image = next(iter(queue.waiting))
        suspects = [asdict(doubt) for doubt in queue.waiting[image]]
        told = ", ".join(f"{d.name} {d.reason} (score {d.score:.3g})" for d in queue.waiting[image])
        logger.info(f"{STRATEGY}: {image}: {told}; {queue.summary()}")
        return {"id": image, "suspects": suspects}


def _check_network(task: LabelCleanserTask) -> None:
    if not task.is_valid():
        raise MONAILabelException(
            MONAILabelError.APP_INIT_ERROR,
            f"there is no network to judge labels by: put trained weights into {Path(task.folder) / 'models/model.pt'} "
            "(or train them in MONAI Label) and start the server again",
        )


class SelfCleanseApp(MonaiBundleApp, MONAILabelApp):
    """The stock ``monaibundle`` app with a scoring method, a strategy and two infer tasks for the review of labels.

    ``--conf models NAME`` names folders in the app's ``model`` folder; the first one's network judges. Bundles are not
    looked for elsewhere, so that no network connection is needed, unless ``--conf zoo_source`` says so.
    """

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str]) -> None:
        conf = {"zoo_source": "local", **conf}
        found = sorted(p.parent.parent.name for p in Path(app_dir).glob("model/*/configs/inference.*"))
        wanted = [name.strip() for name in conf.get("models", "").split(",") if name.strip()]
        missing = [name for name in wanted if name not in found]
        if not wanted or (missing and conf["zoo_source"] == "local"):
            raise MONAILabelException(
                MONAILabelError.APP_INIT_ERROR,
                f"--conf models must name bundles in {Path(app_dir) / 'model'} (there: {', '.join(found) or 'none'}), "
                f"got {conf.get('models', 'nothing')!r}",
            )
        super().__init__(app_dir, studies, conf)

    def init_infers(self) -> dict[str, InferTask]:
        """The bundles' networks, and before them the proposals: 3D Slicer runs the first one on a new sample."""
        infers = super().init_infers()
        self.cleanser = LabelCleanserTask(next(iter(self.models.values())), self.conf)
        if not self.cleanser.is_valid():
            return infers
        given = GivenLabelTask(self.cleanser.labels, self.cleanser.dimension)
        return {CLEANSER: self.cleanser, GIVEN: given, **infers}

    def init_strategies(self) -> dict[str, Strategy]:
        """The stock strategies and ours."""
        return {STRATEGY: NoisiestLabelFirst(self.cleanser), **super().init_strategies()}

    def init_scoring_methods(self) -> dict[str, ScoringMethod]:
        """The stock methods and ours."""
        return {KEY: LabelNoiseScoring(self.cleanser), **super().init_scoring_methods()}

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """As in the stock app; the proposals are given the submitted label and what is in doubt about it."""
        image, task = request.get("image"), self._infers.get(request.get("model"))
        if isinstance(task, (LabelCleanserTask, GivenLabelTask)):
            # Ours replace what a request may say: one that names a file must not be answered with what that holds.
            request = {**request, "label": None, "label_info": [], "suspected": [], "one_piece": [], "size_bias": {}}
            if isinstance(image, str):
                store = datastore or self.datastore()
                label = store.get_label_by_image_id(image, TAG)
                queue = review_queue(store, self.cleanser.structures)
                if label:
                    request["label"] = store.get_label_uri(label, TAG)
                    request["label_info"] = store.get_label_info(label, TAG).get("label_info", [])
                request["suspected"] = [doubt.structure for doubt in queue.waiting.get(image, ())]
                request["one_piece"], request["size_bias"] = list(queue.one_piece), dict(queue.size_bias)
        return super().infer(request, datastore)
