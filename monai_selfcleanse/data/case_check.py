"""What is found of one case's files."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..cases.grid import Notes

__all__ = ["CaseCheck"]


@dataclass
class CaseCheck:
    """What was found of one case's files.

    Attributes:
        problems: what is wrong, a line each.
        notes: what was tolerated.
        structures: the structures that the label has.
        n_channels: number of the image's channels.
        spacing: voxel size of the label in mm.
        spatial: number of the label's voxels along each axis.
    """

    problems: list[str] = field(default_factory=list)
    notes: Notes = field(default_factory=dict)
    structures: set[int] = field(default_factory=set)
    n_channels: int = 0
    spacing: tuple[float, ...] = ()
    spatial: tuple[int, ...] = ()
