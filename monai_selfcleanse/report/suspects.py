"""What there is to see of each suspected label: its worst slices, with pictures of the most suspect ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..cases import case_of, label_file_of
from ..store import CaseStore
from ..views import CaseView, view_case
from .pictures import Picture, draw_slices
from .rows import structures_by_case
from .slices import slice_rows

__all__ = ["Suspect", "look_at_suspects"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suspect:
    """A suspected label: one structure of one case.

    Attributes:
        case, structure: which.
        file: the label's path within the data set.
        slices: rows of :func:`monai_selfcleanse.report.slice_rows`, worst first.
        pictures: of the worst slices; empty for a suspect that is not pictured.
        note: why the pictures lack the image; empty if they do not.
    """

    case: str
    structure: int
    file: str
    slices: Sequence[Mapping[str, Any]]
    pictures: Sequence[Picture] = ()
    note: str = ""


_SLICES_PICTURED = 3
"""Pictures a suspect, of its worst slices."""


def look_at_suspects(
    data: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
    store: CaseStore,
    n_pictured: int,
) -> Iterator[Suspect]:
    """The suspected labels, those of one case together, cases by their most suspect label.

    Files are read when a case's turn comes, and one case is held at a time. An image that cannot be read is logged and
    costs its pictures the image alone.

    Args:
        data: the cases' dictionaries, with paths.
        rows: of :func:`monai_selfcleanse.report.report_rows`, most suspect first.
        store: where the last sweep is.
        n_pictured: number of suspects that get pictures, the most suspect ones.

    Raises:
        KeyError: a suspected case is not in ``data``.
    """
    by_case = {case_of(item): item for item in data}
    suspects = [row for row in rows if row["suspected"]]
    pictured = {(row["case"], row["structure"]) for row in suspects[:n_pictured]}
    names = {row["structure"]: row["structure_name"] for row in suspects}
    redrawn = structures_by_case(rows, "redrawn")
    for case, structures in structures_by_case(rows, "suspected").items():
        if case not in by_case:
            raise KeyError(f"case {case!r} of the report is not in the data list")
        view = view_case(by_case[case], store.read_seen(case), redrawn.get(case, ()))
        drawn = [k for k in structures if (case, k) in pictured]
        image, note = _read_image(view) if drawn else (None, "")
        for k in structures:
            slices = slice_rows(view, k, names[k])
            pictures = (
                draw_slices(view, k, [row["slice"] for row in slices[:_SLICES_PICTURED]], image) if k in drawn else []
            )
            yield Suspect(case, k, label_file_of(by_case[case]), slices, pictures, note if k in drawn else "")


def _read_image(view: CaseView) -> tuple[Any, str]:
    try:
        return view.read_image(), ""
    except Exception as error:  # whatever a file does to us costs a picture, not the report
        logger.warning(f"no picture of case {view.case!r}: its image cannot be read ({error})")
        return None, f"The image cannot be read ({error})."
