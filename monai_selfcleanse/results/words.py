"""What the filter found, in sentences."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..core.judgement import BEYOND_DOUBT, UNANNOTATED
from ..core.mixture import FilterDecision, Verdict

__all__ = [
    "VERDICTS",
    "headline",
    "listing_in_words",
    "one_or_many",
    "reason_in_words",
    "verdict_in_words",
    "without_folders",
]

VERDICTS: Mapping[Verdict, str] = {
    "clean": "labels look clean",
    "too few": "too few cases to tell",
    "not ready": "the network does not know it well enough to judge",
}
"""A few words for the verdicts without suspects, for logs and the closing table; the page has whole sentences
(:func:`verdict_in_words`)."""


def one_or_many(n: int, one: str, many: str) -> str:
    """The words that fit the number."""
    return one if n == 1 else many


def headline(decisions: Iterable[FilterDecision]) -> str:
    """One sentence for a whole data set, from the decisions on its structures."""
    decisions = list(decisions)
    verdicts = {decision.verdict for decision in decisions}
    n = sum(int(decision.suspected.sum()) for decision in decisions)
    if "suspects" in verdicts:
        return f"{n:,} {one_or_many(n, 'label is', 'labels are')} suspected to be wrong."
    if verdicts == {"clean"}:
        return "The labels look clean."
    if "clean" in verdicts:
        return "No label is suspected, but not all structures could be judged."
    return "The labels could not be judged."


def verdict_in_words(decision: FilterDecision) -> str:
    """What the filter says of one structure (:class:`monai_selfcleanse.core.mixture.FilterDecision`), and why."""
    return f"{_verdict(decision)}{_size_bias(decision)}"


def _verdict(decision: FilterDecision) -> str:
    n = int(decision.suspected.sum())
    behind = (
        f"short of the Dice that the network expects, on average by {decision.separation:.2f} Dice more than the others"
    )
    if decision.verdict == "suspects":
        return f"{n:,} {one_or_many(n, 'label stands out. It falls', 'labels stand out. They fall')} {behind}."
    if decision.verdict == "too few":
        return "Too few cases have this structure to tell."
    if decision.verdict == "not ready":
        return "The network agrees with too few labels to judge the others. Train it longer, or use a better one."
    if decision.separation > 0:
        return f"Labels look clean. Those that fit worst fall {behind}. That is too little to suspect them."
    return "Labels look clean. None stands out."


def _size_bias(decision: FilterDecision) -> str:
    """What the scores allow for, as a further sentence or two; empty for nothing."""
    if not decision.size_bias:
        return ""
    off = round(100 * abs(math.expm1(-decision.size_bias)))
    how = "smaller" if decision.size_bias > 0 else "larger"
    return (
        f" The network draws this structure {off} % {how} than likely clean labels have it. The scores allow for that."
    )


def listing_in_words(n_suspects: int, n_pictured: int) -> str:
    """In which order the page lists the labels, and which of them have pictures.

    Args:
        n_suspects: number of suspects.
        n_pictured: number of the most suspect labels that get pictures; may be more than there are suspects.
    """
    if not n_suspects:
        return "No label is suspected. All are listed, those with the lowest clean probability first."
    if n_pictured >= n_suspects:
        pictured = "Every suspect comes with pictures."
    elif n_pictured <= 0:
        pictured = "None comes with pictures."
    else:
        some = f"The {n_pictured:,} most suspect labels come with pictures."
        pictured = one_or_many(n_pictured, "The most suspect label comes with pictures.", some)
    return f"Most suspect first. {pictured}"


def reason_in_words(row: Mapping[str, Any]) -> str:
    """Why a label is suspected or was not judged, from a row of
    :meth:`monai_selfcleanse.core.judgement.Judgement.rows`.

    For a suspect that is not redrawn, it also says why not.
    """
    words = _fault_in_words(row)
    if row["suspected"] and not row["redrawn"]:
        if row["predicted_ml"] == 0 or row["clean_probability"] >= BEYOND_DOUBT:
            why = "it may be clean"
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
        return f"The label has no {name}; the network sees {_amount(row['predicted_ml'], row['missing_slices'])} of it."
    if reason == "spurious":
        return f"The label has {_amount(row['given_ml'], row['extra_slices'])} of {name}; the network sees none."
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


def _amount(ml: float, n_slices: float) -> str:
    """A volume; of an image in 2-D, of which no slice is counted, an area."""
    return f"{ml:.3g} ml" if n_slices else f"{1000 * ml:.3g} mm²"


_START = r"(?<![\w.~-])(?:[A-Za-z]:)?[/\\]"
_QUOTED = re.compile(rf"(?<=['\"]){_START}[^'\"\n]*[/\\](?=[^'\"\n]*['\"])")
"""The folders of an absolute path in quotes, whatever else is in them."""

_BARE = re.compile(rf"{_START}(?:[^/\\:;'\"\n]*[^/\\:;'\"\s][/\\]+|[/\\]+)*")
"""The folders of an absolute path, which may have blanks. Rather words are lost than folders kept."""


def without_folders(text: str, known: Iterable[str | os.PathLike] = ()) -> str:
    """A text whose absolute paths have lost their folders, for a page that may be sent on.

    Args:
        text: such as the message of an error.
        known: paths that may be in it, which are recognised whatever their names have in them.
    """
    folders = {str(folder) for path in known for folder in Path(path).parents if folder.is_absolute()}
    for folder in sorted(folders, key=len, reverse=True):
        if folder != os.sep:
            text = text.replace(folder.rstrip(os.sep) + os.sep, "")
    return _BARE.sub("", _QUOTED.sub("", text))
