"""JSON files that people have written."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from monai_selfcleanse.data.json_file import read_json


@pytest.mark.parametrize(
    "content",
    [
        '{"Ä": 1}'.encode(),
        codecs.BOM_UTF8 + '{"Ä": 1}'.encode(),
        '{"Ä": 1}'.encode("utf-16"),
        '{"Ä": 1}'.encode("utf-32"),
        '{\r\n"Ä": 1}\r\n'.encode(),
    ],
)
def test_a_text_is_read_in_any_unicode_with_and_without_mark(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") == {"Ä": 1}


def test_what_pandas_writes_for_nothing_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[NaN, null, -Infinity, 1]")
    assert read_json(tmp_path / "x.json") == [None, None, None, 1]


BROKEN = {
    "empty": (b"", "line 1, column 1: is no JSON"),
    "comma": (b'{"a": 1,\n "b": 2,\n}', "line 3, column 1: is no JSON|line 2, column 8: is no JSON"),
    "unclosed": (b'[{"a": 1}', "line 1, column 10: is no JSON"),
    "two": (b"{}\n{}", "line 2, column 1: is no JSON"),
    "latin-1": (b'{\n"\xc4rzte": 1}', "line 2, column 2: is no text in UTF-8; save the file as UTF-8"),
    "deep": (b'{\n "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 2, column 100006: its brackets are nested"),
    "image": (b"\x1f\x8b\x08\0\0\0", "x.json, line 1, column .* is no"),
    "digits": (b"[" + b"1" * 9999 + b"]", "x.json: is no JSON"),
}


@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_what_is_broken_is_named_with_its_place_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_json(tmp_path / "x.json")
    assert str(caught.value).startswith(str(tmp_path / "x.json"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "loop"])
def test_what_is_no_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.json"
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(ValueError, match=r"x\.json: cannot be read \("):
        read_json(path)
