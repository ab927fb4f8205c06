"""One contract for all label noise, as array and as dictionary transform."""

from __future__ import annotations

import hashlib
import inspect
import json
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor
from monai.transforms import Compose, LazyTransform, MapTransform, RandomizableTrait, Transform

from monai_selfcleanse import noise as noise_package
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.data.noisy_cohort import choose_patients
from monai_selfcleanse.noise import (
    PRESETS,
    Annotator,
    ContourKnotLabel,
    DilateLabel,
    DropLabel,
    DropLabeld,
    ElasticLabel,
    ErodeLabel,
    ErodeLabeld,
    ExtendLabel,
    FalsePositiveLabel,
    LabelNoise,
    LabelNoised,
    MarkovWalkLabel,
    PolygonLabel,
    RotateLabel,
    ScaleLabel,
    ShiftLabel,
    SmoothLabel,
    SwapLabel,
    apply_noise,
    make_annotator,
    replay,
)

Image = np.ndarray | torch.Tensor
Maker = Callable[..., LabelNoise]

BASIC: dict[str, Maker] = {
    "erode to a Dice": partial(ErodeLabel, (0.4, 0.8)),
    "erode in mm": partial(ErodeLabel, (1.0, 3.0), "mm"),
    "erode by radius": partial(ErodeLabel, (0.2, 0.8), "radius"),
    "dilate to a Dice": partial(DilateLabel, (0.4, 0.8)),
    "dilate in mm": partial(DilateLabel, (1.0, 3.0), "mm"),
    "dilate by radius": partial(DilateLabel, (0.2, 0.8), "radius"),
    "drop structure": partial(DropLabel, "structure"),
    "drop slices": partial(DropLabel, "slices"),
    "drop components": partial(DropLabel, "components"),
    "sparse slices": partial(DropLabel, "sparse"),
    "interpolated slices": partial(DropLabel, "sparse", gap="interpolated"),
    "contour knots": ContourKnotLabel,
    "contour knots in mm": partial(ContourKnotLabel, (1.0, 3.0), "mm", 8),
    "Markov walk": MarkovWalkLabel,
    "Markov walk in steps": partial(MarkovWalkLabel, (1, 5), "steps", (0.0, 1.0)),
    "polygon in mm": partial(PolygonLabel, (2.0, 6.0), "mm"),
    "smooth": SmoothLabel,
    "smooth by radius": partial(SmoothLabel, (0.5, 1.0), "radius"),
    "shift": ShiftLabel,
    "shift in mm": partial(ShiftLabel, (2.0, 6.0), "mm"),
    "rotate": RotateLabel,
    "rotate in degrees": partial(RotateLabel, (10, 30), "degrees"),
    "scale": ScaleLabel,
    "scale in percent": partial(ScaleLabel, (20, 60), "percent"),
    "elastic": ElasticLabel,
    "elastic in mm": partial(ElasticLabel, (1.0, 2.0), "mm", 5.0),
    "false positives": FalsePositiveLabel,
    "false positives by radius": partial(FalsePositiveLabel, (0.5, 1.0), "radius", 3),
    "extend": ExtendLabel,
    "extend to a Dice": partial(ExtendLabel, (0.9, 0.95), "dice"),
}
SWAPS: dict[str, Maker] = {"swap": SwapLabel, "swap some slices": partial(SwapLabel, (0.3, 0.7))}
ANNOTATORS: dict[str, Maker] = {f"annotator {preset}": partial(make_annotator, preset) for preset in PRESETS}
MAKERS = BASIC | SWAPS | ANNOTATORS
ARRAY_FORMS: dict[str, type[LabelNoise]] = {
    name: value
    for name, value in vars(noise_package).items()
    if isinstance(value, type) and issubclass(value, LabelNoise) and name.endswith("Label")
}
AFFINE = torch.diag(torch.tensor([1.5, 1.5, 4.0, 1.0], dtype=torch.float64))
CASES = [f"patient{i:03d}" for i in range(8)]

