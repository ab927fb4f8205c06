"""The training and validation cases of one run: found, checked, split by patient, and corrupted if asked to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from ..cases.apart import check_apart, check_not_among
from ..cases.case import files_of, with_values
from ..core.case_id import patient_of
from ..core.seeding import case_generator
from ..distributed import on_rank_zero
from ..files import check_writable
from ..noise.presets import make_annotator
from ..run_folder import RunFolder
from .acdc import ACDC_STRUCTURES
from .checked import CheckedCases
from .checks import check_cases
from .layouts import check_structures, find_cases
from .noisy_cohort import check_rate, corrupt_cohort, discard_noisy_labels, make_noisy_labels
from .phantom import write_phantom
from .resampling import Resampling

__all__ = ["Cohort", "split_patients"]

logger = logging.getLogger(__name__)


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
        raise ValueError(
            f"{len(ranked)} patients are too few to split into training and validation: 3 are needed; "
            "an evaluation takes all of them with --validation_share 1"
        )
    n_validation = min(max(1, round(validation_share * len(ranked))), len(ranked) - 2)
    return sorted(ranked[n_validation:]), sorted(ranked[:n_validation])


def _check_share(validation_share: float) -> None:
    if not 0 < validation_share <= 1:
        raise ValueError(f"validation_share must lie in (0, 1], got {validation_share}")


class Cohort:
    """Lists of cases for a run; see :mod:`monai_selfcleanse.cases.case` for their keys.

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
        spacing: voxel size in mm that images are resampled to, see that they fit into memory then; None: they are not.
        cache_rate: share of the cases that is held in memory.
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
        spacing: Sequence[float] | None = None,
        cache_rate: float = 1.0,
    ) -> None:
        self.dataset_dir, self.folder = dataset_dir, RunFolder(output_dir)
        self.seed, self.noise_rate, self.noise_preset = seed, noise_rate, noise_preset
        self.validation_share = validation_share
        self.structures = {int(k): str(name) for k, name in structures.items()}
        self.in_channels = in_channels
        self.resampling: Resampling | None = None
        if spacing is not None:
            self.resampling = Resampling(spacing, cache_rate, classes=len(self.structures) + 1)

    @cached_property
    def found(self) -> tuple[list[dict[str, Any]], list[str]]:
        """All cases of ``dataset_dir``, unchecked, and what is broken about its files' names."""
        return on_rank_zero(self._find_files)

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
        check_apart(self.folder.replaced(makes_noise=True), [*train, *validation], remedy="another output_dir")
        cases = on_rank_zero(lambda: self._with_noise(train))
        on_rank_zero(lambda: self._checked.write())
        n_noisy = sum(c.get("truth", c["label"]) != c["label"] for c in cases)
        logger.info(
            f"{len(cases)} training cases of {len({patient_of(c) for c in cases})} patients"
            + (f", {n_noisy} with synthetic label noise ({self.noise_preset})" if self.noise_rate > 0 else "")
        )
        return cases

    def _hold(self) -> None:
        if self.folder.path.is_dir():
            self.folder.hold()

    def _with_noise(self, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        discard_noisy_labels(self.folder)
        if self.noise_rate == 0:
            return cases
        return corrupt_cohort(cases, make_noisy_labels(self.folder), self.noise_rate, self.noise_preset, self.seed)

    @cached_property
    def validation(self) -> list[dict[str, Any]]:
        """Validation cases, never corrupted by this package."""
        train, validation = self._split
        chosen, everyone = ({patient_of(c) for c in cases} for cases in (validation, [*train, *validation]))
        logger.info(f"{len(validation)} validation cases of {len(chosen)} of {len(everyone)} patients")
        return validation

    @cached_property
    def _split(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        return on_rank_zero(self._split_patients)

    def _split_patients(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        # Everything that can be wrong is looked at before the first file is written.
        check_rate(self.noise_rate, "noise_rate")
        make_annotator(self.noise_preset, self.seed)
        _check_share(self.validation_share)
        check_writable(self.folder)
        cases, problems = self._find_files()
        check_not_among(self.folder, (path for case in cases for path in files_of(case)))
        classes = range(1, len(self.structures) + 1)
        self._checked = CheckedCases(self.folder.checked, classes, ndim=3)
        check_cases(
            cases,
            classes,
            problems,
            ndim=3,
            channels=self.in_channels,
            checked=self._checked,
            resampling=self.resampling,
        )
        train_patients, _ = split_patients([patient_of(c) for c in cases], self.validation_share, self.seed)
        train = [c for c in cases if patient_of(c) in set(train_patients)]
        return train, [c for c in cases if patient_of(c) not in set(train_patients)]

    def _find_files(self) -> tuple[list[dict[str, Any]], list[str]]:
        if self.dataset_dir is None:
            with self.folder.only_run():
                cases, problems = find_cases(write_phantom(self.folder.phantom, seed=self.seed))
        else:
            cases, problems = find_cases(self.dataset_dir)
            check_structures(self.dataset_dir, self.structures)
        return with_values(cases, self.structures), problems
