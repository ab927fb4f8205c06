"""Damaged label files: none is taken for another label, none ends the program, none takes all memory."""

from __future__ import annotations

import gzip
import logging
import random
import resource
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from common import Row, in_fork, tiny_label, write

from monai_selfcleanse.data import check_case

_SLOW = 20
"""Seconds after which the check of one small file counts as hanging."""


def campaign(work: Path, times: int, seed: int) -> list[Row]:
    """Every bit of one packed file; and 50 ``times`` mutated files, packed and not."""
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)
    label = tiny_label(1)
    image = write(work / "image.nii.gz", label * 60.0 + np.random.default_rng(0).normal(0, 6, label.shape))
    packed = write(work / "label.nii.gz", label).read_bytes()
    return [_bits(work, image, packed, label), _mutations(work, image, gzip.decompress(packed), 50 * times, seed)]


def _bits(work: Path, image: Path, packed: bytes, label: np.ndarray) -> Row:
    row, path = Row("every bit of a packed label turned"), work / "bit.nii.gz"
    refused = 0
    for bit in range(8 * len(packed)):
        damaged = bytearray(packed)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        if check_case(str(image), str(path), [1, 2, 3], 3):
            refused += 1
            row.see(True, "")
        else:
            row.see(np.array_equal(np.asanyarray(nib.load(path).dataobj), label), f"bit {bit}: taken as another label")
    row.note = f"{refused} refused, the others hold the same label"
    return row


def _mutations(work: Path, image: Path, whole: bytes, n: int, seed: int) -> Row:
    """Files with a few bytes changed, cut, or longer; of those that are taken, the header claims what is read."""
    row, rng = Row("mutated NIfTI labels"), random.Random(seed)
    at_once = 25
    for _ in range(n // at_once):
        files = [_mutated(work / f"mutated{i}", whole, rng) for i in range(at_once)]

        def look() -> None:
            resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
            for path in files:  # noqa: B023
                start = time.monotonic()
                check_case(str(image), str(path), [1, 2, 3], 3)
                if time.monotonic() - start > _SLOW:
                    raise SystemExit(3)

        code = in_fork(look, at_once * _SLOW)
        for _ in files:
            row.see(code == 0, f"one of {at_once} files with seed {seed}: exit code {code}")
    return row


def _mutated(stem: Path, whole: bytes, rng: random.Random) -> Path:
    damaged = bytearray(whole)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        kind, place = rng.randrange(5), rng.randrange(352) if rng.random() < 0.7 else rng.randrange(len(damaged))
        place = min(place, len(damaged) - 1)
        if kind == 0:
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[place : place + 4] = rng.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\xc0\x7f"))
        elif kind == 2:
            damaged[place : place + 2] = rng.randbytes(2)
        elif kind == 3 and len(damaged) > 400:
            del damaged[rng.randrange(348, len(damaged)) :]
        else:
            damaged[place:place] = rng.randbytes(rng.choice((1, 4, 400)))
    packed = rng.random() < 0.5
    path = stem.with_suffix(".nii.gz" if packed else ".nii")
    path.write_bytes(gzip.compress(bytes(damaged)) if packed else bytes(damaged))
    return path
