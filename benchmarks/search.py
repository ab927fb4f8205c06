"""Search for a method: many short trainings of one core each, with the package's mathematics but without its engine.

    python benchmarks/search.py ACDC OUT --tag ours --set first_look=18
    python benchmarks/search.py CARELESS/train OUT --held CARELESS/held --truth ACDC --tag plain
    python benchmarks/search.py ACDC OUT --many RUNS.json --workers 16 --device cuda
    python benchmarks/search.py --compare OUT plain ours ...

Preprocessing, split, noise, network, loss, evidence, filter and cleanser are those of ``configs/train.json``; slices
are cropped and augmented by a few tensor operations, the network runs in bfloat16, and volumes are scored on the
network's grid. That takes 8 to 10 s an epoch on one core (64 ACDC patients, 2 mm pixels, 8 patches a case) and makes
comparisons of a dozen variants possible; with ``--set spacing=1.5 --set size=128`` it is the size of
``configs/train.json``, and takes twice as long. On a CPU without bfloat16 instructions, which is slow at it, take
``--set precision=float32``. With ``--device cuda`` a training took 70 s (plain) to 180 s, sixteen of them at a time on
an H100 under its multi-process service. What wins here has to win in ``compare.py``.

With ``--held`` the first folder is trained on as it is and ``--held`` validated on, and ``--truth`` has the right
labels of both under the same relative paths; without, the folder's labels are the truth and get noise. A run's line in
``OUT/search.jsonl`` holds its options, Dice by validation case, and what each look found (who is suspected, and labels
as given, trained on and redrawn against the truth); ``--many`` does those that are not there yet. ``--fork EPOCH``
keeps the state at that epoch, until which runs of the same data, seed and schedule are alike, for later variants to
start from.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import math
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compare import patient_in_id, processor
from monai.bundle import ConfigParser
from score_run import detection
from torch.nn import functional as F

from monai_selfcleanse.core.case_id import case_of
from monai_selfcleanse.core.cleansing import MIN_CONFIDENCE, cleanse_label
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.leaving_out import cases_to_leave_out
from monai_selfcleanse.core.masks import dice
from monai_selfcleanse.core.strays import find_strays
from monai_selfcleanse.data import find_cases
from monai_selfcleanse.files import atomic_path
from monai_selfcleanse.losses import WeightedDiceCELoss
from monai_selfcleanse.results.truth import CLEAN_FROM, NOISY_BELOW

ROOT = Path(__file__).resolve().parent.parent
STRUCTURES = (1, 2, 3)


@dataclass
class Options:
    """One training. ``first_look`` 0 is plain training; ``labels`` is ``given`` or ``truth``."""

    seed: int = 0
    preset: str = "mixed"
    rate: float = 0.5
    labels: str = "given"
    held: float = 0.0  # share of the training patients that are validated on as well, by their true labels
    epochs: int = 60
    spacing: float = 2.0  # of the pixels, in mm
    size: int = 96  # of the patches, in pixels
    patches: int = 8
    peak_rate: float = 5e-3
    hold: float = 0.6  # share of the schedule after which the learning rate falls; 0.1, when it has risen: pure cosine
    ema_epochs: float = 3.0
    first_look: int = 0
    interval: int = 6
    redraw: int = 999  # epoch from which suspects (beyond doubt) are redrawn; before it cases are left out
    scout: int = 0  # epochs of another network, before, that says whom to leave out until the first look
    known: int = 0  # epoch after which the truly noisy cases, and they alone, are left out; 0 for never
    target: str = "package"  # what a suspect trains on; see Search.target_of
    blend: float = 1.0  # share of the pseudo-label in the target, the rest is the given label
    coin: float = 1.0  # chance that a case is trained on its target this time, else on its given label
    precision: str = "bfloat16"  # of the network; or float32


def data_file(args: argparse.Namespace, options: Options) -> Path:
    """Where the cases of a training are kept: a file for each set of folders, noise and grid."""
    folders = [str(folder.resolve()) for folder in (args.dataset_dir, args.held, args.truth) if folder]
    name = f"{args.dataset_dir.resolve().name}_{hashlib.sha256(json.dumps(folders).encode()).hexdigest()[:8]}"
    name += "_held" if args.held else f"_{options.preset}_{options.rate}_seed{options.seed}"
    return args.out / f"data_{name}_{options.spacing}mm_{options.size}.pt"


def fork_file(args: argparse.Namespace, options: Options) -> Path | None:
    """Where the state is kept from which later variants start: a file for whatever decides it."""
    if not args.fork:
        return None
    decisive = (options.seed, options.labels, options.epochs, options.held, options.patches, options.peak_rate)
    decisive += (options.hold, options.ema_epochs, options.precision, args.fork, args.device.type)
    return args.out / f"fork_{data_file(args, options).stem}_{'_'.join(map(str, decisive))}.pt"


def prepared(args: argparse.Namespace, options: Options) -> Path:
    """File of the training and validation cases on the network's grid, as arrays; made if it is not there."""
    path = data_file(args, options)
    if path.is_file():
        return path
    config = ConfigParser()
    config.read_config(str(ROOT / "configs" / "train.json"))
    settings = {"dataset_dir": str(args.dataset_dir), "output_dir": str(path.with_suffix(""))}
    spacing = [options.spacing, options.spacing, -1.0]
    settings |= {"noise_rate": options.rate, "noise_preset": options.preset, "seed": options.seed}
    for key, value in (settings | {"spacing": spacing, "patch_size": [options.size, options.size, 1]}).items():
        config[key] = value
    load = config.get_parsed_content("train#preprocessing")
    if args.held:
        parts = {"train": find_cases(args.dataset_dir)[0], "validation": find_cases(args.held)[0]}
        parts = {k: [c | {"truth": str(args.truth / c["file"])} for c in cases] for k, cases in parts.items()}
    else:
        cohort = config.get_parsed_content("cohort")
        parts = {"train": cohort.train, "validation": cohort.validation}
    out: dict[str, list[dict[str, Any]]] = {}
    for part, cases in parts.items():
        out[part] = []
        for item in cases:
            given = load(dict(item))
            truth = load({**item, "label": item["truth"]})["label"] if "truth" in item else given["label"]
            labels = (np.rint(label.numpy()[0]).astype(np.uint8) for label in (given["label"], truth))
            arrays = dict(zip(("given", "truth"), labels, strict=True))
            image, spacing = given["image"].numpy()[0].astype(np.float32), given["label"].pixdim.tolist()
            tensors = {name: torch.from_numpy(array) for name, array in {"image": image, **arrays}.items()}
            out[part].append({"case": case_of(item), "spacing": spacing, **tensors})
    with atomic_path(path) as unfinished:
        torch.save(out, unfinished)
    return path


