"""The record of a judgement in an output folder: what review, ``apply`` and ``export`` go on from.

``judged.npz`` holds the judgement on every label, the cases' dictionaries, and a stamp of what the last look saw of
each case, so that no later look is taken for it. It is read without pickle.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.seen import SeenCase
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of, images_of
from ..core.judgement import Judgement
from ..core.mixture import FilterDecision, ScoreMixture
from ..files import atomic_path
from ..run_folder import RunFolder
from .provenance import provenance

__all__ = ["JudgedRun", "cases_as_kept", "check_there", "kept_case", "read_record", "write_record"]

_FORMAT = 3
"""Number of the record's layout."""

_KEYS = ("case", "image", "label", "file", "patient", "rater", "truth", "values")
"""Keys of a case's dictionary that are kept."""

_PATHS = ("image", "label", "truth")


@dataclass(frozen=True, eq=False)
class JudgedRun:
    """A training or an audit that has ended.

    Attributes:
        folder: its output folder.
        judgement: on the labels.
        data: dictionaries of the cases judged, see :mod:`monai_selfcleanse.cases.case`, in the judgement's order.
        store: what the last look saw.
        source: what judged the labels, with the package's version and the date.
        stamps: by case, what :meth:`CaseStore.stamp` said of what the last look saw.
        hints: what would fit, by case (:func:`monai_selfcleanse.results.whole_cases.hints_for_whole_cases`).
    """

    folder: RunFolder
    judgement: Judgement
    data: tuple[dict[str, Any], ...]
    store: CaseStore
    source: Mapping[str, Any]
    stamps: Mapping[str, str]
    hints: Mapping[str, str]

    @property
    def by_case(self) -> dict[str, dict[str, Any]]:
        """The cases' dictionaries by id."""
        return {case_of(item): item for item in self.data}

    def read_seen(self, case: str) -> SeenCase:
        """What the last look saw of a case.

        Raises:
            ValueError: it is gone or damaged, or another run in the folder has looked at the case since.
        """
        if self.store.stamp(case) != self.stamps[case]:
            raise ValueError(
                f"{self.store.directory}: what was seen of case {case!r} is gone, or is not what this judgement rests "
                "on: another run has been at work in the folder and has not ended; let it end, or start it again"
            )
        try:
            return self.store.read_seen(case, self.judgement.one_piece, self.judgement.size_bias)
        except Exception as error:  # a damaged archive raises much
            raise ValueError(
                f"{self.store.directory}: what was seen of case {case!r} is damaged ({type(error).__name__}: {error}): "
                "run the audit again"
            ) from error


def write_record(
    path: str | os.PathLike,
    judgement: Judgement,
    data: Sequence[Mapping[str, Any]],
    store: StoreLike,
    source: Mapping[str, Any],
    hints: Mapping[str, str] | None = None,
) -> None:
    """Write a judgement's record, atomically.

    Args:
        path: the file.
        judgement: on the labels.
        data: dictionaries of the cases judged, with paths; these are kept as absolute ones.
        store: folder or store of what the last look saw.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.
        hints: sentences by case, of cases whose whole label is in the wrong place; None for none.
    """
    store, by_case = CaseStore.at(store), {case_of(item): item for item in data}
    about = {
        "format": _FORMAT,
        "source": provenance(source),
        "store": os.path.abspath(store.directory),
        "min_confidence": store.min_confidence,
        "data": [kept_case(by_case[case]) for case in judgement.cases],
        "hints": dict(hints or {}),
        "stamps": [store.stamp(case) for case in judgement.cases],
        "structures": list(judgement.structures),
        "names": list(judgement.names),
        "values": list(judgement.values),
        "partial_labels": judgement.partial_labels,
        "redraw_margin": judgement.redraw_margin,
        "one_piece": list(judgement.one_piece),
        "decisions": [
            {
                "verdict": decision.verdict,
                "separation": decision.separation,
                "threshold": decision.threshold,
                "size_bias": decision.size_bias,
                "clear_cut": decision.clear_cut,
                "mixture": None if decision.mixture is None else asdict(decision.mixture),
            }
            for decision in judgement.decisions
        ],
    }
    arrays = {f"evidence_{name}": values for name, values in judgement.evidence.items()}
    arrays["clean_probability"], arrays["suspected"] = judgement.clean_probability, judgement.suspected
    # of each structure's own decision, in which a label that was not judged has no probability
    arrays["decided_probability"] = np.stack([decision.clean_probability for decision in judgement.decisions], 1)
    text = np.frombuffer(json.dumps(about, default=_plain).encode(), np.uint8)
    with atomic_path(path) as part:
        np.savez_compressed(part, about=text, **arrays)  # type: ignore[arg-type]


def read_record(directory: str | os.PathLike, data_root: str | os.PathLike | None = None) -> JudgedRun:
    """Read the record of a training or an audit that has ended.

    Args:
        directory: its output folder, which may have moved.
        data_root: where the data lie now, if they have moved: the folder that stands for the lowest one that had all
            images and labels. None: where they lay.

    Raises:
        ValueError: the folder has no record or a damaged one, or a label or an image is not there; the message names
            it, and the remedy.
    """
    folder = RunFolder(directory)
    about, arrays = _read(folder.record)
    try:
        run = _as_run(folder, about, arrays, data_root)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder.record}: lacks what belongs to a record ({type(error).__name__}: {error}): run the audit again"
        ) from error
    check_there(run.data, about["data"])
    return run


