"""Corrupt a cohort's labels on disk: for experiments in which the truth is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.case import check_unique_cases, label_file_of
from ..cases.label_file import read_label, save_index_map
from ..core.case_id import case_of, patient_of
from ..core.masks import dice, hausdorff95
from ..core.seeding import case_generator
from ..files import atomic_path, temporary_folder
from ..noise.base import check_spacing
from ..noise.models import NoiseRecord, replay
from ..noise.presets import make_annotator
from ..progress import progress
from ..run_folder import RunFolder

__all__ = [
    "check_rate",
    "choose_patients",
    "corrupt_cohort",
    "discard_noisy_labels",
    "make_noisy_labels",
    "replay_manifest",
]

_OWN = ".of_a_training"  # marks noisy_labels/ as a training's own, which the next one may delete


def choose_patients(patients: Sequence[str], rate: float, seed: int) -> set[str]:
    """Exactly ``round(rate * n)`` of the ``n`` distinct patients (halves to even); a larger rate adds to a smaller.

    Args:
        patients: their ids; order and repetition do not matter.
        rate: in [0, 1].
        seed: decides who.

    Raises:
        ValueError: the rate is out of range.
    """
    check_rate(rate)
    ranked = sorted(set(patients), key=lambda patient: case_generator(seed, patient, "noisy?").random())
    return set(ranked[: round(rate * len(ranked))])


def check_rate(rate: float, name: str = "rate") -> None:
    """See that a share of patients is one.

    Args:
        rate: the share.
        name: what the caller's user calls it, for the message.

    Raises:
        ValueError: it is out of range.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"{name} must lie in [0, 1], got {rate}")


def discard_noisy_labels(folder: RunFolder) -> None:
    """Delete ``noisy_labels/`` if a training made it; what a resumed run needs is made again, the same."""
    if (folder.noisy_labels / _OWN).is_file():
        with temporary_folder(folder.path) as old:
            folder.noisy_labels.rename(old / folder.noisy_labels.name)


def make_noisy_labels(folder: RunFolder) -> Path:
    """Make ``noisy_labels/``, marked as a training's own, and keep the folder from other processes.

    Raises:
        ValueError: something else has the name.
    """
    if folder.noisy_labels.exists():
        raise ValueError(
            f"{folder.noisy_labels} is not of an earlier training (or of one by an older version), and the labels "
            "with noise of this one go there: move it, or give another output_dir"
        )
    folder.hold()
    with temporary_folder(folder.path) as new:  # the mark and the folder come at once
        part = new / folder.noisy_labels.name
        part.mkdir()
        (part / _OWN).touch()
        part.rename(folder.noisy_labels)
    return folder.noisy_labels


def corrupt_cohort(
    data: Sequence[dict[str, Any]],
    directory: str | Path,
    rate: float,
    preset: str,
    seed: int,
    show_progress: bool = False,
) -> list[dict[str, Any]]:
    """Write noisy copies of some patients' labels, and a manifest of what was done.

    Args:
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases.case`. Their labels are taken as the truth.
        directory: folder for the noisy labels, under their relative paths, and for the manifest ``manifest.jsonl``: a
            line a change, in order, with ``case``, ``file``, the record (:mod:`monai_selfcleanse.noise.models`) and
            what is left in the end of the structure: ``dice`` and ``hd95_mm`` to the truth (null where the structure is
            gone). A swap has ``other_dice`` and ``other_hd95_mm`` as well.
        rate: share of patients whose cases are all corrupted.
        preset: name in :data:`monai_selfcleanse.noise.PRESETS`.
        seed: decides who is corrupted and how.
        show_progress: show a bar on standard error.

    Returns:
        The same cases with ``label`` pointing to the noisy copy where there is one, and ``truth`` to the original.
        A label that comes out as it was (an empty one) stays where it is.
    """
    annotator = make_annotator(preset, seed)
    noisy_patients = choose_patients([patient_of(item) for item in data], rate, seed)

    def corrupt(item: dict[str, Any], truth: np.ndarray, spacing: list[float]) -> tuple[np.ndarray, list[NoiseRecord]]:
        return annotator.corrupt(truth, case_of(item), spacing)

    noisy = {case_of(item) for item in data if patient_of(item) in noisy_patients}
    return _write_noisy(data, Path(directory), noisy, corrupt, show_progress)


