"""The folder of a MONAI Label app, with copies of bundles in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..files import atomic_folder

__all__ = ["make_app"]

MAIN = '''"""MONAI Label app that hands out the most suspect labels first; see monai_selfcleanse.monai_label."""

from monai_selfcleanse.monai_label.app import SelfCleanseApp

__all__ = ["SelfCleanseApp"]
'''

OTHER_TASKS = ("deepedit", "deepgrow", "detection", "classification")
"""Words in a bundle's name that make MONAI Label take it for something else than a segmentation."""


def make_app(app: str | Path, bundles: Sequence[str]) -> list[str]:
    """Make an app folder as a whole or not at all.

    Args:
        app: the folder; it must not exist, or be empty.
        bundles: folders of bundles, or ``NAME=FOLDER``; what they have put out (``output``) is not copied.

    Returns:
        The names of the bundles.

    Raises:
        ValueError: the folder is in the way or lies within a bundle, a bundle is none, or its name does not do.
    """
    app = Path(app)
    named = [text.split("=", 1) if "=" in text else [Path(text).resolve().name, text] for text in bundles]
    names = [name for name, _ in named]
    for name, folder in named:
        for file in ("configs/metadata.json", "configs/inference.json"):
            if not (Path(folder) / file).is_file():
                raise ValueError(f"{folder} is no bundle that MONAI Label can serve: it has no {file}")
        wrong = [word for word in OTHER_TASKS if word in name.lower()]
        if wrong or not re.fullmatch(r"\w[\w.+-]{0,99}", name) or names.count(name) > 1:
            why = f"{wrong[0]!r} in it means another task" if wrong else "it must be one word, and unique"
            raise ValueError(
                f"MONAI Label cannot serve a segmentation under the name {name!r}, {why}: give NAME=FOLDER"
            )
        if app.resolve().is_relative_to(Path(folder).resolve()):
            raise ValueError(f"{app} lies within the bundle {folder}: give the app a folder outside it")
    if app.exists() and (not app.is_dir() or any(app.iterdir())):
        raise ValueError(f"{app} exists already: give the app a folder of its own")
    with atomic_folder(app) as part:
        (part / "main.py").write_text(MAIN)
        for name, folder in named:
            left_out = shutil.ignore_patterns("output", "__pycache__")
            shutil.copytree(folder, part / "model" / name, ignore=left_out, copy_function=_copy)
    return names


def _copy(source: str, target: str) -> str:
    if os.path.exists(source) and not os.path.isfile(source):  # of /dev/zero there is no end
        raise ValueError(f"{source} is a pipe or a device, no file: remove it")
    return shutil.copy2(source, target)
