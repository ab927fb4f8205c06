"""Cases to leave out: for users who would rather train without a suspect than redraw it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.judgement import Judgement, rows_by_case
from ..files import atomic_path
from .provenance import provenance, write_json
from .tables import write_rows

__all__ = ["EXCLUSION_COLUMNS", "write_exclusion_list"]

EXCLUSION_COLUMNS = ("case", "clean_probability", "structures", "reasons")
"""Columns of ``exclude.csv``; structures and reasons are lists in one cell, joined by ``; ``."""


def write_exclusion_list(directory: str | Path, judgement: Judgement, source: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``exclude.csv`` and ``exclude.json``: the cases with a suspected structure, most suspect first.

    Args:
        directory: the folder; other files in it are left alone.
        judgement: on the labels.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`, whose entries the JSON begins with. Its
            ``cases`` are a list of ``{"case", "clean_probability", "structures": [{"structure", "name", "reason",
            "clean_probability"}]}``.

    Returns:
        The two paths. A case's clean probability is the lowest of its structures.
    """
    cases = [
        {
            "case": case,
            "clean_probability": min(row["clean_probability"] for row in rows),
            "structures": [
                {
                    "structure": row["structure"],
                    "name": row["structure_name"],
                    "reason": row["reason"],
                    "clean_probability": row["clean_probability"],
                }
                for row in rows
            ],
        }
        for case, rows in rows_by_case(judgement.suspects()).items()
    ]
    flat = [
        {
            "case": case["case"],
            "clean_probability": case["clean_probability"],
            "structures": "; ".join(s["name"] for s in case["structures"]),
            "reasons": "; ".join(s["reason"] for s in case["structures"]),
        }
        for case in cases
    ]
    paths = Path(directory) / "exclude.csv", Path(directory) / "exclude.json"
    with atomic_path(paths[0]) as table, atomic_path(paths[1]) as full:
        write_rows(flat, EXCLUSION_COLUMNS, table)
        write_json(provenance(source) | {"cases": cases}, full)
    return paths
