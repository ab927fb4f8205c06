"""Checks of a data set's files: every kind of damage, named all at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import AFFINE, tiny_image, tiny_label, write_decathlon, write_nifti

from monai_selfcleanse.data import DatasetError, check_case, check_cases, find_cases
from monai_selfcleanse.data.checked import CheckedCases
from monai_selfcleanse.data.resampling import Resampling

Break = Callable[[Path, Path], object]


def good_case(folder: Path) -> tuple[Path, Path]:
    return write_nifti(folder / "a.nii.gz", tiny_image()), write_nifti(folder / "a_gt.nii.gz", tiny_label())


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def with_voxel(voxels: np.ndarray, value: float) -> np.ndarray:
    voxels = voxels.astype(np.float32)
    voxels[0, 0, 0] = value
    return voxels


def moved(by: float) -> np.ndarray:
    affine = AFFINE.copy()
    affine[0, 3] += by
    return affine


DAMAGE: dict[str, tuple[Break, str]] = {
    "other shape": (lambda _, label: write_nifti(label, tiny_label()[:, :-1]), "has shape 12 x 12 x 4, "),
    "other affine": (lambda _, label: write_nifti(label, tiny_label(), moved(2.0)), "a corner is off by 1.33 voxels"),
    "affine of NaN": (lambda _, label: write_nifti(label, tiny_label(), moved(np.nan)), "affine"),
    "truncated image": (lambda image, _: truncate(image), "damaged"),
    "truncated label": (lambda _, label: truncate(label), "damaged"),
    "missing label": (lambda _, label: label.unlink(), "cannot be opened (No such file or directory)"),
    "no NIfTI": (lambda image, _: image.write_bytes(b"no image at all"), "is no NIfTI file, or damaged"),
    "NaN": (lambda image, _: write_nifti(image, with_voxel(tiny_image(), np.nan)), "has 1 voxel that is NaN"),
    "infinity": (lambda image, _: write_nifti(image, with_voxel(tiny_image(), np.inf)), "has 1 voxel that is NaN"),
    "too large": (
        lambda image, _: write_nifti(image, with_voxel(tiny_image(), 0).astype(np.float64) + 1e300),
        "too large for 32-bit floats",
    ),
    "constant image": (lambda image, _: write_nifti(image, 0 * tiny_image() + 7), "is constant"),
    "5-D image": (
        lambda image, _: write_nifti(image, tiny_image()[..., None, None].repeat(3, -1).repeat(2, -2)),
        "expected 3 spatial axes, and one more for channels",
    ),
    "several channels": (
        lambda image, _: write_nifti(image, tiny_image()[..., None].repeat(3, -1)),
        "has 3 channels, the network takes 1; set in_channels (--in_channels 3)",
    ),
    "unknown values": (
        lambda _, label: write_nifti(label, tiny_label() * 2),
        "holds the values [4, 6], which are none of the known structures [0, 1, 2, 3]; name them in --structures",
    ),
    "negative values": (
        lambda _, label: write_nifti(label, -tiny_label().astype(np.int16)),
        "expected structure indices of at least 0, got -3",
    ),
    "interpolated label": (
        lambda _, label: write_nifti(label, with_voxel(tiny_label(), 0.5)),
        "holds 0.5, which is no whole number, and values from 0 to 3",
    ),
    "soft label among several structures": (
        lambda _, label: write_nifti(label, tiny_label().astype(np.float32) / 4),
        "is a soft label, fractions in [0, 1], which are read only where there is one structure; name it alone with",
    ),
    "channels that overlap": (
        lambda _, label: write_nifti(label, np.ones((12, 12, 4, 3), np.float32)),
        "has 3 channels with values from 1 to 1, which add up to between 3 and 3",
    ),
    "label of NaN": (lambda _, label: write_nifti(label, with_voxel(tiny_label(), np.nan)), "no whole number"),
}


def test_good_case_has_no_problem(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    assert check_case(str(image), str(label), [1, 2, 3]) == []


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
@pytest.mark.filterwarnings("ignore:invalid value")
def test_damage_is_named_with_its_file(tmp_path: Path, damage: Break, message: str) -> None:
    image, label = good_case(tmp_path)
    damage(image, label)
    problems = check_case(str(image), str(label), [1, 2, 3])
    assert any(message in problem for problem in problems)
    assert all(problem.startswith((f"{image}: ", f"{label}: ")) for problem in problems)


def test_damage_of_image_and_label_is_named_together(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    write_nifti(image, 0 * tiny_image())
    write_nifti(label, tiny_label() + 1)
    assert len(check_case(str(image), str(label), [1, 2, 3])) == 2


@pytest.mark.parametrize(
    "voxels", [0 * tiny_label(), tiny_label().astype(np.float32), (tiny_label() > 0) * np.uint8(2)]
)
def test_label_may_be_empty_or_partial_or_of_any_type(tmp_path: Path, voxels: np.ndarray) -> None:
    image, label = good_case(tmp_path)
    write_nifti(label, voxels)
    assert check_case(str(image), str(label), [1, 2, 3]) == []


def test_rounding_of_the_affine_is_passed_over(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    write_nifti(label, tiny_label(), moved(5e-4))
    assert check_case(str(image), str(label), [1, 2, 3]) == []


def test_flat_images_are_in_order(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "a.nii.gz", tiny_image()[..., 0])
    label = write_nifti(tmp_path / "a_gt.nii.gz", tiny_label()[..., 0])
    assert check_case(str(image), str(label), [1, 2, 3]) == []


def test_channels_are_counted_over_files_and_fourth_axes(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    two = write_nifti(tmp_path / "two.nii.gz", np.stack([tiny_image(1), tiny_image(2)], -1))
    for images, n in (([image, image], 2), (two, 2), ([image, two], 3)):
        images = str(images) if isinstance(images, Path) else [str(path) for path in images]
        assert check_case(images, str(label), [1, 2, 3], channels=n) == []
        (problem,) = check_case(images, str(label), [1, 2, 3], channels=4)
        assert f"the image has {n} channels, the network takes 4" in problem


def test_channels_that_all_images_have_too_many_of_are_named_once(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 problem .*\n.*1 channel, as have 2 others, the network takes 2"):
        check_cases(write_cases(tmp_path, 3), [1, 2, 3], channels=2)


def test_every_channel_is_looked_at(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    flat = write_nifti(tmp_path / "flat.nii.gz", np.stack([tiny_image(), 0 * tiny_image() + 7], -1))
    small = write_nifti(tmp_path / "small.nii.gz", tiny_image()[:-1])
    off = write_nifti(tmp_path / "off.nii.gz", tiny_image(1), moved(1.0))
    for other, message in (
        (flat, "flat.nii.gz: is constant in channel 1"),
        (small, "has shape 11 x 12 x 4, "),
        (off, f"off.nii.gz: lies elsewhere than {label}"),
    ):
        assert any(message in p for p in check_case([str(image), str(other)], str(label), [1, 2, 3], channels=2))


def write_cases(folder: Path, n: int) -> list[dict[str, str]]:
    paths = [good_case(folder / f"case{i:02d}") for i in range(n)]
    return [{"case": f"case{i:02d}", "image": str(a), "label": str(b)} for i, (a, b) in enumerate(paths)]


def test_good_data_set_passes(tmp_path: Path) -> None:
    check_cases(write_cases(tmp_path, 3), [1, 2, 3])


def test_one_error_names_all_broken_cases(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 5)
    truncate(Path(cases[1]["label"]))
    write_nifti(Path(cases[3]["image"]), 0 * tiny_image())
    write_nifti(Path(cases[4]["label"]), tiny_label() + 5)
    with pytest.raises(DatasetError, match="3 problems in the data set; mend these files or take them out") as caught:
        check_cases(cases, [1, 2, 3])
    message = str(caught.value)
    assert [f"case{i:02d}" in message for i in range(5)] == [False, True, False, True, True]


def test_many_problems_are_counted_and_twenty_shown(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 23)
    for i, case in enumerate(cases):
        write_nifti(Path(case["label"]), tiny_label() + np.uint8(4 + i))
    with pytest.raises(DatasetError, match="23 problems in the data set") as caught:
        check_cases(cases, [1, 2, 3], num_workers=0)
    assert str(caught.value).count("holds the values") == 20
    assert str(caught.value).endswith("... and 3 more")


def test_what_is_wrong_with_all_labels_is_said_once_with_the_remedy_first(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 6)
    Path(cases[5]["image"]).write_bytes(b"")
    with pytest.raises(DatasetError) as caught:
        check_cases(cases, [1, 2], num_workers=0)
    first, *lines = str(caught.value).splitlines()
    assert first == (
        "7 problems in the data set; mend these files or take them out of the folder, then start again (selfcleanse "
        "doctor names more of them):"
    )
    assert lines == [
        f"  6 files, such as {cases[0]['label']}: holds the values [3], which are none of the known structures "
        "[0, 1, 2]; name them in --structures; or, if it is nnU-Net's ignore label, give these voxels a class, or "
        "leave the case out",
        f"  {cases[5]['image']}: is empty",
    ]


def test_the_ignore_label_is_thought_of_only_where_it_may_be_one(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    (problem,) = check_case(str(image), str(label), [1])
    assert problem.endswith(
        "holds the values [2, 3], which are none of the known structures [0, 1]; name them in --structures"
    )
    write_nifti(label, tiny_label().astype(np.int16) * 1000)
    (problem,) = check_case(str(image), str(label), range(1, 256))
    assert "[1000, 2000, 3000], which are none of the known structures 0 to 255; name them" in problem


def test_earlier_problems_are_reported_along(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1 problem in the data set; mend.*\n  b\.nii\.gz: has no label"):
        check_cases(write_cases(tmp_path, 2), [1, 2, 3], ["b.nii.gz: has no label"])


def test_case_ids_must_be_unique(tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 2)
    with pytest.raises(ValueError, match=r"several cases have the same id \(case00\)"):
        check_cases([cases[0], cases[1] | {"case": "case00"}], [1, 2, 3])
    with pytest.raises(ValueError, match="several cases have the same image"):
        check_cases(cases[:1] * 2, [1, 2, 3])


def test_rounding_between_channels_is_passed_over(tmp_path: Path) -> None:
    image, label = good_case(tmp_path)
    other = write_nifti(tmp_path / "b.nii.gz", tiny_image(1), moved(1e-3))
    assert check_case([str(image), str(other)], str(label), [1, 2, 3], channels=2) == []


def test_what_is_tolerated_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases = write_cases(tmp_path, 4)
    for case in cases[:3]:
        write_nifti(Path(case["label"]), tiny_label(), np.eye(4))
    check_cases(cases, [1, 2, 3])
    (warning,) = [record.getMessage() for record in caplog.records if "position" in record.getMessage()]
    assert warning.startswith("3 of 4 cases say no position, and are taken as they lie, such as ")


def test_case_ids_must_be_unique_in_their_own_right(tmp_path: Path) -> None:
    cases = [case | {"case": "one"} for case in write_cases(tmp_path, 2)]
    with pytest.raises(ValueError, match="several cases have the same id"):
        check_cases(cases, [1, 2, 3])


@pytest.mark.parametrize(
    ("sizes", "odd"),
    [
        ((10, 1.5, 1.5), True),  # slice first
        ((1.5, 8, 1.4), True),
        ((1.5, 1.5, 10), False),
        ((0.9, 0.9, 0.4), False),  # slices thinner than pixels are wide
        ((1, 1, 1), False),
    ],
)
def test_slices_along_another_axis_are_warned_of(
    sizes: tuple[float, float, float], odd: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    affine = np.diag([*sizes, 1.0])
    image = write_nifti(tmp_path / "a.nii.gz", tiny_image(), affine)
    label = write_nifti(tmp_path / "a_gt.nii.gz", tiny_label(), affine)
    check_cases([{"image": image, "label": label}], [1, 2, 3])
    warnings = [r.getMessage() for r in caplog.records if r.levelname == "WARNING" and "slices" in r.getMessage()]
    assert bool(warnings) == odd
    if odd:
        assert f"such as {label} ({' x '.join(f'{s:g}' for s in sizes)} mm)" in warnings[0]


def test_structure_that_no_label_has_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cases = write_cases(tmp_path, 2)
    check_cases(cases, [1, 2, 3])
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    check_cases(cases, [1, 2, 3, 4])
    assert next(r.getMessage() for r in caplog.records if r.levelname == "WARNING").startswith(
        "no label has the structures [4] of [1, 2, 3, 4]"
    )


def test_images_that_do_not_fit_into_memory_are_refused_with_the_numbers(tmp_path: Path) -> None:
    """A spacing with a digit too few took 30 GB, and no end."""
    cases = find_cases(write_decathlon(tmp_path, 3))[0]
    check_cases(cases, [1, 2, 3], ndim=3, resampling=Resampling([1.5, 1.5, -1.0]))
    with pytest.raises(
        DatasetError, match=r"its 12 x 12 x 4 voxels of 1\.5 x 1\.5 x 10 mm become 12,960,000, and the 3"
    ):
        check_cases(cases, [1, 2, 3], ndim=3, resampling=Resampling([0.01, 0.01, -1.0], memory=700_000_000))
    check_cases(cases, [1, 2, 3], ndim=3, resampling=Resampling([0.01, 0.01, -1.0], 0.0, memory=700_000_000))
    with pytest.raises(DatasetError, match=r"where the machine has [\d,.]+ GB: give a larger --spacing, or hold fewer"):
        check_cases(cases, [1, 2, 3], ndim=3, resampling=Resampling([1e-4, 1e-4, -1.0]))
    with pytest.raises(DatasetError, match=r"12,960,000, which take 1\.1 GB, .*: give a larger --spacing$"):
        check_cases(
            cases, [1, 2, 3], ndim=3, resampling=Resampling([0.01, 0.01, -1.0], 0.0, memory=700_000_000, classes=10)
        )


def reads(caplog: pytest.LogCaptureFixture) -> str:
    """How many cases the last check has read, in words."""
    return [record.message for record in caplog.records if record.message.startswith("checking ")][-1]


def start(cases: list[dict[str, str]], file: Path, structures: Sequence[int] = (1, 2, 3)) -> None:
    """The checks at the start of a training."""
    checked = CheckedCases(file, structures, 3)
    check_cases(cases, structures, ndim=3, checked=checked)
    checked.write()


def test_a_case_is_read_again_only_when_its_files_have_changed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cases, file = write_cases(tmp_path / "data", 3), tmp_path / "out" / "checked.json"
    for expected in ("checking 3 cases", "checking 0 cases; 3 have not changed since they were"):
        start(cases, file)
        assert reads(caplog) == expected
    os.utime(cases[0]["label"], ns=(0, 0))
    Path(cases[1]["image"]).write_bytes(Path(cases[1]["image"]).read_bytes()[:-20])
    for expected in ("checking 2 cases; 1 have not", "checking 1 cases; 2 have not"):  # what is broken is named again
        with pytest.raises(DatasetError, match=r"(?s)1 problem.*case01"):
            start(cases, file)
        assert reads(caplog).startswith(expected)


def test_what_a_case_was_not_checked_for_is_checked(tmp_path: Path) -> None:
    cases, file = write_cases(tmp_path, 2), tmp_path / "checked.json"
    start(cases, file)
    with pytest.raises(DatasetError, match="none of the known structures"):
        start(cases, file, [1, 2])
    with pytest.raises(DatasetError, match="the network takes 2"):
        check_cases(cases, [1, 2, 3], ndim=3, channels=2, checked=CheckedCases(file, [1, 2, 3], 3))


@pytest.mark.parametrize("content", ["", "[]", "{", "7", '{"a": 1}', "\x00"])
def test_a_damaged_file_of_checks_is_as_none(content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cases, file = write_cases(tmp_path, 2), tmp_path / "checked.json"
    file.write_text(content)
    for expected in ("checking 2 cases", "checking 0 cases; 2 have not changed since they were"):
        start(cases, file)
        assert reads(caplog) == expected


def test_what_is_kept_in_part_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    cases, file = write_cases(tmp_path, 2), tmp_path / "checked.json"
    start(cases, file)
    kept = json.loads(file.read_text())
    del kept[min(kept)]["spacing"]
    file.write_text(json.dumps(kept))
    start(cases, file)
    assert reads(caplog) == "checking 1 cases; 1 have not changed since they were"


def test_a_data_set_that_is_refused_leaves_no_folder_behind(tmp_path: Path) -> None:
    cases = write_cases(tmp_path / "data", 1)
    Path(cases[0]["image"]).write_bytes(b"")
    with pytest.raises(DatasetError):
        start(cases, tmp_path / "out" / "checked.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("num_workers", [0, 1, 2, 3])
def test_workers_find_the_same_problems_in_the_same_order(num_workers: int, tmp_path: Path) -> None:
    cases = write_cases(tmp_path, 5)
    for i in (1, 3):
        Path(cases[i]["image"]).write_bytes(b"")
    with pytest.raises(DatasetError, match=r"(?s)2 problems.*case01.*case03"):
        check_cases(cases, [1, 2, 3], num_workers=num_workers)
