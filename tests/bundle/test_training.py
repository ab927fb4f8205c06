"""The bundle as users train with it, and what a training leaves behind."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from bundles import BUNDLE, TINY, rows_of, snapshot, train
from helpers import refused
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_selfcleanse.core.judgement import REPORT_COLUMNS
from monai_selfcleanse.data import write_phantom

pytestmark = pytest.mark.slow


def test_the_report_has_a_row_a_case_and_structure_most_suspect_first(trained: Path) -> None:
    rows = rows_of(trained)
    assert tuple(rows[0]) == REPORT_COLUMNS
    pairs = {(row["case"], row["structure"]) for row in rows}
    assert len(rows) == len(pairs) == 3 * 2 * 3  # three training patients, two frames, three structures
    probabilities = [float(row["clean_probability"]) for row in rows]
    assert probabilities == sorted(probabilities)
    assert 0 <= probabilities[0] <= probabilities[-1] <= 1
    for row in rows:
        assert row["suspected"] in ("0", "1")
        assert (row["reason"] != "") == (row["suspected"] == "1")


def test_the_report_has_a_page_and_places_for_the_suspects(trained: Path) -> None:
    suspects = {(row["case"], row["structure"]) for row in rows_of(trained) if row["suspected"] == "1"}
    with open(trained / "slices.csv", newline="") as file:
        assert {(row["case"], row["structure"]) for row in csv.DictReader(file)} == suspects
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert page.count('id="pictures-') == len(suspects)
    assert "image/png" in page


def test_cleansed_labels_lie_on_the_given_labels_grid_and_change_only_where_suspected(
    trained: Path, phantom: Path
) -> None:
    suspected = {row["case"] for row in rows_of(trained) if row["suspected"] == "1"}
    assert suspected
    files = sorted((trained / "cleansed_labels").rglob("*.nii.gz"))
    assert len(files) == 6
    changed = 0
    for file in files:
        relative = file.relative_to(trained / "cleansed_labels")
        noisy = trained / "noisy_labels" / relative
        given, cleansed = nib.load(noisy if noisy.exists() else phantom / relative), nib.load(file)
        assert cleansed.shape == given.shape
        assert cleansed.get_data_dtype() == given.get_data_dtype()
        np.testing.assert_array_equal(cleansed.affine, given.affine)
        same = np.array_equal(np.asarray(cleansed.dataobj), np.asarray(given.dataobj))
        changed += not same
        if relative.name.removesuffix("_gt.nii.gz") not in suspected:
            assert same
    assert changed


def test_tensorboard_shows_loss_dice_and_every_look_of_the_filter(trained: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(trained / "tensorboard"), {"histograms": 0, "images": 0})
    board.Reload()
    assert [event.step for event in board.Scalars("train_loss")] == list(range(1, 13))
    assert [event.step for event in board.Scalars("val_mean_dice")] == [2, 4]
    for structure in ("right ventricle", "myocardium", "left ventricle"):
        assert [event.step for event in board.Histograms(f"clean_probability/{structure}")] == [1, 2, 4]
    assert [event.step for event in board.Images("suspects")] == [1, 2, 4]


def test_a_datalist_of_channels_and_partial_class_probabilities_trains_and_is_cleansed(
    phantom: Path, tmp_path: Path
) -> None:
    """Every second case has no left ventricle in its label, since nobody annotated it there."""
    entries = []
    for i, image in enumerate(sorted(phantom.glob("*/*_frame??.nii.gz"))):
        label = nib.load(str(image).replace(".nii.gz", "_gt.nii.gz"))
        index = np.asarray(label.dataobj).copy()
        if i % 2:
            index[index == 3] = 0
        stack = nib.Nifti1Image(np.eye(4, dtype=np.float32)[index], label.affine)
        nib.save(stack, tmp_path / f"{i}.nii.gz")
        entries.append(
            {"case": f"c{i}", "image": [str(image)] * 2, "label": f"{i}.nii.gz", "patient": image.parent.name}
        )
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}))
    output = tmp_path / "out"
    train(output, tmp_path / "list.json", epochs=2, in_channels=2, partial_labels=True)
    rows = rows_of(output)
    assert len(rows) == 6 * 3
    unannotated = {(r["case"], r["structure"]) for r in rows if r["reason"] == "not annotated"}
    assert unannotated == {(r["case"], "3") for r in rows if int(r["case"][1:]) % 2}
    assert all(r["suspected"] == "0" and r["score"] == "nan" for r in rows if r["reason"] == "not annotated")
    suspected = {r["case"] for r in rows if r["suspected"] == "1"}
    assert suspected
    for case in {r["case"] for r in rows}:
        given, cleansed = (nib.load(folder / f"{case[1:]}.nii.gz") for folder in (tmp_path, output / "cleansed_labels"))
        assert (cleansed.shape, cleansed.get_data_dtype()) == (given.shape[:3], np.uint8)
        values = np.asarray(cleansed.dataobj)
        assert case in suspected or np.array_equal(values, np.asarray(given.dataobj).argmax(-1))
        assert (values == 3).any() == (int(case[1:]) % 2 == 0)


def test_training_works_without_tensorboard(phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(tmp_path / "out", phantom, epochs=2)
    assert (tmp_path / "out" / "label_report.csv").exists()
    assert not (tmp_path / "out" / "tensorboard").exists()


def test_results_of_an_earlier_run_are_moved_aside(phantom: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    train(output, phantom, epochs=2)
    corrected = sorted((output / "cleansed_labels").rglob("*.nii.gz"))[0]
    corrected.write_bytes(b"the user's own work")
    weights = (output / "models" / "model.pt").read_bytes()
    train(output, phantom, epochs=2, self_cleanse=False)
    assert not (output / "label_report.csv").exists()
    kept = output / "earlier" / "1" / corrected.relative_to(output)
    assert kept.read_bytes() == b"the user's own work"
    for name in ("report.html", "label_report.csv", "slices.csv"):
        assert (output / "earlier" / "1" / name).exists()
    assert (output / "earlier" / "1" / "model.pt").read_bytes() == weights != (output / "models/model.pt").read_bytes()


def test_cases_of_a_list_that_training_would_move_are_refused(phantom: Path, tmp_path: Path) -> None:
    """A second round on a folder's own cleansed labels."""
    own = tmp_path / "out" / "cleansed_labels"
    shutil.copytree(phantom, own)
    before = snapshot(own)
    images = sorted(own.glob("*/*_frame??.nii.gz"))
    cases = [{"image": str(p), "label": str(p).replace(".nii.gz", "_gt.nii.gz")} for p in images]
    with refused("lies in .*, which would be replaced: give another output_dir"):
        train(tmp_path / "out", phantom, **{"train#dataset#data": cases})
    assert snapshot(own) == before


