"""What the filter found, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...core.judgement import BEYOND_DOUBT, UNANNOTATED
from ...core.mixture import FilterDecision

__all__ = ["headline", "reason_in_words", "verdict_in_words"]


def headline(decisions: Mapping[int, FilterDecision]) -> str:
    """One sentence for a whole data set, from the decisions by structure."""
    verdicts = {decision.verdict for decision in decisions.values()}
    n = sum(int(decision.suspected.sum()) for decision in decisions.values())
    if "suspects" in verdicts:
        return "1 label is suspected to be wrong." if n == 1 else f"{n} labels are suspected to be wrong."
    if verdicts == {"clean"}:
        return "The labels look clean."
    if "clean" in verdicts:
        return "No label is suspected, but not all structures could be judged."
    return "The labels could not be judged."


def verdict_in_words(decision: FilterDecision) -> str:
    """What the gate says of one structure (:func:`monai_selfcleanse.core.mixture.filter_labels`), and why."""
    n = int(decision.suspected.sum())
    separation = f"{decision.separation:.2f} Dice"
    if decision.verdict == "suspects":
        labels = "1 label stands out: it fits" if n == 1 else f"{n} labels stand out: they fit"
        return (
            f"{labels} the network's prediction worse than the others do, by {separation} more than the network's own "
            "doubts explain."
        )
    if decision.verdict == "too few":
        return "Too few cases have this structure to tell."
    if decision.verdict == "not ready":
        return "The network agrees with too few labels to judge the others: train it longer, or use a better one."
    if decision.separation > 0:
        return (
            f"Labels look clean. Those that fit the prediction worst do so by {separation} more than the network's own "
            "doubts explain, which is too little to hold against them."
        )
    return "Labels look clean: none stands out."


def reason_in_words(row: Mapping[str, Any]) -> str:
    """Why a label is suspected or was not judged, from a row of
    :meth:`monai_selfcleanse.core.judgement.Judgement.rows`.

    Of a suspect that is not redrawn it says that, too.
    """
    words = _fault_in_words(row)
    if row["suspected"] and not row["redrawn"]:
        if row["predicted_ml"] == 0 or row["clean_probability"] >= BEYOND_DOUBT:
            why = "it may be right"
        else:
            why = "the network expects to draw it worse here than where labels are trusted"
        words += f" It is not redrawn: {why}."
    return words


def _fault_in_words(row: Mapping[str, Any]) -> str:
    reason, name = str(row["reason"]), row["structure_name"]
    if not reason:
        return ""
    if reason == UNANNOTATED:
        return f"The label has no {name}, which is taken as not annotated here, and not judged."
    if reason == "missing":
        return f"The label has no {name}; the network sees {row['predicted_ml']:.3g} ml of it."
    if reason == "spurious":
        return f"The label has {row['given_ml']:.3g} ml of {name}; the network sees none."
    if reason.startswith("swapped with"):
        other = reason.removeprefix("swapped with ")
        return f"In {row['swapped']:.0%} of the label's {name} the network sees {other}."
    if reason.startswith("missing in"):
        return f"The network sees {name} in {row['missing_slices']:.0f} slices in which the label has none."
    if reason.startswith("extra in"):
        return f"The label has {name} in {row['extra_slices']:.0f} slices in which the network sees none."
    if reason == "under-drawn":
        return f"{row['inside']:.0%} of the {name} that the network sees is not in the label."
    if reason == "over-drawn":
        return f"{row['outside']:.0%} of the label's {name} lies where the network sees none."
    if reason == "shifted":
        return f"The label's {name} lies {row['shift_mm']:.3g} mm from where the network sees it."
    return (
        f"Borders differ both ways: {row['outside']:.0%} of the label's {name} lies outside of the prediction, and "
        f"{row['inside']:.0%} of the prediction outside of the label."
    )
