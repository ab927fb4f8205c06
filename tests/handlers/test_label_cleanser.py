"""The label cleanser on a real trainer: suspects are left out or redrawn, the rest trains on what was given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import judged_cohort, read_nifti
from ignite.engine import Engine, Events
from oracle import make_cases, make_trainer, spoil

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.mixture import FilterDecision
from monai_selfcleanse.handlers import LabelCleanser, LabelFilter, LabelFilterResult, SelfCleanseEvents
from monai_selfcleanse.results import write_cleansed_labels, write_nnunet_dataset
from monai_selfcleanse.results.suspects import illustrate_suspects


def trained(
    cases: list[dict[str, Any]], store: CaseStore, epochs: int = 2, redraw_epoch: int | None = 0, **options: Any
) -> tuple[Any, LabelCleanser]:
    trainer, look = make_trainer(cases, store, epochs, [])
    LabelFilter(look, store, [1, 2], warmup_epochs=1, **options).attach(trainer)
    cleanser = LabelCleanser(store, redraw_epoch)
    cleanser.attach(trainer)
    trainer.run()
    return trainer, cleanser


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_dropped_structure_is_restored_and_clean_cases_have_no_target(ndim: int, tmp_path: Path) -> None:
    cases = make_cases(16, ndim)
    truth = cases[4]["label"].numpy()[0].copy()
    spoil(cases[4], structure=2)
    store = CaseStore(tmp_path)
    trainer, _ = trained(cases, store)
    assert trainer.state.label_cleanser_result.cases == ("case04",)
    found = store.read_target("case04")
    assert found is not None
    target, weight = found
    sure = weight > 0
    assert sure.mean() > 0.9
    np.testing.assert_array_equal(target[sure], truth[sure])
    assert all(store.read_target(f"case{i:02d}") is None for i in range(16) if i != 4)
    assert trainer.state.label_cleanser_result.changed_voxels == (int((target != cases[4]["label"].numpy()[0]).sum()),)


def test_a_structure_that_was_not_annotated_is_not_added(tmp_path: Path) -> None:
    """Structure 1 of one case is over-drawn onto the place of structure 2, which nobody annotated there."""
    cases = make_cases(16, 2)
    truth = cases[4]["label"].numpy()[0].copy()
    cases[4]["label"] = torch.ones_like(cases[4]["label"])
    store = CaseStore(tmp_path)
    trainer, _ = trained(cases, store, partial_labels=True)
    result = trainer.state.label_filter_result
    assert result.by_case(result.suspected) == {"case04": [1]}
    found = store.read_target("case04")
    assert found is not None
    target, _ = found
    assert not (target == 2).any()
    assert (target == (truth == 1)).mean() > 0.99  # where the network is unsure, the given label stands


def test_the_pipeline_serves_the_target_from_the_next_epoch_on(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    spoil(cases[4], structure=2)
    store = CaseStore(tmp_path)
    trainer, look = make_trainer(cases, store, 2, [])
    LabelFilter(look, store, [1, 2], warmup_epochs=1).attach(trainer)
    LabelCleanser(store, redraw_epoch=0).attach(trainer)
    inner: dict[int, int] = {1: 0, 2: 0}

    @trainer.on(Events.ITERATION_COMPLETED)
    def count(engine: Engine) -> None:
        batch = engine.state.batch
        for case, label in zip(batch["case"], batch["label"], strict=True):
            if case == "case04":
                inner[engine.state.epoch] += int((label == 2).sum())

    trainer.run()
    assert inner[1] == 0
    assert inner[2] > 0


def test_suspects_are_left_out_until_they_are_redrawn(tmp_path: Path) -> None:
    """Looks after epochs 1, 2 and 3; from 2 on labels are redrawn. 16 cases an epoch, whoever is trained on."""
    cases = make_cases(16, 2)
    spoil(cases[4], structure=2)
    store = CaseStore(tmp_path)
    trainer, look = make_trainer(cases, store, 3, [])
    LabelFilter(look, store, [1, 2], warmup_epochs=1, interval=1).attach(trainer)
    LabelCleanser(store, redraw_epoch=2).attach(trainer)
    trained_on: dict[int, list[str]] = {1: [], 2: [], 3: []}
    out: list[tuple[str, ...]] = []

    @trainer.on(Events.ITERATION_COMPLETED)
    def note(engine: Engine) -> None:
        trained_on[engine.state.epoch] += engine.state.batch["case"]

    @trainer.on(SelfCleanseEvents.LABELS_CLEANSED)
    def note_left_out(engine: Engine) -> None:
        out.append(engine.state.label_cleanser_result.left_out)
        assert (store.read_target("case04") is None) == (engine.state.epoch == 1)

    trainer.run()
    assert out == [("case04",), (), ()]
    assert ["case04" in cases for cases in trained_on.values()] == [True, False, True]
    assert [len(cases) for cases in trained_on.values()] == [16, 16, 16]


def test_with_no_epoch_to_redraw_suspects_are_left_out_to_the_end(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    spoil(cases[4], structure=2)
    store = CaseStore(tmp_path)
    trainer, _ = trained(cases, store, epochs=3, redraw_epoch=None, interval=1)
    assert trainer.state.label_cleanser_result.left_out == ("case04",)
    assert trainer.state.label_cleanser_result.cases == ()
    assert store.read_target("case04") is None


def test_to_leave_out_to_the_end_is_the_default(tmp_path: Path) -> None:
    assert LabelCleanser(CaseStore(tmp_path)).redraw_epoch is None


def test_redraw_epoch_is_not_negative(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="redraw_epoch must be at least 0, or None, got -1"):
        LabelCleanser(CaseStore(tmp_path), redraw_epoch=-1)


@pytest.mark.parametrize("value", ["x", None, float("nan")])
def test_a_separation_is_a_number(value: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="leave_out_separation must be a number, in Dice, got"):
        LabelCleanser(CaseStore(tmp_path), leave_out_separation=value)


@pytest.mark.parametrize(("redraw_epoch", "cases", "left_out"), [(None, (), ("a", "b")), (0, ("a", "c"), ("b",))])
def test_a_suspect_that_the_network_draws_badly_is_left_out_even_when_others_are_redrawn(
    redraw_epoch: int | None, cases: tuple[str, ...], left_out: tuple[str, ...], tmp_path: Path, caplog: Any
) -> None:
    """a: a label that the network draws well; b: one that it draws badly, one well; c and d: no reason to leave out.

    The groups of c's structure are not clearly apart, and d's label is in doubt.
    """
    store = CaseStore(tmp_path)
    given = np.zeros((2, 3), dtype=np.int64)
    probabilities = np.stack([given, 1.0 - given, given, given]).astype(float)
    for case in "abcdef":
        store.write_seen(case, given, probabilities, np.eye(4))
    suspected = np.zeros((6, 3), dtype=bool)
    suspected[0, 0] = suspected[1, 0] = suspected[1, 1] = suspected[2, 1] = suspected[3, 0] = True
    clean_probability = 1.0 - suspected
    clean_probability[3, 0] = 0.3
    evidence = {name: np.ones((6, 3)) for name in ("score", "expected_dice", "predicted_ml")}
    evidence["expected_dice"][1, 0] = 0.8
    decisions = tuple(
        FilterDecision(np.ones(6), column, "suspects", None, separation, 0.1)
        for column, separation in zip(suspected.T, (0.4, 0.2, 0.0), strict=True)
    )
    engine = Engine(lambda e, b: None)
    cleanser = LabelCleanser(store, redraw_epoch)
    cleanser.attach(engine)
    engine.state.label_filter_result = LabelFilterResult(
        tuple("abcdef"),
        (1, 2, 3),
        ("one", "two", "three"),
        evidence,
        clean_probability,
        suspected,
        decisions,
        False,
        0.1,
        1,
    )
    with caplog.at_level("INFO"):
        cleanser(engine)
    assert engine.state.label_cleanser_result.cases == cases
    assert engine.state.label_cleanser_result.left_out == left_out
    assert store.read_left_out(1) == frozenset(left_out)
    assert tuple(case for case in "abcdef" if store.has_target(1, case)) == cases
    as_given = f"; {2 if redraw_epoch is None else 1} suspected labels are trained on as they are"
    trained_on = "" if redraw_epoch is None else "2 of 6 cases train on cleansed labels; "
    assert caplog.messages[-1] == f"epoch 1: {trained_on}{len(left_out)} of 6 cases are left out{as_given}"


def test_events_carry_the_result(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    spoil(cases[0], structure=1)
    store = CaseStore(tmp_path)
    trainer, look = make_trainer(cases, store, 1, [])
    LabelCleanser(store, redraw_epoch=0).attach(trainer)  # before the filter: the order does not matter
    LabelFilter(look, store, [1, 2], warmup_epochs=1).attach(trainer)
    versions: list[int] = []
    trainer.add_event_handler(
        SelfCleanseEvents.LABELS_CLEANSED, lambda engine: versions.append(engine.state.label_cleanser_result.version)
    )
    trainer.run()
    assert versions == [1]


def test_each_cleansing_starts_from_the_given_labels(tmp_path: Path) -> None:
    """A label that is suspected no more gets its given label back, on a do-nothing engine."""
    store = CaseStore(tmp_path)
    given = np.array([[1, 1, 0], [0, 0, 0]])
    probabilities = np.stack([1.0 - np.ones((2, 3)), np.ones((2, 3))])
    store.write_seen("a", given, probabilities, np.eye(4))
    engine = Engine(lambda e, b: None)
    cleanser = LabelCleanser(store, redraw_epoch=0)
    cleanser.attach(engine)
    evidence = {name: np.ones((1, 1)) for name in ("score", "expected_dice", "predicted_ml")}
    decisions = (FilterDecision(np.ones(1), np.zeros(1, bool), "suspects", None, 0.0, 0.1),)
    for suspected, expected in ((True, True), (False, False)):
        mark = np.array([[suspected]])
        engine.state.label_filter_result = LabelFilterResult(
            ("a",), (1,), ("one",), evidence, 1.0 - mark.astype(float), mark, decisions, False, 0.1, epoch=1
        )
        cleanser(engine)
        assert (store.read_target("a") is not None) == expected
    assert store.version == 2


@pytest.mark.parametrize(("one_piece", "expected"), [((1,), [1, 1, 0, 0, 0, 0]), ((), [1, 1, 0, 0, 1, 0])])
def test_strays_of_structures_in_one_piece_are_not_taught(
    one_piece: tuple[int, ...], expected: list[int], tmp_path: Path
) -> None:
    store = CaseStore(tmp_path)
    predicted = np.array([[1, 1, 0, 0, 1, 0]])
    p = np.stack([predicted == 0, predicted == 1]) * 0.9 + 0.05
    store.write_seen("a", np.array([[1, 0, 0, 0, 0, 0]]), p, np.eye(4), strays={1: np.array([4])})
    engine = Engine(lambda e, b: None)
    cleanser = LabelCleanser(store, redraw_epoch=0)
    cleanser.attach(engine)
    evidence = {name: np.ones((1, 1)) for name in ("score", "expected_dice", "predicted_ml")}
    mark = np.array([[True]])
    decisions = (FilterDecision(np.ones(1), mark[0], "suspects", None, 0.0, 0.1),)
    engine.state.label_filter_result = LabelFilterResult(
        ("a",), (1,), ("one",), evidence, 1.0 - mark, mark, decisions, False, 0.1, epoch=1, one_piece=one_piece
    )
    cleanser(engine)
    target = store.read_target("a")
    assert target is not None
    assert target[0].ravel().tolist() == expected


def test_a_new_training_does_not_take_up_old_targets(tmp_path: Path) -> None:
    cases = make_cases(16, 2)
    spoil(cases[4], structure=2)
    store = CaseStore(tmp_path)
    trained(cases, store)
    assert store.version == 2
    trainer, _ = make_trainer(cases, store, 1, [LabelCleanser(store, redraw_epoch=0)])
    trainer.run()
    assert store.version == 0
    assert store.read_target("case04") is None


def test_the_checkpoints_version_comes_into_force_again(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    target = np.ones((2, 2))
    for version in (1, 2):
        store.write_target(version, "a", target * version, target)
        store.publish(version)
    cleanser = LabelCleanser(store, redraw_epoch=0)
    cleanser.load_state_dict({"version": 1, "cases": ["a"], "left_out": []})
    engine = Engine(lambda e, b: None)
    cleanser.attach(engine)
    engine.state.epoch = 3
    engine.fire_event(Events.STARTED)
    found = store.read_target("a")
    assert found is not None
    assert torch.equal(torch.as_tensor(found[0]), torch.ones(2, 2, dtype=torch.uint8))


@pytest.mark.parametrize(("cases", "left_out"), [(["a"], []), ([], ["a"])])
def test_a_checkpoint_whose_targets_are_elsewhere_is_refused(
    cases: list[str], left_out: list[str], tmp_path: Path
) -> None:
    cleanser = LabelCleanser(CaseStore(tmp_path), redraw_epoch=0)
    cleanser.load_state_dict({"version": 1, "cases": cases, "left_out": left_out})
    engine = Engine(lambda e, b: None)
    cleanser.attach(engine)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda e: None)
    engine.state.epoch = 3
    with pytest.raises(RuntimeError, match="resume with the output_dir of the interrupted run"):
        engine.fire_event(Events.STARTED)


def test_a_checkpoint_knows_all_who_are_left_out(tmp_path: Path) -> None:
    store = CaseStore(tmp_path)
    store.write_left_out(1, ["a", "b"])
    store.publish(1)
    before, after = LabelCleanser(store), LabelCleanser(store)
    engine = Engine(lambda e, b: None)
    after.attach(engine)
    before.version, before.left_out = 1, ("a", "b")
    after.load_state_dict(before.state_dict())
    engine.state.epoch = 3
    engine.fire_event(Events.STARTED)
    assert after.left_out == ("a", "b")
    assert store.read_left_out(store.version) == {"a", "b"}
    after.left_out = ("a",)
    with pytest.raises(RuntimeError, match="'b' and 0 other cases differ"):
        engine.fire_event(Events.STARTED)
    engine.state.epoch = 0  # a new training
    engine.fire_event(Events.STARTED)
    assert after.left_out == ()
    assert store.version == 0


def test_training_files_pictures_and_exports_show_one_label_for_one_confidence(tmp_path: Path) -> None:
    """Of case a's missing structure the network is sure with 0.98, in its last row with 0.61 alone."""
    judged = judged_cohort(tmp_path / "data")
    suspected = np.array([[case == "a"] for case in "abcdef"])
    evidence = {name: np.ones((6, 1)) for name in ("score", "expected_dice", "predicted_ml")}
    decisions = (FilterDecision(np.ones(6), suspected[:, 0], "suspects", None, 0.4, 0.1),)
    result = LabelFilterResult(
        tuple("abcdef"), (1,), ("one",), evidence, 1.0 - suspected, suspected, decisions, False, 0.1, epoch=1
    )
    for min_confidence, rows in ((0.5, 4), (0.8, 3), (0.99, 0)):
        store, out = CaseStore(judged.store.directory, min_confidence), tmp_path / str(min_confidence)
        engine = Engine(lambda e, b: None)
        cleanser = LabelCleanser(store, redraw_epoch=0)
        cleanser.attach(engine)
        engine.state.label_filter_result = result
        cleanser(engine)
        target, _ = store.read_target("a") or pytest.fail("case a has no target")
        write_cleansed_labels(out / "cleansed", judged.judgement, judged.data, store, {})
        write_nnunet_dataset(out / "Dataset501_Mine", judged.judgement, judged.data, store, {}, ignore=True)
        on_disk = read_nifti(out / "cleansed" / "labelsTr" / "0.nii.gz")
        exported = read_nifti(out / "Dataset501_Mine" / "labelsTr" / "a.nii.gz")
        pictured = next(iter(illustrate_suspects(judged.judgement, judged.data, store, 1))).pictures[0].cleansed
        for label in (target, on_disk, exported):
            assert (label == 1).sum() == rows * 4 * 3
        assert (exported == 4).sum() == (4 - rows) * 4 * 3  # nnU-Net's ignore
        assert {int(side) for side in re.findall(r"[hv]-?(\d+)", pictured)} == ({rows, 4} if rows else set())


def test_a_confidence_out_of_range_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"min_confidence must lie in \[0, 1\], got 1.5"):
        CaseStore(tmp_path, min_confidence=1.5)
