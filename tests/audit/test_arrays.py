"""The front door: labels and predictions as arrays, judged as in every other way in."""

from __future__ import annotations

import csv
import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import read_nifti, tiny_label, write_nifti
from monai.data import MetaTensor

from monai_selfcleanse import judge_labels
from monai_selfcleanse.audit import FolderPredictions, LabelledCase, audit_labels
from monai_selfcleanse.core import Judgement, LabelJudge
from monai_selfcleanse.results import read_record

AFFINE = np.array([[0.0, -1.5, 0.0, 4.0], [1.5, 0.0, 0.0, -7.0], [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
NAMES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}


def truth_of(i: int) -> np.ndarray:
    return tiny_label(i % 8)


def given_of(i: int) -> np.ndarray:
    """The truth, but that case 3 lacks structure 2 and case 7 has too much of structure 1."""
    given = truth_of(i)
    if i == 3:
        given[given == 2] = 0
    elif i == 7:
        given[:5, :, :3][given[:5, :, :3] == 0] = 1
    return given


def probabilities_of(i: int) -> np.ndarray:
    return (np.moveaxis(np.eye(4)[truth_of(i)], -1, 0) * 0.96 + 0.01).astype(np.float32)


def image_of(i: int) -> np.ndarray:
    return np.random.default_rng(i).integers(0, 200, (12, 12, 4)).astype(np.int16)


def cases(n: int = 14, spacing: Any = (1.5, 1.5, 10.0)) -> list[LabelledCase]:
    return [LabelledCase(f"case_{i:02d}", given_of(i), probabilities_of(i), spacing) for i in range(n)]


def found(judgement: Any) -> list[tuple[str, str, str]]:
    return [(row["case"], row["structure_name"], row["reason"]) for row in judgement.suspects()]


def assert_same(one: Judgement, other: Judgement) -> None:
    assert (one.cases, one.names) == (other.cases, other.names)
    np.testing.assert_array_equal(one.suspected, other.suspected)
    np.testing.assert_array_equal(one.redrawn, other.redrawn)
    np.testing.assert_allclose(one.clean_probability, other.clean_probability, rtol=1e-5)
    for name, values in one.evidence.items():
        np.testing.assert_allclose(values, other.evidence[name], rtol=1e-5, err_msg=name)


WRONG = {("case_03", "myocardium", "missing"), ("case_07", "right ventricle", "over-drawn")}


def test_planted_culprits_are_found_and_redrawn() -> None:
    judgement = judge_labels(cases(), NAMES)
    assert set(found(judgement)) == WRONG
    np.testing.assert_array_equal(judgement.cleansed_label("case_03"), truth_of(3))
    np.testing.assert_array_equal(judgement.cleansed_label("case_00"), given_of(0))


@pytest.mark.parametrize("kind", ["probabilities", "segmentations"])
def test_what_a_network_sees_elsewhere_is_no_evidence_and_nowhere_redrawn(kind: str, tmp_path: Path) -> None:
    """In cases 3, whose structure 2 is redrawn, and 5, whose label is right, it sees structure 2 a second time."""

    def predicted_of(i: int) -> np.ndarray:
        predicted = truth_of(i)
        if i in (3, 5):
            assert not truth_of(i)[4:, :3].any()
            predicted[4:, :3] = 2
        return predicted

    arrays = []
    for i, case in enumerate(cases(spacing=AFFINE)):
        p = (np.moveaxis(np.eye(4)[predicted_of(i)], -1, 0) * 0.96 + 0.01).astype(np.float32)
        arrays.append(case._replace(predicted=p if kind == "probabilities" else predicted_of(i)))
    judgement = judge_labels(arrays, NAMES, directory=tmp_path / "kept")
    assert {(case, name) for case, name, _ in found(judgement)} == {(case, name) for case, name, _ in WRONG}
    np.testing.assert_array_equal(judgement.cleansed_label("case_03"), truth_of(3))
    judgement.write_report(tmp_path / "out")
    np.testing.assert_array_equal(read_nifti(tmp_path / "out" / "cleansed_labels" / "case_03.nii.gz"), truth_of(3))
    run = read_record(tmp_path / "out")
    np.testing.assert_array_equal(run.read_seen("case_05").predicted, truth_of(5))
    np.testing.assert_array_equal(run.store.read_seen("case_05").predicted, predicted_of(5))


def test_segmentations_do_as_well() -> None:
    judgement = judge_labels([case._replace(predicted=truth_of(i)) for i, case in enumerate(cases())], NAMES)
    assert {(case, name) for case, name, _ in found(judgement)} == {(case, name) for case, name, _ in WRONG}


def test_the_judgement_is_that_of_an_audit_of_the_same_files(tmp_path: Path) -> None:
    data = []
    for i in range(14):
        label = write_nifti(tmp_path / "labels" / f"case_{i:02d}.nii.gz", given_of(i), AFFINE)
        write_nifti(tmp_path / "predictions" / label.name, truth_of(i).astype(np.uint8), AFFINE)
        image = write_nifti(tmp_path / "images" / label.name, image_of(i), AFFINE)
        data.append({"case": f"case_{i:02d}", "image": str(image), "label": str(label), "file": label.name})
    source = FolderPredictions(tmp_path / "predictions", NAMES)
    audit = audit_labels(data, source, LabelJudge(NAMES), tmp_path / "store", tmp_path / "audit")
    arrays = [LabelledCase(item["case"], given_of(i), truth_of(i), AFFINE, image_of(i)) for i, item in enumerate(data)]
    judgement = judge_labels(arrays, NAMES)
    assert_same(judgement, audit)
    judgement.write_report(tmp_path / "out")
    for name in ("label_report.csv", "slices.csv"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "audit" / name).read_text()
    for item in data:
        one, other = (tmp_path / folder / "cleansed_labels" / item["file"] for folder in ("out", "audit"))
        np.testing.assert_array_equal(read_nifti(one), read_nifti(other))
        np.testing.assert_allclose(nib.load(one).affine, AFFINE)


def as_meta(array: np.ndarray) -> MetaTensor:
    return MetaTensor(torch.as_tensor(array), affine=torch.as_tensor(AFFINE))


@pytest.mark.parametrize(
    "convert",
    [
        lambda c: c._replace(given=torch.as_tensor(c.given), predicted=torch.as_tensor(c.predicted)),
        lambda c: c._replace(given=as_meta(c.given[None]), predicted=as_meta(c.predicted), spacing=None),
        lambda c: c._replace(predicted=torch.as_tensor(c.predicted, dtype=torch.float64)),
        lambda c: c._replace(given=c.given.astype(np.float32)),
        lambda c: tuple(c)[:4],
        lambda c: c._replace(spacing=AFFINE),
    ],
    ids=["torch", "MetaTensor", "float64", "float label", "tuple", "affine"],
)
def test_every_kind_of_array_gives_one_judgement(convert: Any) -> None:
    plain, other = judge_labels(cases(), NAMES), judge_labels(map(convert, cases()), NAMES)
    assert_same(plain, other)


def test_names_are_optional() -> None:
    by_probability = judge_labels(cases())
    by_segmentation = judge_labels([case._replace(predicted=truth_of(i)) for i, case in enumerate(cases())])
    for judgement in (by_probability, by_segmentation):
        assert judgement.names == ("structure 1", "structure 2", "structure 3")
        assert {(case, name) for case, name, _ in found(judgement)} == {
            ("case_03", "structure 2"),
            ("case_07", "structure 1"),
        }


def test_a_structure_that_only_late_cases_have_does_not_matter_to_the_others() -> None:
    late = [
        (f"c{i:02d}", *(np.where(a == 3, 0, a) if i < 6 else a for a in (given_of(i), truth_of(i)))) for i in range(14)
    ]
    judgement = judge_labels(late)
    assert judgement.names == ("structure 1", "structure 2", "structure 3")
    assert np.isnan(judgement.evidence["score"][:6, 2]).all()
    assert not np.isnan(judgement.evidence["score"][6:, 2]).any()


def test_images_are_slices_too() -> None:
    flat = [(case.case, case.given[..., 1], case.predicted[..., 1], (1.5, 1.5)) for case in cases()]
    assert {(case, name) for case, name, _ in found(judge_labels(flat, NAMES))} == {
        ("case_03", "myocardium"),
        ("case_07", "right ventricle"),
    }


def test_one_case_is_in_memory_at_a_time() -> None:
    alive: list[weakref.ref] = []

    def stream() -> Iterator[LabelledCase]:
        for i in range(14):
            case = LabelledCase(f"case_{i:02d}", given_of(i), probabilities_of(i))
            gc.collect()
            assert sum(ref() is not None for ref in alive) <= 1
            alive.append(weakref.ref(case.predicted))
            yield case
            del case

    assert len(judge_labels(stream(), NAMES).cases) == 14


def test_report_has_pictures_where_images_are_given(tmp_path: Path) -> None:
    page = judge_labels(cases(), NAMES).write_report(tmp_path / "plain")
    assert page == tmp_path / "plain" / "report.html"
    assert '"png":""' in page.read_text()
    assert "cannot be read" not in page.read_text()
    pictured = judge_labels([c._replace(image=image_of(i)) for i, c in enumerate(cases())], NAMES)
    assert '"png":"iVBOR' in pictured.write_report(tmp_path / "pictured").read_text()


def test_cleansed_labels_are_written_where_a_position_is_known(tmp_path: Path) -> None:
    judge_labels(cases(), NAMES).write_report(tmp_path / "spacing")
    assert not (tmp_path / "spacing" / "cleansed_labels").exists()
    judge_labels(cases(spacing=AFFINE), NAMES).write_report(tmp_path / "affine")
    cleansed = tmp_path / "affine" / "cleansed_labels" / "case_03.nii.gz"
    np.testing.assert_array_equal(read_nifti(cleansed), truth_of(3))
    np.testing.assert_allclose(nib.load(cleansed).affine, AFFINE)


def test_an_earlier_report_is_set_aside(tmp_path: Path) -> None:
    judgement = judge_labels(cases(), NAMES)
    judgement.write_report(tmp_path)
    first = (tmp_path / "label_report.csv").read_text()
    (tmp_path / "label_report.csv").write_text(first + "a note\n")
    judgement.write_report(tmp_path)
    assert (tmp_path / "earlier" / "1" / "label_report.csv").read_text() == first + "a note\n"
    assert (tmp_path / "label_report.csv").read_text() == first
    with open(tmp_path / "label_report.csv") as file:
        assert next(csv.DictReader(file))["case"] in ("case_03", "case_07")


def test_a_folder_of_the_callers_stays(tmp_path: Path) -> None:
    judgement = judge_labels(cases(), NAMES, directory=tmp_path / "kept")
    assert len(list((tmp_path / "kept" / "labels").iterdir())) == 14
    del judgement
    assert (tmp_path / "kept" / "labels").is_dir()


def test_review_and_export_go_on_where_the_arrays_are_kept(tmp_path: Path) -> None:
    judge_labels(cases(spacing=AFFINE), NAMES, directory=tmp_path / "kept").write_report(tmp_path / "out")
    gc.collect()
    run = read_record(tmp_path / "out")
    assert len(run.data) == 14
    assert run.read_seen("case_03").given.shape == truth_of(3).shape
    judge_labels(cases(spacing=AFFINE), NAMES).write_report(tmp_path / "gone")
    with pytest.raises(ValueError, match="judge_labels kept no arrays, for want of a directory"):
        read_record(tmp_path / "gone")


def test_classes_that_are_not_judged_are_background() -> None:
    def two_of_four(i: int, merged: bool) -> LabelledCase:
        given, p = given_of(i), probabilities_of(i)
        given = np.where(given == 2, 0, given)
        p = np.stack([p[0] + p[2], p[1], p[3]]) if merged else p
        return LabelledCase(f"case_{i:02d}", given, p)

    names = {1: "right ventricle", 3: "left ventricle"}
    one, other = (judge_labels((two_of_four(i, merged) for i in range(14)), names) for merged in (False, True))
    for name, values in one.evidence.items():
        np.testing.assert_allclose(values, other.evidence[name], atol=1e-6, err_msg=name)
    assert found(one) == found(other)


def test_partial_labels_have_no_missing_structure() -> None:
    assert ("case_03", "myocardium", "missing") not in found(judge_labels(cases(), NAMES, partial_labels=True))


ONE = LabelledCase("one", given_of(0), probabilities_of(0))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([], "there is no case"),
        ([ONE, ONE], "case 'one' occurs twice"),
        ([ONE, ("two", given_of(1), truth_of(1))], "case 'two' comes with segmentations, those before it with class"),
        ([ONE._replace(predicted=np.zeros((4, 3, 3, 3)))], "case 'one': the prediction has the shape"),
        ([ONE._replace(given=np.zeros(7))], r"case 'one': the given label has the shape \(7,\)"),
        ([ONE._replace(given=given_of(0) * 0.5)], "case 'one', given label: expected whole numbers"),
        ([ONE._replace(given=given_of(0) * 7)], r"case 'one', given label: holds the values \[7, 14, 21\]"),
        ([ONE._replace(predicted=probabilities_of(0) * 5)], "case 'one': the prediction must hold class probabilities"),
        ([ONE._replace(predicted=probabilities_of(0)[:2])], r"case 'one': .*(too few|holds the values)"),
        ([ONE._replace(spacing=(1.0, 1.0))], "case 'one': the spacing must be 3 positive numbers"),
        ([ONE._replace(spacing=(1.0, 1.0, -2.0))], "case 'one': the spacing must be 3 positive numbers"),
        ([ONE._replace(spacing=np.zeros((4, 4)))], "case 'one': the spacing must be"),
        ([ONE._replace(image=np.zeros((3, 3, 3)))], "case 'one': the image has the shape"),
        ([ONE._replace(case="../one")], "'../one'.*must be a path within"),
    ],
)
def test_bad_input_is_named(bad: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judge_labels(bad, NAMES)


def test_an_unknown_case_has_no_cleansed_label() -> None:
    with pytest.raises(KeyError, match="no case 'x'"):
        judge_labels(cases(), NAMES).cleansed_label("x")


def test_a_folder_that_is_used_again_keeps_every_earlier_case_its_own_label(tmp_path: Path) -> None:
    judge_labels(cases()[1:], NAMES, directory=tmp_path / "kept").write_report(tmp_path / "out")
    judge_labels(cases(), NAMES, directory=tmp_path / "kept")
    for item in read_record(tmp_path / "out").data:
        i = int(item["case"].removeprefix("case_"))
        np.testing.assert_array_equal(read_nifti(item["label"]), given_of(i))
