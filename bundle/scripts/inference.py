"""What ``configs/inference.json`` does besides naming MONAI's components.

The config loads this file by its path. It needs MONAI with Ignite, nibabel and scipy, and
``monai-selfcleanse[itk]`` for images that are no NIfTI.

An image that cannot be read as it should is passed over and named, and the others are segmented. At the end the program
names all that were passed over, and ends with exit code 1.
"""

from __future__ import annotations

import ast
import difflib
import gzip
import logging
import math
import os
import re
import sys
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, cast

import nibabel as nib
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.data.image_reader import NibabelReader
from monai.data.image_writer import NibabelWriter
from monai.engines import SupervisedEvaluator
from monai.inferers import Inferer
from monai.utils import ensure_tuple, optional_import
from scipy import ndimage
from torch.serialization import get_unsafe_globals_in_checkpoint

__all__ = [
    "AnyFormatReader",
    "MirroredInferer",
    "SameFormatWriter",
    "as_stored",
    "check_command_line",
    "check_inputs",
    "check_options",
    "check_slices",
    "checked",
    "find_images",
    "finish",
    "fitting",
    "or_problem",
    "output_name",
    "read_weights",
    "segment_all",
    "segment_or_note",
    "slices_last",
]

LABEL_FOLDERS = ("labelsTr", "labelsTs", "labels")
"""Folders that hold labels."""

NO_IMAGES = ("_gt", "_4d", ".seg")
"""Endings of names that are no images of one moment: ACDC's labels and heart cycles, 3D Slicer's segmentations."""

NIFTI = (".nii.gz", ".nii")
"""Endings of images that MONAI reads by itself; capitals do as well."""

VOLUMES = (".nrrd", ".mha", ".mhd")
"""Endings of volumes that ``monai_selfcleanse`` reads."""

PICTURES = (".png", ".tif", ".tiff", ".bmp")
"""Endings of images of two axes that it reads. Beside volumes they are taken for something else."""

CHANNEL = re.compile(r"_\d{4}$")
"""How nnU-Net numbers the files of an image's channels."""

NAMED = 20
"""How many images a message names at most."""

OF_MONAI = ("run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking", "args_file")
"""Options that ``monai.bundle run`` takes itself."""

LFS = b"version https://git-lfs"
"""How a file begins that Git LFS has put in the place of another one."""

N_FILES = "n_files"
"""Key of metadata: the number of files that an image was read from."""

Problems = MutableMapping[str, str]
"""What is wrong with an image, and what to do, by its path."""

logger = logging.getLogger("inference")


# Finding images.


def find_images(dataset_dir: str, output_dir: str, in_channels: int = 1) -> list[str | list[str]]:
    """Find the images in a folder and in the folders below it.

    Labels are left out, and so are hidden files and folders, ``__MACOSX``, and segmentations that an earlier run has
    left in ``output_dir``. Where there are volumes, so are pictures (:data:`PICTURES`).

    Args:
        dataset_dir: the folder. Where it does not exist, nothing is found.
        output_dir: where segmentations go. It may lie in ``dataset_dir``.
        in_channels: number of channels of an image.

    Returns:
        An entry an image, sorted: its path. Of several channels, files that differ in nnU-Net's ``_0000``, ``_0001``,
        ... alone are one image, a list of paths. A file without such a number has all of the channels.
    """
    found = sorted(_files(dataset_dir, output_dir))
    volumes = [path for path in found if path.lower().endswith(NIFTI + VOLUMES)]
    paths = volumes or [path for path in found if path.lower().endswith(PICTURES)]
    if in_channels == 1:
        return list(paths)
    images: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        images[_without_channel(path)].append(path)
    return [one if CHANNEL.search(_stem(one[0])) else one[0] for one in images.values()]


def _without_channel(path: str) -> str:
    """A path without the number of its channel; for files without one, as it is."""
    stem = _stem(path)
    return CHANNEL.sub("", stem) + path[len(stem) :].lower() if CHANNEL.search(stem) else path


def _files(dataset_dir: str, output_dir: str) -> Iterator[str]:
    """All that may be images, of any format: files, links to what is not there, and what only looks like a file."""
    inputs, outputs = _folder(dataset_dir), _folder(output_dir)
    skipped = outputs if outputs != inputs and outputs.startswith(inputs) else None
    above: dict[str, set[str]] = {}  # the real paths of a folder and of those that it lies in
    for folder, folders, names in os.walk(dataset_dir, followlinks=True):
        real, place = _folder(folder), os.path.abspath(folder)
        around = above.get(os.path.dirname(place), set())
        if real in around or (skipped and real.startswith(skipped)):  # links may lead in circles
            folders.clear()
            continue
        above[place] = around | {real}
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        if os.path.basename(place) in LABEL_FOLDERS:
            continue
        for name in names:
            path = os.path.join(folder, name)
            if skipped and os.path.realpath(path).startswith(skipped):
                continue
            if not name.startswith(".") and not _stem(name).lower().endswith(NO_IMAGES):
                yield path


def _stem(path: str) -> str:
    """A path without the ending of an image."""
    ending = next((end for end in NIFTI + VOLUMES + PICTURES if path.lower().endswith(end)), "")
    return path[: len(path) - len(ending)]


