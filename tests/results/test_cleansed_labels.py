"""Cleansed labels on disk, and where they come from."""

from __future__ import annotations

import errno
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import doubtful, files_below, judged_cohort, read_nifti, write_nifti

from monai_selfcleanse import __version__
from monai_selfcleanse.cases.seen import SeenCase
from monai_selfcleanse.results import cleanse_file, drawing, write_cleansed_labels
from monai_selfcleanse.results.suspects import illustrate_suspects

AFFINE = np.diag([2.0, 2.0, 8.0, 1.0])


def ball(shape: tuple[int, ...], radius: float, spacing: float) -> np.ndarray:
    """A ball's mask around the middle of a volume with this isotropic voxel size in mm."""
    axes = np.meshgrid(*[(np.arange(n) - (n - 1) / 2) * spacing for n in shape], indexing="ij")
    return sum(a**2 for a in axes) <= radius**2


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, affine), path)
    return path


def seen_as(predicted: np.ndarray, affine: np.ndarray = AFFINE) -> SeenCase:
    return SeenCase(np.zeros_like(predicted), predicted, np.ones(predicted.shape, np.float32), affine)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, ">i2"])
def test_a_cleansed_file_keeps_grid_header_and_type(dtype: Any, tmp_path: Path) -> None:
    given = np.zeros((6, 5, 4), dtype=dtype)
    given[1:3] = 1
    given[4] = 2
    predicted = np.zeros((6, 5, 4), dtype=np.uint8)
    predicted[2:4] = 1
    source = write(tmp_path / "given.nii.gz", given)
    before = source.read_bytes()
    cleanse_file({"label": source}, seen_as(predicted), [1], tmp_path / "out" / "clean.nii.gz")
    out = nib.load(tmp_path / "out" / "clean.nii.gz")
    expected = np.zeros((6, 5, 4))
    expected[2:4] = 1
    expected[4] = 2
    np.testing.assert_array_equal(np.asarray(out.dataobj), expected)
    assert out.get_data_dtype() == nib.load(source).get_data_dtype()
    np.testing.assert_array_equal(out.affine, AFFINE)
    assert source.read_bytes() == before


def test_a_scaled_label_keeps_its_values(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((4, 4, 4), dtype=np.int16), AFFINE)
    image.header.set_slope_inter(2, 0)
    image.dataobj[:2] = 1  # stored as 1, read as 2
    nib.save(image, tmp_path / "given.nii.gz")
    assert nib.load(tmp_path / "given.nii.gz").dataobj.slope == 2
    given = np.asarray(nib.load(tmp_path / "given.nii.gz").dataobj)
    cleanse_file(
        {"label": tmp_path / "given.nii.gz"}, seen_as(np.zeros((4, 4, 4), np.uint8)), [1], tmp_path / "out.nii.gz"
    )
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), given)


def test_a_float_label_stored_as_integers_with_a_fractional_scale_keeps_its_values(tmp_path: Path) -> None:
    given = np.repeat(np.arange(4.0), 16).reshape(4, 4, 4)
    image = nib.Nifti1Image(given, AFFINE)
    image.header.set_data_dtype(np.int16)  # nibabel stores 3 as 32767 steps, and reads 2.99999
    nib.save(image, tmp_path / "given.nii.gz")
    assert not np.array_equal(np.asarray(nib.load(tmp_path / "given.nii.gz").dataobj), given)
    cleanse_file({"label": tmp_path / "given.nii.gz"}, seen_as(given.astype(np.uint8)), [1], tmp_path / "out.nii.gz")
    np.testing.assert_array_equal(np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj), given)


