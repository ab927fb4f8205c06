"""``selfcleanse``: the package's commands in one program.

    selfcleanse train DATA -o OUT            train, find wrong labels, redraw them
    selfcleanse audit DATA --predictions DIR judge labels by predictions that are there
    selfcleanse review OUT                   look at the suspects in a browser, and decide about each
    selfcleanse apply OUT                    corrected labels, as reviewers have decided
    selfcleanse export OUT --to nnunet ...   data for nnU-Net, labels, or a list of cases to exclude
    selfcleanse doctor DATA                  say what is wrong with the files, and write nothing
    selfcleanse noise SOURCE TARGET ...      a copy of a data set with label noise
    selfcleanse app TARGET ...               an app for MONAI Label

``train`` and ``audit`` run the bundle through ``monai.bundle``, with the same options as its command line
(:data:`monai_selfcleanse.cli.option_table.OPTIONS`). Here a path arrives as it was typed, whatever is in it, and a
misspelt option is refused. Exit codes: 0 done, 1 bad input, 2 wrong use of the command.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any, NoReturn

from ..bad_input import at_the_command_line, exit_on_bad_input
from .ids import check_ids, nearest
from .option_table import FLAGS, OPTIONS, TEXTS

__all__ = ["main"]

_SHOWN = ("epochs", "structures", "in_channels", "resume", "device", "num_workers", "seed")
"""Options that ``--help`` lists; it names the page with all of them."""

_ELSEWHERE = ("dataset_dir", "output_dir", "predictions_dir", "ckpt_path")
"""Options that have a place or a name of their own here."""


class _Parser(argparse.ArgumentParser):
    """Wrong use ends with one line, and with the nearest option's name."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **({"allow_abbrev": False} | options))

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but an unknown option is said before what is missing for its sake."""
        args = sys.argv[1:] if args is None else [*args]
        known = [name for action in self._actions for name in action.option_strings]
        for argument in takewhile("--".__ne__, args):
            name = argument.partition("=")[0]
            if name.startswith("--") and " " not in argument and name not in known:
                self.error(f"unknown option {name}{nearest(name, [one for one in known if one.startswith('--')])}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} ({self.prog} --help lists the options)\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command."""
    at_the_command_line()
    arguments = sys.argv[1:] if arguments is None else [*arguments]
    known = {
        "train": _train,
        "audit": _audit,
        "review": _review,
        "apply": _apply,
        "export": _export,
        "doctor": _doctor,
        "noise": _noise,
        "app": _app,
    }
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.split("``train`` and")[0].replace("``", ""), end="")
        print("Each command has a --help of its own.")
        sys.exit(0 if arguments else 2)
    if arguments[0] not in known:
        print(f"error: unknown command {arguments[0]!r}{nearest(arguments[0], known)}", file=sys.stderr)
        sys.exit(2)
    known[arguments[0]](arguments[1:])


def _train(arguments: Sequence[str]) -> None:
    parser = _bundle_parser("train", "training", "Train on doubtful labels, find the wrong ones, redraw them.")
    _run("training", [], *_parsed(parser, arguments))


def _audit(arguments: Sequence[str]) -> None:
    parser = _bundle_parser("audit", "auditing", "Judge a data set's labels without training.")
    judged_by = parser.add_mutually_exclusive_group()
    judged_by.add_argument("--predictions", dest="predictions_dir", metavar="DIR", help="judge by these predictions")
    judged_by.add_argument("--weights", dest="ckpt_path", metavar="FILE", help="judge by the network of these weights")
    _run("auditing", ["audit"], *_parsed(parser, arguments))


def _doctor(arguments: Sequence[str]) -> None:
    from .doctor import examine

    parser = _Parser("selfcleanse doctor", description="Say what is wrong with a data set's files; write nothing.")
    parser.add_argument("data", help="folder, or a JSON file that lists the cases")
    parser.add_argument(
        "--structures", help="label values and names, \"{'1': 'liver'}\"; those of the files if omitted"
    )
    args = parser.parse_args(arguments)
    structures = None if args.structures is None else _value("structures", args.structures)
    sys.exit(exit_on_bad_input(lambda: examine(args.data, structures)))


def _review(arguments: Sequence[str]) -> None:
    from .review import main as review

    review(_Parser("selfcleanse review", allow_abbrev=False), arguments)


def _apply(arguments: Sequence[str]) -> None:
    from .apply import main as apply

    text = "Write corrected labels: kept, redrawn, edited or left out, as reviewers have decided."
    apply(arguments, _Parser("selfcleanse apply", description=text))


def _export(arguments: Sequence[str]) -> None:
    from .export import main as export

    text = "Write the labels of a run, or of apply, for others to go on with."
    export(arguments, _Parser("selfcleanse export", description=text))


def _noise(arguments: Sequence[str]) -> None:
    from .noise import main as noise

    noise(arguments, "selfcleanse noise")


def _app(arguments: Sequence[str]) -> None:
    from .monai_label import main as app

    app(arguments, "selfcleanse app")


