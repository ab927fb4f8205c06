"""Decisions become labels: structure by structure, kept ones as files, left-out ones not at all, originals never."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, NAMES, files_below, judged_cohort, read_nifti, tiny_label, write_nifti
from hypothesis import given as for_all
from hypothesis import strategies as st

from monai_selfcleanse import __version__
from monai_selfcleanse.core import cleanse_label
from monai_selfcleanse.results import (
    Decision,
    JudgedRun,
    apply_decisions,
    drawing,
    read_decisions,
    read_record,
    write_cleansed_labels,
    write_results,
)

Decisions = dict[tuple[str, int], Decision]


def run_in(folder: Path, **options: Any) -> JudgedRun:
    """A run that has ended: cases a to f, of which a lacks structure 1 and b over-draws it."""
    judged = judged_cohort(folder / "data", **options)
    write_results(folder / "out", *judged, {"epoch": 7})
    return read_record(folder / "out")


def decide(run: JudgedRun, *rows: tuple[str, int, str], who: str = "Ann") -> Decisions:
    names = run.judgement.name_of
    return {(c, k): Decision(c, names[k], d, who, "2026-01-02T03:04:05+00:00", "so") for c, k, d in rows}  # type: ignore[arg-type]


def edit(run: JudgedRun, case: str, label: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    return write_nifti(run.folder.edited_labels / run.by_case[case]["file"], label, affine)


def originals(folder: Path) -> dict[str, str]:
    """Hashes of all files that were given, and of what the run has left."""
    paths = [p for p in folder.rglob("*") if p.is_file() and "corrected_labels" not in p.parts]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def provenance_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "provenance.json").read_text())


def same_labels(one: Path, other: Path) -> bool:
    names = [name for name in files_below(one) if name.endswith(".nii.gz")]
    assert names == [name for name in files_below(other) if name.endswith(".nii.gz")]
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def plainly(
    given: np.ndarray,
    predicted: np.ndarray,
    confidence: np.ndarray,
    edited: np.ndarray | None,
    choices: Mapping[int, str],
) -> np.ndarray:
    """Voxel by voxel what the documents promise."""
    redrawn = [k for k, choice in choices.items() if choice == "redraw"]
    drawn, _ = cleanse_label(given, predicted, confidence, redrawn)
    out = drawn.copy()
    for voxel in np.ndindex(given.shape):
        for k, choice in choices.items():
            if choice == "edit" and k in (given[voxel], drawn[voxel], edited[voxel]):
                out[voxel] = edited[voxel]
    return out


def test_what_the_judgement_redraws_redrawn_by_decision_is_its_cleansed_labels(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    before = originals(tmp_path)
    redrawn = [(c, k, "redraw") for c, ks in run.judgement.by_case(run.judgement.redrawn).items() for k in ks]
    assert len(redrawn) == 2
    done = apply_decisions(run, decide(run, *redrawn))
    assert done.directory == run.folder.corrected_labels
    assert (done.cases, done.changed, done.redrawn, done.undecided) == (6, 2, 2, 0)
    assert same_labels(run.folder.corrected_labels, run.folder.cleansed_labels)
    apply_decisions(run, {}, tmp_path / "all", undecided="redraw")
    assert same_labels(tmp_path / "all", run.folder.cleansed_labels)
    shutil.rmtree(tmp_path / "all")
    assert originals(tmp_path) == before


def test_kept_labels_are_the_files_that_were_given(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    done = apply_decisions(run, decide(run, ("a", 1, "keep"), ("b", 1, "keep"), ("c", 2, "keep")))
    assert (done.kept, done.changed, done.undecided) == (3, 0, 0)
    for item in run.data:
        assert (run.folder.corrected_labels / item["file"]).read_bytes() == Path(item["label"]).read_bytes()


def test_a_structure_that_the_judgement_trusts_is_redrawn_where_a_reviewer_wants_it(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    label = tiny_label(3)
    label[5:7] = 0  # somebody has spoilt d's label meanwhile: structure 2 is cut off
    write_nifti(Path(run.by_case["d"]["label"]), label)
    apply_decisions(run, decide(run, ("d", 2, "redraw")))
    out = read_nifti(run.folder.corrected_labels / "labelsTr/3.nii.gz")
    np.testing.assert_array_equal(out == 2, tiny_label(3) == 2)


def test_edited_structures_lie_where_the_reviewer_drew_them_and_others_stay(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    drawn = tiny_label(0)
    drawn[5:11, 5:11, 3] = 0  # of structure 2, which is not said to be edited
    drawn[0, 0, 0] = 0
    edit(run, "a", drawn)
    done = apply_decisions(run, decide(run, ("a", 1, "edit")))
    out = read_nifti(run.folder.corrected_labels / "labelsTr/0.nii.gz")
    np.testing.assert_array_equal(out == 1, drawn == 1)
    for k in (2, 3):
        np.testing.assert_array_equal(out == k, read_nifti(run.by_case["a"]["label"]) == k)
    assert (done.edited, done.changed, done.undecided) == (1, 1, 1)
    said = provenance_of(run.folder.corrected_labels)["changed"]["a"]["right ventricle"]
    assert said == {
        "by": "edited",
        "who": "Ann",
        "when": "2026-01-02T03:04:05+00:00",
        "note": "so",
        "voxels": int((drawn == 1).sum()),
    }


choices = st.dictionaries(st.sampled_from([1, 2, 3]), st.sampled_from(["keep", "redraw", "edit"]))


@for_all(choices, st.integers(0, 2**32 - 1))
def test_any_decisions_give_what_the_plain_way_gives(chosen: dict[int, str], seed: int) -> None:
    random = np.random.default_rng(seed)
    given, predicted, edited = (random.integers(0, 4, (3, 4, 3)).astype(np.uint8) for _ in range(3))
    confidence = random.choice([0.3, 0.7, 0.99], given.shape).astype(np.float32)
    redrawn, by_hand = ([k for k in (1, 2, 3) if chosen.get(k) == what] for what in ("redraw", "edit"))
    drawn, _ = cleanse_label(given, predicted, confidence, redrawn)
    out = drawing.edited_onto(drawn, given, edited, by_hand)
    np.testing.assert_array_equal(out, plainly(given, predicted, confidence, edited, chosen))
    for k in by_hand:
        np.testing.assert_array_equal(out == k, edited == k)


@pytest.mark.parametrize("seed", range(4))
def test_random_decisions_on_files_give_what_the_plain_way_gives(tmp_path: Path, seed: int) -> None:
    run = run_in(tmp_path)
    random = np.random.default_rng(seed)
    rows, edits = [], {}
    for case in run.judgement.cases:
        edits[case] = random.integers(0, 4, (12, 12, 4)).astype(np.uint8)
        edit(run, case, edits[case])
        rows += [(case, k, str(random.choice(["keep", "redraw", "edit"]))) for k in NAMES if random.random() < 0.7]
    apply_decisions(run, decide(run, *rows))
    for case in run.judgement.cases:
        seen, item = run.read_seen(case), run.by_case[case]
        chosen = {k: what for c, k, what in rows if c == case}
        expected = plainly(read_nifti(item["label"]), seen.predicted, seen.confidence, edits[case], chosen)
        np.testing.assert_array_equal(read_nifti(run.folder.corrected_labels / item["file"]), expected)


def test_a_left_out_case_is_not_copied_and_is_listed(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    decisions = decide(run, ("c", 3, "leave-out"), ("c", 1, "redraw"), ("a", 1, "redraw"), who="=Bo")
    done = apply_decisions(run, decisions)
    assert done.left_out == ("c",)
    assert (done.cases, done.redrawn, done.undecided) == (5, 1, 1)
    assert "labelsTr/2.nii.gz" not in files_below(done.directory)
    with open(done.directory / "left_out.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["case", "structure", "who", "note"],
            ["c", "left ventricle", "'=Bo", "so"],  # no formula for a spreadsheet
        ]


@pytest.mark.parametrize(("undecided", "cases", "redrawn"), [("keep", 6, 0), ("redraw", 6, 1), ("leave-out", 5, 0)])
def test_what_becomes_of_undecided_suspects_is_the_users_choice(
    tmp_path: Path, undecided: Any, cases: int, redrawn: int
) -> None:
    run = run_in(tmp_path)
    done = apply_decisions(run, decide(run, ("a", 1, "keep")), undecided=undecided)
    assert (done.cases, done.undecided_redrawn) == (cases, redrawn)
    assert done.undecided == (undecided != "leave-out")
    assert done.left_out == (("b",) if undecided == "leave-out" else ())
    with pytest.raises(ValueError, match="undecided must be one of keep, redraw, leave-out, got 'maybe'"):
        apply_decisions(run, {}, undecided="maybe")  # type: ignore[arg-type]


def test_a_decision_taken_back_is_as_none(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    table = tmp_path / "mine.csv"
    table.write_text("case,structure,decision\na,1,leave-out\na,,undecided\nb,right ventricle,redraw\n")
    done = apply_decisions(run, read_decisions(table, run.judgement))
    assert (done.left_out, done.redrawn, done.undecided) == ((), 1, 1)
    assert (done.directory / "labelsTr/0.nii.gz").read_bytes() == Path(run.by_case["a"]["label"]).read_bytes()


def test_provenance_says_who_what_when_and_by_which_judgement(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    apply_decisions(run, decide(run, ("a", 1, "redraw")), undecided="redraw")
    found = provenance_of(run.folder.corrected_labels)
    assert (found["package"], found["version"], found["export"]) == (
        "monai-selfcleanse",
        __version__,
        "corrected labels",
    )
    assert datetime.fromisoformat(found["date"]).tzinfo is not None
    assert found["judged_by"]["epoch"] == 7
    assert found["run"] == str(tmp_path / "out")
    a, b = (found["changed"][case]["right ventricle"] for case in "ab")
    assert (a["by"], a["who"], a["when"]) == ("redrawn by what judged the labels", "Ann", "2026-01-02T03:04:05+00:00")
    assert (b["by"], b["who"]) == ("redrawn, undecided", "")
    assert a["voxels"] > 0
    assert set(found["changed"]) == {"a", "b"}


def test_labels_of_any_values_keep_them(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    values = np.array([0, 10, 20, 250], np.uint8)
    for item in judged.data:
        item["values"] = (10, 20, 250)
        write_nifti(Path(item["label"]), values[read_nifti(item["label"])])
    write_results(tmp_path / "out", *judged, {})
    run = read_record(tmp_path / "out")
    edit(run, "a", values[tiny_label(0)])
    apply_decisions(run, decide(run, ("a", 1, "edit"), ("b", 1, "redraw")))
    np.testing.assert_array_equal(read_nifti(run.folder.corrected_labels / "labelsTr/0.nii.gz"), values[tiny_label(0)])
    assert set(np.unique(read_nifti(run.folder.corrected_labels / "labelsTr/1.nii.gz"))) == {0, 10, 20, 250}


def test_an_edit_whose_axes_run_otherwise_is_turned(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    turned = nib.Nifti1Image(tiny_label(0), AFFINE).as_reoriented(np.array([[1, 1], [0, -1], [2, 1]]))
    edit(run, "a", np.asarray(turned.dataobj), turned.affine)
    apply_decisions(run, decide(run, ("a", 1, "edit")))
    np.testing.assert_array_equal(read_nifti(run.folder.corrected_labels / "labelsTr/0.nii.gz"), tiny_label(0))


def spoilt_edit(run: JudgedRun, how: str) -> None:
    label = tiny_label(0)
    if how == "shape":
        edit(run, "a", label[:6])
    elif how == "place":
        moved = AFFINE.copy()
        moved[0, 3] += 30
        edit(run, "a", label, moved)
    elif how == "values":
        edit(run, "a", label + 6)
    elif how == "soft":
        edit(run, "a", label.astype(np.float32) / 6)
    elif how == "cut":
        path = edit(run, "a", label)
        path.write_bytes(path.read_bytes()[:-20])
    elif how == "text":
        edit(run, "a", label).write_text("label")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("shape", r"0\.nii\.gz: has shape 6 x 12 x 4, .* 12 x 12 x 4"),
        ("place", r"0\.nii\.gz: lies elsewhere than"),
        (
            "values",
            r"0\.nii\.gz: holds the values \[6, 7, 8, 9\], which are none of the known",
        ),
        ("soft", r"0\.nii\.gz: is no index map"),
        ("cut", r"0\.nii\.gz: .*damaged"),
        ("text", r"0\.nii\.gz: is no NIfTI file"),
        ("missing", r"0\.nii\.gz is not there, though case 'a' is decided as edited"),
    ],
)
def test_an_edit_that_cannot_be_taken_is_named_and_nothing_is_written(tmp_path: Path, how: str, message: str) -> None:
    run = run_in(tmp_path)
    apply_decisions(run, {})
    spoilt_edit(run, how)
    before = {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=message) as caught:
        apply_decisions(run, decide(run, ("a", 1, "edit"), ("b", 1, "redraw")))
    assert "edited_labels" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()} == before


def test_a_full_disk_leaves_the_earlier_copy_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_in(tmp_path)
    apply_decisions(run, decide(run, ("a", 1, "redraw")))
    before = {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()}
    left = files_below(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(drawing, "save_index_map", full)
    with pytest.raises(OSError, match="No space left"):
        apply_decisions(run, decide(run, ("b", 1, "redraw")))
    assert {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()} == before
    assert files_below(tmp_path) == left


def test_an_earlier_copy_is_replaced_and_anything_else_is_refused(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    out = tmp_path / "copy"
    apply_decisions(run, {}, out)
    (out / "stale.nii.gz").write_text("")
    apply_decisions(run, {}, out)
    assert not (out / "stale.nii.gz").exists()
    with pytest.raises(ValueError, match=r"copy is in the way"):
        write_cleansed_labels(out, run.judgement, run.data, run.store, {})
    for folder in (run.folder.cleansed_labels, tmp_path / "out" / "cases", tmp_path / "out", tmp_path / "data"):
        before = files_below(tmp_path)
        with pytest.raises(ValueError, match=r"in the way|would be replaced"):
            apply_decisions(run, {}, folder)
        assert files_below(tmp_path) == before


def test_a_copy_that_was_judged_again_is_not_replaced_by_itself(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    apply_decisions(run, {}, tmp_path / "copy")
    judged = [{**item, "label": str(tmp_path / "copy" / item["file"])} for item in run.data]
    write_results(tmp_path / "again", run.judgement, judged, run.store, {})
    with pytest.raises(ValueError, match=r"copy/labelsTr/0\.nii\.gz lies in .*copy', which would be replaced"):
        apply_decisions(read_record(tmp_path / "again"), {}, tmp_path / "copy")


def test_cases_that_were_not_judged_are_named(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    unreadable = [("g", "is empty"), ("h", "is empty"), ("", "data/x 1.nii.gz: has no label of that name")]
    write_results(tmp_path / "out", *judged, {}, unreadable=unreadable)
    assert apply_decisions(read_record(tmp_path / "out"), {}).not_judged == ("g", "h", "data/x 1.nii.gz")


def test_what_another_run_has_seen_since_is_not_drawn(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    seen = run.read_seen("a")
    run.store.write_seen("a", seen.given, np.eye(4)[seen.predicted].transpose(3, 0, 1, 2) * 0.5 + 0.125, seen.affine)
    apply_decisions(run, decide(run, ("b", 1, "redraw")))
    with pytest.raises(ValueError, match="case 'a' is gone, or is not what this judgement rests on"):
        apply_decisions(run, decide(run, ("a", 1, "redraw")))


def test_a_killed_program_leaves_the_earlier_copy_whole(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    apply_decisions(run, decide(run, ("a", 1, "redraw")))
    before = {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()}
    program = (
        "import os, signal, sys\n"
        "from monai_selfcleanse.results import apply_decisions, drawing, read_record\n"
        "drawing.save_index_map = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "apply_decisions(read_record(sys.argv[1]), {}, undecided='redraw')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, run.folder.path])
    assert done.returncode == -signal.SIGKILL
    assert {p: p.read_bytes() for p in run.folder.corrected_labels.rglob("*") if p.is_file()} == before
    apply_decisions(run, {}, undecided="redraw")
    assert not [name for name in files_below(tmp_path) if ".part" in name]
    assert same_labels(run.folder.corrected_labels, run.folder.cleansed_labels)
