"""Corrupt a cohort's labels on disk: for experiments in which the truth is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cases import case_of, label_file_of
from ..files import atomic_path, load_nifti, save_like
from .array import index_map
from .functional import case_generator, dice
from .presets import make_annotator

__all__ = ["choose_patients", "corrupt_cohort"]


def choose_patients(patients: Sequence[str], rate: float, seed: int) -> set[str]:
    """Exactly ``round(rate * n)`` of the ``n`` distinct patients (halves to even); a larger rate adds to a smaller.

    Args:
        patients: their ids; order and repetition do not matter.
        rate: in [0, 1].
        seed: decides who.

    Raises:
        ValueError: the rate is out of range.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"noise_rate must lie in [0, 1], got {rate}")
    ranked = sorted(set(patients), key=lambda patient: case_generator(seed, patient, "noisy?").random())
    return set(ranked[: round(rate * len(ranked))])


def corrupt_cohort(
    data: Sequence[dict[str, Any]], directory: str | Path, rate: float, preset: str, seed: int
) -> list[dict[str, Any]]:
    """Write noisy copies of some patients' labels, and a manifest of what was done.

    Args:
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases`. Their labels are taken as the truth.
        directory: folder for the noisy labels, under their relative paths, and for ``manifest.jsonl``: a line a case
            and structure that was changed, with the parameters and the Dice that is left of each structure.
        rate: share of patients whose cases are all corrupted.
        preset: name in :data:`monai_selfcleanse.noise.PRESETS`.
        seed: decides who is corrupted and how.

    Returns:
        The same cases with ``label`` pointing to the noisy copy where there is one, and ``truth`` to the original.
        A label that comes out as it was (an empty one) stays where it is.
    """
    directory = Path(directory)
    annotator = make_annotator(preset, seed)
    noisy_patients = choose_patients([str(item.get("patient", case_of(item))) for item in data], rate, seed)
    out, lines = [], []
    for item in data:
        item = item | {"truth": item["label"]}
        if str(item.get("patient", case_of(item))) in noisy_patients:
            file = load_nifti(item["label"])
            truth = index_map(np.asanyarray(file.dataobj)[None], str(item["label"]))
            noisy, records = annotator.corrupt(truth, case_of(item), [float(s) for s in file.header.get_zooms()])
            if records:
                path = directory / label_file_of(item)
                if path.exists() and path.samefile(item["label"]):
                    raise ValueError(f"{path} is the original label: noisy copies need a folder of their own")
                save_like(noisy, file, path)
                item["label"] = str(path)
                for record in records:
                    left = dice(noisy == record["structure"], truth == record["structure"])
                    lines.append(json.dumps({"case": case_of(item), **record, "dice": round(left, 4)}))
        out.append(item)
    with atomic_path(directory / "manifest.jsonl") as part:
        part.write_text("".join(line + "\n" for line in lines))
    return out
