"""A real MONAI Label server, driven over HTTP as 3D Slicer drives it, without a network connection.

Runs where the environment variable ``MONAI_LABEL_VENV`` names a virtual environment that the recipe in
docs/how-to/monai-label.md has made, with this package in it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import read_nifti
from monai.bundle import ConfigParser

from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data import phantom_frames

VENV = os.environ.get("MONAI_LABEL_VENV")
BUNDLE = Path(__file__).parents[2] / "bundle"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VENV is None, reason="MONAI_LABEL_VENV names no environment with MONAI Label"),
]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """The virtual environment's, with nothing but this machine within reach."""
    python_path = folder / "python_path"
    if not python_path.exists():
        python_path.mkdir()
        has = subprocess.run([f"{VENV}/bin/python", "-c", "import torchvision"], capture_output=True)
        if has.returncode:  # MONAI Label imports two functions of it that no segmentation needs
            (python_path / "torchvision").mkdir()
            (python_path / "torchvision" / "__init__.py").write_text("from . import utils\n")
            (python_path / "torchvision" / "utils.py").write_text("make_grid = save_image = None\n")
    nowhere = "http://127.0.0.1:9"
    return {
        "PATH": f"{VENV}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(python_path),
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "127.0.0.1",
        **more,
    }


class Server:
    """A running server; what it answers is JSON, or bytes."""

    def __init__(self, port: int, log: Path) -> None:
        self.url, self.log = f"http://127.0.0.1:{port}", log
        self.opener = build_opener(ProxyHandler({}))

    def ask(self, method: str, path: str, body: Any = None, file: Path | None = None, **query: str) -> Any:
        data, headers = None, {}
        if file is not None:
            mark = uuid.uuid4().hex
            head = f'--{mark}\r\nContent-Disposition: form-data; name="label"; filename="{file.name}"\r\n\r\n'
            fields = "".join(
                f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
                for name, value in (body or {}).items()
            )
            data = (fields + head).encode() + file.read_bytes() + f"\r\n--{mark}--\r\n".encode()
            headers["Content-Type"] = f"multipart/form-data; boundary={mark}"
        elif isinstance(body, bytes):
            data, headers["Content-Type"] = body, "application/x-www-form-urlencoded"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        with self.opener.open(Request(url, data, headers, method=method), timeout=300) as answer:
            content = answer.read()
        return json.loads(content) if answer.headers.get_content_type() == "application/json" else content

    def segment(self, model: str, image: str, folder: Path, **form: str) -> np.ndarray:
        path = folder / f"{model}-{image}.nii.gz"
        path.write_bytes(
            self.ask("POST", f"/infer/{model}", urlencode(form).encode() if form else None, image=image, output="image")
        )
        return read_nifti(path)

    def says(self, words: str) -> bool:
        """Whether the log has the words, or gets them in a moment: the answer to a request may be there before."""
        for _ in range(50):
            if words in self.log.read_text():
                return True
            time.sleep(0.2)
        return False

    def submit(self, image: str, label: Path, *segments: str) -> None:
        """Submit a label, with the names of its segments in the order of their numbers, as 3D Slicer does."""
        info = [{"name": name, "idx": number} for number, name in enumerate(segments, 1)]
        params = {"params": json.dumps({"label_info": info})} if segments else None
        self.ask("PUT", "/datastore/label", params, image=image, tag="final", file=label)

    def run(self, task: str, method: str, body: Any = None) -> None:
        """Start a background task and wait until it has ended well."""
        self.ask("POST", f"/{task}/{method}", body)
        for _ in range(300):
            time.sleep(1)
            status = self.ask("GET", f"/{task}/")
            if status["status"] not in ("SUBMITTED", "RUNNING"):
                break
        assert status["status"] == "DONE", status


@contextmanager
def served(app: Path, studies: Path, model: str, env: dict[str, str]) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = app.parent / "server.log"
    options = ["--app", app, "--studies", studies, "--conf", "models", model, "--host", "127.0.0.1", "--port", port]
    with open(log, "w") as out:
        process = subprocess.Popen(
            [f"{VENV}/bin/monailabel", "start_server", *map(str, options)],
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=app.parent,
        )
    server = Server(port, log)
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()[-3000:]
            try:
                server.ask("GET", "/info/")
                break
            except OSError:
                time.sleep(0.5)
        yield server
    finally:
        process.terminate()
        process.wait()


