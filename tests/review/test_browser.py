"""The review page in a real browser: headless Chromium, WebGL by SwiftShader; skipped where there is none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from browsers import NO_WEBGL, WEBGL, chromium
from helpers import judged_cohort, read_nifti, write_nifti
from review_cases import GRIDS, TOKEN, folder_of, gridded_cohort, number_of

from monai_selfcleanse.results.decisions import Decision, add_decisions
from monai_selfcleanse.results.record import read_record
from monai_selfcleanse.results.tables import read_rows
from monai_selfcleanse.review import Review

uvicorn = pytest.importorskip("uvicorn")
pytestmark = [pytest.mark.browser, pytest.mark.slow]

NASTY = ("<script>alert(1)</script>", '"><img src=x onerror=alert(2)>', "c", "d", "e", "f")


class Served:
    """A review that is served, by a thread of the test."""

    def __init__(self, review: Review) -> None:
        from monai_selfcleanse.review.app import make_app
        from monai_selfcleanse.review.server import listen

        self.review, self.listener = review, listen(0)
        port = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}/?token={TOKEN}"
        config = uvicorn.Config(make_app(review, port, TOKEN), log_config=None, log_level="error", lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Served:
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.server.should_exit = self.server.force_exit = True
        self.thread.join(20)
        self.listener.close()

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Case, structure and decision of each row of the decisions."""
        path = self.review.run.folder.decisions
        return [(r["case"], r["structure"], r["decision"]) for r in read_rows(path)] if path.exists() else []


