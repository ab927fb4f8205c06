"""Problems of many files in few lines: what differs in the file alone is said once."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.case_id import ENDINGS, ending_of
from .listing import UNREAD

__all__ = ["alike", "in_few_lines", "in_one_line"]

_EACH = 3
"""So many lines that differ in the file alone are still shown one by one, since all of these files are then named."""

_WORD = re.compile(r"""[^\s'",:()]+""")
"""A file's name or path, as far as it has no blanks, or another word."""

_ENTRY = re.compile(r".*, entry \d+", re.DOTALL)
"""What lines about a datalist's entry begin with."""


def alike(lines: Sequence[str]) -> list[list[int]]:
    """Lines that differ in the files alone which they name, by their places: groups of four and more.

    The largest comes first. All other lines follow in their order, each in a group of its own.
    """
    groups: dict[str, list[int]] = {}
    for i, line in enumerate(lines):
        groups.setdefault(_without_files(line), []).append(i)
    large = sorted((group for group in groups.values() if len(group) > _EACH), key=len, reverse=True)
    return large + [[i] for i in sorted(set(range(len(lines))).difference(*large))]


def in_few_lines(problems: Sequence[str], most: int = 20) -> list[str]:
    """The problems, those that are :func:`alike` in one line, with the first of their files.

    Args:
        problems: a line each, ``PATH: what is wrong; what to do``.
        most: number of lines; a last one then says how many problems are left.
    """
    groups = alike(problems)
    left = sum(map(len, groups[most:]))
    return [in_one_line(problems, group) for group in groups[:most]] + [f"... and {left} more"] * (left > 0)


def in_one_line(problems: Sequence[str], group: Sequence[int]) -> str:
    """What is said of a group of :func:`alike`."""
    line, n = problems[group[0]], len(group)
    what = "entries" if _ENTRY.fullmatch(line.partition(": ")[0]) else "files"
    return line if n == 1 else f"{n} {what}, such as {line}"


def _without_files(line: str) -> str:
    """What a line says of whatever file."""
    head, colon, rest = line.partition(": ")
    if ending_of(head.removesuffix(" or its label")) or _ENTRY.fullmatch(head):
        head = ""  # even if it has blanks
    return _WORD.sub(_unless_file, head + colon + rest)


def _unless_file(word: re.Match[str]) -> str:
    """A word, or nothing in the place of a file's name, at whose end a sentence's sign may stand."""
    text = word[0].rstrip(".;")
    return word[0][len(text) :] if text.lower().endswith((*ENDINGS, *UNREAD)) else word[0]
