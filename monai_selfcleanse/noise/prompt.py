"""Labels as the redrawing network is shown them while it is trained: with other faults at each draw."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_dst_type

from ..core.case_id import case_of
from ..core.index_map import index_map
from .array import ElasticLabel, ExtendLabel, PolygonLabel, RotateLabel, ScaleLabel, ShiftLabel, SmoothLabel, SwapLabel
from .models import apply_noise
from .presets import make_annotator

__all__ = ["RandLabelPromptD", "RandLabelPromptDict", "RandLabelPromptd"]

_AS_IT_IS, _BY_ANNOTATOR = 0.15, 0.65
"""Shares of the draws; in the others, structures have one other fault."""

_PRESETS = ("mixed", "boundary", "missing")
_OTHERS = (ShiftLabel, PolygonLabel, ElasticLabel, SmoothLabel, ExtendLabel, ScaleLabel, RotateLabel, SwapLabel)

_HIDDEN = 0.2
"""Chance of a structure not to be shown at all: the image must do, too."""


class RandLabelPromptd(MapTransform, Randomizable):
    """Draw a noisy copy of a label: as it is, by a careless annotator, or with one of the other kinds of label noise.

    Any structure may be missing from it on top of that. This is augmentation, not a data set's label noise: a case has
    other faults each time, and they follow from the transform's own random state.

    Args:
        keys: key of the label, an index map ``(1, *spatial)``, which stays. A voxel counts 1 mm where it is no
            ``MetaTensor``.
        prompt_key: where the copy goes, of the label's type.
        allow_missing_keys: do not raise where the label is missing.

    Raises:
        ValueError: on call, the label is no index map.
    """

    def __init__(
        self, keys: KeysCollection = "label", prompt_key: str = "label_prompt", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"RandLabelPromptd copies one label, got keys {self.keys}")
        self.prompt_key = prompt_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            label = d[key]
            given = index_map(label, f"case {case_of(d)!r}")
            spacing = label.pixdim.tolist() if isinstance(label, MetaTensor) else [1.0] * given.ndim
            prompt = self._with_faults(given, case_of(d), spacing[: given.ndim])
            d[self.prompt_key] = convert_to_dst_type(prompt[None], label, dtype=label.dtype)[0]
        return d

    def _with_faults(self, given: np.ndarray, case: str, spacing: list[float]) -> np.ndarray:
        kind, seed = self.R.random_sample(), int(self.R.randint(2**31 - 1))
        prompt = given.copy()
        if kind >= _AS_IT_IS + _BY_ANNOTATOR:
            noise = _OTHERS[self.R.randint(len(_OTHERS))]()
            generator = np.random.default_rng(seed)
            for structure in np.unique(given[given > 0]).tolist():
                if (record := noise.sample(prompt, structure, spacing, generator)) is not None:
                    prompt = apply_noise(prompt, record, spacing)
        elif kind >= _AS_IT_IS:
            prompt, _ = make_annotator(_PRESETS[self.R.randint(len(_PRESETS))], seed).corrupt(prompt, case, spacing)
        for structure in np.unique(given[given > 0]).tolist():
            if self.R.random_sample() < _HIDDEN:
                prompt[prompt == structure] = 0
        return prompt


RandLabelPromptD = RandLabelPromptDict = RandLabelPromptd
