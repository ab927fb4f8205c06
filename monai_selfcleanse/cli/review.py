"""Review the suspects of a training or an audit in the browser, and decide about each.

    selfcleanse review OUT

A page on this machine alone lists the suspects, shows each case, and writes what you decide to OUT/decisions.csv at
once. Labels that you draw go to OUT/edited_labels/. Nothing else is changed.
"""

from __future__ import annotations

import argparse
import getpass
from collections.abc import Sequence
from importlib.util import find_spec

from ..bad_input import exit_on_bad_input

__all__ = ["main"]


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> None:
    """Parse the command line, and serve the page until Ctrl-C.

    Args:
        parser: one without arguments.
        arguments: the command line's.
    """
    parser.description, parser.formatter_class = __doc__, argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", metavar="OUT", help="output folder of a training or an audit that has ended")
    parser.add_argument("--data", metavar="DIR", help="where the data lie now, if they have moved")
    parser.add_argument("--who", metavar="NAME", help="your name beside your decisions (your login)")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="where to listen (any port that is free)")
    parser.add_argument("--no-browser", action="store_true", help="print the address alone, open no browser")
    args = parser.parse_args(arguments)
    if not 0 <= args.port < 1 << 16:
        parser.error(f"--port {args.port}: expected a number up to 65535")
    who = _login() if args.who is None else args.who
    exit_on_bad_input(lambda: _review(args.folder, args.data, who, args.port, not args.no_browser))


def _review(folder: str, data: str | None, who: str, port: int, open_browser: bool) -> None:
    missing = [name for name in ("starlette", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ValueError(f"review needs {' and '.join(missing)}: pip install starlette uvicorn, the extra review")
    from ..results.record import read_record
    from ..review.server import serve
    from ..review.session import Review

    review = Review(read_record(folder, data), who)
    review.decisions()  # a table that is none is said here
    serve(review, port, open_browser)


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # an account without a name
        return ""
