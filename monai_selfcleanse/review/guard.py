"""Who is let in: requests to this machine, from this page, with the token of this review.

===================== ================================================================================================
what is refused       why
===================== ================================================================================================
another ``Host``      a name of somebody else's that points to 127.0.0.1 (DNS rebinding)
no token              other users and programs of this machine. The token is in the address that is printed; from then
                      on a cookie has it (``HttpOnly``, ``SameSite=Strict``), which no script can read.
another site's page   it can make the browser send requests, with the cookie: ``Sec-Fetch-Site`` and ``Origin`` tell
a change without the  a page of another port of this machine counts as the same site, so a cookie does not do: the
token in a header     page itself sends the token (``X-Review-Token``)
===================== ================================================================================================

Each answer says that nothing is to be kept, and what the page may load: files of this server alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

__all__ = ["Guard"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        # NiiVue keeps its font's table of characters, and a sphere's texture, in itself as data
        "connect-src 'self' data: blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Lets an application have the requests that it is meant to have, and refuses the others in a line of text.

    Args:
        application: an ASGI application.
        port: on which the server listens.
        token: of the review.
    """

    def __init__(self, application: Application, port: int, token: str) -> None:
        self.application, self.token = application, token
        self.cookie = f"review-{port}"  # cookies do not tell ports apart, so the name does
        self.hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        if port == 80:
            self.hosts |= {"127.0.0.1", "localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.application(scope, receive, send)
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        opens = scope["path"] == "/" and scope["method"] == "GET"
        from_address = opens and self._is_token(parse_qs(scope["query_string"].decode("latin-1")).get("token", []))

        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                more = list(_HEADERS)
                if from_address:
                    value = f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"
                    more.append((b"set-cookie", value.encode()))
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        refused = self._refusal(headers, scope["method"], opens, from_address)
        if refused is None:
            await self.application(scope, receive, with_headers)
            return
        status, words = refused
        kind = [(b"content-type", b"text/plain; charset=utf-8")]
        await with_headers({"type": "http.response.start", "status": status, "headers": kind})
        await with_headers({"type": "http.response.body", "body": words.encode()})

    def _refusal(
        self, headers: dict[str, list[str]], method: str, opens: bool, from_address: bool
    ) -> tuple[int, str] | None:
        """Status and words of a refusal; None for a request that may pass."""
        host = headers.get("host", [])
        if len(host) != 1 or host[0].lower() not in self.hosts:
            return 421, "This server answers on 127.0.0.1 alone. Open the address that selfcleanse review has printed."
        site, origin = headers.get("sec-fetch-site", []), headers.get("origin", [])
        foreign = any(value in ("cross-site", "same-site") for value in site)
        if (foreign and not opens) or any(value != f"http://{host[0].lower()}" for value in origin):
            return 403, "Another page has asked for this. Open the address that selfcleanse review has printed."
        by_header = self._is_token(headers.get("x-review-token", []))
        if method not in ("GET", "HEAD"):
            return None if by_header else (403, "A change needs the token of the page. Load the page again.")
        if by_header or from_address or self._in_cookies(headers.get("cookie", [])):
            return None
        return 403, "This address lacks its token. Open the address that selfcleanse review has printed."

    def _in_cookies(self, lines: Iterable[str]) -> bool:
        """Whether a cookie has the token; what other programs of this machine have set is no concern."""
        pairs = (pair.strip().partition("=") for line in lines for pair in line.split(";"))
        return any(name == self.cookie and self._is_token([value]) for name, _, value in pairs)

    def _is_token(self, values: list[str]) -> bool:
        return len(values) == 1 and secrets.compare_digest(values[0].encode(), self.token.encode())