every_noise = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
every_basic_noise = pytest.mark.parametrize("make", BASIC.values(), ids=BASIC.keys())
both_forms = pytest.mark.parametrize("form", ["array", "dictionary"])


def hearty_label(ndim: int = 3) -> np.ndarray:
    """Structure 1 in two parts, and structure 3 enclosed by structure 2; channel first."""
    label = np.zeros((18, 18, 8), dtype=np.uint8)
    label[1:6, 1:6, 1:7] = 1
    label[1:3, 13:16, 2:5] = 1
    label[8:16, 8:16, 1:7] = 2
    label[10:14, 10:14, 2:6] = 3
    return label[None] if ndim == 3 else label[None, ..., 3]


def awkward_labels() -> dict[str, np.ndarray]:
    empty = np.zeros((1, 6, 6, 3), dtype=np.uint8)
    one_voxel, corner, full, flat = empty.copy(), empty.copy(), empty + 1, np.zeros((1, 7, 9, 1), dtype=np.uint8)
    one_voxel[0, 3, 3, 1] = 1
    corner[0, :3, :3, :2] = 1
    corner[0, 3:, 3:, 2:] = 2
    flat[0, 2:5, 2:6] = 1
    thread = np.zeros((1, 9, 9), dtype=np.uint8)
    thread[0, 4] = 1
    return {
        "empty": empty,
        "one voxel": one_voxel,
        "corners": corner,
        "full": full,
        "one slice": flat,
        "thread": thread,
    }


AWKWARD = awkward_labels()


def as_kind(kind: str, label: np.ndarray) -> Image:
    if kind == "numpy":
        return label.copy()
    tensor = torch.as_tensor(label.copy())
    return tensor if kind == "torch" else MetaTensor(tensor, affine=AFFINE, meta={"filename_or_obj": "a.nii.gz"})


def as_numpy(image: Image) -> np.ndarray:
    return image.numpy() if isinstance(image, torch.Tensor) else image


def apply(form: str, noise: LabelNoise, image: Image, case: str = "case") -> Image:
    if form == "array":
        return noise(image, case)
    return LabelNoised("label", noise)({"label": image, "case": case})["label"]


def check_records(before: np.ndarray, after: np.ndarray, records: list[dict[str, Any]], spacing: list[float]) -> None:
    """The records are plain JSON; each moves one structure's border against background, or swaps two; they replay."""
    label = before
    for record in json.loads(json.dumps(records, allow_nan=False)):
        step = apply_noise(label, record, spacing)
        changed = step != label
        assert set(label[changed]) | set(step[changed]) <= {0, record["structure"], record.get("other", 0)}
        label = step
    np.testing.assert_array_equal(label, after)


@both_forms
@every_noise
@pytest.mark.parametrize("kind", ["numpy", "torch", "MetaTensor"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_comes_out_as_it_went_in_but_for_the_noise(form: str, make: Maker, kind: str, ndim: int) -> None:
    image = as_kind(kind, hearty_label(ndim))
    out = apply(form, make(seed=1), image)
    assert type(out) is type(image)
    assert (out.dtype, tuple(out.shape)) == (image.dtype, tuple(image.shape))
    np.testing.assert_array_equal(as_numpy(image), hearty_label(ndim))
    assert not np.shares_memory(as_numpy(out), as_numpy(image))
    if isinstance(out, MetaTensor) and isinstance(image, MetaTensor):
        assert torch.equal(out.affine, image.affine)
        assert out.meta["filename_or_obj"] == "a.nii.gz"
        assert set(out.meta) == set(image.meta)
        assert out.applied_operations == image.applied_operations


@pytest.mark.slow
@every_noise
@given(data=st.data(), dtype=st.sampled_from(["uint8", "int16", "int64", "float32", "float64"]))
@settings(max_examples=12)
def test_records_replay_on_any_label(make: Maker, data: st.DataObject, dtype: str) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))
    label = data.draw(hnp.arrays(np.uint8, (1, *shape), elements=st.integers(0, 3))).astype(dtype)
    before = label.copy()
    out, records = make(seed=3).with_records(label, "case")
    np.testing.assert_array_equal(label, before)
    assert (out.dtype, out.shape) == (label.dtype, label.shape)
    check_records(label[0].astype(np.int64), out[0], records, [1.0] * len(shape))


