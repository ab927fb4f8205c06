"""Every way of loading the bundle, on a copy of it under its own name."""

from __future__ import annotations

import json
import logging
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import monai.bundle
import pytest
import torch
from bundles import BUNDLE, NAME, ROOT, TINY, infer, same
from monai.bundle import load


@pytest.mark.parametrize("kind", ["train", "inference"])
def test_load_gives_the_weights_from_anywhere_and_changes_nothing(
    kind: str, bundle: Path, weights: dict[str, torch.Tensor], elsewhere: Path
) -> None:
    root = logging.getLogger()
    before = torch.initial_seed(), random.getstate(), root.level, list(root.handlers)
    network = monai.bundle.load(
        NAME, bundle_dir=str(bundle.parent), workflow_type=kind, args_file={"logging_file": False}
    )
    assert same(network, weights)
    assert (torch.initial_seed(), random.getstate(), root.level, root.handlers) == before
    assert not list(elsewhere.iterdir())


def test_logging_of_the_bundle_gives_the_root_logger_neither_level_nor_handler(
    bundle: Path, weights: dict[str, torch.Tensor], elsewhere: Path
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        assert same(monai.bundle.load(NAME, bundle_dir=str(bundle.parent)), weights)
        assert root.level == level
        assert root.handlers == []  # fileConfig takes off what there was
        assert logging.getLogger("monai_selfcleanse.anything").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        for name in ("monai_selfcleanse", "ignite"):
            logger = logging.getLogger(name)
            logger.handlers, logger.level, logger.propagate = [], logging.NOTSET, True


def test_python_in_the_model_card(
    bundle: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    root = logging.getLogger()
    handlers = list(root.handlers)
    blocks = re.findall(r"```python\n(.*?)```", (bundle / "docs" / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    try:
        for block in blocks:
            names: dict[str, Any] = {}
            exec(block, names)
            assert same(names["network"], weights)
            assert not names["network"].training
        assert names["logits"].shape == (1, 4, 192, 192)
    finally:
        root.handlers[:] = handlers


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_zip_of_the_repository_is_a_bundle(
    bundle: Path, weights: dict[str, torch.Tensor], small_phantom: Path, tmp_path: Path, elsewhere: Path
) -> None:
    page = (ROOT / "docs" / "how-to" / "use-the-network.md").read_text()
    command = re.search(r"^git archive .*$", page, re.MULTILINE)[0].split()
    assert command[-1] == "HEAD:bundle"
    archive = tmp_path / "archive" / command[command.index("-o") + 1]
    archive.parent.mkdir()
    command[command.index("-o") + 1] = str(archive)
    subprocess.run(command, cwd=ROOT, check=True)
    monai.bundle.download(name=NAME, bundle_dir=str(tmp_path), url=archive.as_uri())
    unpacked = tmp_path / NAME
    if not (unpacked / "models" / "model.pt").exists():
        shutil.copytree(bundle / "models", unpacked / "models")
    network = monai.bundle.load(
        NAME, bundle_dir=str(tmp_path), workflow_type="inference", args_file={"logging_file": False}
    )
    assert same(network, weights)
    infer(unpacked, small_phantom / "patient001", tmp_path / "segmented")
    assert len(list((tmp_path / "segmented").iterdir())) == 2


@pytest.mark.slow
def test_the_weights_are_flat_tensors_that_monai_loads(trained: Path, tmp_path: Path) -> None:
    weights = torch.load(trained / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    bundle = tmp_path / "cardiac"
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("output"))
    (bundle / "models").mkdir(exist_ok=True)
    shutil.copy(trained / "models" / "model.pt", bundle / "models" / "model.pt")
    for name in ("train.json", "inference.json"):  # the tiny network's architecture
        path = bundle / "configs" / name
        config = json.loads(path.read_text())
        config["network_def"] |= {k.split("#")[1]: v for k, v in TINY.items() if k.startswith("network_def#")}
        path.write_text(json.dumps(config))
    network = load("cardiac", bundle_dir=str(tmp_path), source="github", workflow_type="inference")
    assert isinstance(network, torch.nn.Module)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)
