"""The bundle as users run it: train, look at what is left behind, infer, interrupt and resume, feed it bad input."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import refused
from ignite.engine import Events
from monai.bundle import ConfigParser, ConfigWorkflow, load
from monai.bundle.config_item import ComponentLocator
from monai.utils import optional_import, set_determinism

from monai_selfcleanse.data import write_phantom
from monai_selfcleanse.handlers import LabelCleanserResult, SelfCleanseEvents
from monai_selfcleanse.results import REPORT_COLUMNS, REPORT_FILES

BUNDLE = Path(__file__).parent.parent / "bundle"
CONFIGS = sorted((BUNDLE / "configs").glob("*.json"))

TINY: dict[str, Any] = {
    "epochs": 3,
    "warmup_epochs": 1,
    "val_interval": 2,
    "batch_size": 2,
    "spacing": [3.0, 3.0, -1.0],
    "patch_size": [32, 32, 1],
    "network_def#channels": [8, 16],
    "network_def#strides": [2],
    "network_def#num_res_units": 1,
    "train#augmentation#transforms#3#num_samples": 2,
    "validate#inferer#roi_size": [64, 64],
    "device": torch.device("cpu"),
    # A handful of cases and a network that knows little: judge all the same.
    "label_filter#interval": 1,
    "label_filter#min_cases": 4,
    "label_filter#min_separation": -2.0,
    "label_filter#max_share": 1.0,
    "label_filter#threshold": 1e-3,  # or so many of the six cases are suspected that none could be left out
    # Leave suspects out after the first epoch, redraw them after the second.
    "label_cleanser#leave_out_separation": -2.0,
    "redraw_epoch": 2,
}


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", n_patients=4, seed=3)


def workflow(output: Path, dataset: Path | None, **overrides: Any) -> ConfigWorkflow:
    return ConfigWorkflow(
        str(BUNDLE / "configs" / "train.json"),
        logging_file=False,
        **(TINY | {"dataset_dir": None if dataset is None else str(dataset), "output_dir": str(output)} | overrides),
    )


def train(output: Path, dataset: Path | None, **overrides: Any) -> ConfigWorkflow:
    run = workflow(output, dataset, **overrides)
    run.run()
    return run


def rows_of(output: Path) -> list[dict[str, str]]:
    with open(output / "label_report.csv", newline="") as file:
        return list(csv.DictReader(file))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def trained(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on the phantom with synthetic noise."""
    output = tmp_path_factory.mktemp("run") / "out"
    before = snapshot(phantom)
    train(output, phantom, noise_rate=0.5, noise_preset="mixed")
    assert snapshot(phantom) == before
    return output


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


def test_the_weights_are_flat_tensors_that_monai_loads(trained: Path, tmp_path: Path) -> None:
    weights = torch.load(trained / "models" / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in weights.values())
    bundle = tmp_path / "cardiac"
    shutil.copytree(BUNDLE, bundle, ignore=shutil.ignore_patterns("output"))
    (bundle / "models").mkdir(exist_ok=True)
    shutil.copy(trained / "models" / "model.pt", bundle / "models" / "model.pt")
    for name in ("train.json", "inference.json"):  # the tiny network's architecture
        path = bundle / "configs" / name
        config = json.loads(path.read_text())
        config["network_def"] |= {k.split("#")[1]: v for k, v in TINY.items() if k.startswith("network_def#")}
        path.write_text(json.dumps(config))
    network = load("cardiac", bundle_dir=str(tmp_path), source="github", workflow_type="inference")
    assert isinstance(network, torch.nn.Module)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0)


def test_inference_lies_on_the_inputs_own_grid_and_bears_its_name(trained: Path, phantom: Path, tmp_path: Path) -> None:
    image = nib.load(phantom / "patient001" / "patient001_frame01.nii.gz")
    turn = np.array([[0.0, -1, 0, 7], [1, 0, 0, -3], [0, 0, 1, 11], [0, 0, 0, 1]])
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    odd = nib.Nifti1Image(np.asarray(image.dataobj)[3:100, :87, 1:5], turn @ image.affine)
    nib.save(odd, folder / "sub" / "turned.nii.gz")
    nib.save(image, folder / "plain.nii")
    tiny = {k: v for k, v in TINY.items() if k.startswith(("network_def#", "device"))}
    run = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"),
        workflow_type="inference",
        logging_file=False,
        dataset_dir=str(folder),
        output_dir=str(tmp_path / "out"),
        ckpt_path=str(trained / "models" / "model.pt"),
        **tiny,
    )
    run.run()
    written = {str(p.relative_to(tmp_path / "out")): nib.load(p) for p in (tmp_path / "out").rglob("*.nii*")}
    assert set(written) == {"sub/turned.nii.gz", "plain.nii.gz"}
    for name, source in (("sub/turned.nii.gz", odd), ("plain.nii.gz", image)):
        assert written[name].shape == source.shape
        np.testing.assert_allclose(written[name].affine, source.affine, atol=1e-4)
        assert set(np.unique(np.asarray(written[name].dataobj))) <= {0, 1, 2, 3}


