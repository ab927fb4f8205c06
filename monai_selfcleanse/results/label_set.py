"""Labels of a data set that are to be exported, wherever they come from; each is drawn when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..cases.apart import check_apart
from ..cases.case import label_file_of
from ..cases.seen import SeenCase
from ..cases.store import CaseStore, StoreLike
from ..core.case_id import case_of
from ..core.judgement import Judgement
from ..distributed import in_workers, worker_count
from ..files import atomic_folder, check_writable
from ..progress import progress
from .drawing import Drawing, Recipe, draw_label
from .exclusion import exclusions
from .provenance import PROVENANCE_FILE, Kind, is_export, judgement_by_case, provenance, write_json
from .record import JudgedRun

__all__ = ["JudgedLabels", "LabelSet", "check_target", "write_labels"]

_KIND: Kind = "cleansed labels"


class LabelSet(Protocol):
    """Labels of a data set as they are to be exported.

    Attributes:
        data: the cases' dictionaries, see :mod:`monai_selfcleanse.cases.case`.
        structures: the structures' names by class index.
    """

    @property
    def data(self) -> Sequence[Mapping[str, Any]]: ...

    @property
    def structures(self) -> Mapping[int, str]: ...

    @property
    def excluded(self) -> Sequence[Mapping[str, Any]]:
        """The cases that are better not trained on, most suspect first
        (:func:`monai_selfcleanse.results.exclusion.exclusions`)."""

    def draw(self, item: Mapping[str, Any], mark_untrusted: bool = False) -> Drawing:
        """Draw a case's label; see :func:`monai_selfcleanse.results.drawing.draw_label`."""

    def provenance(self) -> dict[str, Any]:
        """Where the labels come from, for JSON; it begins as
        :func:`monai_selfcleanse.results.provenance.provenance`."""


@dataclass(frozen=True, eq=False)
class JudgedLabels:
    """The labels that a judgement has left: its ``redrawn`` structures are redrawn.

    Attributes:
        judgement: on the labels.
        data: the cases' dictionaries, with paths.
        read_seen: reads what the last look saw of a case.
        source: see :func:`monai_selfcleanse.results.provenance.provenance`.
    """

    judgement: Judgement
    data: Sequence[Mapping[str, Any]]
    read_seen: Callable[[str], SeenCase]
    source: Mapping[str, Any]
    recipes: Mapping[str, Recipe] = field(init=False)

    def __post_init__(self) -> None:
        suspected, redrawn = (self.judgement.by_case(m) for m in (self.judgement.suspected, self.judgement.redrawn))
        recipes = {
            case: Recipe(redrawn=tuple(redrawn.get(case, ())), suspects=tuple(structures))
            for case, structures in suspected.items()
        }
        object.__setattr__(self, "recipes", recipes)

    @classmethod
    def of(cls, run: JudgedRun) -> JudgedLabels:
        """Those of a training or an audit that has ended."""
        about = {key: value for key, value in run.source.items() if key not in ("package", "version", "date")}
        return cls(run.judgement, run.data, run.read_seen, about | {"judged": run.source["date"]})

    @classmethod
    def in_store(
        cls, judgement: Judgement, data: Sequence[Mapping[str, Any]], store: StoreLike, source: Mapping[str, Any]
    ) -> JudgedLabels:
        """Those of a judgement on what the last look in a store saw."""
        seen = CaseStore.at(store).read_seen
        read_seen = partial(seen, one_piece=judgement.one_piece, size_bias=judgement.size_bias)
        return cls(judgement, data, read_seen, source)

    @property
    def structures(self) -> Mapping[int, str]:
        """The structures' names by class index."""
        return self.judgement.name_of

    @property
    def excluded(self) -> Sequence[Mapping[str, Any]]:
        """The cases with a suspect."""
        return exclusions(self.judgement.suspects())

    def draw(self, item: Mapping[str, Any], mark_untrusted: bool = False) -> Drawing:
        """See :meth:`LabelSet.draw`."""
        case = case_of(item)
        recipe = self.recipes.get(case, Recipe())
        return draw_label(item, recipe, lambda: self.read_seen(case), mark_untrusted=mark_untrusted)

    def provenance(self) -> dict[str, Any]:
        """Package, version, date, source, and the judgement on each label."""
        return provenance(self.source) | {"cases": judgement_by_case(self.judgement)}


def check_target(directory: str | Path, data: Iterable[Mapping[str, Any]], read: Iterable[Path] = ()) -> None:
    """See that a folder can be put in its place, and that it and what is read do not lie in each other.

    Args:
        directory: the folder.
        data: the cases' dictionaries, whose files are read.
        read: folders that are read besides.

    Raises:
        ValueError: the folder above ``directory`` cannot be written; a file or a folder that is read lies in
            ``directory``, or that in such a folder; the message names the first.
    """
    check_writable(Path(directory).absolute().parent, "the folder of the output,")
    check_apart([directory], data, read)


def write_labels(
    directory: str | Path, labels: LabelSet, show_progress: bool = False, num_workers: int | None = 0
) -> None:
    """Write each label under its own relative path, and ``provenance.json``; the folder comes as a whole.

    Args:
        directory: the folder; an earlier export of this kind that was there is replaced.
        labels: the labels.
        show_progress: show a bar.
        num_workers: number of worker processes; None: as many as there are cores.

    Raises:
        ValueError: the folder holds something else, or files of the cases; a file cannot be read.
    """
    check_target(directory, labels.data)
    with atomic_folder(directory, is_export(_KIND)) as part:
        written = in_workers(
            partial(_write_label, labels, part), labels.data, worker_count(len(labels.data), num_workers)
        )
        for _ in zip(progress(labels.data, "labels", show_progress), written, strict=True):
            pass
        write_json(labels.provenance() | {"export": _KIND}, part / PROVENANCE_FILE)


def _write_label(labels: LabelSet, folder: Path, item: Mapping[str, Any]) -> None:
    labels.draw(item).save(folder / label_file_of(item))
