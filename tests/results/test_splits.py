"""nnU-Net's folds without excluded cases, and the files that name these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import judged_cohort, write_nifti
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.results import JudgedLabels, nnunet_splits, write_exclusion_files
from monai_selfcleanse.results.nnunet import nnunet_names


def cases_of(patients: list[int]) -> list[dict[str, Any]]:
    return [{"case": f"case {i}", "patient": f"p{patient}"} for i, patient in enumerate(patients)]


@given(st.lists(st.integers(0, 20), min_size=5, max_size=40), st.sets(st.integers(0, 39), max_size=6), st.randoms())
def test_folds_part_patients_and_leave_the_excluded_out(patients: list[int], gone: set[int], order: Any) -> None:
    data = cases_of(patients)
    names, excluded = nnunet_names([item["case"] for item in data]), {f"case {i}" for i in gone}
    kept = {names[item["case"]]: item["patient"] for item in data if item["case"] not in excluded}
    if len(set(kept.values())) < 5:
        with pytest.raises(ValueError, match="5 folds need 5 patients"):
            nnunet_splits(data, excluded)
        return
    splits = nnunet_splits(data, excluded)
    assert len(splits) == 5
    for fold in splits:
        assert sorted([*fold["train"], *fold["val"]]) == sorted(kept)
        assert not {kept[name] for name in fold["train"]} & {kept[name] for name in fold["val"]}
        assert fold["train"]
        assert fold["val"]
    assert sorted(name for fold in splits for name in fold["val"]) == sorted(kept)
    sizes = [len({kept[name] for name in fold["val"]}) for fold in splits]
    assert max(sizes) - min(sizes) <= 1
    assert nnunet_splits(data, excluded) == splits


def test_names_are_those_of_the_data_set_with_the_excluded_cases() -> None:
    data = [{"case": name} for name in ("a b", "a_b", "c", "d", "e", "f", "g")]
    splits = nnunet_splits(data, ["a b"])
    assert {name for fold in splits for name in fold["val"]} == {"a_b-2", "c", "d", "e", "f", "g"}


def test_the_files_say_the_same_and_where_it_comes_from(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data", ids=("a, b", "<c>", "d", "e", "f", "g", "h", "é"))
    labels = JudgedLabels(judged.judgement, judged.data, judged.store.read_seen, {"epoch": 7})
    paths = write_exclusion_files(tmp_path / "out", labels)
    assert [path.name for path in paths] == ["exclude.txt", "exclude.csv", "exclude.json", "splits_final.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in paths)
    assert paths[0].read_text(encoding="utf-8") == "a, b\n<c>\n"
    read = json.loads(paths[2].read_text())
    assert read["epoch"] == 7
    assert [case["case"] for case in read["cases"]] == ["a, b", "<c>"]
    names = {name for fold in json.loads(paths[3].read_text()) for name in fold["train"]}
    assert len(names) == 6


@pytest.mark.parametrize("name", ["exclude.txt", "exclude.csv", "exclude.json", "splits_final.json"])
def test_files_of_somebody_else_stay(tmp_path: Path, name: str) -> None:
    judged = judged_cohort(tmp_path / "data", ids=tuple("abcdefgh"))
    labels = JudgedLabels(judged.judgement, judged.data, judged.store.read_seen, {})
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("[]")
    write_nifti(tmp_path / "out" / "x.nii.gz", judged.store.read_given("a"))
    with pytest.raises(ValueError, match=f"{name} is in the way: it is not of an earlier export"):
        write_exclusion_files(tmp_path / "out", labels)
    assert (tmp_path / "out" / name).read_text() == "[]"
    assert len(list((tmp_path / "out").iterdir())) == 2
