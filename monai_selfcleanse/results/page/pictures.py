"""Pictures of slices for a web page: a grey-scale PNG, and outlines as SVG paths along the voxels' edges.

Vector outlines stay sharp at any size, can be switched off one by one, and cost less than a coloured picture.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...cases.view import CaseView, ScreenTurn, grey_levels

__all__ = ["Picture", "draw_slices", "encode_png", "outline_path"]

_MAX_PIXELS = 320
"""Images wider or higher than this are thinned; outlines never are."""


@dataclass(frozen=True)
class Picture:
    """One slice around a structure, turned as viewers of medical images show it (patient's left at the right).

    Attributes:
        slice: index along the label's last axis, from 0.
        width, height: of the part shown, in voxels of the label; the unit of the outlines.
        aspect: its width over its height, in mm.
        edges: what lies beyond the left and the top edge, as letters (R, L, A, P, S, I).
        png: the image; empty where there is none to show.
        given, predicted, cleansed: outlines of the structure, path data of SVG; empty where a label has none.
    """

    slice: int
    width: int
    height: int
    aspect: float
    edges: tuple[str, str]
    png: bytes
    given: str
    predicted: str
    cleansed: str


def draw_slices(view: CaseView, structure: int, slices: Sequence[int], image: np.ndarray | None) -> list[Picture]:
    """Pictures of a structure in some slices, all of the same part: what label or prediction has, and around it.

    Grey levels run from the 0.5th to the 99.5th percentile of that part in these slices.

    Args:
        view: the case.
        structure: the structure.
        slices: indices along the last axis.
        image: voxels of the label's shape; None for outlines alone.
    """
    masks = [label == structure for label in (view.given, view.predicted, view.cleansed)]
    volumes = [v if v.ndim == 3 else v[..., None] for v in masks]
    box = _around((volumes[0] | volumes[1]).any(2), view.spacing)
    turn = ScreenTurn(view.affine)
    windows: list[np.ndarray] = []
    if image is not None and slices:
        grey = (image if image.ndim == 3 else image[..., None])[box][..., list(slices)]
        windows = list(np.moveaxis(grey_levels(grey), -1, 0))
    out = []
    for i, z in enumerate(slices):
        given, predicted, cleansed = (turn(volume[..., z][box]) for volume in volumes)
        height, width = given.shape
        png = b""
        if windows:
            step = -(-max(height, width) // _MAX_PIXELS)
            png = encode_png(turn(windows[i])[::step, ::step])
        paths = [outline_path(mask) for mask in (given, predicted, cleansed)]
        aspect = width * turn.spacing[1] / (height * turn.spacing[0])
        out.append(Picture(int(z), width, height, float(aspect), turn.edges, png, *paths))
    return out


def _around(mask: np.ndarray, spacing: np.ndarray) -> tuple[slice, slice]:
    """Part of a plane around a mask, twice as wide and square in mm, as far as there is room; all for an empty one."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    ranges = [np.flatnonzero(mask.any(1 - axis))[[0, -1]] for axis in (0, 1)]
    side = 2.0 * max((stop - start + 1) * spacing[axis] for axis, (start, stop) in enumerate(ranges))
    out = []
    for axis, (start, stop) in enumerate(ranges):
        n = min(mask.shape[axis], max(8, round(side / spacing[axis])))
        first = min(max(0, round((start + stop + 1 - n) / 2)), mask.shape[axis] - n)
        out.append(slice(first, first + n))
    return out[0], out[1]


def encode_png(grey: np.ndarray) -> bytes:
    """A grey-scale PNG of an array ``(rows, columns)``, uint8 (PNG specification, ISO/IEC 15948)."""
    height, width = grey.shape
    # Filter type 2: each row as its difference to the one above, which packs better than the values.
    rows = np.full((height, width + 1), 2, np.uint8)
    rows[:, 1:] = np.diff(grey, axis=0, prepend=np.zeros((1, width), np.uint8))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    out = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        out += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return out


def outline_path(mask: np.ndarray) -> str:
    """Closed outlines of a mask ``(rows, columns)`` along its pixels' edges, as path data of SVG in pixels.

    Holes are outlined, too (fill with ``evenodd``). The path of an empty mask is empty.
    """
    padded = np.pad(np.asarray(mask, dtype=bool), 1)
    inside = padded[1:-1, 1:-1]
    # Edges from corner to corner, clockwise around the mask: (y, x) of the pixel, start, direction.
    sides = [
        (~padded[:-2, 1:-1], (0, 0), (0, 1)),
        (~padded[1:-1, 2:], (0, 1), (1, 0)),
        (~padded[2:, 1:-1], (1, 1), (0, -1)),
        (~padded[1:-1, :-2], (1, 0), (-1, 0)),
    ]
    leaving: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for free, (dy, dx), direction in sides:
        for y, x in zip(*(index.tolist() for index in np.nonzero(inside & free)), strict=True):
            leaving.setdefault((y + dy, x + dx), []).append(direction)
    parts = []
    while leaving:
        start = next(iter(leaving))
        parts.append(f"M{start[1]} {start[0]}")
        at, run, length = start, leaving[start][0], 0
        while at in leaving:
            directions = leaving[at]
            # Where two pixels touch at a corner, turn right: around the same pixel.
            right = (run[1], -run[0])
            direction = directions.pop(directions.index(right) if right in directions else 0)
            if not directions:
                del leaving[at]
            if direction != run:
                parts.append(_run(run, length))
                run, length = direction, 0
            at, length = (at[0] + direction[0], at[1] + direction[1]), length + 1
        parts.append(_run(run, length) + "z")
    return "".join(parts)


def _run(direction: tuple[int, int], length: int) -> str:
    """A straight piece of a path."""
    if not length:
        return ""
    return f"h{direction[1] * length}" if direction[1] else f"v{direction[0] * length}"
