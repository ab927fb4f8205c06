"""What ranks do together, in one process and in several."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from monai_selfcleanse.bad_input import shortage
from monai_selfcleanse.distributed import check_shared, in_workers, merge_shares


def test_alone_nothing_is_made(tmp_path: Path) -> None:
    check_shared(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_items_keep_the_order_in_which_they_were_dealt() -> None:
    hands = [{"a": 0, "d": 3, "g": 6}, {"b": 1, "e": 4}, {"c": 2, "f": 5}]
    assert list(merge_shares(hands).items()) == [(letter, i) for i, letter in enumerate("abcdefg")]
    assert merge_shares([{"a": 0, "c": 2}, {"b": 1, "a": 9}]) == {"a": 0, "b": 1, "c": 2}


def doubled(item: Any) -> Any:
    if isinstance(item, BaseException):
        raise item
    if item is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * item


@pytest.mark.parametrize("workers", [0, 2])
def test_what_a_worker_raises_is_raised_as_it_is(workers: int) -> None:
    assert list(in_workers(doubled, [1, 2, 3], workers)) == [2, 4, 6]
    with pytest.raises(OSError, match=r"^\[Errno 28\] No space left on device: 'a'$") as caught:
        list(in_workers(doubled, [1, OSError(28, "No space left on device", "a"), 3], workers))
    assert "in doubled" in str(caught.value.__cause__)


def test_a_killed_worker_is_told_as_a_shortage() -> None:
    with pytest.raises(RuntimeError) as caught:
        list(in_workers(doubled, [1, None, 3], 2))
    assert "most often the memory is full; give a smaller --num_workers" in str(shortage(caught.value))
