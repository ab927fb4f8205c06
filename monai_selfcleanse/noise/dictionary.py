"""Dictionary forms of the label noise transforms, for MONAI pipelines."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Hashable, Mapping
from typing import Any, ClassVar

from monai.config import KeysCollection
from monai.transforms import MapTransform

from ..core.case_id import case_of, patient_of
from . import array
from .base import LabelNoise

__all__ = [
    "ContourKnotLabelD", "ContourKnotLabelDict", "ContourKnotLabeld",
    "DilateLabelD", "DilateLabelDict", "DilateLabeld",
    "DropLabelD", "DropLabelDict", "DropLabeld",
    "ElasticLabelD", "ElasticLabelDict", "ElasticLabeld",
    "ErodeLabelD", "ErodeLabelDict", "ErodeLabeld",
    "ExtendLabelD", "ExtendLabelDict", "ExtendLabeld",
    "FalsePositiveLabelD", "FalsePositiveLabelDict", "FalsePositiveLabeld",
    "LabelNoiseD", "LabelNoiseDict", "LabelNoised",
    "MarkovWalkLabelD", "MarkovWalkLabelDict", "MarkovWalkLabeld",
    "PolygonLabelD", "PolygonLabelDict", "PolygonLabeld",
    "RotateLabelD", "RotateLabelDict", "RotateLabeld",
    "ScaleLabelD", "ScaleLabelDict", "ScaleLabeld",
    "ShiftLabelD", "ShiftLabelDict", "ShiftLabeld",
    "SmoothLabelD", "SmoothLabelDict", "SmoothLabeld",
    "SwapLabelD", "SwapLabelDict", "SwapLabeld",
]  # fmt: skip


class LabelNoised(MapTransform):
    """Apply one label noise to keys of a case's dictionary, and record what was done.

    The case's id is ``data["case"]`` where present, else the image's file name (see
    :func:`monai_selfcleanse.core.case_id.case_of`). The record is a JSON text, a list of parameter dictionaries that
    name their ``key``, under ``record_key``; it is appended to what is there, so that transforms can follow one another
    (give two of one class different seeds, or they corrupt the same cases). A case without change has ``"[]"``. The
    voxel size is a ``MetaTensor``'s own; for any other array a voxel counts 1 mm.

    Args:
        keys: keys of the labels, each an index map ``(1, *spatial)``.
        noise: the array transform.
        record_key: where the record goes; None for nowhere.
        patients: if given, only cases of these patients (``data["patient"]``, without it the case's id) are corrupted;
            :func:`monai_selfcleanse.data.noisy_cohort.choose_patients` draws an exact share.
        allow_missing_keys: do not raise where a key is missing.
    """

    def __init__(
        self,
        keys: KeysCollection,
        noise: LabelNoise,
        record_key: str | None = "label_noise",
        patients: Collection[str] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.noise = noise
        self.record_key = record_key
        self.patients = None if patients is None else frozenset(map(str, patients))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        case = case_of(d)
        if self.record_key is not None:
            d.setdefault(self.record_key, "[]")  # of every case, or a batch could not be collated
        if self.patients is not None and patient_of(d) not in self.patients:
            return d
        for key in self.key_iterator(d):
            d[key], records = self.noise.with_records(d[key], case)
            if self.record_key is not None:
                named = [record | {"key": str(key)} for record in records]
                d[self.record_key] = json.dumps(json.loads(d[self.record_key]) + named)
        return d


class _NamedNoised(LabelNoised):
    """Dictionary form of one array transform: ``keys``, that transform's arguments, then :class:`LabelNoised`'s."""

    noise_class: ClassVar[type[LabelNoise]]

    def __init__(
        self,
        keys: KeysCollection,
        *args: Any,
        record_key: str | None = "label_noise",
        patients: Collection[str] | None = None,
        allow_missing_keys: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(keys, self.noise_class(*args, **kwargs), record_key, patients, allow_missing_keys)

    def __init_subclass__(cls) -> None:
        """Write the array transform's arguments into the signature and its description into the docstring."""
        own = inspect.signature(_NamedNoised.__init__).parameters
        noise = list(inspect.signature(cls.noise_class.__init__).parameters.values())[1:]
        after = [own[name] for name in ("record_key", "patients", "allow_missing_keys")]
        cls.__signature__ = inspect.Signature([own["keys"], *noise, *after])  # type: ignore[attr-defined]
        cls.__doc__ = (
            f"Dictionary form of :class:`monai_selfcleanse.noise.{cls.noise_class.__name__}`: ``keys``, then its "
            "arguments, then by name those of :class:`LabelNoised`."
        )


class ErodeLabeld(_NamedNoised):
    noise_class = array.ErodeLabel


class DilateLabeld(_NamedNoised):
    noise_class = array.DilateLabel


class ContourKnotLabeld(_NamedNoised):
    noise_class = array.ContourKnotLabel


class MarkovWalkLabeld(_NamedNoised):
    noise_class = array.MarkovWalkLabel


class PolygonLabeld(_NamedNoised):
    noise_class = array.PolygonLabel


class SmoothLabeld(_NamedNoised):
    noise_class = array.SmoothLabel


class ShiftLabeld(_NamedNoised):
    noise_class = array.ShiftLabel


class RotateLabeld(_NamedNoised):
    noise_class = array.RotateLabel


class ScaleLabeld(_NamedNoised):
    noise_class = array.ScaleLabel


class ElasticLabeld(_NamedNoised):
    noise_class = array.ElasticLabel


class DropLabeld(_NamedNoised):
    noise_class = array.DropLabel


class SwapLabeld(_NamedNoised):
    noise_class = array.SwapLabel


class FalsePositiveLabeld(_NamedNoised):
    noise_class = array.FalsePositiveLabel


class ExtendLabeld(_NamedNoised):
    noise_class = array.ExtendLabel


LabelNoiseD = LabelNoiseDict = LabelNoised
ErodeLabelD = ErodeLabelDict = ErodeLabeld
DilateLabelD = DilateLabelDict = DilateLabeld
ContourKnotLabelD = ContourKnotLabelDict = ContourKnotLabeld
MarkovWalkLabelD = MarkovWalkLabelDict = MarkovWalkLabeld
PolygonLabelD = PolygonLabelDict = PolygonLabeld
SmoothLabelD = SmoothLabelDict = SmoothLabeld
ShiftLabelD = ShiftLabelDict = ShiftLabeld
RotateLabelD = RotateLabelDict = RotateLabeld
ScaleLabelD = ScaleLabelDict = ScaleLabeld
ElasticLabelD = ElasticLabelDict = ElasticLabeld
DropLabelD = DropLabelDict = DropLabeld
SwapLabelD = SwapLabelDict = SwapLabeld
FalsePositiveLabelD = FalsePositiveLabelDict = FalsePositiveLabeld
ExtendLabelD = ExtendLabelDict = ExtendLabeld
