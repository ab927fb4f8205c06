"""The addresses of a review, and what each answers.

======== ================================= ============================================================================
method   address                           answer
======== ================================= ============================================================================
GET      ``/``, ``/assets/NAME``           the page and its files
GET      ``/api/table``                    the labels, as :attr:`monai_selfcleanse.review.session.Review.table`
GET      ``/api/decisions?version=V``      the decisions in force; 204 where they are still those of version V
POST     ``/api/decisions``                writes one: ``label``, ``decision``, ``note``, ``seen``; 409 in a conflict
GET      ``/api/labels/N``                 what there is to show: shape, channels, an edited label
GET      ``/api/labels/N/slices``          its slices that differ most
GET      ``/api/labels/N/overlay.nii.gz``  its overlays
GET      ``/api/labels/N/pictures``        pictures of its slices
GET      ``/api/labels/N/drawing``         the label to draw on: a byte a voxel, in the order of the label's file
PUT      ``/api/labels/N/drawing``         writes what was drawn, packed with gzip, with what it began from; 409 in a
                                           conflict
GET      ``/api/cases/N/image.nii``        a channel of its image, or ``image.nii.gz``
======== ================================= ============================================================================

What is asked of files runs in threads, volumes in threads of their own, so that decisions are answered meanwhile; 503
says that another case was asked for since. What goes wrong is answered with
``{"error": one line}``.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

from anyio import CapacityLimiter, to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ..bad_input import printable
from ..results import page
from .edits import Basis, Edits, UndecidedError, unpacked
from .guard import Application, Guard
from .session import ConflictError, Review, SupersededError, UnknownError
from .volumes import LAYERS, Volumes

__all__ = ["make_app"]

logger = logging.getLogger(__name__)

_ASSETS = {
    "review.css": __package__,
    "review.js": __package__,
    "viewer.js": __package__,
    "niivue/niivue.umd.js": __package__,
    "pages.css": page.__name__,  # which the report has, too
    "pages.js": page.__name__,
}
"""The page's files, and the package of each."""

_BINARY = "application/octet-stream"

_MOST = 1 << 16
"""Bytes of a decision that is sent."""

_AT_ONCE = 32
"""Requests about volumes that are at work, or wait for those, at once."""


def make_app(review: Review, port: int, token: str) -> Application:
    """The ASGI application of a review.

    Args:
        review: the review.
        port: on which the server listens.
        token: what each request must know.
    """
    answers = _Answers(review, token)
    routes = [
        Route("/", answers.page),
        Route("/assets/{name:path}", answers.asset),
        Route("/api/table", answers.table),
        Route("/api/decisions", answers.decisions),
        Route("/api/decisions", answers.decide, methods=["POST"]),
        Route("/api/labels/{label:int}", answers.facts),
        Route("/api/labels/{label:int}/slices", answers.slowly(answers.slices)),
        Route("/api/labels/{label:int}/overlay.nii.gz", answers.slowly(answers.overlay)),
        Route("/api/labels/{label:int}/pictures", answers.slowly(answers.pictures)),
        Route("/api/labels/{label:int}/drawing", answers.slowly(answers.drawing)),
        Route("/api/labels/{label:int}/drawing", answers.save, methods=["PUT"]),
        Route("/api/cases/{case:int}/image.nii", answers.slowly(answers.image)),
        Route("/api/cases/{case:int}/image.nii.gz", answers.slowly(answers.image)),
    ]
    failures: list[Any] = [*(kind for kind, _ in _STATUS), HTTPException]
    return Guard(Starlette(routes=routes, exception_handlers=dict.fromkeys(failures, _said)), port, token)