@every_noise
@pytest.mark.parametrize("case", CASES)
def test_records_replay_on_a_hearty_label(make: Maker, case: str) -> None:
    label = hearty_label()
    out, records = make(seed=0).with_records(label, case, (1.5, 1.5, 4.0))
    check_records(label[0], out[0], records, [1.5, 1.5, 4.0])


@pytest.mark.slow
@every_noise
@pytest.mark.parametrize("label", AWKWARD.values(), ids=AWKWARD.keys())
def test_records_replay_on_an_awkward_label(make: Maker, label: np.ndarray) -> None:
    for case in CASES:
        out, records = make(seed=0).with_records(label, case)
        check_records(label[0], out[0], records, [1.0] * (label.ndim - 1))


@pytest.mark.slow
@both_forms
@every_noise
def test_same_seed_and_case_give_the_same_in_any_order(form: str, make: Maker) -> None:
    label = hearty_label()
    noise, shipped = make(seed=5), pickle.loads(pickle.dumps(make(seed=5)))
    forwards = {case: apply(form, noise, label, case) for case in CASES}
    backwards = {case: apply(form, shipped, label, case) for case in reversed(CASES)}
    alone = {case: apply(form, make(seed=5), label, case) for case in CASES}
    for case in CASES:
        np.testing.assert_array_equal(forwards[case], backwards[case])
        np.testing.assert_array_equal(forwards[case], alone[case])


@pytest.mark.parametrize("workers", [0, 2])
def test_same_in_a_loader_with_and_without_workers(workers: int) -> None:
    """And batches hold cases that are corrupted, by patient, beside others."""
    steps = [ErodeLabeld("label", patients=["a", "c"]), DropLabeld("label", "slices", patients=["a", "d"])]
    data = [{"label": hearty_label(), "case": case} for case in ("a", "b", "c", "d")]
    batches = list(DataLoader(Dataset(data, Compose(steps)), batch_size=2, num_workers=workers))
    labels = np.concatenate([batch["label"].numpy() for batch in batches])
    records = [json.loads(text) for batch in batches for text in batch["label_noise"]]
    models = [sorted({record["model"] for record in some}) for some in records]
    assert models == [["drop_slices", "erosion"], [], ["erosion"], ["drop_slices"]]
    for item, label, some in zip(data, labels, records, strict=True):
        np.testing.assert_array_equal(label[0], replay(item["label"][0], some, (1.0, 1.0, 1.0)))


def test_noise_is_the_same_on_every_platform() -> None:
    """Hashes written down once; a change of them changes every benchmark's noise."""
    digests = {}
    for preset in ("boundary", "missing", "mixed"):
        outs = [make_annotator(preset, 0)(hearty_label(), str(i), (1.5, 1.5, 4.0)) for i in range(5)]
        digests[preset] = hashlib.sha256(np.stack(outs).tobytes()).hexdigest()[:12]
    assert digests == GOLDEN


def test_same_transform_for_other_structures_draws_anew() -> None:
    one, other = (DropLabel(structures=[k], prob=0.5) for k in (1, 2))
    hits = [[bool(t.with_records(hearty_label(), str(i))[1]) for i in range(200)] for t in (one, other)]
    assert 70 <= sum(np.equal(*hits)) <= 130