def _bundle_parser(command: str, run_id: str, description: str) -> _Parser:
    parser = _Parser(
        f"selfcleanse {command}",
        description=description,
        epilog="All options: docs/reference/options.md. The bundle's configs have more: --set ID=VALUE.",
        argument_default=argparse.SUPPRESS,
    )
    optional = command == "train"
    parser.add_argument(
        "dataset_dir",
        metavar="DATA",
        nargs="?" if optional else None,
        help="folder of the data, or a JSON file that lists them" + ("; omitted: a built-in phantom" * optional),
    )
    parser.add_argument("-o", "--output_dir", metavar="OUT", help="where everything goes (output)")
    parser.add_argument(
        "--task", metavar="NAME", default=None, help="overlay: hippocampus, liver_tumor, or a JSON file"
    )
    for name, option in OPTIONS.items():
        if run_id in option.commands and name not in _ELSEWHERE:
            shown = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", option.meaning).replace("`", "").split(";")[0].split(". ")[0]
            more = {"choices": ("True", "False")} if name in FLAGS else {}
            help_ = shown.replace("%", "%%") if name in _SHOWN else argparse.SUPPRESS
            parser.add_argument(f"--{name}", metavar="X", help=help_, **more)  # type: ignore[arg-type]
    parser.add_argument(
        "--set", action="append", default=[], metavar="ID=VALUE", help="set any other id of the configs"
    )
    parser.add_argument(
        "--bundle", default=None, metavar="DIR", help="the bundle's folder, if it is not beside the package"
    )
    return parser


def _parsed(parser: _Parser, arguments: Sequence[str]) -> tuple[dict[str, Any], str | None, str | None]:
    """Overrides of the configs, the overlay, and the bundle's folder. What is ``--set`` may be an expression."""
    args = vars(parser.parse_args(list(_with_values(arguments))))
    overlay, bundle, pairs = args.pop("task"), args.pop("bundle"), args.pop("set")
    out = {name: _as_typed(_value(name, text)) for name, text in args.items()}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name and equals):
            parser.error(f"--set {pair}: expected ID=VALUE, such as --set label_filter#min_cases=8")
        out[name] = "$None" if text == "None" else _value(name, text)
    return out, overlay, bundle


def _with_values(arguments: Sequence[str]) -> Iterator[str]:
    """The arguments, with a value for each flag that has none; what follows a flag is its value if it is one."""
    for argument, following in zip_longest(arguments, arguments[1:], fillvalue=""):
        is_flag = argument.startswith("--") and argument[2:] in FLAGS
        yield f"{argument}=True" if is_flag and following.lower() not in ("true", "false") else argument


def _value(name: str, text: str) -> Any:
    """What was typed, as a number, list or the like where it is one."""
    if name in TEXTS:
        return text
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _as_typed(value: Any) -> Any:
    """A value of which MONAI's parser makes what was typed: for it ``#`` in a text is ``::``, ``@`` a reference."""
    if value is None:
        return "$None"  # a plain one is passed over
    if isinstance(value, str):
        escaped = re.sub("[#@$%:]", lambda found: f"\\x{ord(found[0]):02x}", repr(value))
        return value if escaped == repr(value) else f"${escaped}"
    if isinstance(value, Mapping):
        return {key: _as_typed(inner) for key, inner in value.items()}
    return [_as_typed(v) for v in value] if isinstance(value, (list, tuple)) else value


def _run(run_id: str, overlays: Sequence[str], values: Mapping[str, Any], task: str | None, bundle: str | None) -> None:
    from monai.bundle import run

    root = exit_on_bad_input(lambda: _bundle_root(bundle))
    files = [root / "configs" / "train.json"]
    files += [] if task is None else [exit_on_bad_input(lambda: _overlay(root, task))]
    files += [root / "configs" / f"{name}.json" for name in overlays]
    paths = [str(file) for file in files]
    exit_on_bad_input(lambda: check_ids(values, paths))
    # A relative folder: with an absolute one the bundle takes itself for MONAI Label's, and writes into its own folder.
    beside = exit_on_bad_input(lambda: os.path.relpath(root))
    warnings.filterwarnings("ignore", "parsing config_file", UserWarning)  # it is our own, or the user has named it
    run(run_id=run_id, config_file=paths, bundle_root=_as_typed(beside), **values)


def _bundle_root(folder: str | None) -> Path:
    """The bundle's folder: the one named, or the one beside the package or below the current folder."""
    beside = Path(__file__).resolve().parents[2] / "bundle"
    tried = [Path(folder)] if folder is not None else [beside, Path("bundle"), Path(".")]
    for root in tried:
        if (root / "configs" / "train.json").is_file() and (root / "configs" / "metadata.json").is_file():
            return root
    raise ValueError(f"there is no bundle in {' or '.join(map(str, tried))}: name its folder with --bundle DIR")


def _overlay(root: Path, task: str) -> Path:
    """An overlay's file, by its path or by its name in the bundle."""
    for path in (Path(task), root / "configs" / f"{task}.json"):
        if path.is_file():
            return path
    raise ValueError(
        f"--task {task}: there is no such file, and no {task}.json in {root / 'configs'}; give hippocampus, "
        "liver_tumor, or the path of an overlay of your own"
    )
