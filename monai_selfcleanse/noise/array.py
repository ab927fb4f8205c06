"""Label noise as MONAI array transforms: sampling here, application in :mod:`monai_selfcleanse.noise.functional`.

Annotation noise is a property of a case, not an augmentation: what a transform does follows from ``(seed, case id,
name of the transform)`` alone. The transforms therefore carry no ``RandomizableTrait`` and ``CacheDataset`` may cache
them. Each works in two steps, so that noise can be recorded and replayed:

1. :meth:`LabelNoise.sample` looks at the label and draws a list of JSON-able parameter dictionaries, one a change;
2. :func:`apply_noise` carries one such dictionary out, deterministically.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from monai.config import NdarrayOrTensor
from monai.data import MetaTensor
from monai.transforms import Transform
from monai.utils import convert_data_type, convert_to_dst_type

from . import functional as F

__all__ = ["DilateLabel", "DropLabel", "ErodeLabel", "LabelNoise", "apply_noise", "index_map"]

NoiseParams = dict[str, Any]
Unit = Literal["mm", "radius", "dice"]


def apply_noise(label: np.ndarray, params: Mapping[str, Any], spacing: Sequence[float]) -> np.ndarray:
    """Carry one recorded change out on an index map without a channel axis; returns a new array.

    Args:
        label: index map.
        params: as drawn by :meth:`LabelNoise.sample` and written in a manifest; ``model`` names the change.
        spacing: voxel size in mm, one number an axis.

    Raises:
        ValueError: the model is unknown.
    """
    structure, model = int(params["structure"]), params["model"]
    if model in ("erosion", "dilation"):
        change = F.erode_label if model == "erosion" else F.dilate_label
        distance, wobble = float(params["distance_mm"]), float(params["wobble_mm"])
        return change(label, structure, distance, spacing, wobble_mm=wobble, wobble_seed=int(params["wobble_seed"]))
    if model == "drop_structure":
        return F.drop_structure(label, structure)
    if model == "drop_slices":
        return F.drop_slices(label, structure, params["slices"], int(params["axis"]))
    if model == "drop_components":
        return F.drop_components(label, structure, params["components"])
    raise ValueError(f"unknown noise model {model!r}: this version knows erosion, dilation and drop_*")


def index_map(label: NdarrayOrTensor, name: str = "label") -> np.ndarray:
    """The index map of a channel-first label ``(1, *spatial)``, as a numpy integer array without the channel axis.

    Raises:
        ValueError: more than one channel (a one-hot label), values that are negative or not whole, or NaN.
    """
    array = convert_data_type(label, np.ndarray)[0]
    if array.ndim < 3 or array.shape[0] != 1:
        raise ValueError(
            f"{name}: expected a channel-first index map of shape (1, *spatial) with 2 or 3 spatial axes, got "
            f"{tuple(array.shape)}; turn a one-hot label into indices with monai.transforms.AsDiscrete(argmax=True)"
        )
    array = array[0]
    if not np.issubdtype(array.dtype, np.integer) and array.dtype != bool:
        whole = np.rint(array)
        if not np.isfinite(array).all() or not np.allclose(whole, array, rtol=0, atol=1e-3):
            raise ValueError(f"{name}: expected whole numbers (structure indices), got soft or NaN values")
        array = whole.astype(np.int64)
    if array.size and array.min() < 0:
        raise ValueError(f"{name}: expected structure indices of at least 0, got {array.min()}")
    return array


class LabelNoise(Transform):
    """Base of all label noise: one fixed corruption a case.

    Args:
        structures: the values to corrupt; None means every structure found in the label.
        prob: chance of each of these structures to be corrupted, in [0, 1].
        seed: together with the case's id it decides everything.
    """

    def __init__(self, structures: Sequence[int] | None = None, prob: float = 1.0, seed: int = 0) -> None:
        if not 0.0 <= prob <= 1.0:
            raise ValueError(f"prob must lie in [0, 1], got {prob}")
        self.structures = None if structures is None else tuple(int(s) for s in structures)
        self.prob = prob
        self.seed = int(seed)

    @abstractmethod
    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseParams | None:
        """Draw the parameters of one structure's change; None leaves it alone (it is absent or cannot be changed)."""

    def corrupt(self, label: np.ndarray, case: str, spacing: Sequence[float]) -> tuple[np.ndarray, list[NoiseParams]]:
        """Noisy copy of an index map without channel axis, and what was done to it in order."""
        generator = F.case_generator(self.seed, case, type(self).__name__)
        present = [int(v) for v in np.unique(label) if v > 0]
        records: list[NoiseParams] = []
        for structure in present if self.structures is None else self.structures:
            chosen = generator.random() < self.prob
            params = self.sample(label, structure, spacing, generator) if chosen and structure in present else None
            if params is not None:
                label = apply_noise(label, params, spacing)
                records.append(params)
        return label.copy() if not records else label, records

    def __call__(  # type: ignore[override]
        self, img: NdarrayOrTensor, case: str, spacing: Sequence[float] | None = None
    ) -> NdarrayOrTensor:
        """Noisy copy of a channel-first label.

        Args:
            img: index map ``(1, *spatial)``; numpy, torch or ``MetaTensor``, any dtype with whole numbers.
            case: the case's id.
            spacing: voxel size in mm; None takes a ``MetaTensor``'s own, and 1 mm for anything else.

        Returns:
            The same kind, dtype, device and metadata as ``img``, which is not changed.
        """
        return self.with_records(img, case, spacing)[0]

    def with_records(
        self, img: NdarrayOrTensor, case: str, spacing: Sequence[float] | None = None
    ) -> tuple[NdarrayOrTensor, list[NoiseParams]]:
        """As calling the transform, and the list of parameter dictionaries beside it."""
        label = index_map(img)
        if spacing is None:
            spacing = img.pixdim.tolist() if isinstance(img, MetaTensor) else [1.0] * label.ndim
        if len(spacing) < label.ndim or not all(np.isfinite(s) and s > 0 for s in spacing[: label.ndim]):
            raise ValueError(f"case {case!r}: spacing must be {label.ndim} positive numbers in mm, got {spacing}")
        noisy, records = self.corrupt(label, case, [float(s) for s in spacing[: label.ndim]])
        out, *_ = convert_to_dst_type(noisy[None], img, dtype=img.dtype)
        if isinstance(img, torch.Tensor) and not isinstance(img, MetaTensor) and isinstance(out, MetaTensor):
            out = out.as_tensor()
        return out, records


