"""The layout of an output folder, what a run may replace there, and what an earlier one has left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers import files_below

from monai_selfcleanse.cases.apart import check_apart
from monai_selfcleanse.data.noisy_cohort import discard_noisy_labels, make_noisy_labels
from monai_selfcleanse.earlier_results import set_aside
from monai_selfcleanse.files import atomic_folder, free_folder
from monai_selfcleanse.run_folder import RunFolder


def write_results(folder: Path, text: str) -> None:
    """What an audit leaves: three files and a folder."""
    (folder / "cleansed_labels" / "labelsTr").mkdir(parents=True)
    for name in ("report.html", "label_report.csv", "slices.csv", "cleansed_labels/labelsTr/a.nii.gz"):
        (folder / name).write_text(text)


def test_every_name_lies_right_in_the_folder_and_nothing_is_made(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    names = ("cleansed_labels", "noisy_labels", "phantom", "cases", "models", "tensorboard", "evaluation")
    assert [getattr(folder, name) for name in names] == [tmp_path / "out" / name for name in names]
    files = {folder.page, folder.label_report, folder.slices, folder.unreadable, folder.raters}
    assert {path.parent for path in files} == {tmp_path / "out"}
    assert (folder.weights(), folder.checkpoint()) == (
        tmp_path / "out" / "models" / "model.pt",
        tmp_path / "out" / "models" / "checkpoint" / "last.pt",
    )
    assert (folder.weights("w"), folder.checkpoint("w")) == (Path("w/model.pt"), Path("w/checkpoint/last.pt"))
    assert os.fspath(folder) == str(tmp_path / "out")
    assert RunFolder(folder).path == folder.path
    assert folder.results() == []
    assert not folder.path.exists()


def test_results_are_what_is_there_in_the_order_of_the_closing_table(tmp_path: Path) -> None:
    write_results(tmp_path, "")
    assert RunFolder(tmp_path).results() == [
        ("suspects, with pictures", str(tmp_path / "report.html")),
        ("suspects, ranked", str(tmp_path / "label_report.csv")),
        ("slices to look at", str(tmp_path / "slices.csv")),
        ("cleansed labels", str(tmp_path / "cleansed_labels")),
    ]


def test_each_earlier_run_keeps_its_results_in_a_folder_of_its_own(tmp_path: Path) -> None:
    folder, weights = RunFolder(tmp_path / "out"), tmp_path / "elsewhere" / "model.pt"
    weights.parent.mkdir()
    assert set_aside(folder, weights) is None
    for n, text in enumerate(("first", "second"), 1):
        write_results(folder.path, text)
        weights.write_text(text)
        (folder.path / "notes.txt").write_text("mine")
        (folder.path / "cases").mkdir(exist_ok=True)
        before = files_below(folder.path)
        aside = set_aside(folder, weights, tmp_path / "there is none.pt")
        assert aside == folder.path / "earlier" / str(n)
        assert sorted(path.name for path in folder.path.iterdir()) == ["cases", "earlier", "notes.txt"]
        moved = [name for name in before if name not in ("cases", "notes.txt") and not name.startswith("earlier")]
        assert files_below(aside) == sorted([*moved, "model.pt"])
        assert weights.read_text() == text  # a copy, for they may be in use
    for n, text in enumerate(("first", "second"), 1):
        aside = folder.path / "earlier" / str(n)
        assert {path.read_text() for path in aside.rglob("*") if path.is_file()} == {text}
    assert set_aside(folder, weights) is None
    assert files_below(folder.path / "earlier")[:1] == ["1"]
    assert not (folder.path / "earlier" / "3").exists()


class KilledError(BaseException):
    """The process ends here."""


def killed_at(step: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, but that its call of that number, from 0 on, does not happen."""
    calls = iter(range(1000))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == step:
            raise KilledError
        return function(*args, **kwargs)

    return call


