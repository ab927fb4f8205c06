"""A network that patches go through."""

from __future__ import annotations

import re
import runpy
from typing import Any

import pytest
import torch
from bundles import BUNDLE
from monai.inferers import SimpleInferer, SliceInferer, SlidingWindowInferer
from monai.networks.nets import UNet

from monai_selfcleanse.cli.sizes import check_mirror_axis, check_patch, check_roi


def network_of(spatial_dims: int = 2, in_channels: int = 1) -> UNet:
    return UNet(spatial_dims, in_channels, 2, channels=(4, 8, 16), strides=(2, 2), norm="BATCH")


@pytest.mark.parametrize(("spatial_dims", "size"), [(2, [32, 16, 1]), (3, [16, 16, 8])])
def test_a_patch_that_fits_leaves_the_network_as_it_is(spatial_dims: int, size: list[int]) -> None:
    network = network_of(spatial_dims).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    check_patch(network, size, 1, spatial_dims)
    assert network.training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("size", "in_channels"),
    [([33, 31, 1], 1), ([2, 34, 1], 1), ([32, 32, 1], 2)],
    ids=["odd", "no multiple", "channels"],
)
def test_a_patch_that_does_not_fit_is_named(size: list[int], in_channels: int) -> None:
    with pytest.raises(ValueError, match=rf"in_channels {in_channels} \(.+\): give multiples of the product of"):
        check_patch(network_of(), size, in_channels, 2)


@pytest.mark.parametrize(("axis", "spatial_dims"), [(2, 2), (3, 3), (-1, 2), (0.0, 2), (True, 3), ([0], 3), ("x", 2)])
def test_an_axis_that_patches_lack_is_refused_before_training_and_inference_alike(axis: Any, spatial_dims: int) -> None:
    check_options = runpy.run_path(str(BUNDLE / "scripts" / "inference.py"))["check_options"]
    for right in (None, *range(spatial_dims)):
        check_mirror_axis(right, spatial_dims)
        check_options("cpu", ".", ".", [1, 1, 1], [1, 1, 1], 1, 1, right, spatial_dims)
    said = f"mirror_axis must be {'0, 1, 2' if spatial_dims == 3 else '0, 1'} or '$None', got {axis!r}"
    with pytest.raises(ValueError, match=re.escape(said)):
        check_mirror_axis(axis, spatial_dims)
    with pytest.raises(SystemExit, match=re.escape(said)):
        check_options("cpu", ".", ".", [1, 1, 1], [1, 1, 1], 1, 1, axis, spatial_dims)


def test_windows_go_through_the_network_or_are_named() -> None:
    for inferer in (
        SliceInferer(roi_size=[32, 48]),
        SlidingWindowInferer([0, 0]),
        SlidingWindowInferer(16),
        SimpleInferer(),
    ):
        check_roi(inferer, network_of(), 1, 2)
    with pytest.raises(ValueError, match=r"inferer#roi_size \[33, 33\] does not go through network_def .*: give multi"):
        check_roi(SliceInferer(roi_size=[33, 33]), network_of(), 1, 2)


@pytest.mark.parametrize("roi", [[-1, -1], [0, 32], [32, -1]])
def test_an_images_own_sides_go_through_the_network_or_their_divisor_is_named(roi: list[int]) -> None:
    check_roi(SliceInferer(roi_size=roi), network_of(), 1, 2, 4)
    with pytest.raises(ValueError, match=r"divisible_by 2 does not go through network_def .*: give multiples"):
        check_roi(SliceInferer(roi_size=roi), network_of(), 1, 2, 2)


def test_a_divisor_is_refused_whatever_the_strides_are() -> None:
    network = UNet(2, 1, 2, channels=(4, 8), strides=(3,), norm="BATCH")
    check_roi(SliceInferer(roi_size=[-1, -1]), network, 1, 2, 6)
    for wrong in (1, 2, 4, 8):
        with pytest.raises(ValueError, match=f"divisible_by {wrong} does not go through"):
            check_roi(SliceInferer(roi_size=[-1, -1]), network, 1, 2, wrong)


def test_too_little_memory_is_not_taken_for_a_wrong_size() -> None:
    class Large(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        check_patch(Large(), [32, 32, 1], 1, 2)


def test_volumes_in_3d_are_not_padded_so_their_own_sides_are_not_tried() -> None:
    check_roi(SlidingWindowInferer([-1, -1, -1]), network_of(3), 1, 3, 2)
