"""The job for NVIDIA FLARE: its files, and its client with a server in FLARE's place."""

from __future__ import annotations

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from bundles import BUNDLE, ROOT, TINY, parser_of
from monai.utils import optional_import

from monai_selfcleanse.data import write_phantom
from monai_selfcleanse.results.tables import read_rows

JOB = ROOT / "examples" / "flare" / "job"
CONFIG = JOB / "app" / "config"
CLIENT = JOB / "app" / "custom" / "selfcleanse_client.py"

ROUNDS = 2


class Server:
    """Sends weights to one client for some rounds, then asks for their evaluation; what it got back is kept."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self.weights = weights
        self.sent: list[dict[str, torch.Tensor]] = []
        self.got: list[Any] = []

    def receive(self) -> Any:
        if len(self.got) > ROUNDS:
            return None
        self.sent.append({name: value.clone() for name, value in self.weights.items()})
        return Namespace(params=self.weights, total_rounds=ROUNDS, current_round=len(self.got))

    def send(self, model: Any) -> None:
        self.got.append(model)
        if model.params is not None:
            self.weights = {name: value.clone() for name, value in model.params.items()}

    def module(self) -> ModuleType:
        """A stand-in for ``nvflare.client``."""
        out = ModuleType("nvflare.client")
        names = {"params": None, "params_type": None, "metrics": None, "meta": None}
        out.FLModel = lambda **given: Namespace(**(names | given))
        out.ParamsType = Namespace(FULL="FULL", DIFF="DIFF")
        out.init, out.get_site_name, out.is_running = lambda: None, lambda: "site-1", lambda: True
        out.receive, out.send = self.receive, self.send
        out.is_train = lambda: len(self.got) < ROUNDS
        return out


def client_with(flare: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    package = ModuleType("nvflare")
    package.client = flare  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nvflare", package)
    monkeypatch.setitem(sys.modules, "nvflare.client", flare)
    spec = importlib.util.spec_from_file_location("selfcleanse_client", CLIENT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return client_with(Server({}).module(), monkeypatch)


def config(name: str) -> dict[str, Any]:
    return json.loads((CONFIG / f"config_fed_{name}.json").read_text(encoding="utf-8"))


def test_the_server_begins_with_the_bundles_network() -> None:
    components = {one["id"]: one for one in config("server")["components"]}
    model = components["persistor"]["args"]["model"]
    cls, found = optional_import(*model["path"].rsplit(".", 1)[:1], name=model["path"].rsplit(".", 1)[1])
    assert found
    theirs = cls(**model["args"]).state_dict()
    ours = parser_of(BUNDLE, "train.json").get_parsed_content("network_def").state_dict()
    assert {name: value.shape for name, value in theirs.items()} == {name: v.shape for name, v in ours.items()}


def test_the_jobs_parts_name_each_other() -> None:
    server = config("server")
    known = {one["id"] for one in server["components"]}
    train, validate = server["workflows"]
    assert validate["args"]["model_locator_id"] in known
    assert {one["args"].get("pt_persistor_id", "persistor") for one in server["components"]} <= known
    (meta,) = JOB.glob("*.json")
    assert train["args"]["num_clients"] == json.loads(meta.read_text())["min_clients"]
    command = config("client")["executors"][0]["executor"]["args"]["command"]
    (script,) = (part for part in command if part.endswith(".py"))
    assert (JOB / "app" / script).samefile(CLIENT)


def test_the_servers_key_metric_is_what_the_client_sends(client: ModuleType) -> None:
    selectors = [one["args"]["key_metric"] for one in config("server")["components"] if "key_metric" in one["args"]]
    assert selectors == [client.KEY_METRIC]


def test_the_jobs_epochs_are_those_of_the_document(client: ModuleType) -> None:
    text = (ROOT / "docs" / "how-to" / "federation.md").read_text(encoding="utf-8")
    assert '"num_rounds": 30' in json.dumps(config("server"))
    command = config("client")["executors"][0]["executor"]["args"]["command"]
    assert command[-2:] == ["--local_epochs", "2"]
    assert "30 rounds of 2 epochs" in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"SELFCLEANSE_DATA": ""}, "site-1: set SELFCLEANSE_DATA in the environment"),
        ({"SELFCLEANSE_DATA": "/nowhere/{site}"}, "/nowhere/site-1 is not there: correct SELFCLEANSE_DATA"),
        ({"SELFCLEANSE_BUNDLE": "/nowhere"}, "federated.json is not there: correct SELFCLEANSE_BUNDLE"),
    ],
)
def test_a_site_that_is_not_set_up_is_told_which_variable(
    client: ModuleType, tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    environment = {
        "SELFCLEANSE_BUNDLE": str(BUNDLE),
        "SELFCLEANSE_DATA": str(tmp_path),
        "SELFCLEANSE_OUTPUT": str(tmp_path / "{site}"),
    }
    assert client.places(environment, "site-1") == (BUNDLE, tmp_path, tmp_path / "site-1")
    with pytest.raises(ValueError, match=message):
        client.places(environment | changed, "site-1")


@pytest.mark.slow
def test_a_client_trains_judges_its_labels_and_sends_weights_and_a_metric_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = {name: value for name, value in TINY.items() if name not in ("epochs", "warmup_epochs", "device")}
    options = [f"{name}={value}" for name, value in (tiny | {"noise_rate": 0.5}).items()]
    overlay = tmp_path / "small.json"
    overlay.write_text(
        json.dumps({name: value for name, value in tiny.items() if name.startswith("network_def")}), encoding="utf-8"
    )
    write_phantom(tmp_path / "data" / "site-1", n_patients=4, seed=3)
    network = {name: value for name, value in tiny.items() if name.startswith(("network_def", "spacing", "patch"))}
    overlay.write_text(json.dumps(network), encoding="utf-8")
    parser = parser_of(BUNDLE, "train.json")
    parser.update(network)
    server = Server(parser.get_parsed_content("network_def").state_dict())
    client = client_with(server.module(), monkeypatch)
    monkeypatch.setenv("SELFCLEANSE_BUNDLE", str(BUNDLE))
    monkeypatch.setenv("SELFCLEANSE_DATA", str(tmp_path / "data" / "{site}"))
    monkeypatch.setenv("SELFCLEANSE_OUTPUT", str(tmp_path / "out" / "{site}"))
    before = {path: path.read_bytes() for path in (BUNDLE / "models").rglob("*") if path.is_file()}
    client.main(["--local_epochs", "1", "--overlay", str(overlay), "--keep_weights", "--set", *options])

    output = tmp_path / "out" / "site-1"
    assert (output / "report.html").is_file()
    assert {row["case"] for row in read_rows(output / "label_report.csv")}
    assert (output / "models" / "model.pt").is_file()
    assert {path: path.read_bytes() for path in (BUNDLE / "models").rglob("*") if path.is_file()} == before
    rows = read_rows(output / "rounds.csv")
    assert [row["round"] for row in rows] == ["1", "2"]
    *trained, evaluated = server.got
    for model, row in zip(trained, rows, strict=True):
        assert set(vars(model)) == {"params", "params_type", "metrics", "meta"}
        assert model.params_type == "FULL"
        assert model.metrics == {"val_mean_dice": pytest.approx(float(row["val_mean_dice"]), rel=1e-4)}
        assert model.meta["NUM_STEPS_CURRENT_ROUND"] > 0
    assert evaluated.params is None
    assert 0 <= evaluated.metrics["val_mean_dice"] <= 1
    for number, (sent, model) in enumerate(zip(server.sent[:ROUNDS], trained, strict=True), 1):
        assert any(not torch.equal(sent[name], model.params[name]) for name in sent)
        kept = torch.load(output / "exchanged" / f"round_{number}.pt", weights_only=True)
        assert all(torch.equal(kept["received"][name], sent[name]) for name in sent)
