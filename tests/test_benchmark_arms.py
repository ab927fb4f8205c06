"""The overlays of ``benchmarks/arms`` fit the configs they lie on."""

from __future__ import annotations

from pathlib import Path

from monai.bundle import ConfigParser
from monai.transforms import RandCropByPosNegLabeld, Spacingd, SpatialPadd

ROOT = Path(__file__).resolve().parent.parent
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
    training = parsed(ROOT / "configs" / "train.json", ARMS / "small.json")
    inference = parsed(ROOT / "configs" / "inference.json", ARMS / "small_inference.json")
    grid = settings(training, "train#preprocessing")
    assert grid == settings(inference, "preprocessing")
    assert grid["spacing"] == [2.0, 2.0, -1.0]
    (crop,) = (
        t for t in training.get_parsed_content("train#augmentation").transforms if isinstance(t, RandCropByPosNegLabeld)
    )
    assert crop.cropper.num_samples == 4
