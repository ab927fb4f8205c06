"""The raw nnU-Net data set, read back by our own reader and by hand."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from helpers import (
    AFFINE,
    NAMES,
    Judged,
    doubtful,
    files_below,
    judged_cohort,
    judgement_of,
    read_nifti,
    tiny_label,
    write_nifti,
)

from monai_selfcleanse.cases.seen import Redrawing
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.data import check_cases, find_cases
from monai_selfcleanse.results import JudgedLabels, write_nnunet_dataset, write_nnunet_labels
from monai_selfcleanse.results.nnunet import nnunet_names


def unsuspected(names: dict[int, str]) -> Judgement:
    """No label of these structures is suspected."""
    return judgement_of("abcdef", names, np.ones((6, len(names))), np.zeros((6, len(names)), bool))


def export(judged: Judged, folder: Path, **options: Any) -> dict[str, Any]:
    write_nnunet_dataset(folder, *judged, {"epoch": 7}, **options)
    return json.loads((folder / "dataset.json").read_text())


def test_our_reader_finds_the_cleansed_cases_again(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data", ids=("a", "b c", "b_c", "B_C", "<e>", "f"))
    out = tmp_path / "Dataset501_Cleansed"
    dataset = export(judged, out, channel_names=["MR"])
    assert dataset == {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3},
        "numTraining": 6,
        "file_ending": ".nii.gz",
    }
    cases, problems = find_cases(out)
    assert problems == []
    check_cases(cases, (1, 2, 3), ndim=3)
    case_of = json.loads((out / "provenance.json").read_text())["case_of"]
    assert sorted(case_of.values()) == sorted(item["case"] for item in judged.data)
    assert {case["case"] for case in cases} == set(case_of)
    given = {item["case"]: item for item in judged.data}
    for case in cases:
        source = given[case_of[case["case"]]]
        np.testing.assert_array_equal(read_nifti(case["image"]), read_nifti(source["image"]))
        same = np.array_equal(read_nifti(case["label"]), read_nifti(source["label"]))
        assert same == (source["case"] not in ("a", "b c"))
    provenance = json.loads((out / "provenance.json").read_text())
    assert provenance["epoch"] == 7
    assert provenance["cases"]["a"]["right ventricle"]["suspected"] is True


def test_ignore_is_the_highest_label_where_neither_can_be_trusted(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    plain, marked = tmp_path / "Dataset501_Plain", tmp_path / "Dataset502_Ignore"
    export(judged, plain)
    assert export(judged, marked, ignore=True)["labels"]["ignore"] == 4
    label, without = (read_nifti(folder / "labelsTr" / "a.nii.gz") for folder in (marked, plain))
    ignored = label == 4
    expected = np.zeros((12, 12, 4), bool)
    expected[3, 0:4, :3] = True  # the missing structure's last row, of which the network is unsure
    np.testing.assert_array_equal(ignored, expected)
    np.testing.assert_array_equal(label[~ignored], without[~ignored])
    assert not (read_nifti(marked / "labelsTr" / "f.nii.gz") == 4).any()  # no suspect, though as unsure there


def test_where_a_drawing_is_unsure_nobody_is_trusted_though_it_decides(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    drawn = tiny_label(0)
    confidence = np.full(drawn.shape, 0.97)
    confidence[2] = 0.5
    judged.store.write_drawn("a", Redrawing(drawn, confidence))
    plain, marked = tmp_path / "Dataset501_Plain", tmp_path / "Dataset502_Ignore"
    export(judged, plain)
    export(judged, marked, ignore=True)
    label, without = (read_nifti(folder / "labelsTr" / "a.nii.gz") for folder in (marked, plain))
    unsure = np.zeros(drawn.shape, bool)
    unsure[2] = drawn[2] == 1
    assert unsure.any()
    np.testing.assert_array_equal(without[:, :, :3] == 1, drawn[:, :, :3] == 1)
    np.testing.assert_array_equal(label == 4, unsure)


@pytest.mark.parametrize("is_drawn", [False, True])
def test_what_is_redrawn_within_a_suspect_that_is_not_is_kept(is_drawn: bool, tmp_path: Path) -> None:
    """Structure 2 was missed inside structure 1, which is suspected, too, and not redrawn."""
    given, predicted = np.zeros((12, 12, 4), np.uint8), np.zeros((12, 12, 4), np.uint8)
    given[2:10, 2:10], predicted[2:9, 2:10] = 1, 1
    predicted[4:7, 4:7] = 2
    case = {"case": "a", "file": "labelsTr/a.nii.gz"}
    case["image"] = str(write_nifti(tmp_path / "imagesTr" / "a.nii.gz", given.astype(np.float32)))
    case["label"] = str(write_nifti(tmp_path / "labelsTr" / "a.nii.gz", given))
    store = CaseStore(tmp_path / "store")
    store.write_seen("a", given, np.moveaxis(np.eye(3)[predicted], -1, 0), AFFINE)
    if is_drawn:  # of structure 1 as it was given
        store.write_drawn("a", Redrawing(np.where(predicted == 2, 2, given), np.full(given.shape, 0.9)))
    names = {1: "liver", 2: "tumour"}
    seen = np.array([[0.0, 1.0]])  # only of structure 2, so that it alone is redrawn
    judgement = judgement_of(["a"], names, np.zeros((1, 2)), np.ones((1, 2), bool), predicted_ml=seen)
    out = tmp_path / "Dataset501_Mine"
    write_nnunet_dataset(out, judgement, [case], store, {}, ignore=True)
    label = read_nifti(out / "labelsTr" / "a.nii.gz")
    np.testing.assert_array_equal(label == 2, predicted == 2)
    np.testing.assert_array_equal(label == 3, (given == 1) & (predicted == 0))


def test_all_that_is_disputed_of_a_suspect_that_is_not_redrawn_is_ignored(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    judged = judged._replace(judgement=doubtful(judged.judgement))
    out = tmp_path / "Dataset501_Mine"
    write_nnunet_dataset(out, *judged, {}, ignore=True)
    label = read_nifti(out / "labelsTr" / "a.nii.gz")
    expected = np.zeros((12, 12, 4), bool)
    expected[:4, 0:4, :3] = True  # the missing structure
    np.testing.assert_array_equal(label == 4, expected)


def test_labels_with_gaps_are_numbered_anew(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    for item in judged.data:
        label = read_nifti(item["label"])
        write_nifti(Path(item["label"]), np.where(label == 2, 0, label).astype(np.uint8))
    names, out = {1: "one", 3: "three"}, tmp_path / "Dataset501_Gap"
    write_nnunet_dataset(out, unsuspected(names), judged.data, judged.store, {})
    assert json.loads((out / "dataset.json").read_text())["labels"] == {"background": 0, "one": 1, "three": 2}
    np.testing.assert_array_equal(
        read_nifti(out / "labelsTr" / "f.nii.gz") == 2, read_nifti(judged.data[5]["label"]) == 3
    )


def test_channels_become_files_whether_they_came_in_one_or_in_several(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    for i, item in enumerate(judged.data):
        first = read_nifti(item["image"])
        if i % 2:
            path = tmp_path / "data" / f"both{i}.nii.gz"
            write_nifti(path, np.stack([first, first + 1], -1), AFFINE)
            item["image"] = str(path)
        else:
            second = write_nifti(tmp_path / "data" / f"second{i}.nii", first + 1, AFFINE)
            item["image"] = [item["image"], str(second)]
    out = tmp_path / "Dataset501_Two"
    assert export(judged, out, channel_names=["T1", "T2"])["channel_names"] == {"0": "T1", "1": "T2"}
    for name in "abcdef":
        first, second = (nib.load(out / "imagesTr" / f"{name}_{i:04d}.nii.gz") for i in (0, 1))
        assert first.shape == second.shape == (12, 12, 4)
        np.testing.assert_array_equal(np.asarray(second.dataobj), np.asarray(first.dataobj) + 1)
        np.testing.assert_array_equal(second.affine, nib.load(out / "labelsTr" / f"{name}.nii.gz").affine)
    judged.data[3]["image"] = judged.data[2]["image"][0]
    with pytest.raises(ValueError, match=r"case 'd'.*1 channels, those before it 2"):
        export(judged, tmp_path / "Dataset502_Three")
    assert not (tmp_path / "Dataset502_Three").exists()


def test_images_are_copies_and_packed_where_endings_differ(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    plain = Path(judged.data[0]["image"].removesuffix(".gz"))
    plain.write_bytes(gzip.decompress(Path(judged.data[0]["image"]).read_bytes()))
    judged.data[0]["image"] = str(plain)
    original = Path(judged.data[1]["image"])
    before, out = original.read_bytes(), tmp_path / "Dataset501_Copied"
    export(judged, out)
    assert gzip.decompress((out / "imagesTr" / "a_0000.nii.gz").read_bytes()) == plain.read_bytes()
    with open(out / "imagesTr" / "b_0000.nii.gz", "r+b") as copy:
        assert copy.read() == before
        copy.write(b"edited")
    assert original.read_bytes() == before


def test_names_are_legal_unique_and_never_a_channel_of_another() -> None:
    cases = ["BRATS_0001", "BRATS", "A b", "A_b", "a_B", "a.b", "../x", "é", "", "plain-name_2", "x_0001", "x"]
    names = nnunet_names(cases)
    assert list(names) == cases
    assert names["BRATS_0001"] == "BRATS_0001"
    assert names["plain-name_2"] == "plain-name_2"
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names.values())
    low = [name.lower() for name in names.values()]
    assert len(set(low)) == len(low)
    assert not {f"{name}_0001" for name in low} & set(low)


@pytest.mark.parametrize(
    ("folder", "names", "message"),
    [
        ("cleansed", NAMES, "DatasetNNN_Name"),
        ("Dataset1_Mine", NAMES, "DatasetNNN_Name"),
        ("Dataset501_Mine", {1: "heart", 2: "heart", 3: "lung"}, "names of their own"),
        ("Dataset501_Mine", {1: "heart", 2: "ignore", 3: "lung"}, "names of their own"),
        ("Dataset501_Mine", {1: "heart", 2: "lung"}, r"0\.nii\.gz: holds the values \[3\]"),
    ],
)
def test_what_nnunet_would_not_take_is_refused(
    folder: str, names: dict[int, str], message: str, tmp_path: Path
) -> None:
    judged = judged_cohort(tmp_path / "data")
    with pytest.raises(ValueError, match=message):
        write_nnunet_dataset(tmp_path / folder, unsuspected(names), judged.data, judged.store, {})
    assert files_below(tmp_path)[0] == "data"
    assert not (tmp_path / folder).exists()


def test_an_image_of_another_shape_is_named(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    write_nifti(Path(judged.data[2]["image"]), np.zeros((5, 6, 7), np.int16))
    with pytest.raises(ValueError, match=r"2\.nii\.gz: has shape 5 x 6 x 7, .*2\.nii\.gz 12 x 12 x 4"):
        export(judged, tmp_path / "Dataset501_Mine")


def test_all_images_that_nnunet_could_not_train_on_are_named_at_once(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    images = [Path(item["image"]) for item in judged.data]
    spoilt = {1: np.nan, 2: -np.inf, 3: 1e300}
    for i, value in spoilt.items():
        voxels = read_nifti(images[i]).astype(np.float64 if i == 3 else np.float32)
        voxels[0, :i, 0] = value
        write_nifti(images[i], voxels)
    images[4].write_bytes(images[4].read_bytes()[:-40])  # whole numbers, of which a copy would read none
    images[5].write_bytes(b"")
    second = write_nifti(tmp_path / "second.nii.gz", np.full((12, 12, 4), np.nan, np.float32))
    judged.data[0]["image"] = [str(images[0]), str(second)]
    for num_workers in (0, 2):
        with pytest.raises(ValueError, match=r"^6 images cannot be exported .*selfcleanse doctor.*leave-out") as caught:
            write_nnunet_labels(
                tmp_path / "raw" / "Dataset501_Mine", JudgedLabels.in_store(*judged, {}), num_workers=num_workers
            )
        lines = str(caught.value).splitlines()[1:]
        for line, path in zip(lines, [second, *images[1:]], strict=True):
            assert line.startswith(f"  {path}: ")
        assert [line.split(": ")[1] for line in lines[1:4]] == [
            f"has {n} voxel{'s that are' if n > 1 else ' that is'} NaN, infinite, or too large for 32-bit floats"
            for n in spoilt
        ]
        assert "is damaged, and cannot be read whole" in lines[4]
        assert lines[5].endswith("is empty")
    assert not (tmp_path / "raw").exists()


def test_of_many_such_images_twenty_are_named(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data", ids=[f"c{i}" for i in range(23)])
    for item in judged.data:
        Path(item["image"]).write_bytes(b"")
    with pytest.raises(ValueError, match=r"^23 images cannot be exported") as caught:
        export(judged, tmp_path / "Dataset501_Mine")
    lines = str(caught.value).splitlines()
    assert (len(lines), lines[-1]) == (22, "  ... and 3 more")


def test_a_data_set_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    out = tmp_path / "Dataset501_Mine"
    (out / "imagesTr").mkdir(parents=True)
    (out / "imagesTr" / "x_0000.nii.gz").write_text("precious")
    with pytest.raises(ValueError, match="in the way"):
        export(judged, out)
    assert (out / "imagesTr" / "x_0000.nii.gz").read_text() == "precious"


def test_a_data_set_of_ours_that_was_judged_again_is_not_replaced_by_itself(tmp_path: Path) -> None:
    judged, out = judged_cohort(tmp_path / "data"), tmp_path / "Dataset501_Mine"
    export(judged, out)
    again = [{**item, "image": str(out / "imagesTr" / f"{item['case']}_0000.nii.gz")} for item in judged.data]
    with pytest.raises(ValueError, match=r"a_0000\.nii\.gz lies in .*, which would be replaced: give another folder"):
        export(judged._replace(data=again), out)
    assert len(list((out / "imagesTr").iterdir())) == 6
