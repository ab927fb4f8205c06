"""``selfcleanse apply``: from decisions to corrected labels."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from ..bad_input import exit_on_bad_input, printable
from ..core.case_id import listed
from ..monai_label.datastore import ReviewedLabels, read_reviewed
from ..results.corrected_labels import LEFT_OUT_FILE, Applied, Undecided, apply_decisions
from ..results.decisions import read_decisions
from ..results.record import JudgedRun, read_record
from ..results.write import TableRows, closing_table

__all__ = ["add_arguments", "apply"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("output", metavar="OUT", help="output folder of a training or an audit")
    parser.add_argument(
        "--decisions",
        metavar="FILE",
        help="table of decisions, or a folder of labels reviewed in MONAI Label (OUT/decisions.csv)",
    )
    parser.add_argument("-o", "--output_dir", metavar="DIR", help="where the labels go (OUT/corrected_labels)")
    parser.add_argument(
        "--undecided",
        choices=get_args(Undecided),
        help="what becomes of suspects without a decision (keep); redraw does what cleansed_labels/ does",
    )
    parser.add_argument("--data", metavar="DIR", help="where the data are now, if they have moved")


def main(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, write the labels, and say what was done."""
    add_arguments(parser)
    args = parser.parse_args(arguments)
    table = exit_on_bad_input(
        lambda: apply(args.output, args.decisions, args.output_dir, args.undecided, args.data),
        "interrupted: nothing was written",
    )
    print(printable(table))


def apply(
    output: str,
    decisions: str | None = None,
    directory: str | None = None,
    undecided: Undecided | None = None,
    data: str | None = None,
) -> str:
    """Write the corrected labels, and return the closing table.

    Args:
        output: output folder of a training or an audit.
        decisions: table of decisions, or folder of a MONAI Label datastore; None for the table in the output folder.
        directory: where the labels go; None for the place in the output folder.
        undecided: what becomes of suspects without a decision; None keeps them, but wants some decisions.
        data: where the data lie now, if they have moved.

    Raises:
        ValueError: something is missing or wrong; the message names it, and the remedy.
    """
    run, rest = read_record(output, data), undecided or "keep"
    if decisions is not None and Path(decisions).is_dir():
        reviewed = read_reviewed(decisions, run)
        done = apply_decisions(run, reviewed.decisions, directory, rest, reviewed.read_edit, show_progress=True)
        return _table(run, done, rest, reviewed)
    table = run.folder.decisions if decisions is None else Path(decisions)
    if not table.is_file() and (decisions is not None or undecided is None):
        raise ValueError(
            f"{table} is not there: "
            + ("name a table of decisions" if decisions is not None else "review the suspects, or name a table")
            + " with --decisions FILE, or say with --undecided what becomes of all suspects"
        )
    done = apply_decisions(run, read_decisions(table, run.judgement), directory, rest, show_progress=True)
    return _table(run, done, rest, None)


def _table(run: JudgedRun, done: Applied, undecided: Undecided, reviewed: ReviewedLabels | None) -> str:
    rows: TableRows = [
        ("cases copied", f"{done.cases} of {len(run.data)} judged; {done.changed} differ from what was given"),
        ("labels kept", str(done.kept)),
        ("labels redrawn", str(done.redrawn)),
        ("labels edited", str(done.edited)),
        ("cases left out", f"{len(done.left_out)}" + (f": {listed(done.left_out, 5)}" if done.left_out else "")),
        ("suspects undecided", _undecided(done, undecided)),
    ]
    if done.not_judged:
        rows.append(
            ("not in the copy", f"{len(done.not_judged)} that could not be judged: {listed(done.not_judged, 5)}")
        )
    if reviewed is not None:
        rows.append(("not reviewed", f"{reviewed.waiting} labels of the datastore"))
        if reviewed.unmatched:
            rows.append(("no case's image", f"{len(reviewed.unmatched)} reviewed: {listed(reviewed.unmatched, 5)}"))
    files = [("corrected labels", str(done.directory))]
    if done.left_out:
        files.append(("why left out", str(done.directory / LEFT_OUT_FILE)))
    return closing_table("Decisions applied", rows, files)


def _undecided(done: Applied, undecided: Undecided) -> str:
    if not done.undecided:
        return "0" if undecided != "leave-out" else "0 (their cases are left out)"
    if undecided == "redraw":
        kept = done.undecided - done.undecided_redrawn
        return f"{done.undecided}: {done.undecided_redrawn} redrawn, {kept} kept, where the network does not draw well"
    return f"{done.undecided}, kept as given (another choice: --undecided redraw, --undecided leave-out)"
