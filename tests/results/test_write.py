"""What is left of a judgement, and the table that says so."""

from __future__ import annotations

from pathlib import Path

from helpers import files_below, judged_cohort, read_nifti, write_nifti

from monai_selfcleanse.results import closing_table, write_nnunet_dataset, write_results
from monai_selfcleanse.run_folder import RunFolder


def test_everything_is_left_under_its_name_and_given_labels_stay(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.nii.gz")}
    rows = write_results(tmp_path / "out", *judged, {"epoch": 7}, unreadable=[("x", "is broken")])
    top = {path.name for path in (tmp_path / "out").iterdir()}
    assert top == {"report.html", "label_report.csv", "slices.csv", "unreadable.csv", "cleansed_labels", "judged.npz"}
    assert len(RunFolder(tmp_path / "out").results()) == len(top) - 1  # the record is not for people
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.nii.gz")} == before
    assert rows == [
        ("labels judged", "18 (6 cases x 3 structures)"),
        ("labels suspected", "2"),
        ("  right ventricle", "2"),
        ("  myocardium", "labels look clean"),
        ("  left ventricle", "labels look clean"),
        ("labels redrawn", "2 of the 2 suspected"),
        ("not judged", "1 (see unreadable.csv)"),
    ]


def test_the_store_may_be_given_by_its_folder(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    for name, store in (("one", judged.store), ("other", judged.store.directory)):
        write_results(tmp_path / name, judged.judgement, judged.data, store, {})
        write_nnunet_dataset(tmp_path / name / "Dataset501_A", judged.judgement, judged.data, store, {})
    one, other = (
        {
            path: (folder / path).read_bytes()
            for path in files_below(folder)
            if (folder / path).suffix in (".csv", ".gz")
        }
        for folder in (tmp_path / "one", tmp_path / "other")
    )
    assert len(one) == 2 + 3 * len(judged.data)
    assert one == other


def test_where_the_truth_is_known_the_table_says_how_right_all_was(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    seen = {case: judged.store.read_seen(case).predicted for case in "abcdef"}
    for item in judged.data:  # the prediction was the truth
        item["truth"] = str(write_nifti(tmp_path / "truth" / f"{item['case']}.nii.gz", seen[item["case"]]))
    rows = dict(write_results(tmp_path / "out", *judged, {"epoch": 7}))
    assert rows["  of these truly noisy"] == "2 of 2 (precision 1.00)"
    assert rows["truly noisy labels found"] == "2 of 2 (recall 1.00)"
    assert rows["AUROC of clean probability"] == "1.000"
    given, cleansed = (float(part.split()[1]) for part in rows["Dice to the truth, noisy labels"].split(", "))
    assert given < 0.5 < 0.8 < cleansed
    assert rows["Dice to the truth, clean labels"] == "given 1.000, cleansed 1.000"
    assert "unreadable.csv" not in files_below(tmp_path / "out")
    assert (read_nifti(tmp_path / "out" / "cleansed_labels" / "labelsTr" / "0.nii.gz") == 1).any()


def test_the_table_has_figures_then_files_in_two_columns() -> None:
    table = closing_table("it has ended", [("a", "1"), ("longer", "2")], [("file", "out/x")])
    assert table.split("\n") == ["it has ended", "", "  a       1", "  longer  2", "", "  file    out/x", ""]
    assert closing_table("it has ended", [], [("file", "x")]).split("\n") == ["it has ended", "", "  file  x", ""]
