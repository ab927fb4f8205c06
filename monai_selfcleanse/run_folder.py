"""The layout of an output folder: each name in it, what a run may replace there, and what an earlier run has left.

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
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from filecmp import cmp
from pathlib import Path
from typing import Any

from .core.case_id import images_of
from .files import (
    atomic_path,
    free_folder,
    hold_folder,
    only_process,
    recover_folder,
    remove_unfinished,
    temporary_folder,
)

__all__ = ["RunFolder"]

_OWN = ".of_a_training"  # marks noisy_labels/ as a training's own, which the next one may delete


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

    def _of_a_judgement(self) -> list[Path]:
        """All that a judgement and its review have left here."""
        reviewed = self.record, self.decisions, self.edited_labels, self.corrected_labels
        return [Path(path) for _, path in self.results()] + [path for path in reviewed if path.exists()]

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

    def set_aside(self, *others: str | os.PathLike) -> Path | None:
        """Move the results that an earlier run left here to ``earlier/N``; a user may have worked on them.

        The folder is filled under the name ``earlier/next``, the copies first. So nothing has moved where there is no
        room for them, and where a process was killed meanwhile, the next call goes on.

        Args:
            others: files that belong to the results wherever they lie, such as the weights: a copy goes along, for they
                may be in use. Where these alone are there, they are kept unless the latest ``earlier/N`` has them.

        Returns:
            Where they are now; None if there were none.

        Raises:
            ValueError: the disk has no room for the copies.
        """
        filling = self.path / "earlier" / "next"
        earlier = self._of_a_judgement()
        copied = [path for path in map(Path, others) if path.exists()]
        has_moved, aside = bool(RunFolder(filling)._of_a_judgement()), None
        if has_moved and any((filling / path.name).exists() and not _equal(path, filling) for path in earlier + copied):
            has_moved, aside = False, self._next_is_full(filling)  # a resumed run has written results of its own since
        if not earlier and not has_moved and all(_equal(path, self._latest()) for path in copied):
            return aside
        self._check_room(copied)
        filling.mkdir(parents=True, exist_ok=True)
        for path in copied:
            if not _equal(path, filling):
                with atomic_path(filling / path.name) as part:
                    shutil.copy2(path, part)
        for path in earlier:
            path.rename(filling / path.name)
        return self._next_is_full(filling)

    def _next_is_full(self, filling: Path) -> Path:
        """Give ``earlier/next`` its number."""
        remove_unfinished(filling)
        aside = self.path / "earlier" / str(int(self._latest().name) + 1)
        filling.rename(aside)
        return aside

    def _latest(self) -> Path:
        """The ``earlier/N`` of the highest number; ``earlier/0``, which is not there, where there is none."""
        folder = self.path / "earlier"
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        return folder / str(max((int(name) for name in names if name.isascii() and name.isdigit()), default=0))

    def _check_room(self, copied: Iterable[Path]) -> None:
        needed, free = sum(path.stat().st_size for path in copied), shutil.disk_usage(self.path).free
        if needed > free:
            raise ValueError(
                f"output_dir {str(self.path)!r} holds results of an earlier run, and the disk has no room to keep its "
                f"weights ({needed:,} bytes, {free:,} are free): make room, or give another output_dir"
            )

    def check_apart(self, data: Iterable[Mapping[str, Any]], *, makes_noise: bool = False) -> None:
        """See that no file of a case lies in a folder here that a run replaces or moves.

        That are :attr:`cleansed_labels`, :attr:`edited_labels` and :attr:`corrected_labels`, for each run.

        Args:
            data: the cases' dictionaries.
            makes_noise: whether the run may also replace :attr:`noisy_labels`, as a training does.

        Raises:
            ValueError: one does; the message names the first.
        """
        folders = [self.cleansed_labels, self.edited_labels, self.corrected_labels]
        replaced = [folder.resolve() for folder in folders + [self.noisy_labels] * makes_noise]
        for case in data:
            for path in (*images_of(case), case["label"]):
                absolute = Path(os.path.abspath(path))
                if any(folder in (*absolute.parents, *absolute.resolve().parents) for folder in replaced):
                    raise ValueError(
                        f"{path} lies in a folder of output_dir {str(self.path)!r} that this run would replace: give "
                        "another output_dir"
                    )

    def discard_noisy_labels(self) -> None:
        """Delete ``noisy_labels/`` if a training made it; what a resumed run needs is made again, the same."""
        if (self.noisy_labels / _OWN).is_file():
            with temporary_folder(self.path) as old:
                self.noisy_labels.rename(old / self.noisy_labels.name)

    def make_noisy_labels(self) -> Path:
        """Make ``noisy_labels/``, marked as a training's own, and keep this folder from other processes.

        Raises:
            ValueError: something else has the name.
        """
        if self.noisy_labels.exists():
            raise ValueError(
                f"{self.noisy_labels} is not of an earlier training (or of one by an older version), and the labels "
                "with noise of this one go there: move it, or give another output_dir"
            )
        self.hold()
        with temporary_folder(self.path) as new:  # the mark and the folder come at once
            part = new / self.noisy_labels.name
            part.mkdir()
            (part / _OWN).touch()
            part.rename(self.noisy_labels)
        return self.noisy_labels


def _equal(path: Path, folder: Path) -> bool:
    """Whether a folder has a file like this one; of folders none is."""
    return path.is_file() and (folder / path.name).is_file() and cmp(path, folder / path.name, shallow=False)
