"""What ranks do together, in one process and in several."""

from __future__ import annotations

from pathlib import Path

from monai_selfcleanse.distributed import check_shared, merge_shares


def test_alone_nothing_is_made(tmp_path: Path) -> None:
    check_shared(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_items_keep_the_order_in_which_they_were_dealt() -> None:
    hands = [{"a": 0, "d": 3, "g": 6}, {"b": 1, "e": 4}, {"c": 2, "f": 5}]
    assert list(merge_shares(hands).items()) == [(letter, i) for i, letter in enumerate("abcdefg")]
    assert merge_shares([{"a": 0, "c": 2}, {"b": 1, "a": 9}]) == {"a": 0, "b": 1, "c": 2}
