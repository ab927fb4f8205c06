"""The config files by themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bundles import BUNDLE, CONFIGS, parser_of, workflow
from helpers import write_nifti
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.bundle.config_item import ComponentLocator
from monai.utils import optional_import


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "configs/metadata.json",
        "configs/train.json",
        "configs/audit.json",
        "configs/evaluate.json",
        "configs/inference.json",
        "configs/inference_trt.json",
        "configs/logging.conf",
        "docs/README.md",
        "docs/data_license.txt",
        "scripts/inference.py",
    ],
)
def test_file_is_there(name: str) -> None:
    assert (BUNDLE / name).stat().st_size > 100


def test_no_file_is_too_large_for_git() -> None:
    files = [p for p in BUNDLE.rglob("*") if p.is_file() and "output" not in p.parts]
    assert max(p.stat().st_size for p in files) < 25e6


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_config_is_formatted_as_the_zoo_wants_it(path: Path) -> None:
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=4) + "\n"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.name)
def test_every_target_resolves(config: Path) -> None:
    known = ComponentLocator()

    def targets(node: Any) -> list[str]:
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node["_target_"]] if isinstance(node, dict) and "_target_" in node else []
        return own + [t for child in children for t in targets(child)]

    for target in targets(json.loads(config.read_text())):
        if "." in target:
            module, name = target.rsplit(".", 1)
            assert optional_import(module, name=name)[1], target
        else:
            assert known.get_component_module_name(target), target


def test_properties_of_both_workflows_are_complete(phantom: Path, tmp_path: Path) -> None:
    run = workflow(tmp_path / "out", phantom)
    run.initialize()
    assert run.check_properties() == []
    inference = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"), workflow_type="inference", logging_file=False
    )
    inference.initialize()
    assert inference.check_properties() == []


def test_both_configs_define_the_same_network_and_preprocessing(phantom: Path) -> None:
    image, label = (str(phantom / "patient001" / f"patient001_frame01{end}.nii.gz") for end in ("", "_gt"))
    parsed = []
    for name, path in (("train.json", "train#preprocessing"), ("inference.json", "preprocessing")):
        parser = ConfigParser()
        parser.read_config(str(BUNDLE / "configs" / name))
        data = parser.get_parsed_content(path)({"image": image, "label": label})
        parsed.append((str(parser.get_parsed_content("network_def")), data["image"]))
    assert parsed[0][0] == parsed[1][0]
    torch.testing.assert_close(parsed[0][1], parsed[1][1])


def test_what_training_and_inference_share_is_the_same_in_both() -> None:
    """It stands twice, for MONAI Label loads one file alone."""
    training, inference = (
        json.loads((BUNDLE / "configs" / name).read_text()) for name in ("train.json", "inference.json")
    )
    for name in (
        *("bundle_root", "device", "structures", "num_classes", "in_channels", "spatial_dims", "spacing", "patch_size"),
        *("divisible_by", "slice_window", "network_def", "inferer", "mirror_axis"),
    ):
        assert training[name] == inference[name], name
    steps, other = training["preprocessing_steps"], inference["preprocessing_steps"]
    for name in ("intensity", "normalize", "pad", "pad_to_multiple", "ensure_type"):
        assert steps[name] == other[name], name
    assert [name for name in steps if name in other] == [name for name in other if name in steps]
    # What else they name alike differs for a reason.
    assert {name for name in training if name in inference and training[name] != inference[name]} == {
        *("imports", "dataset_dir", "output_dir", "case_keys", "preprocessing_steps", "network", "amp", "run"),
    }
    assert {name for name in steps if name in other and steps[name] != other[name]} == {
        "load",
        "orientation",
        "spacing",
    }


@pytest.mark.parametrize("axis", [0, 1, None])
def test_patches_are_mirrored_along_one_axis_or_none(axis: int | None) -> None:
    parser = parser_of(BUNDLE, "train.json")
    parser["mirror_axis"] = axis
    steps = parser.get_parsed_content("augmentation_steps")
    assert ("flip" in steps and steps["flip"] is not None) == (axis is not None)
    if axis is not None:
        patch = torch.rand(1, 4, 4)
        seen = [steps["flip"]({"image": patch, "label": patch, "label_weight": patch}) for _ in range(20)]
        assert {tuple(one["image"].flatten().tolist()) for one in seen} == {
            tuple(patch.flatten().tolist()),
            tuple(patch.flip(1 + axis).flatten().tolist()),
        }
        assert all(torch.equal(one["image"], one["label"]) for one in seen)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.name)
def test_overlays_name_what_they_change_and_count_no_positions(config: Path) -> None:
    for name in json.loads(config.read_text()):
        assert not any(part.isdigit() for part in name.split("#")), name


@pytest.mark.parametrize("name", ["hippocampus.json", "liver_tumor.json"])
def test_overlays_of_tasks_change_only_what_train_json_has(name: str) -> None:
    training = parser_of(BUNDLE, "train.json")
    for changed in json.loads((BUNDLE / "configs" / name).read_text()):
        assert changed in training or changed.endswith("#_disabled_"), changed


def test_a_step_that_an_overlay_disables_is_not_done() -> None:
    (two, three) = (
        [
            type(step).__name__
            for step in parser_of(BUNDLE, *configs).get_parsed_content("train#augmentation").transforms
        ]
        for configs in (("train.json",), ("train.json", "hippocampus.json"))
    )
    assert two == [
        *("CleansedLabeld", "SelectItemsd", "EnsureTyped", "RandCropByPosNegLabeld", "SqueezeDimd", "RandFlipd"),
        *("RandAffined", "RandScaleIntensityd", "RandShiftIntensityd", "RandGaussianNoised"),
    ]
    assert three == [name for name in two if name != "SqueezeDimd"]


@pytest.mark.parametrize(
    "name",
    [
        "configs/inference.json",
        "configs/inference_trt.json",
        "configs/hippocampus.json",
        "configs/liver_tumor.json",
    ],
)
def test_inference_configs_name_no_package_of_ours(name: str) -> None:
    assert "selfcleanse" not in (BUNDLE / name).read_text()


def test_inference_needs_no_package_of_ours_for_nifti(tmp_path: Path) -> None:
    write_nifti(tmp_path / "in" / "a.nii.gz", np.random.default_rng(0).normal(size=(40, 40, 3)))
    program = (
        "import sys; sys.modules['monai_selfcleanse'] = None\n"
        "from monai.bundle import run; run(config_file=sys.argv[1], bundle_root=sys.argv[2], dataset_dir=sys.argv[3], "
        "output_dir=sys.argv[4], device='cpu')"
    )
    config = BUNDLE / "configs" / "inference.json"
    arguments = [config, BUNDLE, tmp_path / "in", tmp_path / "out"]
    subprocess.run([sys.executable, "-c", program, *map(str, arguments)], check=True, capture_output=True)
    assert (tmp_path / "out" / "a.nii.gz").is_file()
