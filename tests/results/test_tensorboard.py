"""Outlines on a picture, and a writer where there is something to write with."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from monai_selfcleanse.results.tensorboard import CLEANSED, GIVEN, draw_outlines, summary_writer


def test_outlines_surround_the_masks_and_leave_the_rest_grey() -> None:
    image = np.linspace(0, 1, 100).reshape(10, 10)
    given, cleansed = np.zeros((2, 10, 10), dtype=bool)
    given[2:5, 2:5] = True
    cleansed[6:9, 6:9] = True
    picture = draw_outlines(image, given, cleansed, scale=2)
    assert picture.shape == (20, 20, 3)
    for mask, colour in ((given, GIVEN), (cleansed, CLEANSED)):
        rows, columns = np.nonzero((picture == colour).all(-1))
        inside = mask[rows // 2, columns // 2]
        assert len(rows) == 20  # the rim of a square of six pixels
        assert inside.all()
    grey = (picture == picture[..., :1]).all(-1)
    assert grey.sum() == 400 - 2 * 20
    assert picture[0, 0, 0] == 0
    assert picture[-1, -1, 0] == 255


def test_an_image_of_one_value_and_empty_masks_make_a_black_picture() -> None:
    empty = np.zeros((4, 4), dtype=bool)
    assert not draw_outlines(np.full((4, 4), 7.0), empty, empty).any()


def test_without_tensorboard_there_is_no_writer_and_a_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with caplog.at_level(logging.INFO):
        assert summary_writer(tmp_path / "tensorboard") is None
    assert [r.message for r in caplog.records if "pip install tensorboard" in r.message]
    assert not (tmp_path / "tensorboard").exists()


@pytest.mark.parametrize(("resume", "expected"), [(True, [1, 2, 2, 3]), (False, [2, 3])])
def test_curves_go_on_where_a_run_is_resumed_and_else_start_anew(
    resume: bool, expected: list[int], tmp_path: Path
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for steps, resumed in (((1, 2), False), ((2, 3), resume)):
        writer = summary_writer(tmp_path, resumed)
        for step in steps:
            writer.add_scalar("loss", 1.0, step)
        writer.close()
    board = accumulator.EventAccumulator(str(tmp_path))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == expected
