"""A training goes on with the cases and the network that it began with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny_label, write_decathlon, write_nifti

from monai_selfcleanse.cli.training_facts import TrainingFacts
from monai_selfcleanse.data import find_cases


def network_of(stride: int = 2, channels: int = 4) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, channels, 3, stride), torch.nn.Conv2d(channels, 2, 1))


def facts_of(folder: Path, network: torch.nn.Module | None = None, resume: bool = True) -> TrainingFacts:
    cases = find_cases(folder / "data")[0]
    return TrainingFacts(cases, network or network_of(), str(folder / "last.pt"), resume)


@pytest.fixture
def interrupted(tmp_path: Path) -> Path:
    """A folder with data, and a checkpoint of a training on them."""
    write_decathlon(tmp_path / "data", 4)
    torch.save({"facts": facts_of(tmp_path).state_dict()}, tmp_path / "last.pt")
    return tmp_path


def test_the_same_cases_and_network_go_on_wherever_they_lie(interrupted: Path) -> None:
    facts_of(interrupted).check()
    (interrupted / "data").rename(interrupted / "moved")
    (interrupted / "data").symlink_to(interrupted / "moved")
    facts_of(interrupted).check()


def change(data: Path, what: str) -> None:
    label = data / "labelsTr" / "case_1.nii.gz"
    if what == "added":
        write_decathlon(data, 5)
    elif what == "gone":
        label.unlink()
        (data / "imagesTr" / label.name).unlink()
    elif what == "emptied":
        write_nifti(label, np.zeros_like(tiny_label()))
    elif what == "one byte":  # its size stays
        label.write_bytes(label.read_bytes()[:-1] + bytes([label.read_bytes()[-1] ^ 1]))
    elif what == "one voxel":
        changed = tiny_label(1)
        changed[0, 11, 3] = 1
        write_nifti(label, changed)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("added", r"other data or another network: 1 case new \('case_4'\); give the same, or start afresh"),
        ("gone", r"1 case gone \('case_1'\)"),
        ("emptied", r"1 case changed \('case_1'\)"),
        ("one byte", r"1 case changed \('case_1'\)"),
        ("one voxel", r"1 case changed \('case_1'\)"),
    ],
)
def test_other_data_are_named(what: str, message: str, interrupted: Path) -> None:
    change(interrupted / "data", what)
    with pytest.raises(ValueError, match=message):
        facts_of(interrupted).check()
    facts_of(interrupted, resume=False).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 8}, r"network_def \(then Sequential with 50 parameters, now Sequential with 98 parameters\)"),
        ({"stride": 1}, r"network_def \(then Sequential with 50 parameters, now one with other layers\)"),
    ],
)
def test_another_network_is_named(options: dict[str, Any], message: str, interrupted: Path) -> None:
    with pytest.raises(ValueError, match=message):
        facts_of(interrupted, network_of(**options)).check()


class OfParameters(torch.nn.Module):
    """Its words do not tell its shapes, and they hold an address."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(shape))
        self.rule = lambda x: x

    def extra_repr(self) -> str:
        return f"rule={self.rule}"


def test_a_network_counts_by_its_shapes_and_not_by_where_it_lies(tmp_path: Path) -> None:
    write_decathlon(tmp_path / "data", 3)
    torch.save({"facts": facts_of(tmp_path, OfParameters(2, 6)).state_dict()}, tmp_path / "last.pt")
    facts_of(tmp_path, OfParameters(2, 6)).check()
    with pytest.raises(ValueError, match="now one with other layers"):
        facts_of(tmp_path, OfParameters(3, 4)).check()


def test_many_cases_are_counted(interrupted: Path) -> None:
    write_decathlon(interrupted / "data", 9)
    with pytest.raises(ValueError, match=r"5 cases new \('case_4', 'case_5', 'case_6' and 2 more\)"):
        facts_of(interrupted).check()


def test_a_noisy_label_counts_as_what_it_was_made_of(interrupted: Path) -> None:
    cases = find_cases(interrupted / "data")[0]
    noisy = write_nifti(interrupted / "noisy.nii.gz", np.zeros_like(tiny_label()))
    cases[0] = cases[0] | {"truth": cases[0]["label"], "label": str(noisy)}
    TrainingFacts(cases, network_of(), str(interrupted / "last.pt"), True).check()


def test_a_checkpoint_of_an_older_version_is_named(interrupted: Path) -> None:
    torch.save({"options": {}}, interrupted / "last.pt")
    with pytest.raises(ValueError, match=r"last\.pt: it is no checkpoint of this training, of another version, or"):
        facts_of(interrupted).check()


def test_what_is_loaded_already_counts_by_its_id(tmp_path: Path) -> None:
    loaded = [{"case": "a", "image": torch.zeros(1), "label": torch.zeros(1)}]
    facts = TrainingFacts(loaded, network_of(), str(tmp_path / "last.pt"), True)
    facts.load_state_dict(facts.state_dict())
