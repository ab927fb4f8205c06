"""Audits of small data sets with planted culprits: by a network, by segmentations, by nnU-Net's probabilities; broken
off, disturbed, and on two processes."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from audits import CONFIGS, OPTIONS, TESTS, reasons, rows_of, run_audit
from helpers import AFFINE, IntensityNet, files_below, read_nifti, refused, write_nifti, write_spoilt
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer, SlidingWindowInferer
from monai.transforms import Compose

from monai_selfcleanse.audit import FolderPredictions, LoadedCase, NetworkPredictions, audit_labels
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.prediction import Prediction
from monai_selfcleanse.data import find_cases, write_phantom

NAMES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}


FILES = ("label_report.csv", "slices.csv", "report.html")


CULPRITS = {("case_03", "2"): "missing", ("case_07", "1"): "over-drawn"}


def tables(output: Path) -> dict[str, bytes]:
    labels = {str(p.relative_to(output)): p.read_bytes() for p in (output / "cleansed_labels").rglob("*.nii.gz")}
    return {name: (output / name).read_bytes() for name in ("label_report.csv", "slices.csv")} | labels


def probabilities_of(dataset: Path, case: str) -> np.ndarray:
    image = torch.as_tensor(read_nifti(dataset / "imagesTr" / f"{case}.nii.gz"))[None, None]
    with torch.no_grad():
        return IntensityNet()(image).softmax(1)[0].numpy()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audited") / "data"
    write_spoilt(root)
    return root


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.save(IntensityNet().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def nnunet(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a cross-validation of nnU-Net leaves behind, segmentations and probabilities."""
    root = tmp_path_factory.mktemp("results") / "nnUNetTrainer__nnUNetPlans__2d"
    for i, image in enumerate(sorted((dataset / "imagesTr").iterdir())):
        case = image.name.removesuffix(".nii.gz")
        probabilities = probabilities_of(dataset, case)
        folder = root / f"fold_{i % 5}" / "validation"
        write_nifti(folder / f"{case}.nii.gz", probabilities.argmax(0).astype(np.uint8))
        np.savez_compressed(folder / f"{case}.npz", probabilities=probabilities.transpose(0, 3, 2, 1))
        (folder / f"{case}.pkl").write_bytes(b"not read")
    return root