def test_global_random_state_has_no_say_and_is_left_alone() -> None:
    outs = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        outs.append([make(seed=0)(hearty_label(), "case") for make in MAKERS.values()])
        after = np.random.random()  # noqa: NPY002
        np.random.seed(seed)  # noqa: NPY002
        assert np.random.random() == after  # noqa: NPY002
    np.testing.assert_array_equal(outs[0], outs[1])


def chancy(make: Maker, seed: int) -> LabelNoise:
    """With a prob under 1, so that dropping, which otherwise leaves nothing to chance, differs between cases."""
    return make(seed=seed) if make in ANNOTATORS.values() else make(seed=seed, prob=0.5)


@pytest.mark.slow
@both_forms
@every_noise
def test_cases_differ(form: str, make: Maker) -> None:
    outs = {as_numpy(apply(form, chancy(make, 0), hearty_label(), case)).tobytes() for case in CASES}
    assert len(outs) > 1


@pytest.mark.slow
@both_forms
@every_noise
def test_seeds_differ(form: str, make: Maker) -> None:
    outs = {as_numpy(apply(form, chancy(make, seed), hearty_label())).tobytes() for seed in range(8)}
    assert len(outs) > 1


@every_noise
def test_something_happens(make: Maker) -> None:
    out, records = make(seed=0).with_records(hearty_label(), "case")
    assert records
    assert (out != hearty_label()).any()


@every_basic_noise
def test_prob_of_zero_is_the_identity(make: Maker) -> None:
    label = hearty_label()
    out, records = make(prob=0.0).with_records(label, "case")
    np.testing.assert_array_equal(out, label)
    assert not np.shares_memory(out, label)
    assert records == []


@pytest.mark.slow
@every_basic_noise
def test_prob_is_the_share_of_structures(make: Maker) -> None:
    x, y = np.mgrid[-12:13, -12:13]
    label = ((np.abs(x + np.cos(y)) < 8) & (np.abs(y) < 4))[None].astype(np.uint8)
    label[0, 22:24, 9:11] = 1
    noise = make(prob=0.25, structures=[1])
    hits = sum(bool(noise.with_records(label, str(i))[1]) for i in range(400))
    assert 70 <= hits <= 130  # 100 +- 3.5 standard deviations


@every_noise
def test_absent_structure_is_the_identity(make: Maker) -> None:
    out, records = make(structures=[9]).with_records(hearty_label(), "case")
    np.testing.assert_array_equal(out, hearty_label())
    assert records == []


@every_noise
def test_empty_label_stays_empty(make: Maker) -> None:
    out, records = make().with_records(AWKWARD["empty"], "case")
    assert not out.any()
    assert records == []


@every_noise
def test_only_the_asked_structures_are_touched(make: Maker) -> None:
    label = hearty_label()
    for case in CASES:
        out, records = make(structures=[1]).with_records(label, case)
        assert {record["structure"] for record in records} <= {1}
        np.testing.assert_array_equal(out[label > 1], label[label > 1])


@every_noise
def test_is_a_deterministic_transform(make: Maker) -> None:
    for transform in (make(), LabelNoised("label", make())):
        assert isinstance(transform, Transform)
        assert not isinstance(transform, (RandomizableTrait, LazyTransform))