def replay_manifest(
    data: Sequence[dict[str, Any]], directory: str | Path, manifest: str | Path, show_progress: bool = False
) -> list[dict[str, Any]]:
    """Corrupt the same labels again from a manifest's lines; otherwise as :func:`corrupt_cohort`.

    Raises:
        ValueError: a line is no JSON record, or is of a case that ``data`` lacks; the message names the line.
    """
    cases = {case_of(item) for item in data}
    records: dict[str, list[NoiseRecord]] = {}
    try:
        lines = Path(manifest).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{manifest}: is no text in UTF-8; give the manifest.jsonl of a noisy copy") from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            case = record["case"]
            if not isinstance(case, str) or not isinstance(record.get("model"), str):
                raise TypeError("'case' and 'model' must be texts")
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ValueError(f"{manifest}, line {number}: is no record of label noise ({error})") from error
        if case not in cases:
            raise ValueError(f"{manifest}, line {number}: the data set has no case {case!r}")
        records.setdefault(case, []).append({k: v for k, v in record.items() if k not in _MEASURED})

    def corrupt(item: dict[str, Any], truth: np.ndarray, spacing: list[float]) -> tuple[np.ndarray, list[NoiseRecord]]:
        own = records[case_of(item)]
        try:
            return replay(truth, own, spacing), own
        except ValueError as error:
            raise ValueError(f"{manifest}, case {case_of(item)!r}: {error}") from error
        except (TypeError, KeyError, IndexError, ArithmeticError) as error:  # values of another kind
            raise ValueError(
                f"{manifest}, case {case_of(item)!r}: is no record of label noise ({type(error).__name__}: {error})"
            ) from error

    return _write_noisy(data, Path(directory), set(records), corrupt, show_progress)


_MEASURED = ("case", "file", "dice", "hd95_mm", "other_dice", "other_hd95_mm")


def _write_noisy(
    data: Sequence[dict[str, Any]],
    directory: Path,
    noisy_cases: set[str],
    corrupt: Callable[[dict[str, Any], np.ndarray, list[float]], tuple[np.ndarray, list[NoiseRecord]]],
    show: bool,
) -> list[dict[str, Any]]:
    out, lines = [], []
    check_unique_cases(data)
    for item in progress(data, "labels", show):
        item = item | {"truth": item["label"]}
        if case_of(item) in noisy_cases:
            label = read_label(item["label"])
            truth = label.index
            spacing = [float(s) for s in label.file.spacing(truth.ndim)]
            try:
                check_spacing(spacing, truth.ndim)
            except ValueError as error:
                raise ValueError(f"{label.file.path}: {error}") from None
            noisy, records = corrupt(item, truth, spacing)
            if records:
                path = directory / label_file_of(item)
                if path.exists() and path.samefile(item["label"]):
                    raise ValueError(f"{path} is the original label: noisy copies need a folder of their own")
                save_index_map(noisy, label, path)
                item["label"] = str(path)
                for record in records:
                    left = _what_is_left(noisy, truth, record["structure"], spacing)
                    if "other" in record:
                        left |= _what_is_left(noisy, truth, record["other"], spacing, "other_")
                    lines.append(json.dumps({"case": case_of(item), "file": label_file_of(item), **record, **left}))
        out.append(item)
    with atomic_path(directory / "manifest.jsonl") as part:
        part.write_text("".join(line + "\n" for line in lines))
    return out


def _what_is_left(
    noisy: np.ndarray, truth: np.ndarray, structure: int, spacing: list[float], prefix: str = ""
) -> dict[str, float | None]:
    a, b = noisy == structure, truth == structure
    distance = hausdorff95(a, b, spacing)
    return {
        f"{prefix}dice": round(dice(a, b), 4),
        f"{prefix}hd95_mm": round(distance, 3) if np.isfinite(distance) else None,
    }