@pytest.fixture(scope="module")
def segmentations(nnunet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("segmentations")
    for path in nnunet.rglob("*.nii.gz"):
        shutil.copy(path, root)
    return root


@pytest.fixture(scope="module")
def audited(dataset: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished audit by the network."""
    output = tmp_path_factory.mktemp("audit") / "out"
    before = {p: p.read_bytes() for p in dataset.rglob("*.nii.gz")}
    run_audit(dataset, output, ckpt_path=str(weights))
    assert {p: p.read_bytes() for p in dataset.rglob("*.nii.gz")} == before
    return output


def test_planted_culprits_are_found_by_the_network_with_reason_and_place(audited: Path) -> None:
    assert reasons(audited) == CULPRITS
    rows = rows_of(audited)
    assert len(rows) == 14 * 3
    assert {(r["case"], r["structure"]) for r in rows[:2]} == set(CULPRITS)
    places = {(r["case"], r["slice"]) for r in rows_of(audited, "slices.csv")}
    assert places == {("case_03", z) for z in "0123"} | {("case_07", z) for z in "012"}
    page = (audited / "report.html").read_text(encoding="utf-8")
    assert page.count('id="pictures-') == 2
    assert "model.pt" in page


def test_cleansed_labels_are_the_truth_where_the_label_was_wrong(audited: Path, dataset: Path, tmp_path: Path) -> None:
    truths = write_spoilt(tmp_path)
    for case, truth in truths.items():
        np.testing.assert_array_equal(read_nifti(audited / "cleansed_labels" / "labelsTr" / f"{case}.nii.gz"), truth)


def test_probabilities_of_nnunet_say_what_the_network_says(
    audited: Path, dataset: Path, nnunet: Path, tmp_path: Path
) -> None:
    run_audit(dataset, tmp_path, predictions_dir=str(nnunet))
    assert tables(tmp_path) == tables(audited)
    assert "class probabilities" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_suspect_that_the_network_draws_with_doubts_is_reported_and_left_as_it_is(
    dataset: Path, nnunet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(nnunet, tmp_path / "results")
    (path,) = (tmp_path / "results").rglob("case_03.npz")
    with np.load(path) as stored:
        probabilities = stored["probabilities"]
    probabilities[[0, 2]] += 0.4 * np.stack([probabilities[2], -probabilities[2]])
    np.savez_compressed(path, probabilities=probabilities)
    with caplog.at_level("INFO"):
        run_audit(dataset, tmp_path / "out", predictions_dir=str(tmp_path / "results"))
    assert reasons(tmp_path / "out") == CULPRITS
    redrawn = {(r["case"], r["structure"]): r["redrawn"] for r in rows_of(tmp_path / "out")}
    assert [key for key, mark in redrawn.items() if mark == "1"] == [("case_07", "1")]
    assert re.search(r"labels redrawn +1 of the 2 suspected\n", caplog.text)
    cleansed, name = tmp_path / "out" / "cleansed_labels", "labelsTr/case_03.nii.gz"
    assert (cleansed / name).read_bytes() == (dataset / name).read_bytes()
    judged = json.loads((cleansed / "provenance.json").read_text())["cases"]["case_03"]["myocardium"]
    assert (judged["suspected"], judged["redrawn"]) == (True, False)
    assert "It is not redrawn" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_softmax_of_nnunets_first_version_is_read(dataset: Path, nnunet: Path, audited: Path, tmp_path: Path) -> None:
    shutil.copytree(nnunet, tmp_path / "results")
    for path in (tmp_path / "results").rglob("*.npz"):
        with np.load(path) as stored:
            np.savez_compressed(path, softmax=stored["probabilities"])
    judgement(dataset, tmp_path / "results", tmp_path / "out")
    assert tables(tmp_path / "out") == tables(audited)


def test_segmentations_find_the_same_culprits_and_are_taken_at_their_word(
    dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    run_audit(dataset, tmp_path / "out", predictions_dir=str(segmentations))
    assert reasons(tmp_path / "out") == CULPRITS
    truths = write_spoilt(tmp_path / "again")
    for case, truth in truths.items():
        cleansed = read_nifti(tmp_path / "out" / "cleansed_labels" / "labelsTr" / f"{case}.nii.gz")
        np.testing.assert_array_equal(cleansed, truth)


def test_of_bare_segmentations_small_structures_are_redrawn_as_well(
    dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    """A missing structure of few voxels: the doubt that is assumed of borders is much of it."""
    shutil.copytree(segmentations, tmp_path / "results")
    (path,) = (tmp_path / "results").rglob("case_03.nii.gz")
    predicted = read_nifti(path)
    small = np.zeros(predicted.shape, bool)
    small[tuple(slice(n // 2, n // 2 + 2) for n in predicted.shape)] = True
    write_nifti(path, np.where(small, 2, np.where(predicted == 2, 0, predicted)).astype(np.uint8))
    run_audit(dataset, tmp_path / "out", predictions_dir=str(tmp_path / "results"))
    row = next(r for r in rows_of(tmp_path / "out") if (r["case"], r["structure"]) == ("case_03", "2"))
    trusted = [float(r["expected_dice"]) for r in rows_of(tmp_path / "out") if r["structure"] == "2"]
    assert float(row["expected_dice"]) < np.median(trusted) - 0.1
    assert (row["suspected"], row["redrawn"]) == ("1", "1")


@pytest.mark.slow
def test_a_clean_data_set_looks_clean_by_segmentations(tmp_path: Path) -> None:
    """In ACDC's layout, with the names that inference.json gives to segmentations."""
    write_phantom(tmp_path / "data", n_patients=7)
    for label in (tmp_path / "data").glob("*/*_gt.nii.gz"):
        folder = tmp_path / "segmentations" / label.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(label, folder / label.name.replace("_gt", ""))
    found = judgement(tmp_path / "data", tmp_path / "segmentations", tmp_path / "out")
    assert len(found.cases) == 14
    assert {d.verdict for d in found.decisions} == {"clean"}
    assert "The labels look clean." in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_too_few_cases_leave_a_report_that_says_so(segmentations: Path, tmp_path: Path) -> None:
    write_spoilt(tmp_path / "data", 4)
    run_audit(tmp_path / "data", tmp_path / "out", predictions_dir=str(segmentations))
    assert reasons(tmp_path / "out") == {}
    assert "The labels could not be judged." in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


class Counting(FolderPredictions):
    """Remembers how many cases it was asked to predict; broken off at one of them if asked to."""

    def __init__(self, directory: Path, break_at: int | None = None) -> None:
        super().__init__(directory, NAMES)
        self.predicted, self.break_at = 0, break_at

    def predict(self, loaded: LoadedCase, judge: LabelJudge) -> tuple[Prediction, np.ndarray | None]:
        if self.predicted == self.break_at:
            raise KeyboardInterrupt
        self.predicted += 1
        return super().predict(loaded, judge)


def judgement(dataset: Path, predictions: Path | FolderPredictions, output: Path, num_workers: int = 0) -> Any:
    cases, problems = find_cases(dataset)
    source = predictions if isinstance(predictions, FolderPredictions) else FolderPredictions(predictions, NAMES)
    return audit_labels(cases, source, LabelJudge(NAMES), str(output / "cases"), output, problems, num_workers)


def test_classes_may_leave_out_a_number(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(segmentations, tmp_path / "predictions")
    for path in [*(tmp_path / "data" / "labelsTr").iterdir(), *(tmp_path / "predictions").iterdir()]:
        voxels = read_nifti(path)
        write_nifti(path, np.where(voxels == 2, 0, voxels).astype(np.uint8), nib.load(path).affine)
    names = {1: NAMES[1], 3: NAMES[3]}
    source = FolderPredictions(tmp_path / "predictions", names)
    cases, _ = find_cases(tmp_path / "data")
    found = audit_labels(cases, source, LabelJudge(names), tmp_path / "seen", tmp_path / "out")
    assert {(row["case"], row["structure"]) for row in found.suspects()} == {("case_07", 1)}


@pytest.mark.parametrize("num_workers", [1, 2, 3, None])
@pytest.mark.parametrize("kind", ["nnunet", "segmentations"])
def test_the_number_of_workers_changes_nothing(
    kind: str, num_workers: int | None, dataset: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    predictions = request.getfixturevalue(kind)
    alone = judgement(dataset, predictions, tmp_path / "alone")
    shared = judgement(dataset, predictions, tmp_path / "shared", num_workers)
    assert shared.cases == alone.cases
    for name, values in alone.evidence.items():
        np.testing.assert_array_equal(shared.evidence[name], values)
    assert tables(tmp_path / "shared") == tables(tmp_path / "alone")
    labels = sorted(
        path.relative_to(tmp_path / "alone") for path in (tmp_path / "alone/cleansed_labels").rglob("*.nii*")
    )
    assert len(labels) == len(alone.cases)
    for path in labels:
        assert (tmp_path / "shared" / path).read_bytes() == (tmp_path / "alone" / path).read_bytes()


def test_workers_take_up_what_an_interrupted_audit_has_left(
    dataset: Path, segmentations: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        judgement(dataset, Counting(segmentations, break_at=5), tmp_path)
    with caplog.at_level("INFO"):
        judgement(dataset, segmentations, tmp_path, num_workers=2)
    assert "5 of 14 cases had been judged before" in caplog.text
    assert reasons(tmp_path) == CULPRITS


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("order", "CF")
def test_probabilities_are_read_however_numpy_writes_them(
    save: Any, dtype: Any, order: Any, dataset: Path, nnunet: Path, tmp_path: Path
) -> None:
    shutil.copytree(nnunet, tmp_path / "results")
    for path in (tmp_path / "results").rglob("*.npz"):
        with np.load(path) as stored:
            save(path, probabilities=np.asarray(stored["probabilities"], dtype, order=order))
    found = judgement(dataset, tmp_path / "results", tmp_path / "out")
    expected = judgement(dataset, nnunet, tmp_path / "plain")
    for name, values in expected.evidence.items():
        np.testing.assert_allclose(found.evidence[name], values, rtol=5e-2 if dtype == np.float16 else 1e-6, atol=1e-3)


def test_probabilities_of_turned_predictions_are_turned_back(dataset: Path, nnunet: Path, tmp_path: Path) -> None:
    expected = judgement(dataset, nnunet, tmp_path / "as they are")
    for i, path in enumerate(sorted(nnunet.rglob("*.nii.gz"))):
        orders = [[(2, 1), (0, -1), (1, 1)], [(0, 1), (1, -1), (2, -1)], [(1, 1), (2, -1), (0, -1)]]
        turn = np.array(orders[i % 3])
        turned = nib.as_closest_canonical(nib.load(path)).as_reoriented(turn)
        with np.load(path.with_name(path.name.replace(".nii.gz", ".npz"))) as stored:
            classes = [nib.Nifti1Image(k.T, nib.load(path).affine) for k in stored["probabilities"]]
        lying = [np.asarray(nib.as_closest_canonical(k).as_reoriented(turn).dataobj).T for k in classes]
        (tmp_path / "turned").mkdir(exist_ok=True)
        nib.save(turned, tmp_path / "turned" / path.name)
        np.savez_compressed(tmp_path / "turned" / path.name.replace(".nii.gz", ".npz"), probabilities=np.stack(lying))
    found = judgement(dataset, tmp_path / "turned", tmp_path / "out")
    assert "class probabilities" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for name, values in expected.evidence.items():
        np.testing.assert_allclose(found.evidence[name], values, rtol=1e-9, atol=1e-12)


def test_a_link_to_a_folder_above_finds_no_prediction_twice(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions" / "fold_0"
    shutil.copytree(segmentations, predictions)
    (predictions / "latest").symlink_to(predictions)
    (predictions / "all").symlink_to(predictions.parent)
    found = judgement(dataset, predictions.parent, tmp_path / "out")
    assert found.cases == judgement(dataset, segmentations, tmp_path / "plain").cases


def test_turned_and_mirrored_predictions_are_turned_back(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    expected = judgement(dataset, segmentations, tmp_path / "as they are")
    for path in segmentations.iterdir():
        turned = nib.as_closest_canonical(nib.load(path)).as_reoriented(np.array([[2, 1], [0, -1], [1, 1]]))
        (tmp_path / "turned").mkdir(exist_ok=True)
        nib.save(turned, tmp_path / "turned" / path.name)
    found = judgement(dataset, tmp_path / "turned", tmp_path / "out")
    for name, values in expected.evidence.items():
        np.testing.assert_array_equal(found.evidence[name], values)


def test_predictions_lie_at_the_labels_path_or_the_images(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    """The patients of some data sets all have files of the same names."""
    for i, path in enumerate(sorted(segmentations.iterdir())):
        name = ("labelsTr", "imagesTr")[i % 2]
        for other in range(2):  # names alone are no help
            folder = tmp_path / "predictions" / (name if other else f"other{i % 3}")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder)
    judgement(dataset, tmp_path / "predictions", tmp_path / "out")
    assert reasons(tmp_path / "out") == CULPRITS


def test_of_nnunets_merged_predictions_and_those_by_fold_one_is_taken(
    dataset: Path, nnunet: Path, audited: Path, tmp_path: Path
) -> None:
    """``nnUNetv2_find_best_configuration`` puts copies without probabilities beside the folds."""
    shutil.copytree(nnunet, tmp_path / "results")
    for path in nnunet.rglob("*.nii.gz"):
        for folder in ("crossval_results_folds_0_1_2_3_4", "crossval_results_folds_0_1_2_3_4/postprocessed"):
            write_nifti(tmp_path / "results" / folder / path.name, read_nifti(path))
    judgement(dataset, tmp_path / "results", tmp_path / "by probabilities")
    assert tables(tmp_path / "by probabilities") == tables(audited)
    judgement(dataset, tmp_path / "results" / "crossval_results_folds_0_1_2_3_4", tmp_path / "out")
    assert reasons(tmp_path / "out") == CULPRITS


def test_predictions_of_a_network_that_has_seen_the_labels_go_last_and_are_warned_of(
    dataset: Path, nnunet: Path, audited: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """nnU-Net's ``fold_all`` predicts what it was trained on; here it has learned every label by heart."""
    shutil.copytree(nnunet, tmp_path / "results")
    learned = tmp_path / "results" / "fold_all" / "validation"
    for label in (dataset / "labelsTr").iterdir():
        write_nifti(learned / label.name, read_nifti(label))
        (npz,) = nnunet.rglob(label.name.replace(".nii.gz", ".npz"))
        shutil.copy(npz, learned)
    judgement(dataset, tmp_path / "results", tmp_path / "out")
    assert tables(tmp_path / "out") == tables(audited)
    assert "lie in fold_all" not in caplog.text
    shutil.rmtree(tmp_path / "results" / "fold_0")
    judgement(dataset, tmp_path / "results", tmp_path / "some")
    assert "3 of 14 predictions lie in fold_all: their network was trained on the very labels" in caplog.text


def test_labels_that_an_earlier_audit_has_left_among_the_predictions_are_none(
    dataset: Path, nnunet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The output folder of the first audit is nnU-Net's folder of results, and what it writes is nearer than folds."""
    results = tmp_path / "results"
    shutil.copytree(nnunet, results / nnunet.name, ignore=shutil.ignore_patterns("*.npz"))
    run_audit(dataset, results, predictions_dir=str(results))
    first = tables(results)
    assert reasons(results) == CULPRITS
    shutil.copytree(results / "cleansed_labels", results / "exported")
    for name in ("corrected_labels", "noisy_labels"):
        shutil.copytree(dataset / "labelsTr", results / name)
    run_audit(dataset, results, predictions_dir=str(results))
    assert (results / "earlier" / "1" / "cleansed_labels").is_dir()
    run_audit(dataset, results, predictions_dir=str(results))
    assert tables(results) == first
    assert "predictions are taken from" not in caplog.text  # there are no others of their names
    with refused(
        r"holds a prediction of none .*but those with labels \(gt_niftis, gt_segmentations, cleansed_labels, edited_"
    ):
        run_audit(dataset, tmp_path / "out", predictions_dir=str(results / "earlier"))


def test_labels_in_the_output_folder_are_no_predictions(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    judgement(dataset, segmentations, tmp_path / "out")
    before = files_below(tmp_path)
    for predictions in ("cleansed_labels", "cleansed_labels/labelsTr", "noisy_labels"):
        if predictions == "noisy_labels":
            (tmp_path / "out" / predictions).symlink_to(tmp_path / "out" / "cleansed_labels")
        with refused(r"predictions_dir '.*' lies in .*_labels, where this package keeps labels: .*; give the folder"):
            run_audit(dataset, tmp_path / "out", predictions_dir=str(tmp_path / "out" / predictions))
    (tmp_path / "out" / "noisy_labels").unlink()
    with pytest.raises(ValueError, match=r"case_00\.nii\.gz lies in .*cleansed_labels', which would be replaced"):
        judgement(dataset, tmp_path / "out" / "cleansed_labels", tmp_path / "out")
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("where", ["data/labelsTr", "data/imagesTr", "predictions/fold_0", "link"])
def test_results_do_not_go_among_files_that_are_read(
    where: str, dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(segmentations, tmp_path / "predictions" / "fold_0")
    (tmp_path / "link").symlink_to(tmp_path / "data" / "labelsTr")
    before = files_below(tmp_path)
    with refused(rf"{where}' is the folder of .*case_00\.nii\.gz: results would lie among .*; give another output_dir"):
        run_audit(tmp_path / "data", tmp_path / where, predictions_dir=str(tmp_path / "predictions"))
    assert files_below(tmp_path) == before


def test_results_may_go_above_and_below_files_that_are_read(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(segmentations, tmp_path / "predictions")
    for where in ("", "data", "data/labelsTr/audit", "predictions/audit"):
        judgement(tmp_path / "data", tmp_path / "predictions", tmp_path / where)
        assert reasons(tmp_path / where) == CULPRITS


def test_a_folder_of_two_networks_is_refused_with_the_remedy(dataset: Path, nnunet: Path, tmp_path: Path) -> None:
    for name in ("nnUNetTrainer__nnUNetPlans__2d", "nnUNetTrainer__nnUNetPlans__3d_fullres"):
        shutil.copytree(nnunet, tmp_path / "Dataset501_Mine" / name)
    with pytest.raises(ValueError, match=r"several predictions of each case, such as .*__2d.* and .*__3d_"):
        judgement(dataset, tmp_path / "Dataset501_Mine", tmp_path / "out")


def test_where_some_probabilities_are_missing_all_are_judged_by_segmentations(
    dataset: Path, nnunet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(nnunet, tmp_path / "results")
    (tmp_path / "results" / "fold_0" / "validation" / "case_00.npz").unlink()
    source = FolderPredictions(tmp_path / "results", NAMES)
    judgement(dataset, source, tmp_path / "out")
    assert source.about["kind"] == "segmentations"
    assert (
        "13 of 14 predictions come with probabilities (.npz) that can be used: all are taken for segmentations"
        in caplog.text
    )


def test_probabilities_of_a_training_by_regions_are_not_used_and_the_warning_says_what_they_are(
    dataset: Path, nnunet: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """nnU-Net's regions overlap, and none of their channels is the background's."""
    shutil.copytree(nnunet, tmp_path / "results")
    for path in (tmp_path / "results").rglob("*.npz"):
        with np.load(path) as stored:
            classes = stored["probabilities"]
        np.savez_compressed(path, probabilities=np.stack([classes[1:].sum(0), classes[2:].sum(0), classes[3]]))
    judgement(dataset, tmp_path / "results", tmp_path / "out")
    for _ in range(2):  # what was judged before is told of again
        assert "(a training by regions has no channel of the background)" in caplog.text
        assert reasons(tmp_path / "out") == CULPRITS
        caplog.clear()
        with caplog.at_level("INFO"):
            judgement(dataset, tmp_path / "results", tmp_path / "out")
    assert "had been judged before" in caplog.text


def test_labels_with_nnunets_ignore_label_are_named_and_not_judged(
    dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    label = tmp_path / "data" / "labelsTr" / "case_05.nii.gz"
    given = read_nifti(label)
    given[0] = 4
    write_nifti(label, given)
    judgement(tmp_path / "data", segmentations, tmp_path / "out")
    (row,) = rows_of(tmp_path / "out", "unreadable.csv")
    assert row["case"] == "case_05"
    assert "holds the values [4]" in row["reason"]
    assert "if it is nnU-Net's ignore label, give these voxels a class, or leave the case out" in row["reason"]
    assert reasons(tmp_path / "out") == CULPRITS


@pytest.fixture
def broken(dataset: Path, segmentations: Path, tmp_path: Path) -> tuple[Path, Path, dict[str, str]]:
    """Data set and predictions, and by case what is to be said of it."""
    data, predictions = tmp_path / "data", tmp_path / "predictions"
    shutil.copytree(dataset, data)
    shutil.copytree(segmentations, predictions)
    label = data / "labelsTr" / "case_00.nii.gz"
    label.write_bytes(label.read_bytes()[:-20])
    write_nifti(data / "labelsTr" / "case_01.nii.gz", read_nifti(dataset / "labelsTr" / "case_01.nii.gz") + 2)
    (predictions / "case_02.nii.gz").unlink()
    write_nifti(predictions / "case_04.nii.gz", np.zeros((12, 12, 5), np.uint8))
    shifted = AFFINE + np.array([[0, 0, 0, 40.0]] + [[0.0] * 4] * 3)
    write_nifti(predictions / "case_05.nii.gz", read_nifti(segmentations / "case_05.nii.gz"), shifted)
    (predictions / "case_06.nii.gz").unlink()
    (predictions / "case_06.nii.gz").symlink_to(data / "labelsTr" / "case_06.nii.gz")
    for folder in ("one", "other"):
        (predictions / folder).mkdir()
        shutil.copy(predictions / "case_08.nii.gz", predictions / folder)
    (predictions / "case_08.nii.gz").unlink()
    write_nifti(data / "imagesTr" / "<script>.nii.gz", np.zeros((2, 2, 2), np.uint8))
    return (
        data,
        predictions,
        {
            "case_00": r"labelsTr/case_00\.nii\.gz: is .*(damaged|unpacked)",
            "case_01": r"labelsTr/case_01\.nii\.gz: holds the values \[4, 5\], which are none of the known",
            "case_02": "no prediction in",
            "case_04": r"case_04\.nii\.gz: has shape 12 x 12 x 5, .*case_04\.nii\.gz 12 x 12 x 4",
            "case_05": r"case_05\.nii\.gz: lies elsewhere than",
            "case_06": "is the label itself",
            "case_08": r"has predictions in .*one/.* and .*other/.*: leave one of them",
            "": r"<script>\.nii\.gz: has no label",
        },
    )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_cannot_be_judged_is_listed_with_reason_and_the_rest_is_judged(
    broken: tuple[Path, Path, dict[str, str]], num_workers: int, tmp_path: Path
) -> None:
    data, predictions, expected = broken
    found = judgement(data, predictions, tmp_path / "out", num_workers)
    listed = {row["case"]: row["reason"] for row in rows_of(tmp_path / "out", "unreadable.csv")}
    assert listed.keys() == expected.keys()
    for case, match in expected.items():
        assert re.search(match, listed[case]), listed[case]
    assert len(found.cases) == 14 - 7
    assert not {r["case"] for r in rows_of(tmp_path / "out")} & expected.keys()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Cases that could not be judged" in page
    assert "&lt;script&gt;.nii.gz: has no label" in page
    labels = files_below(tmp_path / "out" / "cleansed_labels" / "labelsTr")
    assert labels == [f"{case}.nii.gz" for case in found.cases]


def test_what_holds_of_many_cases_is_said_once_and_listed_for_each(
    dataset: Path, segmentations: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(segmentations, tmp_path / "predictions")
    for i in (8, 9, 10, 11):
        path = tmp_path / "data" / "labelsTr" / f"case_{i:02d}.nii.gz"
        write_nifti(path, read_nifti(path) + np.uint8(3))
    (tmp_path / "predictions" / "case_12.nii.gz").unlink()
    judgement(tmp_path / "data", tmp_path / "predictions", tmp_path / "out")
    listed = {row["case"]: row["reason"] for row in rows_of(tmp_path / "out", "unreadable.csv")}
    assert list(listed) == [f"case_{i:02d}" for i in (8, 9, 10, 11, 12)]
    assert "case_11.nii.gz: holds the values [4, 5, 6], which are none" in listed["case_11"]
    assert [record.message for record in caplog.records if "not judged" in record.message] == [
        f"4 cases, such as 'case_08', are not judged: {listed['case_08']}",
        f"case 'case_12' is not judged: {listed['case_12']}",
    ]


def test_a_broken_image_is_listed_where_the_network_needs_it(dataset: Path, weights: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    (tmp_path / "data" / "imagesTr" / "case_05.nii.gz").write_bytes(b"\x1f\x8b nothing")
    run_audit(tmp_path / "data", tmp_path / "out", ckpt_path=str(weights), num_workers=2)
    (row,) = rows_of(tmp_path / "out", "unreadable.csv")
    assert row["case"] == "case_05"
    assert "imagesTr/case_05.nii.gz: is" in row["reason"]
    assert reasons(tmp_path / "out") == CULPRITS


def test_where_nothing_can_be_judged_that_is_an_error(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    for path in segmentations.iterdir():
        write_nifti(tmp_path / "predictions" / path.name, np.full((12, 12, 4), 9, np.uint8))
    with refused(r"none of the 14 cases can be judged; the first, 'case_00': .*values \[9\]"):
        run_audit(dataset, tmp_path / "out", predictions_dir=str(tmp_path / "predictions"))
    assert not (tmp_path / "out" / "label_report.csv").exists()


def test_an_audit_that_is_broken_off_goes_on_to_the_same_result(
    dataset: Path, segmentations: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    judgement(dataset, segmentations, tmp_path / "whole")
    first, second = Counting(segmentations, break_at=5), Counting(segmentations)
    with pytest.raises(KeyboardInterrupt):
        judgement(dataset, first, tmp_path / "out")
    assert not (tmp_path / "out" / "label_report.csv").exists()
    with caplog.at_level("INFO"):
        judgement(dataset, second, tmp_path / "out")
    assert (first.predicted, second.predicted) == (5, 9)
    assert "5 of 14 cases had been judged before" in caplog.text
    assert tables(tmp_path / "out") == tables(tmp_path / "whole")


def test_what_has_changed_is_judged_anew(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "data")
    shutil.copytree(segmentations, tmp_path / "predictions")

    def predicted() -> int:
        source = Counting(tmp_path / "predictions")
        judgement(tmp_path / "data", source, tmp_path / "out")
        return source.predicted

    assert predicted() == 14
    assert predicted() == 0
    redrawn = tmp_path / "data" / "labelsTr" / "case_03.nii.gz"
    shutil.copy(segmentations / "case_03.nii.gz", redrawn)
    assert predicted() == 1
    assert reasons(tmp_path / "out").keys() == {("case_07", "1")}
    write_nifti(tmp_path / "predictions" / "case_09.nii.gz", np.zeros((12, 12, 4), np.uint8))
    assert predicted() == 1
    damaged = next((tmp_path / "out" / "cases" / "seen").glob("case_01*"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert predicted() == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"ckpt_path": "other.pt"},
        {"validate#inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 4]}},
        {"train#preprocessing#transforms": "intensities"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_weights_or_options_judge_all_anew(
    change: dict[str, Any], audited: Path, dataset: Path, weights: Path, tmp_path: Path
) -> None:
    torch.save(IntensityNet(5.0).state_dict(), tmp_path / "other.pt")
    if "ckpt_path" in change:
        change = {"ckpt_path": str(tmp_path / "other.pt")}
    elif "train#preprocessing#transforms" in change:
        scale = {"_target_": "ScaleIntensityd", "keys": "image", "minv": None, "maxv": None, "factor": 0.01}
        change = {"train#preprocessing": {"_target_": "Compose", "transforms": [
            *OPTIONS["train#preprocessing"]["transforms"], scale]}}  # fmt: skip
    shutil.copytree(audited, tmp_path / "out")
    seen = sorted((tmp_path / "out" / "cases" / "seen").iterdir())
    same = [path.stat().st_mtime_ns for path in seen]
    run_audit(dataset, tmp_path / "out", ckpt_path=str(weights))
    assert [path.stat().st_mtime_ns for path in seen] == same
    run_audit(dataset, tmp_path / "out", **({"ckpt_path": str(weights)} | change))
    assert not {path.stat().st_mtime_ns for path in seen} & set(same)


class Twice(Inferer):
    """Asks another inferer twice."""

    def __init__(self, inferer: Inferer, axis: int | None) -> None:
        self.inferer, self.axis = inferer, axis

    def __call__(self, inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        return self.inferer(inputs, network) + self.inferer(inputs, network)


def test_a_network_is_asked_anew_when_an_inferer_within_its_inferer_changes() -> None:
    def identity(inferer: Inferer) -> str:
        evaluator = SupervisedEvaluator(torch.device("cpu"), [], IntensityNet(1.0), inferer=inferer)
        return NetworkPredictions(evaluator, Compose([]), [1]).prepare([])

    inferers = [
        lambda: SlidingWindowInferer([16, 16]),
        lambda: Twice(SlidingWindowInferer([16, 16]), 0),
        lambda: Twice(SlidingWindowInferer([16, 16]), None),
        lambda: Twice(SlidingWindowInferer([32, 16]), 0),
    ]
    identities = [identity(make()) for make in inferers]
    assert len(set(identities)) == 4
    assert identities == [identity(make()) for make in inferers]


def test_an_earlier_report_is_moved_aside_when_the_new_one_is_complete(
    dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    judgement(dataset, segmentations, tmp_path / "out")
    own = tmp_path / "out" / "cleansed_labels" / "labelsTr" / "case_03.nii.gz"
    own.write_bytes(b"the user's own work")
    judgement(dataset, segmentations, tmp_path / "out")
    kept = tmp_path / "out" / "earlier" / "1"
    assert (kept / own.relative_to(tmp_path / "out")).read_bytes() == b"the user's own work"
    assert {p.name for p in kept.iterdir()} == {*FILES, "cleansed_labels", "judged.npz"}
    assert {p.name for p in (tmp_path / "out").iterdir()} - {".lock"} == {
        *FILES,
        "judged.npz",
        "cleansed_labels",
        "cases",
        "earlier",
    }


@pytest.mark.parametrize(
    "moment", ["monai_selfcleanse.results.report.write_page", "monai_selfcleanse.cases.abstract_file.shutil"]
)
def test_a_full_disk_leaves_the_earlier_report_whole(
    moment: str, dataset: Path, segmentations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judgement(dataset, segmentations, tmp_path / "out")
    before = tables(tmp_path / "out")
    names = files_below(tmp_path / "out")

    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(moment + (".copyfile" if moment.endswith("shutil") else ""), full)
    with refused("No space left on device"):
        run_audit(dataset, tmp_path / "out", predictions_dir=str(segmentations))
    assert tables(tmp_path / "out") == before
    assert files_below(tmp_path / "out") == names


def test_a_disk_that_is_full_in_the_middle_is_an_error_and_not_a_broken_case(
    dataset: Path, segmentations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("monai_selfcleanse.cases.store._save_fast", full)
    with pytest.raises(OSError, match="No space left on device"):
        judgement(dataset, segmentations, tmp_path / "out")
    assert list((tmp_path / "out" / "cases" / "seen").iterdir()) == []


@pytest.mark.slow
def test_a_second_run_in_the_same_folder_is_refused_until_the_first_is_gone(
    dataset: Path, segmentations: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, time; from monai_selfcleanse.files import only_process\n"
        "with only_process(sys.argv[1]): print('has it', flush=True); time.sleep(100)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "has it\n"
        with refused(f"{tmp_path} is in use by another run: .* another folder"):
            run_audit(dataset, tmp_path, predictions_dir=str(segmentations))
        assert not (tmp_path / "label_report.csv").exists()
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    run_audit(dataset, tmp_path, predictions_dir=str(segmentations))
    assert (tmp_path / "label_report.csv").exists()


def test_labels_that_the_results_would_replace_are_no_input(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "cleansed_labels")
    before = files_below(tmp_path)
    with refused("lies in .*, which would be replaced: give another output_dir"):
        run_audit(tmp_path / "cleansed_labels", tmp_path, predictions_dir=str(segmentations))
    assert files_below(tmp_path) == before


def test_labels_with_noise_beside_the_results_are_an_input(dataset: Path, segmentations: Path, tmp_path: Path) -> None:
    shutil.copytree(dataset, tmp_path / "noisy_labels")
    run_audit(tmp_path / "noisy_labels", tmp_path, predictions_dir=str(segmentations))
    assert (tmp_path / "label_report.csv").exists()


@pytest.mark.slow
@pytest.mark.distributed
def test_two_processes_leave_what_one_does(audited: Path, dataset: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps(OPTIONS))
    files = [str(CONFIGS / "train.json"), str(tmp_path / "tiny.json"), str(CONFIGS / "audit.json")]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    command += ["-m", "monai.bundle", "run", "auditing", "--config_file", str(files), "--device", "cpu"]
    command += ["--dataset_dir", str(dataset), "--output_dir", str(tmp_path / "out"), "--ckpt_path", str(weights)]
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=500)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("the audit has ended") == 1
    assert tables(tmp_path / "out") == tables(audited)


def test_a_case_that_does_not_fit_into_memory_is_refused_with_the_numbers(
    dataset: Path, weights: Path, tmp_path: Path
) -> None:
    with refused(r"none of the 14 cases can be judged; .* become [\d,]+, which take .* GB: give a larger --spacing"):
        run_audit(dataset, tmp_path / "out", ckpt_path=str(weights), spacing=[1e-5, 1e-5, 1e-5])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dataset_dir": None}, "dataset_dir is missing: say which data set to audit with --dataset_dir"),
        ({"dataset_dir": "no/such"}, "dataset_dir 'no/such' is not a folder"),
        ({"ckpt_path": "no/such.pt"}, r"ckpt_path 'no/such\.pt': there is no such file"),
        ({"ckpt_path": None}, "give one of the two, not none"),
        ({"ckpt_path": "a.pt", "predictions_dir": "."}, "give one of the two, not both"),
        ({"predictions_dir": "no/such"}, "predictions_dir 'no/such' is not a folder"),
        ({"predictions_dir": str(CONFIGS)}, r"holds a prediction of none of the 14 cases: .* case_00\.nii\.gz"),
        ({"in_channels": "1,2"}, "in_channels must be a whole number of at least 1, got '1,2'"),
        ({"num_workers": "two"}, "num_workers must be a whole number of at least 0, got 'two'"),
        ({"structures": "RV"}, "structures must be label values .*, got 'RV'"),
        ({"device": "gpu"}, "device must be cpu, cuda or cuda:N, got 'gpu'"),
        ({"spacing": "x"}, "spacing must be three numbers .*, got 'x'"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(
    options: Mapping[str, Any], match: str, dataset: Path, tmp_path: Path
) -> None:
    with refused(match):
        run_audit(dataset, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
