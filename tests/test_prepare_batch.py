"""Image and target for the trainer."""

from __future__ import annotations

import pytest
import torch

from monai_selfcleanse.prepare_batch import PrepareBatchWeighted


def test_background_of_a_partial_label_may_be_what_it_does_not_know() -> None:
    label = torch.tensor([0.0, 1]).reshape(1, 1, 1, 2).repeat(2, 1, 1, 1)
    known = torch.tensor([[1.0, 1, 0], [1, 1, 1]])
    _, target = PrepareBatchWeighted(3)({"image": torch.zeros(2, 1, 1, 2), "label": label, "label_known": known})
    assert target[0, :, 0, 0].tolist() == [1, 0, 1, 1]
    assert target[1, :, 0, 0].tolist() == [1, 0, 0, 1]
    assert target[:, :, 0, 1].tolist() == [[0, 1, 0, 1]] * 2


def test_the_batch_becomes_one_hot_classes_and_a_weight() -> None:
    label = torch.tensor([0.0, 1, 2, 2]).reshape(1, 1, 2, 2)
    weight = torch.tensor([1.0, 0, 1, 0.5]).reshape(1, 1, 2, 2)
    prepare = PrepareBatchWeighted(3)
    image, target = prepare({"image": torch.zeros(1, 1, 2, 2), "label": label, "label_weight": weight})
    assert image.shape == (1, 1, 2, 2)
    assert target.shape == (1, 4, 2, 2)
    assert torch.equal(target[:, :3].argmax(1, keepdim=True).float(), label)
    assert torch.equal(target[:, 3:], weight)
    _, target = prepare({"image": torch.zeros(1, 1, 2, 2), "label": label})
    assert (target[:, 3] == 1).all()
    with pytest.raises(ValueError, match=r"0 \.\.\. 1, got 0 \.\.\. 2"):
        PrepareBatchWeighted(2)({"image": torch.zeros(1, 1, 2, 2), "label": label})


def test_a_prompt_goes_behind_the_image() -> None:
    label, prompt = (torch.tensor(values).reshape(1, 1, 2, 2) for values in ([0.0, 1, 2, 2], [0.0, 0, 2, 1]))
    weight = torch.tensor([1.0, 0, 1, 0.5]).reshape(1, 1, 2, 2)
    image = torch.rand(1, 2, 2, 2)
    batch = {"image": image, "label": label, "label_weight": torch.cat([weight, prompt], 1)}
    shown, target = PrepareBatchWeighted(3)(batch)
    assert torch.equal(shown[:, :2], image)
    assert torch.equal(shown[:, 2:], torch.cat([prompt == 1, prompt == 2], 1).float())
    _, alone = PrepareBatchWeighted(3)(batch | {"label_weight": weight})
    assert torch.equal(target, alone)


def test_a_label_that_is_no_number_is_named() -> None:
    label = torch.zeros(1, 1, 4, 4)
    label[0, 0, 1, 1] = float("nan")
    with pytest.raises(ValueError, match=r"labels must lie in 0 \.\.\. 2, got nan"):
        PrepareBatchWeighted(3)({"image": label, "label": label})
