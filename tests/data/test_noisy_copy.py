"""Noisy copies of a data set, by function and by command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import files_below, read_nifti, tiny_image, tiny_label, write_decathlon, write_nifti, write_patients

from monai_selfcleanse.core.masks import dice, hausdorff95
from monai_selfcleanse.data import Cohort
from monai_selfcleanse.data.acdc import ACDC_STRUCTURES
from monai_selfcleanse.data.noisy_copy import copy_with_noise, find_labels


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def manifest(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]


@pytest.fixture
def acdc(tmp_path: Path) -> Path:
    return write_patients(tmp_path / "acdc", 4)


def decathlon(root: Path, n: int, folder: str = "labelsTr") -> Path:
    write_decathlon(root, n, ("imagesTr", folder))
    (root / folder / "._case_0.nii.gz").write_bytes(b"what a file manager leaves")
    (root / "dataset.json").write_text("{}")
    return root


def test_copy_has_everything_and_differs_in_the_noisy_labels_alone(acdc: Path, tmp_path: Path) -> None:
    before = snapshot(acdc)
    cases = copy_with_noise(acdc, tmp_path / "copy", rate=0.5, preset="boundary")
    after = snapshot(tmp_path / "copy")
    assert snapshot(acdc) == before
    assert set(after) == {*before, "manifest.jsonl"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {line["file"] for line in manifest(tmp_path / "copy")}
    assert len(changed) == 4
    assert len({name.split("/")[0] for name in changed}) == 2
    for case in cases:
        assert (read_nifti(case["label"]) != read_nifti(case["truth"])).any() == (case["file"] in changed)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_manifest_measures_dice_and_hausdorff_distance(acdc: Path, tmp_path: Path) -> None:
    copy_with_noise(acdc, tmp_path / "copy", rate=1.0, preset="mixed", seed=1)
    lines = manifest(tmp_path / "copy")
    assert {line["model"] for line in lines} >= {"drop_structure", "erosion"}
    for line in lines:
        k = line["structure"]
        noisy, truth = (read_nifti(root / line["file"]) == k for root in (tmp_path / "copy", acdc))
        assert line["dice"] == pytest.approx(dice(noisy, truth), abs=1e-4)
        if noisy.any():
            assert line["hd95_mm"] == pytest.approx(hausdorff95(noisy, truth, (1.5, 1.5, 10.0)), abs=1e-3)
        else:
            assert line["hd95_mm"] is None


def test_manifest_replays(acdc: Path, tmp_path: Path) -> None:
    copy_with_noise(acdc, tmp_path / "first", rate=0.5, preset="mixed", seed=5)
    copy_with_noise(acdc, tmp_path / "second", manifest=tmp_path / "first" / "manifest.jsonl")
    assert snapshot(tmp_path / "first") == snapshot(tmp_path / "second")


@pytest.mark.parametrize("folder", ["labelsTr", "labels"])
def test_labels_in_their_own_folder_are_found(tmp_path: Path, folder: str) -> None:
    root = decathlon(tmp_path / "task", 4, folder)
    cases = copy_with_noise(root, tmp_path / "copy", rate=0.5, preset="boundary")
    assert [case["case"] for case in cases] == [f"case_{i}" for i in range(4)]
    assert len({line["file"] for line in manifest(tmp_path / "copy")}) == 2
    assert files_below(tmp_path / "copy") == sorted([*files_below(root), "manifest.jsonl"])


def test_pattern_finds_any_layout_and_folders_are_patients(tmp_path: Path) -> None:
    for patient in "ab":
        for visit in "12":
            write_nifti(tmp_path / "data" / patient / f"visit{visit}" / "seg.nii.gz", tiny_label())
            write_nifti(tmp_path / "data" / patient / f"visit{visit}" / "mr.nii.gz", tiny_image())
    cases = find_labels(tmp_path / "data", "*/*/seg.nii.gz")
    assert [(c["case"], c["patient"]) for c in cases][:2] == [
        ("a/visit1/seg", "a/visit1"),
        ("a/visit2/seg", "a/visit2"),
    ]
    assert {c["file"] for c in cases} == {f"{p}/visit{v}/seg.nii.gz" for p in "ab" for v in "12"}


def test_a_pattern_passes_over_what_is_no_image_and_names_what_cannot_be_taken(tmp_path: Path) -> None:
    data = tmp_path / "st[1]udy"
    for name in ("p1/seg.nrrd", "p2/seg.NII.GZ", "p3/seg.nii/W39_Segm.nii", "p1/seg.json", "__MACOSX/p1/seg.nii"):
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")
    (data / "p2" / "._seg.nii.gz").write_bytes(b"?")
    cases = find_labels(data, "**/seg*")
    assert [(case["case"], case["patient"], case["file"]) for case in cases] == [
        ("p1/seg", "p1", "p1/seg.nrrd"),
        ("p2/seg", "p2", "p2/seg.NII.GZ"),
        ("p3/seg", "p3", "p3/seg.nii/W39_Segm.nii"),
    ]
    (data / "p3" / "seg.nii" / "W40_Segm.nii").write_bytes(b"?")
    (data / "p1" / "seg.png").write_bytes(b"?")
    with pytest.raises(ValueError, match=r"2 problems .*\n.*is of the same case as .*seg\.nrrd; .*\n.*is a folder"):
        find_labels(data, "**/seg*")


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = decathlon(tmp_path / "source", 2)
    (source / "notes").mkdir()
    scandir = os.scandir

    def forbid(path: str | int) -> object:
        if str(path) == str(source / "notes"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", forbid)
    with pytest.raises(ValueError, match=r"notes: the folder cannot be read \(Permission denied\)"):
        copy_with_noise(source, tmp_path / "copy", rate=0.0)
    assert not (tmp_path / "copy").exists()


def test_same_noise_as_in_training(acdc: Path, tmp_path: Path) -> None:
    copy_with_noise(acdc, tmp_path / "copy", rate=1.0, preset="boundary", seed=3)
    cohort = Cohort(acdc, tmp_path / "out", seed=3, noise_rate=1.0, noise_preset="boundary", structures=ACDC_STRUCTURES)
    for case in cohort.train:
        np.testing.assert_array_equal(read_nifti(case["label"]), read_nifti(tmp_path / "copy" / case["file"]))


def test_linked_folders_are_copied(tmp_path: Path) -> None:
    real = decathlon(tmp_path / "real", 3)
    (tmp_path / "linked").mkdir()
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / "linked" / name).symlink_to(real / name)
    copy_with_noise(tmp_path / "linked", tmp_path / "copy", rate=0.0)
    before = snapshot(real)
    del before["dataset.json"]
    assert snapshot(tmp_path / "copy") == before | {"manifest.jsonl": b""}
    assert not [p for p in (tmp_path / "copy").rglob("*") if p.is_symlink()]


@pytest.mark.parametrize(
    ("target", "message"),
    [("nowhere", "leads nowhere"), (".", "link to a folder above"), ("/dev/null", "is a pipe or a device, no file")],
)
def test_links_that_cannot_be_followed_are_refused(tmp_path: Path, target: str, message: str) -> None:
    source = decathlon(tmp_path / "source", 2)
    (source / "link").symlink_to(target)
    with pytest.raises(ValueError, match=message):
        copy_with_noise(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_copy_has_the_rights_of_a_new_folder(acdc: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    copy_with_noise(acdc, tmp_path / "copy", rate=0.0)
    (tmp_path / "new").mkdir()
    assert (tmp_path / "copy").stat().st_mode == (tmp_path / "new").stat().st_mode


BAD = {
    "no folder": ({"source": "nowhere"}, "is not a folder"),
    "no data": ({"source": "empty"}, "holds no labelled frame"),
    "target exists": ({"target": "full"}, "exists already"),
    "target within": ({"target": "acdc/copy"}, "lies within"),
    "rate": ({"rate": 1.5}, r"^rate must lie in \[0, 1\]"),
    "preset": ({"preset": "drunk"}, "noise_preset 'drunk' is unknown"),
    "pattern": ({"pattern": "*/seg.nii.gz"}, "no label matches"),
    "pattern that is absolute": ({"pattern": "/data/*.nii.gz"}, "must be relative"),
    "record that does not fit": (
        {"manifest": "unfit.jsonl"},
        r"unfit\.jsonl, case '.*_frame01': the record",
    ),
    "manifest of another": ({"manifest": "other.jsonl"}, "line 1: the data set has no case 'x'"),
    "no manifest": ({"manifest": "broken.jsonl"}, "line 1: is no record"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_and_leaves_nothing(acdc: Path, tmp_path: Path, change: dict, message: str) -> None:
    (tmp_path / "empty").mkdir()
    write_nifti(tmp_path / "full" / "mine.nii.gz", tiny_label())
    (tmp_path / "other.jsonl").write_text('{"case": "x", "model": "erosion", "structure": 1}\n')
    (tmp_path / "broken.jsonl").write_text("erosion\n")
    (tmp_path / "unfit.jsonl").write_text('{"case": "patient001_frame01", "model": "erosion", "structure": 1}\n')
    before = files_below(tmp_path)
    arguments = {"source": "acdc", "target": "copy"} | change
    for name in ("source", "target", "manifest"):
        if name in arguments:
            arguments[name] = tmp_path / arguments[name]
    with pytest.raises(ValueError, match=message):
        copy_with_noise(**arguments)
    assert files_below(tmp_path) == before


@pytest.mark.parametrize(
    "line",
    [
        b"null",
        b"[1]",
        b'{"case": []}',
        b'{"case": {}, "model": "erosion"}',
        b'{"case": "patient001_frame01"}',
        b'{"case": "patient001_frame01", "model": [1], "structure": 1}',
        b'{"case": "patient001_frame01", "model": "zzz", "structure": 1}',
        b'{"case": "patient001_frame01", "model": "missing", "structure": "x"}',
        b'{"case": "patient001_frame01", "model": "missing"}',
        b'{"case": "patient001_frame01", "model": "erosion", "structure": 1, "distance_mm": "x", "axis": []}',
        b"[" * 100_000,
        b"\x00",
        b"\xff\xfe\xff",
    ],
    ids=lambda line: line[:60].decode(errors="replace"),
)
def test_a_manifest_that_is_none_is_named(line: bytes, acdc: Path, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_bytes(line + b"\n")
    with pytest.raises(ValueError, match=r"m\.jsonl(, line 1|, case 'patient001_frame01')?: ."):
        copy_with_noise(acdc, tmp_path / "copy", manifest=tmp_path / "m.jsonl")
    assert not (tmp_path / "copy").exists()


def test_broken_label_leaves_no_half_copy(acdc: Path, tmp_path: Path) -> None:
    write_nifti(acdc / "patient004" / "patient004_frame09_gt.nii.gz", tiny_label() * np.float32(0.5))
    with pytest.raises(ValueError, match=r"patient004_frame09_gt\.nii\.gz: holds 0\.5, which is no whole number"):
        copy_with_noise(acdc, tmp_path / "copy", rate=1.0)
    assert files_below(tmp_path) == sorted(["acdc", *(f"acdc/{f}" for f in files_below(acdc))])


@pytest.mark.parametrize("content", [b"no image", b"\x1f\x8b", b""])
def test_unreadable_label_is_named(tmp_path: Path, content: bytes) -> None:
    source = decathlon(tmp_path / "source", 2)
    (source / "labelsTr" / "case_1.nii.gz").write_bytes(content)
    with pytest.raises(ValueError, match=r"case_1\.nii\.gz: (cannot be read|is )"):
        copy_with_noise(source, tmp_path / "copy", rate=1.0)


def test_two_label_folders_or_files_of_one_name_are_refused(tmp_path: Path) -> None:
    source = decathlon(tmp_path / "source", 2)
    write_nifti(source / "labelsTr" / "case_1.nii", tiny_label())
    with pytest.raises(ValueError, match=r"case_1\.nii\.gz: is of the same case as case_1\.nii; keep one of them"):
        copy_with_noise(source, tmp_path / "copy")
    (source / "labels").mkdir()
    with pytest.raises(ValueError, match="has labelsTr and labels: say which with --labels"):
        copy_with_noise(source, tmp_path / "copy")


@pytest.mark.slow
def test_command(acdc: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "monai_selfcleanse.noise", str(acdc), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)

    done = run(str(tmp_path / "copy"), "--preset", "boundary", "--rate", "0.5", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert "4 of 8 labels are noisy (2 patients)" in done.stdout
    assert "erosion" in done.stdout
    assert "8/8" in done.stderr
    again = run(str(tmp_path / "copy"))
    assert again.returncode == 1
    assert again.stderr.strip().splitlines()[-1].startswith("error:")
    assert "exists already" in again.stderr
    assert "Traceback" not in again.stderr