def hold_more(data: dict[str, list[dict[str, Any]]], share: float) -> dict[str, list[dict[str, Any]]]:
    """Move that share of the training patients, evenly spaced, to those validated on."""
    patients = sorted({patient_in_id(c["case"]) for c in data["train"]})
    moved = {patient for i, patient in enumerate(patients) if (i * share + 0.875) % 1 < share}
    train, more = ([c for c in data["train"] if (patient_in_id(c["case"]) in moved) == m] for m in (False, True))
    return {"train": train, "validation": [*more, *data["validation"]]}


class Target:
    """What a case trains on: classes ``(H, W, D)`` or their probabilities ``(C, H, W, D)``, and voxel weights."""

    def __init__(self, target: np.ndarray, weight: np.ndarray | None, device: torch.device) -> None:
        self.inside = np.flatnonzero((target[0] < 0.5 if target.ndim == 4 else target > 0).ravel())
        self.target = torch.from_numpy(target).to(device)
        self.weight = None if weight is None else torch.from_numpy(weight).to(device, torch.float32)
        self.classes = torch.arange(1 + len(STRUCTURES), device=device)[:, None, None]

    def at(self, place: tuple[slice | int, ...]) -> torch.Tensor:
        """A patch's class probabilities, and its weights as the last channel."""
        target = self.target[(slice(None), *place)] if self.target.ndim == 4 else self.target[place] == self.classes
        weight = torch.ones_like(target[:1], dtype=torch.float32) if self.weight is None else self.weight[place][None]
        return torch.cat([target.float(), weight])


