"""Which image files a folder holds."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import pytest

from monai_selfcleanse.core.case_id import ENDINGS
from monai_selfcleanse.data.listing import (
    UNREAD,
    Locator,
    entries,
    image_file,
    image_files,
    subfolders,
    unread_images,
    warn_of_unread,
)

NFC, NFD = (unicodedata.normalize(form, "Ärzte") for form in ("NFC", "NFD"))


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"?")


def test_what_is_nobodys_making_is_passed_over(tmp_path: Path) -> None:
    touch(tmp_path / "b.nii", tmp_path / "._b.nii", tmp_path / ".DS_Store", tmp_path / "__MACOSX" / "a.nii")
    touch(tmp_path / "a" / "x.nii", tmp_path / "@eaDir" / "b.nii", tmp_path / ".git" / "b.nii")
    assert [path.name for path in entries(tmp_path)] == ["a", "b.nii"]
    assert subfolders(tmp_path) == [tmp_path / "a"]


def test_entries_are_sorted_by_the_names_that_are_compared(tmp_path: Path) -> None:
    for name in (f"{NFD}_2", f"{NFC}_1", "B", "a"):
        touch(tmp_path / name)
    assert [unicodedata.normalize("NFC", p.name) for p in entries(tmp_path)] == ["B", "a", f"{NFC}_1", f"{NFC}_2"]


def test_special_characters_of_patterns_are_characters(tmp_path: Path) -> None:
    folder = tmp_path / "st[1]udy*?" / "b{a,c}"
    touch(folder / "c[0-9].nii.gz")
    assert image_files(folder, [])[0] == {"c[0-9]": folder / "c[0-9].nii.gz"}


@pytest.mark.parametrize("ending", [*ENDINGS, *(ending.upper() for ending in ENDINGS), ".Nii.Gz"])
@pytest.mark.parametrize("name", ["case", "two words", "v1.2.3", "#4", "x" * 240, NFC, "a\nb", ".5"])
def test_every_ending_and_name_is_found(tmp_path: Path, name: str, ending: str) -> None:
    touch(tmp_path / f"{name}{ending}", tmp_path / f"{name}.txt", tmp_path / f"{name}.json")
    problems: list[str] = []
    hidden = name.startswith(".")
    assert image_files(tmp_path, problems) == ({} if hidden else {name: tmp_path / f"{name}{ending}"}, set())
    assert problems == []


@pytest.mark.parametrize(
    "names",
    [("a.nii", "a.nii.gz"), ("a.nii.gz", "a.nrrd"), ("a.mha", "a.png", "a.tif"), (f"{NFC}.nii", f"{NFD}.nii.gz")],
)
def test_two_files_of_one_case_are_named_and_none_is_taken(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path / "b.nii", *(tmp_path / name for name in names))
    problems: list[str] = []
    files, lost = image_files(tmp_path, problems)
    assert (list(files), lost) == (["b"], {unicodedata.normalize("NFC", names[0]).split(".")[0]})
    assert len(problems) == len(names) - 1
    for name, line in zip(names[1:], problems, strict=True):
        assert line == f"{tmp_path / name}: is of the same case as {names[0]}; keep one of them"


def test_the_one_image_in_a_folder_named_like_an_image_is_taken(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii" / "W39_Segm.nii", tmp_path / "a.nii" / "._W39_Segm.nii", tmp_path / "a.nii" / "notes.txt")
    problems: list[str] = []
    assert image_files(tmp_path, problems)[0] == {"a": tmp_path / "a.nii" / "W39_Segm.nii"}
    assert problems == []


@pytest.mark.parametrize("n", [0, 2])
def test_a_folder_named_like_an_image_with_another_number_of_images_is_named(tmp_path: Path, n: int) -> None:
    (tmp_path / "a.nii").mkdir()
    touch(*(tmp_path / "a.nii" / f"{i}.nii" for i in range(n)))
    problems: list[str] = []
    assert image_files(tmp_path, problems) == ({}, {"a"})
    assert problems == [
        f"{tmp_path / 'a.nii'}: is a folder, though it is named like an image, and holds {n} images: put the right one "
        "in its place"
    ]


@pytest.mark.parametrize("kind", ["nowhere", "loop", "pipe"])
def test_what_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.nii"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path if kind == "loop" else tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"a\.nii: is (a link that leads nowhere|no file)"):
        image_file(path)
    problems: list[str] = []
    assert image_files(tmp_path, problems) == ({}, {"a"})
    assert len(problems) == 1


@pytest.mark.parametrize("kind", ["nowhere", "loop", "forbidden"])
def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    if kind == "forbidden":  # root may read all

        def listdir(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(os, "listdir", listdir)
    else:
        folder.symlink_to(folder if kind == "loop" else tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"folder: the folder cannot be read \([^\n]*; see to its rights, or take it"):
        entries(folder)


def test_a_key_stands_for_the_name_or_passes_it_over(tmp_path: Path) -> None:
    touch(tmp_path / "1.nii", tmp_path / "01.nii", tmp_path / "x.nii", tmp_path / "2.nii")
    problems: list[str] = []
    files, lost = image_files(tmp_path, problems, lambda name: int(name) if name.isdecimal() else None)
    assert (list(files), lost, len(problems)) == ([2], {1}, 1)


@pytest.mark.parametrize("ending", [*UNREAD, ".MGZ"])
def test_formats_that_are_not_read_are_counted_and_named_once(
    tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    folders = tmp_path / "one", tmp_path / "two"
    touch(*(folder / f"a{ending}" for folder in folders), folders[0] / "a.nii", folders[0] / f"._a{ending}")
    said = unread_images(folders)
    assert said.startswith(
        f"2 files are passed over, of formats that are not read: {ending.lower()} (2), such as "
        f"{folders[0] / f'a{ending}'}; convert"
    )
    with caplog.at_level(logging.WARNING):
        warn_of_unread(folders)
        warn_of_unread(folders, lambda name: None)
    assert [record.message for record in caplog.records] == [said]


def test_files_that_are_no_images_are_passed_over_without_a_word(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.nii", "a.txt", "a.json", "README", "a.csv", "a.raw", "a.nii.gz.md5")))
    assert unread_images([tmp_path]) == ""
    assert list(image_files(tmp_path, [])[0]) == ["a"]


@pytest.mark.parametrize("asked", [NFC, NFD])
@pytest.mark.parametrize("there", [NFC, NFD])
def test_a_path_is_found_in_the_disks_form_of_unicode(tmp_path: Path, asked: str, there: str) -> None:
    touch(tmp_path / there / "x" / f"{there}.nii")
    locator = Locator()
    for _ in range(2):
        assert locator(tmp_path / asked / "x" / f"{asked}.nii") == tmp_path / there / "x" / f"{there}.nii"
    assert locator(tmp_path / asked / "x" / "other.nii") is None
    assert locator(tmp_path / asked / "y" / f"{asked}.nii") is None


def test_a_path_may_be_a_folder_with_one_image_and_no_other(tmp_path: Path) -> None:
    touch(tmp_path / "a.nii" / "b.nii")
    (tmp_path / "empty").mkdir()
    assert Locator()(tmp_path / "a.nii") == tmp_path / "a.nii" / "b.nii"
    with pytest.raises(ValueError, match="empty: is a folder"):
        Locator()(tmp_path / "empty")
    assert Locator()(tmp_path / "a.nii" / "b.nii" / "c.nii") is None
    assert Locator()(f"{tmp_path}/{'x' * 300}.nii") is None
    assert Locator()(f"{tmp_path}/a\0.nii") is None
