"""A label that is redrawn without the network's size bias is one and the same wherever it is shown or written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import read_nifti
from ignite.engine import Engine

from monai_selfcleanse.audit import judge_labels
from monai_selfcleanse.handlers import LabelCleanser
from monai_selfcleanse.handlers.label_filter import LabelFilterResult
from monai_selfcleanse.results import read_record
from monai_selfcleanse.results.label_set import JudgedLabels

AFFINE = np.diag([1.0, 1.0, 2.5, 1.0])
N = 24


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path, dict[str, np.ndarray]]:
    """Every other ball is drawn too small, and the network draws in between: the judgement, its results, the labels."""
    folder = tmp_path_factory.mktemp("biased")
    rng, x = np.random.default_rng(0), np.indices((32, 32, 12))
    given, cases = {}, []
    for i in range(N):
        away = np.sqrt((x[0] - 15.5) ** 2 + (x[1] - 15.5) ** 2 + (2.5 * (x[2] - 5.5)) ** 2) + rng.normal(0, 0.2)
        p = 1 / (1 + np.exp((away - 9) / 0.8))
        label = (away < (10.2 if i % 2 else 6.6)).astype(np.uint8)
        given[f"case{i:02d}"] = label
        cases.append((f"case{i:02d}", label, np.stack([1 - p, p]).astype(np.float32)))
    judgement = judge_labels([(*case, AFFINE) for case in cases], {1: "liver"}, directory=folder / "kept")
    judgement.write_report(folder / "out")
    return judgement, folder / "out", given


def test_the_network_has_a_bias_and_redraws_otherwise_for_it(audit: Any) -> None:
    judgement, _, given = audit
    assert judgement.size_bias[1] > 0.2
    assert judgement.redrawn[:, 0].tolist() == [i % 2 == 0 for i in range(N)]
    for case in judgement.by_case(judgement.redrawn):
        plain, _ = judgement.store.read_seen(case).cleansed([1])
        assert plain.sum() < judgement.cleansed_label(case).sum()
        assert given[case].sum() < plain.sum()


def test_files_are_what_arrays_are(audit: Any) -> None:
    judgement, out, _ = audit
    files = {path.name.split(".")[0]: path for path in (out / "cleansed_labels").rglob("*.nii.gz")}
    for case in judgement.cases:
        np.testing.assert_array_equal(read_nifti(files[case]), judgement.cleansed_label(case))


def test_so_are_record_and_exports(audit: Any) -> None:
    judgement, out, _ = audit
    run = read_record(out)
    assert run.judgement.size_bias == judgement.size_bias
    assert [one.clear_cut for one in run.judgement.decisions] == [one.clear_cut for one in judgement.decisions]
    labels = JudgedLabels.in_store(judgement, judgement.data, judgement.store, {})
    redrawn = judgement.by_case(judgement.redrawn)
    for case, item in run.by_case.items():
        expected = judgement.cleansed_label(case)
        np.testing.assert_array_equal(run.read_seen(case).cleansed(redrawn.get(case, ()))[0], expected)
        np.testing.assert_array_equal(labels.draw(item).index, expected)


def test_a_training_is_taught_the_same(audit: Any) -> None:
    judgement, _, given = audit
    cleanser = LabelCleanser(judgement.store, redraw_epoch=0)
    engine = Engine(lambda engine, batch: None)
    cleanser.attach(engine)
    engine.state.label_filter_result = LabelFilterResult.of(judgement, epoch=1)  # type: ignore[attr-defined]
    engine.state.max_epochs = 1
    cleanser(engine)
    for case in judgement.cases:
        target = judgement.store.read_target(case)
        np.testing.assert_array_equal(given[case] if target is None else target[0], judgement.cleansed_label(case))