class Search:
    """A training: plain loops over arrays."""

    def __init__(self, data: dict[str, list[dict[str, Any]]], options: Options, device: torch.device) -> None:
        self.o, self.train, self.validation, self.device = options, data["train"], data["validation"], device
        self.rng = np.random.default_rng(options.seed)
        torch.manual_seed(options.seed)
        config = ConfigParser()
        config.read_config(str(ROOT / "configs" / "train.json"))
        self.network = config.get_parsed_content("network_def").to(device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), options.peak_rate, weight_decay=1e-4)
        self.loss = WeightedDiceCELoss()
        self.given = [c["truth" if options.labels == "truth" else "given"] for c in self.train]
        self.images = [torch.from_numpy(c["image"]).to(device) for c in self.train]
        self.targets = [Target(g, None, device) for g in self.given]
        self.untouched = list(self.targets)
        self.judge = LabelJudge(STRUCTURES)
        self.left_out: set[int] = set()
        self.steps_an_epoch = len(self.train) // 2
        self.epoch, self.step = 0, 0
        self.looks: list[dict[str, Any]] = []

    def run(self, fork: Path | None, fork_epoch: int) -> dict[str, Any]:
        """Train to the end; from the state in ``fork`` if it is there, or keep it there at ``fork_epoch``."""
        if fork is not None and fork.is_file():
            self.load_state_dict(torch.load(fork, map_location=self.device, weights_only=True))
        curve = {}
        if self.o.scout and self.epoch == 0:
            self.send_scout()
        while self.epoch < self.o.epochs:
            since = self.epoch - self.o.first_look
            if self.o.first_look and since >= 0 and since % self.o.interval == 0:
                self.look()
            self.train_epoch()
            if fork is not None and self.epoch == fork_epoch and not fork.is_file():
                with atomic_path(fork) as unfinished:
                    torch.save(self.state_dict(), unfinished)
            if self.epoch % 10 == 0 or self.epoch == self.o.epochs:
                found = self.validate()
                curve[self.epoch] = round(float(found.mean()), 4)
                print(
                    time.strftime("%H:%M:%S"),
                    "epoch",
                    self.epoch,
                    found.mean(0).round(3),
                    curve[self.epoch],
                    flush=True,
                )
        if self.o.first_look:
            self.look()
        by_case = {c["case"]: row for c, row in zip(self.validation, found.round(5).tolist(), strict=True)}
        return {"dice": float(found.mean()), "cases": by_case, "curve": curve, "looks": self.looks}

    def send_scout(self) -> None:
        """Have another network, trained briefly, leave cases out."""
        options = replace(self.o, epochs=self.o.scout, hold=0.3, ema_epochs=1.5, redraw=Options.redraw, known=0)
        scout = Search({"train": self.train, "validation": []}, options, self.device)
        while scout.epoch < scout.o.epochs:
            scout.train_epoch()
        scout.look()
        self.left_out, self.looks = scout.left_out, scout.looks

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.o.precision == "bfloat16")

    def learning_rate(self) -> float:
        done = self.step / (self.o.epochs * self.steps_an_epoch)
        fall = max(0.0, done - self.o.hold) / (1 - self.o.hold)
        return self.o.peak_rate * min(0.04 + 9.6 * done, 0.5 * (1 + math.cos(math.pi * fall)))

    def train_epoch(self) -> None:
        if self.o.known and self.epoch >= self.o.known:
            pairs = enumerate(zip(self.given, self.train, strict=True))
            self.left_out = {i for i, (given, c) in pairs if min(by_structure(given, c["truth"])) < NOISY_BELOW}
        order = self.rng.permutation(len(self.train))
        others = [i for i in range(len(self.train)) if i not in self.left_out]
        order = np.array([self.rng.choice(others) if i in self.left_out else i for i in order])
        self.network.train()
        pairs = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
        averaged = [(mean, value) for mean, value in pairs if mean.is_floating_point()]
        for i in range(self.steps_an_epoch):
            image, target = self.batch(order[2 * i : 2 * i + 2])
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate()
            with self.autocast():
                logits = self.network(image)
            self.optimizer.zero_grad()
            self.loss(logits, target).backward()
            self.optimizer.step()
            self.step += 1
            momentum = max(1 / (self.o.ema_epochs * self.steps_an_epoch), 1 / (1 + self.step))
            with torch.no_grad():
                for mean, value in averaged:
                    mean.lerp_(value, momentum)
        self.epoch += 1

    def batch(self, cases: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented patches ``(B, 1, size, size)`` and their targets with weights ``(B, C + 1, size, size)``."""
        rng, size, images, targets = self.rng, self.o.size, [], []
        for i in cases:
            image, target = self.images[i], self.targets[i]
            if self.o.coin < 1 and rng.random() >= self.o.coin:
                target = self.untouched[i]
            for _ in range(self.o.patches):
                middle = [int(rng.integers(n)) for n in image.shape]
                if len(target.inside) and rng.random() < 0.75:
                    voxel = target.inside[rng.integers(len(target.inside))]
                    middle = [int(m) for m in np.unravel_index(voxel, image.shape)]
                y, x = (min(max(m - size // 2, 0), n - size) for m, n in zip(middle, image.shape[:2], strict=False))
                place = (slice(y, y + size), slice(x, x + size), middle[2])
                images.append(image[place])
                targets.append(target.at(place))
        turn = torch.zeros(len(images), 2, 3)
        for b in range(len(images)):
            angle, scale = (
                (rng.uniform(-0.5, 0.5), 1 + rng.uniform(-0.2, 0.2, 2)) if rng.random() < 0.8 else (0, (1, 1))
            )
            matrix = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]] * np.array(scale)
            turn[b, :, :2] = torch.as_tensor(matrix)
            turn[b, 1] *= rng.choice([-1.0, 1.0])
        factor, offset = np.empty((2, len(images), 1, 1, 1), dtype=np.float32)
        noise = np.zeros((len(images), 1, size, size), dtype=np.float32)
        for b in range(len(images)):
            factor[b] = 1 + rng.uniform(-0.2, 0.2) * (rng.random() < 0.5)
            offset[b] = rng.uniform(-0.2, 0.2) * (rng.random() < 0.5)
            if rng.random() < 0.3:
                noise[b] = rng.normal(0, 0.1 * rng.random(), noise[b].shape)
        grid = F.affine_grid(turn, [len(images), 1, size, size], align_corners=False).to(self.device)
        x, t = torch.stack(images)[:, None], torch.stack(targets)
        x = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
        t = F.grid_sample(t, grid, mode="nearest", padding_mode="border", align_corners=False)
        factor, offset, noise = (torch.from_numpy(array).to(self.device) for array in (factor, offset, noise))
        return (x * factor + offset + noise).contiguous(memory_format=torch.channels_last), t

    @torch.no_grad()
    def predict(self, image: np.ndarray) -> np.ndarray:
        """Class probabilities ``(C, H, W, D)`` of the averaged network."""
        height, width, _ = image.shape
        x = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[:, None])
        x = F.pad(x, (0, -width % 16, 0, -height % 16), mode="replicate").contiguous(memory_format=torch.channels_last)
        with self.autocast():
            probabilities = self.average(x.to(self.device)).float().softmax(1)
        return probabilities[:, :, :height, :width].permute(1, 2, 3, 0).cpu().numpy()

    def validate(self) -> np.ndarray:
        """Dice by case and structure."""
        predicted = [self.predict(c["image"]).argmax(0) for c in self.validation]
        return np.array([by_structure(p, c["truth"]) for p, c in zip(predicted, self.validation, strict=True)])

    def look(self) -> None:
        """Judge and cleanse all training labels."""
        probabilities = [np.ascontiguousarray(self.predict(c["image"]), np.float16) for c in self.train]
        evidence = [
            self.judge.evidence(given, p.astype(np.float32), case["spacing"])
            for case, given, p in zip(self.train, self.given, probabilities, strict=True)
        ]
        names = [case["case"] for case in self.train]
        judged = self.judge.judge(names, {n: np.stack([e[n] for e in evidence]) for n in evidence[0]})
        for given, p in zip(self.given, probabilities, strict=True):
            for places in find_strays(given, p.argmax(0), judged.one_piece).values():
                p.reshape(len(p), -1)[:, places] = 0
        redraws = self.epoch >= self.o.redraw
        trained_redrawn = (judged.redrawn if self.o.target == "package" else judged.suspected) & redraws
        self.left_out = {names.index(case) for case in cases_to_leave_out(judged, trained_redrawn=trained_redrawn)}
        before = np.array([by_structure(g, c["truth"]) for g, c in zip(self.given, self.train, strict=True)])
        after = before.copy()
        for i, case in enumerate(self.train):
            structures = [k for j, k in enumerate(STRUCTURES) if trained_redrawn[i, j]]
            target, weight = self.target_of(self.given[i], case["truth"], probabilities[i], structures)
            self.targets[i] = Target(target, weight, self.device) if structures else self.untouched[i]
            after[i] = by_structure(target.argmax(0) if target.ndim == 4 else target, case["truth"])
        on_disk = np.array([self.on_disk(i, p, judged.redrawn[i]) for i, p in enumerate(probabilities)])
        found = {"epoch": self.epoch, "left_out": len(self.left_out)} | found_by(judged, before, after, on_disk)
        self.looks.append(found)
        print(
            time.strftime("%H:%M:%S"),
            json.loads(json.dumps(found), parse_float=lambda f: round(float(f), 3)),
            flush=True,
        )

    def on_disk(self, i: int, probabilities: np.ndarray, redrawn: np.ndarray) -> list[float]:
        """Dice to the truth, by structure, of the label that the package would write, here on the network's grid."""
        structures = [k for k, chosen in zip(STRUCTURES, redrawn, strict=True) if chosen]
        predicted, confidence = probabilities.argmax(0).astype(np.uint8), probabilities.max(0).astype(np.float32)
        label, _ = cleanse_label(self.given[i], predicted, confidence, structures, MIN_CONFIDENCE)
        return by_structure(label, self.train[i]["truth"])

    def target_of(
        self, given: np.ndarray, truth: np.ndarray, probabilities: np.ndarray, suspected: list[int]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """What a case trains on: class indices, or class probabilities with a leading axis, and voxel weights.

        ``package``: :func:`monai_selfcleanse.core.cleansing.cleanse_label`. ``prediction``: the same, the prediction
        deciding however unsure it is. ``ignore``: that, and unsure voxels weigh nothing. ``soft``: the network's
        probabilities. ``drop``: what speaks of a suspect weighs nothing. ``truth``: a perfect cleanser.
        """
        if not suspected:
            return given, None
        kind = self.o.target
        predicted, confidence = probabilities.argmax(0).astype(np.uint8), probabilities.max(0).astype(np.float32)
        spoken_of = np.isin(given, suspected) | np.isin(predicted, suspected)
        if kind == "truth":
            return truth, None
        if kind == "drop":
            return given, (~spoken_of).astype(np.float32)
        one_hot = np.stack([given == k for k in (0, *STRUCTURES)])
        if kind == "soft":
            near = spoken_of | (probabilities[suspected].sum(0) > 0.05)
            return np.where(near, probabilities, one_hot).astype(np.float16), None
        least = {"package": MIN_CONFIDENCE, "prediction": 0.0, "ignore": 0.0}[kind]
        target, weight = cleanse_label(given, predicted, confidence, suspected, least)
        if kind == "ignore":
            weight[spoken_of & (confidence < MIN_CONFIDENCE)] = 0.0
        if self.o.blend < 1:
            pseudo = np.stack([target == k for k in (0, *STRUCTURES)])
            return (self.o.blend * pseudo + (1 - self.o.blend) * one_hot).astype(np.float16), weight
        return target, weight

    def state_dict(self) -> dict[str, Any]:
        modules = {name: getattr(self, name).state_dict() for name in ("network", "average", "optimizer")}
        return modules | {"epoch": self.epoch, "step": self.step, "rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("network", "average", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.epoch, self.step, self.rng.bit_generator.state = state["epoch"], state["step"], state["rng"]


def found_by(judged: Judgement, given: np.ndarray, trained_on: np.ndarray, on_disk: np.ndarray) -> dict[str, Any]:
    """How right a look was: figures of detection, and by kind of label the mean Dice to the truth.

    Args:
        judged: what it decided.
        given, trained_on, on_disk: Dice to the truth ``(n, K)`` of the labels as given, as trained on, and as redrawn.
    """
    out = detection(1 - judged.clean_probability.ravel(), judged.suspected.ravel(), given.ravel())
    for kind, chosen in (("noisy", given < NOISY_BELOW), ("clean", given >= CLEAN_FROM)):
        if chosen.any():
            dices = {"given": given, "trained_on": trained_on, "on_disk": on_disk}
            worse = int((on_disk[chosen] < given[chosen] - 0.02).sum())
            means = {name: float(values[chosen].mean()) for name, values in dices.items()}
            out[kind] = {"n": int(chosen.sum()), "worse": worse} | means
    return out


def by_structure(label: np.ndarray, truth: np.ndarray) -> list[float]:
    return [dice(label == k, truth == k) for k in STRUCTURES]


def compare(out: Path, tags: list[str]) -> None:
    """Print each run's Dice and its difference to the first over patients: mean, standard error, median."""
    runs = {line["tag"]: line for line in read_lines(out)}
    base = runs[tags[0]]["cases"]
    patients = sorted({patient_in_id(case) for case in base})
    for tag in tags:
        own = runs[tag]["cases"]
        gains = [np.mean([np.subtract(own[c], base[c]) for c in base if patient_in_id(c) == p]) for p in patients]
        error = np.std(gains, ddof=1) / math.sqrt(len(gains))
        means = ", ".join(f"{m:.3f}" for m in np.mean(list(own.values()), 0))
        print(
            f"{tag:24s} {runs[tag]['dice']:.4f} ({means}) {np.mean(gains):+.4f} +- {error:.4f}, "
            f"median {np.median(gains):+.4f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset_dir", type=Path, nargs="?")
    parser.add_argument("out", type=Path, nargs="?")
    parser.add_argument("--held", type=Path, help="folder to validate on, in place of a split")
    parser.add_argument("--truth", type=Path, help="with --held: folder with the right labels")
    parser.add_argument("--tag", help="name of the run")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE", help="an option of all trainings")
    parser.add_argument("--many", type=Path, metavar="JSON", help="trainings by tag, {TAG: {OPTION: VALUE}}")
    parser.add_argument("--workers", type=int, default=1, help="of --many: trainings at a time")
    parser.add_argument("--device", type=torch.device, default="cpu")
    parser.add_argument("--fork", type=int, default=0, metavar="EPOCH")
    parser.add_argument("--compare", nargs="+", metavar=("OUT", "TAG"))
    args = parser.parse_args()
    if args.compare:
        compare(Path(args.compare[0]), args.compare[1:])
        return
    if args.dataset_dir is None or args.out is None or bool(args.tag) == bool(args.many):
        parser.error("give DATASET_DIR, OUT and either --tag or --many")
    kinds = {f.name: type(f.default) for f in fields(Options)}
    shared = dict(pair.split("=", 1) for pair in args.set)
    runs = {}
    for tag, own in (json.loads(args.many.read_text()) if args.many else {args.tag: {}}).items():
        given = shared | own
        if unknown := set(given) - set(kinds):
            parser.error(f"{tag}: unknown options {sorted(unknown)}; there are {sorted(kinds)}")
        runs[tag] = Options(**{k: kinds[k](v) for k, v in given.items()})
        if runs[tag].precision not in ("bfloat16", "float32"):
            parser.error(f"{tag}: precision must be bfloat16 or float32, got {runs[tag].precision!r}")
        if runs[tag].scout and not runs[tag].first_look:
            parser.error(f"{tag}: what a scout finds counts until the first look, so give first_look, too")
        if runs[tag].scout and args.fork:
            parser.error(f"{tag} leaves cases out from its first epoch on (scout), so it cannot fork at {args.fork}")
        for name in ("first_look", "known"):
            if 0 < (epoch := getattr(runs[tag], name)) < args.fork:
                parser.error(f"{tag} leaves cases out from epoch {epoch} on ({name}), so it cannot fork at {args.fork}")
        if args.fork >= runs[tag].epochs:
            parser.error(f"{tag} ends after epoch {runs[tag].epochs}, so it cannot fork at {args.fork}")
    args.out.mkdir(parents=True, exist_ok=True)
    done = {line["tag"] for line in read_lines(args.out)} if args.many else set()
    runs = {tag: options for tag, options in runs.items() if tag not in done}
    different = {data_file(args, options): options for options in runs.values()}
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(partial(prepared, args), different.values()))
        trainings = {pool.submit(train, args, tag, options): tag for tag, options in runs.items()}
        failed = []
        for training in as_completed(trainings):
            if error := training.exception():
                failed.append(f"{trainings[training]}: {error!r}")
                continue
            with open(args.out / "search.jsonl", "a") as file:
                file.write(json.dumps(training.result()) + "\n")
    if failed:
        sys.exit("\n".join(failed))


def train(args: argparse.Namespace, tag: str, options: Options) -> dict[str, Any]:
    """One training, and its line."""
    torch.set_num_threads(1)
    data = torch.load(prepared(args, options), weights_only=True)
    for case in (*data["train"], *data["validation"]):
        case.update({name: case[name].numpy() for name in ("image", "given", "truth")})
    if options.held:
        data = hold_more(data, options.held)
    start = time.monotonic()
    found = Search(data, options, args.device).run(fork_file(args, options), args.fork)
    machine = torch.cuda.get_device_name(args.device) if args.device.type == "cuda" else processor()
    ends = {"seconds": round(time.monotonic() - start), "machine": machine}
    return {"tag": tag, **asdict(options), **found, **ends}


def read_lines(out: Path) -> list[dict[str, Any]]:
    """The finished trainings' lines."""
    path = out / "search.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


if __name__ == "__main__":
    main()