def _files_of(image: str | Sequence[str]) -> list[str]:
    """The files of an image, one or one a channel."""
    return [str(path) for path in ensure_tuple(image)]


def _written(image: str | Sequence[str]) -> str:
    """Where an image's segmentation goes, with the output folder in the place of the images'."""
    path = _files_of(image)[0]
    stem, ending = _stem(path), path[len(_stem(path)) :]
    name = stem if isinstance(image, str) else CHANNEL.sub("", stem)
    return name + (".nii.gz" if ending.lower() in NIFTI else ending)


def output_name(meta: Mapping[str, Any], _: Any = None) -> dict[str, Any]:
    """How ``SaveImage`` names a segmentation: as its image, whose ending may have capitals.

    Of an image in several files the name has no channel's number.
    """
    path = str(meta["filename_or_obj"])
    name = _stem(path) if meta.get(N_FILES, 1) == 1 else CHANNEL.sub("", _stem(path))
    return {"subject": f"{name}.nii.gz", "idx": None}


# Files of all formats.


class AnyFormatReader(NibabelReader):
    """Reads NIfTI as MONAI does, and other formats as ``monai_selfcleanse`` does (:data:`VOLUMES`, :data:`PICTURES`).

    An image has three axes; one with two gets a third.
    """

    def read(self, data: Any, **options: Any) -> Any:
        """Open files."""
        paths = _files_of(data)
        if all(path.lower().endswith(VOLUMES + PICTURES) for path in paths):
            return [_opened(path) for path in paths]
        return super().read(data, **options)

    def get_data(self, img: Any) -> tuple[np.ndarray, dict]:
        """Voxels, channel-first where there are several, and metadata."""
        if hasattr(ensure_tuple(img)[0], "dataobj"):
            array, meta = super().get_data(img)
            if len(meta["spatial_shape"]) == 2:
                array, meta["spatial_shape"] = array[..., None], np.append(meta["spatial_shape"], 1)
        else:
            files = ensure_tuple(img)
            array = np.moveaxis(np.concatenate([file.stack(3) for file in files], -1), -1, 0)
            array, channel = (array, 0) if len(array) > 1 else (array[0], float("nan"))
            affine = files[0].affine
            if not all(np.allclose(file.affine, affine, atol=1e-3) for file in files):
                raise ValueError(f"{files[0].path}: its channels do not lie on one grid; save them on one")
            meta = {
                "affine": affine,
                "original_affine": affine.copy(),
                "spatial_shape": np.asarray(files[0].spatial(3)),
                "original_channel_dim": channel,
                "space": "RAS",
                "dim": np.asarray([len(files[0].shape), *files[0].shape]),
            }
        meta[N_FILES] = len(ensure_tuple(img))
        return array, meta


def _opened(path: str) -> Any:
    """A file as ``monai_selfcleanse`` sees it.

    Raises:
        ValueError: it cannot be read, or the package is not there; the message names the file.
    """
    open_image, is_there = optional_import("monai_selfcleanse.cases.image_file", name="open_image")
    if not is_there:
        raise ValueError(f"{path}: needs the package monai-selfcleanse with its extra itk; or convert it to NIfTI")
    return open_image(path)


# An image's axes.


def slices_last(image: MetaTensor) -> torch.Tensor:
    """Put the axis across the slices last. The other two keep their order.

    It is an axis of length 1, if there is one, else the axis with the largest voxel size. Of equal ones it is the last.
    (Axes are told by number: a letter for each, as MONAI's ``Orientation`` wants it, says nothing of an axis that lies
    halfway between two of the patient's.)

    Args:
        image: ``(C, *spatial)`` with three spatial axes, as its file has them.
    """
    return _with_axes(image, _slices_last_order(list(image.shape[1:]), image.affine))


def as_stored(image: MetaTensor) -> torch.Tensor:
    """Bring the axes back to the order in which the image's file has them, if :func:`slices_last` changed it.

    ``Invertd`` cannot undo that, since it stands in a ``Lambdad``.
    """
    affine = np.asarray(image.meta["original_affine"])
    if np.allclose(np.asarray(image.affine), affine, atol=1e-3):  # two axes in each other's place differ by far more
        return image
    order = _slices_last_order([int(n) for n in image.meta["spatial_shape"]], affine)
    return _with_axes(image, [order.index(axis) for axis in range(3)])


def _slices_last_order(shape: Sequence[int], affine: Any) -> list[int]:
    """The axes of an image, the one across its slices last."""
    sizes = nib.affines.voxel_sizes(np.asarray(affine))
    across = max(range(3), key=lambda axis: (shape[axis] == 1, round(float(sizes[axis]), 3), axis))
    return [axis for axis in range(3) if axis != across] + [across]


def _with_axes(image: MetaTensor, order: Sequence[int]) -> MetaTensor:
    """An image with its axes in another order, and the affine that this makes."""
    out = cast(MetaTensor, image.permute(0, *(axis + 1 for axis in order)))
    affine = image.affine.clone()
    affine[:, :3] = image.affine[:, list(order)]
    out.affine = affine
    return out


# What the network says of an image.


