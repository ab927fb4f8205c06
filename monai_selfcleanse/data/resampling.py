"""Whether images fit into memory once they are resampled."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .case_check import CaseCheck

__all__ = ["Resampling"]


@dataclass(frozen=True)
class Resampling:
    """What becomes of images in memory.

    Attributes:
        spacing: voxel size in mm that they are resampled to; -1 keeps an axis as it is.
        cache_rate: share of the cases that is held in memory.
        memory: bytes that there are; None for the machine's.
        classes: how many classes a network predicts, one case at a time; 0: none predicts.
    """

    spacing: Sequence[float]
    cache_rate: float = 1.0
    memory: int | None = None
    classes: int = 0

    def too_large(self, found: Mapping[str, CaseCheck]) -> list[str]:
        """A line where the images do not fit into the memory; the first is of the largest one.

        Args:
            found: what was found of each case, by its label's file.
        """
        memory = _memory() if self.memory is None else self.memory
        held = {path: self._voxels(one) * 4 * (one.n_channels + 1) for path, one in found.items()}
        largest = max(held, key=lambda path: held[path], default=None)
        if largest is None or memory is None:
            return []
        voxels = self._voxels(found[largest])
        # where MONAI takes each voxel from, while it resamples; or what a network says, and its probabilities
        at_once = voxels * max(24, 8 * self.classes)
        needed = held[largest] + at_once + self.cache_rate * sum(held.values())
        if needed <= memory:
            return []
        sizes = " x ".join(map(str, found[largest].spatial)), " x ".join(f"{s:.3g}" for s in found[largest].spacing)
        whose = f"and the {len(found)} cases take" if self.cache_rate else "which take"
        remedy = f", or hold fewer cases with --cache_rate (now {self.cache_rate})" if self.cache_rate else ""
        return [
            f"{largest}: with spacing {list(self.spacing)} its {sizes[0]} voxels of {sizes[1]} mm become "
            f"{voxels:,.0f}, {whose} {needed / 1e9:,.1f} GB, where the machine has {memory / 1e9:,.1f} GB: give a "
            f"larger --spacing{remedy}"
        ]

    def _voxels(self, one: CaseCheck) -> float:
        axes = zip(one.spatial, one.spacing, self.spacing, strict=False)
        return math.prod(max(1.0, n * size / wanted) if wanted > 0 else n for n, size, wanted in axes)


def _memory() -> int | None:
    """Bytes of memory for this process, by the machine, its container and its shell; None where none of them says."""
    known = []
    with suppress(ImportError, OSError, ValueError):
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit

        known += [limit for limit in getrlimit(RLIMIT_AS) if limit != RLIM_INFINITY]
    with suppress(AttributeError, OSError, ValueError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError):  # "max" where there is no limit
        known.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(known) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) if known else None
