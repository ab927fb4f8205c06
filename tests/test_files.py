"""Files that are either whole or not there."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from helpers import files_below

from monai_selfcleanse.files import (
    atomic_folder,
    atomic_path,
    check_writable,
    free_folder,
    hold_folder,
    only_process,
    remove_unfinished,
    staged,
    temporary_folder,
    umask,
)


def test_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "a.txt"
    with atomic_path(target) as part:
        part.write_text("whole")
        assert not target.exists()
        assert part.parent == target.parent
    assert target.read_text() == "whole"
    assert files_below(target.parent) == ["a.txt"]


def test_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with atomic_path(str(target)) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_error_leaves_nothing_new_behind(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write_half() -> None:
        with atomic_path(target) as part:
            part.write_text("ne")
            raise error

    with pytest.raises(error):
        write_half()
    assert files_below(tmp_path) == ["a.txt"]
    assert target.read_text() == "old"


def test_folder_in_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="a"), atomic_path(tmp_path / "a") as part:
        part.write_text("")
    assert files_below(tmp_path) == ["a"]


def test_temporary_name_keeps_the_ending(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a.nii.gz") as part:
        assert part.name.endswith(".nii.gz")


def test_file_gets_the_usual_permissions(tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    with atomic_path(tmp_path / "a") as part:
        part.write_text("")
    usual, ours = (stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("usual", "a"))
    assert usual == ours


def test_permissions_of_others_files_do_not_change_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the whole process would have it, threads too"))
    with atomic_path(tmp_path / "a") as part:
        part.write_text("")


def test_a_folder_appears_as_a_whole_and_replaces_its_own_kind_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out"
    for content in ("first", "second"):
        with atomic_folder(target, lambda folder: (folder / "ours").exists()) as part:
            (part / "ours").write_text(content)
            assert not target.exists() or (target / "ours").read_text() == "first"
    assert files_below(tmp_path / "new") == ["out", "out/ours"]
    assert (target / "ours").read_text() == "second"
    assert stat.S_IMODE(target.stat().st_mode) == 0o777 & ~umask()


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_not_ours_is_left_alone(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "out"
    if kind == "file":
        target.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    else:
        target.mkdir()
        (target / "mine").write_text("")
    before = files_below(tmp_path)
    with pytest.raises(ValueError, match="out is in the way"), atomic_folder(target, lambda folder: False):
        pytest.fail("the block must not run")
    assert files_below(tmp_path) == before


def test_an_error_leaves_the_folder_as_it_was(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_folder(tmp_path / "out", lambda folder: True) as part:
            (part / "new").write_text("")
            raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("")
    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert files_below(tmp_path) == ["out", "out/old"]


KILLED_BETWEEN_THE_RENAMES = """
import os, sys
from pathlib import Path
from monai_selfcleanse.files import atomic_folder

rename = Path.rename
def once(self, target):
    rename(self, target)
    os._exit(9)

with atomic_folder(sys.argv[1], lambda folder: True) as part:
    (part / "new").write_text("")
    Path.rename = once