class KilledError(Exception):
    """The run is broken off here."""


@pytest.mark.parametrize(
    "moment",
    [
        Events.ITERATION_COMPLETED(once=5),
        SelfCleanseEvents.LABELS_FILTERED(once=2),
        SelfCleanseEvents.LABELS_CLEANSED(once=2),
        Events.COMPLETED,
    ],
    ids=["in an epoch", "between filter and cleanser", "after cleansing", "before the report"],
)
def test_an_interrupted_run_resumes_to_the_same_suspects_and_weights(
    moment: Any, trained: Path, phantom: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    first = workflow(output, phantom, noise_rate=0.5, noise_preset="mixed")
    set_determinism(0)  # as `run` does before it builds the trainer
    trainer = first.parser.get_parsed_content("train#trainer")
    cleansed: list[LabelCleanserResult] = []
    trainer.add_event_handler(
        SelfCleanseEvents.LABELS_CLEANSED, lambda engine: cleansed.append(engine.state.label_cleanser_result)
    )

    def kill() -> None:
        raise KilledError

    trainer.add_event_handler(moment, kill)
    if moment is Events.COMPLETED:  # ahead of the handlers that write
        handlers = trainer._event_handlers[Events.COMPLETED]
        handlers.insert(0, handlers.pop())
    with pytest.raises((KilledError, RuntimeError)):
        first.run()
    assert not (output / "label_report.csv").exists()
    assert cleansed[0].left_out
    assert [bool(done.cases) for done in cleansed[:2]] == [False, True][: len(cleansed)]
    train(output, phantom, noise_rate=0.5, noise_preset="mixed", resume=True)
    assert rows_of(output) == rows_of(trained)
    weights, expected = (torch.load(o / "models" / "model.pt", weights_only=True) for o in (output, trained))
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name
    labels, expected_labels = (snapshot(o / "cleansed_labels") for o in (output, trained))
    for files in (labels, expected_labels):
        assert b'"epoch": 3' in files.pop("provenance.json")  # has a date, too
    assert labels == expected_labels


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"noise_preset": "missing"}, r"other options: noise_preset \(then 'mixed', now 'missing'\)"),
        (
            {"batch_size": 1, "learning_rate": 0.5},
            r"learning_rate \(then 0.005, now 0.5\), batch_size \(then 2, now 1\)",
        ),
        ({"spacing": [1.0, 1.0, -1.0]}, r"spacing \(then \[.*\], now \[1.0, 1.0, -1.0\]\)"),
        ({"seed": 1, "epochs": 4}, r"epochs \(then 3, now 4\), seed \(then 0, now 1\)"),
    ],
)
def test_resuming_another_run_is_refused_before_anything_is_written(
    overrides: dict[str, Any], match: str, trained: Path, phantom: Path
) -> None:
    before = snapshot(trained)
    with refused(match):
        train(trained, phantom, **({"noise_rate": 0.5, "resume": True} | overrides))
    assert snapshot(trained) == before


def test_a_run_of_two_processes_is_not_resumed_by_one(trained: Path, phantom: Path, tmp_path: Path) -> None:
    state = torch.load(trained / "models" / "checkpoint" / "last.pt", weights_only=True)
    state["options"]["world_size"] = 2
    checkpoint = tmp_path / "out" / "models" / "checkpoint" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    torch.save(state, checkpoint)
    with refused(r"other options: world_size \(then 2, now 1\)"):
        train(tmp_path / "out", phantom, noise_rate=0.5, resume=True)


