"""The redrawing network: what the given label still tells comes into the redrawn one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import judgement_of
from monai.data import DataLoader, MetaTensor
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.inferers import SimpleInferer
from monai.transforms import Compose
from monai.utils import set_determinism
from oracle import draw_one
from torch import nn

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data import CaseDataset
from monai_selfcleanse.handlers import LabelCleanser, LabelFilterResult, LabelRedrawer, SelfCleanseEvents
from monai_selfcleanse.losses import WeightedDiceCELoss
from monai_selfcleanse.noise import ErodeLabel
from monai_selfcleanse.prepare_batch import PrepareBatchWeighted
from monai_selfcleanse.transforms import CleansedLabeld

N_CASES, WRONG = 20, ("case00", "case01", "case02")


class SeesTheDisc(nn.Module):
    """Sees the disc. Which half of it is the structure the image does not tell."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(1, 16, 5, padding=2), nn.Conv2d(16, 16, 5, padding=8, dilation=4)
        self.last = nn.Conv2d(16, n_classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.far(torch.relu(self.near(x)))))


def half_discs(seed: int = 0) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Images of a disc, labels of its left or its right half, and the truth; the labels of :data:`WRONG` are eroded."""
    rng, cases, truth = np.random.default_rng(seed), [], {}
    rows, columns = np.mgrid[:32, :32]
    for i in range(N_CASES):
        middle = rng.integers(13, 19, 2)
        disc = (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= 100
        half = disc & ((columns < middle[1]) if rng.random() < 0.5 else (columns >= middle[1]))
        case = f"case{i:02d}"
        truth[case] = half
        label = half.astype(np.int64)[None]
        given = ErodeLabel(0.5, seed=i)(label, case, (1, 1)) if case in WRONG else label
        image = torch.as_tensor(disc + rng.normal(0, 0.1, disc.shape), dtype=torch.float32)[None]
        cases.append({"image": MetaTensor(image), "label": MetaTensor(torch.as_tensor(given)), "case": case})
    return cases, truth


@dataclass
class Scene:
    trainer: SupervisedTrainer
    redrawer: LabelRedrawer
    store: CaseStore
    network: nn.Module
    truth: dict[str, np.ndarray]

    def look(self, epoch: int, suspects: Sequence[str] = WRONG, **changes: Any) -> None:
        """What the filter does after an epoch, with these suspects."""
        suspected = np.array([[f"case{i:02d}" in suspects] for i in range(N_CASES)])
        judgement = judgement_of([f"case{i:02d}" for i in range(N_CASES)], {1: "half"}, 1.0 - suspected, suspected)
        result = LabelFilterResult.of(replace(judgement, **changes), epoch=epoch)
        self.trainer.state.label_filter_result = result  # type: ignore[attr-defined]
        self.trainer.fire_event(SelfCleanseEvents.LABELS_FILTERED)

    def dice(self, case: str, by_network_alone: bool = False) -> float:
        seen = self.store.read_seen(case)
        if by_network_alone:
            seen = type(seen)(seen.given, seen.predicted, seen.confidence, seen.affine)
        return dice(seen.cleansed([1])[0] == 1, self.truth[case])

    def drawn(self) -> dict[str, np.ndarray]:
        every = {f"case{i:02d}": self.store.read_seen(f"case{i:02d}").redrawn_by for i in range(N_CASES)}
        return {case: drawing.index for case, drawing in every.items() if drawing is not None}


def a_scene(
    root: Path,
    network: nn.Module | None = None,
    n_classes: int = 2,
    num_workers: int = 0,
    augmentation: Sequence[Any] | None = None,
    **options: Any,
) -> Scene:
    torch.manual_seed(0)
    network = SeesTheDisc(n_classes) if network is None else network
    cases, truth = half_discs()
    store = CaseStore(root)
    steps = [CleansedLabeld("label", store)] if augmentation is None else augmentation
    dataset = CaseDataset(cases, Compose([]), Compose(steps), store=store)
    optimizer = torch.optim.AdamW(network.parameters(), 5e-3)
    loss = WeightedDiceCELoss()
    images = torch.stack([case["image"].as_tensor() for case in cases])
    targets = torch.stack([torch.as_tensor(half)[None].long() for half in truth.values()])
    for _ in range(40):  # until it knows discs, and of no half which one it is
        optimizer.zero_grad()
        loss(network(images), targets).backward()
        optimizer.step()
    with torch.no_grad():
        for case, logits in zip(cases, network.eval()(images), strict=True):
            store.write_seen(case["case"], case["label"].numpy()[0], logits.softmax(0).numpy(), np.eye(4))
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=DataLoader(dataset, batch_size=2, num_workers=num_workers),
        network=network,
        optimizer=optimizer,
        loss_function=loss,
        prepare_batch=PrepareBatchWeighted(n_classes),
        decollate=False,
    )
    trainer.state.max_epochs = 2
    look = SupervisedEvaluator(torch.device("cpu"), DataLoader(dataset.cases), network, inferer=SimpleInferer())
    options = {"steps": 10, "learning_rate": 5e-3} | options
    redrawer = LabelRedrawer(network, dataset, store, look, n_classes, **options)
    redrawer.attach(trainer)
    return Scene(trainer, redrawer, store, network, truth)


def test_what_the_image_does_not_tell_comes_from_the_given_label(tmp_path: Path) -> None:
    scene = a_scene(tmp_path, steps=300)
    before = {key: value.clone() for key, value in scene.network.state_dict().items()}
    scene.look(2)
    assert set(scene.drawn()) == set(WRONG)
    for case in WRONG:
        assert scene.dice(case, by_network_alone=True) < 0.6
        assert scene.dice(case) > 0.8
    assert all(torch.equal(value, before[key]) for key, value in scene.network.state_dict().items())
    assert not scene.network.training


def test_a_network_in_training_mode_is_left_in_it(tmp_path: Path) -> None:
    scene = a_scene(tmp_path)
    scene.network.train()
    scene.look(2)
    assert scene.network.training


class Draws(nn.Module):
    """A redrawing network that draws the prompt and, as its last class, the first row."""

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = n_classes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = torch.cat([torch.zeros_like(x[:, :1]), 8 * x[:, 1:] - 4], 1)
        logits[:, -1, :1] = 8
        return logits


def test_what_is_drawn_is_the_mean_of_both_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = a_scene(tmp_path)
    monkeypatch.setattr(scene.redrawer, "_trained", lambda engine, trusted: Draws(2))
    scene.look(2)
    for case in WRONG:
        item = scene.redrawer.dataset.cases[int(case[-2:])]
        image = item["image"].as_tensor()[None]
        with torch.no_grad():
            both = [scene.network(image), Draws(2)(torch.cat([image, item["label"].as_tensor()[None]], 1))]
        mean = sum(logits.softmax(1)[0].numpy() for logits in both) / 2
        seen = scene.store.read_seen(case)
        assert seen.redrawn_by is not None
        np.testing.assert_array_equal(seen.redrawn_by.index, mean.argmax(0))
        np.testing.assert_allclose(seen.redrawn_by.confidence, mean.max(0), atol=0.003)
        np.testing.assert_array_equal(seen.predicted, both[0].softmax(1)[0].numpy().argmax(0))


def test_a_stray_of_the_drawing_leaves_what_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row is apart from the disc."""
    for one_piece in ((), (1,)):
        scene = a_scene(tmp_path / str(len(one_piece)))
        monkeypatch.setattr(scene.redrawer, "_trained", lambda engine, trusted: Draws(2))
        scene.look(2, one_piece=one_piece)
        for case in WRONG:
            seen = scene.store.read_seen(case)
            assert not seen.given[:1].any()
            assert seen.redrawn_by is not None
            assert seen.redrawn_by.index[:1].any() == (not one_piece)
            assert seen.cleansed([1])[0][:1].any() == (not one_piece)


