"""The data pipeline's side of cleansing: given labels as index maps, and a case's current target in their place."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

import numpy as np
import torch
from monai.config import DtypeLike, KeysCollection
from monai.data import MetaTensor, get_track_meta, set_track_meta
from monai.transforms import Compose, MapTransform
from monai.transforms.traits import RandomizableTrait
from monai.utils import CommonKeys, ImageMetaKey, MetaKeys, SpaceKeys, convert_to_dst_type

from .cases.grid import turn_onto
from .cases.image_file import ImageFile, open_image
from .cases.label_file import label_of
from .cases.store import CaseStore, StoreLike
from .core.case_id import case_of, images_of
from .core.index_map import as_index_map

__all__ = [
    "CleansedLabelD",
    "CleansedLabelDict",
    "CleansedLabeld",
    "IndexMapD",
    "IndexMapDict",
    "IndexMapd",
    "LoadCaseD",
    "LoadCaseDict",
    "LoadCased",
    "UntrackedCompose",
]


class LoadCased(MapTransform):
    """Load a case's image and label from their files, on one grid: the label's.

    Stands for MONAI's ``LoadImaged`` and ``EnsureChannelFirstd``. With it a training sees each voxel where report and
    cleansed labels have it (:mod:`monai_selfcleanse.cases.image_file`, :mod:`monai_selfcleanse.cases.grid`): an image
    that is stored in another orientation than its label is turned. A label or an image that says no position takes the
    other one's. A label is an index map whose structures count 1, 2, ..., whatever values its file has.

    Args:
        keys: key of the image, a path or a list of paths, one a channel, and key of the label, a path.
        spatial_dims: number of spatial axes, 2 or 3, axes of length 1 come and go; None for the label's.
        dtype: data type of image and label.
        allow_missing_keys: do not raise where the image or the label is missing.

    Returns:
        For each key a ``MetaTensor`` ``(C, *spatial)``, whose metadata have affine and ``filename_or_obj``. A case of
        several image files that has no ``case`` gets its id there, since metadata name the first file alone. The label
        is an index map ``(1, *spatial)``, whatever its form was.

    Raises:
        ValueError: on call, a file cannot be read, or the files do not lie on one grid.
    """

    def __init__(
        self,
        keys: KeysCollection = (CommonKeys.IMAGE, CommonKeys.LABEL),
        spatial_dims: int | None = None,
        dtype: DtypeLike = np.float32,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 2:
            raise ValueError(f"LoadCased loads an image and its label, got keys {self.keys}")
        self.spatial_dims, self.dtype = spatial_dims, dtype

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        image_key, label_key = self.keys
        present = set(self.key_iterator(d))
        label = (
            label_of({"label": d[label_key], **self._values(d)}, self.spatial_dims) if label_key in present else None
        )
        images = [open_image(path) for path in images_of({"image": d[image_key]})] if image_key in present else []
        ndim = self.spatial_dims or (images[0].ndim if label is None else label.index.ndim)
        onto = images[0] if label is None else label.file
        turns = [turn_onto(file, onto, ndim) for file in images]
        position = next((file for file in (onto, *images) if file.has_position), onto)
        if len(images) > 1:  # what is loaded names its first file alone
            d.setdefault("case", case_of({"image": d[image_key]}))
        if images:
            stacks = [turn(file.stack(ndim), ndim) for file, turn in zip(images, turns, strict=True)]
            stack = stacks[0] if len(stacks) == 1 else np.concatenate(stacks, -1)
            d[image_key] = self._tensor(np.moveaxis(stack, -1, 0), position, images[0], ndim)
        if label is not None:
            d[label_key] = self._tensor(label.index[None], position, label.file, ndim)
        return d

    @staticmethod
    def _values(data: Mapping[Hashable, Any]) -> dict[str, Any]:
        return {"values": data["values"]} if "values" in data else {}

    def _tensor(self, array: np.ndarray, position: ImageFile, file: ImageFile, ndim: int) -> MetaTensor:
        affine = torch.as_tensor(position.affine)
        meta = {
            ImageMetaKey.FILENAME_OR_OBJ: str(file.path),
            MetaKeys.ORIGINAL_AFFINE: affine.clone(),
            MetaKeys.SPATIAL_SHAPE: np.asarray(array.shape[1:]),
            MetaKeys.ORIGINAL_CHANNEL_DIM: 0 if len(array) > 1 else float("nan"),
            MetaKeys.SPACE: SpaceKeys.RAS,
        }
        return MetaTensor(torch.as_tensor(np.ascontiguousarray(array, dtype=self.dtype)), affine=affine, meta=meta)


class IndexMapd(MapTransform):
    """Turn given labels in any of the forms of :mod:`monai_selfcleanse.cases.label_file` into index maps ``(1,
    *spatial)``.

    For labels that something else than :class:`LoadCased` has loaded. Stands right after the loading of channel-first
    labels, before anything resamples them. An index map keeps its
    values, but that they become whole where they are not quite (a file that is scaled by 0.333 reads 0.999).

    Args:
        keys: keys of the labels, ``(C, *spatial)``; data type, device and metadata stay.
        allow_missing_keys: do not raise where a label is missing.

    Raises:
        ValueError: on call, where a label has none of the forms.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        for key in self.key_iterator(d):
            label = d[key]
            name = getattr(label, "meta", {}).get(ImageMetaKey.FILENAME_OR_OBJ, key)
            d[key] = convert_to_dst_type(as_index_map(label, str(name))[None], label, dtype=label.dtype)[0]
        return d


