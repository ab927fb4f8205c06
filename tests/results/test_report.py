"""The three files of a report together."""

from __future__ import annotations

import csv
import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from helpers import Judged, judged_cohort

from monai_selfcleanse.results import SLICE_COLUMNS, report, write_report
from monai_selfcleanse.results.suspects import illustrate_suspects


def write_one(judged: Judged, folder: Path, **options: Any) -> None:
    write_report(folder, *judged, {"epoch": 7}, **options)


def test_three_files_are_left_and_slices_name_the_places(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    write_one(judged, out)
    assert sorted(p.name for p in out.iterdir()) == ["label_report.csv", "notes.txt", "report.html", "slices.csv"]
    with open(out / "slices.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == SLICE_COLUMNS
    places = [(row["case"], row["structure"], row["slice"]) for row in rows]
    assert places[:3] == [("a", "1", str(z)) for z in (0, 1, 2)]
    assert [case for case, _, _ in places[3:]] == ["b"] * (len(places) - 3)
    assert float(rows[0]["only_predicted_mm2"]) == 16 * 1.5**2


@pytest.mark.parametrize("writer", ["write_rows", "write_page", "illustrate_suspects"])
def test_a_full_disk_leaves_the_earlier_report_whole(
    writer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = judged_cohort(tmp_path / "data")
    out = tmp_path / "out"
    write_one(judged, out, unreadable=[("x", "is damaged")])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    judged.judgement.evidence["score"][0, 0] = 17.0  # another report than that on disk

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(report, writer, full)
    for unreadable in ([], [("y", "is empty")]):
        with pytest.raises(OSError, match="No space left"):
            write_one(judged, out, unreadable=unreadable)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_the_list_of_broken_cases_is_put_in_its_place_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged, write = judged_cohort(tmp_path / "data"), report.write_rows

    def full(rows: Any, columns: Any, path: Path) -> None:
        if columns == report.UNREADABLE_COLUMNS:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(rows, columns, path)

    monkeypatch.setattr(report, "write_rows", full)
    with pytest.raises(OSError, match="No space left"):
        write_one(judged, tmp_path / "out", unreadable=[("x", "is damaged")])
    assert list((tmp_path / "out").iterdir()) == []


def test_one_suspected_case_is_read_at_a_time_and_no_other(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    for item in judged.data[2:]:  # these are not suspected
        Path(item["label"]).unlink()
    suspects = illustrate_suspects(*judged, n_pictured=1)
    first = next(suspects)
    Path(judged.data[0]["label"]).unlink()
    second = next(suspects)
    assert [first.case, second.case] == ["a", "b"]
    assert [len(first.pictures), len(second.pictures)] == [3, 0]
    assert second.slices
    assert next(suspects, None) is None


def test_an_image_that_cannot_be_read_costs_the_image_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    judged = judged_cohort(tmp_path / "data")
    Path(judged.data[0]["image"]).write_bytes(b"no NIfTI")
    with caplog.at_level(logging.WARNING):
        first, second = illustrate_suspects(*judged, n_pictured=2)
    assert "case 'a'" in caplog.text
    assert "cannot be read" in first.note
    assert [picture.png for picture in first.pictures] == [b""] * 3
    assert first.pictures[0].predicted
    assert second.note == ""
    assert all(picture.png for picture in second.pictures)


def test_a_suspect_that_is_not_in_the_data_list_is_named(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    with pytest.raises(KeyError, match="'a'"):
        list(illustrate_suspects(judged.judgement, judged.data[1:], judged.store, n_pictured=1))


def test_a_report_without_broken_cases_leaves_no_list_of_an_earlier_one(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_report(tmp_path / "out", *judged, {}, unreadable=[("x", "is damaged")])
    assert (tmp_path / "out" / "unreadable.csv").is_file()
    write_report(tmp_path / "out", *judged, {})
    assert not (tmp_path / "out" / "unreadable.csv").exists()
