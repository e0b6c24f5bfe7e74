"""Builds the distribution `earmark-client`: setuptools, over a copy of the modules it needs.

The full distribution installs the client as `earmark.service.client`. This one installs it as
`earmark.client`, so that no file belongs to both and they can be installed beside each other. The
copy holds the client and whatever it imports when it is imported, renamed as `PLACES` says; an
import from any other part of the tree is an error. A source distribution is that copy: it is
built by setuptools alone.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from setuptools import build_meta

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
ROOT = PROJECT.parent.parent

# Packages of the tree → packages of this distribution.
PLACES = {
    "earmark.service.client": "earmark.client",
    "earmark.service.schemas": "earmark.client.schemas",
    "earmark.service.http.addresses": "earmark.client.addresses",
    "earmark.model.core": "earmark.client.core",
}

ConfigSettings = dict[str, str | list[str] | None] | None


def build_wheel(
    wheel_directory: str,
    config_settings: ConfigSettings = None,
    metadata_directory: str | None = None,
) -> str:
    """Build the wheel (PEP 517); returns its file's name."""
    del metadata_directory  # setuptools makes it again
    to = Path(wheel_directory).resolve()
    with _source_tree():
        name: str = build_meta.build_wheel(str(to), config_settings)
    return name


def build_sdist(sdist_directory: str, config_settings: ConfigSettings = None) -> str:
    """Build the source distribution (PEP 517); returns its file's name."""
    to = Path(sdist_directory).resolve()
    with _source_tree():
        name: str = build_meta.build_sdist(str(to), config_settings)
    return name


@contextlib.contextmanager
def _source_tree() -> Iterator[None]:
    """Inside, the working directory is a source tree of this distribution."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name in _modules():
            _copy(name)
        shutil.copy(ROOT / "service" / "py.typed", "src/earmark/client")
        shutil.copy(ROOT / "LICENSE", folder)
        shutil.copy(HERE / "README.md", folder)
        Path("pyproject.toml").write_text(_pyproject(), encoding="utf-8")
        yield


def _pyproject() -> str:
    """The project's file for that tree: the version of Earmark, built by setuptools."""
    earmark = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    version = earmark["project"]["version"]
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    text = text[text.index("[build-system]") :]
    text = text.replace('"backend"\nbackend-path = ["distribution"]', '"setuptools.build_meta"')
    return text.replace('dynamic = ["version"]', f'version = "{version}"')


def _modules() -> set[str]:
    """The client's modules, all that they import when they are imported, and their packages."""
    found: set[str] = set()
    waiting = {f"earmark.service.client.{path.stem}" for path in PROJECT.glob("*.py")}
    while waiting:
        name = waiting.pop().removesuffix(".__init__")
        if name in found:
            continue
        found.add(name)
        waiting |= _imports(ast.parse(_file(name).read_text(encoding="utf-8")))
        package = name.rpartition(".")[0]
        if _is_held(package):
            waiting.add(package)
    return found


def _imports(node: ast.AST) -> set[str]:
    """Modules of ours that are imported with this one: not in functions, nor for type checkers."""
    names: set[str] = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            names |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            inner = {f"{child.module}.{alias.name}" for alias in child.names}
            modules = {name for name in inner if _is_module(name)}
            names |= modules or {str(child.module)}
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            names |= _imports(child)
    return {name for name in names if name.partition(".")[0] == "earmark"}


def _is_module(name: str) -> bool:
    return name.startswith("earmark.") and _file(name, must_be=False).exists()


def _file(name: str, *, must_be: bool = True) -> Path:
    """The file of a module of the tree. Raises ImportError for one that is not to be copied."""
    if must_be and not _is_held(name):
        raise ImportError(f"earmark-client: expected no import of {name}, which it does not hold")
    path = ROOT.joinpath(*name.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_held(name: str) -> bool:
    """Whether the distribution holds a module or package of the tree."""
    return any(name == place or name.startswith(f"{place}.") for place in PLACES)


def _copy(name: str) -> None:
    """Copy a module to its place, with the names of modules in it changed."""
    source = _file(name)
    place = Path("src", *_renamed(name).split("."))
    to = place / "__init__.py" if source.name == "__init__.py" else place.with_suffix(".py")
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(_renamed(source.read_text(encoding="utf-8")), encoding="utf-8")


def _renamed(text: str) -> str:
    for old, new in PLACES.items():
        text = re.sub(rf"\b{re.escape(old)}\b", new, text)
    return text
