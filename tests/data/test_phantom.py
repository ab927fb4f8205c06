"""The phantom: the same for everyone, and a plausible heart."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from helpers import files_below
from scipy import ndimage

from monai_selfcleanse.data import ACDC_STRUCTURES, check_cases, find_acdc_cases, phantom_frames, write_phantom

Frames = dict[str, tuple[np.ndarray, np.ndarray]]
PATIENTS = [f"patient{i:03d}" for i in range(1, 21)]


@pytest.fixture(scope="module")
def hearts() -> dict[str, tuple[Frames, tuple[float, ...]]]:
    """The patients of the default phantom."""
    return {patient: phantom_frames(patient) for patient in PATIENTS}


@pytest.fixture(scope="module")
def labels(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> list[np.ndarray]:
    return [frames[phase][1] for frames, _ in hearts.values() for phase in ("ED", "ES")]


def slices_of(label: np.ndarray, structure: int) -> np.ndarray:
    return np.flatnonzero((label == structure).any((0, 1)))


def test_patient_follows_from_id_and_seed(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> None:
    frames, spacing = phantom_frames("patient003")
    assert spacing == hearts["patient003"][1]
    for phase in ("ED", "ES"):
        for i in (0, 1):
            np.testing.assert_array_equal(frames[phase][i], hearts["patient003"][0][phase][i])
    assert phantom_frames("patient003", seed=1)[1] != spacing
    assert len({spacing for _, spacing in hearts.values()}) == len(PATIENTS)


def test_arrays_have_acdcs_types(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> None:
    for frames, spacing in hearts.values():
        for image, label in frames.values():
            assert (image.dtype, label.dtype, label.shape) == (np.int16, np.uint8, image.shape)
            assert set(np.unique(label)) == {0, *ACDC_STRUCTURES}
        assert 1 < spacing[0] == spacing[1] < 2 < spacing[2]


def test_myocardium_surrounds_the_left_ventricle(labels: list[np.ndarray]) -> None:
    disc = np.ones((3, 3, 1), dtype=bool)
    for label in labels:
        around = ndimage.binary_dilation(label == 3, disc) & (label != 3)
        assert (label[around] == 2).all()


def test_every_structure_is_in_one_piece(labels: list[np.ndarray]) -> None:
    for label in labels:
        for k in ACDC_STRUCTURES:
            parts, n = ndimage.label(label == k, np.ones((3, 3, 3)))
            assert np.bincount(parts[parts > 0]).max() > 0.97 * (label == k).sum(), n


def test_right_ventricle_vanishes_before_the_apex(labels: list[np.ndarray]) -> None:
    for label in labels:
        assert slices_of(label, 1)[-1] < slices_of(label, 2)[-1]
        assert slices_of(label, 3)[-1] <= slices_of(label, 2)[-1]


def test_outermost_slices_hold_nothing(labels: list[np.ndarray]) -> None:
    for label in labels:
        assert not label[..., 0].any()
        assert not label[..., -1].any()


def test_structures_shrink_towards_the_apex(labels: list[np.ndarray]) -> None:
    for label in labels:
        area = (label == 3).sum((0, 1))[slices_of(label, 3)]
        assert (np.diff(area) <= 0).all()


def test_cavities_are_smaller_in_end_systole(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> None:
    for frames, _ in hearts.values():
        for k in (1, 3):
            assert (frames["ES"][1] == k).sum() < 0.95 * (frames["ED"][1] == k).sum()


def test_volumes_are_a_hearts(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> None:
    for frames, spacing in hearts.values():
        left_ml = (frames["ED"][1] == 3).sum() * np.prod(spacing) / 1e3
        assert 30 < left_ml < 250


def test_blood_is_brighter_than_muscle(hearts: dict[str, tuple[Frames, tuple[float, ...]]]) -> None:
    for frames, _ in hearts.values():
        for image, label in frames.values():
            assert image[label == 3].mean() > 1.3 * image[label == 2].mean()


def test_written_phantom_passes_the_checks(tmp_path: Path) -> None:
    root = write_phantom(tmp_path / "phantom", n_patients=2)
    cases, problems = find_acdc_cases(root)
    assert len(cases) == 4
    check_cases(cases, [*ACDC_STRUCTURES], problems)
    frames, spacing = phantom_frames("patient001")
    image = nib.load(cases[0]["image"])
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), frames["ED"][0])
    np.testing.assert_array_equal(np.asanyarray(nib.load(cases[0]["label"]).dataobj), frames["ED"][1])
    np.testing.assert_allclose(image.header.get_zooms(), spacing)


def test_whole_phantom_is_not_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantom(tmp_path / "phantom", n_patients=1)
    monkeypatch.setattr(nib, "save", None)
    write_phantom(tmp_path / "phantom", n_patients=1)
    with pytest.raises(TypeError):
        write_phantom(tmp_path / "phantom", n_patients=1, seed=1)


def test_interrupted_phantom_is_not_there_and_then_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, calls = nib.save, []

    def break_off(*args: object) -> None:
        calls.append(args)
        if len(calls) == 6:  # within the second patient
            raise OSError("disk full")
        save(*args)

    monkeypatch.setattr(nib, "save", break_off)
    with pytest.raises(OSError, match="disk full"):
        write_phantom(tmp_path / "phantom", n_patients=2)
    assert not (tmp_path / "phantom").exists()
    monkeypatch.undo()
    write_phantom(tmp_path / "phantom", n_patients=1)
    assert [len(found) for found in find_acdc_cases(tmp_path / "phantom")] == [2, 0]
    assert files_below(tmp_path) == ["phantom", *(f"phantom/{path}" for path in files_below(tmp_path / "phantom"))]


def test_phantom_of_another_seed_replaces_the_first(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_phantom(tmp_path / "phantom", n_patients=1, seed=seed)
        image = nib.load(tmp_path / "phantom" / "patient001" / "patient001_frame01.nii.gz")
        np.testing.assert_array_equal(np.asanyarray(image.dataobj), phantom_frames("patient001", seed)[0]["ED"][0])


def test_what_is_no_phantom_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "phantom"
    folder.mkdir()
    (folder / "README.txt").write_text("my data, better than a phantom of patients")
    with pytest.raises(ValueError, match=r"phantom is in the way: .* give another folder"):
        write_phantom(folder, n_patients=1)
    assert files_below(tmp_path) == ["phantom", "phantom/README.txt"]
