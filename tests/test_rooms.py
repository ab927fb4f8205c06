"""The rooms of the package: who may import whom, and that no function is longer than a page."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import monai_selfcleanse

PACKAGE = "monai_selfcleanse"
ROOT = Path(monai_selfcleanse.__file__).parent

LEVELS = (
    {"version"},
    {"core"},
    {"files", "distributed", "progress"},
    {"run_folder", "bad_input"},
    {"earlier_results", "cases"},
    {"noise"},
    {"data", "transforms", "losses", "lr_scheduler", "networks", "prepare_batch", "metrics"},
    {"results"},
    {"handlers", "audit", "monai_label", "review"},
    {"cli"},
)
"""A room imports itself and the rooms of lower levels, so arrows point down only. A ``__main__`` is part of cli."""

NARROWER = {"noise": {"core"}}
"""Rooms that may know less than their level would allow: label noise is arrays and transforms alone."""

LONGEST = 60
"""Lines of a function, its docstring not counted."""

LONGER: dict[str, str] = {}
"""Functions that may be longer, and why."""


def room_of(module: str) -> str:
    """The room of a module's dotted name; empty for the top of the package, which may import anything."""
    parts = module.split(".")[1:]
    if parts and parts[-1] == "__main__":
        return "cli"
    return parts[0] if parts else ""


def imported(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """Modules of the package that a module imports anywhere, in functions as well, and the lines."""
    around = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = around[: len(around) - node.level + 1] if node.level else []
            source = ".".join([*above, *(node.module.split(".") if node.module else [])])
            # What stands at the top is either a room, or a name of the package's own, which is on no level.
            found = [f"{PACKAGE}.{name.name}" for name in node.names] if source == PACKAGE else [source]
        else:
            continue
        yield from ((name, node.lineno) for name in found if name.split(".")[0] == PACKAGE)


def upward(tree: ast.AST, module: str, is_package: bool = False) -> list[str]:
    """Imports that the order of the rooms forbids, as ``line N: core imports files``."""
    room = room_of(module)
    if not room:
        return []
    level = next((i for i, rooms in enumerate(LEVELS) if room in rooms), None)
    if level is None:
        return [f"{room} is on no level"]
    below = NARROWER.get(room, set().union(*LEVELS[:level]))
    out = []
    for name, line in imported(tree, module, is_package):
        if room_of(name) not in {room, *below}:
            out.append(f"line {line}: {room} imports {room_of(name) or 'the top of the package'}")
    return out


def too_long(tree: ast.AST) -> list[tuple[str, int]]:
    """Functions over :data:`LONGEST` lines, with their length."""
    out = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0]
            has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
            length = node.end_lineno - node.lineno + 1 - docstring
            if length > LONGEST:
                out.append((node.name, length))
    return out


def modules() -> dict[str, Path]:
    out = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
        out[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return out


MODULES = modules()
every_module = pytest.mark.parametrize("module", MODULES)


def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@every_module
def test_arrows_point_down_only(module: str) -> None:
    assert upward(parsed(module), module, MODULES[module].name == "__init__.py") == []


@every_module
def test_functions_fit_on_a_page(module: str) -> None:
    assert [name for name, _ in too_long(parsed(module)) if f"{module}.{name}" not in LONGER] == []


def test_every_room_has_one_level_and_every_level_only_rooms() -> None:
    listed = [room for rooms in LEVELS for room in rooms]
    assert len(listed) == len(set(listed))
    assert set(listed) == {room_of(module) for module in MODULES} - {""}


@pytest.mark.parametrize(
    ("module", "source", "forbidden"),
    [
        ("core.masks", "from ..files import atomic_path", ["line 1: core imports files"]),
        ("core.masks", "from .case_id import case_of", []),
        ("core.masks", "from .. import __version__", ["line 1: core imports __version__"]),
        ("core.masks", "from ..version import __version__", []),
        ("core.masks", "from .. import files", ["line 1: core imports files"]),
        ("core.masks", "import numpy as np\nimport monai_selfcleanse.results.page", ["line 2: core imports results"]),
        ("core.masks", "def f():\n    from monai_selfcleanse.data import Cohort", ["line 2: core imports data"]),
        ("core.masks", "import monai_selfcleanse", ["line 1: core imports the top of the package"]),
        ("noise.base", "from ..core.masks import dice", []),
        ("noise.base", "from ..cases.nifti import load_nifti", ["line 1: noise imports cases"]),
        ("results.page.page", "from ...core.judgement import Judgement\nfrom ..suspects import Suspect", []),
        ("results.page.page", "from ...handlers import LabelFilter", ["line 1: results imports handlers"]),
        ("results.page.page", "from ...monai_label.app import App", ["line 1: results imports monai_label"]),
        ("handlers.label_filter", "from ..results.write import write_results", []),
        ("handlers.label_filter", "from ..audit import audit_labels", ["line 1: handlers imports audit"]),
        ("files", "from .distributed import gathered", ["line 1: files imports distributed"]),
        ("noise.__main__", "from ..cli.noise import main", []),
        ("noise.base", "from . import __main__", []),
        ("elsewhere.new", "from ..core.masks import dice", ["elsewhere is on no level"]),
    ],
)
def test_an_upward_import_is_found(module: str, source: str, forbidden: list[str]) -> None:
    assert upward(ast.parse(source), f"{PACKAGE}.{module}") == forbidden


def test_a_package_resolves_its_own_relative_imports() -> None:
    tree = ast.parse("from .cleansing import cleanse_label\nfrom ..files import atomic_path")
    assert upward(tree, f"{PACKAGE}.core", is_package=True) == ["line 2: core imports files"]


def test_an_import_planted_in_a_real_module_is_found() -> None:
    planted = MODULES[f"{PACKAGE}.core.masks"].read_text(encoding="utf-8") + "\n\nfrom ..files import atomic_path\n"
    (found,) = upward(ast.parse(planted), f"{PACKAGE}.core.masks")
    assert found.endswith("core imports files")


def test_a_long_function_is_found_and_its_docstring_is_not_counted() -> None:
    lines = "    x = 1\n" * (LONGEST - 1)
    docstring = '    """Says\n\n    much.\n    """\n'
    assert too_long(ast.parse(f"def f():\n{docstring}{lines}")) == []
    assert too_long(ast.parse(f"class C:\n def f():\n{docstring}{lines}    x = 2\n")) == [("f", LONGEST + 1)]


def loaded_by(statement: str) -> set[str]:
    """Rooms that a process has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(*(name for name in sys.modules if name.startswith('{PACKAGE}.')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return {room_of(name) for name in out.split()}


@pytest.mark.slow
def test_a_room_is_loaded_without_those_above_it() -> None:
    assert loaded_by("import monai_selfcleanse") == {"version"}
    assert loaded_by("import monai_selfcleanse.core.masks") == {"version", "core"}
    assert "audit" in loaded_by("from monai_selfcleanse import judge_labels")


def test_the_package_has_its_names_and_no_others() -> None:
    assert set(monai_selfcleanse.__all__) <= set(dir(monai_selfcleanse))
    assert callable(monai_selfcleanse.judge_labels)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = monai_selfcleanse.nonsense


def test_the_package_says_what_its_rooms_are_from_the_bottom_up() -> None:
    named = re.findall(r":mod:`\.(\w+)`", monai_selfcleanse.__doc__ or "")
    assert len(named) == len(set(named))
    level = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
    assert set(named) == set(level)
    assert [level[room] for room in named] == sorted(level[room] for room in named)
