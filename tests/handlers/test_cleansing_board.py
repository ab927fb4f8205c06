"""What the looks of the filter show in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from oracle import make_cases, make_trainer, spoil

from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.handlers import CleansingBoard, LabelFilter


class Recorder:
    """A summary writer that keeps what it is given."""

    def __init__(self) -> None:
        self.histograms: dict[tuple[str, int], np.ndarray] = {}
        self.scalars: dict[tuple[str, int], float] = {}
        self.images: dict[tuple[str, int], np.ndarray] = {}
        self.texts: dict[tuple[str, int], str] = {}
        self.flushed = 0

    def add_histogram(self, tag: str, values: np.ndarray, step: int, bins: Any) -> None:
        self.histograms[tag, step] = values

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.scalars[tag, step] = value

    def add_image(self, tag: str, image: np.ndarray, step: int, dataformats: str) -> None:
        assert dataformats == "HWC"
        self.images[tag, step] = image

    def add_text(self, tag: str, text: str, step: int) -> None:
        self.texts[tag, step] = text

    def flush(self) -> None:
        self.flushed += 1


def mirrored(case: dict[str, Any]) -> None:
    """Store a case with its first two axes backwards, at the same place in space."""
    for key in ("image", "label"):
        affine = np.diag([-1.0, -1.0, 1.0, 1.0])
        affine[:2, 3] = np.array(case[key].shape[1:3]) - 1
        case[key] = MetaTensor(case[key].flip((1, 2)).as_tensor(), affine=torch.as_tensor(affine))


def trained(
    ndim: int, spoilt: tuple[int, ...], path: Path, mirror: bool = False, unsure: tuple[int, ...] = ()
) -> Recorder:
    cases = make_cases(16, ndim)
    for i, case in enumerate(cases):
        if i in spoilt:
            spoil(case, structure=2)
        if mirror:
            mirrored(case)
        if i in unsure:
            case["image"] = torch.where(case["image"] > 1.5, 1.53, case["image"])
    trainer, look = make_trainer(cases, None, 3, [])
    store, board = CaseStore(path), Recorder()
    LabelFilter(look, store, {1: "outer", 2: "inner"}, warmup_epochs=2, interval=1).attach(trainer)
    CleansingBoard(board, trainer.data_loader.dataset.cases, store, n_pictures=2).attach(trainer)
    trainer.run()
    return board


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_look_shows_probabilities_and_the_worst_suspects(ndim: int, tmp_path: Path) -> None:
    board = trained(ndim, (3, 7, 11), tmp_path)
    tags = [
        (f"{what}/{name}", epoch) for epoch in (2, 3) for what in ("clean_probability",) for name in ("outer", "inner")
    ]
    assert sorted(board.histograms) == sorted(tags)
    assert (board.histograms["clean_probability/inner", 2] < 0.1).sum() == 3
    assert board.scalars["suspected/inner", 3] == 3
    assert board.scalars["suspected/outer", 3] == 0
    size = 24 if ndim == 2 else 12
    assert board.images["suspects", 2].shape == (3 * size, 2 * 3 * size, 3)
    # The inner structure is missing in the label: nothing is outlined as given, something as proposed, in each picture.
    for picture in np.split(board.images["suspects", 2], 2, axis=1):
        coloured = {tuple(p) for p in picture.reshape(-1, 3) if len(set(p.tolist())) > 1}
        assert coloured == {(0, 190, 255)}
    text = board.texts["suspects", 2]
    assert sum(f"case{i:02d}, inner: missing" in text for i in (3, 7, 11)) == 2


def test_a_suspect_that_is_not_redrawn_shows_what_the_network_sees(tmp_path: Path) -> None:
    """The image of case 3 has little contrast where structure 2 is missing: the network sees it, and has its doubts."""
    board = trained(2, (3, 7), tmp_path, unsure=(3,))
    assert "case03, inner: missing" in board.texts["suspects", 2]
    for line in board.texts["suspects", 2].splitlines():
        assert ("not redrawn" in line) == ("case03" in line)
    for picture in np.split(board.images["suspects", 2], 2, axis=1):
        assert (0, 190, 255) in {tuple(p) for p in picture.reshape(-1, 3)}


def test_pictures_are_turned_alike_however_the_axes_are_stored(tmp_path: Path) -> None:
    plain, other = (trained(3, (3, 7), tmp_path / str(mirror), mirror) for mirror in (False, True))
    picture = plain.images["suspects", 2]
    np.testing.assert_array_equal(other.images["suspects", 2], picture)
    assert not np.array_equal(picture[::-1], picture)  # upside down it would look otherwise


def test_clean_labels_show_no_picture(tmp_path: Path) -> None:
    board = trained(2, (), tmp_path)
    assert len(board.histograms) == 4
    assert not board.images
    assert not board.texts


def test_what_was_written_reaches_the_disk_after_every_epoch_and_at_the_end(tmp_path: Path) -> None:
    assert trained(2, (), tmp_path).flushed == 4


def test_pictures_of_nobody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="n_pictures"):
        CleansingBoard(Recorder(), [], CaseStore(tmp_path), n_pictures=0)  # type: ignore[arg-type]
