"""Headless Chromium, driven by Selenium, for the tests of pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Arguments with which Chromium draws in 3-D without a GPU."""

NO_WEBGL = ("--disable-gpu", "--disable-3d-apis")


@contextmanager
def chromium(*arguments: str, size: tuple[int, int] = (1300, 1000)) -> Iterator[Any]:
    """A driver; the test is skipped where browser, driver or Selenium are missing."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser's tests need selenium")
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    chromedriver = shutil.which("chromedriver")
    if browser is None or chromedriver is None:
        pytest.skip("the browser's tests need chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--window-size={size[0]},{size[1]}"):
        options.add_argument(argument)
    for argument in arguments:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield driver
    finally:
        driver.quit()