class CleansedLabeld(MapTransform, RandomizableTrait):
    """Replace a given label by the label cleanser's current target, and add voxel weights.

    The case's id, where it has one, comes under ``case``, for what later names the cases of a batch.

    A case that the cleanser has left out weighs 0 everywhere, unless its place was already given to another
    (:class:`monai_selfcleanse.data.CaseDataset`). Without a ``weight_key`` it is trained on, then.

    A case that brings a prompt, the label as the redrawing network is shown it
    (:class:`monai_selfcleanse.noise.RandLabelPromptd`), keeps its given label. Its prompt goes behind the weights, as a
    second channel, so that whatever moves these moves it, too. So interpolate weights by the nearest voxel.

    Stands after the deterministic transforms (its target lies on their output's grid) and before augmentation. It is
    not random, but its result changes between epochs; ``RandomizableTrait`` keeps ``CacheDataset`` from caching it.

    Args:
        keys: key of the label, ``(1, *spatial)``.
        store: folder or store of the targets, the same as the handlers'; None never replaces anything.
        weight_key: key of the weights to add, float32 ``(1, *spatial)`` in [0, 1]; None for none. With a prompt it is
            ``(2, *spatial)``.
        num_classes: of partial labels, in which a structure that is absent was not annotated: add under ``known_key``
            which classes the given label knows, float32 ``(num_classes,)``, 1 for background and the structures that
            are there, else 0 (see :class:`monai_selfcleanse.prepare_batch.PrepareBatchWeighted`). None adds nothing.
        known_key: key of these.
        prompt_key: key of the prompt, an index map ``(1, *spatial)``, which is taken out.
        allow_missing_keys: do not raise where the label is missing.

    Raises:
        ValueError: on call, where the target's shape is not the label's (a target of other transforms).
    """

    def __init__(
        self,
        keys: KeysCollection,
        store: StoreLike | None,
        weight_key: str | None = "label_weight",
        num_classes: int | None = None,
        known_key: str = "label_known",
        allow_missing_keys: bool = False,
        prompt_key: str = "label_prompt",
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) != 1:
            raise ValueError(f"CleansedLabeld replaces one label, got keys {self.keys}")
        self.store = CaseStore.at(store)
        self.weight_key = weight_key
        self.num_classes, self.known_key, self.prompt_key = num_classes, known_key, prompt_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        d = dict(data)
        with suppress(KeyError):
            d["case"] = case_of(d)
        prompt = d.pop(self.prompt_key, None)
        store = self.store if prompt is None else None
        for key in self.key_iterator(d):
            label = d[key]
            found = store.read_target(case_of(d)) if store is not None else None
            if self.num_classes is not None:
                known = [k == 0 or bool((label == k).any()) for k in range(self.num_classes)]
                d[self.known_key] = torch.tensor(known, dtype=torch.float32)
            weight = torch.ones(tuple(label.shape), dtype=torch.float32)
            if found is not None:
                target = torch.as_tensor(found[0])[None].to(label.dtype)
                if target.shape != label.shape:
                    raise ValueError(
                        f"case {case_of(d)!r}: the target in {store.directory if store else None} has shape "
                        f"{tuple(target.shape)}, its label {tuple(label.shape)}; the folder belongs to another run, "
                        "choose a fresh output_dir"
                    )
                d[key] = MetaTensor(target, meta=label.meta) if isinstance(label, MetaTensor) else target
                weight = torch.as_tensor(found[1])[None]
            if store is not None and case_of(d) in store.read_left_out(store.version):
                weight = torch.zeros_like(weight)
            if prompt is not None:
                weight = torch.cat([weight, torch.as_tensor(prompt).to(weight)])
            if self.weight_key is not None:
                d[self.weight_key] = weight
        return d


class UntrackedCompose(Compose):
    """A ``monai.transforms.Compose`` whose transforms make plain tensors, for augmentation.

    Nobody reads the metadata of a random patch, but to keep them costs more than the patch: MONAI's transforms turn
    whatever they get into a ``MetaTensor`` again, an ``EnsureTyped(track_meta=False)`` ahead of them notwithstanding.
    ``monai.data.set_track_meta(False)`` keeps them from it, but for the whole process, in which images then lose affine
    and spacing as they are loaded. Here it holds while these transforms run. The voxels are the same, and so are the
    random draws.

    The switch is the process's, not the thread's. Workers of a ``DataLoader`` are processes; with MONAI's
    ``ThreadDataLoader`` whatever else runs meanwhile would lose its metadata, so use ``Compose`` there.

    What needs metadata (a transform that works in mm) does not belong here, and ``inverse`` raises a
    ``RuntimeError``. All arguments are ``Compose``'s.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _untracked():
            return super().__call__(*args, **kwargs)

    def inverse(self, data: Any) -> Any:
        raise RuntimeError("UntrackedCompose keeps no record to invert by: use monai.transforms.Compose")


_untracked_lock, _untracked_now, _tracked_before = Lock(), 0, True


@contextmanager
def _untracked() -> Iterator[None]:
    """No metadata inside; what was before comes back with the last thread that leaves."""
    global _untracked_now, _tracked_before
    with _untracked_lock:
        if _untracked_now == 0:
            _tracked_before = get_track_meta()
            set_track_meta(False)
        _untracked_now += 1
    try:
        yield
    finally:
        with _untracked_lock:
            _untracked_now -= 1
            if _untracked_now == 0:
                set_track_meta(_tracked_before)


CleansedLabelD = CleansedLabelDict = CleansedLabeld
LoadCaseD = LoadCaseDict = LoadCased
IndexMapD = IndexMapDict = IndexMapd