def with_results(path: Path) -> RunFolder:
    """Results and weights of a first run."""
    folder = RunFolder(path)
    write_results(path, "first")
    folder.models.mkdir()
    folder.weights().write_text("first")
    return folder


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("what", ["copy", "rename"])
def test_results_that_a_killed_process_was_setting_aside_end_up_together(
    what: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_results(tmp_path / "out")
    with monkeypatch.context() as patch:
        if what == "copy":
            patch.setattr(shutil, "copy2", killed_at(0, shutil.copy2))
        else:
            patch.setattr(Path, "rename", killed_at(step, Path.rename))
        with pytest.raises(KilledError):
            set_aside(folder, folder.weights())
    assert folder.weights().read_text() == "first"
    assert set_aside(folder, folder.weights()) == folder.path / "earlier" / "1"
    whole = ["cleansed_labels", "cleansed_labels/labelsTr", "cleansed_labels/labelsTr/a.nii.gz", "label_report.csv"]
    assert files_below(folder.path / "earlier") == ["1", *(f"1/{name}" for name in [*whole, "model.pt", *REST])]
    folder.weights().write_text("second")
    assert set_aside(folder) is None
    assert (folder.path / "earlier" / "1" / "model.pt").read_text() == "first"


REST = ["report.html", "slices.csv"]


def test_what_a_resumed_run_writes_is_not_mixed_with_what_a_killed_one_had_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_results(tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed_at(2, Path.rename))
        with pytest.raises(KilledError):
            set_aside(folder, folder.weights())
    shutil.rmtree(folder.cleansed_labels)
    write_results(folder.path, "second")
    folder.weights().write_text("second")
    set_aside(folder, folder.weights())
    assert {path.read_text() for path in (folder.path / "earlier" / "1").iterdir()} == {"first"}
    assert {path.read_text() for path in (folder.path / "earlier" / "2").rglob("*") if path.is_file()} == {"second"}
    assert (folder.path / "earlier" / "2" / "cleansed_labels").is_dir()


def test_a_full_disk_leaves_results_and_weights_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = with_results(tmp_path / "out")
    before = files_below(folder.path)
    usage = shutil.disk_usage(tmp_path)._replace(free=4)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        with pytest.raises(
            ValueError, match=r"no room to keep its weights \(5 bytes, 4 are free\): make room, or give"
        ):
            set_aside(folder, folder.weights())
    assert files_below(folder.path) == before

    def full(source: Path, target: Path) -> None:
        Path(target).write_text("fir")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy2", full)
        with pytest.raises(OSError, match="No space left"):
            set_aside(folder, folder.weights())
    assert [path for path in files_below(folder.path) if not path.startswith("earlier")] == before
    set_aside(folder, folder.weights())
    assert (folder.path / "earlier" / "1" / "model.pt").read_text() == "first"


def test_weights_without_a_report_are_kept_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    folder.models.mkdir(parents=True)
    for n, text in enumerate(("first", "second"), 1):
        folder.weights().write_text(text)
        assert set_aside(folder, folder.weights()) == folder.path / "earlier" / str(n)
        assert set_aside(folder, folder.weights()) is None
    assert files_below(folder.path / "earlier") == ["1", "1/model.pt", "2", "2/model.pt"]


def test_what_killed_runs_have_left_is_deleted_when_the_next_one_takes_the_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    places = [folder.path, folder.cases / "seen", folder.cases / "targets" / "3"]
    weights = [tmp_path / "weights", tmp_path / "weights" / "checkpoint"]
    for place in [*places, *weights]:
        place.mkdir(parents=True, exist_ok=True)
        (place / ".part-abcdefgh.npz").touch()
    write_results(folder.path, "first")
    with atomic_folder(tmp_path / "out" / "cleansed_labels", lambda path: True) as part:
        work = part.parent
        shutil.copytree(folder.cleansed_labels, part, dirs_exist_ok=True)
    work.mkdir()
    folder.cleansed_labels.rename(work / "old")  # it was killed between the two renames
    try:
        with folder.only_run():
            assert not list(folder.path.rglob(".part*"))
            assert (folder.cleansed_labels / "labelsTr" / "a.nii.gz").read_text() == "first"
        assert len(list((tmp_path / "weights").rglob(".part*"))) == 2
        folder.hold(tmp_path / "weights")
        assert not list((tmp_path / "weights").rglob(".part*"))
    finally:
        folder.free(tmp_path / "weights")


def case(folder: Path) -> dict[str, str]:
    return {"image": str(folder / "image.nii.gz"), "label": str(folder / "label.nii.gz")}


@pytest.mark.parametrize("key", ["image", "label", "second channel"])
def test_a_case_in_a_folder_that_is_replaced_is_refused(key: str, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    good, bad = case(tmp_path / "data"), case(tmp_path / "data")
    inside = str(folder.cleansed_labels / "labelsTr" / "a.nii.gz")
    if key == "second channel":
        bad["image"] = [bad["image"], inside]
    else:
        bad[key] = inside
    check_apart(folder.replaced(True), [good])
    for makes_noise in (False, True):
        with pytest.raises(ValueError, match=r"a\.nii\.gz lies in .*/out/cleansed_labels', which would be replaced"):
            check_apart(folder.replaced(makes_noise), [good, bad])


def test_noisy_labels_are_replaced_by_a_run_alone_that_makes_noise(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "out")
    item = case(folder.noisy_labels / "nested")
    check_apart(folder.replaced(), [item])
    with pytest.raises(ValueError, match="which would be replaced: give another folder"):
        check_apart(folder.replaced(True), [item])


@pytest.mark.parametrize("what", ["data", "output folder", "label"])
def test_links_do_not_hide_that_a_case_would_be_replaced(what: str, tmp_path: Path) -> None:
    folder, data = RunFolder(tmp_path / "out"), tmp_path / "data"
    folder.cleansed_labels.mkdir(parents=True)
    label = folder.cleansed_labels / "label.nii.gz"
    label.touch()
    item = case(data)
    if what == "data":  # the data set is a link into the output folder
        data.symlink_to(folder.cleansed_labels)
    elif what == "label":  # a file of it is
        data.mkdir()
        (data / "label.nii.gz").symlink_to(label)
    else:  # the output folder is named by a link
        (tmp_path / "link").symlink_to(folder.path)
        folder, item = RunFolder(tmp_path / "link"), item | {"label": str(label)}
    with pytest.raises(ValueError, match="which would be replaced: give another folder"):
        check_apart(folder.replaced(), [item])


def test_a_link_in_what_is_replaced_is_no_file_of_ours_but_goes_with_it(tmp_path: Path) -> None:
    """Its target stays, and yet the case's path would be gone."""
    folder, own = RunFolder(tmp_path / "out"), tmp_path / "mine.nii.gz"
    folder.cleansed_labels.mkdir(parents=True)
    own.touch()
    (folder.cleansed_labels / "a.nii.gz").symlink_to(own)
    item = {"image": str(own), "label": str(folder.cleansed_labels / "a.nii.gz")}
    with pytest.raises(ValueError, match="which would be replaced: give another folder"):
        check_apart(folder.replaced(), [item])


def test_noisy_labels_of_a_training_are_deleted_and_anything_else_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    try:
        discard_noisy_labels(folder)
        made = make_noisy_labels(folder)
        (made / "a.nii.gz").touch()
        with pytest.raises(ValueError, match="noisy_labels is not of an earlier training"):
            make_noisy_labels(folder)
        discard_noisy_labels(folder)
        assert not made.exists()
        made.mkdir()
        (made / "mine.nii.gz").touch()
        discard_noisy_labels(folder)
        assert files_below(made) == ["mine.nii.gz"]
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "noisy_labels"]
    finally:
        free_folder(tmp_path)
