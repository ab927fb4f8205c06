"""``report.html``: the whole report as one page that opens from disk and fetches nothing.

The page holds its style and its script (``assets/``), both named by hash in its content security policy. The summary is
plain HTML; the table of labels is drawn from data by the script, a part at a time, so that thousands of cases stay
quick. Texts that come from the user (names of files and structures) are escaped in the summary, and reach the table as
text, never as HTML.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ...core.evidence import EVIDENCE
from ...core.judgement import UNANNOTATED, Judgement
from ...core.mixture import FilterDecision
from ..suspects import Suspect
from .histogram import histogram_svg
from .pictures import Picture
from .words import headline, reason_in_words, verdict_in_words

__all__ = ["write_page"]

_TITLE = "Label report"

_SLICES_NAMED = 6
"""Slices named for a suspect, worst first; slices.csv has all."""


def write_page(
    path: str | Path,
    judgement: Judgement,
    suspects: Iterable[Suspect],
    about: Mapping[str, Any],
    n_pictured: int,
    unreadable: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the page.

    Args:
        path: the file.
        judgement: on the labels.
        suspects: what to show of each suspected label, in any order; taken one at a time, and not kept.
        about: what judged the labels, shown as it is: names and plain values.
        n_pictured: number of suspects that get pictures, to be stated.
        unreadable: cases that could not be judged, and why.
    """
    rows = judgement.rows()
    decisions = dict(zip(judgement.structures, judgement.decisions, strict=True))
    names, provenance = judgement.by_name, about
    rank_of = {(row["case"], row["structure"]): rank for rank, row in enumerate(rows)}
    style, script = _asset("report.css"), _asset("report.js")
    with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(_head(style, script))
        file.write(_summary(rows, names, decisions, provenance, unreadable))
        file.write(_table(rows, n_pictured))
        details: dict[int, Any] = {}
        for suspect in suspects:
            rank = rank_of[suspect.case, suspect.structure]
            slices = [
                [s["slice"], _short(s["disagreement_mm2"]), _short(s["dice"]), s["debatable"]]
                for s in suspect.slices[:_SLICES_NAMED]
            ]
            details[rank] = [suspect.file, len(suspect.slices), slices, suspect.note]
            if suspect.pictures:
                file.write(_data(f"pictures-{rank}", [_packed(picture) for picture in suspect.pictures]))
        file.write(_data("report", _columns(rows, names) | {"details": details}))
        file.write(f"<script>{script}</script>\n</body>\n</html>\n")


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _head(style: str, script: str) -> str:
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; "
        "form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_TITLE}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
"""


def _summary(
    rows: Sequence[Mapping[str, Any]],
    names: Mapping[int, str],
    decisions: Mapping[int, FilterDecision],
    provenance: Mapping[str, Any],
    unreadable: Sequence[tuple[str, str]],
) -> str:
    n_suspected = sum(row["suspected"] for row in rows)
    judged = sum(not math.isnan(row["score"]) for row in rows)
    affected = len({row["case"] for row in rows if row["suspected"]})
    figures = [
        (len({row["case"] for row in rows}), "cases"),
        (judged, "labels judged"),
        (n_suspected, f"labels suspected ({n_suspected / max(judged, 1):.0%})"),
        (affected, "cases with a suspected label"),
    ]
    unannotated = sum(row["reason"] == UNANNOTATED for row in rows)
    figures += [
        (n, words)
        for n, words in (
            (unannotated, "not annotated, not judged"),
            (len(rows) - judged - unannotated, "in neither label nor prediction, not judged"),
            (len(unreadable), "cases that could not be judged"),
        )
        if n
    ]
    tiles = "".join(f"<li><strong>{n:,}</strong> {html.escape(words)}</li>" for n, words in figures)
    about = "".join(f"<dt>{html.escape(str(k))}</dt><dd>{html.escape(str(v))}</dd>" for k, v in provenance.items())
    listed = "".join(f"<dt>{html.escape(case)}</dt><dd>{html.escape(reason)}</dd>" for case, reason in unreadable)
    not_judged = (
        f'<details class="about"><summary>Cases that could not be judged</summary><dl>{listed}</dl></details>'
        if unreadable
        else ""
    )
    panels = []
    for structure, name in names.items():
        own = [row for row in rows if row["structure"] == structure]
        scores = np.array([row["score"] for row in own], dtype=np.float64)
        suspected = np.array([row["suspected"] for row in own], dtype=bool)
        panels.append(
            f"<section class='panel'><h3>{html.escape(name)}</h3>"
            f"<p>{html.escape(verdict_in_words(decisions[structure]))}</p>"
            f"{histogram_svg(name, scores, suspected, decisions[structure])}</section>"
        )
    return f"""<header>
