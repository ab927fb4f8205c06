"""``report.html`` in a real browser: headless Chromium, driven by Selenium; skipped where either is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import chromium
from helpers import NAMES, judged_cohort

from monai_selfcleanse.core.evidence import EVIDENCE
from monai_selfcleanse.core.judge import LabelJudge
from monai_selfcleanse.core.judgement import Judgement
from monai_selfcleanse.core.mixture import FilterDecision
from monai_selfcleanse.results import write_report
from monai_selfcleanse.results.page import write_page

pytestmark = pytest.mark.browser

NASTY = ("<script>alert(1)</script>", "</script><img src=x onerror=alert(2)>", 'quo"te&amp;\u2028', "d", "e", "case 10")


class Page:
    """A page open in the browser, and what a user does with it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> Page:
        self.media()
        self.driver.get_log("browser")
        self.driver.get(path.as_uri())
        return self

    def media(self, kind: str = "", **features: str) -> None:
        listed = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": listed})

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        return self.js(f"[...document.querySelectorAll({selector!r})].map(e => e.innerText)")

    @property
    def cases(self) -> list[str]:
        return self.js("[...document.querySelectorAll('tr[data-rank] th button')].map(e => e.textContent)")

    @property
    def status(self) -> str:
        return self.one("#status").text

    def sort(self, key: str) -> str | None:
        self.one(f'th[data-key="{key}"] button').click()
        return self.one(f'th[data-key="{key}"]').get_attribute("aria-sort")

    def choose(self, selector: str, text: str) -> None:
        from selenium.webdriver.support.ui import Select

        Select(self.one(selector)).select_by_visible_text(text)

    def press(self, *keys: str) -> Any:
        """Send keys to what has the focus; returns what has it afterwards."""
        self.driver.switch_to.active_element.send_keys(*keys)
        return self.driver.switch_to.active_element

    def js(self, script: str) -> Any:
        return self.driver.execute_script(f"return {script}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as driver:
        yield Page(driver)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six cases, two of them suspected, one of these pictured."""
    folder = tmp_path_factory.mktemp("report")
    judged = judged_cohort(folder / "data", NASTY)
    write_report(folder, *judged, {"epoch": 7}, n_pictured=1)
    return folder / "report.html"


@pytest.fixture
def page(browser: Page, report: Path) -> Page:
    return browser.open(report)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 cases of one structure, scores ascending with the case's number; the worst 30 are suspected."""
    score = np.concatenate([np.linspace(0.1, 0.2, 90), np.linspace(3.0, 4.0, 30)])
    evidence = {name: np.zeros((120, 1)) for name in EVIDENCE} | {"score": score[:, None]}
    evidence["expected_dice"], evidence["dice"] = np.full((120, 1), 0.9), np.where(score > 1, 0.4, 0.9)[:, None]
    judgement = LabelJudge({1: "liver"}).judge([f"case {i}" for i in range(120)], evidence)
    path = tmp_path_factory.mktemp("large") / "report.html"
    write_page(path, judgement, [], {}, n_pictured=0)
    return path


def test_it_opens_without_errors_and_fetches_nothing(page: Page) -> None:
    assert page.one("h1").text == "Label report"
    assert page.one(".headline").text == "2 labels are suspected to be wrong."
    assert page.one(".figures").text.split("\n")[:3] == ["6 cases", "18 labels judged", "2 labels suspected (11%)"]
    assert page.texts(".panel h3") == list(NAMES.values())
    assert len(page.all("svg.histogram")) == 3
    assert len(page.all("svg.histogram polyline.curve")) == 2  # there is a mixture for one structure
    assert len(page.all("svg.histogram line.threshold")) == 1
    assert page.driver.get_log("browser") == []
    fetched = page.js("performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in fetched if not name.startswith("data:")] == []


def test_names_of_files_are_shown_as_text_and_run_nothing(page: Page) -> None:
    page.one("#suspected").click()
    assert set(page.cases) == set(NASTY)
    page.one("#all").click()
    assert NASTY[0] in page.one("tr[data-rank] button").text
    assert page.js("document.scripts.length") == len(page.all("script"))
    assert not page.all("img[src='x']")
    assert page.driver.get_log("browser") == []  # an alert would have raised in Selenium before


def test_script_that_got_in_anyway_would_not_run(page: Page) -> None:
    page.js("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">')")
    page.js("document.head.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))")
    assert page.js("window.hit") is None
    assert page.driver.get_log("browser")  # the policy says so


def test_columns_sort_both_ways(page: Page) -> None:
    page.one("#suspected").click()
    assert [page.one('th[data-key="rank"]').get_attribute("aria-sort")] == ["ascending"]
    assert page.sort("case") == "ascending"
    up = page.cases
    assert page.sort("case") == "descending"
    assert page.one('th[data-key="rank"]').get_attribute("aria-sort") is None
    assert page.cases[::3] == up[::-3]
    assert page.sort("score") == "ascending"
    scores = [float(text) for text in page.texts("tr[data-rank] td:nth-child(6)")]
    assert scores == sorted(scores)
    page.sort("reason")
    page.sort("reason")
    assert page.texts("tr[data-rank] td:nth-child(4)")[:2] == ["over-drawn", "missing"]  # those without one stay last


def test_filters_narrow_the_list(page: Page) -> None:
    assert page.status == "2 of 18 labels"
    page.one("#suspected").click()
    assert page.status == "18 of 18 labels"
    page.choose("#structure", "myocardium")
    assert page.status == "6 of 18 labels"
    page.one("#text").send_keys("CASE 1")
    assert page.cases == ["case 10"]
    page.one("#text").send_keys("x")
    assert page.one("tbody").text == "No label fits the filter."
    page.one("#text").clear()
    page.choose("#structure", "all")
    page.choose("#reason", "over-drawn")
    assert page.cases == [NASTY[1]]


def test_pictures_show_image_and_outlines_that_can_be_hidden(page: Page) -> None:
    pictures = page.all(".pictures figure")  # the first suspect is open from the start
    assert len(pictures) == 3
    assert page.js("document.querySelector('.frame img').decode().then(() => 1)") == 1
    assert page.js("document.querySelector('.frame img').naturalWidth") > 0
    assert "mm² differ" in pictures[0].text
    shape = page.js("(b => b.width / b.height)(document.querySelector('.frame').getBoundingClientRect())")
    assert shape == pytest.approx(1.0, abs=0.02)
    for layer, selector in (("predicted", "path.predicted"), ("cleansed", "path.cleansed"), ("image", ".frame img")):
        assert page.one(selector).is_displayed()
        page.one(f'input[data-layer="{layer}"]').click()
        assert not page.one(selector).is_displayed()
    assert page.one("path.given").get_attribute("d") == ""  # missing


def test_suspects_beyond_the_limit_say_that_they_have_no_pictures(page: Page) -> None:
    assert "The most suspect label comes with pictures." in page.one("main").text
    page.all("tr[data-rank] button")[1].click()
    second = page.all("tr.detail")[1]
    assert not second.find_elements("css selector", "figure")
    assert "slices that differ most" in second.text
    assert "Pictures are kept for the most suspect labels alone." in second.text


def test_everything_works_from_the_keyboard(page: Page) -> None:
    from selenium.webdriver.common.keys import Keys

    names = []
    page.one("body").send_keys(Keys.TAB)
    for _ in range(40):
        focus = page.driver.switch_to.active_element
        names.append(focus.get_attribute("id") or focus.text or focus.get_attribute("class") or focus.tag_name)
        assert page.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
        if focus.get_attribute("class") == "open":
            break
        page.press(Keys.TAB)
    for name in ("text", "structure", "reason", "suspected", "all", "case", "score"):
        assert name in names
    assert page.press(Keys.ARROW_DOWN).text == NASTY[1]
    second = page.press(Keys.ENTER)
    assert second.get_attribute("aria-expanded") == "true"
    assert page.one(f"#{second.get_attribute('aria-controls')}").is_displayed()
    assert page.press(Keys.SPACE).get_attribute("aria-expanded") == "false"
    assert page.press(Keys.HOME).text == NASTY[0]
    page.driver.execute_script("document.querySelector('th[data-key=dice] button').focus()")
    assert page.press(Keys.ENTER).text.startswith("Dice")  # keeps the focus
    assert page.one('th[data-key="dice"]').get_attribute("aria-sort") == "ascending"


def test_long_lists_come_in_pages(browser: Page, large: Path) -> None:
    page = browser.open(large)
    page.one("#suspected").click()
    assert page.status == "120 of 120 labels, 1 to 50 on page 1 of 3"
    page.one("#next").click()
    page.one("#next").click()
    page.one("#next").click()
    assert page.status == "120 of 120 labels, 101 to 120 on page 3 of 3"
    assert page.one("#next").get_attribute("aria-disabled") == "true"
    assert page.cases[-1] == "case 0"
    page.sort("case")
    assert page.cases[:11] == [f"case {i}" for i in range(11)]  # as a person counts, on the first page
    assert page.driver.get_log("browser") == []


def test_clean_labels_are_called_clean(browser: Page, tmp_path: Path) -> None:
    evidence = {name: np.full((20, 1), 0.3) for name in EVIDENCE}
    evidence["score"][0] = np.nan  # a structure that neither label nor prediction has
    decision = FilterDecision(np.ones(20), np.zeros(20, bool), "clean", None, 0.0, 0.1)
    cases, names = tuple(f"c{i}" for i in range(20)), ("<b>x</b>",)
    nobody = np.zeros((20, 1), bool)
    judgement = Judgement(cases, (1,), names, evidence, np.ones((20, 1)), nobody, (decision,), False, 0.1)
    write_page(tmp_path / "r.html", judgement, [], {"data": "<i>"}, 200)
    page = browser.open(tmp_path / "r.html")
    assert page.one("h1").text == page.driver.title == "Label report"
    assert page.one(".headline").text == "The labels look clean."
    assert page.texts(".panel h3") == ["<b>x</b>"]
    assert "No label is suspected" in page.one("main").text
    assert page.status == "20 of 20 labels"
    assert "1 in neither label nor prediction, not judged" in page.one(".figures").text
    assert page.driver.get_log("browser") == []


def contrast(page: Page, selector: str) -> float:
    """WCAG contrast of an element's text against the nearest background behind it."""
    colours = page.js(
        "(e => [getComputedStyle(e).color, (function up(n) { const c = getComputedStyle(n).backgroundColor;"
        f" return c === 'rgba(0, 0, 0, 0)' ? up(n.parentElement) : c; }})(e)])(document.querySelector('{selector}'))"
    )
    light = []
    for colour in colours:
        channels = [int(c) / 255 for c in colour[colour.index("(") + 1 :].rstrip(")").split(",")[:3]]
        linear = [c / 12.92 if c <= 0.03928 else math.pow((c + 0.055) / 1.055, 2.4) for c in channels]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(page: Page, scheme: str) -> None:
    page.media(prefers_color_scheme=scheme)
    background = page.js("getComputedStyle(document.body).backgroundColor")
    assert (int(background[4:].split(",")[0]) < 60) == (scheme == "dark")
    for selector in (".headline", ".panel p", ".legend", "button.open", ".pill", "td.number", ".reason", "figcaption"):
        assert contrast(page, selector) >= 4.5, selector


def test_print_has_the_list_and_no_controls(page: Page) -> None:
    page.media("print", prefers_color_scheme="dark")
    for selector in (".headline", "svg.histogram", ".pictures figure", "tr[data-rank]"):
        assert page.one(selector).is_displayed(), selector
    for selector in ("#text", "#structure", "#next", "#all"):
        assert not page.one(selector).is_displayed(), selector
    assert page.js("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
