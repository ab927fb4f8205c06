"""The bundle's metadata, as the model zoo checks them."""

from __future__ import annotations

import json
from pathlib import Path

import monai.bundle
import pytest
from bundles import ROOT, parser_of

import monai_selfcleanse

TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "properties": {
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": {"type": "string"},
        "value_range": {"type": "array"},
    },
}


SCHEMA = {
    "type": "object",
    "required": [
        *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
        *(
            "required_packages_version",
            "name",
            "task",
            "description",
            "authors",
            "copyright",
            "data_source",
            "data_type",
        ),
        *("image_classes", "label_classes", "pred_classes", "intended_use", "references", "network_data_format"),
    ],
    "properties": {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "required_packages_version": {"type": "object", "additionalProperties": {"type": "string"}},
        "references": {"type": "array", "items": {"type": "string"}},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {"type": "object", "required": ["image"], "additionalProperties": TENSOR},
                "outputs": {"type": "object", "required": ["pred"], "additionalProperties": TENSOR},
            },
        },
    },
}


def test_metadata_has_the_schemas_fields(bundle: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    monai.bundle.verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_metadata_names_the_versions_that_were_tested(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(
        line.split(";")[0].strip().split("==") for line in lines if "==" in line.split(";")[0] and "<" not in line
    )
    required = metadata["required_packages_version"]
    assert required.pop("monai-selfcleanse") == monai_selfcleanse.__version__
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    for package, version in (named | required).items():
        assert pins[package] == version, package


def test_metadata_names_the_structures_that_are_trained(bundle: Path) -> None:
    outputs = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    structures = parser_of(bundle, "train.json")["structures"]
    assert outputs["channel_def"] == {"0": "background", **structures}
    assert outputs["num_channels"] == len(outputs["channel_def"])


@pytest.mark.parametrize("n", [1, 7])
def test_network_takes_and_gives_what_metadata_says(n: int, bundle: Path) -> None:
    configs = bundle / "configs"
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
        n=n,
    )
