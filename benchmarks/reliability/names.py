"""Hostile names of cases, patients and structures, through an audit and everything that it writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from common import Row, bundle, run, write_cases

from monai_selfcleanse.data import find_cases
from monai_selfcleanse.results import read_rows

NAMES = [
    "<script>document.title='x'</script>",
    "</script><script>document.title='x'</script>",
    '<img src=x onerror="document.title=1">',
    '"><svg onload=alert(1)>',
    "=cmd|'/C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "\t=1",
    "../../../escaped",
    "/tmp/reliability-escaped",
    "a\0b",
    "L" * 3000,
    "line\nbreak\r\nagain",
    "\u202egnp.exe",
    "\x1b[2J",
    "-->",
    "con",
    "..",
    ".",
    " ",
    "a/b/../../..",
    "Case",
    "case",
]
STRUCTURES = {"1": '<b onmouseover="alert(1)">x</b></script>', "2": '=HYPERLINK("http://x")', "3": "../../x\u202e\n"}


def campaign(work: Path, times: int, seed: int) -> list[Row]:
    """One audit whose cases, patients, files and structures have such names."""
    data = write_cases(work / "data", len(NAMES))
    entries = [
        {
            "image": f"imagesTr/case_{number:04d}.nii.gz",
            "label": f"labelsTr/case_{number:04d}.nii.gz",
            "case": name,
            "patient": name,
        }
        for number, name in enumerate(NAMES)
    ]
    listed, out = data / "list.json", work / "a folder (1), with blanks" / "out"
    listed.write_text(json.dumps(entries))
    before = set(work.rglob("*"))
    command = [*bundle("auditing", "audit"), "--dataset_dir", listed, "--output_dir", out, "--device", "cpu"]
    ended = run([*command, "--predictions_dir", work / "predictions", "--structures", repr(STRUCTURES)])
    rows = [Row(f"hostile names ({len(NAMES)} cases): {what}") for what in ("files", "tables", "page", "terminal")]
    files, tables, page, terminal = rows
    files.see(ended.code == 0, str(ended))
    outside = [path for path in work.rglob("*") if path not in before and out not in (path, *path.parents)]
    files.see(set(outside) <= {out.parent}, f"written outside of the output folder: {outside[:5]}")
    files.see(not list(Path("/tmp").glob("reliability-escaped*")), "written to /tmp")
    files.see(len([*out.glob("cleansed_labels/**/*.nii.gz")]) == len(NAMES), "cleansed labels are missing")
    raw = (out / "label_report.csv").read_text(errors="surrogateescape")
    for name in filter(str.strip, NAMES):  # a blank one is as none
        tables.see(name in {row["case"] for row in read_rows(out / "label_report.csv")}, f"{name!r} is read otherwise")
    tables.see(not re.search(r"(^|,|\n)\"?[=+@\t-][^0-9]", raw), "a cell is a formula")
    html = (out / "report.html").read_text()
    for text in ("<script>document", "<img src=x", "<svg onload", "<b onmouseover", str(work)):
        page.see(text not in html, f"{text!r} is in the page")
    terminal.see(
        not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\u202a-\u202e]", ended.said), "a control character"
    )
    terminal.see("\x1b[2J" not in ended.said, "an escape sequence")
    files.see(not find_cases(listed)[1], "the list is not read as it was")
    return rows
