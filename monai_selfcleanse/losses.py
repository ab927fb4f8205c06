"""Segmentation loss that is right for soft and for voxel-weighted targets.

``monai.losses.DiceCELoss`` cannot weight voxels and passes no soft label to its Dice. Here both terms see one target,
whatever its form, and a voxel of weight 0 has no influence on the loss at all.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["WeightedDiceCELoss", "split_target"]


def split_target(target: torch.Tensor, n_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Class probabilities ``(B, C, *spatial)`` and voxel weights ``(B, 1, *spatial)`` of a target in one of its forms.

    ====================== =================================================================
    channels of the target meaning
    ====================== =================================================================
    1                      class index, every voxel weighs 1
    ``C``                  class probabilities (one-hot or soft), every voxel weighs 1
    ``C + 1``              class probabilities followed by the voxel's weight, at least 0
    ====================== =================================================================

    In place of class probabilities a voxel may have 1 for each of several classes, "one of these, not known which".

    Raises:
        ValueError: any other number of channels.
    """
    channels = target.shape[1]
    if channels == 1:
        index = target[:, 0].long()
        probabilities = F.one_hot(index, n_classes).movedim(-1, 1).to(torch.float32)
    elif channels in (n_classes, n_classes + 1):
        probabilities = target[:, :n_classes].to(torch.float32)
    else:
        raise ValueError(
            f"a target for {n_classes} classes has 1 channel (indices), {n_classes} (probabilities) or "
            f"{n_classes + 1} (probabilities and weight), got {channels}"
        )
    if channels == n_classes + 1:
        return probabilities, target[:, n_classes:].to(torch.float32)
    return probabilities, torch.ones_like(probabilities[:, :1])


class WeightedDiceCELoss(nn.Module):
    r"""Sum of soft Dice and cross-entropy loss over one, possibly soft and voxel-weighted, target.

    With network output :math:`p = \mathrm{softmax}(x)`, target probabilities :math:`t` and voxel weights :math:`w`,
    voxels :math:`i` and classes :math:`c`:

    .. math::
        L = \lambda_D \Big(1 - \frac{1}{|C|} \sum_{c \in C}
            \frac{2 \sum_i w_i\, m(p_{ic}, t_{ic}) + \epsilon}{\sum_i w_i (p_{ic} + t_{ic}) + \epsilon}\Big)
            - \lambda_{CE} \frac{\sum_i w_i \sum_c t_{ic} \log p_{ic}}{\sum_i w_i}

    where :math:`m(p, t) = (p + t - |p - t|) / 2`, which is :math:`p t` for a hard target and, unlike it, lets the Dice
    term reach its minimum at :math:`p = t` for a soft one (Dice semimetric losses, Wang et al., MICCAI 2023,
    arXiv 2303.16296). Sums run over the whole batch, so that slices without a structure give no step of their own.

    A voxel that is one of several classes :math:`S`, not known which (a partial label's background), has the
    cross-entropy of their union, :math:`-\log \sum_{c \in S} p_{ic}` (marginal loss, Shi et al., Medical Image Analysis
    70, 2021, arXiv 2007.03868), and no part in the Dice of the classes in :math:`S`.

    Args:
        include_background: count class 0 in the Dice term.
        lambda_dice: weight of the Dice term.
        lambda_ce: weight of the cross-entropy term.
        smooth: the epsilon above, in voxels.
        partial_labels: whether targets may have voxels of several classes. None looks at each target, for which a GPU
            must be waited for; False does not heed them.

    Shape:
        input: logits ``(B, C, *spatial)``. target: see :func:`split_target`. Returns a scalar. Where all weights are 0
        the cross-entropy term is 0 and the Dice term constant, so that the gradient is 0.

    Raises:
        ValueError: on call, the logits have one class alone, the target has none of the forms, or the two differ in
            batch or space.
    """

    def __init__(
        self,
        include_background: bool = False,
        lambda_dice: float = 1.0,
        lambda_ce: float = 1.0,
        smooth: float = 1.0,
        partial_labels: bool | None = None,
    ) -> None:
        super().__init__()
        self.include_background = include_background
        self.lambda_dice, self.lambda_ce, self.smooth = lambda_dice, lambda_ce, smooth
        self.partial_labels = partial_labels

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if input.shape[1] < 2:
            raise ValueError(f"expected logits of at least 2 classes, background included, got {tuple(input.shape)}")
        logits = input.float()
        probabilities, weight = split_target(target, logits.shape[1])
        if probabilities.shape[2:] != logits.shape[2:] or len(probabilities) != len(logits):
            raise ValueError(f"input {tuple(input.shape)} and target {tuple(target.shape)} differ in batch or space")
        log_p = logits.log_softmax(1)
        p = log_p.exp()
        log_likelihood = (probabilities * log_p).sum(1, keepdim=True)
        first = 0 if self.include_background else 1
        in_dice = weight
        several = probabilities.sum(1, keepdim=True) > 1.5
        if self.partial_labels or (self.partial_labels is None and several.any()):
            union = log_p.masked_fill(several & (probabilities == 0), -torch.inf).logsumexp(1, keepdim=True)
            log_likelihood = torch.where(several, union, log_likelihood)
            in_dice = (weight * ~(several & (probabilities > 0)))[:, first:]
        ce = -(weight * log_likelihood).sum() / weight.sum().clamp(min=1e-6)
        over = [0, *range(2, logits.ndim)]
        p, t = p[:, first:], probabilities[:, first:]
        overlap = (in_dice * (p + t - (p - t).abs())).sum(over)
        size = (in_dice * (p + t)).sum(over)
        dice = 1.0 - ((overlap + self.smooth) / (size + self.smooth)).mean()
        return self.lambda_dice * dice + self.lambda_ce * ce
