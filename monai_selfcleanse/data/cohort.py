"""The training and validation cases of one run: found, checked, split by patient, and corrupted if asked to."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..cases import CLEANSED_LABELS, NOISY_LABELS, check_apart
from ..distributed import on_rank_zero
from ..files import hold_folder, only_process
from ..noise.cohort import choose_patients, corrupt_cohort
from ..noise.functional import case_generator
from ..noise.presets import make_annotator
from .acdc import ACDC_STRUCTURES
from .checks import check_cases
from .layouts import check_structures, find_cases
from .phantom import write_phantom

__all__ = ["Cohort", "split_patients"]

logger = logging.getLogger(__name__)

_OWN = ".of_a_training"  # marks noisy_labels/ as a training's own, which the next one may delete


def split_patients(patients: list[str], validation_share: float, seed: int) -> tuple[list[str], list[str]]:
    """Training and validation patients, each sorted, fixed by the seed.

    Args:
        patients: distinct ids, in any order.
        validation_share: in (0, 1]; at least one patient is validated on. At 1 all are.
        seed: decides who.

    Raises:
        ValueError: fewer than three patients, so that not even two are left to train on.
    """
    _check_share(validation_share)
    ranked = sorted(set(patients), key=lambda patient: case_generator(seed, patient, "split").random())
    if validation_share == 1:
        return [], sorted(ranked)
    if len(ranked) < 3:
        raise ValueError(f"{len(ranked)} patients are too few to split into training and validation: 3 are needed")
    n_validation = min(max(1, round(validation_share * len(ranked))), len(ranked) - 2)
    return sorted(ranked[n_validation:]), sorted(ranked[:n_validation])


def _check_share(validation_share: float) -> None:
    if not 0 < validation_share <= 1:
        raise ValueError(f"validation_share must lie in (0, 1], got {validation_share}")


class Cohort:
    """Lists of cases for a run; see :mod:`monai_selfcleanse.cases` for their keys.

    Nothing is read or written before one of its lists is asked for, so that a config may name a
    cohort which a caller with data of its own (MONAI Label, a federation) never uses. In a distributed training rank 0
    does it for all: every rank must ask.

    Args:
        dataset_dir: folder in one of the layouts of :func:`monai_selfcleanse.data.find_cases`, or a JSON file; None
            writes the phantom to ``output_dir/phantom`` and takes that.
        output_dir: where phantom and noisy labels go.
        seed: decides phantom, split and noise.
        noise_rate: share of training patients that get synthetic label noise, in [0, 1]. The labels found are then the
            truth, kept under ``truth``. At 0 the labels found are taken as given and nothing is known of the truth.
        noise_preset: name in :data:`monai_selfcleanse.noise.PRESETS`.
        validation_share: share of patients to validate on, in (0, 1]; at 1 there is nothing to train on.
        structures: label values and their names.
        in_channels: number of the network's input channels, which images must have.
    """

    def __init__(
        self,
        dataset_dir: str | None,
        output_dir: str,
        seed: int = 0,
        noise_rate: float = 0.0,
        noise_preset: str = "mixed",
        validation_share: float = 0.2,
        structures: Mapping[Any, str] = ACDC_STRUCTURES,
        in_channels: int = 1,
    ) -> None:
        self.dataset_dir, self.output_dir = dataset_dir, output_dir
        self.seed, self.noise_rate, self.noise_preset = seed, noise_rate, noise_preset
        self.validation_share = validation_share
        self.structures = {int(k): str(name) for k, name in structures.items()}
        self.in_channels = in_channels

    @cached_property
    def found(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All cases of ``dataset_dir``, unchecked, and what is broken about its files' names."""
        return on_rank_zero(self._look)

    @cached_property
    def train(self) -> list[dict[str, Any]]:
        """Training cases, some of them with noisy labels if that was asked for.

        If ``output_dir`` is there, or gets noisy labels, other processes are kept out of it from now on, until a
        training there completes (:class:`monai_selfcleanse.handlers.FolderLock`) or this process ends.

        Raises:
            ValueError: all patients are validated on; another run is at work in ``output_dir``; a file lies in what a
                run there replaces, or ``noisy_labels`` there is not of an earlier run.
        """
        on_rank_zero(self._hold)
        train, validation = self._split
        if not train:
            raise ValueError(f"validation_share {self.validation_share} leaves no patient to train on")
        check_apart([*train, *validation], self.output_dir, NOISY_LABELS, CLEANSED_LABELS)
        cases = on_rank_zero(lambda: self._spoilt(train))
        n_noisy = sum(c.get("truth", c["label"]) != c["label"] for c in cases)
        logger.info(
            f"{len(cases)} training cases of {len({c['patient'] for c in cases})} patients"
            + (f", {n_noisy} with synthetic label noise ({self.noise_preset})" if self.noise_rate > 0 else "")
        )
        return cases

    def _hold(self) -> None:
        if Path(self.output_dir).is_dir():
            hold_folder(self.output_dir)

    def _spoilt(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        noisy_dir = Path(self.output_dir) / NOISY_LABELS
        if (noisy_dir / _OWN).is_file():  # what this run needs is made again, the same if it resumes
            with TemporaryDirectory(dir=self.output_dir) as old:
                noisy_dir.rename(Path(old) / NOISY_LABELS)
        if self.noise_rate == 0:
            return cases
        if noisy_dir.exists():
            raise ValueError(
                f"{noisy_dir} is not of an earlier training (or of one by an older version), and the labels with noise "
                "of this one go there: move it, or give another --output_dir"
            )
        hold_folder(self.output_dir)
        with TemporaryDirectory(dir=self.output_dir) as new:  # the mark and the folder come at once
            part = Path(new) / NOISY_LABELS
            part.mkdir()
            (part / _OWN).touch()
            part.rename(noisy_dir)
        return corrupt_cohort(cases, noisy_dir, self.noise_rate, self.noise_preset, self.seed)

    @cached_property
    def validation(self) -> list[dict[str, Any]]:
        """Validation cases, never corrupted by this package."""
        train, validation = self._split
        chosen, everyone = ({c["patient"] for c in cases} for cases in (validation, [*train, *validation]))
        logger.info(f"{len(validation)} validation cases of {len(chosen)} of {len(everyone)} patients")
        return validation

    @cached_property
    def _split(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return on_rank_zero(self._find)

    def _find(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        # Everything that can be wrong is looked at before the first file is written.
        choose_patients([], self.noise_rate, self.seed)
        make_annotator(self.noise_preset, self.seed)
        _check_share(self.validation_share)
        check_writable(self.output_dir)
        cases, problems = self._look()
        check_cases(cases, list(self.structures), problems, ndim=3, channels=self.in_channels)
        train_patients, _ = split_patients([c["patient"] for c in cases], self.validation_share, self.seed)
        train = [c for c in cases if c["patient"] in set(train_patients)]
        return train, [c for c in cases if c["patient"] not in set(train_patients)]

    def _look(self) -> tuple[list[dict[str, Any]], list[str]]:
        if self.dataset_dir is None:
            with only_process(self.output_dir):
                return find_cases(write_phantom(Path(self.output_dir) / "phantom", seed=self.seed))
        found = find_cases(self.dataset_dir)
        check_structures(self.dataset_dir, self.structures)
        return found


def check_writable(directory: str | os.PathLike, option: str = "output_dir") -> None:
    """See that files can be written under a folder that may not exist yet, without making it.

    Raises:
        ValueError: it is a file, or it (or the nearest folder above it) cannot be written to.
    """
    path = Path(directory).absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise ValueError(
            f"{option} {str(directory)!r} cannot be written: {path} is "
            + ("not writable" if path.is_dir() else "a file")
            + f"; give another one with --{option}"
        )
