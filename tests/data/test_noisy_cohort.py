"""Whole-cohort corruption: who is chosen, and what is left on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import AFFINE, files_below, read_nifti, tiny_image, tiny_label, write_nifti
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data.noisy_cohort import choose_patients, corrupt_cohort
from monai_selfcleanse.noise import apply_noise

Case = dict[str, Any]


def names(n: int) -> list[str]:
    return [f"patient{i:03d}" for i in range(n)]


@pytest.fixture
def cohort(tmp_path: Path) -> list[Case]:
    """Four patients of two frames each; the second of the last patient has an empty label."""
    data = []
    for patient in ("p1", "p2", "p3", "p4"):
        for frame in (1, 2):
            folder, name = tmp_path / "data" / patient, f"{patient}_frame{frame}"
            voxels = tiny_label(frame) * (patient != "p4" or frame != 2)
            image = write_nifti(folder / f"{name}.nii.gz", tiny_image(frame))
            label = write_nifti(folder / f"{name}_gt.nii.gz", voxels)
            file = f"{patient}/{name}_gt.nii.gz"
            data.append({"case": name, "patient": patient, "image": str(image), "label": str(label), "file": file})
    return data


def manifest(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "manifest.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("rate", "n", "chosen"), [(0.5, 80, 40), (0.25, 80, 20), (0.0, 9, 0), (1.0, 9, 9), (0.5, 5, 2)]
)
def test_number_of_noisy_patients_is_exact(rate: float, n: int, chosen: int) -> None:
    for seed in range(5):
        assert len(choose_patients(names(n), rate, seed)) == chosen


@given(n=st.integers(0, 40), low=st.floats(0, 1), high=st.floats(0, 1), seed=st.integers(0, 99))
def test_larger_rate_adds_to_a_smaller(n: int, low: float, high: float, seed: int) -> None:
    low, high = sorted((low, high))
    few, many = choose_patients(names(n), low, seed), choose_patients(names(n), high, seed)
    assert few <= many <= set(names(n))
    assert len(many) == round(high * n)


def test_choice_depends_on_neither_order_nor_repetition() -> None:
    patients = names(20)
    assert choose_patients([*reversed(patients), *patients], 0.3, 7) == choose_patients(patients, 0.3, 7)


def test_choice_depends_on_the_seed() -> None:
    assert len({frozenset(choose_patients(names(20), 0.5, seed)) for seed in range(5)}) == 5


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
def test_impossible_rate_is_refused(rate: float, cohort: list[Case], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^rate must lie in \[0, 1\]"):
        choose_patients(names(3), rate, 0)
    with pytest.raises(ValueError, match=r"^rate must lie in \[0, 1\]"):
        corrupt_cohort(cohort, tmp_path / "noisy", rate, "mixed", 0)
    assert not (tmp_path / "noisy").exists()


def test_unknown_preset_is_refused(cohort: list[Case], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'none' is unknown; choose one of"):
        corrupt_cohort(cohort, tmp_path / "noisy", 0.5, "none", 0)
    assert not (tmp_path / "noisy").exists()


def test_originals_are_left_as_they_are(cohort: list[Case], tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.nii.gz")}
    items = [dict(item) for item in cohort]
    corrupt_cohort(cohort, tmp_path / "noisy", 1.0, "boundary", 0)
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.nii.gz")} == before
    assert cohort == items


def test_all_cases_of_a_noisy_patient_are_corrupted_and_no_others(cohort: list[Case], tmp_path: Path) -> None:
    full = [item for item in cohort if item["patient"] != "p4"]
    noisy_patients = choose_patients(["p1", "p2", "p3"], 0.67, 1)
    assert len(noisy_patients) == 2
    for item, given_item in zip(corrupt_cohort(full, tmp_path / "noisy", 0.67, "mixed", 1), full, strict=True):
        changed = (read_nifti(item["label"]) != read_nifti(item["truth"])).any()
        assert changed == (item["patient"] in noisy_patients)
        assert item["truth"] == given_item["label"]
        assert (item["label"] == given_item["label"]) == (not changed)
        assert {k: v for k, v in item.items() if k not in ("label", "truth")} == {
            k: v for k, v in given_item.items() if k != "label"
        }


def test_noisy_labels_lie_under_their_relative_paths(cohort: list[Case], tmp_path: Path) -> None:
    out = corrupt_cohort(cohort, tmp_path / "noisy", 1.0, "boundary", 0)
    noisy = [item for item in out if item["label"] != item["truth"]]
    assert len(noisy) == 7
    for item in noisy:
        assert Path(item["label"]) == tmp_path / "noisy" / item["file"]
    assert files_below(tmp_path / "noisy") == sorted(
        ["manifest.jsonl", "p1", "p2", "p3", "p4", *(item["file"] for item in noisy)]
    )


def test_empty_label_stays_where_it_is(cohort: list[Case], tmp_path: Path) -> None:
    out = corrupt_cohort(cohort, tmp_path / "noisy", 1.0, "mixed", 0)
    assert out[-1]["label"] == out[-1]["truth"] == cohort[-1]["label"]
    assert out[-1]["case"] not in {line["case"] for line in manifest(tmp_path / "noisy")}


@pytest.mark.parametrize("preset", ["mixed", "boundary_mild", "missing"])
def test_manifest_tells_the_dice_and_replays(cohort: list[Case], tmp_path: Path, preset: str) -> None:
    lines = []
    for item in corrupt_cohort(cohort, tmp_path / "noisy", 1.0, preset, 3):
        truth, noisy = read_nifti(item["truth"]), read_nifti(item["label"])
        records = [line for line in manifest(tmp_path / "noisy") if line["case"] == item["case"]]
        replayed = truth
        for record in records:
            k = record["structure"]
            assert record["dice"] == pytest.approx(dice(noisy == k, truth == k), abs=1e-4)
            replayed = apply_noise(replayed, record, (1.5, 1.5, 10.0))
        np.testing.assert_array_equal(replayed, noisy)
        lines += records
    assert len(lines) == len(manifest(tmp_path / "noisy"))


def test_result_depends_on_neither_order_nor_company(cohort: list[Case], tmp_path: Path) -> None:
    straight = corrupt_cohort(cohort, tmp_path / "a", 0.5, "mixed", 2)
    shuffled = corrupt_cohort([cohort[i] for i in (5, 0, 7, 3, 1, 6, 2, 4)], tmp_path / "b", 0.5, "mixed", 2)
    assert [item["case"] for item in straight] == [item["case"] for item in cohort]
    by_case = {item["case"]: item for item in shuffled}
    for item in straight:
        np.testing.assert_array_equal(read_nifti(item["label"]), read_nifti(by_case[item["case"]]["label"]))


def test_another_seed_is_another_noise(cohort: list[Case], tmp_path: Path) -> None:
    first, second = (corrupt_cohort(cohort, tmp_path / str(seed), 1.0, "boundary", seed) for seed in (0, 1))
    pairs = zip(first, second, strict=True)
    assert any((read_nifti(a["label"]) != read_nifti(b["label"])).any() for a, b in pairs)


def test_without_noise_nothing_but_an_empty_manifest_is_written(cohort: list[Case], tmp_path: Path) -> None:
    out = corrupt_cohort(cohort, tmp_path / "noisy", 0.0, "mixed", 0)
    assert [item["label"] for item in out] == [item["truth"] for item in out] == [item["label"] for item in cohort]
    assert files_below(tmp_path / "noisy") == ["manifest.jsonl"]
    assert manifest(tmp_path / "noisy") == []


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_grid_header_and_data_type_are_kept(tmp_path: Path, dtype: str, ending: str) -> None:
    angle = np.eye(4)
    angle[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    original = nib.Nifti1Image(tiny_label().astype(dtype), angle @ AFFINE)
    original.header["descrip"] = b"drawn by hand"
    original.set_qform(original.affine, code=1)
    original.set_sform(original.affine, code=2)
    original.header.set_xyzt_units("mm", "sec")
    nib.save(original, tmp_path / f"a_gt{ending}")
    item = {"case": "a", "label": str(tmp_path / f"a_gt{ending}")}
    (out,) = corrupt_cohort([item], tmp_path / "noisy", 1.0, "boundary", 0)
    noisy = nib.load(out["label"])
    assert out["label"] == str(tmp_path / "noisy" / f"a{ending}")
    assert noisy.get_data_dtype() == np.dtype(dtype)
    np.testing.assert_array_equal(noisy.affine, nib.load(item["label"]).affine)
    for field in ("descrip", "qform_code", "sform_code", "xyzt_units", "dim", "pixdim"):
        np.testing.assert_array_equal(noisy.header[field], nib.load(item["label"]).header[field])


def test_cases_without_patient_are_their_own_patients(cohort: list[Case], tmp_path: Path) -> None:
    data = [{k: v for k, v in item.items() if k != "patient"} for item in cohort[:6]]
    out = corrupt_cohort(data, tmp_path / "noisy", 0.5, "boundary", 0)
    assert sum(item["label"] != item["truth"] for item in out) == 3


def test_labels_of_one_name_do_not_overwrite_each_other(tmp_path: Path) -> None:
    data = []
    for case in ("a", "b"):
        label = write_nifti(tmp_path / case / "label.nii.gz", tiny_label(3 * (case == "b")))
        data.append({"case": case, "label": str(label)})
    out = corrupt_cohort(data, tmp_path / "noisy", 1.0, "boundary_mild", 0)
    for item in out:
        noisy, truth = read_nifti(item["label"]), read_nifti(item["truth"])
        assert all(dice(noisy == k, truth == k) > 0.6 for k in (1, 2, 3))


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_voxels_of_no_sensible_size_are_refused(cohort: list[Case], size: float, tmp_path: Path) -> None:
    """The search for a Dice had no end, and smooth fields asked for more memory than there is."""
    write_nifti(Path(cohort[0]["label"]), tiny_label(1), np.diag([size, size, size, 1.0]))
    with pytest.raises(
        ValueError, match=r"p1_frame1_gt.nii.gz: its voxels are .* mm large; .*: correct the voxel size"
    ):
        corrupt_cohort(cohort, tmp_path / "out", rate=1.0, preset="boundary", seed=0)
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
