"""Ids on a command line that no config defines: a misspelt option is refused, with the nearest name."""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterable, Sequence

from monai.bundle import ConfigParser

__all__ = ["check_command_line", "check_ids", "nearest"]

_OF_MONAI = ("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file")
"""What ``monai.bundle run`` takes itself."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` with the known name that is most like this one; empty if none is."""
    found = difflib.get_close_matches(name, [*known], 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""


def check_ids(ids: Iterable[str], config_files: str | Sequence[str]) -> None:
    """See that the configs define what is to be overridden.

    An id with ``#`` (or ``::``) is one of an entry: the entry must be there, its last part may be new, such as an
    argument that has a default.

    Args:
        ids: the overrides' names.
        config_files: the files, which are laid on one another in this order: a list, or a text with commas.

    Raises:
        ValueError: an id is not defined; the message names it and the nearest one.
    """
    config = ConfigParser.load_config_files(config_files if isinstance(config_files, str) else [*config_files])
    for name in ids:
        parts = re.split("#|::", name.removeprefix("+"))
        here = config
        for i, part in enumerate(parts[: max(1, len(parts) - 1)]):
            entries = dict(enumerate(here)) if isinstance(here, list) else here
            if not isinstance(entries, dict):
                break  # an expression or a reference: what it holds is not known yet
            entries = {str(key): entry for key, entry in entries.items()}
            if part not in entries:
                known = ["#".join([*parts[:i], key]) for key in entries if not key.startswith("_")]
                wrong = "#".join(parts[: i + 1])
                raise ValueError(f"--{name}: no config defines {wrong!r}{nearest(wrong, known)}")
            here = entries[part]


def check_command_line() -> None:
    """The same for the command line of ``python -m monai.bundle run``; in any other program, nothing.

    Raises:
        ValueError: as in :func:`check_ids`.
    """
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    if not name.startswith("monai.bundle") or "run" not in sys.argv[1:2]:
        return
    given = dict(_given(sys.argv[2:]))
    if "config_file" not in given:
        return
    check_ids([name for name in given if name not in _OF_MONAI], _files(given["config_file"]))


def _given(arguments: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Options and their values, as Fire reads them: ``--name value``, ``--name=value``, dashes for underscores."""
    for i, argument in enumerate(arguments):
        if argument == "--":  # Fire's own follow
            return
        if argument.startswith("--"):
            name, _, value = argument[2:].partition("=")
            yield name.replace("-", "_"), value or next(iter(arguments[i + 1 : i + 2]), "")


def _files(text: str) -> str | list[str]:
    """The config files that an option's text names: one path or several with commas, or a list in Python's words."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        found = text
    return [str(path) for path in found] if isinstance(found, (list, tuple)) else text
