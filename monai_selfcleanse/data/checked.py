"""What the checks found of cases whose files have not changed since: so that they are not read at every start.

A case is known by its files' paths, sizes and times of their last change, by what it was checked for, and by this
package's version. The file is JSON. One that is damaged, or of another version, counts as empty.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..core.case_id import images_of
from ..files import atomic_path
from ..version import __version__
from .case_check import CaseCheck

__all__ = ["CheckedCases"]

_FORMAT = 1


class CheckedCases:
    """Checks of an earlier start that still hold.

    Args:
        path: the file; None for none.
        structures, ndim: what cases are checked for, see :func:`monai_selfcleanse.data.check_case`.
    """

    def __init__(self, path: str | os.PathLike | None, structures: Sequence[int], ndim: int | None) -> None:
        self.path = None if path is None else Path(path)
        self._for = [_FORMAT, __version__, list(structures), ndim]
        self._found: dict[str, Any] = {}
        if self.path is not None:
            with suppress(OSError, ValueError, TypeError):
                self._found = dict(json.loads(self.path.read_text(encoding="utf-8")))
        self._written = self._found

    def find(self, case: Mapping[str, Any]) -> CaseCheck | None:
        """What is known of a case; None for nothing."""
        try:
            found = self._found[self._key(case) or ""]
            return CaseCheck(
                notes={str(kind): str(note) for kind, note in found["notes"].items()},
                structures={int(k) for k in found["structures"]},
                n_channels=int(found["n_channels"]),
                spacing=tuple(map(float, found["spacing"])),
                spatial=tuple(map(int, found["spatial"])),
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    def note(self, cases: Sequence[Mapping[str, Any]], found: Sequence[CaseCheck]) -> None:
        """Remember which cases are in order, in place of those before."""
        self._found = {}
        for case, one in zip(cases, found, strict=True):
            if not one.problems and (key := self._key(case)) is not None:
                kept = {name: value for name, value in asdict(one).items() if name != "problems"}
                self._found[key] = kept | {"structures": sorted(one.structures)}

    def write(self) -> None:
        """Write down what is remembered, for the next start."""
        if self.path is not None and self._found != self._written:
            with atomic_path(self.path) as part:
                part.write_text(json.dumps(self._found), encoding="utf-8")
            self._written = self._found

    def _key(self, case: Mapping[str, Any]) -> str | None:
        """What a case is known by; None for one whose voxels may lie in files that it does not name."""
        paths = [str(path) for path in (*images_of(case), case["label"])]
        if any(path.lower().endswith(".mhd") for path in paths):
            return None
        try:
            files = [[path, (stat := os.stat(path)).st_size, stat.st_mtime_ns] for path in paths]
        except OSError:
            return None
        return json.dumps([*self._for, list(case.get("values", ())), files])