class MirroredInferer(Inferer):
    """Asks another inferer for an image and for its mirror image, and returns the mean of what it says.

    The mean is of logits, which is a geometric mean of probabilities. A network that was trained on mirrored patches
    segments a little better so, and takes twice as long. The network returns one tensor. (MONAI's
    ``TestTimeAugmentation`` draws its transforms at random.)

    Args:
        inferer: the other one.
        mirror_axis: spatial axis, from 0 on, along which training mirrors its patches. None: as the other one alone.
    """

    def __init__(self, inferer: Inferer, mirror_axis: int | None = 0) -> None:
        super().__init__()
        self.inferer, self.mirror_axis = inferer, mirror_axis

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Logits ``(B, C, *spatial)`` for images ``(B, channels, *spatial)``."""
        out = self.inferer(inputs, network, *args, **kwargs)
        if self.mirror_axis is None:
            return out
        out = out.clone()  # it may be a buffer that the next call fills again
        axis = 2 + self.mirror_axis
        mirrored = self.inferer(inputs.flip(axis), network, *args, **kwargs)
        for k in range(out.shape[1]):  # class by class: a third array of all of them may not fit
            out[:, k] += mirrored[:, k].flip(axis - 1)
        return out.div_(2)


# Structures in one piece.


LEAST_SHARE = 0.5
"""Share of its largest piece that a structure must have where the others are, to be kept there."""


def largest_pieces(index: torch.Tensor, structures: Mapping[Any, str], one_piece: Sequence[str]) -> torch.Tensor:
    """Keep only one piece of each structure in ``one_piece``; the rest of it becomes background.

    It is the largest piece that touches the others: that lies in the largest piece of all these structures together.
    Something elsewhere may be larger than a small ventricle, but not than a heart. A structure that has less than
    half (:data:`LEAST_SHARE`) of its largest piece there keeps its largest piece: it does not belong to the others.

    Voxels that touch each other, at corners, too, are of one piece, and so are those that one voxel parts. A single
    slice is left alone: a myocardium is cut into several pieces there. (MONAI's
    ``KeepLargestConnectedComponentd`` bridges no gap, and needs scikit-image.)

    Args:
        index: the most probable class of each voxel, ``(1, *spatial)``; class k is the k-th structure, in the order of
            their values.
        structures: names by value.
        one_piece: names of those in one piece.
    """
    out = index.clone()
    if index.ndim < 4 or min(index.shape[1:]) == 1:
        return out
    classes = torch.as_tensor(index[0]).cpu().numpy()
    kept = [k for k, value in enumerate(sorted(structures, key=int), 1) if structures[value] in one_piece]
    together = _pieces(np.isin(classes, kept))
    main = together == 1 + _sizes(together).argmax()
    for k in kept:
        pieces = _pieces(classes == k)
        if pieces.max() > 1:
            sizes, in_main = _sizes(pieces), _sizes(np.where(main, pieces, 0), pieces.max())
            best = in_main.argmax() if in_main.max() >= LEAST_SHARE * sizes.max() else sizes.argmax()
            out[0][torch.from_numpy((pieces > 0) & (pieces != 1 + best)).to(out.device)] = 0
    return out


def _pieces(mask: np.ndarray) -> np.ndarray:
    """The number of each voxel's piece, from 1 on; 0 outside of the mask."""
    wider = ndimage.maximum_filter(mask.view(np.uint8), 2)
    pieces, _ = ndimage.label(wider, np.ones((3,) * mask.ndim))
    return pieces * mask


def _sizes(pieces: np.ndarray, n: int = 1) -> np.ndarray:
    """Number of voxels of the pieces 1, 2, ..., of ``n`` at least."""
    return np.bincount(pieces.ravel(), minlength=n + 1)[1:]


def check_one_piece(one_piece: Any, structures: Mapping[Any, str]) -> None:
    """End the program with a line if this is no list of structures' names.

    Raises:
        SystemExit: it is none, or a name is unknown; the message shows it.
    """
    names = list(structures.values())
    if not isinstance(one_piece, (list, tuple)) or any(name not in names for name in one_piece):
        sys.exit(
            f"error: one_piece must be a list of structures' names, of {names}, got {one_piece!r}; give "
            f'"[\'{names[0]}\']", or "[]" for none'
        )


