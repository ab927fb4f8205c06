"""The documents: their Python runs, their links lead somewhere, and they stay short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from monai_selfcleanse.data import find_cases

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs", "examples")
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "benchmarks" / "README.md",
        *(p for name in FOLDERS for p in (ROOT / name).rglob("*.md")),
    ]
)
USER_PAGES = [page for page in PAGES if page.parent.name != "benchmarks"]

NOT_RUN = "# needs:"
"""First line of a block of Python that needs what a test has not; what follows says what."""


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks_of(page: Path, language: str) -> Iterator[tuple[int, str]]:
    """Blocks of code in a language, and the line that each begins on."""
    text = page.read_text()
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield text[: found.start()].count("\n") + 2, found[1]


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ +(.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks_of(page, "python"))], ids=name_of)
def test_python_in_the_documents_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict = {"__name__": "__main__"}
    for line, block in blocks_of(page, "python"):
        if not block.startswith(NOT_RUN):
            exec(compile("\n" * (line - 1) + block, str(page), "exec"), namespace)


def test_the_script_for_a_bids_tree_writes_a_list_that_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("sub-01/anat/sub-01", "sub-02/ses-a/anat/sub-02_ses-a", "sub-02/ses-b/anat/sub-02_ses-b"):
        for file in (f"{name}_T1w.nii.gz", f"derivatives/manual/{name}_label-hippocampus_dseg.nii.gz"):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).touch()
    ((_, block),) = blocks_of(ROOT / "docs" / "how-to" / "own-data.md", "python")
    exec(block, {})
    cases, problems = find_cases("cases.json")
    assert problems == []
    assert [case["patient"] for case in cases] == ["sub-01", "sub-02", "sub-02"]
    assert cases[1]["file"] == "derivatives/manual/sub-02/ses-a/anat/sub-02_ses-a_label-hippocampus_dseg.nii.gz"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors_of(target)):
            broken.append(link)
    assert not broken


def test_pages_of_the_package_are_all_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in [*PAGES, ROOT / "bundle" / "docs" / "README.md"]
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    }
    assert not [name_of(page) for page in PAGES if page not in linked and page != ROOT / "README.md"]


@pytest.mark.parametrize(("page", "longest"), [("README.md", 150), ("docs/explanation/method.md", 150)])
def test_page_is_short(page: str, longest: int) -> None:
    assert len((ROOT / page).read_text().splitlines()) <= longest


@pytest.mark.parametrize("page", USER_PAGES, ids=name_of)
def test_no_commit_stands_in_a_user_document(page: Path) -> None:
    words = re.findall(r"\b[0-9a-f]{7,40}\b", page.read_text())
    assert not [word for word in words if re.search("[0-9]", word) and re.search("[a-f]", word)]


ROOMS = [
    "handlers",
    "transforms",
    "losses",
    "lr_scheduler",
    "prepare_batch",
    "data",
    "results",
    "audit",
    "cases",
    "core",
]
ROOMS += ["noise"]


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_in_the_reference(room: str) -> None:
    listed = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "reference" / "api.md").read_text()))
    missing = []
    for name in import_module(f"monai_selfcleanse.{room}").__all__:
        # MONAI's three names of a dictionary transform, and the array transform that it wraps, share a row.
        array = re.sub(r"(D|Dict|d)$", "", name)
        if not listed & {name, array, f"{array}d"}:
            missing.append(name)
    assert not missing
