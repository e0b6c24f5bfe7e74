"""The Python files of a checkout, parsed: modules, their imports, functions and public names.

Shared by tests/test_layering.py and tests/figures.py. Modules of ours are named without
`earmark.`, as their files are, so that checkouts from before the import root read the same.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("model", "index", "service", "training")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Import:
    """One imported module; `lazy`: inside a function; `typing`: only for the type checker."""

    module: str
    relative: bool
    lazy: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One parsed file. `name` has dots, without `__init__`."""

    path: Path
    name: str
    text: str

    @classmethod
    def read(cls, root: Path, path: Path) -> Module:
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        return cls(path, name, path.read_text(encoding="utf-8"))

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def is_init(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def unit(self) -> str:
        """Its folder in its package, or its own name where it lies at the package's top."""
        return self.name.split(".")[1] if "." in self.name else "__init__"

    @cached_property
    def imports(self) -> list[Import]:
        return list(imports(self.tree))

    @cached_property
    def functions(self) -> list[Function]:
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]


def read_modules(root: Path, *folders: str) -> list[Module]:
    """All Python files under these folders, sorted."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [Module.read(root, path) for path in paths]


def imports(node: ast.AST, lazy: bool = False, typing: bool = False) -> Iterator[Import]:
    """All imports under a node. `from a import b` may mean the module a.b: both are given."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name.removeprefix("earmark."), False, lazy, typing)
        elif isinstance(child, ast.ImportFrom):
            module = (child.module or "").removeprefix("earmark.")
            relative = child.level > 0
            yield Import(module, relative, lazy, typing)
            for alias in child.names:
                yield Import(f"{module}.{alias.name}", relative, lazy, typing)
        else:
            in_function = isinstance(child, Function | ast.Lambda)
            for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            yield from imports(child, lazy or in_function, typing or for_types)


def import_graph(modules: Iterable[Module], *, lazy: bool, typing: bool) -> Graph:
    """Module → the modules among these that it imports."""
    modules = list(modules)
    names = {module.name for module in modules}
    return {
        module.name: {
            found.module
            for found in module.imports
            if found.module in names
            and found.module != module.name
            and (lazy or not found.lazy)
            and (typing or not found.typing)
        }
        for module in modules
    }


def unit_graph(modules: Iterable[Module]) -> Graph:
    """The same between the folders and top-level files of one package; all imports count."""
    modules = list(modules)
    units = {module.name: module.unit for module in modules if not module.is_init}
    graph: Graph = {unit: set() for unit in units.values()}
    for name, targets in import_graph(modules, lazy=True, typing=True).items():
        if name in units:
            graph[units[name]] |= {units[target] for target in targets if target in units}
    return {unit: targets - {unit} for unit, targets in graph.items()}


def cycles(graph: Graph) -> list[list[str]]:
    """Strongly connected parts of more than one node, by repeated reachability."""
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


def lines_of(function: Function) -> int:
    return (function.end_lineno or 0) - function.lineno + 1


def folder_sizes(root: Path, package: str, suffix: str = ".py") -> dict[str, int]:
    """Folder → how many files with this suffix lie directly in it, without `__init__.py`."""
    sizes: dict[str, int] = {}
    for path in (root / package).rglob(f"*{suffix}"):
        if path.name != "__init__.py":
            folder = path.parent.relative_to(root).as_posix()
            sizes[folder] = sizes.get(folder, 0) + 1
    return sizes
