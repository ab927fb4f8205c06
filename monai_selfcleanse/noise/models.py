"""The noise models: records in, noisy labels out.

A *record* is a JSON-able dictionary that says all there is to know of one change: the ``model``, the ``structure`` and
the model's parameters. :func:`apply_noise` carries it out and draws no random number but from the record's own seed, so
that a record replays to the voxel.

What a model does to a structure is one of two things:

- a *graded* model redraws the structure; one parameter, its magnitude (:data:`GRADED`), says how far the new outline
  is from the given one, which it equals at 0. :mod:`.search` finds the one at which a wanted Dice is left.
- the others (missing structures, components or slices, and swapped ones) have no magnitude.

**What gives way.** Structures do not overwrite one another: what a structure leaves becomes background, and it takes
nothing but background; where its new outline lies on another structure, the other one stays, and parts that it cuts off
from the structure's old place are left out, so that nothing leaps over its neighbours. An enclosed structure cannot
grow. Only a swap touches a second structure, by trading places, and only blobs lie apart.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import ndimage

from ..core.masks import Box, bounding_box
from . import border, missing, motion, spurious
from .canvas import Canvas

__all__ = ["GRADED", "NoiseRecord", "apply_noise", "extent_mm", "graded_canvas", "graded_outline", "replay"]

NoiseRecord = dict[str, Any]


class Graded(NamedTuple):
    """A model with a magnitude.

    Attributes:
        magnitude: the record's key for it, which names its unit.
        outline: prepares a canvas with the record's other parameters; gives the outline as a function of the magnitude.
        reach: ``(record, magnitude, extent_mm)``: how far beyond the structure's bounding box, of that extent, the
            outline can lie, in mm, or in voxels where the magnitude counts steps or slices.
        where: along which axes it reaches so far: ``"all"``, those ``"within"`` a slice, or ``"across"`` slices.
        limit: largest magnitude that makes sense; None for lengths, which end at twice the structure's longest side.
    """

    magnitude: str
    outline: Callable[..., border.Outline]
    reach: Callable[[Mapping[str, Any], float, np.ndarray], float]
    where: Literal["all", "within", "across"] = "within"
    limit: float | None = None


def _nowhere(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    return 0.0


def _that_far(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    return magnitude


def _irregularly(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    # twice as far as it grows: what lies there decides which background is nearer to another structure
    return 2 * magnitude * (1 + 3 * record["wobble"] + 3 * record["jitter"])


def _normally(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    return 3 * magnitude


def _around(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    within = np.delete(extent_mm, record["axis"]) if len(extent_mm) == 3 else extent_mm
    return 2 * math.sin(math.radians(min(magnitude, 180)) / 2) * float(np.linalg.norm(within))


def _scaled(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    return magnitude / 100 * float(extent_mm.max()) if record["direction"] > 0 else 0.0


def _to_blobs(record: Mapping[str, Any], magnitude: float, extent_mm: np.ndarray) -> float:
    blobs, ndim = np.array(record["blobs"]), len(extent_mm)
    centres, radii = blobs[:, :ndim], blobs[:, ndim:] * magnitude
    return max(0.0, float(np.max([radii - centres, centres + radii - extent_mm])))


GRADED: dict[str, Graded] = {
    "erosion": Graded("distance_mm", border.erosion, _nowhere),
    "dilation": Graded("distance_mm", border.dilation, _irregularly, "all"),
    "contour_knots": Graded("offset_mm", border.contour_knots, _normally),
    "markov_walk": Graded("steps", border.markov_walk, _that_far, limit=1024),
    "polygon": Graded("tolerance_mm", border.polygon, _nowhere),
    "smoothing": Graded("sigma_mm", border.smoothing, _nowhere),
    "shift": Graded("shift_mm", motion.shift, _that_far),
    "rotation": Graded("degrees", motion.rotation, _around, limit=90),
    "scaling": Graded("percent", motion.scaling, _scaled, limit=1000),
    "elastic": Graded("displacement_mm", motion.elastic, _normally),
    "false_positives": Graded("radius_mm", spurious.false_positives, _to_blobs, "all"),
    "extension": Graded("slices", spurious.extension, _that_far, "across", limit=64),
}
"""Graded models by name."""

_UNGRADED = ("drop_structure", "drop_components", "drop_slices", "swap")


def apply_noise(label: np.ndarray, record: Mapping[str, Any], spacing: Sequence[float]) -> np.ndarray:
    """Carry one recorded change out on an index map without a channel axis.

    Args:
        label: index map ``(*spatial)``, two or three axes; it is not changed.
        record: as drawn by :meth:`~monai_selfcleanse.noise.LabelNoise.sample` and written in a manifest; keys the model
            does not know are passed over.
        spacing: voxel size in mm, one number an axis.

    Returns:
        A new array of the same shape and dtype. An absent structure stays absent.

    Raises:
        ValueError: the model is unknown, or a parameter is missing, of the wrong kind or does not fit the label.
    """
    model = record.get("model")
    if model not in (*GRADED, *_UNGRADED):
        raise ValueError(f"unknown noise model {model!r}: this version knows {', '.join((*GRADED, *_UNGRADED))}")
    out = label.copy()
    try:
        structure = int(record["structure"])
        tight = bounding_box(label == structure)
        if model == "swap":
            _swap(out, record)
        elif tight is not None and model in GRADED:
            magnitude = float(record[GRADED[model].magnitude])
            canvas = graded_canvas(label, tight, record, spacing, magnitude)
            _redraw(out, canvas, graded_outline(canvas, record)(magnitude), structure)
        elif tight is not None:
            canvas = Canvas.around(label, tight, structure, spacing, [0] * label.ndim)
            _redraw(out, canvas, _what_is_left(canvas, record) & ~canvas.others, structure)
    except KeyError as error:
        raise ValueError(f"the record of a {model} lacks {error}: {dict(record)}") from error
    except (IndexError, TypeError, ValueError) as error:
        raise ValueError(f"the record of a {model} does not fit the label ({error}): {dict(record)}") from error
    return out


def replay(label: np.ndarray, records: Iterable[Mapping[str, Any]], spacing: Sequence[float]) -> np.ndarray:
    """Carry out several records, in order; see :func:`apply_noise`."""
    out = label.copy()
    for record in records:
        out = apply_noise(out, record, spacing)
    return out


def extent_mm(tight: Box, spacing: Sequence[float]) -> np.ndarray:
    """Size in mm of a bounding box, one number an axis."""
    return np.array([(t.stop - t.start) * s for t, s in zip(tight, spacing, strict=True)])


def graded_canvas(
    label: np.ndarray, tight: Box, record: Mapping[str, Any], spacing: Sequence[float], magnitude: float
) -> Canvas:
    """The structure of bounding box ``tight`` with as much around it as a graded model can reach at that magnitude."""
    model = GRADED[record["model"]]
    reach = model.reach(record, magnitude, extent_mm(tight, spacing))
    in_voxels = model.magnitude in ("steps", "slices")
    margins = []
    for axis in range(label.ndim):
        across = axis == record.get("axis", -1) % label.ndim and (label.ndim == 3 or model.where == "across")
        reaches = model.where == "all" or across == (model.where == "across")
        margins.append(math.ceil(reach / (1.0 if in_voxels else spacing[axis])) if reaches else 0)
    return Canvas.around(label, tight, int(record["structure"]), spacing, margins)


def graded_outline(canvas: Canvas, record: Mapping[str, Any]) -> border.Outline:
    """What is drawn as a function of the magnitude: the model's outline, less what gives way."""
    model = GRADED[record["model"]]
    names = [name for name in inspect.signature(model.outline).parameters if name != "canvas"]
    outline = model.outline(canvas, **{name: record[name] for name in names})
    return lambda magnitude: _giving_way(canvas, model, record, outline(magnitude))


