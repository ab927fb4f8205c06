"""Where an exported file comes from: who made it, when, from which judgement."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from ..core.judgement import Judgement, rows_by_case
from ..version import __version__

__all__ = ["PROVENANCE_FILE", "Kind", "is_export", "judgement_by_case", "provenance", "read_provenance", "write_json"]

PROVENANCE_FILE = "provenance.json"
"""Name of the file in an exported folder."""

_PACKAGE = "monai-selfcleanse"

Kind = Literal["cleansed labels", "corrected labels", "nnU-Net data set"]
"""What an exported folder is."""


def provenance(source: Mapping[str, Any]) -> dict[str, Any]:
    """Package, version, date (UTC, ISO 8601), and what judged the labels.

    Args:
        source: such as ``{"epoch": 60}`` or ``{"model": "models/model.pt"}``; values that JSON holds.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"package": _PACKAGE, "version": __version__, "date": now, **source}


def is_export(kind: Kind) -> Callable[[Path], bool]:
    """What tells whether a folder is an export of some kind by this package, so that a later one may take its place.

    Args:
        kind: of the export. A folder of an older version does not say its kind, and is taken for any but corrected
            labels, which people have worked on.
    """

    def is_one(folder: Path) -> bool:
        found = read_provenance(folder)
        return found is not None and found.get("export", "" if kind == "corrected labels" else kind) == kind

    return is_one


def read_provenance(folder: Path, name: str = PROVENANCE_FILE) -> dict[str, Any] | None:
    """What an export of this package says of itself in a file of a folder; None where there is none."""
    try:
        found = json.loads((folder / name).read_text(encoding="utf-8"))
        return found if found["package"] == _PACKAGE else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def judgement_by_case(judgement: Judgement) -> dict[str, dict[str, Any]]:
    """Each case's structures by name with ``clean_probability``, ``suspected`` and ``redrawn``; most suspect first."""
    return {
        case: {
            row["structure_name"]: {
                "clean_probability": row["clean_probability"],
                "suspected": bool(row["suspected"]),
                "redrawn": bool(row["redrawn"]),
            }
            for row in rows
        }
        for case, rows in rows_by_case(judgement.rows()).items()
    }


def write_json(value: Mapping[str, Any], path: Path) -> None:
    """Write JSON that a person can read, too.

    Raises:
        ValueError: a number is not finite, which JSON does not know.
    """
    path.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