def test_what_was_not_annotated_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structure 2, which no label has."""
    for partial in (False, True):
        scene = a_scene(tmp_path / str(partial), n_classes=3)
        monkeypatch.setattr(scene.redrawer, "_trained", lambda engine, trusted: Draws(3))
        scene.look(2, partial_labels=partial)
        for case in WRONG:
            seen = scene.store.read_seen(case)
            assert seen.redrawn_by is not None
            assert (seen.redrawn_by.index == 2).any() == (not partial)


def test_cases_with_a_structure_that_few_trusted_cases_have_are_redrawn_by_the_network_alone(
    tmp_path: Path, caplog: Any
) -> None:
    """Structure 2 is in case01, a suspect, and in seven trusted cases."""
    scene = a_scene(tmp_path, n_classes=3)
    names = [f"case{i:02d}" for i in range(N_CASES)]
    suspected = np.array([[case in WRONG, False] for case in names])
    given_ml = np.array([[1.0, float(i == 1 or i > 12)] for i in range(N_CASES)])
    evidence = {"given_ml": given_ml, "predicted_ml": given_ml}
    judgement = judgement_of(names, {1: "half", 2: "rare"}, 1.0 - suspected, suspected, **evidence)
    scene.trainer.state.label_filter_result = LabelFilterResult.of(judgement, epoch=2)  # type: ignore[attr-defined]
    with caplog.at_level("INFO"):
        scene.trainer.fire_event(SelfCleanseEvents.LABELS_FILTERED)
    assert set(scene.drawn()) == {"case00", "case02"}
    assert "cases left to the network alone, for a rarer structure: 1" in caplog.text
    with caplog.at_level("INFO"):
        scene.look(2, [f"case{i:02d}" for i in range(13)])
    assert "redrawn by the network alone: fewer than 8 cases without a suspect have their" in caplog.text


def test_frozen_layers_stay_as_they_are_but_for_the_label(tmp_path: Path) -> None:
    scene = a_scene(tmp_path)
    scene.network.far.requires_grad_(False)  # type: ignore[union-attr]
    scene.network.near.requires_grad_(False)  # type: ignore[union-attr]
    trained = []
    draw = scene.redrawer._trained
    scene.redrawer._trained = lambda *args: trained.append(draw(*args))  # type: ignore[method-assign, assignment]
    scene.look(2)
    weights, before = trained[0].state_dict(), scene.network.state_dict()
    torch.testing.assert_close(weights["far.weight"], before["far.weight"], rtol=1e-5, atol=1e-7)
    assert (weights["last.weight"] - before["last.weight"]).abs().max() > 1e-3
    assert weights["near.weight"][:, 1:].abs().max() > 0


def test_workers_draw_as_well(tmp_path: Path) -> None:
    scene = a_scene(tmp_path, num_workers=2, steps=3)
    scene.look(2)
    assert set(scene.drawn()) == set(WRONG)


@pytest.mark.parametrize("augmentation", [[], [CleansedLabeld("label", None, weight_key=None)]])
def test_a_pipeline_without_prompts_redraws_by_the_network_alone(
    augmentation: Sequence[Any], tmp_path: Path, caplog: Any
) -> None:
    scene = a_scene(tmp_path, augmentation=augmentation)
    scene.look(2)
    assert scene.drawn() == {}
    assert "suspects are redrawn by the network alone: prompts do not come through" in caplog.text


def test_the_same_seed_draws_the_same_and_leaves_other_randomness_alone(tmp_path: Path) -> None:
    drawn = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        scene = a_scene(tmp_path / name, steps=10, seed=seed)
        set_determinism(7)
        expected = draw_one()
        set_determinism(7)
        scene.look(2)
        assert draw_one() == expected
        drawn.append(scene.drawn())
    for case in WRONG:
        np.testing.assert_array_equal(drawn[0][case], drawn[1][case])
    assert any((drawn[0][case] != drawn[2][case]).any() for case in WRONG)


@pytest.mark.parametrize(
    ("epoch", "suspects", "options"),
    [
        (1, WRONG, {}),
        (2, (), {}),
        (2, [f"case{i:02d}" for i in range(13)], {}),  # seven cases without a suspect
        (2, WRONG, {"steps": 0}),
    ],
)
def test_nothing_is_drawn(epoch: int, suspects: Sequence[str], options: dict[str, Any], tmp_path: Path) -> None:
    scene = a_scene(tmp_path, **options)
    scene.look(epoch, suspects)
    assert scene.drawn() == {}


def test_targets_of_an_earlier_cleansing_do_not_teach_the_redrawing_network(tmp_path: Path) -> None:
    """Trusted cases had been suspects, were redrawn or left out, and are shown as they were given all the same."""
    expected = a_scene(tmp_path / "plain", steps=10)
    expected.look(2)
    scene = a_scene(tmp_path / "targets", steps=10)
    scene.store.write_left_out(1, ["case05", "case06"])
    scene.store.write_target(1, "case07", np.ones((32, 32)), np.zeros((32, 32)))
    scene.store.publish(1)
    scene.look(2)
    for case, drawn in expected.drawn().items():
        np.testing.assert_array_equal(scene.drawn()[case], drawn)


class _Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([0 * x, self.sharpness * (x - 0.5)], 1)


def test_a_network_that_cannot_see_labels_redraws_alone(tmp_path: Path, caplog: Any) -> None:
    scene = a_scene(tmp_path, network=_Square())
    scene.look(2)
    assert scene.drawn() == {}
    assert "suspects are redrawn by the network alone: _Square cannot be given further input channels" in caplog.text


def test_a_redrawing_network_that_diverges_is_not_used(tmp_path: Path, caplog: Any) -> None:
    scene = a_scene(tmp_path, learning_rate=1e30)
    scene.look(2)
    assert scene.drawn() == {}
    assert "suspects are redrawn by the network alone: the redrawing network's weights are no longer" in caplog.text


def test_the_cleanser_takes_the_drawing(tmp_path: Path) -> None:
    scene = a_scene(tmp_path, steps=30)
    LabelCleanser(scene.store, redraw_epoch=0).attach(scene.trainer)
    scene.look(2)
    for case in WRONG:
        found = scene.store.read_target(case)
        assert found is not None
        np.testing.assert_array_equal(found[0], scene.store.read_seen(case).cleansed([1])[0])


def test_numbers_out_of_range_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="min_cases must be at least 1, got 0"):
        a_scene(tmp_path, min_cases=0)
    with pytest.raises(ValueError, match="steps must be at least 0, got -1"):
        a_scene(tmp_path, steps=-1)
