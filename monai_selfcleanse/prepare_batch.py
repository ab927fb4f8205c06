"""Image and voxel-weighted target for a MONAI trainer."""

from __future__ import annotations

from typing import Any

import torch
from monai.data import MetaTensor
from monai.engines import PrepareBatch
from monai.utils import CommonKeys

__all__ = ["PrepareBatchWeighted", "with_prompt"]


def with_prompt(image: torch.Tensor, prompt: torch.Tensor, num_classes: int) -> torch.Tensor:
    """What the redrawing network takes: images, and behind them the labels that it is shown.

    Args:
        image: ``(B, channels, *spatial)``.
        prompt: index maps ``(B, *spatial)``, on the images' device.
        num_classes: ``C``, background included.

    Returns:
        ``(B, channels + C - 1, *spatial)``, of the images' type; the further channels are 1 within their structure.
    """
    structures = torch.arange(1, num_classes, device=prompt.device).reshape(1, -1, *[1] * (prompt.ndim - 1))
    return torch.cat([image, (prompt[:, None] == structures).to(image)], 1)


class PrepareBatchWeighted(PrepareBatch):
    """Hand image and voxel-weighted target to the trainer, in the form that
    :class:`monai_selfcleanse.losses.WeightedDiceCELoss` takes.

    The label ``(B, 1, *spatial)`` of class indices becomes one-hot, followed by the weights: ``(B, C + 1, *spatial)``,
    float32. Without weights in the batch every voxel weighs 1.

    Weights of two channels have a prompt in the second one, the label as the redrawing network is shown it
    (:class:`monai_selfcleanse.transforms.CleansedLabeld`). It goes behind the image, one-hot:
    ``(B, channels + C - 1, *spatial)``.

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
        elif weight.shape[1] > 1:
            weight, prompt = weight[:, :1], weight[:, 1].to(device=device, non_blocking=non_blocking)
            image = with_prompt(image, prompt, self.num_classes)
        return image, torch.cat([target, weight.to(target, non_blocking=non_blocking)], 1)
