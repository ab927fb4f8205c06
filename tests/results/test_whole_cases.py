"""A label that is wrong as a whole is called so, in the log and in the page."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import AFFINE, NAMES, Judged, write_nifti

from monai_selfcleanse.cases.look import score_case
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.evidence import stack_evidence
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.results import whole_cases, write_report
from monai_selfcleanse.results.whole_cases import hints_for_whole_cases


def truth_of(i: int) -> np.ndarray:
    """Cases differ in size and place, so that one's label does not fit another."""
    label = np.zeros((40, 40, 6), dtype=np.uint8)
    x, y = 2 + 5 * (i % 5), 3 + 4 * (i // 5)
    label[x : x + 9, y : y + 7, :4] = 1
    label[x + 9 : x + 13, y : y + 7, 1:5] = 2
    label[x : x + 13, y + 7 : y + 11, 1:3] = 3
    return label


def grown(i: int) -> np.ndarray:
    """Cases in pairs of one size, each pair a little larger than the one before."""
    label = np.zeros((48, 48, 6), dtype=np.uint8)
    x, y, size = 2 + 5 * (i % 5), 3 + 4 * (i // 5), 8 + i // 2
    label[x : x + size, y : y + 7, :4] = 1
    label[x + size : x + size + 4, y : y + 7, 1:5] = 2
    label[x : x + size, y + 7 : y + 11, 1:3] = 3
    return label


def judged(root: Path, spoilt: dict[int, np.ndarray], truths: dict[int, np.ndarray] | None = None) -> Judged:
    """Sixteen cases, judged by a network that sees the truth."""
    truths = {i: truth_of(i) for i in range(16)} | (truths or {})
    judge, data, store = LabelJudge(NAMES, min_cases=4), [], CaseStore(root / "store")
    evidence: dict[str, dict[str, np.ndarray]] = {}
    for i in range(16):
        given = spoilt.get(i, truths[i])
        paths = {
            "image": write_nifti(root / "imagesTr" / f"{i}.nii.gz", truths[i].astype(np.float32)),
            "label": write_nifti(root / "labelsTr" / f"{i}.nii.gz", given),
        }
        case = f"case {i}"
        data.append({"case": case, "file": f"labelsTr/{i}.nii.gz"} | {k: str(path) for k, path in paths.items()})
        probabilities = np.moveaxis(np.eye(4)[truths[i]], -1, 0) * 0.96 + 0.01
        evidence[case] = score_case(judge, store, case, given, probabilities, AFFINE)
    return Judged(judge.judge(tuple(evidence), stack_evidence(evidence, 3)), data, store)


def test_each_kind_is_told_apart_and_others_are_left_alone(tmp_path: Path) -> None:
    found = judged(
        tmp_path,
        {
            0: truth_of(0)[::-1],
            3: np.swapaxes(truth_of(3), 0, 1),
            5: truth_of(9),
            9: truth_of(5),
            12: np.zeros_like(truth_of(0)),  # empty: missing says it
            14: np.where(truth_of(14) == 2, 0, truth_of(14)),  # one structure alone
        },
    )
    assert found.judgement.suspected.sum(1).tolist() == [3, 0, 0, 3, 0, 3, 0, 0, 0, 3, 0, 0, 3, 0, 1, 0]
    assert hints_for_whole_cases(found.judgement, found.store) == {
        "case 0": "The whole label fits if it is mirrored along its first axis.",
        "case 3": "The whole label fits if it is turned: its first and second axes exchanged.",
        "case 5": "The label of another case, case 9, fits here: the two may be mixed up.",
        "case 9": "The label of another case, case 5, fits here: the two may be mixed up.",
    }


def test_a_label_that_is_right_where_it_is_was_not_mixed_up(tmp_path: Path) -> None:
    """Case 7 is a second scan of what case 2 shows; case 2 has the label of another scan, which is nobody's."""
    wrong = np.roll(truth_of(2), (20, 20), (0, 1))
    found = judged(tmp_path, {2: wrong}, {7: truth_of(2)})
    assert found.judgement.suspected.any(1).nonzero()[0].tolist() == [2]
    assert hints_for_whole_cases(found.judgement, found.store) == {}


def test_the_hints_of_many_cases_read_few_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case has its neighbour's label; they are found though each is compared with few others."""
    monkeypatch.setattr(whole_cases, "_MOST_OTHERS", 3)
    monkeypatch.setattr(whole_cases, "_IN_MEMORY", 1)  # so each comparison reads
    truths = {i: grown(i) for i in range(16)}
    found = judged(tmp_path, {i: truths[i ^ 1] for i in range(8)}, truths)
    assert found.judgement.suspected.all(1).nonzero()[0].tolist() == list(range(8))
    compared: list[str] = []
    read = CaseStore.read_given
    monkeypatch.setattr(CaseStore, "read_given", lambda store, case: compared.append(case) or read(store, case))
    hints = hints_for_whole_cases(found.judgement, found.store)
    assert hints == {
        f"case {i}": f"The label of another case, case {i ^ 1}, fits here: the two may be mixed up." for i in range(8)
    }
    assert set(compared) <= {f"case {i}" for i in range(8)}
    assert len(compared) <= 8 * 4


def test_as_many_labels_are_kept_as_have_room_and_the_others_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_cases, "_IN_MEMORY", 2 * grown(0).nbytes)
    found = judged(tmp_path, {}, {i: grown(i) for i in range(16)})
    labels = whole_cases._Labels(found.judgement.cases, found.store)
    for i in (0, 1, 0, 2, 3, 0, 15):
        shape, label = labels[i]
        assert shape == label.shape
        np.testing.assert_array_equal(label, grown(i))
        assert sum(kept.nbytes for _, kept in labels.kept.values()) == labels.n_bytes <= 2 * grown(0).nbytes
    assert len(labels.kept) == 2


def test_log_and_page_say_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found: Any = judged(tmp_path, {0: truth_of(0)[:, ::-1], 14: np.where(truth_of(14) == 2, 0, truth_of(14))})
    with caplog.at_level(logging.WARNING):
        write_report(tmp_path / "out", *found, {})
    assert caplog.messages == ["case 'case 0': the whole label fits if it is mirrored along its second axis."]
    page = (tmp_path / "out" / "report.html").read_text()
    block = json.loads(re.search(r'id="report"[^>]*>(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    words = [text for text in block["words"].values() if "The whole label fits" in text]
    assert len(words) == 3
    assert all(text.endswith("if it is mirrored along its second axis.") for text in words)
    assert len(block["words"]) == 4
