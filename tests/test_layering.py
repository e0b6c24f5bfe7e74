"""The arrows between packages, and the sizes of functions and argument lists.

model → nothing of ours; training → model; index → model; service → model and index, and
training only lazily, inside functions of the command line (`service/cli/`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALLOWED = {
    "model": {"model"},
    "training": {"training", "model"},
    "index": {"index", "model"},
    "service": {"service", "model", "index"},
}
OURS = set(ALLOWED)
MAX_FUNCTION, MAX_ARGUMENTS = 60, 8

FILES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))
TEST_FILES = sorted((ROOT / "tests").rglob("*.py"))


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy`: inside a function; `typing`: only for the type checker."""

    module: str
    level: int
    lazy: bool
    typing: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(node: ast.AST, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    """All imports under a node. `from a import b` may mean the module a.b: both are given.

    Ours are named without `earmark.`, as their files are.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name.removeprefix("earmark."), 0, lazy, typing)
        elif isinstance(child, ast.ImportFrom):
            module = (child.module or "").removeprefix("earmark.")
            yield Import(module, child.level, lazy, typing)
            for alias in child.names:
                yield Import(f"{module}.{alias.name}", child.level, lazy, typing)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checked = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from imports(child, lazy or inside, typing or checked)


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def is_command_line(path: Path) -> bool:
    return path.parent.name == "cli"


def violations(path: Path, tree: ast.AST) -> list[str]:
    package = name_of(path).split(".")[0]
    found = []
    for each in imports(tree):
        if each.level:
            found.append(f"relative import of {each.module}")
        top = each.module.split(".")[0]
        if top == "tests":
            found.append(f"imports {each.module}")
        if top not in OURS or top in ALLOWED[package]:
            continue
        lazily_training = package == "service" and top == "training" and each.lazy
        if not (lazily_training and is_command_line(path)):
            found.append(f"imports {each.module}")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    assert violations(path, TREES[path]) == []


@pytest.mark.parametrize(
    ("file", "source", "is_wrong"),
    [
        ("model/x.py", "def f():\n    import earmark.training.loop.losses", True),
        ("model/x.py", "from earmark.index import library", True),
        ("model/x.py", "import modelling, numpy", False),
        ("training/x.py", "from earmark.model.config import preset", False),
        ("index/x.py", "import earmark.training", True),
        ("service/x.py", "def f():\n    import earmark.training", True),
        ("service/cli/main.py", "import earmark.training.cli.evaluate", True),
        ("service/cli/main.py", "def f():\n    import earmark.training.cli.evaluate", False),
        ("service/x.py", "from . import errors", True),
        ("index/x.py", "if TYPE_CHECKING:\n    import earmark.service", True),
        ("model/x.py", "from tests.model import tiny", True),
    ],
)
def test_the_check_sees_wrong_imports(file: str, source: str, is_wrong: bool) -> None:
    assert bool(violations(ROOT / file, ast.parse(source))) == is_wrong


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected parts of more than one module, by repeated reachability."""
    reach = {name: set(targets) for name, targets in graph.items()}
    changed = True
    while changed:
        changed = False
        for name, targets in reach.items():
            more = set().union(*(reach[target] for target in targets)) - targets
            reach[name] = targets | more
            changed = changed or bool(more)
    looping = {name for name in reach if name in reach[name]}
    groups = {frozenset(o for o in looping if o in reach[n] and n in reach[o]) for n in looping}
    return sorted(sorted(group) for group in groups)


def test_no_import_cycles() -> None:
    names = {name_of(path) for path in FILES}
    graph = {
        name_of(path): {
            each.module
            for each in imports(tree)
            if each.module in names and not each.lazy and not each.typing
        }
        for path, tree in TREES.items()
    }
    assert sum(map(len, graph.values())) > 50  # it does see imports
    assert cycles(graph) == []


def test_the_check_sees_cycles() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": set()}
    assert cycles(graph) == [["a", "b", "c"]]


@pytest.mark.parametrize("path", [*FILES, *TEST_FILES], ids=name_of)
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or 0) - node.lineno + 1
        assert lines <= MAX_FUNCTION, f"{node.name}: {lines} lines"
        every = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        counted = [each for each in every if each.arg not in ("self", "cls")]
        counted += [each for each in (node.args.vararg, node.args.kwarg) if each]
        assert len(counted) <= MAX_ARGUMENTS, f"{node.name}: {len(counted)} arguments"


@pytest.mark.parametrize("path", [*FILES, *TEST_FILES], ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    is_package = path.name == "__init__.py"
    if not (is_package and path in TEST_FILES):
        assert ast.get_docstring(tree), "no docstring"
    if is_package:
        assert len(tree.body) <= 1, "a package's __init__ holds its docstring only"


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in TEST_FILES}
    assert all((folder / "__init__.py").exists() for folder in folders)