def test_a_prediction_on_another_grid_lands_where_it_belongs(tmp_path: Path) -> None:
    """Network grid: 1 mm, turned by 90 degrees, shifted; label grid: 2 mm."""
    shape = (20, 24, 22)
    truth = ball(shape, 15.0, 2.0)
    source = write(tmp_path / "given.nii.gz", np.zeros(shape, np.uint8), np.diag([2.0, 2.0, 2.0, 1.0]))
    fine = ball((47, 39, 43), 15.0, 1.0).astype(np.uint8)
    # The two middles are one point in the world; the network's first axis runs along the label's second, backwards.
    turn = np.array([[0.0, 1, 0, 0], [-1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    middle = np.array([19.0, 23.0, 21.0])
    turn[:3, 3] = middle - turn[:3, :3] @ ((np.array(fine.shape) - 1) / 2)
    cleanse_file({"label": source}, seen_as(fine, turn), [1], tmp_path / "out.nii.gz")
    out = np.asarray(nib.load(tmp_path / "out.nii.gz").dataobj) == 1
    assert 2 * (out & truth).sum() / (out.sum() + truth.sum()) > 0.97


def test_every_label_is_written_redrawn_where_it_is_suspected(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    given = {path: path.read_bytes() for path in (tmp_path / "data" / "labelsTr").iterdir()}
    out = tmp_path / "cleansed"
    write_cleansed_labels(out, *judged, {"epoch": 7})
    names = [f"labelsTr/{i}.nii.gz" for i in range(6)]
    assert files_below(out) == ["labelsTr", *names, "provenance.json"]
    assert all(path.read_bytes() == content for path, content in given.items())
    assert not (read_nifti(tmp_path / "data" / names[0]) == 1).any()
    restored = read_nifti(out / names[0]) == 1
    assert restored[:3, 0:4, :3].all()
    assert not restored[3].any()  # there the network is unsure
    for name in names[2:]:
        assert (out / name).read_bytes() == (tmp_path / "data" / name).read_bytes()


def test_a_suspect_that_is_not_redrawn_stays_as_it_was_given(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    judged = judged._replace(judgement=doubtful(judged.judgement))
    write_cleansed_labels(tmp_path / "cleansed", *judged, {"epoch": 7})
    for i in range(6):
        name = f"labelsTr/{i}.nii.gz"
        assert (tmp_path / "cleansed" / name).read_bytes() == (tmp_path / "data" / name).read_bytes()
    suspect = next(illustrate_suspects(*judged, 1))
    assert suspect.case == "a"
    assert suspect.pictures[0].cleansed == suspect.pictures[0].given == ""
    assert suspect.pictures[0].predicted


def test_class_probabilities_become_index_maps_as_if_they_had_been_given(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_cleansed_labels(tmp_path / "expected", *judged, {"epoch": 7})
    soft = {}
    for item in judged.data:
        path = Path(item["label"])
        write_nifti(path, np.eye(4, dtype=np.float32)[read_nifti(path)] * 0.6 + 0.1)
        soft[path] = path.read_bytes()
    write_cleansed_labels(tmp_path / "out", *judged, {"epoch": 7})
    assert all(path.read_bytes() == content for path, content in soft.items())
    for item in judged.data:
        label, expected = (nib.load(tmp_path / folder / item["file"]) for folder in ("out", "expected"))
        assert label.get_data_dtype() == np.uint8
        np.testing.assert_allclose(label.affine, expected.affine)
        np.testing.assert_array_equal(np.asanyarray(label.dataobj), np.asanyarray(expected.dataobj))


def test_provenance_names_version_source_date_and_every_judgement(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_cleansed_labels(tmp_path / "out", *judged, {"epoch": 7, "model": "model.pt"})
    read = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert (read["package"], read["version"]) == ("monai-selfcleanse", __version__)
    assert (read["epoch"], read["model"]) == (7, "model.pt")
    assert datetime.fromisoformat(read["date"]).tzinfo is not None
    assert set(read["cases"]) == set("abcdef")
    assert read["cases"]["a"]["right ventricle"]["suspected"] is True
    assert read["cases"]["a"]["right ventricle"]["clean_probability"] < 0.1
    assert read["cases"]["f"]["myocardium"] == {"clean_probability": 1.0, "suspected": False, "redrawn": False}


def test_an_earlier_export_is_replaced_and_anything_else_is_refused(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    out = tmp_path / "out"
    for _ in range(2):
        write_cleansed_labels(out, *judged, {"epoch": 7})
        (out / "stale.nii.gz").write_text("")
    write_cleansed_labels(out, *judged, {"epoch": 8})
    assert not (out / "stale.nii.gz").exists()
    (out / "provenance.json").write_text('{"package": "other"}')
    before = files_below(tmp_path)
    with pytest.raises(ValueError, match=r"out is in the way.*not an earlier export"):
        write_cleansed_labels(out, *judged, {"epoch": 9})
    assert files_below(tmp_path) == before


def test_a_full_disk_leaves_the_earlier_export_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = judged_cohort(tmp_path / "data")
    out = tmp_path / "out"
    write_cleansed_labels(out, *judged, {"epoch": 7})
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(drawing, "save_index_map", full)
    with pytest.raises(OSError, match="No space left"):
        write_cleansed_labels(out, *judged, {"epoch": 8})
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "out"]
