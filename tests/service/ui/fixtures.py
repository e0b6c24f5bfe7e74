"""Fixtures of the tests of the page: a server of the demo sounds, a browser, a watched page.

The conftest takes them in, so that a test names what it wants. Who writes to the library copies
`page_library` and serves the copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.ui.browser import (
    CHROMIUM,
    FLAGS,
    MARKUP,
    Watch,
    free_port,
    make_library,
    make_long_sound,
    serving,
    visiting,
)


@pytest.fixture(scope="session")
def long_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds: noise, then a tone."""
    path = tmp_path_factory.mktemp("sounds") / "long noise.wav"
    make_long_sound(path)
    return path


@pytest.fixture(scope="session")
def page_library(tmp_path_factory: pytest.TempPathFactory, long_sound: Path) -> Path:
    """A library of the demo sounds, and the long one with markup for a title."""
    return make_library(tmp_path_factory.mktemp("page"), long_sound, MARKUP)


@pytest.fixture(scope="session")
def page_address(page_library: Path) -> Iterator[str]:
    """A server of that library, for all tests that leave it as it is."""
    with serving(page_library, free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser. A session would be too long: other modules run their own event loops."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, page_address: str) -> Iterator[tuple[Page, Watch]]:
    """A watched page at the start."""
    with visiting(
        chromium, page_address, permissions=["clipboard-read", "clipboard-write"]
    ) as opened:
        opened[0].goto("/")
        yield opened


@pytest.fixture
def page(visit: tuple[Page, Watch]) -> Page:
    """A page at the start."""
    return visit[0]
