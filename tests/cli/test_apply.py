"""``selfcleanse apply`` and ``export``: what they write, say and refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import files_below, judged_cohort, read_nifti, tiny_label, write_nifti

from monai_selfcleanse import bad_input
from monai_selfcleanse.cli.command import main
from monai_selfcleanse.data import check_cases, find_cases
from monai_selfcleanse.results import Decision, add_decisions, write_results

NAMES = [f"labelsTr/{i}.nii.gz" for i in range(6)]


@pytest.fixture(autouse=True)
def _no_command_line_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bad_input, "_console_script", False)
    monkeypatch.setattr(sys, "argv", ["selfcleanse"])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run that has ended, in a folder with a difficult name: a lacks structure 1, and b over-draws it."""
    folder = tmp_path / "2024_07" / "Ä #1, [x] o'b"
    unreadable = [("g", "is empty"), ("", "imagesTr/h.nii.gz: has no label of that name")]
    write_results(folder, *judged_cohort(tmp_path / "data"), {"epoch": 7}, unreadable=unreadable)
    return folder


def said_by(capsys: pytest.CaptureFixture, *arguments: str | Path) -> str:
    capsys.readouterr()
    main([str(one) for one in arguments])
    return capsys.readouterr().out


def refused_with(capsys: pytest.CaptureFixture, code: int, *arguments: str | Path) -> str:
    """The one line with which a command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(one) for one in arguments])
    text = str(caught.value.code) if isinstance(caught.value.code, str) else capsys.readouterr().err.strip()
    assert (1 if isinstance(caught.value.code, str) else caught.value.code) == code
    assert text.startswith("error: ")
    assert "\n" not in text
    return text


def lines_of(table: str) -> dict[str, str]:
    pairs = [line.strip().split("  ", 1) for line in table.splitlines() if line.startswith("  ")]
    return {name: value.strip() for name, value in pairs}


def decide(out: Path, *rows: tuple[str, str, Any]) -> None:
    add_decisions(out / "decisions.csv", [Decision.now(case, name, what, "Ann") for case, name, what in rows])


def test_decisions_are_applied_and_the_table_says_what_came_of_them(out: Path, capsys: pytest.CaptureFixture) -> None:
    write_nifti(out / "edited_labels" / "labelsTr" / "0.nii.gz", tiny_label(0))
    decide(out, ("a", "right ventricle", "edit"), ("c", "myocardium", "leave-out"), ("d", "myocardium", "keep"))
    found = lines_of(said_by(capsys, "apply", out))
    assert found == {
        "cases copied": "5 of 6 judged; 1 differ from what was given",
        "labels kept": "1",
        "labels redrawn": "0",
        "labels edited": "1",
        "cases left out": "1: c",
        "why left out": str(out / "corrected_labels" / "left_out.csv"),
        "suspects undecided": "1, kept as given (another choice: --undecided redraw, --undecided leave-out)",
        "not in the copy": "2 that could not be judged: g, imagesTr/h.nii.gz",
        "corrected labels": str(out / "corrected_labels"),
    }
    np.testing.assert_array_equal(read_nifti(out / "corrected_labels" / NAMES[0]), tiny_label(0))


def test_a_table_by_hand_and_a_folder_of_ones_own(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    table, target = tmp_path / "1e3", tmp_path / "@out $1"
    table.write_text("case,structure,decision\na,1,redraw\n")
    found = lines_of(said_by(capsys, "apply", out, f"--decisions={table}", "-o", target, "--undecided", "leave-out"))
    assert (found["labels redrawn"], found["corrected labels"]) == ("1", str(target))
    assert found["suspects undecided"] == "0 (their cases are left out)"
    assert not (out / "corrected_labels").exists()
    assert (target / NAMES[0]).read_bytes() == (out / "cleansed_labels" / NAMES[0]).read_bytes()
    found = lines_of(said_by(capsys, "apply", out, "-o", target, "--undecided", "redraw"))
    assert found["suspects undecided"] == "2: 2 redrawn, 0 kept, where the network does not draw well"


@pytest.mark.parametrize(
    ("code", "arguments", "words"),
    [
        (1, ["apply", "OUT"], "decisions.csv is not there: review the suspects, or name a table with --decisions FILE"),
        (1, ["apply", "OUT", "--decisions", "no.csv"], "no.csv is not there: name a table of decisions"),
        (1, ["apply", "no/such"], "no/such: is no folder"),
        (1, ["apply", "OUT", "--decisions", "DATA"], "has no datastore_v2.json: name a table of decisions, or MONAI"),
        (1, ["apply", "OUT", "-o", "DATA", "--undecided", "keep"], "which would be replaced: give another folder"),
        (1, ["apply", "OUT", "-o", "/dev/null/x", "--undecided", "keep"], "cannot be written: /dev/null is a file"),
        (1, ["export", "OUT", "--to", "labels", "-o", "/dev/null/x"], "cannot be written: /dev/null is a file"),
        (1, ["export", "OUT", "--to", "nnunet", "-o", "/dev/null/Dataset501_A"], "cannot be written: /dev/null is"),
        (2, ["apply"], "the following arguments are required: OUT"),
        (2, ["apply", "OUT", "--undecided", "maybe"], "invalid choice: 'maybe'"),
        (2, ["apply", "--decision", "x"], "unknown option --decision; did you mean --decisions?"),
        (2, ["export", "OUT", "--too", "labels", "-o", "X"], "unknown option --too; did you mean --to?"),
        (2, ["export", "OUT", "--to", "labels"], "the following arguments are required: -o"),
        (2, ["export", "OUT", "--to", "labels", "-o", "X", "--ignore"], "--ignore belongs to --to nnunet"),
        (
            1,
            ["export", "OUT", "--to", "labels", "-o", "X", "--labels", "corrected"],
            "there are no corrected labels yet",
        ),
        (
            1,
            ["export", "OUT", "--to", "nnunet", "-o", "mine"],
            "'mine' is no nnU-Net data set: name the folder Dataset",
        ),
        (1, ["export", "no/such", "--to", "labels", "-o", "X"], "no/such: is no folder"),
    ],
)
def test_what_is_wrong_ends_with_one_line(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture, code: int, arguments: list[str], words: str
) -> None:
    named = {"OUT": str(out), "DATA": str(tmp_path / "data"), "X": str(tmp_path / "x")}
    before = files_below(tmp_path)
    assert words in refused_with(capsys, code, *(named.get(one, one) for one in arguments))
    assert files_below(tmp_path) == before


def test_a_bad_row_is_named(out: Path, capsys: pytest.CaptureFixture) -> None:
    (out / "decisions.csv").write_text("case,structure,decision\n../../a,1,redraw\n")
    assert "decisions.csv, row 2: no case '../../a' was judged" in refused_with(capsys, 1, "apply", out)


def test_help_of_both_fits_a_small_screen(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for command in ("apply", "export"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) <= 24


def voxels_of(folder: Path) -> dict[str, np.ndarray]:
    return {Path(case["image"]).name: read_nifti(case["label"]) for case in find_cases(folder)[0]}


def test_corrected_labels_come_to_nnunet_as_they_are(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    decide(out, ("a", "right ventricle", "redraw"), ("c", "myocardium", "leave-out"))
    said_by(capsys, "apply", out)
    target = tmp_path / "nnUNet_raw" / "Dataset501_Mine"
    found = lines_of(said_by(capsys, "export", out, "--to", "nnunet", "-o", target, "--channel-names", "MR"))
    assert found["labels"].startswith(f"corrected, of {out / 'corrected_labels'} (the judgement's: --labels cleansed)")
    assert found["cases"] == "5"
    cases, problems = find_cases(target)
    assert problems == []
    check_cases(cases, (1, 2, 3), ndim=3)
    case_of = json.loads((target / "provenance.json").read_text())["case_of"]
    for case in cases:
        i = "abcdef".index(case_of[case["case"]])
        np.testing.assert_array_equal(read_nifti(case["label"]), read_nifti(out / "corrected_labels" / NAMES[i]))
        np.testing.assert_array_equal(
            read_nifti(case["image"]), read_nifti(tmp_path / "data" / "imagesTr" / f"{i}.nii.gz")
        )
    assert sorted(case_of.values()) == ["a", "b", "d", "e", "f"]
    alone = tmp_path / "Dataset502_Alone"
    said_by(capsys, "export", out / "corrected_labels", "--to", "nnunet", "-o", alone)
    for name in ("a", "b", "d", "e", "f"):
        assert (alone / "labelsTr" / f"{name}.nii.gz").read_bytes() == (
            target / "labelsTr" / f"{name}.nii.gz"
        ).read_bytes()
    found = lines_of(said_by(capsys, "export", out, "--to", "nnunet", "-o", alone, "--labels", "cleansed"))
    assert found["labels"] == "cleansed, as the judgement says (reviewers': --labels corrected)"
    assert (alone / "labelsTr" / "c.nii.gz").is_file()


def test_channels_without_names_are_warned_of(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    to = ("export", out, "--to", "nnunet", "-o", tmp_path / "Dataset501_Mine")
    said_by(capsys, *to, "--channel-names", "CT")
    assert not caplog.records
    said_by(capsys, *to)
    (record,) = caplog.records
    words = record.getMessage()
    assert words.startswith("channels are named 'channel 0', ...: nnU-Net normalises a channel by its name")
    assert "give the names with --channel-names, such as CT" in words
    assert "\n" not in words


def test_a_case_with_a_broken_image_is_named_and_can_be_left_out(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for i in (2, 3):
        write_nifti(tmp_path / "data" / "imagesTr" / f"{i}.nii.gz", np.full((12, 12, 4), np.nan, np.float32))
    target = tmp_path / "Dataset501_Mine"
    before = files_below(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["export", str(out), "--to", "nnunet", "-o", str(target)])
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("error: 2 images cannot be exported (selfcleanse doctor DATA lists")
    assert "decision leave-out in decisions.csv and selfcleanse apply" in first
    assert [Path(line.split(": has 576 voxels that are NaN")[0]).name for line in lines] == ["2.nii.gz", "3.nii.gz"]
    assert files_below(tmp_path) == before
    (out / "decisions.csv").write_text("case,structure,decision\nc,,leave-out\nd,,leave-out\n")
    said_by(capsys, "apply", out)
    assert lines_of(said_by(capsys, "export", out, "--to", "nnunet", "-o", target))["cases"] == "4"


def test_undecided_suspects_alone_are_ignored_in_corrected_labels(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    decide(out, ("b", "right ventricle", "keep"))
    said_by(capsys, "apply", out)
    target = tmp_path / "Dataset501_Mine"
    said_by(capsys, "export", out, "--to", "nnunet", "-o", target, "--ignore")
    assert json.loads((target / "dataset.json").read_text())["labels"]["ignore"] == 4
    expected = np.zeros((12, 12, 4), bool)
    expected[:4, 0:4, :3] = True  # all of the missing structure, which nobody has looked at
    np.testing.assert_array_equal(read_nifti(target / "labelsTr" / "a.nii.gz") == 4, expected)
    np.testing.assert_array_equal(
        read_nifti(target / "labelsTr" / "b.nii.gz"), read_nifti(tmp_path / "data" / NAMES[1])
    )
    (out / "judged.npz").unlink()
    line = refused_with(capsys, 1, "export", out / "corrected_labels", "--to", "nnunet", "-o", target, "--ignore")
    assert "decide on all suspects, or export without --ignore" in line
    said_by(capsys, "export", out / "corrected_labels", "--to", "nnunet", "-o", target)


def test_decisions_since_the_last_copy_are_said(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture, caplog: pytest.LogCaptureFixture
) -> None:
    decide(out, ("a", "right ventricle", "redraw"))
    assert "1 decisions are not heeded" in said_by(capsys, "export", out, "--to", "labels", "-o", tmp_path / "x")
    said_by(capsys, "apply", out)
    said_by(capsys, "export", out, "--to", "labels", "-o", tmp_path / "y")
    assert not caplog.records
    decide(out, ("b", "right ventricle", "redraw"))
    said_by(capsys, "export", out, "--to", "labels", "-o", tmp_path / "y")
    (record,) = caplog.records
    assert "holds other decisions than those" in record.getMessage()


def test_labels_alone_are_copied_with_their_provenance(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    said_by(capsys, "export", out, "--to", "labels", "-o", tmp_path / "a b")
    for name in NAMES:
        assert (tmp_path / "a b" / name).read_bytes() == (out / "cleansed_labels" / name).read_bytes()
    decide(out, ("a", "right ventricle", "redraw"))
    said_by(capsys, "apply", out)
    said_by(capsys, "export", out, "--to", "labels", "-o", tmp_path / "c")
    assert files_below(tmp_path / "c") == files_below(out / "corrected_labels")
    assert "which would be replaced: give another folder" in refused_with(
        capsys, 1, "export", out, "--to", "labels", "-o", out / "corrected_labels"
    )
    assert "in the way" in refused_with(
        capsys, 1, "export", out, "--to", "labels", "--labels", "cleansed", "-o", out / "corrected_labels"
    )


def test_excluded_cases_are_in_no_fold(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    line = refused_with(capsys, 1, "export", out, "--to", "exclude", "-o", tmp_path / "x")
    assert "5 folds need 5 patients, and 4 are not excluded" in line
    decide(out, ("a", "right ventricle", "redraw"))
    said_by(capsys, "apply", out)
    found = lines_of(said_by(capsys, "export", out, "--to", "exclude", "-o", tmp_path / "x"))
    assert found["excluded"] == "1: b"
    assert (tmp_path / "x" / "exclude.txt").read_text() == "b\n"
    splits = json.loads((tmp_path / "x" / "splits_final.json").read_text())
    assert [len(fold["train"]) for fold in splits] == [4] * 5
    assert sorted(name for fold in splits for name in fold["val"]) == ["a", "c", "d", "e", "f"]
    assert [
        row["name"] for row in json.loads((tmp_path / "x" / "exclude.json").read_text())["cases"][0]["structures"]
    ] == ["right ventricle"]
    said_by(capsys, "export", out, "--to", "exclude", "-o", tmp_path / "x")  # an earlier export of ours
    theirs = tmp_path / "nnUNet_preprocessed" / "Dataset501_Mine" / "splits_final.json"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("[]")
    assert "splits_final.json is in the way" in refused_with(
        capsys, 1, "export", out, "--to", "exclude", "-o", theirs.parent
    )
    assert theirs.read_text() == "[]"


def test_moved_images_are_found_by_data(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    decide(out, ("a", "right ventricle", "redraw"))
    said_by(capsys, "apply", out)
    (tmp_path / "data").rename(tmp_path / "there")
    copy = out / "corrected_labels"
    said_by(capsys, "export", copy, "--to", "labels", "-o", tmp_path / "labels")
    arguments = ["export", copy, "--to", "nnunet", "-o", tmp_path / "Dataset501_Mine"]
    advice = f"name with --data the folder that was {tmp_path / 'data'}"
    assert advice in refused_with(capsys, 1, *arguments)
    assert advice in refused_with(capsys, 1, *arguments, "--data", tmp_path / "nowhere")
    said_by(capsys, *arguments, "--data", tmp_path / "there")
    assert len(voxels_of(tmp_path / "Dataset501_Mine")) == 6


@pytest.mark.parametrize("kind", ["labels", "nnunet"])
def test_an_export_into_what_it_reads_is_refused(kind: str, out: Path, capsys: pytest.CaptureFixture) -> None:
    said_by(capsys, "apply", out, "--undecided", "redraw")
    target = out / "corrected_labels" / "Dataset501_Copy"
    assert "corrected_labels, which is read: give another folder" in refused_with(
        capsys, 1, "export", out, "--to", kind, "-o", target
    )
    assert not target.exists()
