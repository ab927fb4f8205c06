"""Image and voxel-weighted target for a MONAI trainer."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines import PrepareBatch
from monai.utils import CommonKeys

__all__ = ["PrepareBatchWeighted"]


class PrepareBatchWeighted(PrepareBatch):
    """Hand image and voxel-weighted target to the trainer, in the form that
    :class:`monai_selfcleanse.losses.WeightedDiceCELoss` takes.

    The label ``(B, 1, *spatial)`` of class indices becomes one-hot, followed by the weights: ``(B, C + 1, *spatial)``,
    float32. Without weights in the batch every voxel weighs 1.

    Where the batch says which classes a case's label knows, ``(B, C)``, a background voxel may be of any class that it
    does not, and gets 1 in each of these channels as well.

    Args:
        num_classes: ``C``, background included.
        label_key, weight_key, known_key: keys of the batch.

    Raises:
        ValueError: on call, a label is not one of the ``C`` classes.
    """

    def __init__(
        self,
        num_classes: int,
        label_key: str = CommonKeys.LABEL,
        weight_key: str = "label_weight",
        known_key: str = "label_known",
    ) -> None:
        self.num_classes, self.label_key = num_classes, label_key
        self.weight_key, self.known_key = weight_key, known_key

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        label = batchdata[self.label_key]
        low, high = (float(end) for end in torch.aminmax(label))  # before it goes to a GPU, which would be waited for
        if not (low >= 0 and high < self.num_classes):  # NaN is none of them
            raise ValueError(f"labels must lie in 0 ... {self.num_classes - 1}, got {low:g} ... {high:g}")
        image, label = (
            data.to(device=device, non_blocking=non_blocking, **kwargs) for data in (batchdata[CommonKeys.IMAGE], label)
        )
        index = (label.as_tensor() if isinstance(label, MetaTensor) else label)[:, 0].long()
        target = torch.nn.functional.one_hot(index, self.num_classes).movedim(-1, 1).float()
        known = batchdata.get(self.known_key)
        if known is not None:
            unknown = (1 - known.to(target, non_blocking=non_blocking)).reshape(*known.shape, *[1] * (target.ndim - 2))
            target = target + target[:, :1] * unknown
        weight = batchdata.get(self.weight_key)
        if weight is None:
            weight = torch.ones_like(target[:, :1])
        return image, torch.cat([target, weight.to(target, non_blocking=non_blocking)], 1)