def _as_run(
    folder: RunFolder,
    about: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    data_root: str | os.PathLike | None,
) -> JudgedRun:
    data = cases_as_kept(about["data"], data_root)
    store = folder.cases if folder.cases.is_dir() else about["store"]
    decisions = tuple(
        FilterDecision(
            clean_probability=arrays["decided_probability"][:, k],
            suspected=arrays["suspected"][:, k],
            verdict=one["verdict"],
            mixture=_mixture(one["mixture"]),
            separation=one["separation"],
            threshold=one["threshold"],
            size_bias=one["size_bias"],
            clear_cut=one["clear_cut"],
        )
        for k, one in enumerate(about["decisions"])
    )
    judgement = Judgement(
        cases=tuple(case_of(item) for item in data),
        structures=tuple(about["structures"]),
        names=tuple(about["names"]),
        evidence={key[len("evidence_") :]: values for key, values in arrays.items() if key.startswith("evidence_")},
        clean_probability=arrays["clean_probability"],
        suspected=arrays["suspected"],
        decisions=decisions,
        partial_labels=about["partial_labels"],
        redraw_margin=about["redraw_margin"],
        values=tuple(about["values"]),
        one_piece=tuple(about["one_piece"]),
    )
    stamps = dict(zip(judgement.cases, about["stamps"], strict=True))
    return JudgedRun(
        folder,
        judgement,
        tuple(data),
        CaseStore(store, about["min_confidence"]),
        about["source"],
        stamps,
        about["hints"],
    )


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent}: is no folder: name the output folder of a training or an audit")
    if not path.is_file():
        raise ValueError(
            f"{path.parent}: has no {path.name}, so no training or audit has ended there (or one by an older version, "
            "or judge_labels kept no arrays, for want of a directory): name the output folder of one, or run it again"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file}
        about = json.loads(arrays.pop("about").tobytes())
        number = about["format"]
    except Exception as error:  # a damaged archive raises much
        raise ValueError(f"{path}: is damaged ({type(error).__name__}: {error}): run the audit again") from error
    if number != _FORMAT:
        raise ValueError(f"{path}: is of another version of monai-selfcleanse (layout {number}): run the audit again")
    return about, arrays


def _mixture(kept: Mapping[str, Any] | None) -> ScoreMixture | None:
    """A mixture, of whose pairs JSON has made lists."""
    if kept is None:
        return None
    weights, means = (tuple(kept[key]) for key in ("weights", "means"))
    return ScoreMixture(weights, means, kept["variance"], kept["ceiling"])


def kept_case(item: Mapping[str, Any]) -> dict[str, Any]:
    """A case's dictionary as it is kept, with its id and absolute paths."""
    out = {key: item[key] for key in _KEYS if item.get(key) is not None} | {"case": case_of(item)}
    for key in _PATHS:
        if key in out:
            many = isinstance(out[key], (list, tuple))
            out[key] = [os.path.abspath(one) for one in out[key]] if many else os.path.abspath(out[key])
    return out


def cases_as_kept(
    kept: Sequence[Mapping[str, Any]], data_root: str | os.PathLike | None = None
) -> list[dict[str, Any]]:
    """The cases' dictionaries out of JSON, what :func:`kept_case` has made of them; see :func:`read_record`."""
    data = [dict(item) | ({"values": tuple(item["values"])} if "values" in item else {}) for item in kept]
    return data if data_root is None else _moved(data, Path(data_root))


def _plain(value: Any) -> Any:
    """What JSON does not know: numpy's numbers, and paths."""
    return value.item() if isinstance(value, np.generic) else os.fspath(value)


def _files_of(item: Mapping[str, Any]) -> list[str]:
    return [*(map(str, images_of(item)) if "image" in item else ()), *([item["label"]] if "label" in item else ())]


def _moved(data: Sequence[Mapping[str, Any]], root: Path) -> list[dict[str, Any]]:
    """The cases with their paths below another folder, which stands for the lowest one that had all of them."""
    before = os.path.commonpath([os.path.dirname(path) for item in data for path in _files_of(item)])

    def now(path: str) -> str:
        relative = os.path.relpath(path, before)
        return path if relative.startswith(os.pardir) else str(root.absolute() / relative)

    out = []
    for item in data:
        own = {key: item[key] for key in _PATHS if key in item}
        own = {key: [now(one) for one in path] if isinstance(path, list) else now(path) for key, path in own.items()}
        out.append({**item, **own})
    return out


def check_there(data: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]]) -> None:
    """See that the cases' images and labels are there.

    Args:
        data: where they should lie.
        before: where they lay when the labels were judged.

    Raises:
        ValueError: one is not; the message names it, and the option that says where it is now.
    """
    missing = [path for item in data for path in _files_of(item) if not os.path.exists(path)]
    if missing:
        folders = [os.path.dirname(path) for item in before for path in _files_of(item)]
        raise ValueError(
            f"{missing[0]} is not there"
            + (f", nor are {len(missing) - 1} other files" if len(missing) > 1 else "")
            + f": if the data have moved, name with --data the folder that was {os.path.commonpath(folders)}"
        )
