"""Careless annotators: which structures of a noisy case get which noise.

A preset is an :class:`Annotator`: it draws one character for the whole case (an annotator who under-draws does so
throughout, Vorontsov & Kadoury, arXiv 2107.02189: networks shrug off unbiased errors and follow biased ones) and then
what happens to each structure. The strengths are Dice to the original, so that a thin myocardium and a large ventricle
suffer alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..core.seeding import case_generator
from .array import DilateLabel, DropLabel, ErodeLabel
from .base import LabelNoise
from .models import NoiseRecord, apply_noise

__all__ = ["PRESETS", "Annotator", "make_annotator"]


class Annotator(LabelNoise):
    """A case's annotator: draws one noise model a structure, with one sign for the whole case.

    Args:
        boundary: weight of a wrong border, in the draw for each structure.
        missing: weight of a missing structure or missing slices.
        untouched: weight of a structure that is left as it is. At least one structure of a case is corrupted, by what
            comes first of a wrong border of the case's sign, one of the other sign, and a missing structure.
        dice: low and high Dice to the original that a wrong border leaves.
        fraction: low and high share of slices that are missed where slices are.
        whole: of what is missing, the share of whole structures; the rest are missing slices.
        erosion: chance that the annotator under-draws; otherwise they over-draw, and structures with no background to
            grow into stay as they are.
        structures, seed: see :class:`LabelNoise`.
    """

    def __init__(
        self,
        boundary: float,
        missing: float,
        untouched: float,
        dice: tuple[float, float],
        fraction: tuple[float, float],
        whole: float = 0.5,
        erosion: float = 0.7,
        structures: Sequence[int] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(structures, 1.0, seed)
        weights = np.array([boundary, missing, untouched], dtype=float)
        if weights.min() < 0 or weights[:2].sum() <= 0:
            raise ValueError(f"weights must be at least 0, and boundary or missing above it, got {weights.tolist()}")
        self.weights = weights
        for name, chance in (("whole", whole), ("erosion", erosion)):
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {chance}")
        self.whole, self.erosion = whole, erosion
        self._erode = ErodeLabel(dice, "dice")
        self._dilate = DilateLabel(dice, "dice")
        self._drop = DropLabel("structure")
        self._drop_slices = DropLabel("slices", fraction)

    def corrupt(self, label: np.ndarray, case: str, spacing: Sequence[float]) -> tuple[np.ndarray, list[NoiseRecord]]:
        generator = case_generator(self.seed, case, type(self).__name__)
        present = [int(v) for v in np.unique(label) if v > 0]
        structures = present if self.structures is None else [s for s in self.structures if s in present]
        if not structures:
            return label.copy(), []
        under_draws = generator.random() < self.erosion
        kinds = generator.choice(3, size=len(structures), p=self.weights / self.weights.sum())
        if (kinds == 2).all():
            active = self.weights[:2] / self.weights[:2].sum()
            kinds[generator.integers(len(structures))] = generator.choice(2, p=active)
        noisy, records = label.copy(), []
        first, second = (self._erode, self._dilate) if under_draws else (self._dilate, self._erode)
        for structure, kind in zip(structures, kinds, strict=True):
            if kind == 2:
                continue
            noise: LabelNoise = first
            if kind == 1:
                noise = self._drop if generator.random() < self.whole else self._drop_slices
            record = noise.sample(noisy, structure, spacing, generator)
            if record is not None:
                noisy = apply_noise(noisy, record, spacing)
                records.append(record)
        for noise, structure in product((first, second, self._drop), generator.permutation(structures).tolist()):
            if records:
                break
            record = noise.sample(noisy, structure, spacing, generator)
            if record is not None:
                noisy = apply_noise(noisy, record, spacing)
                records.append(record)
        return noisy, records

    def sample(
        self, label: np.ndarray, structure: int, spacing: Sequence[float], generator: np.random.Generator
    ) -> NoiseRecord | None:
        raise NotImplementedError("an Annotator draws for a whole case; call corrupt")


_SEVERE = {"dice": (0.4, 0.75), "fraction": (0.3, 0.6), "whole": 0.5}
_MILD = {"dice": (0.75, 0.9), "fraction": (0.15, 0.3), "whole": 0.0}
_KINDS = {
    "boundary": {"boundary": 1.0, "missing": 0.0, "untouched": 0.0},
    "missing": {"boundary": 0.0, "missing": 0.6, "untouched": 0.4},
    "mixed": {"boundary": 0.5, "missing": 0.25, "untouched": 0.25},
}
PRESETS: dict[str, dict] = {
    **{kind: weights | _SEVERE for kind, weights in _KINDS.items()},
    **{f"{kind}_mild": weights | _MILD for kind, weights in _KINDS.items()},
}
"""Arguments of :class:`Annotator` by preset name; the bare names are severe, as benchmarks need."""


def make_annotator(preset: str, seed: int = 0, structures: Sequence[int] | None = None) -> Annotator:
    """The annotator of a preset.

    Raises:
        ValueError: no preset has this name; the message lists those there are.
    """
    if preset not in PRESETS:
        raise ValueError(f"noise_preset {preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    return Annotator(**PRESETS[preset], structures=structures, seed=seed)
