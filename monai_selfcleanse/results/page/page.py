"""``report.html``: the whole report as one page that opens from disk and fetches nothing.

Python computes what the page says (:mod:`.summary`, :mod:`.table_data`, :mod:`monai_selfcleanse.results.words`). The
Jinja2 template ``assets/report.html.j2`` says how it looks. Jinja2 escapes every text, so a name of a file or structure
is never HTML.

The page holds its style and its script, both named by hash in its content security policy. The summary is plain HTML.
The script draws the table of labels from data, one part at a time, so that thousands of cases stay quick.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from ...core.judgement import Judgement
from ..suspects import Suspect
from ..words import headline, listing_in_words
from .summary import figures, panels
from .table_data import json_blocks

__all__ = ["write_page"]


def write_page(
    path: str | Path,
    judgement: Judgement,
    suspects: Iterable[Suspect],
    about: Mapping[str, Any],
    n_pictured: int,
    unreadable: Sequence[tuple[str, str]] = (),
    hints: Mapping[str, str] | None = None,
) -> None:
    """Write the page.

    Args:
        path: the file.
        judgement: on the labels.
        suspects: what to show of each suspected label, in any order. The page takes one at a time and keeps no picture.
        about: what judged the labels, shown as it is: names and plain values.
        n_pictured: number of suspects that get pictures, to be stated.
        unreadable: cases that could not be judged, and why; the case is empty for a problem that belongs to none.
        hints: a sentence by case, said of each of its suspects.
    """
    rows = judgement.rows()
    parts = _template().generate(
        style=_asset("pages.css", "report.css"),
        script=_asset("pages.js", "report.js"),
        headline=headline(judgement.decisions),
        figures=figures(judgement, rows, unreadable),
        panels=panels(judgement),
        about=about,
        unreadable=unreadable,
        listing=listing_in_words(int(np.count_nonzero(judgement.suspected)), n_pictured),
        blocks=json_blocks(judgement, rows, suspects, hints or {}),
    )
    # A name of a file may hold bytes that are no text.
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.writelines(parts)


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template("report.html.j2")


@dataclass(frozen=True)
class _Asset:
    """Files of ours that the page holds, one after the other.

    Attributes:
        text: their text, which is not escaped.
        source: the text's hash, as a content security policy names it.
    """

    text: Markup
    source: Markup


def _asset(*names: str) -> _Asset:
    text = "".join((files(__package__) / "assets" / name).read_text(encoding="utf-8") for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return _Asset(Markup(text), Markup(f"'sha256-{digest}'"))
