"""The server of a review, from its start to Ctrl-C."""

from __future__ import annotations

import logging
import secrets
import socket
import threading
import webbrowser

import uvicorn

from .app import make_app
from .session import Review

__all__ = ["listen", "serve"]

logger = logging.getLogger(__name__)

_PATIENCE = 10
"""Seconds that Ctrl-C leaves to a request that is at work, such as a label that is being saved."""


def serve(review: Review, port: int = 0, open_browser: bool = True) -> None:
    """Serve a review on 127.0.0.1 until Ctrl-C.

    Args:
        review: the review.
        port: where to listen; 0 for any that is free.
        open_browser: whether to open the page in the user's browser.

    Raises:
        ValueError: the port cannot be had.
    """
    with listen(port) as listener:
        port, token = listener.getsockname()[1], secrets.token_urlsafe(24)
        address = f"http://127.0.0.1:{port}/?token={token}"
        config = uvicorn.Config(
            make_app(review, port, token),
            log_config=None,
            log_level="warning",
            access_log=False,  # it would hold the token
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
        )
        print(f"review at {address}\nCtrl-C ends it", flush=True)
        if open_browser:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except KeyboardInterrupt as error:
            if type(error) is not KeyboardInterrupt:  # SIGTERM
                raise
    print(f"the decisions are in {review.run.folder.decisions}" if review.version else "nothing was decided")


def listen(port: int) -> socket.socket:
    """A socket on 127.0.0.1.

    Args:
        port: which; 0 for any that is free.

    Raises:
        ValueError: it cannot be had.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(128)  # from now on, so that whoever has read the address is not refused
    except OSError as error:
        listener.close()
        raise ValueError(f"--port {port} cannot be had ({error.strerror}): give another, or none") from error
    return listener


def _open(address: str) -> None:
    try:
        webbrowser.open(address)
    except Exception:  # the address is printed
        logger.debug("no browser", exc_info=True)