"""


@pytest.mark.slow
def test_what_a_killed_process_had_moved_aside_comes_back(tmp_path: Path) -> None:
    target = tmp_path / "b"
    for name in ("a-b", "b"):  # one ends as the other is called
        (tmp_path / name).mkdir()
        (tmp_path / name / "old").write_text(name)
        command = [sys.executable, "-c", KILLED_BETWEEN_THE_RENAMES, str(tmp_path / name)]
        assert subprocess.run(command, check=False).returncode == 9
        assert not (tmp_path / name).exists()
    with pytest.raises(RuntimeError), atomic_folder(target, lambda folder: (folder / "old").exists()):
        raise RuntimeError
    assert (target / "old").read_text() == "b"
    assert not (tmp_path / "a-b").exists()
    with atomic_folder(target, lambda folder: (folder / "old").exists()) as part:
        (part / "new").write_text("")
    assert files_below(target) == ["new"]


def test_one_process_at_a_time_writes_to_a_path(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out", lambda folder: True) as part:
        (part / "first").touch()
        with (
            pytest.raises(ValueError, match="out is in use by another run: wait for its end, or give another folder"),
            atomic_folder(tmp_path / "out", lambda folder: True),
        ):
            pytest.fail("the block must not run")
        with atomic_folder(tmp_path / "other"):
            pass
    assert files_below(tmp_path) == ["other", "out", "out/first"]


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_appears_meanwhile_is_left_alone(kind: str, tmp_path: Path) -> None:
    target, before = tmp_path / "out", []

    def write_while_it_appears() -> None:
        with atomic_folder(target) as part:
            (part / "new").touch()
            if kind == "file":
                target.write_text("mine")
            elif kind == "link":
                target.symlink_to(tmp_path)
            else:
                target.mkdir()
                (target / "mine").touch()
            before.extend(path for path in files_below(tmp_path) if not path.startswith("."))

    with pytest.raises(ValueError, match="out is in the way"):
        write_while_it_appears()
    assert files_below(tmp_path) == before


def test_unfinished_files_of_killed_processes_are_deleted_and_nothing_else(tmp_path: Path) -> None:
    kept = [".part-of-mine", "part-abcdefgh.pt", ".partition", "below/.part-abcdefgh.pt"]
    for name in [*kept, ".part-abcdefgh", ".part-01234567.nii.gz", ".part/report.html"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".part-abcdefg_").symlink_to(tmp_path / "below")
    with atomic_path(tmp_path / "a.nii.gz") as part, temporary_folder(tmp_path) as folder:
        left = part.name, folder.name
    for name in left:  # as the two name theirs
        (tmp_path / name).touch()
    remove_unfinished(tmp_path, tmp_path / "there is none")
    assert files_below(tmp_path) == sorted([*kept, "a.nii.gz", "below"])


def test_a_link_in_the_place_of_a_temporary_folder_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "old").mkdir()
    with atomic_folder(tmp_path / "out" / "export") as part:
        work = part.parent.name
    for name in (work, ".part"):
        (tmp_path / "out" / name).symlink_to(tmp_path / "elsewhere")
    with atomic_folder(tmp_path / "out" / "export") as part:
        (part / "new").touch()
    write_staged(tmp_path / "out", "new")
    assert files_below(tmp_path / "elsewhere") == ["old"]


def write_staged(folder: Path, text: str, error: BaseException | None = None) -> None:
    with staged(folder, before=lambda: shutil.rmtree(folder / "b", ignore_errors=True)) as part:
        (part / "a").write_text(text)
        (part / "b").mkdir()
        (part / "b" / text).touch()
        if error is not None:
            raise error


def test_staged_files_move_together_when_the_block_ends_well(tmp_path: Path) -> None:
    (tmp_path / ".part").mkdir()
    (tmp_path / ".part" / "of a killed process").touch()
    for text in ("old", "new"):
        write_staged(tmp_path, text)
        assert files_below(tmp_path) == ["a", "b", f"b/{text}"]
    assert (tmp_path / "a").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError(), KeyboardInterrupt()])
def test_an_error_leaves_nothing_staged_and_what_was_there(error: BaseException, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(type(error)):
        write_staged(tmp_path, "new", error)
    assert files_below(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_a_process_may_ask_again_for_a_folder_that_it_holds(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    lock = FileLock(folder / ".lock")  # as another process would take it
    try:
        hold_folder(folder)
        hold_folder(str(folder))
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
        with only_process(folder):
            pass
        with pytest.raises(Timeout):
            lock.acquire(timeout=0)
    finally:
        free_folder(folder)
    with lock, pytest.raises(ValueError, match="out is in use by another run: wait for its end, or give another"):
        hold_folder(folder)
    free_folder(folder)


def test_a_folder_is_said_to_be_writable_without_being_made(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "deeper")
    assert files_below(tmp_path) == []
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match=r"table_dir '.*file.*' cannot be written: .*file is a file; give another"):
            check_writable(path, "table_dir")


LONG = {
    "two bytes a letter": ("é" * 120 + "long", ".nii.gz"),
    "250 bytes": ("x" * 243, ".nii.gz"),
    "255 bytes": ("x" * 251, ".csv"),
    "dots in front": ("..", ".npy"),
    "a dot far from the end": ("x." + "y" * 250, ""),
    "no ending": ("x" * 255, ""),
}


@pytest.mark.parametrize(("stem", "ending"), LONG.values(), ids=LONG.keys())
def test_names_as_long_as_file_systems_allow_can_be_written(stem: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / (stem + ending)
    with atomic_path(path) as part:
        assert part.name.startswith(".part-")
        assert part.name.endswith(ending)
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["é" * 125, "x" * 255])
def test_folders_of_long_names_are_written_and_replaced(name: str, tmp_path: Path) -> None:
    for text in ("first", "second"):
        with atomic_folder(tmp_path / name, lambda folder: True) as part:
            (part / text).touch()
        assert files_below(tmp_path) == [name, f"{name}/{text}"]