def test_a_damaged_checkpoint_is_named(phantom: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "out" / "models" / "checkpoint" / "last.pt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"half a checkp")
    with refused(r"cannot resume from .*last\.pt: it is no checkpoint .* or damaged"):
        train(tmp_path / "out", phantom, resume=True)


def test_tensorboard_shows_loss_dice_and_every_round_of_the_filter(trained: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = accumulator.EventAccumulator(str(trained / "tensorboard"), {"histograms": 0, "images": 0})
    board.Reload()
    assert [event.step for event in board.Scalars("train_loss")] == list(range(1, 10))
    assert [event.step for event in board.Scalars("val_mean_dice")] == [2, 3]
    for structure in ("right ventricle", "myocardium", "left ventricle"):
        assert [event.step for event in board.Histograms(f"clean_probability/{structure}")] == [1, 2, 3]
    assert [event.step for event in board.Images("suspects")] == [1, 2, 3]


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
    for name in REPORT_FILES:
        assert (output / "earlier" / "1" / name).exists()
    assert (output / "earlier" / "1" / "model.pt").read_bytes() == weights != (output / "models/model.pt").read_bytes()


def test_cases_of_a_list_that_training_would_move_are_refused(phantom: Path, tmp_path: Path) -> None:
    """A second round on a folder's own cleansed labels."""
    own = tmp_path / "out" / "cleansed_labels"
    shutil.copytree(phantom, own)
    before = snapshot(own)
    images = sorted(own.glob("*/*_frame??.nii.gz"))
    cases = [{"image": str(p), "label": str(p).replace(".nii.gz", "_gt.nii.gz")} for p in images]
    with refused("lies in a folder of output_dir .* that this run would replace"):
        train(tmp_path / "out", phantom, **{"train#dataset#data": cases})
    assert snapshot(own) == before


def test_without_self_cleansing_the_same_training_leaves_no_report(phantom: Path, tmp_path: Path) -> None:
    plain = train(tmp_path / "plain", phantom, self_cleanse=False)
    # A filter that never suspects anyone changes nothing about training either.
    patient = train(tmp_path / "patient", phantom, **{"label_filter#min_separation": 2.0})
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


def test_preprocessing_bears_the_path_that_monai_label_keeps_with_an_image(phantom: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "inference.json"))
    image = str(phantom / "patient001" / "patient001_frame01.nii.gz")
    data = parser.get_parsed_content("preprocessing")({"image": image, "image_path": image})
    assert data["image_path"] == image
    torch.testing.assert_close(data["image"].pixdim[:2], torch.tensor([1.5, 1.5], dtype=data["image"].pixdim.dtype))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.name)
def test_every_target_resolves(config: Path) -> None:
    known = ComponentLocator()

    def targets(node: Any) -> list[str]:
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = [node["_target_"]] if isinstance(node, dict) and "_target_" in node else []
        return own + [t for child in children for t in targets(child)]

    for target in targets(json.loads(config.read_text())):
        if "." in target:
            module, name = target.rsplit(".", 1)
            assert optional_import(module, name=name)[1], target
        else:
            assert known.get_component_module_name(target), target


def test_properties_of_both_workflows_are_complete(phantom: Path, tmp_path: Path) -> None:
    run = workflow(tmp_path / "out", phantom)
    run.initialize()
    assert run.check_properties() == []
    inference = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"), workflow_type="inference", logging_file=False
    )
    inference.initialize()
    assert inference.check_properties() == []


def test_both_configs_define_the_same_network_and_preprocessing(phantom: Path) -> None:
    image, label = (str(phantom / "patient001" / f"patient001_frame01{end}.nii.gz") for end in ("", "_gt"))
    parsed = []
    for name, path in (("train.json", "train#preprocessing"), ("inference.json", "preprocessing")):
        parser = ConfigParser()
        parser.read_config(str(BUNDLE / "configs" / name))
        data = parser.get_parsed_content(path)({"image": image, "label": label})
        parsed.append((str(parser.get_parsed_content("network_def")), data["image"]))
    assert parsed[0][0] == parsed[1][0]
    torch.testing.assert_close(parsed[0][1], parsed[1][1])


