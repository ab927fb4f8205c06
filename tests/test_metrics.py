from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_selfcleanse.metrics import HausdorffDistanceMm


def test_distance_is_in_mm_of_each_label() -> None:
    metric = HausdorffDistanceMm(include_background=True)
    cases = []
    for spacing in ((1.0, 1.0, 10.0), (2.0, 3.0, 5.0)):
        for axis in range(3):
            label, pred = torch.zeros(1, 9, 9, 9), torch.zeros(1, 9, 9, 9)
            label[0, 2, 2, 2] = 1
            pred[(0, *(2 + 2 * (a == axis) for a in range(3)))] = 1
            cases.append(2 * spacing[axis])
            metric([pred], [MetaTensor(label, affine=np.diag([*spacing, 1.0]))])
    np.testing.assert_allclose(metric.get_buffer()[:, 0], cases)


def test_a_sagittal_slice_has_the_voxel_sizes_of_its_own_axes() -> None:
    metric = HausdorffDistanceMm(include_background=True)
    affine = np.array([[0.0, 0, 7, 0], [3, 0, 0, 0], [0, 5, 0, 0], [0, 0, 0, 1]])
    label, pred = torch.zeros(1, 9, 9), torch.zeros(1, 9, 9)
    label[0, 2, 2] = pred[0, 2, 5] = 1
    metric([pred], [MetaTensor(label, affine=affine)])
    np.testing.assert_allclose(metric.get_buffer()[:, 0], [15.0])


def test_label_without_affine_is_refused() -> None:
    with pytest.raises(TypeError, match="affine"):
        HausdorffDistanceMm()([torch.ones(2, 3, 3)], [torch.ones(2, 3, 3)])