def write_weights(bundle: Path) -> None:
    """Random ones, where the bundle comes without."""
    path = bundle / "models" / "model.pt"
    if not path.exists():
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs" / "inference.json"))
        path.parent.mkdir(exist_ok=True)
        torch.manual_seed(0)
        torch.save(parser.get_parsed_content("network_def").state_dict(), path)


def test_the_bundle_as_it_is_serves_and_trains_in_the_stock_app(tmp_path: Path) -> None:
    env = environment(tmp_path, BUNDLE_DOWNLOAD_SRC="local", MONAI_LABEL_AUTO_UPDATE_SCORING="false")
    command = [f"{VENV}/bin/monailabel", "apps", "--download", "--name", "monaibundle", "--output", str(tmp_path)]
    subprocess.run(command, env=env, check=True, capture_output=True)
    bundle = tmp_path / "monaibundle" / "model" / "cardiac"
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("output"))
    write_weights(bundle)
    studies, labels = tmp_path / "studies", tmp_path / "labels"
    studies.mkdir()
    labels.mkdir()
    for patient in ("a", "b", "c", "d"):
        frames, spacing = phantom_frames(patient)
        for folder, voxels in zip((studies, labels), frames["ED"], strict=True):
            nib.save(nib.Nifti1Image(voxels, np.diag([*spacing, 1.0])), folder / f"{patient}.nii.gz")
    with served(tmp_path / "monaibundle", studies, "cardiac", env) as server:
        info = server.ask("GET", "/info/")
        assert info["labels"] == ["right ventricle", "myocardium", "left ventricle"]
        assert info["models"]["cardiac"]["labels"] == {"right ventricle": 1, "myocardium": 2, "left ventricle": 3}
        assert server.ask("POST", "/activelearning/first")["id"] == "a"
        before = server.segment("cardiac", "a", tmp_path)
        assert before.shape == read_nifti(studies / "a.nii.gz").shape
        assert set(np.unique(before)) <= {0, 1, 2, 3}
        for label in sorted(labels.iterdir()):
            server.submit(label.name.removesuffix(".nii.gz"), label)
        served_weights = (bundle / "models" / "model.pt").read_bytes()
        # 3D Slicer sends every option of the trainer, with the first of a list; among them is `run_id: ""`.
        options = info["trainers"]["cardiac"]["config"]
        body = {name: value[0] if isinstance(value, list) else value for name, value in options.items()}
        assert body["run_id"] == ""
        server.run("train", "cardiac", body | {"max_epochs": 1})
        assert (bundle / "models" / "model.pt").read_bytes() != served_weights
        assert not np.array_equal(server.segment("cardiac", "a", tmp_path), before)
        assert server.log.read_text().count("training has ended") == 1  # not once more for each list that runs it


def bright_bundle(folder: Path) -> Path:
    """The bundle, with a network that needs no training where structure k is k times as bright as structure 1."""
    shutil.copytree(BUNDLE, folder, ignore=shutil.ignore_patterns("output", "models"))
    path = folder / "configs" / "inference.json"
    config = json.loads(path.read_text())
    config["network_def"] = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 1}
    config["spacing"] = [-1, -1, -1]  # between two levels there may be a third
    for name in ("intensity", "normalize"):
        config["preprocessing_steps"][name]["_disabled_"] = True
    path.write_text(json.dumps(config))
    level = torch.arange(4.0)  # the nearest of four levels is the largest of four straight lines
    weights = {"weight": 20 * level[:, None, None, None] / 100, "bias": -10 * level**2}
    (folder / "models").mkdir()
    torch.save(weights, folder / "models" / "model.pt")
    return folder


