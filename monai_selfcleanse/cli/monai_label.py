"""Make an app folder for MONAI Label's ``start_server --app``, with copies of bundles in it.

    python -m monai_selfcleanse.monai_label APP BUNDLE [BUNDLE ...]

A bundle may be written NAME=FOLDER, to be served under that name; otherwise its folder's name is its name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ..bad_input import exit_on_bad_input
from ..monai_label.app_folder import make_app


def main(arguments: Sequence[str] | None = None, program: str = "python -m monai_selfcleanse.monai_label") -> None:
    """Parse the command line, make the folder and say how to start the server."""
    parser = argparse.ArgumentParser(
        program,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("app", help="folder to make; it must not exist, or be empty")
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folder of a bundle, or NAME=FOLDER")
    args = parser.parse_args(arguments)
    names = exit_on_bad_input(lambda: make_app(args.app, args.bundles))
    for name in names:
        if not (Path(args.app) / "model" / name / "models" / "model.pt").exists():
            weights = Path(args.app) / "model" / name / "models" / "model.pt"
            print(f"{name} has no weights yet: put them into {weights}, or no label can be judged")
    print(f"monailabel start_server --app {args.app} --studies STUDIES --conf models {','.join(names)}")
