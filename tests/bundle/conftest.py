"""Data sets, a finished training, and a copy of the bundle, for all tests of the bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import pytest
import torch
from bundles import BUNDLE, NAME, parser_of, snapshot, train

from monai_selfcleanse.data import write_phantom


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four patients, two frames each."""
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", n_patients=4, seed=3)


@pytest.fixture(scope="session")
def small_phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three other patients."""
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", n_patients=3, seed=1)


@pytest.fixture(scope="session")
def frame(small_phantom: Path) -> nib.Nifti1Image:
    return nib.load(small_phantom / "patient001" / "patient001_frame01.nii.gz")


@pytest.fixture(scope="session")
def trained(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the phantom with synthetic noise."""
    output = tmp_path_factory.mktemp("run") / "out"
    before = snapshot(phantom)
    train(output, phantom, noise_rate=0.5, noise_preset="mixed")
    assert snapshot(phantom) == before
    return output


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / NAME
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("output", "*.ts", "*.onnx", "*.plan"))
    weights = folder / "models" / "model.pt"
    if not weights.exists():
        weights.parent.mkdir(exist_ok=True)
        torch.manual_seed(0)
        torch.save(parser_of(folder, "inference.json").get_parsed_content("network_def").state_dict(), weights)
    return folder


@pytest.fixture(scope="session")
def weights(bundle: Path) -> dict[str, torch.Tensor]:
    return torch.load(bundle / "models" / "model.pt", weights_only=True)


@pytest.fixture(scope="session")
def network(bundle: Path, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    network = parser_of(bundle, "inference.json").get_parsed_content("network_def")
    network.load_state_dict(weights)
    return network.eval()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
