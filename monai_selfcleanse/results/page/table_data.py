"""The data that the page's script draws the table of labels from."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...core.evidence import EVIDENCE
from ...core.judgement import Judgement
from ..suspects import Suspect
from ..tables import short_number
from ..words import reason_in_words
from .pictures import Picture

__all__ = ["json_blocks", "packed"]

_SLICES_NAMED = 6
"""Slices named for a suspect, worst first; slices.csv has all."""


def json_blocks(
    judgement: Judgement, rows: Sequence[Mapping[str, Any]], suspects: Iterable[Suspect], hints: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    """Blocks of JSON, each with the id of its element.

    First comes a block of pictures for each suspect that has some, as its turn comes. The block of the table is last:
    it needs a few words on every suspect.

    Args:
        judgement: on the labels.
        rows: the judgement's rows. The page knows a row by its rank, its index among them.
        suspects: taken one at a time.
        hints: a sentence by case, said of each of its suspects.
    """
    rank_of = {(row["case"], row["structure"]): rank for rank, row in enumerate(rows)}
    details: dict[int, Any] = {}
    for suspect in suspects:
        rank = rank_of[suspect.case, suspect.structure]
        details[rank] = _details(suspect)
        if suspect.pictures:
            yield f"pictures-{rank}", [packed(picture) for picture in suspect.pictures]
    yield "report", _columns(judgement, rows, hints) | {"details": details}


def _details(suspect: Suspect) -> list[Any]:
    slices = [
        [row["slice"], short_number(row["disagreement_mm2"]), short_number(row["dice"]), row["debatable"]]
        for row in suspect.slices[:_SLICES_NAMED]
    ]
    return [suspect.file, len(suspect.slices), slices, suspect.note]


def _columns(judgement: Judgement, rows: Sequence[Mapping[str, Any]], hints: Mapping[str, str]) -> dict[str, Any]:
    """The rows by column. Texts are numbers of a list, so that thousands of cases stay small."""
    cases, case_index = _coded([row["case"] for row in rows])
    reasons, reason_index = _coded([row["reason"] for row in rows])
    structures, structure_index = _coded([row["structure_name"] for row in rows], judgement.names)
    return {
        "cases": cases,
        "case": case_index,
        "structures": structures,
        "structure": structure_index,
        "reasons": reasons,
        "reason": reason_index,
        "suspected": [row["suspected"] for row in rows],
        "words": {rank: words for rank, row in enumerate(rows) if (words := _words(row, hints))},
        "clean_probability": [short_number(row["clean_probability"]) for row in rows],
        "evidence": {
            key: [short_number(row[key]) for row in rows] for key in EVIDENCE if key not in ("swapped_with", "swapped")
        },
    }


def _words(row: Mapping[str, Any], hints: Mapping[str, str]) -> str:
    hint = hints.get(row["case"], "") if row["suspected"] else ""
    return f"{reason_in_words(row)} {hint}".strip()


def _coded(values: Sequence[str], known: Iterable[str] = ()) -> tuple[list[str], list[int]]:
    """The texts that there are, the known ones first, and each value as its index among them."""
    texts = dict.fromkeys([*known, *values])
    number = {text: i for i, text in enumerate(texts)}
    return list(texts), [number[value] for value in values]


def packed(picture: Picture) -> dict[str, Any]:
    """A picture as plain values, its PNG in base 64."""
    return {
        "slice": picture.slice,
        "size": [picture.width, picture.height],
        "aspect": short_number(picture.aspect),
        "edges": picture.edges,
        "png": base64.b64encode(picture.png).decode(),
        "given": picture.given,
        "predicted": picture.predicted,
        "cleansed": picture.cleansed,
    }