def test_suspect_labels_are_handed_out_with_proposals_until_none_is_left(tmp_path: Path) -> None:
    env = environment(tmp_path, MONAI_LABEL_AUTO_UPDATE_SCORING="false")
    app, studies, submitted = tmp_path / "app", tmp_path / "studies", tmp_path / "labels"
    bundle = bright_bundle(tmp_path / "bundle")
    command = [f"{VENV}/bin/python", "-m", "monai_selfcleanse.monai_label", str(app), f"hearts={bundle}"]
    subprocess.run(command, env=env, check=True, capture_output=True, cwd=tmp_path)
    studies.mkdir()
    submitted.mkdir()
    truth, given = {}, {}
    rng = np.random.default_rng(0)
    for i in range(8):
        frames, spacing = phantom_frames(f"patient{i}")
        affine = np.diag([*spacing, 1.0])
        for phase, (_, label) in frames.items():
            case = f"case{i}{phase}"
            image = 100.0 * label + rng.normal(0, 12, label.shape)
            nib.save(nib.Nifti1Image(image.astype(np.int16), affine), studies / f"{case}.nii.gz")
            truth[case], given[case] = label, label.copy()
            if case == "case2ED":
                given[case][label == 3] = 2
            if case == "case5ES":
                given[case] = np.roll(label, 9, axis=0)
            file = nib.Nifti1Image(given[case], affine)
            if case == "case3ED":  # the same label, as a tool of the other orientation writes it
                file = file.as_reoriented(np.array([[0, -1], [1, -1], [2, 1]]))
            if case == "case4ED":
                file = nib.Nifti1Image(given[case], np.eye(4))
            if case == "case6ED":  # Slicer has counted the segments anew
                file = nib.Nifti1Image(np.array([0, 1, 3, 2], np.uint8)[given[case]], affine)
            if case == "case6ES":
                file = nib.Nifti1Image(np.eye(4, dtype=np.uint8)[given[case]], affine)
            nib.save(file, submitted / f"{case}.nii.gz")
    unlabelled, renumbered = "case7ES", ("Right Ventricle", "left_ventricle", "myocardium")

    with served(app, studies, "hearts", env) as server:

        def next_sample() -> Any:
            return server.ask("POST", "/activelearning/noisiest_label_first")

        info = server.ask("GET", "/info/")
        assert list(info["models"]) == ["label_cleanser", "given_label", "hearts"]
        assert "label_noise" in info["scoring"]
        assert "noisiest_label_first" in info["strategies"]
        assert next_sample() == {}
        for case in given:
            if case != unlabelled:
                server.submit(case, submitted / f"{case}.nii.gz", *(renumbered if case == "case6ED" else ()))
        assert next_sample() == {}
        assert server.says("15 not judged yet: run the scoring method label_noise")
        server.run("scoring", "label_noise")

        suspects = {}
        for _ in range(2):
            sample = next_sample()
            case = sample["id"]
            assert sample["path"] == str(studies / f"{case}.nii.gz")
            suspects[case] = {s["name"]: s["reason"] for s in sample["suspects"]}
            assert next_sample()["id"] == case  # until something is submitted
            np.testing.assert_array_equal(server.segment("given_label", case, tmp_path), given[case])
            proposed = server.segment("label_cleanser", case, tmp_path)
            for k in (1, 2, 3):
                assert dice(proposed == k, truth[case] == k) > 0.97
            # One is corrected, the other confirmed as it is.
            corrected = tmp_path / f"label_cleanser-{case}.nii.gz"
            server.submit(case, corrected if case == "case2ED" else submitted / f"{case}.nii.gz")
        assert set(suspects) == {"case2ED", "case5ES"}
        assert suspects["case2ED"]["left ventricle"] == "missing"
        assert suspects["case5ES"]["left ventricle"] == "shifted"
        assert next_sample() == {}
        assert server.says("nothing to review")

        again = server.ask("POST", "/scoring/label_noise", run_sync="true")
        assert sorted(again["judged"]) == ["case2ED", "case5ES"]
        assert len(again["unchanged"]) == 13
        assert again["waiting"] == {}
        assert next_sample() == {}

        for case in ("case0ED", "case3ED", "case4ED", "case6ED", "case6ES"):
            proposed = server.segment("label_cleanser", case, tmp_path)
            np.testing.assert_array_equal(proposed, given[case], err_msg=case)
        np.testing.assert_array_equal(server.segment("given_label", "case6ED", tmp_path), given["case6ED"])
        assert server.says("case6ED: renumbered as label_info names the segments")
        assert server.says("says no position; its voxels are taken as they lie")
        assert dice(server.segment("label_cleanser", unlabelled, tmp_path) == 3, truth[unlabelled] == 3) > 0.97
        with pytest.raises(HTTPError):
            server.segment("given_label", unlabelled, tmp_path)
        assert server.says("given_label: no label has been submitted for")
        named = {"params": json.dumps({"label": str(submitted / "case1ED.nii.gz")})}  # a file of the request's own
        with pytest.raises(HTTPError):
            server.segment("given_label", unlabelled, tmp_path, **named)
        broken = tmp_path / "broken.nii.gz"
        broken.write_bytes(b"no label")
        server.submit("case1ED", broken)
        assert server.ask("POST", "/scoring/label_noise", run_sync="true")["failed"] == ["case1ED"]
        assert server.says("label_noise: cannot judge the label of 'case1ED'")
