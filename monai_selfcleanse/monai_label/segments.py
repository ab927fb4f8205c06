"""The numbers of a label's segments by their names: 3D Slicer counts segments anew whenever a label is submitted.

With a label, Slicer submits ``label_info``: the name of each segment, and its number in the file. Names are compared by
their letters and digits, in lower case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["SegmentNumbers", "segment_numbers"]


@dataclass(frozen=True)
class SegmentNumbers:
    """Which of a label's numbers is which structure.

    Attributes:
        known: a label's numbers, and the structures of these names.
        unknown: further numbers, and names that are no structure's.
        structures: the network's structures and their names.
    """

    known: Mapping[int, int]
    unknown: Mapping[int, str]
    structures: Mapping[int, str]

    @property
    def changes(self) -> dict[int, int]:
        """The numbers that are another structure's by their names."""
        return {number: k for number, k in sorted(self.known.items()) if number != k}

    def renumber(self, label: np.ndarray) -> np.ndarray:
        """An index map with the structures' numbers. Where no name is known, it is left as it is."""
        out = label
        for number in self._present(label):
            if (k := self._structure(number)) != number:
                out = label.copy() if out is label else out
                out[label == number] = k
        return out

    def mismatches(self, label: np.ndarray) -> list[str]:
        """A line for each segment in an index map whose name is no structure's, or is not given."""
        if not self.known and not self.unknown:
            return []
        return [self._mismatch(number) for number in self._present(label) if number not in self.known]

    def _present(self, label: np.ndarray) -> list[int]:
        return [int(number) for number in np.unique(label) if number]

    def _structure(self, number: int) -> int:
        """The structure of a number: by its name, else itself, unless a name has taken that; then none."""
        return self.known.get(number, 0 if number in self.known.values() else number)

    def _mismatch(self, number: int) -> str:
        name = f"{self.unknown[number]!r}" if number in self.unknown else "without a name in label_info"
        k = self._structure(number)
        taken = f"is taken as {self.structures[k]!r} by its number" if k in self.structures else "counts as background"
        return (
            f"the segment {name} (number {number}) is none of {', '.join(self.structures.values())}; it {taken}; give "
            "it the name of what it shows, and submit the label again"
        )


def segment_numbers(label_info: Any, structures: Mapping[int, str]) -> SegmentNumbers:
    """Read ``label_info`` as Slicer submits it: ``[{"name": "liver", "idx": 1}, ...]``; anything else says nothing.

    Args:
        label_info: from a label's info.
        structures: the network's structures and their names.
    """
    key = _letters if len({_letters(name) for name in structures.values()}) == len(structures) else str.casefold
    by_name = {key(name): k for k, name in structures.items()}
    known: dict[int, int] = {}
    unknown: dict[int, str] = {}
    for entry in label_info if isinstance(label_info, (list, tuple)) else ():
        try:
            name, number = str(entry["name"]), int(entry["idx"])
        except (KeyError, TypeError, ValueError):
            continue
        if key(name) in by_name:
            known[number] = by_name[key(name)]
        else:
            unknown[number] = name
    return SegmentNumbers(known, unknown, structures)


def _letters(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())
