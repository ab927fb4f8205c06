"""Labels as the redrawing network is shown them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.noise import RandLabelPromptd, border


def a_case(ndim: int = 3) -> dict[str, Any]:
    label = np.zeros((40, 40, 6), np.float32)
    label[6:20, 6:20, 1:5] = 1
    label[22:34, 8:30] = 2
    label = label if ndim == 3 else label[..., 2]
    return {"label": MetaTensor(torch.as_tensor(label)[None]), "case": "a"}


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_prompt_is_an_index_map_beside_an_untouched_label(ndim: int) -> None:
    draw, case = RandLabelPromptd(), a_case(ndim)
    draw.set_random_state(0)
    before = case["label"].clone()
    for _ in range(40):
        out = draw(case)
        assert torch.equal(case["label"], before)
        assert torch.equal(out["label"], before)
        assert "label_prompt" not in case
        prompt = out["label_prompt"]
        assert prompt.shape == before.shape
        assert prompt.dtype == before.dtype
        assert set(np.unique(prompt)) <= {0, 1, 2}


def test_prompts_follow_from_the_random_state_alone() -> None:
    first, second = RandLabelPromptd(), RandLabelPromptd()
    first.set_random_state(3)
    second.set_random_state(3)
    prompts = [[draw(a_case())["label_prompt"].numpy() for _ in range(8)] for draw in (first, second)]
    np.testing.assert_array_equal(*prompts)
    assert len({prompt.tobytes() for prompt in prompts[0]}) > 4


def test_all_that_annotators_do_is_drawn() -> None:
    """Labels as they are, wholly missing structures, and many degrees of wrong ones."""
    draw = RandLabelPromptd()
    draw.set_random_state(0)
    truth = a_case()["label"].numpy()[0]
    found = np.array(
        [
            [dice(prompt == k, truth == k) for k in (1, 2)]
            for prompt in (draw(a_case())["label_prompt"].numpy()[0] for _ in range(300))
        ]
    )
    assert 0.05 < (found == 1).all(1).mean() < 0.25
    assert 0.2 < (found == 0).mean() < 0.5
    wrong = found[(found > 0) & (found < 1)]
    assert wrong.size > 200
    assert wrong.min() < 0.5
    assert wrong.max() > 0.8


def test_no_optional_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polygons need scikit-image, which a training does without."""

    def missing(*args: Any) -> None:
        raise ModuleNotFoundError("skimage")

    for name in ("find_contours", "approximate_polygon", "fill_polygon"):
        monkeypatch.setattr(border, name, missing)
    draw = RandLabelPromptd()
    draw.set_random_state(0)
    for _ in range(150):
        draw(a_case())


def test_what_is_no_index_map_is_refused() -> None:
    with pytest.raises(ValueError, match="case 'a': expected whole numbers"):
        RandLabelPromptd()({"label": torch.full((1, 4, 4), 0.3), "case": "a"})
    with pytest.raises(ValueError, match="RandLabelPromptd copies one label"):
        RandLabelPromptd(["label", "other"])
    with pytest.raises(KeyError):
        RandLabelPromptd()({"case": "a"})
    assert RandLabelPromptd(allow_missing_keys=True)({"case": "a"}) == {"case": "a"}


def test_a_label_without_structures_stays_empty() -> None:
    draw = RandLabelPromptd()
    draw.set_random_state(0)
    assert not any(draw({"label": torch.zeros(1, 8, 8, 4), "case": "a"})["label_prompt"].any() for _ in range(30))
