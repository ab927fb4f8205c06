"""Dictionary forms of the label noise transforms, for MONAI pipelines."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal

from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..cases import case_of
from .array import DilateLabel, DropLabel, ErodeLabel, LabelNoise, Unit

__all__ = [
    "DilateLabelD", "DilateLabelDict", "DilateLabeld",
    "DropLabelD", "DropLabelDict", "DropLabeld",
    "ErodeLabelD", "ErodeLabelDict", "ErodeLabeld",
    "LabelNoised",
]  # fmt: skip


class LabelNoised(MapTransform):
    """Apply one label noise to keys of a case's dictionary, and record what was done.

    The case's id is ``data["case"]`` where present, else the image's file name (see
    :func:`monai_selfcleanse.cases.case_of`). The record is a JSON text, a list of parameter dictionaries, under
    ``record_key``; it is appended to what is there, so that transforms can follow one another.

    Args:
        keys: keys of the labels, each an index map ``(1, *spatial)``.
        noise: the array transform.
        record_key: where the record goes; None for nowhere.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        noise: LabelNoise,
        record_key: str | None = "label_noise",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.noise = noise
        self.record_key = record_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        case = case_of(d)
        for key in self.key_iterator(d):
            d[key], records = self.noise.with_records(d[key], case)
            if self.record_key is not None:
                d[self.record_key] = json.dumps(json.loads(d.get(self.record_key, "[]")) + records)
        return d


class ErodeLabeld(LabelNoised):
    """Dictionary form of :class:`monai_selfcleanse.noise.ErodeLabel`."""

    def __init__(
        self,
        keys: KeysCollection,
        strength: float | tuple[float, float] = (0.4, 0.8),
        unit: Unit = "dice",
        wobble: float = 0.1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        record_key: str | None = "label_noise",
        allow_missing_keys: bool = False,
    ) -> None:
        noise = ErodeLabel(strength, unit, wobble, structures, prob, seed)
        super().__init__(keys, noise, record_key, allow_missing_keys)


class DilateLabeld(LabelNoised):
    """Dictionary form of :class:`monai_selfcleanse.noise.DilateLabel`."""

    def __init__(
        self,
        keys: KeysCollection,
        strength: float | tuple[float, float] = (0.4, 0.8),
        unit: Unit = "dice",
        wobble: float = 0.1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        record_key: str | None = "label_noise",
        allow_missing_keys: bool = False,
    ) -> None:
        noise = DilateLabel(strength, unit, wobble, structures, prob, seed)
        super().__init__(keys, noise, record_key, allow_missing_keys)


class DropLabeld(LabelNoised):
    """Dictionary form of :class:`monai_selfcleanse.noise.DropLabel`."""

    def __init__(
        self,
        keys: KeysCollection,
        what: Literal["structure", "slices", "components"] = "structure",
        fraction: float | tuple[float, float] = (0.25, 0.5),
        axis: int = -1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
        record_key: str | None = "label_noise",
        allow_missing_keys: bool = False,
    ) -> None:
        noise = DropLabel(what, fraction, axis, structures, prob, seed)
        super().__init__(keys, noise, record_key, allow_missing_keys)


LabelNoiseD = LabelNoiseDict = LabelNoised
ErodeLabelD = ErodeLabelDict = ErodeLabeld
DilateLabelD = DilateLabelDict = DilateLabeld
DropLabelD = DropLabelDict = DropLabeld
