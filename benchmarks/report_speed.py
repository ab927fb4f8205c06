"""How quick report.html is with thousands of cases: size, writing, opening, sorting, in headless Chromium.

python benchmarks/report_speed.py [--cases 5000]          (needs selenium, chromium and chromedriver)

Rows and pictures are made up: three structures a case, 8 % of the labels suspected, pictures of noise, which packs
worst.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from selenium import webdriver

from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.results.page import write_page
from monai_selfcleanse.results.page.pictures import Picture, encode_png, outline_path
from monai_selfcleanse.results.suspects import Suspect

NAMES = {1: "right ventricle", 2: "myocardium", 3: "left ventricle"}
PICTURED = 200


def suspects(judgement: Judgement, rng: np.random.Generator) -> Iterator[Suspect]:
    """What there is to see of each suspect; the most suspect ones have pictures."""
    y, x = np.mgrid[:128, :128] - 64
    path = outline_path(np.hypot(x, y * 1.2) < 30)
    slices = [{"slice": i, "disagreement_mm2": 100.0 - i, "dice": 0.4, "debatable": 0} for i in range(8)]
    for i, row in enumerate(judgement.suspects()):
        pictures = []
        for z in range(3 if i < PICTURED else 0):
            png = encode_png(rng.normal(128, 30, (128, 128)).clip(0, 255).astype(np.uint8))
            pictures.append(Picture(z, 128, 128, 1.0, ("R", "A"), png, path, path, path))
        yield Suspect(row["case"], row["structure"], f"{row['case']}_gt.nii.gz", slices, pictures)


def made_up(n_cases: int, rng: np.random.Generator) -> Judgement:
    """A judgement on cases that do not exist."""
    noisy = rng.random((n_cases, len(NAMES))) < 0.08
    score = np.exp(rng.normal(np.where(noisy, 1.1, -0.2), 0.35))
    evidence = {name: rng.random((n_cases, len(NAMES))) for name in EVIDENCE} | {"score": score}
    evidence["dice"] = evidence["expected_dice"] - noisy * 0.5
    return LabelJudge(NAMES).judge([f"patient{i:05d}_frame01" for i in range(n_cases)], evidence)


def write(path: Path, n_cases: int) -> None:
    rng = np.random.default_rng(0)
    judgement = made_up(n_cases, rng)
    start = time.perf_counter()
    write_page(path, judgement, suspects(judgement, rng), {}, PICTURED)
    took = time.perf_counter() - start
    n_labels, n_suspects = judgement.suspected.size, np.count_nonzero(judgement.suspected)
    print(
        f"{n_labels} labels, {n_suspects} suspected, {PICTURED} pictured: {path.stat().st_size / 1e6:.1f} MB,", end=" "
    )
    print(f"written in {took:.1f} s")


def measure(path: Path) -> None:
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    steps = {
        "show all": "document.getElementById('suspected').click()",
        "sort by case": "document.querySelector('th[data-key=case] button').click()",
        "sort by score": "document.querySelector('th[data-key=score] button').click()",
        "find '0421'": "const box = document.getElementById('text'); box.value = '0421';"
        "box.dispatchEvent(new Event('input'))",
    }
    try:
        driver.get(path.as_uri())
        load = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
        print(f"open: {load:.0f} ms")
        for name, step in steps.items():
            # Until the next picture is on the screen.
            taken = driver.execute_async_script(
                f"const done = arguments[0], t = performance.now(); {step};"
                "requestAnimationFrame(() => setTimeout(() => done(performance.now() - t)))"
            )
            print(f"{name}: {taken:.0f} ms, {driver.find_element('id', 'status').text}")
    finally:
        driver.quit()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=5000)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write(page, parser.parse_args().cases)
        measure(page)
