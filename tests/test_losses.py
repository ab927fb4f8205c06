"""The weighted loss against MONAI, torch and its own formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.losses import DiceCELoss, DiceLoss

from monai_selfcleanse.losses import WeightedDiceCELoss, split_target

N_CLASSES = 4


def logits_of(seed: int, shape: tuple[int, ...] = (2, N_CLASSES, 5, 6)) -> torch.Tensor:
    return 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).float()


def index_of(seed: int, shape: tuple[int, ...] = (2, 1, 5, 6)) -> torch.Tensor:
    return torch.randint(0, N_CLASSES, shape, generator=torch.Generator().manual_seed(seed))


def one_hot(index: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(index[:, 0], N_CLASSES).movedim(-1, 1).float()


@pytest.mark.parametrize("shape", [(2, N_CLASSES, 5, 6), (1, N_CLASSES, 3, 4, 5)])
@pytest.mark.parametrize("include_background", [False, True])
@pytest.mark.parametrize("lambdas", [(1.0, 1.0), (0.3, 2.0), (1.0, 0.0)])
def test_hard_target_gives_monais_dice_ce_loss(
    shape: tuple[int, ...], include_background: bool, lambdas: tuple[float, float]
) -> None:
    logits, index = logits_of(0, shape), index_of(1, (shape[0], 1, *shape[2:]))
    monai = DiceCELoss(
        include_background, softmax=True, to_onehot_y=True, batch=True, smooth_nr=1.0, smooth_dr=1.0,
        lambda_dice=lambdas[0], lambda_ce=lambdas[1],
    )  # fmt: skip
    ours = WeightedDiceCELoss(include_background, *lambdas, smooth=1.0)
    torch.testing.assert_close(ours(logits, index), monai(logits, index))


def test_cross_entropy_term_is_torchs_also_for_soft_targets() -> None:
    logits, soft = logits_of(0), logits_of(1).softmax(1)
    ours = WeightedDiceCELoss(lambda_dice=0.0)(logits, soft)
    torch.testing.assert_close(ours, torch.nn.functional.cross_entropy(logits, soft))


def test_weights_are_those_of_the_formula() -> None:
    logits, index = logits_of(0), index_of(1)
    weight = torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(2))
    p, t = logits.double().softmax(1).numpy(), one_hot(index).double().numpy()
    w = weight.double().numpy()
    over = (0, 2, 3)
    dice = (2 * (w * p * t).sum(over) + 0.5) / ((w * (p + t)).sum(over) + 0.5)
    ce = -(w * t * np.log(p)).sum() / w.sum()
    expected = 0.7 * (1 - dice[1:].mean()) + 1.3 * ce
    ours = WeightedDiceCELoss(False, 0.7, 1.3, smooth=0.5)(logits, torch.cat([one_hot(index), weight], 1))
    assert float(ours) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_all_forms_of_a_hard_target_agree(weight: float) -> None:
    logits, index = logits_of(0), index_of(1)
    loss = WeightedDiceCELoss(smooth=0.0)
    weights = torch.full((2, 1, 5, 6), weight)  # a factor common to all voxels cancels out
    reference = loss(logits, index)
    for target in (index.float(), one_hot(index), torch.cat([one_hot(index), weights], 1)):
        torch.testing.assert_close(loss(logits, target), reference)


def test_factor_common_to_all_weights_cancels_however_small() -> None:
    logits, index = logits_of(0, (1, N_CLASSES, 1, 2)), index_of(1, (1, 1, 1, 2))
    loss = WeightedDiceCELoss(smooth=0.0)
    target = torch.cat([one_hot(index), torch.full((1, 1, 1, 2), 0.1)], 1)
    torch.testing.assert_close(loss(logits, target), loss(logits, index))


def test_voxel_of_weight_zero_has_no_influence() -> None:
    index = index_of(1)
    weight = (torch.rand(2, 1, 5, 6, generator=torch.Generator().manual_seed(2)) > 0.4).float()
    logits = logits_of(0).requires_grad_()
    loss = WeightedDiceCELoss()(logits, torch.cat([one_hot(index), weight], 1))
    loss.backward()
    out = (weight == 0).expand_as(logits)
    assert logits.grad is not None
    assert (logits.grad[out] == 0).all()
    assert (logits.grad[~out] != 0).any(0).all()
    # Neither its output nor its target shows.
    changed_logits = torch.where(out, logits_of(5), logits.detach())
    changed_target = torch.where(out, one_hot(index_of(6)), one_hot(index))
    again = WeightedDiceCELoss()(changed_logits, torch.cat([changed_target, weight], 1))
    torch.testing.assert_close(again, loss.detach())


def test_weights_of_zero_everywhere_give_no_gradient() -> None:
    logits = logits_of(0).requires_grad_()
    loss = WeightedDiceCELoss()(logits, torch.cat([one_hot(index_of(1)), torch.zeros(2, 1, 5, 6)], 1))
    loss.backward()
    assert float(loss) == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@given(seed=st.integers(0, 1000), lambda_ce=st.sampled_from([0.0, 1.0]), size=st.floats(0.01, 3.0))
def test_soft_target_is_met_best_by_itself(seed: int, lambda_ce: float, size: float) -> None:
    best = logits_of(seed, (1, N_CLASSES, 4, 4))
    soft = best.softmax(1)
    loss = WeightedDiceCELoss(lambda_ce=lambda_ce)
    elsewhere = best + size * logits_of(seed + 1, (1, N_CLASSES, 4, 4))
    assert float(loss(elsewhere, soft)) > float(loss(best, soft))


def test_dice_of_a_soft_target_met_is_one_and_not_so_for_monais() -> None:
    logits = logits_of(0)
    soft = logits.softmax(1)
    assert float(WeightedDiceCELoss(lambda_ce=0.0)(logits, soft)) == pytest.approx(0.0, abs=1e-6)
    assert float(DiceLoss(softmax=True, batch=True)(logits, soft)) > 0.1


def test_perfect_output_costs_nothing() -> None:
    index = index_of(1)
    assert float(WeightedDiceCELoss()(60 * one_hot(index), index)) == pytest.approx(0.0, abs=1e-6)


def test_slice_without_structure_adds_no_dice_of_its_own() -> None:
    background = torch.zeros(1, 1, 5, 6, dtype=torch.long)
    logits, index = logits_of(0, (1, N_CLASSES, 5, 6)), index_of(1, (1, 1, 5, 6))
    sure = torch.where(one_hot(background) > 0, 80.0, 0.0)
    loss = WeightedDiceCELoss(lambda_ce=0.0)
    both = loss(torch.cat([logits, sure]), torch.cat([index, background]))
    torch.testing.assert_close(both, loss(logits, index))


def test_background_counts_in_dice_only_if_asked_to() -> None:
    # Structures 1 to 3 are empty and unseen: only background could differ.
    index = torch.zeros(1, 1, 4, 4, dtype=torch.long)
    logits = torch.full((1, N_CLASSES, 4, 4), -90.0)
    logits[:, 0] = 0.0
    logits[:, 0, :2], logits[:, 1, :2] = -90.0, 0.0
    kept, dropped = (WeightedDiceCELoss(b, lambda_ce=0.0, smooth=1e-6)(logits, index) for b in (True, False))
    assert float(kept) == pytest.approx(1 - (16 / 24 + 0 + 1 + 1) / 4, abs=1e-4)
    assert float(dropped) == pytest.approx(1 - (0 + 1 + 1) / 3, abs=1e-4)


def test_half_precision_is_computed_in_full() -> None:
    logits, index = logits_of(0), index_of(1)
    loss = WeightedDiceCELoss()(logits.half(), index)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, WeightedDiceCELoss()(logits, index), rtol=1e-3, atol=1e-3)


@given(seed=st.integers(0, 100))
def test_permuting_the_batch_and_flipping_space_changes_nothing(seed: int) -> None:
    logits, index = logits_of(seed), index_of(seed + 1)
    loss = WeightedDiceCELoss()
    moved = loss(logits.flip(0, 2), index.flip(0, 2))
    torch.testing.assert_close(moved, loss(logits, index))


def test_a_voxel_of_one_of_several_classes_is_taught_their_union() -> None:
    index = index_of(1)
    target, logits = one_hot(index), logits_of(0)
    target[:, 2] += (index[:, 0] == 0).float()  # background may be class 2
    ce = WeightedDiceCELoss(lambda_dice=0.0)(logits, target)
    merged = torch.cat([torch.logaddexp(logits[:, 0], logits[:, 2])[:, None], logits[:, [1, 3]]], 1)
    # where class 2 was drawn it is told from background, as ever
    of_union = torch.nn.functional.cross_entropy(merged, torch.tensor([0, 1, 0, 2])[index[:, 0]], reduction="none")
    alone = torch.nn.functional.cross_entropy(logits, index[:, 0], reduction="none")
    torch.testing.assert_close(ce, torch.where(index[:, 0] == 2, alone, of_union).mean())


def test_unknown_classes_have_no_part_in_their_dice_and_no_gradient() -> None:
    logits = logits_of(0).requires_grad_()
    target = torch.zeros_like(logits)
    target[:, [0, 2]] = 1
    loss = WeightedDiceCELoss(lambda_ce=0.0)
    loss(logits, target).backward()
    p = logits.detach().softmax(1)
    expected = [1 - 1 / (p[:, k].sum() + 1) for k in (1, 3)]  # of class 2 nothing is known
    torch.testing.assert_close(loss(logits, target), torch.stack([*expected, torch.tensor(0.0)]).mean())
    assert torch.isfinite(logits.grad).all()
    logits.grad = None
    WeightedDiceCELoss()(logits, target).backward()
    assert (logits.grad[:, [1, 3]] >= 0).all()  # these two are pushed down, and nothing else is decided


def test_split_of_indices_probabilities_and_weights() -> None:
    index, weight = index_of(0), torch.rand(2, 1, 5, 6)
    for target, expected in (
        (index, torch.ones(2, 1, 5, 6)),
        (one_hot(index), torch.ones(2, 1, 5, 6)),
        (torch.cat([one_hot(index), weight], 1), weight),
    ):
        probabilities, weights = split_target(target, N_CLASSES)
        torch.testing.assert_close(probabilities, one_hot(index))
        torch.testing.assert_close(weights, expected)


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_other_numbers_of_channels_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"a target for 4 classes has 1 channel .*, got {channels}"):
        split_target(torch.zeros(1, channels, 3, 3), N_CLASSES)


@pytest.mark.parametrize("shape", [(2, 1, 5, 5), (1, 1, 5, 6), (2, 1, 5, 6, 1)])
def test_differing_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="differ in batch or space"):
        WeightedDiceCELoss()(logits_of(0), torch.zeros(shape, dtype=torch.long))


def test_a_loss_that_is_told_of_partial_labels_is_the_one_that_looks_for_them() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, N_CLASSES, 5, 5, generator=generator)
    hard = one_hot(torch.randint(0, N_CLASSES, (2, 1, 5, 5), generator=generator))
    partial = hard.clone()
    partial[:, 2] += partial[:, 0]
    looks, told, never = (WeightedDiceCELoss(partial_labels=value) for value in (None, True, False))
    for target in (hard, partial):
        torch.testing.assert_close(told(logits, target), looks(logits, target))
    torch.testing.assert_close(never(logits, hard), looks(logits, hard))
    assert not torch.isclose(never(logits, partial), looks(logits, partial))
