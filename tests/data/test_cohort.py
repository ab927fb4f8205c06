"""A run's cohort: lazy, split by patient, checked before anything is written."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers import files_below, read_nifti, write_patient, write_patients
from hypothesis import given
from hypothesis import strategies as st

from monai_selfcleanse.data import Cohort, DatasetError, split_patients, write_phantom
from monai_selfcleanse.data import cohort as cohort_module
from monai_selfcleanse.data.noisy_cohort import choose_patients
from monai_selfcleanse.files import free_folder


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(write_patients(tmp_path / "data", 6))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def patients(cases: list[dict[str, Any]]) -> set[str]:
    return {case["patient"] for case in cases}


def files_of(folder: Path) -> list[str]:
    return [path for path in files_below(folder) if path != ".lock"]


def test_nothing_is_read_or_written_before_it_is_asked_for(tmp_path: Path) -> None:
    Cohort(None, str(tmp_path / "out"), noise_rate=0.5)
    Cohort(str(tmp_path / "missing"), str(tmp_path / "out"), noise_preset="unknown", noise_rate=7)
    assert files_below(tmp_path) == []


def test_split_is_disjoint_complete_and_by_patient(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out), validation_share=0.34)
    assert len(cohort.train) == 8
    assert len(cohort.validation) == 4
    assert not patients(cohort.train) & patients(cohort.validation)
    assert len(patients(cohort.train) | patients(cohort.validation)) == 6


def test_split_is_fixed_by_the_seed(data: str, out: Path) -> None:
    splits = [tuple(sorted(patients(Cohort(data, str(out), seed).validation))) for seed in (0, 1, 2, 3, 4, 0)]
    assert splits[0] == splits[-1]
    assert len(set(splits)) > 1


def test_without_noise_no_label_is_written_and_no_truth_is_known(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out))
    assert not any("truth" in case for case in cohort.train + cohort.validation)
    assert files_of(out) == ["checked.json"]


def test_noise_falls_on_the_wanted_share_of_training_patients(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out), seed=1, noise_rate=0.4, noise_preset="boundary")
    noisy = [case for case in cohort.train if case["label"] != case["truth"]]
    assert patients(noisy) == choose_patients([*patients(cohort.train)], 0.4, 1)
    assert len(patients(noisy)) == 2
    assert len(noisy) == 4
    for case in noisy:
        assert Path(case["label"]) == out / "noisy_labels" / case["file"]
        assert (read_nifti(case["label"]) != read_nifti(case["truth"])).any()


def test_validation_is_never_corrupted(data: str, out: Path) -> None:
    clean, noisy = Cohort(data, str(out)), Cohort(data, str(out), noise_rate=1.0)
    assert noisy.train != clean.train
    assert noisy.validation == clean.validation


def test_noise_leaves_the_data_set_as_it_is(data: str, out: Path) -> None:
    before = {path: path.read_bytes() for path in Path(data).rglob("*") if path.is_file()}
    assert Cohort(data, str(out), noise_rate=1.0).train
    assert {path: path.read_bytes() for path in Path(data).rglob("*") if path.is_file()} == before


def test_cases_are_found_once(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out))
    assert cohort.train is cohort.train


def test_phantom_stands_in_for_a_missing_data_set(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort_module, "write_phantom", partial(write_phantom, n_patients=3))
    cohort = Cohort(None, str(out), seed=1)
    assert len(cohort.train) == 4
    assert len(cohort.validation) == 2
    assert all(out / "phantom" in Path(case["image"]).parents for case in cohort.train)


def test_structures_may_have_text_as_keys(data: str, out: Path) -> None:
    assert Cohort(data, str(out), structures={"1": "a", "2": "b", "3": "c"}).train
    with pytest.raises(DatasetError, match=r"holds the values \[3\]"):
        Cohort(data, str(out), structures={"1": "a", "2": "b"}).train  # noqa: B018


BAD_OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "preset": ({"noise_preset": "drunk"}, "noise_preset 'drunk' is unknown; choose one of"),
    "preset without noise": ({"noise_preset": "drunk", "noise_rate": 0.0}, "noise_preset 'drunk' is unknown"),
    "rate": ({"noise_rate": 1.5}, r"noise_rate must lie in \[0, 1\], got 1.5"),
    "negative rate": ({"noise_rate": -0.5}, "noise_rate must lie in"),
    "share": ({"validation_share": 1.5}, "validation_share must lie in"),
    "share of nobody": ({"validation_share": 0.0}, "validation_share must lie in"),
}


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
@pytest.mark.parametrize("phantom", [False, True])
def test_bad_option_leaves_no_files_behind(
    data: str, out: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str, phantom: bool
) -> None:
    monkeypatch.setattr(cohort_module, "write_phantom", partial(write_phantom, n_patients=3))
    cohort = Cohort(None if phantom else data, str(out), **({"noise_rate": 0.5} | options))
    with pytest.raises(ValueError, match=message):
        cohort.train  # noqa: B018
    assert not out.exists()


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_file_in_the_way_of_the_output_is_refused(data: str, out: Path, below: str) -> None:
    out.write_text("a file")
    for dataset in (data, None):
        with pytest.raises(ValueError, match=r"output_dir .* cannot be written: .*out is a file; give another one"):
            Cohort(dataset, str(out / below), noise_rate=0.5).train  # noqa: B018
    assert out.read_text() == "a file"


def test_broken_case_leaves_no_files_behind(data: str, out: Path) -> None:
    label = Path(data) / "patient002" / "patient002_frame01_gt.nii.gz"
    label.write_bytes(label.read_bytes()[:60])
    with pytest.raises(DatasetError, match="1 problem in the data set"):
        Cohort(data, str(out), noise_rate=0.5).train  # noqa: B018
    assert not out.exists()


def test_missing_and_broken_files_are_reported_together(data: str, out: Path) -> None:
    (Path(data) / "patient001" / "patient001_frame01_gt.nii.gz").unlink()
    (Path(data) / "patient003" / "patient003_frame09.nii.gz").write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        Cohort(data, str(out)).train  # noqa: B018
    assert "patient001_frame01.nii.gz: has no label" in str(caught.value)
    assert "patient003_frame09.nii.gz: is" in str(caught.value)


def test_data_set_without_any_whole_case_is_refused(tmp_path: Path, out: Path) -> None:
    (write_patient(tmp_path / "data", "patient001", (1,)) / "patient001_frame01_gt.nii.gz").unlink()
    with pytest.raises(DatasetError, match=r"1 problem in the data set; mend.*\n  .*has no label"):
        Cohort(str(tmp_path / "data"), str(out)).train  # noqa: B018


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_patients_leave_no_files_behind(tmp_path: Path, out: Path, n: int) -> None:
    directory = write_patients(tmp_path / "data", n)
    with pytest.raises(ValueError, match=f"{n} patients are too few to split"):
        Cohort(str(directory), str(out), noise_rate=0.5).train  # noqa: B018
    assert not out.exists()


def test_however_large_the_share_two_patients_are_left_to_train_on(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out), validation_share=0.9)
    assert len({case["patient"] for case in cohort.train}) == 2
    assert len({case["patient"] for case in cohort.validation}) == 4


@given(n=st.integers(4, 40), share=st.floats(0.01, 0.5), seed=st.integers(0, 99))
def test_split_has_its_size_and_loses_nobody(n: int, share: float, seed: int) -> None:
    names = [f"p{i}" for i in range(n)]
    train, validation = split_patients(names, share, seed)
    assert len(validation) == max(1, round(share * n))
    assert sorted(train + validation) == sorted(names)
    assert (train, validation) == (sorted(train), sorted(validation))
    assert split_patients(names[::-1], share, seed) == (train, validation)


def test_share_of_one_validates_on_everybody_and_leaves_nobody_to_train_on(data: str, out: Path) -> None:
    cohort = Cohort(data, str(out), validation_share=1)
    assert len(patients(cohort.validation)) == 6
    with pytest.raises(ValueError, match="validation_share 1 leaves no patient to train on"):
        _ = cohort.train


def test_share_of_one_takes_a_single_patient(tmp_path: Path, out: Path) -> None:
    assert len(Cohort(str(write_patients(tmp_path / "one", 1)), str(out), validation_share=1).validation) == 2


def test_asking_for_validation_leaves_the_noisy_labels_of_an_earlier_run_alone(data: str, out: Path) -> None:
    _ = Cohort(data, str(out), noise_rate=0.5).train
    before = files_below(out)
    assert "noisy_labels/manifest.jsonl" in before
    _ = Cohort(data, str(out)).validation
    assert files_below(out) == before


@pytest.mark.parametrize("rate", [0.0, 0.5])
@pytest.mark.parametrize("folder", ["noisy_labels", "cleansed_labels"])
def test_data_that_the_run_would_replace_are_refused(folder: str, rate: float, out: Path) -> None:
    inside = out / folder / "nested"
    write_patients(inside, 6)
    before = files_of(out)
    for path in (inside, out / folder / "nested" / ".." / "nested"):
        with pytest.raises(ValueError, match=f"{folder}.* would be replaced: give another output_dir"):
            _ = Cohort(str(path), str(out), noise_rate=rate).train
    assert files_of(out) == before


def test_noisy_labels_that_no_training_made_are_left_alone(data: str, out: Path) -> None:
    write_patients(out / "noisy_labels", 2)
    (out / "noisy_labels" / "manifest.jsonl").touch()  # as in a noisy copy of a data set
    assert Cohort(data, str(out)).train
    before = files_of(out)
    with pytest.raises(ValueError, match=r"noisy_labels is not of an earlier training .* move it"):
        _ = Cohort(data, str(out), noise_rate=0.5).train
    assert files_of(out) == before


@pytest.mark.slow
def test_a_folder_in_use_is_left_alone(data: str, out: Path) -> None:
    _ = Cohort(data, str(out), noise_rate=0.5).train
    free_folder(out)
    before = files_below(out)
    code = "import sys; from monai_selfcleanse.files import only_process as o\nwith o(sys.argv[1]): input(print())"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "\n"
        for source, rate in ((data, 0.0), (data, 0.5), (None, 0.0)):
            for seed in (0, 1):
                with pytest.raises(ValueError, match="is in use by another run"):
                    _ = Cohort(source, str(out), seed, rate).train
        with pytest.raises(ValueError, match="is in use by another run"):
            _ = Cohort(None, str(out), 1).validation
        assert Cohort(data, str(out)).validation  # reads alone
        other.communicate("\n")
    assert files_below(out) == before


@pytest.mark.slow
def test_a_folder_is_held_from_the_noisy_labels_on(data: str, out: Path) -> None:
    _ = Cohort(data, str(out), noise_rate=0.5).train
    code = "import sys; from monai_selfcleanse.data import Cohort\nCohort(sys.argv[1], sys.argv[2], 1, 0.5).train"
    other = subprocess.run([sys.executable, "-c", code, data, str(out)], capture_output=True, text=True)
    assert "is in use by another run" in other.stderr


def test_noisy_labels_of_a_run_that_was_killed_are_made_again(
    data: str, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [case["label"] for case in Cohort(data, str(out), noise_rate=0.5).train]
    next(path for path in (out / "noisy_labels").rglob("*.nii.gz")).unlink()
    (out / "noisy_labels" / "manifest.jsonl").unlink()
    assert [case["label"] for case in Cohort(data, str(out), noise_rate=0.5).train] == expected
    assert all(Path(label).is_file() for label in expected)


def test_larger_validation_share_adds_to_a_smaller() -> None:
    names = [f"p{i}" for i in range(20)]
    assert set(split_patients(names, 0.2, 0)[1]) < set(split_patients(names, 0.4, 0)[1])


def test_split_and_noise_are_chosen_apart() -> None:
    names = [f"p{i}" for i in range(40)]
    overlap = len(set(split_patients(names, 0.5, 0)[1]) & choose_patients(names, 0.5, 0))
    assert 5 <= overlap <= 15


@pytest.mark.parametrize("share", [0.0, 1.1, -0.2, float("nan")])
def test_impossible_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"validation_share must lie in \(0, 1\]"):
        split_patients(["a", "b", "c", "d"], share, 0)
