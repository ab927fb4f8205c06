"""JSON files that people have written: read in one way, and named with line and column where they are broken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

__all__ = ["read_json"]


def read_json(path: str | os.PathLike) -> Any:
    """The content of a JSON file, in UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    ``NaN`` and ``Infinity``, which JSON has not and pandas writes for what is not known, are read as ``null``.

    Raises:
        ValueError: the file cannot be read, or is no JSON; the message has the file, line and column.
    """
    try:
        return json.loads(Path(path).read_bytes(), parse_constant=lambda _: None)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{path}, line {error.lineno}, column {error.colno}: is no JSON ({error.msg}); mend this place"
        ) from error
    except UnicodeDecodeError as error:
        line, column = _place(error.object, error.start)
        raise ValueError(
            f"{path}, line {line}, column {column}: is no text in {error.encoding.upper()}; save the file as UTF-8"
        ) from error
    except ValueError as error:  # a number of thousands of digits
        raise ValueError(f"{path}: is no JSON ({error})") from error
    except RecursionError as error:
        line, column = _deepest(Path(path).read_bytes())
        raise ValueError(
            f"{path}, line {line}, column {column}: its brackets are nested too deep; expected a list of cases, or "
            "names and values"
        ) from error


def _place(content: bytes, index: int) -> tuple[int, int]:
    """Line and column of a byte."""
    before = content[:index]
    return before.count(b"\n") + 1, index - before.rfind(b"\n")


def _deepest(content: bytes) -> tuple[int, int]:
    """Where brackets are nested most."""
    depth = deepest = at = 0
    for i, byte in enumerate(content):
        if byte in b"[{":
            depth += 1
            if depth > deepest:
                deepest, at = depth, i
        elif byte in b"]}":
            depth -= 1
    return _place(content, at)
