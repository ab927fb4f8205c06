"""The bundle as a client of a federation, driven by MONAI's own client algorithm."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from bundles import BUNDLE, TINY
from ignite.engine import Events
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, ModelType, WeightType
from monai.fl.utils.exchange_object import ExchangeObject

pytestmark = pytest.mark.slow

ROUNDS, LOCAL_EPOCHS = 5, 1


class Federation:
    """One client and a server that sends its own weights every round; what the client was seen to do."""

    def __init__(self, bundle: Path, dataset: Path) -> None:
        options = {k: v for k, v in TINY.items() if k not in ("warmup_epochs", "label_filter#interval")}
        options |= {"dataset_dir": str(dataset), "noise_rate": 0.5, "epochs": ROUNDS * LOCAL_EPOCHS}
        options |= {"redraw_epoch": 3}
        self.client = MonaiAlgo(
            str(bundle),
            local_epochs=LOCAL_EPOCHS,
            config_train_filename=["configs/train.json", "configs/federated.json"],
            train_kwargs=options,
            eval_kwargs={k: v for k, v in options.items() if k != "epochs"},
        )
        self.client.initialize({ExtraItems.CLIENT_NAME: "client"})
        trainer: Any = self.client.trainer
        ema = self.client.train_workflow.parser.get_parsed_content("ema")
        self.began_with: list[dict[str, torch.Tensor]] = []
        trainer.add_event_handler(
            Events.EPOCH_STARTED, lambda e: self.began_with.append(copied(ema.ema_model.state_dict()))
        )
        self.sent: list[dict[str, torch.Tensor]] = []
        self.judged_at: list[int | None] = []
        self.cleansed: list[Any] = []
        self.rates: list[float] = []
        self.reported: list[bool] = []
        weights = copied(trainer.network.state_dict())
        for _ in range(ROUNDS):
            self.sent.append(weights)
            self.client.train(ExchangeObject(weights=copied(weights)))
            result = trainer.state.label_filter_result
            self.judged_at.append(None if result is None else result.epoch)
            self.cleansed.append(getattr(trainer.state, "label_cleanser_result", None))
            self.rates.append(trainer.optimizer.param_groups[0]["lr"])
            self.reported.append((bundle / "output" / "label_report.csv").exists())
            self.back = self.client.get_weights()
            # Another client's contribution, so that what comes next differs from what this one had.
            weights = {
                k: weights[k] + 0.5 * self.back.weights[k] if v.is_floating_point() else v for k, v in weights.items()
            }
        self.metrics = self.client.evaluate(ExchangeObject(weights=copied(weights))).metrics
        self.trainer = trainer


def copied(weights: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in weights.items()}


@pytest.fixture(scope="module")
def federation(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Federation:
    bundle = tmp_path_factory.mktemp("app") / "cardiac"
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("output", "models"))
    return Federation(bundle, phantom)


def test_warmup_is_counted_over_the_rounds(federation: Federation) -> None:
    # Three tenths of five epochs: not at the end of round 1, though it is the last epoch that its trainer knows of.
    assert federation.judged_at == [None, 2, 3, 4, 5]
    assert federation.reported == [False, True, True, True, True]


def test_epochs_until_suspects_are_redrawn_are_counted_over_the_rounds(federation: Federation) -> None:
    first, second, *rest = federation.cleansed
    assert first is None
    assert not second.cases
    assert any(done.cases for done in rest)


def test_the_learning_rate_falls_over_all_rounds(federation: Federation) -> None:
    assert federation.rates == sorted(federation.rates, reverse=True)
    assert federation.rates[0] > 0.5 * 0.005
    assert federation.rates[-1] < 0.05 * 0.005


def test_averaging_begins_anew_from_what_the_server_sends(federation: Federation) -> None:
    assert len(federation.began_with) == ROUNDS * LOCAL_EPOCHS
    for began, sent in zip(federation.began_with, federation.sent, strict=True):
        for name, value in sent.items():
            assert torch.equal(began[name], value), name


def test_the_server_gets_back_what_training_changed(federation: Federation) -> None:
    assert federation.back.weight_type == WeightType.WEIGHT_DIFF
    network = federation.trainer.network.state_dict()
    for name, value in federation.back.weights.items():
        torch.testing.assert_close(federation.sent[-1][name] + value, network[name])
    assert any(value.abs().max() > 0 for value in federation.back.weights.values())


def test_global_weights_are_evaluated_and_the_average_can_be_fetched(federation: Federation) -> None:
    assert 0 <= float(federation.metrics["val_mean_dice"]) <= 1
    best = federation.client.get_weights({ExtraItems.MODEL_TYPE: ModelType.BEST_MODEL}).weights
    assert set(best) == set(federation.sent[0])