def _giving_way(canvas: Canvas, model: Graded, record: Mapping[str, Any], outline: np.ndarray) -> np.ndarray:
    """The outline without what lies on other structures, and without the parts that they cut off within a slice."""
    blocked = outline & canvas.others
    drawn = outline & ~blocked
    if model.where != "within" or not blocked.any():
        return drawn
    ndim, axis = drawn.ndim, int(record["axis"]) % drawn.ndim
    within = tuple(a for a in range(ndim) if ndim == 2 or a != axis)
    neighbours = np.ones((3,) * ndim, dtype=bool)
    if ndim == 3:
        np.moveaxis(neighbours, axis, 0)[[0, 2]] = False
    parts, n_parts = ndimage.label(drawn, neighbours)
    stays = np.zeros(n_parts + 1, dtype=bool)
    stays[parts[canvas.mask]] = True
    kept = drawn & (stays[parts] | ~blocked.any(within, keepdims=True))
    return kept if kept.any() else drawn


def _what_is_left(canvas: Canvas, record: Mapping[str, Any]) -> np.ndarray:
    if record["model"] == "drop_components":
        return missing.drop_components(canvas, record["components"])
    if record["model"] == "drop_slices":
        return missing.drop_slices(canvas, record["slices"], int(record["axis"]), record["gap"])
    return np.zeros_like(canvas.mask)


def _swap(out: np.ndarray, record: Mapping[str, Any]) -> None:
    one, other, slices = record["structure"], record["other"], record["slices"]
    planes = np.moveaxis(out, record["axis"], 0)
    for part in [out] if slices is None else [planes[index] for index in slices]:
        ones, others = part == one, part == other
        part[ones], part[others] = other, one


def _redraw(out: np.ndarray, canvas: Canvas, drawn: np.ndarray, structure: int) -> None:
    part = out[canvas.box]
    part[canvas.mask & ~drawn] = 0
    part[drawn] = structure