<h1>{_TITLE}</h1>
<p class="headline">{html.escape(headline(decisions))}</p>
<ul class="figures">{tiles}</ul>
</header>
<main>
<section aria-labelledby="structures"><h2 id="structures">Structures</h2>
<p class="legend"><span class="key bar-kept"></span> not suspected <span class="key bar-suspected"></span> suspected
<span class="key line clean"></span> clean component <span class="key line noisy"></span> noisy component
<span class="key line threshold"></span> threshold. A score says how many times as
much label and prediction disagree as the network expects; those far above a clean
label's, if any, stand together at the right end (≥).</p>
<div class="panels">{"".join(panels)}</div>
<details class="about"><summary>What judged these labels</summary><dl>{about}</dl></details>
{not_judged}</section>
"""


def _table(rows: Sequence[Mapping[str, Any]], n_pictured: int) -> str:
    n_suspected = sum(row["suspected"] for row in rows)
    pictured = min(n_pictured, n_suspected)
    if not n_suspected:
        about = "No label is suspected; all are listed, the worst fitting first."
    elif pictured == n_suspected:
        about = "Most suspect first. Every suspect comes with pictures."
    else:
        about = f"Most suspect first. The {pictured:,} most suspect labels come with pictures."
    columns = (
        ("rank", "#", "rank, 1 for the most suspect label"),
        ("case", "case", "the case's id; opens evidence and pictures"),
        ("structure", "structure", "the structure judged"),
        ("reason", "reason", "the most telling fault of a suspected label"),
        ("clean_probability", "clean", "clean probability, 1 for a clean label"),
        ("score", "score", "how many times as much label and prediction disagree as the network expects"),
        ("dice", "Dice", "overlap of label and prediction"),
        ("expected_dice", "expected", "the Dice that the network expects of its own prediction"),
        ("given_ml", "given ml", "volume in the given label"),
        ("predicted_ml", "network ml", "volume in the network's prediction"),
    )
    heads = "".join(
        f'<th scope="col" data-key="{key}"><button type="button" title="{hint}; press to sort">{text}</button></th>'
        for key, text, hint in columns
    )
    boxes = "".join(
        f'<label><input type="checkbox" checked data-layer="{layer}">'
        f'<span class="key line {layer}"></span>{text}</label>'
        for layer, text in (
            ("given", "given label"),
            ("predicted", "network"),
            ("cleansed", "cleansed label"),
            ("image", "image"),
        )
    )
    return f"""<section aria-labelledby="labels"><h2 id="labels">Labels</h2>
<p>{about} Slices count from 0 along the last axis of the label's file.</p>
<noscript><p class="warning">Your browser runs no scripts here: label_report.csv and slices.csv, beside this file, hold
the list.</p></noscript>
<form class="tools" role="search" aria-label="Filter the labels">
<label>Find case <input type="search" id="text" autocomplete="off" spellcheck="false"></label>
<label>Structure <select id="structure"><option value="">all</option></select></label>
<label>Reason <select id="reason"><option value="">all</option></select></label>
<label class="tick"><input type="checkbox" id="suspected"> suspected only</label>
<fieldset><legend>Show</legend>{boxes}</fieldset>
</form>
<div class="bar"><p id="status" role="status"></p>
<div class="buttons"><button type="button" id="all" aria-pressed="false">Open all on this page</button>
<button type="button" id="previous">Previous</button><button type="button" id="next">Next</button></div></div>
<div class="scroll" tabindex="0" role="region" aria-labelledby="labels">
<table><thead><tr>{heads}</tr></thead><tbody id="rows"></tbody></table>
</div>
<p class="help">Keys: Tab reaches every control; up and down arrows move between rows, Enter opens and closes one.</p>
</section>
</main>
"""


def _columns(rows: Sequence[Mapping[str, Any]], names: Mapping[int, str]) -> dict[str, Any]:
    """The rows by column, texts as numbers of a list, so that thousands of cases stay small."""
    cases, case_index = _coded([row["case"] for row in rows])
    reasons, reason_index = _coded([row["reason"] for row in rows])
    structures, structure_index = _coded([row["structure_name"] for row in rows], names.values())
    return {
        "cases": cases,
        "case": case_index,
        "structures": structures,
        "structure": structure_index,
        "reasons": reasons,
        "reason": reason_index,
        "suspected": [int(row["suspected"]) for row in rows],
        "words": {rank: words for rank, row in enumerate(rows) if (words := reason_in_words(row))},
        "clean_probability": [_short(row["clean_probability"]) for row in rows],
        "evidence": {
            key: [_short(row[key]) for row in rows] for key in EVIDENCE if key not in ("swapped_with", "swapped")
        },
    }


def _coded(values: Sequence[str], known: Iterable[str] = ()) -> tuple[list[str], list[int]]:
    texts = dict.fromkeys([*known, *values])
    number = {text: i for i, text in enumerate(texts)}
    return list(texts), [number[value] for value in values]


def _short(value: float) -> float | None:
    """Four digits; None, which JSON has, for NaN."""
    if math.isnan(value):
        return None
    short = float(f"{value:.4g}")
    return int(short) if short.is_integer() else short


def _packed(picture: Picture) -> dict[str, Any]:
    return {
        "slice": picture.slice,
        "size": [picture.width, picture.height],
        "aspect": _short(picture.aspect),
        "edges": picture.edges,
        "png": base64.b64encode(picture.png).decode(),
        "given": picture.given,
        "predicted": picture.predicted,
        "cleansed": picture.cleansed,
    }


def _data(name: str, value: Any) -> str:
    """A block of JSON that a script element may hold: ``<`` could end the element, and JSON can do without it."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'