def test_without_self_cleansing_the_same_training_leaves_no_report(phantom: Path, tmp_path: Path) -> None:
    plain = train(tmp_path / "plain", phantom, self_cleanse=False)
    # A filter that never suspects anyone changes nothing about training either.
    patient = train(tmp_path / "patient", phantom, rounds=1, **{"label_filter#min_separation": 2.0})
    assert not (tmp_path / "plain" / "label_report.csv").exists()
    assert (tmp_path / "patient" / "label_report.csv").exists()
    one, other = (w.parser.get_parsed_content("ema").ema_model.state_dict() for w in (plain, patient))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_without_arguments_it_trains_on_the_phantom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monai_selfcleanse.data.cohort.write_phantom", lambda d, seed: write_phantom(d, 4, seed))
    output = tmp_path / "out"
    train(output, None, epochs=2)
    assert (output / "phantom" / "patient001" / "Info.cfg").is_file()
    manifest = [json.loads(line) for line in (output / "noisy_labels" / "manifest.jsonl").read_text().splitlines()]
    noisy = {line["case"][:10] for line in manifest}
    assert len(noisy) == 2  # half of three training patients, rounded to even
    assert (output / "models" / "model.pt").is_file()


def test_monai_label_trains_on_its_own_data_and_updates_the_weights_it_serves(phantom: Path, tmp_path: Path) -> None:
    """MONAI Label overrides an absolute bundle_root, data, epochs, and the list of handlers with a loader first."""
    bundle = tmp_path / "app" / "cardiac"
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("output"))
    (bundle / "models").mkdir(exist_ok=True)
    served = bundle / "models" / "model.pt"
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "train.json"))
    for key, value in TINY.items():
        if key not in ("epochs", "warmup_epochs"):
            parser[key] = value
    torch.save(parser.get_parsed_content("network_def").state_dict(), served)
    before = served.read_bytes()
    images = sorted(phantom.glob("*/*_frame??.nii.gz"))
    data = [{"image": str(p), "label": str(p).replace(".nii.gz", "_gt.nii.gz")} for p in images]
    raw = ConfigParser()
    raw.read_config(str(bundle / "configs" / "train.json"))
    loader = {"_target_": "CheckpointLoader", "load_path": str(served), "load_dict": {"model": "$@network"}}
    tiny = {k: v for k, v in TINY.items() if k not in ("epochs", "warmup_epochs")}
    run = ConfigWorkflow(
        str(bundle / "configs" / "train.json"),
        run_id="",
        init_id=None,
        final_id=None,
        logging_file=False,
        **tiny,
        **{
            "bundle_root": str(bundle),
            "train#trainer#max_epochs": 1,
            "train#dataset#data": data[:6],
            "validate#dataset#data": data[6:],
            "train#handlers": [loader | {"strict": False}, *raw["train#handlers"]],
        },
    )
    run.run()
    assert served.read_bytes() != before
    assert run.parser.get_parsed_content("train#trainer").state.iteration == 3  # once, not once more for `training`
    assert not (bundle / "output" / "phantom").exists()
