"""The bundle as a member of MONAI's model zoo: what its checks ask for, and every way of loading and running it.

All of it offline, on a copy of the bundle under its own name, with its pretrained weights where it has any, else random
ones.
"""

from __future__ import annotations

import csv
import json
import logging
import random
import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import monai.bundle
import nibabel as nib
import numpy as np
import pytest
import torch
from helpers import read_nifti, refused, write_nifti
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.metrics import compute_hausdorff_distance
from monai.transforms import Transform
from scipy.spatial.transform import Rotation

import monai_selfcleanse
from monai_selfcleanse.data import write_phantom

ROOT = Path(__file__).parent.parent
NAME = "cardiac_short_axis_segmentation"
CPU = torch.device("cpu")


def parser_of(bundle: Path, *configs: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config([str(bundle / "configs" / name) for name in configs])
    return parser


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / NAME
    shutil.copytree(ROOT / "bundle", folder, ignore=shutil.ignore_patterns("output", "*.ts", "*.onnx", "*.plan"))
    weights = folder / "models" / "model.pt"
    if not weights.exists():
        weights.parent.mkdir(exist_ok=True)
        torch.manual_seed(0)
        torch.save(parser_of(folder, "inference.json").get_parsed_content("network_def").state_dict(), weights)
    return folder


@pytest.fixture(scope="session")
def weights(bundle: Path) -> dict[str, torch.Tensor]:
    return torch.load(bundle / "models" / "model.pt", weights_only=True)


@pytest.fixture(scope="session")
def network(bundle: Path, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    network = parser_of(bundle, "inference.json").get_parsed_content("network_def")
    network.load_state_dict(weights)
    return network.eval()


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", n_patients=3, seed=1)


@pytest.fixture(scope="session")
def frame(phantom: Path) -> nib.Nifti1Image:
    return nib.load(phantom / "patient001" / "patient001_frame01.nii.gz")


def infer(bundle: Path, dataset: Path, output: Path, *overlays: str, **overrides: Any) -> ConfigWorkflow:
    run = ConfigWorkflow(
        [str(bundle / "configs" / name) for name in ("inference.json", *overlays)],
        workflow_type="inference",
        logging_file=False,
        **(
            {"bundle_root": str(bundle), "dataset_dir": str(dataset), "output_dir": str(output), "device": CPU}
            | overrides
        ),
    )
    run.initialize()
    run.run()
    return run


def run_on_top(
    overlay: str, run_id: str, bundle: Path, dataset: Path, output: Path, **overrides: Any
) -> ConfigWorkflow:
    """Run ``train.json`` with an overlay."""
    run = ConfigWorkflow(
        [str(bundle / "configs" / name) for name in ("train.json", overlay)],
        workflow_type="train",
        logging_file=False,
        run_id=run_id,
        **(
            {"bundle_root": str(bundle), "dataset_dir": str(dataset), "output_dir": str(output), "device": CPU}
            | overrides
        ),
    )
    run.initialize()
    run.run()
    return run


evaluate = partial(run_on_top, "evaluate.json", "evaluating")
audit = partial(run_on_top, "audit.json", "auditing")


# What the model zoo's checks ask for.


@pytest.mark.parametrize(
    "name",
    [
        "LICENSE",
        "configs/metadata.json",
        "configs/train.json",
        "configs/audit.json",
        "configs/evaluate.json",
        "configs/inference.json",
        "configs/inference_trt.json",
        "configs/logging.conf",
        "docs/README.md",
        "docs/data_license.txt",
    ],
)
def test_file_is_there(name: str) -> None:
    assert (ROOT / "bundle" / name).stat().st_size > 100


def test_no_file_is_too_large_for_git() -> None:
    files = [p for p in (ROOT / "bundle").rglob("*") if p.is_file() and "output" not in p.parts]
    assert max(p.stat().st_size for p in files) < 25e6


@pytest.mark.parametrize("path", sorted((ROOT / "bundle" / "configs").glob("*.json")), ids=lambda p: p.name)
def test_config_is_formatted_as_the_zoo_wants_it(path: Path) -> None:
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=4) + "\n"


TENSOR = {
    "type": "object",
    "required": ["type", "format", "num_channels", "spatial_shape", "dtype", "value_range"],
    "properties": {
        "num_channels": {"type": "integer"},
        "spatial_shape": {"type": "array", "items": {"type": ["string", "integer"]}},
        "dtype": {"type": "string"},
        "value_range": {"type": "array"},
    },
}
SCHEMA = {
    "type": "object",
    "required": [
        *("schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version"),
        *(
            "required_packages_version",
            "name",
            "task",
            "description",
            "authors",
            "copyright",
            "data_source",
            "data_type",
        ),
        *("image_classes", "label_classes", "pred_classes", "intended_use", "references", "network_data_format"),
    ],
    "properties": {
        "version": {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
        "required_packages_version": {"type": "object", "additionalProperties": {"type": "string"}},
        "references": {"type": "array", "items": {"type": "string"}},
        "network_data_format": {
            "type": "object",
            "required": ["inputs", "outputs"],
            "properties": {
                "inputs": {"type": "object", "required": ["image"], "additionalProperties": TENSOR},
                "outputs": {"type": "object", "required": ["pred"], "additionalProperties": TENSOR},
            },
        },
    },
}


def test_metadata_has_the_schemas_fields(bundle: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    monai.bundle.verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(schema))


def test_metadata_names_the_versions_that_were_tested(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] in metadata["changelog"]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(
        line.split(";")[0].strip().split("==") for line in lines if "==" in line.split(";")[0] and "<" not in line
    )
    required = metadata["required_packages_version"]
    assert required.pop("monai-selfcleanse") == monai_selfcleanse.__version__
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
    }
    for package, version in (named | required).items():
        assert pins[package] == version, package


def test_metadata_names_the_structures_that_are_trained(bundle: Path) -> None:
    outputs = json.loads((bundle / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]["pred"]
    structures = parser_of(bundle, "train.json")["structures"]
    assert outputs["channel_def"] == {"0": "background", **structures}
    assert outputs["num_channels"] == len(outputs["channel_def"])


@pytest.mark.parametrize("n", [1, 7])
def test_network_takes_and_gives_what_metadata_says(n: int, bundle: Path) -> None:
    configs = bundle / "configs"
    monai.bundle.verify_net_in_out(
        net_id="network_def",
        meta_file=str(configs / "metadata.json"),
        config_file=str(configs / "inference.json"),
        device="cpu",
        n=n,
    )


def test_exports_give_the_networks_result(bundle: Path, network: torch.nn.Module, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    common = {
        "net_id": "network_def",
        "ckpt_file": str(bundle / "models" / "model.pt"),
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
    }
    monai.bundle.ckpt_export(filepath=str(tmp_path / "model.ts"), **common)
    axes = {"image": {0: "n", 2: "h", 3: "w"}}
    monai.bundle.onnx_export(
        filepath=str(tmp_path / "model.onnx"),
        input_shape=[2, 1, 192, 192],
        converter_kwargs={"input_names": ["image"], "output_names": ["pred"], "dynamic_axes": axes},
        **common,
    )
    script = torch.jit.load(tmp_path / "model.ts", map_location="cpu")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for shape in ((1, 1, 16, 16), (3, 1, 192, 160)):
        image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            expected = network(image)
            torch.testing.assert_close(script(image), expected, rtol=0, atol=1e-4)
        (found,) = session.run(["pred"], {"image": image.numpy()})
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-4)


def test_it_trains_evaluates_and_infers_and_lacks_no_property(bundle: Path, phantom: Path, tmp_path: Path) -> None:
    tiny = {"num_samples": 1, "spatial_size": [32, 32, 1]}
    options = {f"train#augmentation#transforms#3#{k}": v for k, v in tiny.items()}
    train = ConfigWorkflow(
        str(bundle / "configs" / "train.json"),
        workflow_type="train",
        logging_file=False,
        run_id="training",
        **{"dataset_dir": str(phantom), "output_dir": str(tmp_path), "device": CPU, "epochs": 1, "self_cleanse": False},
        **options,
    )
    train.initialize()
    assert train.check_properties() == []
    train.run()
    weights = str(tmp_path / "models" / "model.pt")
    assert evaluate(bundle, phantom, tmp_path, ckpt_path=weights).check_properties() == []
    assert len(rows_of(tmp_path / "evaluation" / "val_mean_dice_raw.csv")) == 2  # of the one patient held back
    segmented = tmp_path / "segmented"
    assert infer(bundle, phantom / "patient001", segmented, ckpt_path=weights).check_properties() == []
    assert len(list(segmented.iterdir())) == 2


# Evaluation.


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_evaluation_compares_on_the_labels_own_grids_in_mm(bundle: Path, phantom: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "data"
    turned = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix() @ np.diag([0.9, 2.3, 7.0])
    affine = np.block([[turned, np.full((3, 1), 5.0)], [np.zeros((1, 3)), 1]])
    for name in ("patient001_frame01", "patient001_frame01_gt"):
        file = phantom / "patient001" / f"{name}.nii.gz"
        write_nifti(dataset / "patient001" / file.name, read_nifti(file)[:101, 7:], affine)
    evaluate(bundle, dataset, tmp_path / "out", validation_share=1)
    infer(bundle, dataset, tmp_path / "out" / "segmented")
    label = read_nifti(dataset / "patient001" / "patient001_frame01_gt.nii.gz")
    segmented = read_nifti(tmp_path / "out" / "segmented" / "patient001" / "patient001_frame01.nii.gz")
    (dice,), (hd95,) = (rows_of(tmp_path / "out" / "evaluation" / f"val_{m}_raw.csv") for m in ("mean_dice", "hd95_mm"))
    assert dice["filename"].endswith("patient001_frame01.nii.gz")
    for column, structure in (("class0", 1), ("class1", 2), ("class2", 3)):
        one, other = segmented == structure, label == structure
        assert float(dice[column]) == pytest.approx(2 * (one & other).sum() / (one.sum() + other.sum()), abs=1e-5)
        if one.any():
            pair = (torch.from_numpy(x)[None, None] for x in (one, other))
            expected = compute_hausdorff_distance(
                *pair, include_background=True, percentile=95, spacing=[0.9, 2.3, 7.0]
            )
            assert float(hd95[column]) == pytest.approx(expected.item(), abs=1e-3)
        else:
            assert hd95[column] == "nan"


def test_evaluation_leaves_the_results_of_training_alone(bundle: Path, phantom: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "noisy_labels" / "manifest.jsonl"
    manifest.parent.mkdir()
    manifest.write_text("{}\n")
    evaluate(bundle, phantom, tmp_path)
    assert manifest.read_text() == "{}\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["evaluation", "noisy_labels"]


def test_audit_needs_no_option_but_the_data(bundle: Path, phantom: Path, tmp_path: Path) -> None:
    """With the bundle's own weights and the whole of its preprocessing; too few cases to suspect any."""
    run = audit(bundle, phantom, tmp_path)
    assert run.check_properties() == []
    with open(tmp_path / "label_report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({(row["case"], row["structure"]) for row in rows}) == 3 * 2 * 3
    assert {row["suspected"] for row in rows} == {"0"}


# Loading.


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def same(network: torch.nn.Module, weights: dict[str, torch.Tensor]) -> bool:
    found = network.state_dict()
    return found.keys() == weights.keys() and all(torch.equal(found[k].cpu(), v.cpu()) for k, v in weights.items())


@pytest.mark.parametrize("kind", ["train", "inference"])
def test_load_gives_the_weights_from_anywhere_and_changes_nothing(
    kind: str, bundle: Path, weights: dict[str, torch.Tensor], elsewhere: Path
) -> None:
    root = logging.getLogger()
    before = torch.initial_seed(), random.getstate(), root.level, list(root.handlers)
    network = monai.bundle.load(
        NAME, bundle_dir=str(bundle.parent), workflow_type=kind, args_file={"logging_file": False}
    )
    assert same(network, weights)
    assert (torch.initial_seed(), random.getstate(), root.level, root.handlers) == before
    assert not list(elsewhere.iterdir())


def test_logging_of_the_bundle_gives_the_root_logger_neither_level_nor_handler(
    bundle: Path, weights: dict[str, torch.Tensor], elsewhere: Path
) -> None:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    try:
        assert same(monai.bundle.load(NAME, bundle_dir=str(bundle.parent)), weights)
        assert root.level == level
        assert root.handlers == []  # fileConfig takes off what there was
        assert logging.getLogger("monai_selfcleanse.anything").isEnabledFor(logging.INFO)
    finally:
        root.handlers[:] = handlers
        for name in ("monai_selfcleanse", "ignite"):
            logger = logging.getLogger(name)
            logger.handlers, logger.level, logger.propagate = [], logging.NOTSET, True


def test_workflow_of_images_given_by_hand(bundle: Path, phantom: Path, elsewhere: Path) -> None:
    run = monai.bundle.create_workflow(
        config_file=str(bundle / "configs" / "inference.json"),
        workflow_type="inference",
        bundle_root=str(bundle),
        logging_file=False,
    )
    image = phantom / "patient001" / "patient001_frame01.nii.gz"
    run.dataset_data = [{"image": str(image)}]
    run.initialize()
    run.run()
    assert run.evaluator.state.output[0]["pred"].shape[1:] == nib.load(image).shape


def test_run_in_the_bundles_folder(
    bundle: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    monai.bundle.run(
        config_file="configs/inference.json",
        dataset_dir=str(phantom / "patient002"),
        output_dir=str(tmp_path),
        logging_file=False,
    )
    images = [p.name for p in (phantom / "patient002").glob("*.nii.gz") if "_gt" not in p.name]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(images)


def test_python_in_the_model_card(
    bundle: Path, weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    root = logging.getLogger()
    handlers = list(root.handlers)
    blocks = re.findall(r"```python\n(.*?)```", (bundle / "docs" / "README.md").read_text(), re.DOTALL)
    assert len(blocks) == 2
    try:
        for block in blocks:
            names: dict[str, Any] = {}
            exec(block, names)
            assert same(names["network"], weights)
            assert not names["network"].training
        assert names["logits"].shape == (1, 4, 192, 192)
    finally:
        root.handlers[:] = handlers


def test_inference_needs_no_package_of_ours() -> None:
    for name in ("inference.json", "inference_trt.json", "hippocampus_inference.json"):
        assert "selfcleanse" not in (ROOT / "bundle" / "configs" / name).read_text(), name


def test_tensorrt_overlay_keeps_the_network_where_there_is_no_tensorrt(
    bundle: Path, weights: dict[str, torch.Tensor], phantom: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("it would be compiled")
    run = infer(bundle, phantom / "patient001", tmp_path / "out", "inference_trt.json")
    assert run.check_properties() == []
    assert same(run.parser.get_parsed_content("network"), weights)
    assert run.parser.get_parsed_content("trt_args")["dynamic_batchsize"] == [1, 16, 16]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="needs the repository")
def test_zip_of_the_repository_is_a_bundle(
    bundle: Path, weights: dict[str, torch.Tensor], tmp_path: Path, elsewhere: Path
) -> None:
    command = re.search(r"^git archive .*$", (ROOT / "README.md").read_text(), re.MULTILINE)[0].split()
    assert command[-1] == "HEAD:bundle"
    archive = tmp_path / "archive" / command[command.index("-o") + 1]
    archive.parent.mkdir()
    command[command.index("-o") + 1] = str(archive)
    subprocess.run(command, cwd=ROOT, check=True)
    monai.bundle.download(name=NAME, bundle_dir=str(tmp_path), url=archive.as_uri())
    unpacked = tmp_path / NAME
    if not (unpacked / "models" / "model.pt").exists():
        shutil.copytree(bundle / "models", unpacked / "models")
    network = monai.bundle.load(
        NAME, bundle_dir=str(tmp_path), workflow_type="inference", args_file={"logging_file": False}
    )
    assert same(network, weights)


# The result lies on the input's own grid.


def stored(image: nib.Nifti1Image, order: tuple[int, int, int]) -> nib.Nifti1Image:
    """The same image in space with its axes in another order."""
    affine = image.affine.copy()
    affine[:, :3] = affine[:, list(order)]
    return nib.Nifti1Image(np.asarray(image.dataobj).transpose(order), affine)


@pytest.fixture(scope="module")
def images(frame: nib.Nifti1Image) -> dict[str, nib.Nifti1Image]:
    voxels = np.asarray(frame.dataobj)[:, :, 2:5]
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_euler("xyz", [50, 30, 70], degrees=True).as_matrix() @ frame.affine[:3, :3]
    oblique[:3, 3] = 17, -40, 3
    original = nib.Nifti1Image(voxels, oblique)
    quarter_turn = np.array([[0.0, -1, 0, 7], [1, 0, 0, -3], [0, 0, 1, 11], [0, 0, 0, 1]])
    reversed_affine = oblique.copy()
    reversed_affine[:3, 3] += (voxels.shape[2] - 1) * oblique[:3, 2]
    reversed_affine[:3, 2] *= -1
    return {
        "original": original,
        "upright": nib.Nifti1Image(voxels, frame.affine),
        "quarter_turned": nib.Nifti1Image(voxels, quarter_turn @ frame.affine),
        "slices_first": stored(original, (2, 0, 1)),
        "slices_second": stored(original, (0, 2, 1)),
        "upside_down": nib.Nifti1Image(voxels[:, :, ::-1], reversed_affine),
        "transposed": stored(original, (1, 0, 2)),
        "cropped": nib.Nifti1Image(voxels[31:98, 20:75, :2], oblique),
        "one_slice": nib.Nifti1Image(voxels[:, :, 2:], oblique),
        "tiny": nib.Nifti1Image(voxels[50:59, 50:57, :2], oblique),
        "anisotropic": nib.Nifti1Image(voxels[::3], oblique @ np.diag([3.0, 1, 1, 1])),
        "fine": nib.Nifti1Image(voxels[:60, :60, :2], oblique @ np.diag([0.4, 0.4, 1, 1])),
        "large": nib.Nifti1Image(np.tile(voxels[:, :, :1], (2, 2, 1)), oblique),
        "float_scaled": nib.Nifti1Image(voxels / 1000 - 3, oblique),
    }


@pytest.fixture(scope="module")
def segmented(bundle: Path, images: dict[str, nib.Nifti1Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("grids")
    (folder / "in").mkdir()
    for name, image in images.items():
        nib.save(image, folder / "in" / f"{name}.nii.gz")
    infer(bundle, folder / "in", folder / "out")
    return folder / "out"


def test_every_segmentation_has_its_images_shape_and_affine(
    segmented: Path, images: dict[str, nib.Nifti1Image]
) -> None:
    assert sorted(p.name for p in segmented.iterdir()) == sorted(f"{name}.nii.gz" for name in images)
    for name, image in images.items():
        result = nib.load(segmented / f"{name}.nii.gz")
        assert result.shape == image.shape, name
        np.testing.assert_allclose(result.affine, image.affine, atol=1e-4, err_msg=name)
        assert result.get_data_dtype() == np.uint8
        assert read_nifti(segmented / f"{name}.nii.gz").max() <= 3


@pytest.mark.parametrize(
    ("name", "back"),
    [
        ("slices_first", lambda x: x.transpose(1, 2, 0)),
        ("slices_second", lambda x: x.transpose(0, 2, 1)),
        ("upside_down", lambda x: x[:, :, ::-1]),
    ],
)
def test_the_same_slices_stored_otherwise_are_segmented_alike(name: str, back: Any, segmented: Path) -> None:
    original = read_nifti(segmented / "original.nii.gz")
    assert len(np.unique(original)) > 1
    np.testing.assert_array_equal(back(read_nifti(segmented / f"{name}.nii.gz")), original)


@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ("upright", "quarter_turned", 0.0),
        # MONAI begins the grid of an oblique image a fraction of a pixel elsewhere
        ("upright", "original", 0.1),
        ("original", "float_scaled", 1e-3),
    ],
)
def test_position_and_units_have_no_influence(one: str, other: str, share: float, segmented: Path) -> None:
    first, second = (read_nifti(segmented / f"{name}.nii.gz") for name in (one, other))
    assert (first != second).mean() <= share


def settings(value: Any) -> Any:
    """All attributes of a transform and of the transforms in it."""
    if isinstance(value, (list, tuple)):
        return [settings(item) for item in value]
    return {k: settings(v) for k, v in vars(value).items()} if isinstance(value, Transform) else repr(value)


def test_an_image_leaves_no_trace_in_the_transforms_that_all_requests_share(
    images: dict[str, nib.Nifti1Image], bundle: Path, tmp_path: Path
) -> None:
    """MONAI Label answers requests in threads: what one image sets, another one in the same moment would get."""
    preprocessing = parser_of(bundle, "inference.json").get_parsed_content("preprocessing")
    seen = []
    for name in ("original", "quarter_turned", "upside_down"):
        nib.save(images[name], tmp_path / f"{name}.nii.gz")
        preprocessing({"image": str(tmp_path / f"{name}.nii.gz")})
        seen.append(settings(preprocessing))
    assert seen[1] == seen[2] == seen[0]


# Bad input: one clear error.


def write_weights(path: Path, kind: str, weights: dict[str, torch.Tensor]) -> None:
    if kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif kind == "whole network":
        torch.save(torch.nn.Linear(1, 1), path)
    elif kind == "tensor":
        torch.save(torch.zeros(3), path)
    elif kind == "nested":
        torch.save({"model": weights, "epoch": 3}, path)
    elif kind == "of DataParallel":
        torch.save({f"module.{k}": v for k, v in weights.items()}, path)
    elif kind == "other shape":
        torch.save({k: v[:1] if v.ndim else v for k, v in weights.items()}, path)


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        ("missing", r"model\.pt' (is missing|cannot be read as a state dict).*--ckpt_path"),
        ("text", r"model\.pt' (is missing, or no state dict|cannot be read as a state dict)"),
        ("whole network", r"model\.pt' (is missing, or no state dict|cannot be read as a state dict)"),
        ("tensor", r"does not fit network_def: 131 entries are missing, unknown or of another shape"),
        ("nested", r"does not fit network_def: 133 entries .* such as epoch, model, .* flat state dict"),
        ("of DataParallel", r"does not fit network_def: 262 entries"),
        ("other shape", r"does not fit network_def: \d+ entries"),
    ],
)
@pytest.mark.parametrize(
    ("run", "refusal"),
    [(infer, lambda match: pytest.raises(SystemExit, match=match)), (evaluate, refused), (audit, refused)],
)
def test_weights_that_do_not_fit_are_refused(
    run: Any,
    refusal: Any,
    kind: str,
    match: str,
    bundle: Path,
    weights: dict[str, torch.Tensor],
    phantom: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.pt"
    write_weights(path, kind, weights)
    with refusal(match):
        run(bundle, phantom, tmp_path / "out", ckpt_path=str(path))
    assert not list(tmp_path.glob("out/**/*.*"))


def test_folder_without_images_is_named(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit, match=rf"dataset_dir '{tmp_path}' holds no image: expected .nii or .nii.gz"):
        infer(bundle, tmp_path, tmp_path / "out")


def test_images_are_never_overwritten(bundle: Path, frame: nib.Nifti1Image, tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "images" / "a.nii.gz", np.asarray(frame.dataobj))
    (tmp_path / "link").symlink_to(tmp_path / "images")
    before = image.read_bytes()
    for output in ("images", "link", "images/.."):
        if output == "images/..":  # above the images, nothing is in the way
            infer(bundle, tmp_path / "images", tmp_path / output)
            assert (tmp_path / "a.nii.gz").exists()
        else:
            with pytest.raises(SystemExit, match="would have images of dataset_dir overwritten by their segmentations"):
                infer(bundle, tmp_path / "images", tmp_path / output)
    assert image.read_bytes() == before


def test_labels_and_segmentations_of_an_earlier_run_are_no_images(
    bundle: Path, frame: nib.Nifti1Image, tmp_path: Path
) -> None:
    for name in ("imagesTs/a", "labelsTs/a", "labelsTr/b", "patient_gt.d/c", "d_gt", "d_4d", "out/e"):
        write_nifti(tmp_path / f"{name}.nii.gz", np.asarray(frame.dataobj))
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser["dataset_dir"], parser["output_dir"] = str(tmp_path), str(tmp_path / "out")
    found = [str(Path(f).relative_to(tmp_path)) for f in parser.get_parsed_content("image_files")]
    assert found == ["imagesTs/a.nii.gz", "patient_gt.d/c.nii.gz"]


def test_files_that_are_no_volumes_are_all_named(bundle: Path, frame: nib.Nifti1Image, tmp_path: Path) -> None:
    voxels = np.asarray(frame.dataobj)
    (tmp_path / "photo.nii").write_bytes(b"\x89PNG\r\n\x1a\n" * 100)
    write_nifti(tmp_path / "cine.nii.gz", np.stack([voxels, voxels], -1))
    write_nifti(tmp_path / "slice.nii.gz", voxels[:, :, 0])
    write_nifti(tmp_path / "good.nii.gz", voxels)
    with pytest.raises(SystemExit) as caught:
        infer(bundle, tmp_path, tmp_path / "out")
    message = str(caught.value)
    assert "3 images are no 3-D NIfTI volumes" in message
    assert re.search(r"cine\.nii\.gz: \(\d+, \d+, \d+, 2\)", message)
    assert re.search(r"slice\.nii\.gz: \(\d+, \d+\)", message)
    assert "photo.nii: no NIfTI file" in message
    assert "good.nii" not in message
    assert not (tmp_path / "out").exists()


def test_labels_out_of_range_are_named_in_evaluation(bundle: Path, phantom: Path, tmp_path: Path) -> None:
    shutil.copytree(phantom, tmp_path / "data")
    label = tmp_path / "data" / "patient001" / "patient001_frame01_gt.nii.gz"
    write_nifti(label, read_nifti(label) + 2, nib.load(label).affine)
    with refused(r"patient001_frame01_gt\.nii\.gz: holds the values \[4, 5\]"):
        evaluate(bundle, tmp_path / "data", tmp_path / "out")