def check_slices(
    inferer: Any, network: torch.nn.Module, in_channels: int, spatial_dims: int, divisible_by: int
) -> None:
    """End the program with a line if windows, or whole slices, do not go through the network.

    ``monai_selfcleanse.cli.sizes.check_roi`` sees to the same before a training.

    Args:
        inferer: a sliding-window one; a side of its windows that is not above 0 stands for the image's own. Another
            inferer is passed over.
        network: left as it is.
        in_channels: of the image.
        spatial_dims: 2 or 3. In 3-D nothing is padded, and sides that are not known are not tried.
        divisible_by: slices are padded to multiples of this.

    Raises:
        SystemExit: they do not; the message says what to change.
        RuntimeError: there is too little memory to try.
    """
    size = getattr(inferer, "roi_size", None)
    sizes = [size] * spatial_dims if isinstance(size, int) else list(size or [])[:spatial_dims]
    whole = any(isinstance(n, int) and n <= 0 for n in sizes)
    if len(sizes) != spatial_dims or not all(isinstance(n, int) for n in sizes) or (whole and spatial_dims != 2):
        return
    sizes = [n if n > 0 else 7 * divisible_by for n in sizes]  # 7: a multiple that strides of 2, 3 or 5 do not share
    was_training = network.training
    device = next((value.device for value in network.parameters()), torch.device("cpu"))
    try:
        with torch.no_grad():
            out = list(network.eval()(torch.zeros(1, in_channels, *sizes, device=device)).shape[2:])
        problem = "" if out == sizes else f"it comes out as {out}"
    except (RuntimeError, ValueError) as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise
        problem = " ".join(str(error).split())
    finally:
        network.train(was_training)
    if problem:
        name = f"divisible_by {divisible_by}" if whole else f"inferer#roi_size {sizes}"
        sys.exit(
            f"error: {name} does not go through network_def with in_channels {in_channels} ({problem}): give multiples "
            "of the product of the network's strides, such as 16 for four strides of 2"
        )


class SameFormatWriter(NibabelWriter):
    """Writes a segmentation in its image's format, with as many axes, those of length 1 at the end, too."""

    def set_metadata(self, meta_dict: Mapping | None, resample: bool = True, **options: Any) -> None:
        """As in MONAI, with three axes at least; then the array gets the shape of the image, or of one channel."""
        dim = np.asarray((meta_dict or {}).get("dim", ())).ravel().astype(int)
        shape = dim[1 : dim[0] + 1].tolist() if len(dim) else list(np.shape(self.data_obj))
        if int(np.prod(shape)) != np.size(self.data_obj):
            shape = list(np.shape(self.data_obj))
        self.image = str((meta_dict or {}).get("filename_or_obj", ""))
        self.data_obj = np.reshape(np.asarray(self.data_obj), (*shape, 1)[:3])
        super().set_metadata(meta_dict, resample, **options)
        self.data_obj = np.reshape(self.data_obj, shape)

    def write(self, filename: Any, verbose: bool = False, **options: Any) -> None:
        """Write the file, under the ending of its image; it is whole or not there.

        A full disk or a killed program leaves no half of one.

        Raises:
            SystemExit: it cannot be written.
        """
        is_other = self.image.lower().endswith(VOLUMES + PICTURES)
        target = _stem(os.fspath(filename)) + self.image[len(_stem(self.image)) :] if is_other else os.fspath(filename)
        folder, name = os.path.split(target)
        part = os.path.join(folder, f".part-{os.getpid()}-{name}")  # hidden, and so no image of a later run
        try:
            if is_other:
                _opened(self.image).write(np.asarray(self.data_obj), part, self.output_dtype)
            else:
                super().write(part, verbose=False, **options)
            os.replace(part, target)
            if verbose:
                logger.info(f"written: {target}")
        except OSError as error:  # SaveImage would say that there is no writer
            sys.exit(f"error: {target} cannot be written ({error.strerror or error})")
        finally:
            if os.path.exists(part):
                os.remove(part)


# What can be wrong with an image.


def checked(image: MetaTensor) -> MetaTensor:
    """An image that has just been loaded, with three axes after its channels.

    Raises:
        ValueError: its file is damaged, or holds what is no image; the message names the file.
    """
    path = str(image.meta.get("filename_or_obj", ""))
    problem = (_header_problem(path) or _stream_problem(path)) if path.lower().endswith(NIFTI) else ""
    if problem := problem or _value_problem(image):
        raise ValueError(f"{path}: {problem}")
    extra = range(4, image.ndim)
    return image.squeeze(tuple(extra)) if extra else image  # type: ignore[return-value]


def _image_problem(image: str | Sequence[str], in_channels: int) -> str:
    """What is wrong with an image of one file or more, as far as their beginnings tell, and what to do; or ''."""
    files = _files_of(image)
    for path in files:
        if problem := _header_problem(path, in_channels if isinstance(image, str) else 1):
            return problem if path == files[0] else f"its channel {path} {problem}"
    if not isinstance(image, str) and len(files) != in_channels:
        found = f"{len(files)} file" + "s" * (len(files) > 1)
        return f"has channels in {found}, but the network takes {in_channels}; one file a channel is wanted"
    return ""


def _header_problem(path: str, in_channels: int | None = None) -> str:
    """What is wrong with a file, as far as its beginning tells, and what to do; or ''.

    Args:
        path: the file.
        in_channels: number of channels that it should have; None for any.
    """
    if os.path.exists(path) and not os.path.isfile(path):  # to open a pipe is to wait for its writer
        return "is a pipe or a device, no file; take it out of the folder"
    try:
        with open(path, "rb") as file:
            start = file.read(len(LFS))
    except OSError as error:
        if os.path.islink(path) and not os.path.exists(path):
            return (
                "is a link to a file that is not there; fetch that (where git-annex made the link, with `datalad get`)"
            )
        return f"cannot be opened ({error.strerror or error})"
    if not start:
        return "is empty; fetch it again"
    if start == LFS:
        return "is a Git LFS pointer, not the image itself; fetch it with `git lfs pull`"
    if path.lower().endswith(VOLUMES + PICTURES):
        return _other_problem(path, in_channels)
    packed, ending = start.startswith(b"\x1f\x8b"), path.lower()[len(_stem(path)) :]
    if ending and packed != (ending == ".nii.gz"):
        kind, right = ("a packed", ".nii.gz") if packed else ("an unpacked", ".nii")
        if packed or _is_nifti(path):
            return f"holds {kind} file, though its name ends in {ending}; rename it so that it ends in {right}"
        return "is no NIfTI file; take it out of the folder, or fetch it again"
    try:
        image = nib.load(path)
        return _kind_problem(tuple(image.shape), image.get_data_dtype(), in_channels)  # type: ignore[attr-defined]
    except Exception as error:  # nibabel raises much
        return f"is no NIfTI file, or damaged ({type(error).__name__}); take it out of the folder, or fetch it again"


