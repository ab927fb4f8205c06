"""The layout of an output folder: each name in it, what a run replaces there, and who may be at work in it.

::

    OUT/report.html           the page to begin with
        label_report.csv      a row a case and structure, most suspect first
        slices.csv            a row a suspected label and slice
        unreadable.csv        cases that could not be judged; only where there are some
        raters.csv            raters compared; only where there are several
        cleansed_labels/      every label, redrawn structures in it
        judged.npz            the judgement, for review, ``apply`` and ``export``
        decisions.csv         what reviewers have decided
        edited_labels/        labels that reviewers have drawn
        corrected_labels/     every label, as reviewers have decided
        models/               ``model.pt`` and ``checkpoint/last.pt``, where no other folder is named
        noisy_labels/         synthetic label noise of a training that was asked for it
        phantom/              the built-in data set
        checked.json          which cases were in order at the last start
        cases/                what the looks saw, and the targets (:class:`monai_selfcleanse.cases.CaseStore`)
        tensorboard/          curves and pictures
        evaluation/           metrics of an evaluation
        earlier/1/            the results that a run found here when it started, the first time; then earlier/2, ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .files import free_folder, hold_folder, only_process, recover_folder, remove_unfinished

__all__ = ["RunFolder"]


class RunFolder:
    """An output folder by its names; nothing is read or made before it is asked for.

    Args:
        path: the folder.

    Attributes:
        path: the same.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)

    def __fspath__(self) -> str:
        return os.fspath(self.path)

    @property
    def page(self) -> Path:
        """The report as a page."""
        return self.path / "report.html"

    @property
    def label_report(self) -> Path:
        """The ranked list."""
        return self.path / "label_report.csv"

    @property
    def slices(self) -> Path:
        """The slices to look at."""
        return self.path / "slices.csv"

    @property
    def unreadable(self) -> Path:
        """Cases that could not be judged."""
        return self.path / "unreadable.csv"

    @property
    def raters(self) -> Path:
        """Raters compared."""
        return self.path / "raters.csv"

    @property
    def cleansed_labels(self) -> Path:
        """Folder of the cleansed labels."""
        return self.path / "cleansed_labels"

    @property
    def record(self) -> Path:
        """The judgement and its cases, for what goes on from them."""
        return self.path / "judged.npz"

    @property
    def decisions(self) -> Path:
        """What reviewers have decided."""
        return self.path / "decisions.csv"

    @property
    def edited_labels(self) -> Path:
        """Folder of the labels that reviewers have drawn."""
        return self.path / "edited_labels"

    @property
    def corrected_labels(self) -> Path:
        """Folder of the labels as reviewers have decided."""
        return self.path / "corrected_labels"

    @property
    def noisy_labels(self) -> Path:
        """Folder of labels with synthetic noise."""
        return self.path / "noisy_labels"

    @property
    def checked(self) -> Path:
        """Which cases were in order."""
        return self.path / "checked.json"

    @property
    def phantom(self) -> Path:
        """Folder of the built-in data set."""
        return self.path / "phantom"

    @property
    def cases(self) -> Path:
        """Folder of the case store."""
        return self.path / "cases"

    @property
    def models(self) -> Path:
        """Folder of weights and checkpoint, where no other one is named."""
        return self.path / "models"

    def weights(self, ckpt_dir: str | os.PathLike | None = None) -> Path:
        """File of the trained weights.

        Args:
            ckpt_dir: folder of weights and checkpoint; None for :attr:`models`.
        """
        return Path(self.models if ckpt_dir is None else ckpt_dir) / "model.pt"

    def checkpoint(self, ckpt_dir: str | os.PathLike | None = None) -> Path:
        """File with all that an interrupted training needs to go on; its argument is that of :meth:`weights`."""
        return self.weights(ckpt_dir).parent / "checkpoint" / "last.pt"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard's files."""
        return self.path / "tensorboard"

    @property
    def evaluation(self) -> Path:
        """Folder of an evaluation's metrics."""
        return self.path / "evaluation"

    def results(self) -> list[tuple[str, str]]:
        """What a judgement has left here: how the closing table calls it, and its path."""
        known = (
            ("suspects, with pictures", self.page),
            ("suspects, ranked", self.label_report),
            ("slices to look at", self.slices),
            ("cases not judged", self.unreadable),
            ("raters compared", self.raters),
            ("cleansed labels", self.cleansed_labels),
        )
        return [(words, str(path)) for words, path in known if path.exists()]

    def of_a_judgement(self) -> list[Path]:
        """All that a judgement and its review have left here."""
        reviewed = self.record, self.decisions, self.edited_labels, self.corrected_labels
        return [Path(path) for _, path in self.results()] + [path for path in reviewed if path.exists()]

    def of_labels(self) -> list[Path]:
        """The folders here that hold labels."""
        return [self.cleansed_labels, self.edited_labels, self.corrected_labels, self.noisy_labels]

    def replaced(self, makes_noise: bool = False) -> list[Path]:
        """The folders here that a run replaces or moves.

        Args:
            makes_noise: whether the run may also replace :attr:`noisy_labels`, as a training does.
        """
        return [folder for folder in self.of_labels() if makes_noise or folder != self.noisy_labels]

    def hold(self, ckpt_dir: str | os.PathLike | None = None) -> None:
        """Keep other processes out of this folder until :meth:`free`, or this one's end.

        What killed runs have left of unfinished files is deleted. To ask again changes nothing.

        Args:
            ckpt_dir: folder of weights and checkpoint, from which they are kept, too; None for none.

        Raises:
            ValueError: another process has one of them.
        """
        if hold_folder(self.path):
            self._tidy()
        if ckpt_dir is not None and hold_folder(ckpt_dir):
            remove_unfinished(ckpt_dir, self.checkpoint(ckpt_dir).parent)

    def free(self, ckpt_dir: str | os.PathLike | None = None) -> None:
        """Let other processes have what :meth:`hold` keeps them from."""
        if ckpt_dir is not None:
            free_folder(ckpt_dir)
        free_folder(self.path)

    @contextmanager
    def only_run(self) -> Iterator[None]:
        """Keep other processes out of this folder for a while, and tidy up as :meth:`hold` does.

        Raises:
            ValueError: another process has it.
        """
        with only_process(self.path):
            self._tidy()
            yield

    def _tidy(self) -> None:
        below = [folder for folder in self.cases.rglob("*") if folder.is_dir()] if self.cases.is_dir() else []
        remove_unfinished(self.path, self.path / "earlier", self.cases, *below)
        recover_folder(self.cleansed_labels)
