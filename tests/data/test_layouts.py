"""What holds in every layout: endings, names, and what is passed over or named."""

from __future__ import annotations

import json
import logging
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from monai_selfcleanse.cases.case import check_unique_cases, label_file_of
from monai_selfcleanse.core.case_id import ENDINGS
from monai_selfcleanse.data import cases_of_raters, find_cases
from monai_selfcleanse.data.noisy_copy import find_labels

NFC, NFD = (unicodedata.normalize(form, "Ärzte") for form in ("NFC", "NFD"))

PLACES = {
    "acdc": ("{}/{}_frame01", "{}/{}_frame01_gt"),
    "acdc, training": ("training/{}/{}_frame01", "training/{}/{}_frame01_gt"),
    "decathlon": ("imagesTr/{}", "labelsTr/{}"),
    "images": ("images/{}", "labels/{}"),
    "nnunet": ("imagesTr/{}_0000", "labelsTr/{}"),
    "datalist": ("some/{}", "others/{}_seg"),
}
"""Where image and label of a case lie without their ending, by layout."""

FOLDERS = [layout for layout in PLACES if layout != "datalist"]

every_layout = pytest.mark.parametrize("layout", PLACES)
every_folder = pytest.mark.parametrize("layout", FOLDERS)


def place(layout: str, name: str, which: int) -> str:
    pattern = PLACES[layout][which]
    return pattern.format(*[name] * pattern.count("{}"))


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"?")
    return path


def write(layout: str, root: Path, names: Sequence[str], ending: str = ".nii.gz", label: str | None = None) -> Path:
    """Write files of no content, and return what is to be given as dataset_dir. ``label``: its own ending."""
    entries = []
    for name in names:
        pair = {
            "image": place(layout, name, 0) + ending,
            "label": place(layout, name, 1) + (ending if label is None else label),
        }
        for file in pair.values():
            touch(root / file)
        entries.append(pair)
    if layout == "nnunet":
        (root / "dataset.json").write_text(json.dumps({"file_ending": ending, "channel_names": {"0": "MR"}}))
    if layout == "datalist":
        (root / "list.json").write_text(json.dumps(entries))
        return root / "list.json"
    return root


def names_of(cases: Sequence[dict[str, Any]]) -> list[str]:
    return [str(case["case"]).removesuffix("_frame01") for case in cases]


@every_layout
@pytest.mark.parametrize("ending", [*ENDINGS, ".NII.GZ", ".NII", ".Nrrd"])
def test_every_ending_is_read_and_kept(tmp_path: Path, layout: str, ending: str) -> None:
    dataset = write(layout, tmp_path, ["a", "b"], ending)
    cases, problems = find_cases(dataset)
    assert problems == []
    assert names_of(cases) == ["a", "b"]
    for case in cases:
        assert os.path.isfile(case["image"])
        assert os.path.isfile(case["label"])
        assert case["label"].endswith(ending)
        assert label_file_of(case).endswith(ending)
        assert label_file_of({key: value for key, value in case.items() if key != "file"}) == case["case"] + ending
    if layout != "datalist":
        assert [case["label"] for case in find_labels(dataset)] == [case["label"] for case in cases]


@every_layout
@pytest.mark.parametrize("label", [".nrrd", ".nii", ".PNG"])
def test_image_and_label_may_end_otherwise(tmp_path: Path, layout: str, label: str) -> None:
    cases, problems = find_cases(write(layout, tmp_path, ["a"], label=label))
    assert problems == []
    assert label_file_of(cases[0]).endswith(label)


@every_layout
@pytest.mark.parametrize("name", ["two words", "v1.2.nii.3", "#4 ?&%", "x" * 227, "st[1]udy*", "-rf", "ß" * 100])
def test_every_name_is_a_name(tmp_path: Path, layout: str, name: str) -> None:
    cases, problems = find_cases(write(layout, tmp_path / "da[t]a *", [name]))
    assert problems == []
    assert names_of(cases) == [name]
    assert os.path.isfile(cases[0]["label"])


@every_layout
@pytest.mark.parametrize(("image", "label"), [(NFC, NFD), (NFD, NFC), (NFD, NFD)])
def test_names_are_compared_in_one_form_of_unicode(tmp_path: Path, layout: str, image: str, label: str) -> None:
    dataset = write(layout, tmp_path, [NFC])
    for which, form in enumerate((image, label)):
        path = tmp_path / (place(layout, NFC, which) + ".nii.gz")
        path.rename(path.with_name(path.name.replace(NFC, form)))
    cases, problems = find_cases(dataset)
    assert problems == []
    assert names_of(cases) == [NFC]
    assert cases[0]["patient"] == (NFC if layout.startswith("acdc") else cases[0]["case"])
    assert Path(cases[0]["image"]).name.startswith(image)
    assert Path(cases[0]["label"]).name.startswith(label)
    check_unique_cases(cases)