@pytest.mark.slow
@every_noise
def test_cache_dataset_caches_it(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    noise, calls = make(seed=2), []
    corrupt = noise.corrupt
    monkeypatch.setattr(noise, "corrupt", lambda *args: calls.append(args[1]) or corrupt(*args))
    data = [{"label": hearty_label(), "case": case} for case in CASES[:3]]
    dataset = CacheDataset(data, Compose([LabelNoised("label", noise)]), num_workers=1, progress=False)
    epochs = [[dataset[i]["label"] for i in range(3)] for _ in range(2)]
    assert sorted(calls) == CASES[:3]
    np.testing.assert_array_equal(epochs[0], epochs[1])
    np.testing.assert_array_equal(epochs[0], [make(seed=2)(hearty_label(), case) for case in CASES[:3]])


BAD_LABELS = {
    "one-hot": (np.eye(4)[hearty_label()[0]].transpose(3, 0, 1, 2), "channel-first index map"),
    "no channel": (hearty_label(2)[0], "channel-first index map"),
    "negative": (hearty_label().astype(np.int16) - 1, "at least 0, got -1"),
    "soft": (hearty_label() * 0.5, "whole numbers"),
    "NaN": (np.where(hearty_label() == 1, np.nan, 0.0), "whole numbers"),
    "infinite": (np.where(hearty_label() == 1, np.inf, 0.0), "whole numbers"),
}


@both_forms
@pytest.mark.parametrize("make", [BASIC["erode in mm"], ANNOTATORS["annotator mixed"]])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
@pytest.mark.parametrize(("label", "message"), BAD_LABELS.values(), ids=BAD_LABELS.keys())
def test_what_is_no_index_map_is_refused(form: str, make: Maker, kind: str, label: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apply(form, make(), as_kind(kind, label))


@every_noise
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 1.0, -2.0), (1.0, float("nan"), 1.0)])
def test_impossible_spacing_is_refused(make: Maker, spacing: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="case 'heart': spacing must be 3 positive numbers"):
        make()(hearty_label(), "heart", spacing)


NAN = float("nan")
GOLDEN = {"boundary": "595ad50e5fe4", "missing": "5e25bcc90898", "mixed": "c62b1d816c3d"}
ANNOTATOR = PRESETS["mixed"]
BAD_ARGUMENTS: list[tuple[Callable[..., LabelNoise], Mapping[str, Any], str]] = [
    *((make, {"prob": prob}, "prob must lie in") for make in BASIC.values() for prob in (-0.1, 1.1, NAN)),
    *((shift, {"unit": "cm"}, "unit must be") for shift in (ErodeLabel, DilateLabel)),
    *((shift, {"strength": s}, "strength in dice") for shift in (ErodeLabel, DilateLabel) for s in (0, 1.1, NAN)),
    (ErodeLabel, {"strength": (0.8, 0.4)}, "strength in dice"),
    (ErodeLabel, {"strength": -1.0, "unit": "mm"}, "strength in mm .* at least 0"),
    (DilateLabel, {"strength": (2.0, 1.0), "unit": "radius"}, "strength in radius .* at least 0"),
    (ErodeLabel, {"wobble": -0.1}, "wobble must be at least 0"),
    (DropLabel, {"what": "voxels"}, "what must be"),
    *((DropLabel, {"what": "slices", "fraction": f}, "fraction must be") for f in (0, 1.5, (0.5, 0.2), NAN)),
    (Annotator, ANNOTATOR | {"dice": (0.9, 0.2)}, "strength in dice"),
    (Annotator, ANNOTATOR | {"fraction": (0.0, 0.2)}, "fraction must be"),
    (Annotator, ANNOTATOR | {"boundary": -1.0}, "weights must be at least 0"),
    (Annotator, ANNOTATOR | {"boundary": 0.0, "missing": 0.0}, "boundary or missing above it"),
    (make_annotator, {"preset": "drunk"}, "noise_preset 'drunk' is unknown; choose one of boundary, missing, mixed"),
]


@pytest.mark.parametrize(("make", "arguments", "message"), BAD_ARGUMENTS)
def test_bad_argument_is_refused(make: Maker, arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**arguments)


