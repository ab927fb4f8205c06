"""The overlays of ``benchmarks/arms`` fit the configs they lie on."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.transforms import RandCropByPosNegLabeld, Spacingd, SpatialPadd

from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.leaving_out import cases_to_leave_out
from monai_selfcleanse.handlers import LabelFilter, LabelFilterResult

ROOT = Path(__file__).resolve().parents[2]
ARMS = ROOT / "benchmarks" / "arms"


def parsed(*files: Path) -> ConfigParser:
    config = ConfigParser()
    config.read_config([str(path) for path in files])
    return config


def settings(config: ConfigParser, section: str) -> dict[str, list[float]]:
    """Pixel size and padding of a preprocessing."""
    found: dict[str, list[float]] = {}
    for step in config.get_parsed_content(section).transforms:
        if isinstance(step, Spacingd):
            found["spacing"] = list(step.spacing_transform.pixdim)
        if isinstance(step, SpatialPadd):
            found["size"] = list(step.padder.spatial_size)
    return found


def test_small_trains_and_segments_on_one_grid() -> None:
    training = parsed(ROOT / "bundle" / "configs" / "train.json", ARMS / "small.json")
    inference = parsed(ROOT / "bundle" / "configs" / "inference.json", ARMS / "small.json")
    grid = settings(training, "train#preprocessing")
    assert grid == settings(inference, "preprocessing")
    assert grid["spacing"] == [2.0, 2.0, -1.0]
    (crop,) = (
        t for t in training.get_parsed_content("train#augmentation").transforms if isinstance(t, RandCropByPosNegLabeld)
    )
    assert crop.cropper.num_samples == 4


def test_without_the_filter_whatever_the_network_sees_is_redrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    peers = import_module("peers")
    evidence = {name: np.ones((3, 2)) for name in EVIDENCE}
    evidence["predicted_ml"] = np.array([[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    judged = LabelFilterResult.of(LabelJudge([1, 2]).judge(("a", "b", "c"), evidence), epoch=5)
    monkeypatch.setattr(LabelFilter, "result", lambda _: judged)
    found = peers.SuspectAll.result(object.__new__(peers.SuspectAll))
    assert not judged.redrawn.any()
    assert found.redrawn.tolist() == (evidence["predicted_ml"] > 0).tolist()
    assert cases_to_leave_out(found) == ()
