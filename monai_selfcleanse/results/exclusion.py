"""Cases to leave out: for users who would rather train without a suspect than redraw it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.judgement import Judgement, rows_by_case
from ..files import atomic_path
from .provenance import provenance, write_json
from .tables import write_rows

__all__ = ["EXCLUSION_COLUMNS", "exclusions", "write_exclusion_list", "write_exclusions"]

EXCLUSION_COLUMNS = ("case", "clean_probability", "structures", "reasons")
"""Columns of ``exclude.csv``; structures and reasons are lists in one cell, joined by ``; ``."""


def exclusions(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases of some labels, with these labels.

    Args:
        rows: of the labels (:meth:`monai_selfcleanse.core.Judgement.rows`).

    Returns:
        A list of ``{"case", "clean_probability", "structures": [{"structure", "name", "reason",
        "clean_probability"}]}``, in the order of the rows. A case's clean probability is the lowest of its structures.
    """
    return [
        {
            "case": case,
            "clean_probability": min((p for row in own if (p := _known(row)) is not None), default=None),
            "structures": [
                {
                    "structure": row["structure"],
                    "name": row["structure_name"],
                    "reason": row["reason"],
                    "clean_probability": _known(row),
                }
                for row in own
            ],
        }
        for case, own in rows_by_case(rows).items()
    ]


def _known(row: Mapping[str, Any]) -> float | None:
    """A label's clean probability; None where it was not judged, for JSON knows no NaN."""
    return None if math.isnan(row["clean_probability"]) else row["clean_probability"]


def write_exclusion_list(directory: str | Path, judgement: Judgement, source: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``exclude.csv`` and ``exclude.json``: the cases with a suspected structure, most suspect first.

    Args:
        directory: the folder; other files in it are left alone.
        judgement: on the labels.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`, whose entries the JSON begins with. Its
            ``cases`` are those of :func:`exclusions`.

    Returns:
        The two paths.
    """
    return write_exclusions(directory, exclusions(judgement.suspects()), provenance(source))


def write_exclusions(
    directory: str | Path, excluded: Sequence[Mapping[str, Any]], about: Mapping[str, Any]
) -> tuple[Path, Path]:
    """Write ``exclude.csv`` and ``exclude.json`` of some cases.

    Args:
        directory: the folder; other files in it are left alone.
        excluded: the cases, as :func:`exclusions` gives them.
        about: what the JSON begins with.

    Returns:
        The two paths.
    """
    flat = [
        {
            "case": case["case"],
            "clean_probability": case["clean_probability"],
            "structures": "; ".join(s["name"] for s in case["structures"]),
            "reasons": "; ".join(s["reason"] for s in case["structures"]),
        }
        for case in excluded
    ]
    paths = Path(directory) / "exclude.csv", Path(directory) / "exclude.json"
    with atomic_path(paths[0]) as table, atomic_path(paths[1]) as full:
        write_rows(flat, EXCLUSION_COLUMNS, table)
        write_json({**about, "cases": list(excluded)}, full)
    return paths