class Page:
    """The page in the browser, and what a user does with it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, served: Served) -> Page:
        self.driver.get("about:blank")
        self.driver.get_log("browser")
        self.driver.get(served.address)
        self.loaded()
        return self

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {script}", *arguments)

    def until(self, condition: Callable[[], Any], what: str = "") -> Any:
        end = time.monotonic() + 90  # software draws, on a machine that may be busy
        while not (found := condition()):
            assert time.monotonic() < end, f"{what}: {self.text('#status')!r}, {self.text('#error')!r}"
            time.sleep(0.05)
        return found

    def loaded(self, label: int | None = None) -> None:
        """Wait until the case of the current label is shown."""
        there = "document.body.dataset.loaded !== undefined && document.getElementById('loading').hidden"
        self.until(lambda: self.js(there), "loading")
        if label is not None:
            self.until(lambda: self.js("document.body.dataset.loaded") == str(label), f"label {label}")

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements("css selector", selector)

    def text(self, selector: str) -> str:
        return self.js("document.querySelector(arguments[0]).textContent", selector)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.driver.switch_to.active_element.send_keys(key)

    def says(self, selector: str, words: str) -> None:
        self.until(lambda: words in self.text(selector), f"{selector} should say {words!r}")

    def go(self, label: int) -> None:
        """Choose a label by a click."""
        self.one(f'button[data-label="{label}"]').click()
        self.loaded(label)

    def pixels(self) -> np.ndarray:
        """What the canvas shows, ``(rows, columns, 4)``, from below."""
        width, height, values = self.js(
            """(() => {
              const nv = reviewViewer.nv, gl = nv.gl;
              nv.drawScene();
              const [w, h] = [gl.drawingBufferWidth, gl.drawingBufferHeight];
              const out = new Uint8Array(w * h * 4);
              gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, out);
              let text = ''; for (let i = 0; i < out.length; i += 8192)
                text += String.fromCharCode(...out.subarray(i, i + 8192));
              return [w, h, btoa(text)];
            })()"""
        )
        import base64

        return np.frombuffer(base64.b64decode(values), np.uint8).reshape(height, width, 4)

    def shows(self, colour: tuple[bool, bool, bool]) -> bool:
        """Whether some voxels are coloured: of red, green and blue, those marked stand out over the others."""
        rgb = self.pixels()[..., :3].astype(int)
        high, low = rgb[..., np.array(colour)].min(-1), rgb[..., ~np.array(colour)].max(-1)
        return bool(((high - low) > 40).sum() > 50)

    def choose(self, selector: str, value: str) -> None:
        """Choose an entry of a list."""
        from selenium.webdriver.support.ui import Select

        Select(self.one(selector)).select_by_value(value)

    def tick(self, selector: str) -> None:
        """Tick a box that may be ticked already."""
        if not self.one(selector).is_selected():
            self.one(selector).click()

    @property
    def names(self) -> dict[str, str]:
        """Roles and names of the accessibility tree."""
        self.driver.execute_cdp_cmd("Accessibility.enable", {})
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        shown = [node for node in nodes if not node.get("ignored")]
        return {f"{n['role']['value']}: {n.get('name', {}).get('value', '')}": n["nodeId"] for n in shown}


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium(*WEBGL, size=(1300, 1000)) as driver:
        yield Page(driver)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("review")
    return folder_of(judged_cohort(root / "data"), root / "OUT")


@pytest.fixture
def served(source: Path) -> Iterator[Served]:
    import shutil

    (source / "decisions.csv").unlink(missing_ok=True)
    shutil.rmtree(source / "edited_labels", ignore_errors=True)
    with Served(Review(read_record(source), "anna")) as served:
        yield served


@pytest.fixture
def page(browser: Page, served: Served) -> Page:
    return browser.open(served)


def test_the_page_opens_without_errors_and_asks_this_server_alone(page: Page, served: Served) -> None:
    assert page.driver.get_log("browser") == []
    assert page.js("location.search") == ""  # the token is in no history
    fetched = page.js("performance.getEntriesByType('resource').map(e => e.name)")
    assert fetched
    own = served.address.partition("?")[0]
    assert [name for name in fetched if not name.startswith((own, "data:", "blob:"))] == []
    assert page.text("#progress") == "0 of 2 suspects decided, 2 left"
    assert page.text("#title") == "a · right ventricle"
    assert page.text("#reason").startswith("The label has no right ventricle")
    page.driver.refresh()  # by the cookie
    page.loaded()
    page.driver.delete_all_cookies()  # as other programs of this machine may
    page.go(1)
    assert page.text("#hint") == ""


def test_the_case_is_shown_with_its_overlays(page: Page) -> None:
    page.go(1)
    assert page.pixels()[..., :3].max() > 100
    for name, colour in (
        ("given", (True, True, False)),
        ("predicted", (False, True, True)),
        ("redrawn", (False, True, True)),
    ):
        for layer in ("given", "predicted", "redrawn"):
            if page.js("document.querySelector(arguments[0]).checked", f'[data-layer="{layer}"]') != (layer == name):
                page.press(layer[0])
        assert page.shows(colour), name
    page.press("r")  # all off
    grey = page.pixels()[..., :3].astype(int)
    assert np.ptp(grey, axis=-1).max() < 30
    page.press("g")
    strong = np.ptp(page.pixels()[..., :3].astype(int), axis=-1).sum()
    slider = page.one('[data-fade="given"]')
    page.js("(arguments[0].value = 10, arguments[0].dispatchEvent(new Event('input')))", slider)
    assert np.ptp(page.pixels()[..., :3].astype(int), axis=-1).sum() < 0.5 * strong


def test_slices_are_scrolled_and_jumped_to(page: Page) -> None:
    page.go(1)
    chips = page.all("#slices button")
    assert len(chips) == 3
    assert page.text("#where") == f"slice {chips[0].text.split()[0]} of 0 to 3"
    before = page.pixels()
    page.one("#canvas").click()
    page.press("\ue013")  # arrow up
    page.until(lambda: "slice 1 of" in page.text("#where"))
    assert (page.pixels() != before).any()
    chips[2].click()
    page.says("#where", f"slice {chips[2].text.split()[0]} of")
    page.press("d")
    page.says("#where", f"slice {chips[0].text.split()[0]} of")
    for key, plane in (("c", "coronal"), ("s", "sagittal"), ("m", "all"), ("a", "axial")):
        page.press(key)
        assert page.js("document.querySelector('[name=view]:checked').value") == plane
    page.one("#low").clear()
    page.one("#low").send_keys("150", "\ue007")
    assert page.js("reviewViewer.nv.volumes[0].cal_min") == 150
    page.one("#auto").click()
    assert page.js("reviewViewer.nv.volumes[0].cal_min") != 150


def test_labels_are_decided_by_key(page: Page, served: Served) -> None:
    page.press("2")
    page.says("#progress", "1 of 2 suspects decided, 1 left")
    assert served.rows == [("a", "right ventricle", "redraw")]
    page.says("#title", "b ·")  # goes on to the next
    page.one("#note").send_keys("1 2 j u too wide", "\ue007")
    page.press("1")
    page.says("#progress", "2 of 2 suspects decided, 0 left")
    assert served.rows[1:] == [("b", "right ventricle", "keep")]
    assert read_rows(served.review.run.folder.decisions)[1]["note"] == "1 2 j u too wide"
    page.press("u")
    page.says("#progress", "1 of 2 suspects")
    page.press("k")
    page.says("#title", "a ·")
    page.press("3")
    page.says("#decided", "Undecided") if "b" in page.text("#title") else None
    page.until(lambda: len(served.rows) == 4)
    assert served.rows[2:] == [("b", "right ventricle", "undecided"), ("a", "right ventricle", "leave-out")]
    page.driver.refresh()
    page.loaded()
    page.says("#progress", "1 of 2 suspects")
    page.one("#undecided").click()
    assert [row.text.split("\n")[1] for row in page.all("#rows button")] == ["b"]
    page.press("0")
    assert page.driver.get_log("browser") == []


def test_a_case_that_is_left_out_is_decided_as_a_whole(page: Page, served: Served) -> None:
    page.tick("#all")
    assert len(page.all("#rows button")) == 18
    page.press("3")
    page.says("#progress", "1 of 2")
    rows = page.js("[...document.querySelectorAll('#rows button')].map(e => e.innerText.split('\\n'))")
    others = [row for row in rows if row[1] == "a"]
    assert len(others) == 3
    assert all("left out" in row for row in others)


def test_keys_do_nothing_while_somebody_types_or_a_dialog_is_open(page: Page, served: Served) -> None:
    page.press("/")
    page.press("1", "2", "b", "u")
    assert page.one("#text").get_attribute("value") == "12bu"
    page.one("#text").clear()
    page.one("#text").send_keys("B")
    page.until(lambda: len(page.all("#rows button")) == 1)
    page.press("\ue00c")  # Escape
    page.press("?")
    assert page.one("#help").is_displayed()
    page.press("1")
    page.press("\ue00c")
    assert not page.one("#help").is_displayed()
    assert served.rows == []


def test_others_decisions_come_up_and_are_not_overruled_unseen(page: Page, served: Served) -> None:
    add_decisions(served.review.run.folder.decisions, [Decision.now("a", "right ventricle", "keep", "ben <b>")])
    page.press("2")
    page.says("#error", "ben <b> has decided 'keep' meanwhile")
    page.says("#decided", "Decided: keep (by ben <b>")
    add_decisions(served.review.run.folder.decisions, [Decision.now("b", "right ventricle", "leave-out", "ben")])
    page.says("#progress", "2 of 2 suspects")  # by itself
    page.press("2")
    page.until(lambda: len(served.rows) == 3 and not page.text("#error"))
    assert not page.all("#decided b")


def test_a_failure_to_write_is_shown_and_decides_nothing(
    page: Page, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("monai_selfcleanse.results.decisions.write_rows", full)
        page.press("1")
        page.says("#error", "No space left on device")
    assert page.text("#progress").startswith("0 of 2")
    assert page.text("#title").startswith("a ·")
    page.press("1")
    page.says("#progress", "1 of 2")
    assert page.text("#error") == ""


def test_names_are_shown_as_text_and_run_nothing(browser: Page, tmp_path: Path) -> None:
    folder = folder_of(judged_cohort(tmp_path / "data", NASTY), tmp_path / "OUT")
    with Served(Review(read_record(folder), "<i>eve</i>")) as served:
        page = browser.open(served)
        assert page.text("#title").startswith(NASTY[0])
        page.one("#note").send_keys("<b>bold</b>", "\ue007")
        page.press("1")
        page.says("#title", NASTY[1])
        page.press("k")
        page.says("#decided", "(by <i>eve</i>")
        assert page.text("#who") == "<i>eve</i>"
        assert not page.all("img[src='x'], i:not(.chip i), main b")
        assert page.js("document.scripts.length") == 3
        assert page.driver.get_log("browser") == []


def stroke(page: Page) -> None:
    """Draw a stroke with the mouse, around the middle of the canvas."""
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(page.driver).move_to_element_with_offset(page.one("#canvas"), -40, -40).click_and_hold()
    for _ in range(4):
        chain.move_by_offset(15, 15)
    chain.release().perform()


def round_stroke(page: Page) -> None:
    """Draw around a square of some voxels."""
    from selenium.webdriver.common.action_chains import ActionChains

    chain = ActionChains(page.driver).move_to_element_with_offset(page.one("#canvas"), -60, -60).click_and_hold()
    for x, y in ((40, 0), (80, 0), (0, 80), (0, 40), (-80, 0), (-40, 0), (0, -80)):
        chain.move_by_offset(x, y)
    chain.release().perform()


def test_a_stroke_is_drawn_saved_and_found_again(page: Page, served: Served) -> None:
    given = read_nifti(served.review.run.by_case["a"]["label"])
    page.press("e")
    page.says("#status", "Drawing right ventricle, from the redrawn label")
    redrawn = np.array(page.js("[...reviewViewer.drawn()]"), np.uint8)
    page.press("3")  # a structure here, no decision
    stroke(page)
    drawn = np.array(page.js("[...reviewViewer.drawn()]"), np.uint8)
    assert (drawn != redrawn).any()
    assert (drawn[drawn != redrawn] == 3).all()
    page.press("z")
    np.testing.assert_array_equal(np.array(page.js("[...reviewViewer.drawn()]"), np.uint8), redrawn)
    stroke(page)
    page.press("j")
    assert "not saved" in page.text("#ask-text")
    page.js("[...document.querySelectorAll('#ask button')].at(-1).click()")  # go on drawing
    page.press("s")
    page.says("#status", "Saved; edited: right ventricle")
    (path,) = served.review.run.folder.edited_labels.rglob("*.nii.gz")
    saved = read_nifti(path)
    np.testing.assert_array_equal(saved.ravel(order="F"), np.array(page.js("[...reviewViewer.drawn()]"), np.uint8))
    assert (read_nifti(served.review.run.by_case["a"]["label"]) == given).all()
    assert {("a", "right ventricle", "edit"), ("a", "left ventricle", "edit")} <= set(served.rows)
    page.press("\ue00c")  # Escape
    assert not page.one("#pen").is_displayed()
    page.driver.refresh()
    page.loaded()
    page.one('button[data-label="0"]').click()
    page.loaded(0)
    page.says("#decided", "Decided: edited")
    page.press("e")
    page.says("#status", "from the edited label")
    np.testing.assert_array_equal(np.array(page.js("[...reviewViewer.drawn()]"), np.uint8), saved.ravel(order="F"))
    page.press("\ue00c")
    assert page.driver.get_log("browser") == []


def test_pen_fill_and_eraser(page: Page) -> None:
    page.press("e")
    page.says("#status", "Drawing")
    count = "reviewViewer.drawn().filter((value) => value === arguments[0]).length"
    before = page.js(count, 0)
    page.press("x")
    stroke(page)
    erased = page.js(count, 0)
    assert erased > before
    page.press("p", "3")
    stroke(page)
    assert page.js(count, 0) < erased
    page.press("f", "1")
    round_stroke(page)
    assert page.js(count, 1) > 12  # what is within the line, too
    page.press("\ue00c")
    page.js("document.querySelector('#ask button[value=Discard]').click()")
    page.until(lambda: not page.one("#pen").is_displayed())


HOLD = """(() => {
  const own = globalThis.fetch;
  let go;
  globalThis.letGo = () => { globalThis.fetch = own; go(); };
  const held = new Promise((done) => (go = done));
  globalThis.fetch = async (path, options) => {
    if (String(path).includes('/drawing')) await held;
    return own(path, options);
  };
})()"""
"""What is asked about drawings waits until ``letGo()``."""


def test_a_drawing_that_comes_late_is_of_no_other_label(page: Page) -> None:
    page.js(HOLD)
    page.press("e")
    page.go(1)
    asked = "performance.getEntriesByType('resource').filter(e => e.name.includes('/drawing')).length"
    before = page.js(asked)
    page.js("letGo()")
    page.until(lambda: page.js(asked) > before)
    page.press("e")
    page.says("#status", "Drawing right ventricle")
    assert page.js(asked) == before + 2  # the second is label 1's
    page.press("\ue00c")
    page.until(lambda: not page.one("#pen").is_displayed())


def test_what_is_drawn_while_it_is_saved_is_not_lost(page: Page, served: Served) -> None:
    page.go(1)
    page.press("1")
    page.says("#progress", "1 of 2")
    page.go(0)
    page.press("e")
    page.says("#status", "Drawing")
    page.press("3")
    stroke(page)
    first = page.js("[...reviewViewer.drawn()]")
    page.js(HOLD)
    page.press("s", "f", "2")
    round_stroke(page)
    both = page.js("[...reviewViewer.drawn()]")
    assert first != both
    page.js("letGo()")
    page.says("#status", "Saved; edited")
    (path,) = served.review.run.folder.edited_labels.rglob("*.nii.gz")
    assert read_nifti(path).ravel(order="F").tolist() == first
    page.choose("#start", "given")  # asks, for the second stroke is not saved
    assert "not saved" in page.text("#ask-text")
    page.js("[...document.querySelectorAll('#ask button')].at(-1).click()")  # go on drawing
    page.until(lambda: page.js("document.querySelector('#start').value") == "edited", "the start in force")
    assert page.js("[...reviewViewer.drawn()]") == both
    page.js(HOLD)
    page.one("#save").click()
    page.press("\ue00c")  # closes when it is saved
    page.js("letGo()")
    page.until(lambda: not page.one("#pen").is_displayed())
    assert read_nifti(path).ravel(order="F").tolist() == both
    rows = served.rows
    page.press("u")  # what was decided before the drawing, about another label, stays
    page.says("#status", "nothing to undo")
    assert served.rows == rows
    assert page.driver.get_log("browser") == []


def test_an_undo_that_fails_can_be_tried_again(page: Page, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    page.press("1")
    page.says("#progress", "1 of 2")
    with monkeypatch.context() as patch:
        patch.setattr("monai_selfcleanse.results.decisions.write_rows", full)
        page.press("u")
        page.says("#error", "No space left on device")
    page.press("u")
    page.says("#progress", "0 of 2")
    assert [decision for *_, decision in served.rows] == ["keep", "undecided"]


def test_another_channel_leaves_the_drawing(browser: Page, tmp_path: Path) -> None:
    judged = judged_cohort(tmp_path / "data")
    path = Path(judged.data[0]["image"])
    write_nifti(path, np.stack([read_nifti(path), 255 - read_nifti(path)], -1))
    with Served(Review(read_record(folder_of(judged, tmp_path / "OUT")), "anna")) as served:
        page = browser.open(served)
        page.press("e")
        page.says("#status", "Drawing")
        page.press("3")
        stroke(page)
        drawn, image = page.js("[...reviewViewer.drawn()]"), page.js("[...reviewViewer.back.img]")
        page.choose("#channel", "1")
        page.until(lambda: page.js("[...reviewViewer.back.img]") != image)
        page.loaded(0)
        assert page.js("[...reviewViewer.drawn()]") == drawn
        assert page.one("#pen").is_displayed()
        stroke_count = "reviewViewer.drawn().filter((value) => value === 3).length"
        before = page.js(stroke_count)
        page.one("#stroke").click()
        assert page.js(stroke_count) < before
        page.press("f", "3")
        round_stroke(page)
        page.press("s")
        page.says("#status", "Saved; edited")
        (path,) = served.review.run.folder.edited_labels.rglob("*.nii.gz")
        assert read_nifti(path).ravel(order="F").tolist() == page.js("[...reviewViewer.drawn()]")
        page.press("\ue00c")
        assert page.driver.get_log("browser") == []


@pytest.fixture(scope="module")
def gridded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("grids")
    folder = folder_of(gridded_cohort(root), root / "OUT")
    with Served(Review(read_record(folder), "anna")) as served:
        yield served


@pytest.mark.parametrize("case", GRIDS)
def test_a_drawn_voxel_lies_in_the_file_where_it_was_seen(case: str, browser: Page, gridded: Served) -> None:
    """NiiVue's own voxels and positions against nibabel's: three voxels of the screen, by their places in the world."""
    page = browser.open(gridded)
    label = number_of(gridded.review, case)
    item = gridded.review.run.by_case[case]
    page.tick("#all")
    page.go(label)
    page.press("e")
    page.says("#status", "Drawing")
    page.choose("#start", "given")
    page.says("#status", "from the given label")
    given = nib.load(item["label"])
    before = np.asanyarray(given.dataobj).copy()
    dims = page.js("reviewViewer.back.dimsRAS.slice(1)")
    points = [[1, 2, 0], [dims[0] - 1, 0, dims[2] - 1], [dims[0] // 2, dims[1] - 2, dims[2] // 2]]
    world = page.js(
        """arguments[0].map(([x, y, z]) => {
             const nv = reviewViewer.nv, size = nv.opts.penSize;
             nv.opts.penSize = 1;
             nv.drawPt(x, y, z, 3);
             nv.opts.penSize = size;
             return [...nv.vox2mm([x, y, z], reviewViewer.back.matRAS)];
           })""",
        points,
    )
    page.press("s")
    page.says("#status", "Saved")
    saved = nib.load(gridded.review.run.folder.edited_labels / item["file"])
    after = np.asanyarray(saved.dataobj)
    inverse = np.linalg.inv(given.affine)
    expected = before.copy()
    for x, y, z, *_ in world:
        at = np.rint(nib.affines.apply_affine(inverse, [x, y, z])).astype(int)
        expected[tuple(at[: before.ndim])] = 3
    assert (expected != before).any()
    np.testing.assert_array_equal(after, expected)
    np.testing.assert_array_equal(np.asanyarray(nib.load(item["label"]).dataobj), before)
    page.press("\ue00c")
    overlay = page.js(
        """arguments[0].map((mm) => {
             const volume = reviewViewer.nv.volumes[1];
             const at = [...volume.convertMM2Frac(mm, true)].map((f, i) => Math.round(f * volume.dimsRAS[i + 1] - 0.5));
             return at.every((k, i) => k >= 0 && k < volume.dimsRAS[i + 1]) ? volume.getValue(...at) : 0;
           })""",
        [w[:3] for w in world],
    )
    for value, (x, y, z, *_) in zip(overlay, world, strict=True):
        at = np.rint(nib.affines.apply_affine(inverse, [x, y, z])).astype(int)
        assert (value & 1) == (before[tuple(at[: before.ndim])] == 1)


def test_without_webgl_pictures_stand_in_and_deciding_works(served: Served) -> None:
    with chromium(*NO_WEBGL) as driver:
        page = Page(driver).open(served)
        assert not page.one("#canvas").is_displayed()
        page.until(lambda: page.all("#pictures figure"))
        assert page.all("#pictures path.predicted")
        assert page.js("[...document.querySelectorAll('#pictures img')].every(i => i.naturalWidth > 0)")
        page.press("e")
        page.says("#status", "cannot draw")
        page.press("2")
        page.says("#progress", "1 of 2")
        assert served.rows == [("a", "right ventricle", "redraw")]
        assert [line for line in driver.get_log("browser") if "WebGL" not in line["message"]] == []


def test_everything_has_a_name_and_the_focus_goes_through_it(page: Page) -> None:
    names = page.names
    unnamed = [name for name in names if name.split(": ")[0] in NEED_A_NAME and not name.split(": ", 1)[1].strip()]
    assert unnamed == []
    for wanted in ("searchbox: Find case", "checkbox: undecided only", "textbox: Note", "navigation: Labels"):
        assert wanted in names, sorted(names)
    assert any(name.startswith("Canvas: The case's image") for name in names)
    assert page.one("#status").get_attribute("role") == "status"
    assert page.one("#error").get_attribute("role") == "alert"
    seen = []
    # Tab starts at the top, wherever the focus was.
    page.js("(document.querySelector('h1').tabIndex = -1, document.querySelector('h1').focus())")
    for _ in range(60):
        page.press("\ue004")  # Tab
        seen.append(page.js("document.activeElement.id || document.activeElement.dataset.label || ''"))
        if seen[-1] == "canvas":
            break
    order = [seen.index(name) for name in ("keys", "text", "0", "undo", "note", "canvas")]
    assert order == sorted(order)


NEED_A_NAME = {
    "button",
    "checkbox",
    "radio",
    "slider",
    "searchbox",
    "textbox",
    "combobox",
    "spinbutton",
    "dialog",
    "Canvas",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out(scheme: str, page: Page) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    low = page.js(CONTRAST)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert low == []


CONTRAST = """(() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = c.map((v) => (v <= 10.3 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const c = parse(getComputedStyle(node).backgroundColor);
      if (c.length < 4 || c[3] > 0.99) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest('.canvas, [aria-disabled=true], option, noscript')) continue;
    const [a, b] = [light(parse(getComputedStyle(node).color).slice(0, 3)), light(behind(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${node.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return low;
})()"""
