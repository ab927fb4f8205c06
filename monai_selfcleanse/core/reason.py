"""What seems wrong with a suspected label, in words, as its evidence says."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["reason_for"]


def reason_for(evidence: Mapping[str, float], names: Mapping[int, str] | None = None) -> str:
    """The most telling fault of a suspected structure, in words a reviewer understands.

    Args:
        evidence: one structure's values by name, as from :func:`structure_evidence`. Of a label in 2-D, whose area
            stands in for its volume, ``"shifted"`` is said of smaller shifts than of one in 3-D.
        names: names of the structures, for swaps; a number stands for a structure without one.

    Returns:
        ``"missing"``, ``"spurious"``, ``"swapped with ..."``, ``"missing in N slices"``, ``"extra in N slices"``,
        ``"under-drawn"``, ``"over-drawn"``, ``"shifted"`` or ``"border differs"``.
    """
    e = evidence
    if e["given_ml"] == 0:
        return "missing"
    if e["predicted_ml"] == 0:
        return "spurious"
    if e["swapped"] > 0.5:
        other = int(e["swapped_with"])
        return f"swapped with {(names or {}).get(other, other)}"
    # What the prediction adds to the label against what it takes away, both as a share of the larger of the two.
    larger = max(e["given_ml"], e["predicted_ml"])
    lacks, exceeds = e["inside"] * e["predicted_ml"] / larger, e["outside"] * e["given_ml"] / larger
    if lacks > 2 * exceeds:
        return f"missing in {e['missing_slices']:.0f} slices" if e["missing_slices"] >= 2 else "under-drawn"
    if exceeds > 2 * lacks:
        return f"extra in {e['extra_slices']:.0f} slices" if e["extra_slices"] >= 2 else "over-drawn"
    # A ball shifted by s loses a share of 3 s / 4 r of itself: ask whether the shift explains half of what is lost.
    radius = (3e3 * larger / (4 * np.pi)) ** (1 / 3)
    if 0.75 * e["shift_mm"] / radius > 0.5 * exceeds:
        return "shifted"
    return "border differs"