@every_folder
def test_what_other_programs_leave_is_passed_over(
    tmp_path: Path, layout: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = write(layout, tmp_path, ["a", "b"])
    for which in (0, 1):
        for name in ("a", "c"):
            path = Path(place(layout, name, which) + ".nii.gz")
            shadow = path.with_name("._" + path.name)
            touch(tmp_path / shadow)
            touch(tmp_path / "__MACOSX" / shadow)
            touch(tmp_path / "__MACOSX" / path)
            touch(tmp_path / path.parent / "__MACOSX" / path.name)
        touch(tmp_path / path.parent / ".DS_Store")
        touch(tmp_path / path.parent / "notes.txt")
        touch(tmp_path / path.parent / "a.json")
    with caplog.at_level(logging.WARNING):
        cases, problems = find_cases(dataset)
    assert (names_of(cases), problems, caplog.records) == (["a", "b"], [], [])


@every_folder
@pytest.mark.parametrize("second", [".nii", ".nrrd", ".MHA", ".png"])
@pytest.mark.parametrize("which", [0, 1])
def test_two_files_of_one_case_are_one_problem(tmp_path: Path, layout: str, which: int, second: str) -> None:
    dataset = write(layout, tmp_path, ["a", "b"])
    own = tmp_path / (place(layout, "a", which) + ".nii.gz")
    other = touch(tmp_path / (place(layout, "a", which) + second))
    cases, problems = find_cases(dataset)
    first, later = sorted([own, other])
    assert names_of(cases) == ["b"]
    assert problems == [f"{later}: is of the same case as {first.name}; keep one of them"]
    if which == 1:
        with pytest.raises(ValueError, match=r"1 problem .*\n.*is of the same case as"):
            find_labels(dataset)


@every_layout
@pytest.mark.parametrize("which", [0, 1])
def test_the_image_in_a_folder_named_like_it_is_taken(tmp_path: Path, layout: str, which: int) -> None:
    dataset = write(layout, tmp_path, ["a", "b"])
    path = tmp_path / (place(layout, "a", which) + ".nii.gz")
    path.unlink()
    touch(path / "W39_Segm.nii")
    cases, problems = find_cases(dataset)
    assert problems == []
    assert names_of(cases) == ["a", "b"]
    assert cases[0][("image", "label")[which]] == str(path / "W39_Segm.nii")
    touch(path / "second.nii")
    cases, problems = find_cases(dataset)
    assert names_of(cases) == ["b"]
    assert len(problems) == 1
    assert f"{path}: is a folder, though it is named like an image, and holds 2 images" in problems[0]


@every_folder
@pytest.mark.parametrize("ending", [".mgz", ".mnc", ".IMG", ".dcm", ".nhdr", ".gipl.gz", ".jpg", ".npy"])
def test_formats_that_are_not_read_are_named_once(
    tmp_path: Path, layout: str, ending: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = write(layout, tmp_path, ["a", "b"])
    files = [touch(tmp_path / (place(layout, name, which) + ending)) for name in "cd" for which in (0, 1)]
    with caplog.at_level(logging.WARNING):
        cases, problems = find_cases(dataset)
    assert (names_of(cases), problems) == (["a", "b"], [])
    (record,) = caplog.records
    assert record.message.startswith(f"4 files are passed over, of formats that are not read: {ending.lower()} (4), ")
    assert any(str(file) in record.message for file in files)


@pytest.mark.parametrize("layout", [layout for layout in FOLDERS if layout != "nnunet"])
def test_a_data_set_of_such_formats_alone_is_refused_with_their_names(tmp_path: Path, layout: str) -> None:
    write(layout, tmp_path, ["a", "b"], ".mgz")
    with pytest.raises(ValueError, match=r"4 files are passed over, of formats that are not read: \.mgz \(4\)"):
        find_cases(tmp_path)


LIST = "write a JSON list of the cases (docs/how-to/own-data.md has a script for that)"


def said_of(dataset: Path) -> str:
    """The one line with which a data set is refused."""
    with pytest.raises(ValueError, match="dataset_dir") as caught:
        find_cases(dataset)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (["img/{}", "seg/{}"], "found 3 images in img/, 3 in seg/;"),
        (["{0}/{0}_t1", "{0}/{0}_seg"], "found 2 images in a/, 2 in b/, 2 in c/;"),
        (
            ["sub-{}/anat/x", "derivatives/manual/sub-{}/anat/x"],
            "found 1 image in derivatives/manual/sub-a/anat/, 1 in ",
        ),
        (["{}", "{}_seg"], "found 6 images in ./;"),
        ([], "found no image;"),
    ],
)
def test_a_folder_in_no_layout_is_told_what_it_holds(places: list[str], found: str, tmp_path: Path) -> None:
    for place in places:
        for name in "abc":
            touch(tmp_path / (place.format(name) + ".nii.gz"))
            touch(tmp_path / "__MACOSX" / f"{name}.nii.gz")
    said = said_of(tmp_path)
    assert said.startswith(f"dataset_dir '{tmp_path}' has none of the known layouts: {found}")
    assert f"; {LIST}, or rename the files: imagesTr/NAME.nii.gz and labelsTr/NAME.nii.gz, or as in ACDC " in said
    assert ("and 2 more;" in said) == ("sub-{}/anat/x" in places)