def _other_problem(path: str, in_channels: int | None) -> str:
    """What ``monai_selfcleanse`` says of a file that is no NIfTI; or ''."""
    try:
        file = _opened(path)
    except ValueError as error:
        return str(error).removeprefix(f"{path}: ")
    shape = (*file.spatial(3), *file.shape[file.ndim :])
    return _kind_problem(shape, file.dtype, in_channels)


def _is_nifti(path: str) -> bool:
    """Whether an unpacked file has one of NIfTI's marks."""
    with open(path, "rb") as file:
        start = file.read(348)
    return start[344:347] in (b"n+1", b"ni1") or start[4:7] in (b"n+2", b"ni2")


def _kind_problem(shape: tuple[int, ...], dtype: np.dtype, in_channels: int | None = None) -> str:
    """Why a file of this shape and data type is no image, or none of that many channels, and what to do; or ''."""
    if dtype.fields is not None:
        return "holds colours (RGB), not one number a voxel; save one channel of it"
    if np.issubdtype(dtype, np.complexfloating):
        return "holds complex numbers; save their magnitude"
    if not shape or min(shape) < 1:
        return f"has the shape {shape}, which is no voxel; take it out of the folder"
    channels = [n for n in shape[3:] if n > 1]
    if len(shape) < 2 or len(channels) > 1:
        return f"has the shape {shape}, but three axes are wanted; split it into volumes, or take it out of the folder"
    found = channels[0] if channels else 1
    if in_channels in (None, found):
        return ""
    if in_channels == 1:
        return f"has the shape {shape}, but three axes are wanted; split it into volumes, or take it out of the folder"
    return f"has {found} channels, but the network takes {in_channels}; give it an image with as many"


def _stream_problem(path: str) -> str:
    """What is wrong with a packed file when it is read to its end, where its checksum is; or ''.

    nibabel stops before.
    """
    if not path.lower().endswith(".gz"):
        return ""
    try:
        with gzip.open(path) as stream:
            while stream.read(1 << 24):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return f"is damaged: it cannot be unpacked to its end ({type(error).__name__}: {error}); fetch it again"
    return ""


def _value_problem(image: MetaTensor) -> str:
    """What voxels, or the affine, are no numbers, and what to do; or ''."""
    voxels, affine = image.as_tensor(), image.affine
    found = {
        "are NaN": int(torch.isnan(voxels).sum()),
        "are infinite, or beyond what 32 bits can hold (3.4e38)": int(torch.isinf(voxels).sum()),
    }
    amiss = [f"{n} {what}" for what, n in found.items() if n]
    if amiss:
        return f"of {voxels.numel()} voxels, {' and '.join(amiss)}; put numbers in their place"
    sizes = affine[:3, :3].norm(dim=0)
    if not torch.isfinite(affine).all() or not sizes.all() or abs(torch.linalg.det(affine[:3, :3] / sizes)) < 1e-3:
        return "says no valid position: its affine is not finite, or cannot be inverted; correct its header"
    return ""


def fitting(image: MetaTensor, spacing: Sequence[float], num_classes: int) -> MetaTensor:
    """An image that is about to be resampled, where it fits into the memory then.

    Args:
        image: ``(C, *spatial)``.
        spacing: voxel size in mm that it is resampled to, one number an axis; -1 keeps one as it is.
        num_classes: classes that are predicted for each voxel.

    Raises:
        ValueError: it does not fit; the message has the numbers.
    """
    sizes, old = [float(size) for size in image.pixdim], list(image.shape[1:])
    new = [max(1.0, n * s / t) if t > 0 else float(n) for n, s, t in zip(old, sizes, spacing, strict=True)]
    # where each voxel is taken from; or logits, twice, beside a mirror image, one class and the windows' weights
    of_network = 8 * num_classes + 4 * len(image) + 8
    needed, memory = math.prod(new) * (4 * len(image) + max(24, of_network)), _memory()
    if memory is None or needed <= memory:
        return image
    raise ValueError(
        f"{image.meta.get('filename_or_obj', '')}: with spacing {list(spacing)} its {' x '.join(map(str, old))} voxels "
        f"of {' x '.join(f'{size:.3g}' for size in sizes)} mm become {math.prod(new):,.0f}, which take "
        f"{needed / 1e9:,.1f} GB, where the machine has {memory / 1e9:,.1f} GB; give a larger --spacing"
    )


