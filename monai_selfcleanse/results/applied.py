"""A folder that :func:`monai_selfcleanse.results.apply_decisions` has written, read back for an export."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..cases.case import label_file_of
from ..cases.label_file import label_of
from ..cases.view import position_of, view_case
from ..core.case_id import case_of
from ..run_folder import RunFolder
from .corrected_labels import KIND
from .drawing import Drawing, Recipe, untrusted_by
from .provenance import PROVENANCE_FILE, is_export, provenance, read_provenance
from .record import JudgedRun, cases_as_kept, check_there, read_record

__all__ = ["AppliedLabels", "is_applied", "read_applied"]


@dataclass(frozen=True, eq=False)
class AppliedLabels:
    """Corrected labels on disk; a :class:`monai_selfcleanse.results.label_set.LabelSet`.

    Attributes:
        directory: the folder.
        data: the cases' dictionaries; their labels are those in the folder.
        structures: the structures' names by class index.
        recipes: by case, what has become of its label.
        about: what the folder's ``provenance.json`` says.
        data_root: where the images lie now, if they have moved.
    """

    directory: Path
    data: Sequence[Mapping[str, Any]]
    structures: Mapping[int, str]
    recipes: Mapping[str, Recipe]
    about: Mapping[str, Any]
    data_root: str | os.PathLike | None = None

    @property
    def excluded(self) -> Sequence[Mapping[str, Any]]:
        """The cases that reviewers have left out, and those with a suspect that was kept undecided."""
        return self.about["excluded"]

    def check_images(self) -> None:
        """See that the images are there.

        Raises:
            ValueError: one is not; the message names it.
        """
        images = [{key: value for key, value in item.items() if key != "label"} for item in self.data]
        check_there(images, self.about["data"])

    def draw(self, item: Mapping[str, Any], mark_untrusted: bool = False) -> Drawing:
        """The label in the folder.

        Raises:
            ValueError: it cannot be read; untrusted voxels are asked for, and the run that judged the labels is not
                there any more, or another one is in its place.
        """
        label, recipe = label_of(item), self.recipes[case_of(item)]
        drawing = Drawing(label, label.index, position_of(item, label))
        if not mark_untrusted:
            return drawing
        if not recipe.suspects:
            return replace(drawing, untrusted=label.index < 0)
        run, case = self._run, case_of(item)
        view = view_case(run.by_case[case], run.read_seen(case), recipe.redrawn)
        return replace(drawing, untrusted=untrusted_by(view.seen, recipe, drawing.index))

    @cached_property
    def _run(self) -> JudgedRun:
        """The run that judged the labels."""
        beside = RunFolder(self.directory.parent)  # where folder and run have moved together
        folder = beside if beside.record.is_file() else RunFolder(self.about["run"])
        wanted = (
            f"{self.directory}: its untrusted voxels are known by {folder.path} alone, where its labels were "
            "judged; decide on all suspects, or export without --ignore"
        )
        try:
            run = read_record(folder, self.data_root)
        except ValueError as error:
            raise ValueError(f"{wanted} ({error})") from error
        if dict(run.source) != self.about["judged_by"]:
            raise ValueError(f"{wanted} (another run has ended there since: apply the decisions again)")
        return run

    def provenance(self) -> dict[str, Any]:
        """What the folder's own says, but with the date of the export, and without what only this package needs."""
        own = {key: value for key, value in self.about.items() if key not in ("package", "version", "date", "export")}
        kept = {key: value for key, value in own.items() if key not in ("data", "structures", "recipes", "excluded")}
        return provenance({"labels": str(self.directory.absolute()), "applied": self.about["date"]} | kept)


def is_applied(directory: str | os.PathLike) -> bool:
    """Whether a folder was written by ``apply``."""
    return is_export(KIND)(Path(directory))


def read_applied(directory: str | os.PathLike, data_root: str | os.PathLike | None = None) -> AppliedLabels:
    """Read a folder that ``apply`` has written.

    Args:
        directory: the folder, which may have moved.
        data_root: where the images lie now, if they have moved; see :func:`monai_selfcleanse.results.read_record`.

    Raises:
        ValueError: the folder is none, its ``provenance.json`` is damaged, or a label of it is gone.
    """
    folder = Path(directory)
    about = read_provenance(folder)
    if about is None or not is_applied(folder):
        raise ValueError(f"{folder}: was not written by selfcleanse apply: name its folder, or that of a run")
    try:
        given = cases_as_kept(about["data"], data_root)
        structures = {int(one["class"]): str(one["name"]) for one in about["structures"]}
        recipes = {
            case: Recipe(**{key: tuple(value) for key, value in one.items()}) for case, one in about["recipes"].items()
        }
        data = [{**item, "label": str(folder / label_file_of(item))} for item in given]
        whole = {"run", "judged_by", "excluded"} <= about.keys() and {case_of(item) for item in data} == recipes.keys()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise _damaged(folder, "an entry is missing")
    if missing := [item["label"] for item in data if not os.path.isfile(item["label"])]:
        raise ValueError(f"{missing[0]} is not there, though {folder / PROVENANCE_FILE} names it: apply again")
    return AppliedLabels(folder, data, structures, recipes, about, data_root)


def _damaged(folder: Path, what: str) -> ValueError:
    return ValueError(f"{folder / PROVENANCE_FILE}: is damaged ({what}): apply the decisions again")
