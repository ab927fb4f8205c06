"""Where an exported file comes from."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from helpers import judgement_of

from monai_selfcleanse import __version__
from monai_selfcleanse.results.provenance import (
    PROVENANCE_FILE,
    is_export,
    judgement_by_case,
    provenance,
    write_json,
)


def test_provenance_is_package_version_date_and_what_judged() -> None:
    found = provenance({"epoch": 7, "model": "model.pt"})
    assert list(found) == ["package", "version", "date", "epoch", "model"]
    assert (found["package"], found["version"], found["epoch"]) == ("monai-selfcleanse", __version__, 7)
    assert datetime.fromisoformat(found["date"]).utcoffset() == timedelta(0)


def test_what_was_exported_is_known_again(tmp_path: Path) -> None:
    write_json(provenance({}), tmp_path / PROVENANCE_FILE)  # of an older version, that did not say its kind
    assert is_export("cleansed labels")(tmp_path)
    assert is_export("nnU-Net data set")(tmp_path)
    assert not is_export("corrected labels")(tmp_path)
    write_json(provenance({}) | {"export": "corrected labels"}, tmp_path / PROVENANCE_FILE)
    assert is_export("corrected labels")(tmp_path)
    assert not is_export("cleansed labels")(tmp_path)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"package": "other"}', "\x00"])
def test_anything_else_is_no_export(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / PROVENANCE_FILE).write_text(content)
    assert not is_export("cleansed labels")(tmp_path)


def test_every_label_is_told_by_name_most_suspect_case_first() -> None:
    probability = np.array([[0.9, 1.0], [0.01, 0.3]])
    found = judgement_by_case(judgement_of("ab", {1: "one", 2: "two"}, probability, probability < 0.5))
    assert list(found) == ["b", "a"]
    assert found["b"] == {
        "one": {"clean_probability": 0.01, "suspected": True, "redrawn": True},
        "two": {"clean_probability": 0.3, "suspected": True, "redrawn": False},
    }
    assert json.loads(json.dumps(found)) == found
