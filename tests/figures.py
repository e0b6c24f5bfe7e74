"""Figures of the code's shape: `python -m tests.figures [--root DIR] [--json] [--names]`.

Per package: files, lines, median and longest function (lines), import cycles between modules (at
run time, and with lazy and typing imports), cycles between folders, the largest folder (files of
one kind directly in it, without `__init__.py`), public names without a docstring, and public
names that more than one module defines. `--root` measures another checkout.
"""

from __future__ import annotations

import argparse
import ast
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.source_tree import (
    PACKAGES,
    Function,
    Module,
    cycles,
    folder_sizes,
    import_graph,
    lines_of,
    read_modules,
    unit_graph,
)

ROOT = Path(__file__).resolve().parent.parent
# Public names that mean the same wherever they stand: one of each per module is the convention.
CONVENTIONS = {
    "add_commands": "adds a module's commands to the command line",
    "log": "the logger of a module",
    "main": "the entry point of a program",
    "router": "the routes of a module",
}
TWO_THINGS = "names that stand for two things"
KINDS = ("types", "functions", "constants")


def is_public(name: str) -> bool:
    return not name.startswith("_")


def kind_of(name: str) -> str:
    """The kind of an assigned name, by its spelling: FEW is a constant, Few a type."""
    if name.isupper():
        return "constants"
    return "types" if name[0].isupper() else "functions"


def definitions(module: Module) -> set[tuple[str, str]]:
    """(kind, name) of the public types, functions and constants at the top of a module."""
    found: set[tuple[str, str]] = set()
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            found.add(("types", node.name))
        elif isinstance(node, Function):
            found.add(("functions", node.name))
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (target.id for target in targets if isinstance(target, ast.Name))
            found |= {(kind_of(name), name) for name in names if is_public(name)}
    return {(kind, name) for kind, name in found if is_public(name) and name not in CONVENTIONS}


def repeated_names(modules: Sequence[Module]) -> dict[str, dict[str, list[str]]]:
    """Kind → public name → the modules that define it, where there are several."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module in modules:
        for entry in definitions(module):
            places[entry].append(module.name)
    repeated: dict[str, dict[str, list[str]]] = {kind: {} for kind in KINDS}
    for (kind, name), where in sorted(places.items()):
        if len(where) > 1:
            repeated[kind][name] = where
    return repeated


def undocumented(module: Module) -> list[str]:
    """Public classes, functions and methods without a docstring, as `module.Class.method`.

    Left out: overloads, overrides marked as such, setters, and what private classes hold.
    """
    found = [] if ast.get_docstring(module.tree) else [module.name]

    def visit(nodes: Sequence[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if not isinstance(node, Function | ast.ClassDef) or not is_public(node.name):
                continue
            marks = {ast.unparse(mark).rsplit(".", 1)[-1] for mark in node.decorator_list}
            if not marks & {"overload", "override", "setter"} and not ast.get_docstring(node):
                found.append(f"{prefix}.{node.name}")
            if isinstance(node, ast.ClassDef):
                visit(node.body, f"{prefix}.{node.name}")

    visit(module.tree.body, module.name)
    return found


def measure(root: Path, package: str) -> dict[str, Any]:
    """The figures of one package; lists where a figure has names behind it."""
    modules = read_modules(root, package)
    functions = [(lines_of(node), module, node) for module in modules for node in module.functions]
    longest, module, node = max(functions, key=lambda entry: entry[0])
    sizes = {
        f"{folder} (*{suffix})": count
        for suffix in (".py", ".js", ".css")
        for folder, count in folder_sizes(root, package, suffix).items()
    }
    largest = max(sizes, key=lambda folder: sizes[folder])
    return {
        "files": len(modules),
        "lines": sum(len(module.text.splitlines()) for module in modules),
        "functions": len(functions),
        "median function": statistics.median(lines for lines, _, _ in functions),
        "longest function": {"lines": longest, "name": f"{module.name}.{node.name}"},
        "cycles at run time": cycles(import_graph(modules, lazy=False, typing=False)),
        "cycles with lazy and typing imports": cycles(
            import_graph(modules, lazy=True, typing=True)
        ),
        "cycles between folders": cycles(unit_graph(modules)),
        "largest folder": {"files": sizes[largest], "name": largest},
        "without a docstring": [name for module in modules for name in undocumented(module)],
        **{f"{kind} defined twice": names for kind, names in repeated_names(modules).items()},
    }


def figures(root: Path) -> dict[str, Any]:
    """The figures of each package, and the names that several modules of all of them define."""
    return {
        "packages": {package: measure(root, package) for package in PACKAGES},
        TWO_THINGS: repeated_names(read_modules(root, *PACKAGES)),
    }


def cell(value: Any) -> str:
    """A figure as the table shows it: a list by its length, a named one by its number."""
    if isinstance(value, dict) and "name" in value:
        return f"{next(iter(value.values()))}"
    return f"{len(value)}" if isinstance(value, list | dict) else f"{value:g}"


def table(found: dict[str, Any]) -> list[str]:
    """Rows of the table, one a figure, one column a package; then what is behind the figures."""
    packages = found["packages"]
    titles = list(next(iter(packages.values())))
    width = max(map(len, titles)) + 2
    lines = ["".ljust(width) + "".join(f"{package:>10}" for package in packages)]
    for title in titles:
        cells = (cell(values[title]) for values in packages.values())
        lines.append(title.ljust(width) + "".join(f"{text:>10}" for text in cells))
    lines.append("")
    for title in ("longest function", "largest folder"):
        named = (f"{package}: {values[title]['name']}" for package, values in packages.items())
        lines.append(f"{title}: {'; '.join(named)}")
    counts = (f"{len(names)} {kind}" for kind, names in found[TWO_THINGS].items())
    lines.append(f"{TWO_THINGS}, over all packages: {', '.join(counts)}")
    return lines


def details(found: dict[str, Any]) -> list[str]:
    """The names behind the figures."""
    lines = []
    for package, values in found["packages"].items():
        for title in (title for title in values if title.startswith("cycles")):
            lines += [f"{package}, {title}: {' ↔ '.join(group)}" for group in values[title]]
        lines += [f"{package}, without a docstring: {n}" for n in values["without a docstring"]]
    for kind, names in found[TWO_THINGS].items():
        lines += [f"{kind}: {name} ({', '.join(places)})" for name, places in names.items()]
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.figures", description="Code figures.")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to measure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--names", action="store_true", help="list the names behind the figures")
    options = parser.parse_args(arguments)
    found = figures(options.root)
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(table(found) + (["", *details(found)] if options.names else [])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
