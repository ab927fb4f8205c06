"""Make the report of docs/tutorial/reading-a-report.md on the built-in phantom, and take its picture.

python docs/make_report_figure.py FOLDER          (needs selenium, pillow, chromium and chromedriver)

Half of the phantom's patients get label noise, and the truth, blurred, stands for a network's prediction.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from selenium import webdriver

from monai_selfcleanse.cases import read_label
from monai_selfcleanse.cases.store import CaseStore
from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.data import find_cases, write_phantom
from monai_selfcleanse.data.acdc import ACDC_STRUCTURES
from monai_selfcleanse.data.noisy_cohort import corrupt_cohort
from monai_selfcleanse.results import write_report
from monai_selfcleanse.results.record import write_record

PICTURE = Path(__file__).parent / "images" / "report.png"
STRUCTURES = tuple(ACDC_STRUCTURES)


def make_report(folder: Path) -> Path:
    """Write phantom, noisy labels and report below a folder; returns ``report.html``."""
    cases, _ = find_cases(write_phantom(folder / "phantom"))
    cases = corrupt_cohort(cases, folder / "noisy_labels", rate=0.5, preset="mixed", seed=0)
    store = CaseStore(folder / "cases")
    judge, evidence = LabelJudge(ACDC_STRUCTURES), []
    for case in cases:
        given = read_label(case["label"]).index.astype(np.int64)
        truth = read_label(case["truth"])
        one_hot = np.eye(len(STRUCTURES) + 1)[truth.index]
        probabilities = ndimage.gaussian_filter(np.moveaxis(one_hot, -1, 0), (0, 1.5, 1.5, 0))
        store.write_seen(case["case"], given, probabilities, truth.file.affine)
        evidence.append(judge.evidence(given, probabilities, truth.file.spacing()))
    arrays = {name: np.stack([of_case[name] for of_case in evidence]) for name in EVIDENCE}
    judgement = judge.judge([case["case"] for case in cases], arrays)
    source = {"judged by": "the truth, blurred", "data set": "built-in phantom"}
    write_report(folder, judgement, cases, store, source)
    write_record(folder / "judged.npz", judgement, cases, store, source)
    return folder / "report.html"


def take_picture(page: Path, picture: Path) -> None:
    """Screenshot of a page in headless Chromium, in 256 colours."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1200,1510", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(page.resolve().as_uri())
        for button in driver.find_elements("css selector", "button.open")[:3:2]:
            button.click()  # the first suspect's label is missing, the third's has an outline to see
        driver.execute_script("scrollTo(0, 0); document.activeElement.blur()")
        shot = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    finally:
        driver.quit()
    shot.quantize(256, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    take_picture(make_report(parser.parse_args().folder), PICTURE)
