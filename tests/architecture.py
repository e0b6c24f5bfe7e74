"""The architecture as a picture: `python -m tests.architecture` prints it, `--write` puts it into
docs/architecture.md.

Packages from top to bottom; in each its folders and files from top to bottom, as the layering test
orders them, with the first sentence of their docstrings.
"""

from __future__ import annotations

import argparse
import ast
import textwrap
from collections.abc import Iterator

from tests.conftest import ROOT
from tests.test_layering import ALLOWED, ORDER

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = (
    "<!-- picture: python -m tests.architecture --write -->\n```text\n",
    "```\n<!-- end -->\n",
)
PACKAGES = ("service", "training", "index", "model")  # from top to bottom
WIDTH, NAME = 96, 20


def first_sentence(package: str, unit: str) -> str:
    """What the docstring of a folder or file says first, without its full stop."""
    folder, file = ROOT / package / unit, ROOT / package / f"{unit}.py"
    source = folder / "__init__.py" if folder.is_dir() else file
    docstring = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")


def box(package: str) -> Iterator[str]:
    """The lines of one package's box."""
    below = [name for name in PACKAGES if name in ALLOWED[package] - {package}]
    title = f"─ {package} ─ imports {' and '.join(below) or 'no other package'} "
    yield f"┌{title:─<{WIDTH - 2}}┐"
    for unit in reversed(ORDER[package]):
        name = f"{unit}/" if (ROOT / package / unit).is_dir() else unit
        lines = textwrap.wrap(first_sentence(package, unit), WIDTH - NAME - 6)
        for number, line in enumerate(lines):
            yield f"│  {name if not number else '':<{NAME}}{line:<{WIDTH - NAME - 5}} │"
    yield f"└{'':─<{WIDTH - 2}}┘"


def picture() -> str:
    """All packages."""
    return "\n".join(line for package in PACKAGES for line in box(package)) + "\n"


def page_with(drawn: str) -> str:
    """docs/architecture.md with this picture in it."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    return head + BEGIN + drawn + END + rest.split(END)[1]


def main() -> None:
    """Print the picture, or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="put it into docs/architecture.md")
    if parser.parse_args().write:
        PAGE.write_text(page_with(picture()), encoding="utf-8")
    else:
        print(picture(), end="")


if __name__ == "__main__":
    main()