@pytest.mark.parametrize("layout", ["decathlon", "images"])
@pytest.mark.parametrize("image", ["", "_0000"])
@pytest.mark.parametrize("suffix", ["_seg", "_mask", "-label", "_GT"])
def test_labels_whose_names_have_more_than_the_images_are_one_line(
    layout: str, image: str, suffix: str, tmp_path: Path
) -> None:
    for name in ("a1", "b1", "b12"):
        touch(tmp_path / (place(layout, name, 0) + image + ".nii.gz"))
        touch(tmp_path / (place(layout, name, 1) + suffix + ".nii.gz"))
    ends = f"the labels' names end in {suffix!r}, the images' do not; rename the labels, or {LIST}"
    assert said_of(tmp_path) == f"dataset_dir '{tmp_path}': {ends}"
    touch(tmp_path / (place(layout, "a1", 1) + ".nii.gz"))
    cases, problems = find_cases(tmp_path)  # one case is enough to name the others that are broken
    assert (names_of(cases), len(problems)) == (["a1"], 5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("list.csv", f" is CSV; {LIST}"),
        ("list.XLSX", f" is a table of Excel; {LIST}"),
        ("none.json", ": there is no such file"),
        ("none.csv", ": there is no such file"),
        ("none", " is not a folder, nor a file: there is nothing of that name"),
    ],
)
def test_what_holds_no_cases_is_one_line(name: str, said: str, tmp_path: Path) -> None:
    for file in ("list.csv", "list.XLSX"):
        (tmp_path / file).write_text("image,label")
    assert said_of(tmp_path / name) == f"dataset_dir '{tmp_path / name}'{said}"


@every_layout
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["nowhere", "loop"])
def test_a_link_that_leads_nowhere_is_one_line(tmp_path: Path, layout: str, which: int, kind: str) -> None:
    dataset = write(layout, tmp_path, ["a", "b"])
    path = tmp_path / (place(layout, "a", which) + ".nii.gz")
    path.unlink()
    path.symlink_to(path if kind == "loop" else "nowhere")
    cases, problems = find_cases(dataset)
    assert names_of(cases) == ["b"]
    assert len(problems) == 1
    assert f"{path}: is a link that leads nowhere" in problems[0]


@every_folder
@pytest.mark.parametrize("kind", ["loop", "forbidden"])
def test_a_folder_that_cannot_be_read_is_one_line(
    tmp_path: Path, layout: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write(layout, tmp_path, ["a"])
    folder = (tmp_path / place(layout, "a", 1)).parent
    if kind == "loop":
        if layout.startswith("acdc"):
            folder = tmp_path / "loop"
            dataset = folder
        else:
            folder.rename(tmp_path / "aside")
        folder.symlink_to(folder)
    else:
        listdir = os.listdir

        def forbid(path: str | Path) -> list[str]:
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return listdir(path)

        monkeypatch.setattr(os, "listdir", forbid)
    with pytest.raises(ValueError, match=f"{folder.name}('|:) [^\n]*(leads nowhere|is not a folder|cannot be read)"):
        find_cases(dataset)


@pytest.mark.parametrize("content", [{"file_ending": None}, {"labels": ["background"]}, ["anything"]])
def test_a_dataset_json_without_a_file_ending_is_the_decathlons(tmp_path: Path, content: Any) -> None:
    write("decathlon", tmp_path, ["a"])
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert names_of(find_cases(tmp_path)[0]) == ["a"]


@pytest.mark.parametrize("ending", [".nrrd", ".NII.GZ", ".nii"])
def test_raters_may_draw_in_formats_of_their_own(tmp_path: Path, ending: str) -> None:
    found = find_cases(write("decathlon", tmp_path / "data", ["a", NFC]))
    raters = {"anna": tmp_path / "anna", "ben": tmp_path / "ben"}
    for name in ("a", NFD):
        touch(raters["anna"] / "labelsTr" / f"{name}{ending}")
        touch(raters["ben"] / f"{name}.nii.gz")
        touch(raters["ben"] / f"._{name}.nii.gz")
    cases, problems = cases_of_raters(found, raters)
    assert problems == []
    assert [case["file"] for case in cases] == [
        *(f"anna/labelsTr/{name}{ending}" for name in ("a", NFC)),
        *(f"ben/labelsTr/{name}.nii.gz" for name in ("a", NFC)),
    ]
    check_unique_cases(cases)
    touch(raters["anna"] / "labelsTr" / "a.mha")
    cases, problems = cases_of_raters(found, raters)
    assert [case["case"] for case in cases] == [f"anna/{NFC}", "ben/a", f"ben/{NFC}"]
    assert ["is of the same case as" in line or "has no label of 1 cases" in line for line in problems] == [True, True]
