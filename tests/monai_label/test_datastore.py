"""Labels reviewed in MONAI Label become decisions; a datastore that is none is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import AFFINE, NAMES, judged_cohort, read_nifti, tiny_label, write_nifti

from monai_selfcleanse import bad_input
from monai_selfcleanse.cli.command import main
from monai_selfcleanse.monai_label.datastore import read_reviewed
from monai_selfcleanse.monai_label.review import KEY
from monai_selfcleanse.results import JudgedRun, apply_decisions, read_record, write_results

SUBMITTED = 1_700_000_000


class Studies:
    """A datastore's folder, as MONAI Label 0.8.5 writes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, Any] = {}

    def add(self, image: str, label: np.ndarray, affine: np.ndarray = AFFINE, judged: bool = True, **info: Any) -> None:
        """A label that was submitted, after a scoring had judged the one before it."""
        write_nifti(self.folder / "labels" / "final" / f"{image}.nii.gz", label, affine)
        about = {"ts": SUBMITTED, "name": f"{image}.nii.gz"}
        self.objects[image] = {
            "image": {"ext": ".nii.gz", "info": about | ({KEY: {"judged": True}} if judged else {})},
            "labels": {"final": {"ext": ".nii.gz", "info": about | info}},
        }
        self.save()

    def save(self, **more: Any) -> None:
        about = {"name": "s", "description": "", "images_dir": ".", "labels_dir": "labels", "objects": self.objects}
        (self.folder / "datastore_v2.json").write_text(json.dumps(about | more))


@pytest.fixture
def run(tmp_path: Path) -> JudgedRun:
    write_results(tmp_path / "out", *judged_cohort(tmp_path / "data"), {})
    return read_record(tmp_path / "out")


@pytest.fixture
def studies(tmp_path: Path) -> Studies:
    return Studies(tmp_path / "studies")


def test_a_reviewed_label_takes_the_given_ones_place(run: JudgedRun, studies: Studies) -> None:
    studies.add("0", tiny_label(0))
    studies.add("2", tiny_label(2))  # submitted as it was
    studies.add("3", tiny_label(0), judged=False)  # never judged, so nobody has reviewed it
    studies.add("4", tiny_label(0), **{KEY: {"reviewed": False}})
    studies.add("5", tiny_label(1), judged=False, segmentationMeta={"status": "Approved"})
    studies.add("elsewhere", tiny_label(0))
    found = read_reviewed(studies.folder, run)
    assert (found.unmatched, found.waiting) == (("elsewhere",), 2)
    done = apply_decisions(run, found.decisions, read_edit=found.read_edit)
    assert (done.edited, done.changed, done.undecided) == (2, 2, 1)
    labels = [read_nifti(done.directory / f"labelsTr/{i}.nii.gz") for i in range(6)]
    np.testing.assert_array_equal(labels[0], tiny_label(0))
    np.testing.assert_array_equal(labels[5], tiny_label(1))
    for i in (1, 2, 3, 4):
        assert (done.directory / f"labelsTr/{i}.nii.gz").read_bytes() == Path(run.data[i]["label"]).read_bytes()
    said = json.loads((done.directory / "provenance.json").read_text())["changed"]["a"]["right ventricle"]
    assert (said["by"], said["who"], said["when"]) == ("edited", "MONAI Label", "2023-11-14T22:13:20+00:00")


def test_segments_go_by_their_names_and_other_grids_are_resampled(run: JudgedRun, studies: Studies) -> None:
    label = tiny_label(0)
    swapped = np.array([0, 2, 1, 3], np.uint8)[label]
    info = [
        {"name": "Right Ventricle", "idx": 2},
        {"name": "myocardium", "idx": 1},
        {"name": "left ventricle", "idx": 3},
    ]
    studies.add("0", swapped, label_info=info)
    fine = AFFINE @ np.diag([0.5, 0.5, 1, 1])
    fine[:2, 3] = AFFINE[:2, 3] - 0.375
    studies.add("1", np.repeat(np.repeat(tiny_label(1), 2, 0), 2, 1), fine)
    found = read_reviewed(studies.folder, run)
    done = apply_decisions(run, found.decisions, read_edit=found.read_edit)
    np.testing.assert_array_equal(read_nifti(done.directory / "labelsTr/0.nii.gz"), label)
    np.testing.assert_array_equal(read_nifti(done.directory / "labelsTr/1.nii.gz"), tiny_label(1))