class _Answers:
    """What the addresses answer. Plain functions run in threads (Starlette sees to it)."""

    def __init__(self, review: Review, token: str) -> None:
        self.review, self.token = review, token
        self.volumes = Volumes(review)
        self.edits = Edits(review, self.volumes)
        self._limiter = CapacityLimiter(_AT_ONCE)

    def slowly(self, answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
        """An answer that may have to wait for others of its kind, and keeps no thread from the other answers."""

        async def answered(request: Request) -> Response:
            return await to_thread.run_sync(answer, request, limiter=self._limiter)

        return answered

    def page(self, request: Request) -> Response:
        environment = Environment(
            loader=PackageLoader(__package__, "assets"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        html = environment.get_template("review.html.j2").render(token=self.token, layers=LAYERS)
        return Response(html, media_type="text/html")

    def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _ASSETS:
            raise UnknownError("there is no such file")
        kind = "text/css" if name.endswith(".css") else "text/javascript"
        return Response((files(_ASSETS[name]) / "assets" / name).read_bytes(), media_type=kind)

    def table(self, request: Request) -> Response:
        return _json(self.review.table)

    def decisions(self, request: Request) -> Response:
        version = self.review.version
        if version and request.query_params.get("version") == version:
            return Response(status_code=204)
        return _json(self._decisions())

    async def decide(self, request: Request) -> Response:
        asked = _plain_dict(await _body(request, _MOST))
        number, choice, note, seen = (asked.get(key) for key in ("label", "decision", "note", "seen"))
        if type(number) is not int or not isinstance(choice, str) or not isinstance(note or "", str):
            raise ValueError("a decision is a number, a decision and a note")
        if seen is not None and not (isinstance(seen, dict) and all(isinstance(v, str) for v in seen.values())):
            raise ValueError("what was seen is a decision, or nothing")
        if choice == "edit" and not self.edits.version(self.review.label(number).case):
            raise ValueError("nobody has drawn this label yet: press e to edit it")
        await run_in_threadpool(self.review.decide, number, choice, _text(note or ""), seen)
        return _json(await run_in_threadpool(self._decisions))

    def facts(self, request: Request) -> Response:
        label = self.review.label(request.path_params["label"])
        basis = self.edits.basis(label)
        return _json(self.volumes.facts(label) | {"edited": basis.version, "decided": basis.stamps})

    def slices(self, request: Request) -> Response:
        return _json(self.volumes.slices(self.review.label(request.path_params["label"])))

    def overlay(self, request: Request) -> Response:
        return Response(self.volumes.overlay(self.review.label(request.path_params["label"])), media_type=_BINARY)

    def pictures(self, request: Request) -> Response:
        asked = re.findall(r"\d{1,6}", request.query_params.get("slices", ""))
        label = self.review.label(request.path_params["label"])
        return _json(self.volumes.pictures(label, [int(z) for z in asked]))

    def image(self, request: Request) -> Response:
        channel = request.query_params.get("channel", "0")
        if not re.fullmatch(r"\d{1,4}", channel):
            raise UnknownError("there is no such channel")
        image = self.volumes.image(self.review.case(request.path_params["case"]), int(channel))
        if isinstance(image, Path):
            return FileResponse(image, media_type=_BINARY)
        return Response(image, media_type=_BINARY)

    def drawing(self, request: Request) -> Response:
        number = request.path_params["label"]
        label = self.review.label(number)
        basis = self.edits.basis(label, request.query_params.get("start", ""))
        packed = gzip.compress(self.edits.begin(label, basis).tobytes(order="F"), 1)
        headers = {"Content-Encoding": "gzip", "X-Review-Label": str(number), "X-Review-Version": basis.version}
        headers |= {"X-Review-Decided": basis.stamps, "X-Review-Start": basis.start}
        return Response(packed, media_type=_BINARY, headers=headers)

    async def save(self, request: Request) -> Response:
        number, sent = request.path_params["label"], request.headers
        label = self.review.label(number)
        if sent.get("x-review-label") != str(number):
            raise ValueError("what was sent is a drawing of another label: load the page again")
        basis = Basis.of(*(sent.get(f"x-review-{name}", "") for name in ("version", "decided", "start")))
        grid = await run_in_threadpool(self.volumes.grid, label.case)
        n = grid.shape[0] * grid.shape[1] * grid.shape[2]
        voxels = await run_in_threadpool(unpacked, await _body(request, n + _MOST), n)
        note = _text(request.query_params.get("note", ""))
        saved = await run_in_threadpool(self.edits.save, label, voxels, basis, note)
        said = {"changed": list(saved.changed), "edited": saved.basis.version, "decided": saved.basis.stamps}
        return _json(await run_in_threadpool(self._decisions) | said)

    def _decisions(self) -> dict[str, Any]:
        version, decided = self.review.decisions()
        return {"version": version, "decisions": decided}


def _json(value: Any) -> Response:
    """Plain values as JSON; a name of a file may hold bytes that are no text, which ASCII escapes."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(text, media_type="application/json")


async def _said(request: Request, error: Exception) -> Response:
    """What went wrong, in a line."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if isinstance(error, HTTPException):  # no such address, or no such method
        status = error.status_code
    text = str(error) or "out of memory"
    if status in (500, 507):
        logger.warning(f"{request.method} {request.url.path}: {text}")
    said = {"error": printable(" ".join(text.split()))}
    if isinstance(error, UndecidedError):
        said["edited"] = error.version
    return Response(json.dumps(said), status, media_type="application/json")


_STATUS = (
    (ConflictError, 409),
    (SupersededError, 503),
    (UnknownError, 404),
    (ValueError, 400),
    (OSError, 507),
    (MemoryError, 507),
    (UndecidedError, 507),
)


async def _body(request: Request, most: int) -> bytes:
    """What was sent.

    Raises:
        ValueError: it is longer than ``most`` bytes.
    """
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise ValueError(f"what was sent is longer than {most:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _plain_dict(body: bytes) -> dict[str, Any]:
    try:
        out = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ValueError("what was sent is no JSON") from error
    if not isinstance(out, dict):
        raise ValueError("what was sent is no decision")
    return out


def _text(note: str) -> str:
    """A note without what no table of text can hold."""
    lines = note.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", "", lines).strip()
