"""Labels as the redrawing network is shown them while it is trained: with other faults at each draw."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type

from ..core.case_id import case_of
from ..core.index_map import index_map
from ..core.masks import bounding_box, widened_box
from .array import (
    ElasticLabel,
    ExtendLabel,
    MarkovWalkLabel,
    RotateLabel,
    ScaleLabel,
    ShiftLabel,
    SmoothLabel,
    SwapLabel,
)
from .base import LabelNoise
from .models import apply_noise
from .presets import Annotator, make_annotator

__all__ = ["RandLabelPromptD", "RandLabelPromptDict", "RandLabelPromptd"]

_AS_IT_IS, _BY_ANNOTATOR = 0.15, 0.65
"""Shares of the draws; in the others, structures have one other fault."""

_PRESETS = ("mixed", "boundary", "missing")
_OTHERS = (
    ShiftLabel,
    MarkovWalkLabel,
    ElasticLabel,
    SmoothLabel,
    ExtendLabel,
    ScaleLabel,
    RotateLabel,
    SwapLabel,
)
"""Kinds of label noise that need no optional package."""

_HIDDEN = 0.2
"""Chance of a structure not to be shown at all: the image must do, too."""

_MARGIN_MM = 20.0
"""How far around all structures faults may reach. A large volume takes its structures' time."""


class RandLabelPromptd(Randomizable, MapTransform):
    """Draw a noisy copy of a label: as it is, by a careless annotator, or with one of the other kinds of label noise.

    Any structure may be missing from it on top of that. This is augmentation, not a data set's label noise: a case has
    other faults each time, and they follow from the transform's own random state.

    Args:
        keys: key of the label, an index map ``(1, *spatial)``, which stays. A voxel counts 1 mm where it is no
            ``MetaTensor``.
        prompt_key: where the copy goes, of the label's type.
        allow_missing_keys: do not raise where the label is missing.

    Raises:
        ValueError: there are several keys; on call, the label is no index map.
    """

    def __init__(
        self, keys: KeysCollection = "label", prompt_key: str = "label_prompt", allow_missing_keys: bool = False
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"RandLabelPromptd copies one label, got keys {self.keys}")
        self.prompt_key = prompt_key
        self._noise: LabelNoise | None = None
        self._seed, self._hidden = 0, frozenset[int]()

    def randomize(self, data: np.ndarray) -> None:
        """Draw the fault of a label, an index map."""
        kind, self._seed = self.R.random_sample(), int(self.R.randint(2**31 - 1))
        self._noise = None
        if kind >= _AS_IT_IS + _BY_ANNOTATOR:
            self._noise = _OTHERS[self.R.randint(len(_OTHERS))]()
        elif kind >= _AS_IT_IS:
            self._noise = make_annotator(_PRESETS[self.R.randint(len(_PRESETS))], self._seed)
        structures = np.unique(data[data > 0]).tolist()
        self._hidden = frozenset(k for k in structures if self.R.random_sample() < _HIDDEN)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            label = d[key]
            prompt = index_map(label, f"case {case_of(d)!r}").copy()
            self.randomize(prompt)
            spacing = (label.pixdim.tolist() if isinstance(label, MetaTensor) else [1.0] * 3)[: prompt.ndim]
            if (box := bounding_box(prompt > 0)) is not None and self._noise is not None:
                margin = [math.ceil(_MARGIN_MM / size) for size in spacing]
                near = widened_box(box, margin, prompt.shape)
                prompt[near] = self._with_faults(self._noise, prompt[near], case_of(d), spacing)
            prompt[np.isin(prompt, list(self._hidden))] = 0
            d[self.prompt_key] = convert_to_dst_type(prompt[None], label, dtype=label.dtype)[0]
        return d

    def _with_faults(self, noise: LabelNoise, label: np.ndarray, case: str, spacing: list[float]) -> np.ndarray:
        if isinstance(noise, Annotator):
            return noise.corrupt(label, case, spacing)[0]
        generator = np.random.default_rng(self._seed)
        for structure in np.unique(label[label > 0]).tolist():
            if (record := noise.sample(label, structure, spacing, generator)) is not None:
                label = apply_noise(label, record, spacing)
        return label


RandLabelPromptD = RandLabelPromptDict = RandLabelPromptd