def _memory() -> int | None:
    """Bytes of memory for this process, by the machine, its container and its shell; None where none of them says.

    So says ``monai_selfcleanse.data.resampling``, too.
    """
    known = []
    with suppress(ImportError, OSError, ValueError):
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit

        known += [limit for limit in getrlimit(RLIMIT_AS) if limit != RLIM_INFINITY]
    with suppress(AttributeError, OSError, ValueError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, ValueError), open("/sys/fs/cgroup/memory.max") as file:  # "max" where there is no limit
        known.append(int(file.read()))
    return min(known) if known else None


# Segmenting what can be segmented.


def or_problem(preprocessing: Callable, in_channels: int = 1) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    """A transform that gives an image's path and its problem, where it has one, in the place of an error.

    Args:
        preprocessing: the transform of the images.
        in_channels: number of channels of an image.
    """

    def transform(case: Mapping[str, Any]) -> Mapping[str, Any]:
        path, *others = _files_of(case["image"])
        try:
            problem = _image_problem(case["image"], in_channels)
            for other in others if not problem else ():
                problem = problem or _stream_problem(other)
            data = {} if problem else preprocessing(case)
            if not problem and not torch.isfinite(data["image"]).all():
                problem = "has values too far apart for 32 bits; scale them"
        except Exception as error:  # whatever an image does to us is its own problem, not the others'
            logger.debug("cannot be read", exc_info=True)
            text = _innermost(error)
            ours = text.removeprefix(f"{path}: ") if text.startswith(f"{path}: ") else ""
            problem = _stream_problem(path) or ours or f"cannot be read ({text}); fetch it again, or take it out"
        return {"image": path, "problem": problem} if problem else data

    return transform


def _innermost(error: BaseException) -> str:
    """What the first of several errors says that have raised each other, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


def segment_all(evaluator: SupervisedEvaluator) -> None:
    """Run the evaluator.

    Raises:
        SystemExit: the user has interrupted it.
    """
    try:
        evaluator.run()
    except KeyboardInterrupt:
        print("interrupted: what is segmented is whole; the same command begins anew", file=sys.stderr)
        sys.exit(130)


def segment_or_note(problems: Problems) -> Callable[[SupervisedEvaluator, Mapping[str, Any]], Any]:
    """What the evaluator does with an image: it is segmented, or its problem is noted.

    Args:
        problems: where problems go.

    Raises:
        SystemExit: on call, a segmentation cannot be written.
    """

    def iteration(evaluator: SupervisedEvaluator, batch: Any) -> Any:
        if "problem" not in batch:
            return _segmented(evaluator, batch, problems)
        for path, problem in zip(batch["image"], batch["problem"], strict=True):
            _note(problems, path, problem)
        return {}

    return iteration


def _segmented(evaluator: SupervisedEvaluator, batch: Any, problems: Problems) -> Any:
    """What the evaluator makes of images; or their problem is noted, where it makes nothing of them."""
    try:
        return evaluator._iteration(evaluator, batch)
    except Exception as error:
        logger.debug("cannot be segmented", exc_info=True)
        text = _innermost(error)
        for path in batch["image"].meta["filename_or_obj"]:
            _note(problems, str(path), f"cannot be segmented ({text})")
        return {}


def _note(problems: Problems, path: str, problem: str) -> None:
    """Keep a problem, and say it, if it is new."""
    if path not in problems:
        problems[path] = problem
        logger.warning(f"not segmented: {path}: {problem}")


def check_inputs(
    ckpt_path: str | None,
    network: torch.nn.Module,
    cases: Sequence[Mapping[str, Any]],
    dataset_dir: str,
    output_dir: str,
    problems: Problems,
    in_channels: int = 1,
) -> None:
    """End the program with a line a problem, if weights or folders have any, or all of the images do.

    Args:
        ckpt_path: the file of the weights. None if none are to be loaded.
        network: what the weights must fit.
        cases: the images, each under ``image``.
        dataset_dir: the folder that they come from.
        output_dir: the folder that segmentations are to go to.
        problems: those of single images go here, as far as the files' beginnings tell.
        in_channels: number of channels of an image.

    Raises:
        SystemExit: there is a problem; the message names all of them.
    """
    images = [case["image"] for case in cases]
    amiss = [
        "" if ckpt_path is None else _weights_amiss(ckpt_path, network),
        "" if images else _no_images(dataset_dir, output_dir),
        _overwriting(images, dataset_dir, output_dir),
        _same_output(images),
    ]
    problems_of = ((_files_of(image)[0], _image_problem(image, in_channels)) for image in images)
    found = {path: problem for path, problem in problems_of if problem}
    if images and len(found) == len(images):
        lines = [f"{path}: {problem}" for path, problem in list(found.items())[:NAMED]]
        amiss.append("\n  ".join([f"none of the images ({len(images)}) can be segmented:", *lines]))
    if any(amiss):
        sys.exit("error: " + "\n".join(filter(None, amiss)))
    for path, problem in found.items():
        _note(problems, path, problem)


def finish(cases: Sequence[Mapping[str, Any]], dataset_dir: str, output_dir: str, problems: Problems) -> None:
    """Say what was done, and what was not.

    Args:
        cases: the images.
        dataset_dir: the folder that they come from.
        output_dir: the folder of the segmentations.
        problems: of the images that were not segmented.

    Raises:
        SystemExit: some images were not segmented; the message names them.
    """
    passed_over = _passed_over(dataset_dir, output_dir)
    if problems:
        named = [f"{path} ({problem})" for path, problem in list(problems.items())[:NAMED]]
        more = [f"and {len(problems) - NAMED} more"] if len(problems) > NAMED else []
        head = f"error: {len(problems)} of {len(cases)} images were not segmented: "
        sys.exit(head + ", ".join([*named, *more]) + (f"; {passed_over}" if passed_over else ""))
    line = f"segmented {len(cases)} images, see {output_dir}"
    logger.log(logging.WARNING if passed_over else logging.INFO, f"{line}; {passed_over}" if passed_over else line)


def _passed_over(dataset_dir: str, output_dir: str) -> str:
    """How many pictures lie beside volumes; or ''."""
    found = [path.lower() for path in _files(dataset_dir, output_dir)]
    count = sum(path.endswith(PICTURES) for path in found)
    if not count or not any(path.endswith(NIFTI + VOLUMES) for path in found):
        return ""
    return f"passed over {count} pictures ({', '.join(PICTURES)}) beside the volumes"


# What ends the program before any work.


def check_command_line() -> None:
    """End ``python -m monai.bundle run`` with a line, if an option on its command line is no id of the configs.

    Training and audit do the same, by code that inference must do without. In any other program nothing happens. An
    id's last part may be new in its entry, such as an argument that has a default.

    Raises:
        SystemExit: there is such an option; the message names it, and the id that is most like it. Or an option has a
            plain None, which MONAI passes over.
    """
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", "")
    if not name.startswith("monai.bundle") or sys.argv[1:2] != ["run"]:
        return
    arguments = sys.argv[2 : sys.argv.index("--") if "--" in sys.argv else None]
    given: dict[str, str] = {}
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        if argument.startswith("--"):  # as Fire reads them: --name value, --name=value, dashes for underscores
            option, _, value = argument[2:].partition("=")
            given[option.replace("-", "_")] = value or following
    if "config_file" not in given:
        return
    config = ConfigParser.load_config_files(_listed(given["config_file"]))
    for option, value in given.items():
        if option in OF_MONAI:
            continue
        if problem := _unknown_id(option.removeprefix("+"), config):
            sys.exit(f"error: --{option}: {problem}")
        if value == "None" and config.get(option, option) is not None:
            sys.exit(
                f"error: --{option} None: MONAI passes over a plain None; give --{option} '$None', or '[]' for an "
                "empty list"
            )


def _listed(text: str) -> str | list[str]:
    """Config files as the command line names them: one path or several with commas, or a list in Python's words."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return [str(path) for path in found] if isinstance(found, (list, tuple)) else text


