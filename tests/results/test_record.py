"""The record gives back what was judged, and takes no other look for it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from helpers import judged_cohort

from monai_selfcleanse.cases import CaseStore
from monai_selfcleanse.results import read_record, write_nnunet_dataset, write_record, write_results


def test_a_judgement_comes_back_as_it_was(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_results(tmp_path / "out", *judged, {"epoch": 7})
    run = read_record(tmp_path / "out")
    assert run.judgement.rows() == judged.judgement.rows() or str(run.judgement.rows()) == str(judged.judgement.rows())
    for one in fields(type(run.judgement)):
        if one.name not in ("evidence", "decisions"):
            np.testing.assert_array_equal(getattr(run.judgement, one.name), getattr(judged.judgement, one.name))
    for mine, its in zip(run.judgement.decisions, judged.judgement.decisions, strict=True):
        assert (mine.verdict, mine.mixture, mine.threshold) == (its.verdict, its.mixture, its.threshold)
        np.testing.assert_array_equal(mine.clean_probability, its.clean_probability)
    assert run.source["epoch"] == 7
    assert [item["label"] for item in run.data] == [str(Path(item["label"]).absolute()) for item in judged.data]
    for case in run.judgement.cases:
        np.testing.assert_array_equal(run.read_seen(case).predicted, judged.store.read_seen(case).predicted)


def test_an_export_from_the_record_is_that_of_the_judgement(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_results(tmp_path / "out", *judged, {"epoch": 7})
    run = read_record(tmp_path / "out")
    write_nnunet_dataset(tmp_path / "a" / "Dataset501_A", *judged, {"epoch": 7})
    write_nnunet_dataset(tmp_path / "b" / "Dataset501_A", run.judgement, run.data, run.store, {"epoch": 7})
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.nii.gz")]
    assert len(files) == 2 * len(judged.data)
    for path in files:
        assert (tmp_path / "a" / path).read_bytes() == (tmp_path / "b" / path).read_bytes()


def test_what_another_run_has_seen_since_is_not_taken(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_results(tmp_path / "out", *judged, {"epoch": 7})
    seen = judged.store.read_seen("a")
    shape = seen.given.shape
    probabilities = np.stack([np.full(shape, 0.4), np.full(shape, 0.6)]).astype(np.float32)
    CaseStore(judged.store.directory).write_seen("a", seen.given, probabilities, seen.affine)
    run = read_record(tmp_path / "out")
    run.read_seen("b")
    with pytest.raises(ValueError, match="case 'a' is gone, or is not what this judgement rests on"):
        run.read_seen("a")


def test_data_and_folder_may_move(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_results(tmp_path / "out", *judged, {"epoch": 7})
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    shutil.move(tmp_path / "out", tmp_path / "over there")
    with pytest.raises(ValueError, match=r"is not there, nor are .* name with --data the folder that was .*data"):
        read_record(tmp_path / "over there")
    with pytest.raises(ValueError, match=rf"nowhere.* is not there, .* the folder that was {tmp_path / 'data'}$"):
        read_record(tmp_path / "over there", tmp_path / "nowhere")
    run = read_record(tmp_path / "over there", tmp_path / "elsewhere")
    assert all(Path(item["label"]).is_file() for item in run.data)


@pytest.mark.parametrize("spoil", ["cut", "empty", "text", "missing", "pickle"])
def test_a_record_that_is_none_is_named(tmp_path: Path, spoil: str) -> None:
    judged = judged_cohort(tmp_path / "data")
    path = tmp_path / "judged.npz"
    write_record(path, *judged, {"epoch": 7})
    whole = path.read_bytes()
    if spoil == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif spoil == "missing":
        path.unlink()
    elif spoil == "pickle":
        np.savez(path, about=np.array([{"format": 1}], dtype=object))
    else:
        path.write_bytes(b"" if spoil == "empty" else b"nonsense")
    wanted = "has no judged.npz" if spoil == "missing" else "judged.npz: is damaged"
    with pytest.raises(ValueError, match=wanted):
        read_record(tmp_path)


def test_a_hint_for_a_whole_case_is_kept(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_record(tmp_path / "judged.npz", *judged, {"epoch": 7}, {"a": "The whole label fits if it is mirrored."})
    assert read_record(tmp_path).hints == {"a": "The whole label fits if it is mirrored."}
    with pytest.raises(ValueError, match="nowhere: is no folder: name the output folder of a training or an audit"):
        read_record(tmp_path / "nowhere")


def test_no_damaged_bit_is_a_traceback(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_results(tmp_path / "out", *judged, {"epoch": 7})
    run, record = read_record(tmp_path / "out"), tmp_path / "out" / "judged.npz"
    seen = next(path for path in judged.store.directory.rglob("*.npz") if path.stem.startswith("a"))
    for path, read in ((record, lambda: read_record(tmp_path / "out")), (seen, lambda: run.read_seen("a"))):
        whole = path.read_bytes()
        for at in np.random.default_rng(0).integers(0, len(whole), 120):
            spoilt = bytearray(whole)
            spoilt[at] ^= 1 << int(at) % 8
            path.write_bytes(spoilt)
            with suppress(ValueError):  # which ends in one line; a bit that no reader heeds does no harm
                read()
        path.write_bytes(whole)


def test_a_record_that_lacks_something_is_named(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_record(tmp_path / "judged.npz", *judged, {"epoch": 7})
    with np.load(tmp_path / "judged.npz") as file:
        kept = {key: file[key] for key in file if key != "suspected"}
    np.savez(tmp_path / "judged.npz", **kept)
    with pytest.raises(ValueError, match=r"judged.npz: lacks what belongs to a record .*suspected.*run the audit"):
        read_record(tmp_path)
