"""``label_report.csv``: a row a case and structure, most suspect first."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..scoring import EVIDENCE, reason_for

__all__ = ["REPORT_COLUMNS", "UNANNOTATED", "report_rows", "structures_by_case", "write_rows"]

REPORT_COLUMNS = (
    "case",
    "structure",
    "structure_name",
    "clean_probability",
    "suspected",
    "redrawn",
    "reason",
    *EVIDENCE,
)
"""Columns of ``label_report.csv``; the evidence is explained in :mod:`monai_selfcleanse.scoring`."""

UNANNOTATED = "not annotated"
"""In place of a reason, where a partial label lacks the structure."""


def report_rows(
    cases: Sequence[str],
    names: Mapping[int, str],
    evidence: Mapping[str, np.ndarray],
    clean_probability: np.ndarray,
    suspected: np.ndarray,
    redrawn: np.ndarray,
    partial_labels: bool = False,
) -> list[dict[str, Any]]:
    """One row a case and structure, most suspect first.

    Args:
        cases: the ``n`` ids.
        names: the ``K`` structures and their names, in the arrays' order.
        evidence: arrays ``(n, K)`` by name, all of :data:`monai_selfcleanse.scoring.EVIDENCE`.
        clean_probability: ``(n, K)`` in [0, 1].
        suspected: ``(n, K)`` bool.
        redrawn: ``(n, K)`` bool, the suspects that cleansed labels have redrawn.
        partial_labels: give labels that were not judged, for they lack the structure, the reason :data:`UNANNOTATED`.

    Returns:
        Dictionaries with :data:`REPORT_COLUMNS` as keys.
    """
    rows = []
    for i, case in enumerate(cases):
        for j, (structure, name) in enumerate(names.items()):
            values = {key: float(evidence[key][i, j]) for key in EVIDENCE}
            reason = reason_for(values, names) if suspected[i, j] else ""
            if partial_labels and np.isnan(values["score"]):
                reason = UNANNOTATED
            rows.append(
                {
                    "case": case,
                    "structure": structure,
                    "structure_name": name,
                    "clean_probability": float(clean_probability[i, j]),
                    "suspected": int(suspected[i, j]),
                    "redrawn": int(redrawn[i, j]),
                    "reason": reason,
                    **values,
                }
            )
    return sorted(rows, key=lambda row: (row["clean_probability"], -np.nan_to_num(row["score"]), row["case"]))


def structures_by_case(rows: Iterable[Mapping[str, Any]], mark: str) -> dict[str, list[int]]:
    """The structures whose rows have a mark, ``"suspected"`` or ``"redrawn"``, by case.

    Cases and structures come in the rows' order; cases without any are left out.
    """
    out: dict[str, list[int]] = {}
    for row in rows:
        if row[mark]:
            out.setdefault(row["case"], []).append(row["structure"])
    return out


def write_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: str | Path) -> None:
    """Write rows as CSV; numbers keep six digits, so that probabilities keep their order."""
    with open_csv(path) as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(map(rounded, rows))


def open_csv(path: str | Path) -> TextIO:
    """Open a CSV file for writing. File names that are no text are written as the bytes that they are."""
    return open(path, "w", newline="", encoding="utf-8", errors="surrogateescape")


def rounded(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its numbers to six digits, as text."""
    return {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