def _unknown_id(option: str, config: Any) -> str:
    """What part of an id no config defines, or ''."""
    parts = re.split("#|::", option)
    for i, part in enumerate(parts[: max(1, len(parts) - 1)]):
        if not isinstance(config, (dict, list)):
            return ""  # an expression or a reference: what it holds is not known yet
        entries = {str(key): one for key, one in (config.items() if isinstance(config, dict) else enumerate(config))}
        if part not in entries:
            wrong = "#".join(parts[: i + 1])
            near = difflib.get_close_matches(part, [key for key in entries if not key.startswith("_")], 1)
            meant = f"; did you mean {'#'.join([*parts[:i], near[0]])}?" if near else ""
            return f"no config defines {wrong!r}{meant}"
        config = entries[part]
    return ""


def check_options(
    device: Any,
    dataset_dir: Any,
    output_dir: Any,
    spacing: Any,
    patch_size: Any,
    in_channels: Any,
    divisible_by: Any = 1,
    mirror_axis: Any = None,
    spatial_dims: int = 3,
) -> None:
    """End the program with a line an option, if any has no meaning.

    Args:
        device: what the network runs on.
        dataset_dir: the folder of the images.
        output_dir: the folder of the segmentations. It may not exist yet.
        spacing: voxel size in mm, one number an axis.
        patch_size: voxels that images are padded to, one number an axis.
        in_channels: number of channels of the images.
        divisible_by: what the sides of slices are padded to multiples of.
        mirror_axis: that of :class:`MirroredInferer`.
        spatial_dims: those of the network, 2 or 3.

    Raises:
        SystemExit: one has none; the message names all of them.
    """
    amiss = [
        _device_amiss(device),
        "" if isinstance(dataset_dir, (str, os.PathLike)) else f"dataset_dir must be a path, got {dataset_dir!r}",
        _output_amiss(output_dir),
        ""
        if _three(spacing) and all(size == -1 or 0 < size < float("inf") for size in spacing)
        else f"spacing must be three numbers above 0 (or -1, which keeps an axis as it is), got {spacing!r}",
        ""
        if _three(patch_size) and all(isinstance(n, int) and n > 0 for n in patch_size)
        else f"patch_size must be three whole numbers from 1 on, got {patch_size!r}",
        ""
        if isinstance(in_channels, int) and in_channels > 0
        else f"in_channels must be a whole number of at least 1, got {in_channels!r}",
        ""
        if isinstance(divisible_by, int) and divisible_by > 0
        else f"divisible_by must be a whole number of at least 1, got {divisible_by!r}",
        ""
        if mirror_axis is None or (type(mirror_axis) is int and 0 <= mirror_axis < spatial_dims)
        else f"mirror_axis must be {', '.join(map(str, range(spatial_dims)))} or '$None', got {mirror_axis!r}",
    ]
    if any(amiss):
        sys.exit("error: " + "\n".join(filter(None, amiss)))


