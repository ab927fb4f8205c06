"""``selfcleanse export``: the results of a run, or corrected labels, for others to go on with."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from ..bad_input import exit_on_bad_input, printable
from ..core.case_id import listed
from ..files import atomic_folder
from ..results.applied import AppliedLabels, is_applied, read_applied
from ..results.corrected_labels import KIND
from ..results.decisions import read_decisions
from ..results.label_set import JudgedLabels, LabelSet, check_target, write_labels
from ..results.nnunet import write_nnunet_labels
from ..results.provenance import is_export
from ..results.record import read_record
from ..results.splits import write_exclusion_files
from ..results.write import TableRows, closing_table
from ..run_folder import RunFolder

__all__ = ["add_arguments", "export"]

logger = logging.getLogger(__name__)

Target = Literal["nnunet", "labels", "exclude"]
Which = Literal["cleansed", "corrected"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("output", metavar="OUT", help="output folder of a training or an audit, or a folder of apply")
    parser.add_argument(
        "--to",
        choices=get_args(Target),
        required=True,
        help="nnunet: a raw data set of nnU-Net v2; labels: the labels alone; exclude: lists of the cases not to train "
        "on, and nnU-Net's splits_final.json",
    )
    parser.add_argument(
        "-o", "--output_dir", metavar="DIR", required=True, help="where it goes; for nnunet .../DatasetNNN_Name"
    )
    parser.add_argument(
        "--labels",
        choices=get_args(Which),
        help="cleansed: as the judgement says; corrected: as reviewers decided (these, if apply has written them)",
    )
    parser.add_argument("--ignore", action="store_true", help="nnunet: mark what nobody can be trusted on")
    parser.add_argument("--channel-names", nargs="+", metavar="NAME", help="nnunet: names of the channels, such as CT")
    parser.add_argument("--data", metavar="DIR", help="where the data are now, if they have moved")


def main(arguments: Sequence[str], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, write the export, and say what it is."""
    add_arguments(parser)
    args = parser.parse_args(arguments)
    if args.to != "nnunet" and (args.ignore or args.channel_names):
        parser.error(f"--{'ignore' if args.ignore else 'channel-names'} belongs to --to nnunet")
    table = exit_on_bad_input(
        lambda: export(args.output, args.to, args.output_dir, args.labels, args.ignore, args.channel_names, args.data),
        "interrupted: nothing was written",
    )
    print(printable(table))


def export(
    output: str,
    target: Target,
    directory: str,
    which: Which | None = None,
    ignore: bool = False,
    channel_names: Sequence[str] | None = None,
    data: str | None = None,
) -> str:
    """Write an export, and return the closing table, which says which labels it holds.

    Args:
        output: output folder of a training or an audit, or a folder that ``apply`` has written.
        target: what to make.
        directory: where it goes.
        which: the labels; None for the corrected ones where ``apply`` has written them, else the cleansed ones.
        ignore, channel_names: see :func:`monai_selfcleanse.results.write_nnunet_labels`.
        data: where the data lie now, if they have moved.

    Raises:
        ValueError: something is missing or wrong; the message names it, and the remedy.
    """
    labels, words = _chosen(Path(output), which, data)
    check_target(directory, labels.data, [labels.directory] if isinstance(labels, AppliedLabels) else ())
    rows: TableRows = [("labels", words), ("cases", str(len(labels.data)))]
    excluded = [one["case"] for one in labels.excluded]
    files = [("written to", directory)]
    if target == "nnunet":
        if isinstance(labels, AppliedLabels):
            labels.check_images()
        write_nnunet_labels(
            directory, labels, channel_names=channel_names, ignore=ignore, show_progress=True, num_workers=None
        )
        if not channel_names:
            logger.warning(
                "channels are named 'channel 0', ...: nnU-Net normalises a channel by its name, and one named CT in a "
                "way of its own; give the names with --channel-names, such as CT, or T1 T2"
            )
    elif target == "labels":
        _write_labels(Path(directory), labels)
    else:
        files = [(path.name, str(path)) for path in write_exclusion_files(directory, labels)]
        rows.append(("excluded", f"{len(excluded)}: {listed(excluded, 5)}" if excluded else "none"))
    return closing_table("Exported", rows, files)


def _chosen(output: Path, which: Which | None, data: str | None) -> tuple[LabelSet, str]:
    """The labels, and what they are in words."""
    folder = RunFolder(output)
    if is_applied(output):
        if which == "cleansed":
            raise ValueError(f"{output} holds corrected labels: for cleansed ones, name the output folder of the run")
        return read_applied(output, data), "corrected, as reviewers have decided"
    has_copy = is_applied(folder.corrected_labels)
    if which == "corrected" and not has_copy:
        raise ValueError(f"{output}: there are no corrected labels yet: write them with selfcleanse apply {output}")
    run = read_record(output, data)
    decisions = read_decisions(folder.decisions, run.judgement)
    if has_copy and which != "cleansed":
        applied = read_applied(folder.corrected_labels, data)
        known = [vars(decision) for decision in decisions.values()]
        if folder.decisions.is_file() and applied.about["decisions"] != known:
            logger.warning(
                f"{folder.decisions} holds other decisions than those that {folder.corrected_labels} was made of: for "
                f"these, run selfcleanse apply {output} again first"
            )
        return applied, f"corrected, of {folder.corrected_labels} (the judgement's: --labels cleansed)"
    other = " (reviewers': --labels corrected)" if has_copy else ""
    if decisions and not has_copy:
        other = f"; {len(decisions)} decisions are not heeded: run selfcleanse apply {output} first"
    return JudgedLabels.of(run), f"cleansed, as the judgement says{other}"


def _write_labels(directory: Path, labels: LabelSet) -> None:
    if isinstance(labels, AppliedLabels):
        with atomic_folder(directory, is_export(KIND)) as part:
            shutil.copytree(labels.directory, part, dirs_exist_ok=True)
    else:
        write_labels(directory, labels, show_progress=True, num_workers=None)
