"""A client of NVIDIA FLARE: it trains the bundle on its own data, judges its own labels, and sends weights alone.

The site says by its environment where things lie; ``{site}`` in them is the client's name:

    SELFCLEANSE_BUNDLE    the bundle's folder
    SELFCLEANSE_DATA      the data set
    SELFCLEANSE_OUTPUT    where the report, the cleansed labels and the client's own weights go

The job says by its arguments what is the same at all sites. ``rounds.csv`` in the output folder has a row for each
round of the federation: the validation Dice of the weights that the server sent.
"""

from __future__ import annotations

import argparse
import ast
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import nvflare.client as flare
import torch
from monai.fl.client import MonaiAlgo
from monai.fl.utils.constants import ExtraItems, FlStatistics
from monai.fl.utils.exchange_object import ExchangeObject

from monai_selfcleanse.cli.option_table import OPTIONS
from monai_selfcleanse.results.tables import write_rows

KEY_METRIC = "val_mean_dice"

PLACES = ("SELFCLEANSE_BUNDLE", "SELFCLEANSE_DATA", "SELFCLEANSE_OUTPUT")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the federation until it has ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local_epochs", type=int, default=2, help="epochs in each of the federation's rounds (2)")
    parser.add_argument("--overlay", help="config of another task, such as configs/hippocampus.json in the bundle")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="ID=VALUE", help="more ids of the bundle's configs, for its training"
    )
    parser.add_argument("--keep_weights", action="store_true", help="keep what is received and sent, in exchanged/")
    args = parser.parse_args(arguments)
    flare.init()
    site = flare.get_site_name()
    bundle, data, output = places(os.environ, site)
    output.mkdir(parents=True, exist_ok=True)
    algo, rounds = None, []
    while flare.is_running():
        received = flare.receive()
        if received is None:
            break
        if algo is None:
            epochs = (received.total_rounds or 1) * args.local_epochs
            algo = client_of(bundle, data, output, site, epochs, args)
        metric = float(algo.evaluate(ExchangeObject(weights=copied(received.params))).metrics[KEY_METRIC])
        if not flare.is_train():
            flare.send(flare.FLModel(metrics={KEY_METRIC: metric}))
            continue
        rounds.append({"round": received.current_round + 1, KEY_METRIC: metric})
        write_rows(rounds, ["round", KEY_METRIC], output / "rounds.csv")
        flare.send(train(algo, received, metric, output / "exchanged" if args.keep_weights else None))
    if algo is not None:
        algo.finalize()


def train(algo: MonaiAlgo, received: Any, metric: float, keep: Path | None) -> Any:
    """Train for a round of the federation.

    Args:
        algo: the client algorithm.
        received: what the server sent.
        metric: the validation Dice of its weights.
        keep: folder in which the weights are kept; None for no.

    Returns:
        What the server gets: weights, which it averages by the number of steps.
    """
    algo.train(ExchangeObject(weights=copied(received.params)))
    back = algo.get_weights()
    if keep is not None:
        keep.mkdir(exist_ok=True)
        exchanged = {"received": dict(received.params), "sent": dict(back.weights)}
        torch.save(exchanged, keep / f"round_{received.current_round + 1}.pt")
    return flare.FLModel(
        params=back.weights,
        params_type=flare.ParamsType.FULL,
        metrics={KEY_METRIC: metric},
        meta={"NUM_STEPS_CURRENT_ROUND": back.statistics[FlStatistics.NUM_EXECUTED_ITERATIONS]},
    )


def places(environment: Mapping[str, str], site: str) -> tuple[Path, Path, Path]:
    """Where the bundle, the data and the output lie, by the site's environment.

    Raises:
        ValueError: one of them is not said, or is not there; the message names the variable.
    """
    if missing := [name for name in PLACES if not environment.get(name)]:
        raise ValueError(f"site {site}: set {', '.join(missing)} in the environment that starts the client")
    bundle, data, output = (Path(environment[name].replace("{site}", site)).absolute() for name in PLACES)
    for name, path in zip(PLACES[:2], (bundle / "configs" / "federated.json", data), strict=True):
        if not path.exists():
            raise ValueError(f"site {site}: {path} is not there: correct {name}, {environment[name]!r}")
    return bundle, data, output


def client_of(bundle: Path, data: Path, output: Path, site: str, epochs: int, args: argparse.Namespace) -> MonaiAlgo:
    """MONAI's client algorithm on the bundle, ready to train.

    Args:
        bundle, data, output: see :func:`places`.
        site: the client's name.
        epochs: of all of the federation's rounds together.
        args: the job's arguments.
    """
    overlay = [args.overlay] if args.overlay else []
    own = {"dataset_dir": str(data), "output_dir": str(output), "ckpt_dir": str(output / "models")}
    more = {name: value_of(text) for name, text in map(option_of, args.set)}
    # what trains alone, an evaluation refuses
    evaluates = {name: value for name, value in more.items() if "evaluating" in commands_of(name)}
    algo = MonaiAlgo(
        str(bundle),
        local_epochs=args.local_epochs,
        send_weight_diff=False,
        config_train_filename=["configs/train.json", *overlay, "configs/federated.json"],
        config_evaluate_filename=["configs/train.json", *overlay, "configs/evaluate.json"],
        train_kwargs={**own, "epochs": epochs, **more},
        eval_kwargs={**own, **evaluates},
        best_model_filepath=str(output / "models" / "model.pt"),
    )
    algo.initialize({ExtraItems.CLIENT_NAME: site})
    return algo


def option_of(pair: str) -> tuple[str, str]:
    """Name and value of what ``--set`` takes.

    Raises:
        ValueError: it has no ``=``.
    """
    name, equals, text = pair.partition("=")
    if not (name and equals):
        raise ValueError(f"--set {pair}: expected NAME=VALUE, such as --set batch_size=4")
    return name, text


def commands_of(name: str) -> Collection[str]:
    """The commands that heed an option; all of them for other ids of the configs."""
    option = OPTIONS.get(name)
    return ("training", "evaluating") if option is None else option.commands


def value_of(text: str) -> Any:
    """What was typed, as a number, list or the like where it is one."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def copied(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.clone() for name, value in weights.items()}


if __name__ == "__main__":
    main()