def _three(value: Any) -> bool:
    """Whether this is three numbers."""
    return isinstance(value, (list, tuple)) and len(value) == 3 and all(isinstance(n, (int, float)) for n in value)


def _device_amiss(device: Any) -> str:
    """Why nothing can run on this device, or ''."""
    try:
        kind = torch.device(device)
        if kind.type == "cpu" and kind.index:
            raise ValueError("there is one CPU")
        torch.zeros(1, device=kind).cpu()
    except Exception as error:  # torch raises much
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return f"device {str(device)!r} cannot be used ({why}); give cpu, cuda or cuda:N with --device"
    return ""


def _output_amiss(output_dir: Any) -> str:
    """Why no file can be written to a folder, or ''."""
    if not isinstance(output_dir, (str, os.PathLike)) or not str(output_dir).strip(" '\""):
        return f"output_dir must be a path, got {output_dir!r}"
    path = os.path.abspath(output_dir)
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    if os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK):
        return ""
    why = "not writable" if os.path.isdir(path) else "no folder"
    return f"output_dir {str(output_dir)!r} cannot be written: {path} is {why}; give another one with --output_dir"


def read_weights(path: str) -> Any:
    """Read what ``torch.save`` has written. None for any other file, and for one with more than tensors in it."""
    if not zipfile.is_zipfile(path) or get_unsafe_globals_in_checkpoint(path):
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def _weights_amiss(path: str, network: torch.nn.Module) -> str:
    """What is wrong with a file of weights, or ''."""
    weights = read_weights(path)
    if weights is None and _begins_with(path, LFS):
        return (
            f"ckpt_path {path!r} is a Git LFS pointer, not the weights themselves: fetch them with `git lfs pull`, or "
            "give others with --ckpt_path"
        )
    if weights is None:
        return (
            f"ckpt_path {path!r} is missing, or no state dict that torch.save has written; give another one with "
            "--ckpt_path"
        )
    amiss = sorted({name for name, _ in _shapes(weights).items() ^ _shapes(network.state_dict()).items()})
    if amiss:
        return (
            f"ckpt_path {path!r} does not fit network_def: {len(amiss)} entries are missing, unknown or of another "
            f"shape, such as {', '.join(amiss[:3])}; give the flat state dict of that network with --ckpt_path"
        )
    broken = sorted(name for name, value in weights.items() if not torch.isfinite(value).all())
    if not broken:
        return ""
    return (
        f"ckpt_path {path!r} holds NaN or infinity in {len(broken)} entries, such as {', '.join(broken[:3])}: the "
        "training has failed; give other weights with --ckpt_path"
    )


def _begins_with(path: str, start: bytes) -> bool:
    """Whether a file is there and begins with these bytes."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(start)) == start


def _shapes(weights: Any) -> dict[str, Any]:
    """Shape of each entry of a state dict. Empty for anything else."""
    if not isinstance(weights, dict):
        return {}
    return {str(name): getattr(value, "shape", None) for name, value in weights.items()}


def _no_images(dataset_dir: str, output_dir: str) -> str:
    """That a folder holds no image."""
    return (
        f"dataset_dir {dataset_dir!r} holds no image: expected .nii or .nii.gz files (or "
        f"{', '.join(VOLUMES + PICTURES)}) in it or in folders below"
    )


def _overwriting(images: Sequence[str | Sequence[str]], dataset_dir: str, output_dir: str) -> str:
    """That segmentations would take the place of images, or ''."""
    names = [name for image in images for name in (*_files_of(image), _written(image))]
    written = {os.path.join(_folder(output_dir), os.path.relpath(name, dataset_dir)) for name in names}
    if written.isdisjoint(os.path.realpath(path) for image in images for path in _files_of(image)):
        return ""
    return (
        f"output_dir {output_dir!r} would have images of dataset_dir overwritten by their segmentations; give another "
        "one with --output_dir"
    )


def _same_output(images: Sequence[str | Sequence[str]]) -> str:
    """Which images would have their segmentations in one file, or ''. The first 20 pairs are named."""
    outputs = defaultdict(list)
    for image in images:
        outputs[_stem(_written(image))].append(_files_of(image)[0])
    twice = [" and ".join(paths) for paths in outputs.values() if len(paths) > 1]
    if not twice:
        return ""
    head = "images that differ in their endings alone would be segmented into one file; rename one, or take it out:"
    return "\n  ".join([head, *twice[:NAMED]])


def _folder(path: str) -> str:
    """The real path of a folder, with a separator at its end."""
    return os.path.join(os.path.realpath(path), "")
