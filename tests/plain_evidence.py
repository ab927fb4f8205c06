"""The evidence by its formulas, word by word: slow, and the oracle for the fast way of the package."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.special import expit

from monai_selfcleanse.core.evidence import ABSENT, EVIDENCE


def plain_evidence(
    given: np.ndarray, probabilities: np.ndarray, structures: Sequence[int], spacing: Sequence[float]
) -> dict[str, np.ndarray]:
    """What :func:`monai_selfcleanse.core.evidence.structure_evidence` says it returns."""
    predicted = probabilities.argmax(0)
    rows = [_row(given, predicted, probabilities[k], k, np.array(spacing[: given.ndim])) for k in structures]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in EVIDENCE}


def plain_merge(given: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Probabilities in which a structure that the label lacks is background."""
    absent = [k for k in range(1, len(probabilities)) if not (given == k).any()]
    merged = probabilities.copy()
    merged[0] += merged[absent].sum(0)
    merged[absent] = 0
    return merged


def plain_border(label: np.ndarray, n_classes: int, spacing: Sequence[float]) -> np.ndarray:
    """What :class:`monai_selfcleanse.core.border.BorderProbabilities` says it is, as an array."""
    sampling = np.array(spacing) / min(spacing)
    shares = np.stack(
        [1 - _logistic(label > 0, sampling), *(_logistic(label == k, sampling) for k in range(1, n_classes))]
    )
    return (shares / shares.sum(0)).astype(np.float32)


def _logistic(mask: np.ndarray, sampling: np.ndarray) -> np.ndarray:
    out = np.zeros(mask.shape)
    for box in ndimage.find_objects(mask.astype(np.uint8)):
        reach = np.ceil(5 / sampling).astype(int)
        wide = tuple(slice(max(0, part.start - n), part.stop + n) for part, n in zip(box, reach, strict=True))
        has = mask[wide]
        inside, outside = (ndimage.distance_transform_edt(m, sampling) for m in (has, ~has))
        out[wide] = 1 if has.all() else expit(np.where(has, inside - 0.5, 0.5 - outside) / 0.5)
    return out


def _row(given: np.ndarray, predicted: np.ndarray, p: np.ndarray, k: int, spacing: np.ndarray) -> dict[str, float]:
    has, sees = given == k, predicted == k
    if not has.any() and not sees.any():
        return ABSENT
    whole = given.ndim == 3
    judged = ~_debatable(has, sees) if whole else np.full(given.shape[-1], True)
    judged_has, judged_sees = has[..., judged].sum(), sees[..., judged].sum()
    size = judged_has + judged_sees
    dice = 2 * (has & sees)[..., judged].sum() / size if size else 1.0
    p64 = np.where(p >= p.dtype.type(0.05), p, 0).astype(np.float64)
    if sees.any():
        expected = 2 * (p64 * sees)[..., judged].sum() / (p64[..., judged].sum() + sees[..., judged].sum())
    else:
        expected = 1 - float(p.max())
    expected = min(max(expected, 0.0), 1.0)
    others = [int((has & (predicted == j)).sum()) if j not in (0, k) else 0 for j in range(int(predicted.max()) + 1)]
    most = int(np.argmax(others))
    n_has, n_sees, n_both = has.sum(), sees.sum(), (has & sees).sum()
    a, b = (mask.any((0, 1)) if whole else np.zeros(1, bool) for mask in (has, sees))
    both = n_has > 0 and n_sees > 0
    return {
        "score": (1 - dice) / (1 - expected + 0.02),
        "dice": dice,
        "expected_dice": expected,
        "size_ratio": judged_has / judged_sees if judged_has and judged_sees else np.nan,
        "given_ml": n_has * spacing.prod() / 1000,
        "predicted_ml": n_sees * spacing.prod() / 1000,
        "outside": 1 - n_both / n_has if n_has else 0.0,
        "inside": 1 - n_both / n_sees if n_sees else 0.0,
        "missing_slices": (b & ~a).sum(),
        "extra_slices": (a & ~b).sum(),
        "shift_mm": np.linalg.norm((_middle(has) - _middle(sees)) * spacing) if both else np.nan,
        "swapped_with": most if others[most] else 0,
        "swapped": others[most] / n_has if others[most] else 0.0,
    }


def _debatable(has: np.ndarray, sees: np.ndarray) -> np.ndarray:
    """Slices at an end that one of the two has and the other has not, where no more than that one differs there."""
    out = np.zeros(has.shape[-1], dtype=bool)
    a, b = (np.flatnonzero(mask.any((0, 1))) for mask in (has, sees))
    if set(a) & set(b):
        for end, outer in ((0, min), (-1, max)):
            if abs(int(a[end]) - int(b[end])) == 1:
                out[outer(a[end], b[end])] = True
    return out


def _middle(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).mean(0)
