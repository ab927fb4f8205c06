"""A folder of corrected labels, read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import judged_cohort, read_nifti, write_nifti

from monai_selfcleanse.cases import read_label
from monai_selfcleanse.results import (
    Decision,
    JudgedLabels,
    JudgedRun,
    apply_decisions,
    read_applied,
    read_record,
    write_nnunet_labels,
    write_results,
)


@pytest.fixture
def run(tmp_path: Path) -> JudgedRun:
    write_results(tmp_path / "out", *judged_cohort(tmp_path / "data"), {"epoch": 7})
    return read_record(tmp_path / "out")


def applied(run: JudgedRun, **options: str) -> Path:
    decisions = {
        ("a", 1): Decision("a", "right ventricle", "redraw"),
        ("c", 2): Decision("c", "myocardium", "leave-out"),
    }
    return apply_decisions(run, decisions, **options).directory  # type: ignore[arg-type]


def test_labels_are_those_in_the_folder_wherever_it_is(run: JudgedRun, tmp_path: Path) -> None:
    folder = applied(run)
    shutil.move(folder, tmp_path / "moved")
    shutil.rmtree(tmp_path / "out")
    shutil.rmtree(tmp_path / "data" / "labelsTr")  # the given ones are not needed any more
    labels = read_applied(tmp_path / "moved")
    assert [item["case"] for item in labels.data] == ["a", "b", "d", "e", "f"]
    assert dict(labels.structures) == run.judgement.name_of
    assert [case["case"] for case in labels.excluded] == ["b", "c"]
    for item in labels.data:
        assert Path(item["label"]).parent.parent == tmp_path / "moved"
        np.testing.assert_array_equal(labels.draw(item).index, read_nifti(item["label"]))
    assert labels.provenance()["judged_by"]["epoch"] == 7
    assert "applied" in labels.provenance()


def test_untrusted_voxels_are_those_of_the_judgement_where_nobody_has_decided(run: JudgedRun, tmp_path: Path) -> None:
    """All undecided, and redrawn as the judgement does: both ways give one data set."""
    labels = read_applied(apply_decisions(run, {}, undecided="redraw").directory)
    write_nnunet_labels(tmp_path / "x" / "Dataset501_A", labels, ignore=True)
    write_nnunet_labels(tmp_path / "y" / "Dataset501_A", JudgedLabels.of(run), ignore=True)
    for path in (tmp_path / "x").rglob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "y" / path.relative_to(tmp_path / "x")).read_bytes()
    assert (read_nifti(tmp_path / "x" / "Dataset501_A" / "labelsTr" / "a.nii.gz") == 4).any()


def test_folder_and_run_may_move_together(run: JudgedRun, tmp_path: Path) -> None:
    applied(run)
    shutil.move(tmp_path / "out", tmp_path / "there")
    labels = read_applied(tmp_path / "there" / "corrected_labels")
    (b,) = (item for item in labels.data if item["case"] == "b")
    drawing = labels.draw(b, mark_untrusted=True)
    assert drawing.untrusted is not None
    assert drawing.untrusted.any()


def test_another_run_since_is_not_asked_for_untrusted_voxels(run: JudgedRun, tmp_path: Path) -> None:
    labels = read_applied(applied(run, directory=str(tmp_path / "copy")))
    write_results(tmp_path / "out2", run.judgement, run.data, run.store, {"epoch": 8})
    shutil.copy(tmp_path / "out2" / "judged.npz", tmp_path / "out" / "judged.npz")
    b = labels.data[1]
    assert labels.draw(b).untrusted is None
    with pytest.raises(ValueError, match="another run has ended there since: apply the decisions again"):
        labels.draw(b, mark_untrusted=True)


def test_values_and_soft_labels_come_back(tmp_path: Path) -> None:
    judged, values = judged_cohort(tmp_path / "data"), np.array([0, 10, 20, 30], np.uint8)
    for i, item in enumerate(judged.data):
        item["values"] = (10, 20, 30)
        label = read_nifti(item["label"])
        write_nifti(Path(item["label"]), np.eye(4, dtype=np.float32)[label] if i == 3 else values[label])
    write_results(tmp_path / "out", *judged, {})
    folder = applied(read_record(tmp_path / "out"))
    labels = read_applied(folder)
    for item in labels.data:
        assert set(np.unique(read_nifti(item["label"]))) <= {0, 10, 20, 30}
        assert labels.draw(item).index.max() == 3
    given = {item["case"]: item for item in judged.data}
    d = next(item for item in labels.data if item["case"] == "d")
    np.testing.assert_array_equal(labels.draw(d).index, read_label(given["d"]["label"], (10, 20, 30)).index)


@pytest.mark.parametrize("spoil", ["data", "structures", "recipes", "excluded", "run", "path", "label", "other"])
def test_a_folder_that_is_none_or_damaged_is_named(run: JudgedRun, spoil: str) -> None:
    folder = applied(run)
    about = json.loads((folder / "provenance.json").read_text())
    message = r"provenance\.json: is damaged .* apply the decisions again"
    if spoil == "path":
        about["data"][0]["file"] = "../../a.nii.gz"
        message = r"provenance\.json: is damaged .*'file' must be a path within the data set"
    elif spoil == "label":
        (folder / "labelsTr" / "1.nii.gz").unlink()
        message = r"labelsTr/1\.nii\.gz is not there"
    elif spoil == "other":
        about["export"] = "cleansed labels"
        message = "was not written by selfcleanse apply"
    else:
        del about[spoil]
    (folder / "provenance.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=message) as caught:
        read_applied(folder)
    assert "\n" not in str(caught.value)
