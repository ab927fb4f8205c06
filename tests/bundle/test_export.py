"""Exports of the network."""

from __future__ import annotations

from pathlib import Path

import monai.bundle
import numpy as np
import pytest
import torch


@pytest.mark.slow
@pytest.mark.export
def test_exports_give_the_networks_result(bundle: Path, network: torch.nn.Module, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    common = {
        "net_id": "network_def",
        "ckpt_file": str(bundle / "models" / "model.pt"),
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
    }
    monai.bundle.ckpt_export(filepath=str(tmp_path / "model.ts"), **common)
    axes = {"image": {0: "n", 2: "h", 3: "w"}}
    monai.bundle.onnx_export(
        filepath=str(tmp_path / "model.onnx"),
        input_shape=[2, 1, 192, 192],
        converter_kwargs={"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": axes},
        **common,
    )
    script = torch.jit.load(tmp_path / "model.ts", map_location="cpu")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 1, 16, 16), (3, 1, 192, 160)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network(image)
            torch.testing.assert_close(script(image), expected, rtol=0, atol=1e-4)
        (found,) = session.run(["pred"], {"image": image.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)