class _ShiftBorder(LabelNoise):
    """What erosion and dilation share: the strength and its units."""

    outwards: bool

    def __init__(
        self,
        strength: float | tuple[float, float] = (0.4, 0.8),
        unit: Unit = "dice",
        wobble: float = 0.1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(structures, prob, seed)
        low, high = (strength, strength) if isinstance(strength, (int, float)) else strength
        if unit not in ("mm", "radius", "dice"):
            raise ValueError(f"unit must be 'mm', 'radius' or 'dice', got {unit!r}")
        if not 0 <= low <= high or (unit == "dice" and not 0 < low <= high <= 1):
            bounds = "in (0, 1]" if unit == "dice" else "of at least 0"
            raise ValueError(f"strength in {unit} must be a number, or a low and a high one, {bounds}, got {strength}")
        if wobble < 0:
            raise ValueError(f"wobble must be at least 0, got {wobble}")
        self.low, self.high, self.unit, self.wobble = float(low), float(high), unit, float(wobble)

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseParams | None:
        strength = float(generator.uniform(self.low, self.high))
        wobble_seed = int(generator.integers(2**31))
        radius = F.inscribed_radius(label, structure, spacing)
        wobble_mm = self.wobble * radius
        if self.unit == "dice":
            distance = F.shift_for_dice(
                label, structure, strength, spacing,
                outwards=self.outwards, wobble_mm=wobble_mm, wobble_seed=wobble_seed,
            )  # fmt: skip
            if distance is None:
                return None
        else:
            distance = strength * (radius if self.unit == "radius" else 1.0)
        return {
            "model": "dilation" if self.outwards else "erosion",
            "structure": structure,
            "distance_mm": distance,
            "wobble_mm": wobble_mm,
            "wobble_seed": wobble_seed,
        }


class ErodeLabel(_ShiftBorder):
    """Under-drawn border: strip a rim off the structure, which becomes background.

    Args:
        strength: one number, or a low and a high one between which each structure of a case draws its own.
        unit: ``"mm"``: width of the rim; ``"radius"``: the same as a fraction of the structure's inscribed radius;
            ``"dice"``: the Dice to the original that is left, met to the voxel (without wobble: as nearly as voxels
            of one distance, which move together, allow).
        wobble: amplitude of the border's smooth irregularity as a fraction of the inscribed radius; 0 for none.
        structures, prob, seed: see :class:`LabelNoise`.

    An absent structure stays absent. At ``"mm"`` or ``"radius"`` a structure may vanish.
    """

    outwards = False


class DilateLabel(_ShiftBorder):
    """Over-drawn border: grow the structure into background; arguments as :class:`ErodeLabel`.

    Other structures never give way. With ``unit="dice"`` a structure that has not enough background around it to reach
    the Dice (a left ventricle within its myocardium, say) is left alone.
    """

    outwards = True


class DropLabel(LabelNoise):
    """Missed annotation: remove a structure, slices at one end of it, or one of its connected components.

    Args:
        what: ``"structure"``: all of it; ``"slices"``: a run of its slices from a random end; ``"components"``: one
            random connected component among those that are not the largest (nothing where there is but one).
        fraction: for ``"slices"``: share of the structure's slices to drop, one number or a low and a high one in
            (0, 1]; at least one slice is dropped.
        axis: the spatial axis along which slices are counted.
        structures, prob, seed: see :class:`LabelNoise`.
    """

    def __init__(
        self,
        what: Literal["structure", "slices", "components"] = "structure",
        fraction: float | tuple[float, float] = (0.25, 0.5),
        axis: int = -1,
        structures: Sequence[int] | None = None,
        prob: float = 1.0,
        seed: int = 0,
    ) -> None:
        super().__init__(structures, prob, seed)
        low, high = (fraction, fraction) if isinstance(fraction, (int, float)) else fraction
        if what not in ("structure", "slices", "components"):
            raise ValueError(f"what must be 'structure', 'slices' or 'components', got {what!r}")
        if not 0 < low <= high <= 1:
            raise ValueError(f"fraction must be a number, or a low and a high one, in (0, 1], got {fraction}")
        self.what, self.low, self.high, self.axis = what, float(low), float(high), axis

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseParams | None:
        del spacing
        if self.what == "structure":
            return {"model": "drop_structure", "structure": structure}
        mask = label == structure
        if self.what == "components":
            n_parts = F.count_components(mask)
            if n_parts < 2:
                return None
            chosen = int(generator.integers(1, n_parts))
            return {"model": "drop_components", "structure": structure, "components": [chosen]}
        axis = self.axis % label.ndim
        (hits,) = np.nonzero(mask.any(axis=tuple(a for a in range(label.ndim) if a != axis)))
        n_drop = max(1, round(float(generator.uniform(self.low, self.high)) * len(hits)))
        run = hits[:n_drop] if generator.random() < 0.5 else hits[-n_drop:]
        return {"model": "drop_slices", "structure": structure, "slices": [int(i) for i in run], "axis": axis}
