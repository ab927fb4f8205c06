"""Take the picture of the review page in docs/how-to/review.md, on the built-in phantom.

python docs/make_review_figure.py FOLDER          (needs the extras docs and review, chromium and chromedriver)
"""

from __future__ import annotations

import argparse
import logging
import shutil
import subprocess
import sys
import time
from io import BytesIO
from pathlib import Path

from make_report_figure import make_report
from PIL import Image
from selenium import webdriver

PICTURE = Path(__file__).parent / "images" / "review.png"
ARGUMENTS = ("--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def take_picture(address: str, picture: Path) -> None:
    """Screenshot of the page with two decisions, in 256 colours."""
    options = webdriver.ChromeOptions()
    for argument in (*ARGUMENTS, "--window-size=1440,960", "--hide-scrollbars"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.get(address)
        for key in ("2", "1", "j"):
            _wait(driver)
            driver.switch_to.active_element.send_keys(key)
            time.sleep(1)
        _wait(driver)
        time.sleep(1)
        shot = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    finally:
        driver.quit()
    shot.quantize(256, Image.Quantize.MAXCOVERAGE).save(picture, optimize=True)


def _wait(driver: webdriver.Chrome) -> None:
    while not driver.execute_script("return document.body.dataset.loaded && document.getElementById('loading').hidden"):
        time.sleep(0.2)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = make_report(parser.parse_args().folder).parent
    command = "from monai_selfcleanse.cli.command import main; main()"
    options = ("review", str(folder), "--no-browser", "--who", "anna")
    server = subprocess.Popen([sys.executable, "-c", command, *options], stdout=subprocess.PIPE, text=True)
    try:
        take_picture(server.stdout.readline().removeprefix("review at ").strip(), PICTURE)
    finally:
        server.terminate()
        server.wait()
