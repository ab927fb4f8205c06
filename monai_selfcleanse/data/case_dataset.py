"""Data set in two steps: cases as they were given, and what training makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from monai.data import CacheDataset, Dataset
from monai.transforms import Randomizable, apply_transform

from ..cases.case import check_unique_cases
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of

__all__ = ["CaseDataset"]


class CaseDataset(Dataset):
    """Cached cases, and a random transform on top.

    MONAI's ``CacheDataset`` caches the deterministic beginning of one transform chain, but does not let anyone see what
    it holds. The label filter needs just that: each case whole, unaugmented and with its *given* label. Here the
    beginning is a data set of its own, :attr:`cases`, so that training and filter share one cache.

    A case that the label cleanser has left out for the time being hands its place in the epoch to one of the others,
    drawn anew each time, so that an epoch has as many steps as ever. (Of a data set all of whose cases are left out, a
    rank's own share say, they stay, and weigh nothing.) The draws follow the data set's seed
    (``monai.data.set_rnd``, which MONAI's ``DataLoader`` and :class:`monai_selfcleanse.handlers.EpochSeeder` call).

    Args:
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases.case`; ids must be unique.
        transform: deterministic transforms, whose result is cached.
        augmentation: what follows for training; starts with :class:`monai_selfcleanse.transforms.CleansedLabeld`.
        cache_rate: share of the cases held in memory, in [0, 1].
        store: the label cleanser's folder or store; None where nothing is ever left out.

    Attributes:
        cases: the data set of whole cases.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable | Sequence[Callable],
        augmentation: Callable | Sequence[Callable],
        cache_rate: float = 1.0,
        store: StoreLike | None = None,
    ) -> None:
        check_unique_cases(data)
        self.cases = CacheDataset(data, transform, cache_rate=cache_rate, progress=False)
        super().__init__(self.cases, augmentation)  # type: ignore[arg-type]
        self._substitutes = _Substitutes([case_of(item) for item in data], CaseStore.at(store))

    def _transform(self, index: int) -> Any:
        # CacheDataset copies what it holds only ahead of random transforms of its own. Some of MONAI's work in place.
        place = range(len(self.data))[index]  # an index from the end is counted from the start
        return apply_transform(self.transform, deepcopy(self.data[self._substitutes.of(place)]))


class _Substitutes(Randomizable):
    """Who is trained on in the place of a case that is left out."""

    def __init__(self, cases: Sequence[str], store: CaseStore | None) -> None:
        self.cases, self.store = cases, store
        self.version, self.left_out, self.others = 0, frozenset[int](), list(range(len(cases)))

    def of(self, index: int) -> int:
        """The case's own index, or that of one that is not left out."""
        if self.store is not None and self.store.version != self.version:
            self.version = self.store.version
            names = self.store.read_left_out(self.version)
            self.left_out = frozenset(i for i, case in enumerate(self.cases) if case in names)
            self.others = [i for i in range(len(self.cases)) if i not in self.left_out]
        if index in self.left_out and self.others:
            return self.others[self.R.randint(len(self.others))]
        return index
