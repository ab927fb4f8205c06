"""Weights in a file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from monai_selfcleanse.cli.weights import check_weights, load_weights


@pytest.fixture
def network() -> torch.nn.Module:
    return torch.nn.Linear(2, 3)


def test_good_weights_are_loaded(network: torch.nn.Module, tmp_path: Path) -> None:
    other = torch.nn.Linear(2, 3)
    torch.save(other.state_dict(), tmp_path / "model.pt")
    check_weights(tmp_path / "model.pt", network)
    assert not torch.equal(network.weight, other.weight)
    load_weights(tmp_path / "model.pt", network)
    assert torch.equal(network.weight, other.weight)
    assert torch.equal(network.bias, other.bias)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_of_a_failed_training_are_named(value: float, network: torch.nn.Module, tmp_path: Path) -> None:
    state = {name: entry.clone() for name, entry in network.state_dict().items()}
    state["bias"][1] = value
    torch.save(state, tmp_path / "model.pt")
    refused(tmp_path / "model.pt", network, "holds NaN or infinity in 1 entries, such as bias")


def test_a_pointer_of_git_lfs_is_named(network: torch.nn.Module, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    refused(tmp_path / "model.pt", network, "is a Git LFS pointer, .*git lfs pull")


def test_other_files_are_named(network: torch.nn.Module, tmp_path: Path) -> None:
    given = r"none\.pt': there is no such file; give others with --ckpt_path \(of selfcleanse audit: --weights\)"
    refused(tmp_path / "none.pt", network, given)
    (tmp_path / "text.pt").write_text("weights")
    refused(tmp_path / "text.pt", network, "cannot be read as a state dict of tensors")
    torch.save(torch.nn.Linear(2, 4).state_dict(), tmp_path / "other.pt")
    refused(tmp_path / "other.pt", network, "does not fit network_def: 2 entries .*such as bias, weight")
    torch.save(torch.zeros(3), tmp_path / "tensor.pt")
    refused(tmp_path / "tensor.pt", network, "does not fit network_def")


def refused(path: Path, network: torch.nn.Module, message: str) -> None:
    before = network.weight.clone()
    for read in (check_weights, load_weights):
        with pytest.raises(ValueError, match=message):
            read(path, network)
    assert torch.equal(network.weight, before)
