"""The documentation: links that lead somewhere, commands that exist, one version."""

from __future__ import annotations

import re
import shlex
import tomllib
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.service.cli.main import build_parser
from tests import architecture
from tests.conftest import ROOT

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "docker/*.md", "training/*.md", "model/starter/*.md")
    for path in ROOT.glob(pattern)
)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^ *```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """The fragments that a page's headings make, as GitHub makes them."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)|`", r"\1", title).strip().lower() for title in titles]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINK.findall(FENCED.sub("", page.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every `$ earmark …` of a page, up to what only a shell understands."""
    for block in CONSOLE.findall(page.read_text(encoding="utf-8")):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.match(r"\s*\$ (?:\w+=\S+ )*earmark ([^|…#]*)", line)
            if found:
                yield shlex.split(found[1])


def subcommands(parser: ArgumentParser) -> dict[str, ArgumentParser]:
    return {
        name: command
        for action in parser._actions
        if isinstance(action, _SubParsersAction)
        for name, command in action.choices.items()
    }


def test_commands_exist() -> None:
    known = subcommands(build_parser())
    seen = 0
    for page in PAGES:
        for name, *words in commands(page):
            assert name in known, f"{name_of(page)}: earmark {name}"
            inner = subcommands(known[name])
            command = inner.get(words[0], known[name]) if inner and words else known[name]
            given = {word.partition("=")[0] for word in words if re.match(r"-[-a-z]", word)}
            unknown = given - command._option_string_actions.keys()
            assert not unknown, f"{name_of(page)}: earmark {name}: {unknown}"
            seen += 1
    assert seen > 30


def test_the_version_is_the_same_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]
    stated = {
        "CITATION.cff": re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(), re.M)
    }
    for dockerfile in ROOT.glob("docker/*.Dockerfile"):
        label = re.findall(r'image\.version="([^"]+)"', dockerfile.read_text())
        stated[dockerfile.name] = label
    assert len(stated) == 5
    assert {name: versions for name, versions in stated.items() if versions != [version]} == {}


def test_the_stations_of_the_architecture_exist() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stations = re.findall(r"^\| `([\w/]+\.py)` `(\w+)` \|", page, re.MULTILINE)
    assert len(stations) > 30
    for file, name in stations:
        source = (ROOT / file).read_text(encoding="utf-8")
        assert re.search(rf"^(async )?(def|class) {name}\b", source, re.MULTILINE), (file, name)
    for file in re.findall(r"`([\w/]+/\w+\.py)`", page):
        assert (ROOT / file).is_file(), file


def test_the_picture_is_what_the_code_is() -> None:
    page = architecture.PAGE.read_text(encoding="utf-8")
    assert page == architecture.page_with(architecture.picture()), (
        "draw it again: python -m tests.architecture --write"
    )
