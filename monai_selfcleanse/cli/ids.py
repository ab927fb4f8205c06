"""Ids on a command line that no config defines: a misspelt option is refused, with the nearest name."""

from __future__ import annotations

import ast
import difflib
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

__all__ = ["check_command_line", "check_ids", "nearest"]

_OF_MONAI = ("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file")
"""What ``monai.bundle run`` takes itself."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean ...?`` with the known name that begins so or is most like this one; empty if none is."""
    known, bare = [*known], name.lstrip("-")
    longer = [one for one in known if len(bare) > 1 and one.lstrip("-").startswith(bare)]
    found = sorted(longer, key=len) or difflib.get_close_matches(name, known, 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""


def check_ids(ids: Iterable[str], config_files: str | Sequence[str]) -> None:
    """See that the configs define what is to be overridden.

    An id with ``#`` (or ``::``) is one of an entry: the entry must be there, its last part may be new, such as an
    argument that has a default. Into an entry that is a reference or an expression, MONAI can set nothing.

    Args:
        ids: the overrides' names.
        config_files: the files, which are laid on one another in this order: a list, or a text with commas.

    Raises:
        ValueError: an id is not defined, or lies in what cannot be set into; the message names it, and the nearest one.
    """
    config = _together(config_files)
    for name in ids:
        parts = re.split("#|::", name.removeprefix("+"))
        here = config
        for i, part in enumerate(parts):
            entries = dict(enumerate(here)) if isinstance(here, list) else here
            if not isinstance(entries, dict):
                raise ValueError(
                    f"--{name}: nothing can be set within {_why_not('#'.join(parts[:i]), here, parts[i:])}"
                )
            entries = {str(key): entry for key, entry in entries.items()}
            if part not in entries:
                if 0 < i == len(parts) - 1 and isinstance(here, dict):
                    break  # an argument that has a default
                known = ["#".join([*parts[:i], key]) for key in entries if not key.startswith("_")]
                wrong = "#".join(parts[: i + 1])
                raise ValueError(f"--{name}: no config defines {wrong!r}{nearest(wrong, known)}")
            here = entries[part]


def _together(config_files: str | Sequence[str]) -> dict[str, Any]:
    """The configs, laid on one another.

    Raises:
        ValueError: a file is none, or sets into what the ones before it do not have; the message names it.
    """
    files = config_files.split(",") if isinstance(config_files, str) else [*config_files]
    for i, file in enumerate(files):
        try:
            if not isinstance(ConfigParser.load_config_file(file), dict):
                raise TypeError("its ids and values must stand in braces")
            together = ConfigParser.load_config_files(files[: i + 1])
        except (ValueError, RecursionError, TypeError) as error:
            raise ValueError(f"{file}: is no config ({error})") from error
        except (KeyError, IndexError) as error:
            raise ValueError(f"{file}: sets into what no config before it has ({error})") from error
    return together


def _why_not(whole: str, entry: Any, rest: Sequence[str]) -> str:
    """Why nothing lies within an entry, and what to do."""
    if isinstance(entry, str) and re.fullmatch(r"@[\w#:]+", entry):
        return f"{whole}, which is {entry}: set {'#'.join([entry[1:], *rest])}"
    return f"{whole}, which is {entry!r}: set it as a whole"


def check_command_line() -> None:
    """See that the command line of ``python -m monai.bundle run`` names what the configs have; else do nothing.

    Raises:
        ValueError: as in :func:`check_ids`, an option has a plain None, which MONAI passes over, or no config defines
            what is to be run.
    """
    if not is_run_by_monai():
        return
    given = dict(_given(sys.argv[2:]))
    if "config_file" not in given:
        return
    files = _files(given["config_file"])
    overrides = {name: value for name, value in given.items() if name not in _OF_MONAI}
    check_ids(overrides, files)
    for name, value in overrides.items():
        if value == "None" and _together(files).get(name, name) is not None:
            raise ValueError(f"--{name} None: MONAI passes over a plain None; give --{name} '$None'")
    first = sys.argv[2]
    _check_run(given.get("run_id", "run" if first.startswith("-") else first), files)


def is_run_by_monai() -> bool:
    """Whether this program is ``python -m monai.bundle run``."""
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    return name.startswith("monai.bundle") and sys.argv[1:2] == ["run"]


def _check_run(run_id: str, files: str | Sequence[str]) -> None:
    """See that the configs have steps of this name.

    Raises:
        ValueError: they have not; the message names the overlay beside them that has, or the nearest name.
    """
    known = _together(files)
    if run_id in known:
        return
    used = [Path(file) for file in (files.split(",") if isinstance(files, str) else files)]
    overlays = [path for path in sorted(used[0].parent.glob("*.json")) if path not in used and _defines(path, run_id)]
    if not overlays:
        names = [name for name, entry in known.items() if isinstance(entry, (str, list))]
        raise ValueError(f"no config defines {run_id!r}, which is to be run{nearest(run_id, names)}")
    together = str([str(path) for path in (*used, overlays[0])])
    raise ValueError(f'{run_id!r} is defined by {overlays[0]}, which is to be laid on: --config_file "{together}"')


def _defines(path: Path, name: str) -> bool:
    try:
        return name in ConfigParser.load_config_file(path)
    except ValueError:  # no JSON
        return False


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
