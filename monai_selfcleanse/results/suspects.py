"""What there is to see of each suspected label: its worst slices, with pictures of the most suspect ones."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..cases.case import files_of, label_file_of
from ..cases.store import CaseStore, StoreLike
from ..cases.view import CaseView, view_case
from ..core.case_id import case_of
from ..core.judgement import Judgement, rows_by_case
from .page.pictures import Picture, draw_slices
from .slices import slice_rows
from .words import without_folders

__all__ = ["Suspect", "illustrate_suspects"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suspect:
    """A suspected label: one structure of one case.

    Attributes:
        case, structure: which; the structure has its number in reports.
        file: the label's path within the data set.
        slices: rows of :func:`monai_selfcleanse.results.slice_rows`, worst first.
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


def illustrate_suspects(
    judgement: Judgement, data: Sequence[Mapping[str, Any]], store: StoreLike, n_pictured: int
) -> Iterator[Suspect]:
    """The suspected labels, those of one case together, cases by their most suspect label.

    Files are read when a case's turn comes, and one case is held at a time. An image that cannot be read is logged and
    costs its pictures the image alone.

    Args:
        judgement: on the labels.
        data: the cases' dictionaries, with paths.
        store: folder or store of what the last look saw.
        n_pictured: number of suspects that get pictures, the most suspect ones.

    Raises:
        KeyError: a suspected case is not in ``data``.
    """
    store, by_case = CaseStore.at(store), {case_of(item): item for item in data}
    suspects = judgement.suspects()
    pictured = {(row["case"], row["structure"]) for row in suspects[:n_pictured]}
    redrawn = judgement.by_case(judgement.redrawn)
    index = {number: k for k, number in judgement.numbers.items()}
    for case, rows in rows_by_case(suspects).items():
        if case not in by_case:
            raise KeyError(f"case {case!r} of the report is not in the data list")
        seen = store.read_seen(case, judgement.one_piece, judgement.size_bias)
        view = view_case(by_case[case], seen, redrawn.get(case, ()))
        file = label_file_of(by_case[case])
        image, note = _read_image(view) if any((case, row["structure"]) in pictured for row in rows) else (None, "")
        for row in rows:
            k = row["structure"]
            slices = slice_rows(view, index[k], row["structure_name"], k)
            if (case, k) in pictured:
                worst = [line["slice"] for line in slices[:_SLICES_PICTURED]]
                yield Suspect(case, k, file, slices, draw_slices(view, index[k], worst, image), note)
            else:
                yield Suspect(case, k, file, slices)


def _read_image(view: CaseView) -> tuple[Any, str]:
    if "image" not in view.data:
        return None, ""
    try:
        return view.read_image(), ""
    except Exception as error:  # whatever a file does to us costs a picture, not the report
        logger.warning(f"no picture of case {view.case!r}: its image cannot be read ({error})")
        return None, f"The image cannot be read ({without_folders(str(error), files_of(view.data))})."
