"""Write docs/reference/options.md from the options' table and the defaults in the bundle's configs."""

from __future__ import annotations

import json
from pathlib import Path

from monai_selfcleanse.cli.option_table import options_page

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "options.md"


def page() -> str:
    """The page's text."""
    defaults: dict = {}
    for config in ("audit.json", "train.json"):  # what both have is train.json's
        defaults |= json.loads((ROOT / "bundle" / "configs" / config).read_text())
    return options_page(defaults)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