def test_values_are_those_of_the_label_files(tmp_path: Path, studies: Studies) -> None:
    judged, values = judged_cohort(tmp_path / "data"), np.array([0, 10, 20, 30], np.uint8)
    for item in judged.data:
        item["values"] = (10, 20, 30)
        write_nifti(Path(item["label"]), values[read_nifti(item["label"])])
    judgement = type(judged.judgement)(**(vars(judged.judgement) | {"values": (10, 20, 30)}))
    write_results(tmp_path / "out", judgement, judged.data, judged.store, {})
    run = read_record(tmp_path / "out")
    studies.add("0", values[tiny_label(0)])
    studies.add("1", np.eye(4, dtype=np.float32)[tiny_label(1)])  # a channel each class
    found = read_reviewed(studies.folder, run)
    done = apply_decisions(run, found.decisions, read_edit=found.read_edit)
    for i in (0, 1):
        np.testing.assert_array_equal(read_nifti(done.directory / f"labelsTr/{i}.nii.gz"), values[tiny_label(i)])


def test_a_datastore_that_is_none_or_leads_out_is_named(run: JudgedRun, studies: Studies, tmp_path: Path) -> None:
    studies.folder.mkdir()
    with pytest.raises(ValueError, match=r"has no datastore_v2\.json"):
        read_reviewed(studies.folder, run)
    for content in ("", "[]", '{"objects": {"a": {}}}', '{"objects": 3}'):
        (studies.folder / "datastore_v2.json").write_text(content)
        with pytest.raises(ValueError, match=r"datastore_v2\.json: cannot be read as a datastore"):
            read_reviewed(studies.folder, run)
    studies.add("0", tiny_label(0), judged=False)
    with pytest.raises(ValueError, match="none of its 1 labels was reviewed"):
        read_reviewed(studies.folder, run)
    studies.add("0", tiny_label(0))
    studies.save(labels_dir=str(tmp_path / "data"))
    with pytest.raises(ValueError, match="the label of '0' lies outside of the folder"):
        read_reviewed(studies.folder, run)


@pytest.mark.parametrize("spoil", ["values", "cut", "gone"])
def test_a_reviewed_label_that_cannot_be_taken_is_named(run: JudgedRun, studies: Studies, spoil: str) -> None:
    studies.add("0", tiny_label(0) + (7 if spoil == "values" else 0))
    path = studies.folder / "labels" / "final" / "0.nii.gz"
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif spoil == "gone":
        path.unlink()
    with pytest.raises(ValueError, match=r"labels/final/0\.nii\.gz: "):
        read_reviewed(studies.folder, run)


def test_an_image_of_two_cases_is_refused(run: JudgedRun, studies: Studies, tmp_path: Path) -> None:
    other = {**run.data[1], "case": "other", "file": "other.nii.gz", "image": str(tmp_path / "elsewhere" / "0.nii.gz")}
    twice = JudgedRun(run.folder, run.judgement, (*run.data, other), run.store, run.source, run.stamps, run.hints)
    studies.add("0", tiny_label(0))
    with pytest.raises(ValueError, match="the image '0' is that of the cases a, other"):
        read_reviewed(studies.folder, twice)


def test_the_command_takes_the_folder_and_says_what_it_could_not_use(
    run: JudgedRun, studies: Studies, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad_input, "_console_script", False)
    monkeypatch.setattr(sys, "argv", ["selfcleanse"])
    studies.add("0", tiny_label(0))
    studies.add("4", tiny_label(0), judged=False)
    studies.add("no case", tiny_label(0))
    main(["apply", str(run.folder.path), "--decisions", str(studies.folder)])
    said = capsys.readouterr().out
    assert "not reviewed        1 labels of the datastore" in said
    assert "no case's image     1 reviewed: no case" in said
    assert f"labels kept         {len(NAMES) - 1}\n" in said