@pytest.mark.parametrize(
    ("overrides", "match"),
    [
        ({"noise_preset": "nonsense", "noise_rate": 0.5}, "noise_preset 'nonsense' is unknown; choose one of boundary"),
        ({"noise_rate": 1.5}, r"noise_rate must lie in \[0, 1\], got 1.5"),
        ({"epochs": 5, "warmup_epochs": 5}, r"epochs \(5\) must be more than warmup_epochs \(5\)"),
        ({"epochs": "many"}, "epochs must be a whole number"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"redraw_epoch": "soon"}, "redraw_epoch, if not None, must be a whole number of at least 0, got 'soon'"),
        ({"redraw_epoch": 4}, r"redraw_epoch \(4\) lies behind the last of the epochs \(3\)"),
        ({"num_workers": "two"}, "num_workers must be a whole number of at least 0, got 'two'"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, got 0"),
        ({"learning_rate": "1e-3"}, "learning_rate must be a number above 0, got '1e-3'"),
        ({"spacing": 1.5}, "spacing must be three numbers, one an axis, got 1.5"),
        ({"patch_size": [64, 64]}, r"patch_size must be three numbers, one an axis, got \[64, 64\]"),
        ({"structures": "RV"}, "structures must be label values .*, got 'RV'"),
        ({"structures": {"205": "left atrium", "500": "left ventricle"}}, "label values up to 255, got 500: renumber"),
        ({"structures": {"RV": 1}}, "structures must be label values from 1 on and their names"),
        ({"self_cleanse": "no"}, "self_cleanse must be True or False"),
        ({"partial_labels": 1}, "partial_labels must be True or False"),
        ({"resume": "false"}, "resume must be True or False"),
        ({"noise_rate": "half"}, "noise_rate must be a number"),
        ({"validation_share": 1}, "validation_share 1 leaves no patient to train on"),
        ({"validation_share": 0}, r"validation_share must lie in \(0, 1\], got 0"),
        ({"device": "gpu"}, "device must be cpu, cuda or cuda:N, got 'gpu'"),
        ({"device": "cuda:63"}, "device 'cuda:63' is not there"),
        ({"dataset_dir": 5}, "dataset_dir must be a path"),
        ({"dataset_dir": "no/such/folder"}, "is not a folder"),
    ],
)
def test_bad_options_are_named_before_anything_is_written(
    overrides: dict[str, Any], match: str, phantom: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with refused(match):
        train(output, phantom, **overrides)
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "5", "--warmup_epochs", "5"], "error: epochs (5) must be more than warmup_epochs (5)"),
        (["--noise_preset", "nonsense"], "error: noise_preset 'nonsense' is unknown; choose one of boundary"),
    ],
)
def test_on_the_command_line_bad_input_is_one_line(
    options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = ["--config_file", str(BUNDLE / "configs" / "train.json"), "--logging_file", "False"]
    output = ["--output_dir", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["monai.bundle", "run", *config, *output, *options])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
    assert str(caught.value).startswith(message)
    assert not (tmp_path / "out").exists()


def test_who_builds_the_trainer_in_python_gets_an_error_not_the_end_of_the_program(tmp_path: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(BUNDLE / "configs" / "train.json"))
    parser["dataset_dir"], parser["output_dir"] = "no/such/folder", str(tmp_path)
    with refused("is not a folder"):
        parser.get_parsed_content("train#trainer")


def test_all_broken_cases_are_named_at_once_before_anything_is_written(phantom: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "data"
    shutil.copytree(phantom, dataset)
    cut = next((dataset / "patient001").glob("*_frame01.nii.gz"))
    cut.write_bytes(cut.read_bytes()[:2000])
    lonely = next((dataset / "patient002").glob("*_frame01_gt.nii.gz"))
    lonely.unlink()
    strange = next((dataset / "patient003").glob("*_frame01_gt.nii.gz"))
    file = nib.load(strange)
    nib.save(nib.Nifti1Image(np.asarray(file.dataobj) + 4, file.affine), strange)
    output = tmp_path / "out"
    broken = ("patient001_frame01.nii.gz", "patient002_frame01", "patient003_frame01_gt.nii.gz: holds the values")
    with refused("(?s)" + "".join(f"(?=.*{name})" for name in broken)):
        train(output, dataset)
    assert not output.exists()


def test_an_output_folder_that_is_a_file_is_refused(phantom: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("in the way")
    for option in ("output_dir", "ckpt_dir"):
        with refused(f"{option} .* cannot be written: .*out is a file"):
            train(tmp_path / "run", phantom, **{option: str(tmp_path / "out" / "run")})
