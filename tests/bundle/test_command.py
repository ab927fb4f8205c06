"""``selfcleanse`` runs the bundle."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from bundles import rows_of
from helpers import write_nifti, write_spoilt

from monai_selfcleanse import bad_input
from monai_selfcleanse.cli.command import main

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    """What a command of its own process changes for good."""
    hook, factory, handler = sys.excepthook, logging.getLogRecordFactory(), signal.getsignal(signal.SIGTERM)
    yield
    bad_input._console_script = False
    sys.excepthook = hook
    logging.setLogRecordFactory(factory)
    signal.signal(signal.SIGTERM, handler)


def test_an_audit_in_folders_with_odd_names(tmp_path: Path, elsewhere: Path) -> None:
    data = elsewhere / "study #3"
    for case, truth in write_spoilt(data).items():
        write_nifti(elsewhere / "2024_07" / f"{case}.nii.gz", truth)
    structures = "{'1': 'lesion #1', '2': 'b', '3': 'c'}"
    main(["audit", "study #3", "-o", "out #4", "--predictions", "2024_07", "--structures", structures])
    suspects = {(row["case"], row["structure_name"]) for row in rows_of(Path("out #4")) if row["suspected"] == "1"}
    assert suspects == {("case_03", "b"), ("case_07", "lesion #1")}
    assert sorted(path.name for path in elsewhere.iterdir()) == ["2024_07", "out #4", "study #3"]


def test_a_data_set_that_is_not_there_is_one_line(elsewhere: Path) -> None:
    with pytest.raises(SystemExit, match=r"^error: dataset_dir 'no/such' is not a folder") as caught:
        main(["audit", "no/such", "--predictions", "."])
    assert "\n" not in str(caught.value)
