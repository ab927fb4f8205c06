"""The label filter on a real trainer: planted culprits are found, clean labels are left in peace."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from oracle import make_cases, make_trainer, spoil

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.rounds import place_of
from monai_selfcleanse.handlers import LabelFilter, LabelFilterResult, SelfCleanseEvents


def filtered(cases: list[dict[str, Any]], path: Path, epochs: int = 2, **options: Any) -> tuple[Any, LabelFilter]:
    trainer, look = make_trainer(cases, None, epochs, [])
    label_filter = LabelFilter(look, CaseStore(path), {1: "outer", 2: "inner"}, warmup_epochs=1, **options)
    label_filter.attach(trainer)
    trainer.run()
    return trainer, label_filter


@pytest.mark.parametrize("ndim", [2, 3])
def test_planted_culprits_are_suspected_and_nobody_else(ndim: int, tmp_path: Path) -> None:
    cases = make_cases(16, ndim)
    for i in (3, 7, 11):
        spoil(cases[i], structure=2)
    trainer, _ = filtered(cases, tmp_path)
    result: LabelFilterResult = trainer.state.label_filter_result
    expected = np.zeros((16, 2), dtype=bool)
    expected[[3, 7, 11], 1] = True
    # Dropping the inner structure leaves the outer one as it was.
    np.testing.assert_array_equal(result.suspected, expected)
    assert set(np.argsort(result.clean_probability[:, 1])[:3]) == {3, 7, 11}
    assert [d.verdict for d in result.decisions] == ["clean", "suspects"]


def test_all_clean_labels_look_clean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        trainer, _ = filtered(make_cases(16, 2), tmp_path, interval=1)
    result = trainer.state.label_filter_result
    assert not result.suspected.any()
    assert (result.clean_probability >= 0.1).all()
    lines = [r.message for r in caplog.records if "judged" in r.message]
    assert len(lines) == 2
    assert "judged 32 labels of 16 cases" in lines[0]
    assert "labels look clean" in lines[0]


def test_too_few_cases_are_not_judged(tmp_path: Path) -> None:
    cases = make_cases(6, 2)
    spoil(cases[0], structure=2)
    trainer, _ = filtered(cases, tmp_path)
    assert not trainer.state.label_filter_result.suspected.any()
    assert {d.verdict for d in trainer.state.label_filter_result.decisions} == {"too few"}


def test_a_structure_that_many_cases_lack_is_judged_where_it_is(tmp_path: Path) -> None:
    """Agreement on absence must not pass for a group of very clean labels."""
    cases = make_cases(40, 2)
    for case in cases[:20]:  # no inner structure, neither in the image nor in the label
        case["image"] = case["image"].clamp(max=1.2)
        spoil(case, structure=2)
        case["label"][case["image"] > 0.5] = 1
    for i in (25, 31, 38):
        spoil(cases[i], structure=2)
    trainer, _ = filtered(cases, tmp_path)
    result = trainer.state.label_filter_result
    assert np.flatnonzero(result.suspected[:, 1]).tolist() == [25, 31, 38]
    assert np.isfinite(result.clean_probability).all()


@pytest.mark.parametrize("partial_labels", [False, True])
def test_what_partial_labels_lack_is_not_judged(partial_labels: bool, tmp_path: Path) -> None:
    cases = make_cases(40, 2)
    for i in range(12):
        spoil(cases[i], structure=2)
    for i in (5, 20, 30):
        spoil(cases[i], structure=1)
        label = cases[i]["label"]
        label[..., :3] = 1  # another place
    trainer, label_filter = filtered(cases, tmp_path, partial_labels=partial_labels)
    result = trainer.state.label_filter_result
    assert np.flatnonzero(result.suspected[:, 0]).tolist() == [5, 20, 30]
    unjudged = np.flatnonzero(np.isnan(result.evidence["score"][:, 1])).tolist()
    if partial_labels:
        assert unjudged == list(range(12))
        assert not result.suspected[:, 1].any()
        assert (result.clean_probability[:12, 1] == 1).all()
        assert result.n_judged == 80 - 12
    else:
        assert unjudged == []
        assert result.suspected[:12, 1].all()
    seen = [(label_filter.store.read_seen(f"case{i:02d}").predicted == 2).any() for i in range(40)]
    assert seen == [not partial_labels] * 12 + [True] * 28


@pytest.mark.parametrize(
    ("options", "epochs"),
    [
        ({"warmup_epochs": 3, "interval": 2}, [3, 5, 7, 8]),
        ({"warmup_epochs": 2, "interval": 2, "rounds": [8]}, [2, 4, 6, 8]),
        ({"warmup_epochs": 2, "rounds": [3, 5]}, [2, 3, 8]),
        ({"warmup_epochs": 3, "rounds": [2, 6]}, [8]),
        ({"warmup_epochs": 1, "interval": 1, "rounds": [2, 2, 4]}, [1, 2, 4, 8]),
    ],
)
def test_looks_come_at_intervals_after_the_warm_up_and_at_each_rounds_end(
    options: dict[str, Any], epochs: list[int], tmp_path: Path
) -> None:
    trainer, look = make_trainer(make_cases(4, 2), CaseStore(tmp_path), 8, [])
    label_filter = LabelFilter(look, CaseStore(tmp_path), [1], **options)
    label_filter.attach(trainer)
    rounds = []
    trainer.add_event_handler(
        SelfCleanseEvents.LABELS_FILTERED, lambda: rounds.append(trainer.state.label_filter_result.round)
    )
    trainer.run()
    assert label_filter.epochs == epochs
    several = options.get("rounds", [8])
    assert rounds == [place_of(epoch, several).round if len(several) > 1 else 0 for epoch in epochs]


def test_one_hot_labels_are_refused(tmp_path: Path) -> None:
    cases = make_cases(4, 2)
    for case in cases:
        case["label"] = torch.cat([case["label"] == k for k in range(3)])
    trainer, look = make_trainer(cases, None, 1, [])
    label_filter = LabelFilter(look, CaseStore(tmp_path), [1], warmup_epochs=1)
    label_filter.attach(trainer)
    trainer.state.epoch = 1
    with pytest.raises(ValueError, match="turn a one-hot label into indices"):
        label_filter(trainer)


def test_the_evaluator_stays_usable_outside_of_looks(tmp_path: Path) -> None:
    trainer, look = make_trainer(make_cases(4, 2), None, 1, [])
    LabelFilter(look, CaseStore(tmp_path), [1], warmup_epochs=1).attach(trainer)
    trainer.run()
    look.run()
    look.run()


def test_a_training_shorter_than_the_warmup_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trainer, look = make_trainer(make_cases(4, 2), None, 2, [])
    LabelFilter(look, CaseStore(tmp_path), [1], warmup_epochs=5).attach(trainer)
    with caplog.at_level(logging.WARNING):
        trainer.run()
    assert "no label will be judged" in caplog.text


def test_looks_follow_warmup_and_interval_and_fire_the_event(tmp_path: Path) -> None:
    trainer, look = make_trainer(make_cases(4, 2), None, 9, [])
    label_filter = LabelFilter(look, CaseStore(tmp_path), [1, 2], warmup_epochs=3, interval=4)
    label_filter.attach(trainer)
    seen: list[int] = []
    trainer.add_event_handler(
        SelfCleanseEvents.LABELS_FILTERED, lambda engine: seen.append(engine.state.label_filter_result.epoch)
    )
    trainer.run()
    assert seen == [3, 7, 9]


def test_attaching_twice_takes_one_look(tmp_path: Path) -> None:
    trainer, look = make_trainer(make_cases(4, 2), None, 1, [])
    label_filter = LabelFilter(look, CaseStore(tmp_path), [1], warmup_epochs=1)
    label_filter.attach(trainer)
    label_filter.attach(trainer)
    trainer.run()
    assert label_filter.epochs == [1]


def test_state_survives_saving_with_weights_only(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    spoil(cases[5], structure=1)
    trainer, label_filter = filtered(cases, tmp_path / "store")
    torch.save(label_filter.state_dict(), tmp_path / "state.pt")
    _, look = make_trainer(cases, None, 1, [])
    other = LabelFilter(look, CaseStore(tmp_path / "store"), {1: "outer", 2: "inner"}, warmup_epochs=1)
    assert other.result() is None
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    expected, got = trainer.state.label_filter_result, other.result()
    assert got is not None
    assert got.cases == expected.cases
    np.testing.assert_array_equal(got.clean_probability, expected.clean_probability)
    np.testing.assert_array_equal(got.suspected, expected.suspected)


def test_a_checkpoint_of_another_version_is_refused(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    trainer, look = make_trainer(cases, CaseStore(tmp_path), 1, [])
    label_filter = LabelFilter(look, tmp_path, [1, 2], warmup_epochs=1)
    label_filter.attach(trainer)
    trainer.run()
    state = label_filter.state_dict()
    for looked in state["history"]:
        del looked["size_ratio"]
    with pytest.raises(ValueError, match=r"evidence lacks 'size_ratio'.*start afresh in an empty output_dir"):
        label_filter.load_state_dict(state)


def test_other_cases_than_before_are_refused(tmp_path: Path) -> None:
    _, label_filter = filtered(make_cases(4, 2), tmp_path / "a")
    trainer, look = make_trainer(make_cases(5, 2), None, 1, [])
    other = LabelFilter(look, CaseStore(tmp_path / "b"), {1: "outer", 2: "inner"}, warmup_epochs=1)
    other.load_state_dict(label_filter.state_dict())
    other.attach(trainer)
    with pytest.raises(RuntimeError, match="other cases than in its last look"):
        trainer.run()


def test_logits_instead_of_probabilities_are_refused(tmp_path: Path) -> None:
    trainer, look = make_trainer(make_cases(4, 2), None, 1, [])
    plain = type(look)(
        device=torch.device("cpu"), val_data_loader=look.data_loader, network=look.network, inferer=look.inferer
    )
    LabelFilter(plain, CaseStore(tmp_path), [1], warmup_epochs=1).attach(trainer)
    with pytest.raises(ValueError, match="Activationsd"):
        trainer.run()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"warmup_epochs": 0}, "warmup_epochs"),
        ({"interval": 0}, "interval"),
        ({"threshold": 1.0}, "threshold"),
        ({"min_separation": float("nan")}, "min_separation"),
        ({"max_share": 1.5}, "max_share"),
        ({"min_cases": 0}, "min_cases"),
        ({"structures": []}, "structures"),
        ({"structures": [0, 1]}, "structures"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], match: str, tmp_path: Path) -> None:
    _, look = make_trainer(make_cases(2, 2), None, 1, [])
    arguments: dict[str, Any] = {"structures": [1], "warmup_epochs": 1} | options
    with pytest.raises(ValueError, match=match):
        LabelFilter(look, CaseStore(tmp_path), **arguments)


def test_an_engine_that_is_no_evaluator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Evaluator"):
        LabelFilter(Engine(lambda e, b: None), CaseStore(tmp_path), [1], warmup_epochs=1)
