"""Data set in two steps: cases as they were given, and what training makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from monai.data import CacheDataset, Dataset
from monai.transforms import apply_transform

from ..cases import check_unique_cases

__all__ = ["CaseDataset"]


class CaseDataset(Dataset):
    """Cached cases, and a random transform on top.

    MONAI's ``CacheDataset`` caches the deterministic beginning of one transform chain, but does not let anyone see what
    it holds. The label filter needs just that: each case whole, unaugmented and with its *given* label. Here the
    beginning is a data set of its own, :attr:`cases`, so that training and filter share one cache.

    Args:
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases`; ids must be unique.
        transform: deterministic transforms, whose result is cached.
        augmentation: what follows for training; starts with :class:`monai_selfcleanse.transforms.CleansedLabeld`.
        cache_rate: share of the cases held in memory, in [0, 1].

    Attributes:
        cases: the data set of whole cases.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable | Sequence[Callable],
        augmentation: Callable | Sequence[Callable],
        cache_rate: float = 1.0,
    ) -> None:
        check_unique_cases(data)
        self.cases = CacheDataset(data, transform, cache_rate=cache_rate, progress=False)
        super().__init__(self.cases, augmentation)  # type: ignore[arg-type]

    def _transform(self, index: int) -> Any:
        # CacheDataset copies what it holds only ahead of random transforms of its own. Some of MONAI's work in place.
        return apply_transform(self.transform, deepcopy(self.data[index]))