def test_unknown_model_in_a_record_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown noise model 'melt'"):
        apply_noise(hearty_label()[0], {"model": "melt", "structure": 1}, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(("target", "make"), [(t, m) for t in (0.4, 0.8, 0.95) for m in (ErodeLabel, DilateLabel)])
def test_strength_in_dice_is_the_dice_that_is_left(target: float, make: Maker) -> None:
    label = hearty_label()
    for case in CASES:
        out = make(target, structures=[2])(label, case)
        n = int((label == 2).sum())
        assert dice(out == 2, label == 2) == pytest.approx(target, abs=1 / n + 0.002)


def test_strengths_of_a_range_are_drawn_from_all_of_it() -> None:
    noise = ErodeLabel((2.0, 4.0), "mm", structures=[1])
    drawn = [noise.with_records(hearty_label(), str(i))[1][0]["distance_mm"] for i in range(100)]
    assert 2.0 <= min(drawn) < 2.2
    assert 3.8 < max(drawn) <= 4.0


def test_radius_is_a_fraction_of_the_inscribed_radius() -> None:
    label = np.zeros((1, 13, 13), dtype=np.uint8)
    label[0, 1:12, 1:12] = 1  # radius 6
    out = ErodeLabel(0.5, "radius", wobble=0.0, jitter=0.0)(label, "case")
    np.testing.assert_array_equal(out, ErodeLabel(3.0, "mm", wobble=0.0, jitter=0.0)(label, "case"))


def test_spacing_of_a_meta_tensor_is_its_own() -> None:
    noise = ErodeLabel(3.0, "mm", wobble=0.0, jitter=0.0)
    expected = noise(hearty_label(), "case", (1.5, 1.5, 4.0))
    np.testing.assert_array_equal(as_numpy(noise(as_kind("MetaTensor", hearty_label()), "case")), expected)
    assert (expected != noise(hearty_label(), "case")).any()


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_slices_are_dropped_from_one_end(axis: int) -> None:
    label = hearty_label()[0]
    others = tuple(a for a in range(3) if a != axis % 3)
    before = (label == 2).any(others)
    ends = set()
    for case in CASES:
        out = DropLabel("slices", 0.5, axis, structures=[2])(label[None], case)[0]
        after = (out == 2).any(others)
        assert after.sum() == before.sum() - round(0.5 * before.sum())
        assert np.flatnonzero(np.diff(after.astype(int))).size == 2  # still in one piece
        ends.add(bool(after[np.flatnonzero(before)[0]]))
    assert ends == {False, True}


def test_at_least_one_slice_is_dropped() -> None:
    label = hearty_label()
    out = DropLabel("slices", 0.01, structures=[1])(label, "case")
    assert (out[0] == 1).any((0, 1)).sum() == 5


def test_largest_component_is_never_dropped() -> None:
    label = hearty_label()
    for case in CASES:
        out = DropLabel("components", structures=[1])(label, case)
        np.testing.assert_array_equal(out[0, 1:6, 1:6], label[0, 1:6, 1:6])
        assert not out[0, 1:3, 13:16].any()


@pytest.mark.parametrize("preset", PRESETS)
def test_annotator_spoils_at_least_one_structure_of_every_case(preset: str) -> None:
    for i in range(30):
        assert make_annotator(preset).with_records(hearty_label(), str(i))[1]


@pytest.mark.parametrize("preset", ["boundary", "boundary_mild"])
def test_annotator_errs_with_one_sign_within_its_strength(preset: str) -> None:
    label, (low, high) = hearty_label(), PRESETS[preset]["dice"]
    signs = []
    for i in range(30):
        out, records = make_annotator(preset, structures=[1, 2]).with_records(label, str(i))
        models = {record["model"] for record in records}
        assert len(records) == 2
        assert len(models) == 1
        signs += models
        for k in (1, 2):
            n = int((label == k).sum())
            assert low - 1 / n - 0.002 <= dice(out == k, label == k) <= high + 1 / n + 0.002
    assert 0.4 < signs.count("erosion") / len(signs) < 0.95  # 0.7 is asked for


@pytest.mark.parametrize("preset", ["missing", "missing_mild"])
def test_forgetful_annotator_draws_no_wrong_border(preset: str) -> None:
    for i in range(30):
        out, records = make_annotator(preset).with_records(hearty_label(), str(i))
        assert {record["model"] for record in records} <= {"drop_structure", "drop_slices"}
        assert ((out == 0) | (out == hearty_label())).all()


def test_annotator_keeps_one_sign_a_case() -> None:
    over_draws = Annotator(1, 0, 0, (0.5, 0.6), (0.3, 0.4), erosion=0.0)
    _, records = over_draws.with_records(hearty_label(), "case")
    assert {r["structure"]: r["model"] for r in records} == {1: "dilation", 2: "dilation"}  # 3 cannot grow
    under_draws = Annotator(1, 0, 0, (0.5, 0.6), (0.3, 0.4), erosion=1.0)
    _, records = under_draws.with_records(hearty_label(), "case")
    assert {r["model"] for r in records} == {"erosion"}


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_annotator_corrupts_every_case_it_can(preset: str) -> None:
    """A voxel alone can but grow or go; a structure that fills the image can but shrink or go."""
    single, full = np.zeros((1, 7, 7, 5), dtype=np.uint8), np.ones((1, 5, 5, 3), dtype=np.uint8)
    single[0, 3, 3, 2] = 1
    for label in (single, full):
        for case in map(str, range(20)):
            noisy, records = make_annotator(preset, seed=2).with_records(label, case)
            assert records
            assert (noisy != label).any()


def test_annotator_draws_for_whole_cases_only() -> None:
    with pytest.raises(NotImplementedError, match="call corrupt"):
        make_annotator("mixed").sample(hearty_label()[0], 1, (1.0, 1.0, 1.0), np.random.default_rng(0))


def test_every_array_form_is_under_the_contract() -> None:
    tested = {make.func if isinstance(make, partial) else make for make in (*BASIC.values(), *SWAPS.values())}
    assert tested == set(ARRAY_FORMS.values())


@pytest.mark.parametrize("name", ARRAY_FORMS)
def test_dictionary_form_is_the_array_form(name: str) -> None:
    options = {"structures": [1, 2], "prob": 0.7, "seed": 4}
    dictionary = getattr(noise_package, name + "d")("label", **options)
    for case in CASES:
        expected, records = ARRAY_FORMS[name](**options).with_records(hearty_label(), case)
        out = dictionary({"label": hearty_label(), "case": case, "age": 40})
        np.testing.assert_array_equal(out["label"], expected)
        assert json.loads(out["label_noise"]) == [record | {"key": "label"} for record in records]
        assert out["age"] == 40


@pytest.mark.parametrize("name", ARRAY_FORMS)
def test_dictionary_form_tells_its_arguments(name: str) -> None:
    own = inspect.signature(ARRAY_FORMS[name]).parameters
    dictionary = getattr(noise_package, name + "d")
    told = inspect.signature(dictionary).parameters
    assert [*told] == ["keys", *own, "record_key", "patients", "allow_missing_keys"]
    assert name in dictionary.__doc__
    with pytest.raises(TypeError, match="stregth"):
        dictionary("label", stregth=1)


def test_dictionary_form_takes_arguments_by_position() -> None:
    out = ErodeLabeld("label", 2.0, "mm")({"label": hearty_label(), "case": "heart"})
    np.testing.assert_array_equal(out["label"], ErodeLabel(2.0, "mm")(hearty_label(), "heart"))


def test_only_the_chosen_patients_are_corrupted() -> None:
    patients = [f"p{i}" for i in range(10)]
    noise = DropLabeld("label", patients=choose_patients(patients, 0.3, 1))
    noisy = []
    for patient in patients:
        outs = [noise({"label": hearty_label(), "case": f"{patient}_{f}", "patient": patient}) for f in "ab"]
        assert len({bool(out["label"].any()) for out in outs}) == 1
        noisy += [patient] * (not outs[0]["label"].any())
    assert set(noisy) == choose_patients(patients, 0.3, 1)
    assert len(noisy) == 3
    whole = {"label": hearty_label(), "case": noisy[0], "patient": None}  # a case without a patient is its own
    assert not noise(whole)["label"].any()


@pytest.mark.parametrize("name", ARRAY_FORMS)
def test_dictionary_forms_have_their_three_names(name: str) -> None:
    forms = [getattr(noise_package, name + ending) for ending in ("d", "D", "Dict")]
    assert issubclass(forms[0], MapTransform)
    assert forms[0] is forms[1] is forms[2]


def test_dictionary_is_not_mutated() -> None:
    data = {"label": hearty_label(), "case": "a"}
    ErodeLabeld("label")(data)
    assert set(data) == {"label", "case"}
    np.testing.assert_array_equal(data["label"], hearty_label())


def test_records_of_transforms_in_a_row_are_appended() -> None:
    chain = Compose([ErodeLabeld("label", 0.7, structures=[1]), DropLabeld("label", structures=[2])])
    out = chain({"label": hearty_label(), "case": "a"})
    records = json.loads(out["label_noise"])
    assert [r["model"] for r in records] == ["erosion", "drop_structure"]
    check_records(hearty_label()[0], out["label"][0], records, [1.0] * 3)


def test_no_record_key_leaves_no_record() -> None:
    out = ErodeLabeld("label", record_key=None)({"label": hearty_label(), "case": "a"})
    assert set(out) == {"label", "case"}


def test_case_may_be_the_file_name_of_the_image() -> None:
    named = ErodeLabeld("label")({"label": hearty_label(), "case": "patient001_frame01"})
    by_file = ErodeLabeld("label")({"label": hearty_label(), "image": "/data/patient001_frame01.nii.gz"})
    np.testing.assert_array_equal(named["label"], by_file["label"])


def test_case_without_id_is_refused() -> None:
    with pytest.raises(KeyError, match="the case has no id: add a 'case' key"):
        ErodeLabeld("label")({"label": hearty_label()})


def test_missing_key_is_refused_unless_allowed() -> None:
    with pytest.raises(KeyError, match="mask"):
        ErodeLabeld("mask")({"label": hearty_label(), "case": "a"})
    out = ErodeLabeld("mask", allow_missing_keys=True)({"label": hearty_label(), "case": "a"})
    np.testing.assert_array_equal(out["label"], hearty_label())


@every_noise
def test_axis_the_label_lacks_is_refused(make: Maker) -> None:
    if "axis" in inspect.signature(make.func if isinstance(make, partial) else make).parameters:
        with pytest.raises(ValueError, match="axis must be one of the label's 3"):
            make(axis=3)(hearty_label(), "case")


@every_noise
def test_label_of_four_spatial_axes_is_refused(make: Maker) -> None:
    with pytest.raises(ValueError, match="2 or 3 spatial axes"):
        make()(hearty_label()[..., None], "case")


def test_half_precision_labels_and_numpy_strengths_work() -> None:
    label = torch.as_tensor(hearty_label()).to(torch.bfloat16)
    out = ErodeLabel(np.float32(2.0), "mm")(label, "case")
    assert out.dtype == torch.bfloat16
    np.testing.assert_array_equal(out.float().numpy(), ErodeLabel(2.0, "mm")(hearty_label(), "case"))


def test_endless_strength_is_refused() -> None:
    with pytest.raises(ValueError, match="strength in mm"):
        ShiftLabel(float("inf"), "mm")


def test_no_record_without_a_change() -> None:
    label = np.ones((1, 5, 5), dtype=np.uint8)  # nothing to grow into
    for transform in (DilateLabel(2.0, "mm"), ScaleLabel(25.0, "percent"), ExtendLabel()):
        out, records = transform.with_records(label, "3")
        assert bool(records) == (out != label).any()


def test_scaling_takes_the_direction_that_reaches_the_dice() -> None:
    label = np.ones((1, 21, 21), dtype=np.uint8)
    for case in map(str, range(10)):
        out, _ = ScaleLabel(0.7).with_records(label, case)
        assert dice(out == 1, label == 1) == pytest.approx(0.7, abs=0.05)
