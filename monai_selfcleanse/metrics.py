"""What MONAI's metrics lack."""

from __future__ import annotations

from typing import Any

import nibabel as nib
import torch
from monai.data import MetaTensor
from monai.metrics import HausdorffDistanceMetric

__all__ = ["HausdorffDistanceMm"]


class HausdorffDistanceMm(HausdorffDistanceMetric):
    """Hausdorff distance in mm of lists of labels, each with its own voxel size.

    MONAI's metric takes the voxel size from its caller. MONAI's Ignite handler gives none, so that distances would be
    in voxels, and the distance of two slices would be 1. Here the voxel size is taken from the label's affine.

    Arguments are those of ``monai.metrics.HausdorffDistanceMetric``. ``y_pred`` and ``y`` are lists of one-hot ``(C,
    *spatial)``. A structure that is missing from either has a distance of NaN, which does not count; Dice tells of
    those.

    Raises:
        TypeError: on call, where a label is no ``MetaTensor``.
    """

    def _compute_tensor(  # type: ignore[override]  # as in the class itself
        self, y_pred: torch.Tensor, y: torch.Tensor, **kwargs: Any
    ) -> torch.Tensor:
        if not isinstance(y, MetaTensor):
            raise TypeError(f"the voxel size is taken from y's affine, but y is a {type(y).__name__}")
        spacing = nib.affines.voxel_sizes(y.affine.cpu().numpy())[: y.ndim - 2].tolist()
        return super()._compute_tensor(y_pred.as_subclass(torch.Tensor), y.as_tensor(), spacing=spacing, **kwargs)
