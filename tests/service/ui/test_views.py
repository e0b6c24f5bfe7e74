"""Every view of the page as it is seen: for axe-core, at two sizes, in light and dark.

With EARMARK_REFRESH=1 the pictures of the documentation are taken anew, of the demo library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.conftest import ROOT
from tests.service.server_process import serving
from tests.service.ui.browser import DEMO, in_browser, needs_chromium, visiting

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
REFRESH = os.environ.get("EARMARK_REFRESH") == "1"
DOCS = ROOT / "docs"
PICTURES = ("search", "filters", "tags", "classify", "map", "library")
RAIN = DEMO / "audio" / "rain-steady-1.ogg"


@dataclass(frozen=True)
class View:
    """A view in some state: where it is, and what a person does to get there."""

    address: str
    prepare: Callable[[Page], None]


def nothing(page: Page) -> None:
    page.wait_for_load_state("networkidle")


def found(page: Page) -> None:
    expect(page.locator("#results > li").first).to_be_visible()
    page.wait_for_load_state("networkidle")


def filtered(page: Page) -> None:
    found(page)
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#filters")).to_be_visible()


def helped(page: Page) -> None:
    found(page)
    page.locator("#shortcuts-open").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def nothing_found(page: Page) -> None:
    expect(page.locator("#find-status")).not_to_be_empty()


def tagged(page: Page) -> None:
    page.locator("#file").set_input_files(RAIN)
    expect(page.locator("#tags li").first).to_be_visible(timeout=60_000)
    page.wait_for_load_state("networkidle")


def classified(page: Page) -> None:
    page.locator("#file").set_input_files(RAIN)
    page.locator("#label").fill("rain, dog, engine, music")
    page.locator("#label").press("Enter")
    page.locator("#compare").click()
    expect(page.locator("#classes li").first).to_be_visible(timeout=60_000)


def mapped(page: Page) -> None:
    expect(page.locator("#map-legend li").first).to_be_visible(timeout=60_000)
    expect(page.locator("#map-state")).not_to_contain_text("computed")
    page.locator("#map-canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#map-card")).to_be_visible()
    page.wait_for_load_state("networkidle")


def listed(page: Page) -> None:
    expect(page.locator("#library-recent li").first).to_be_visible()
    page.wait_for_load_state("networkidle")


VIEWS = {
    "start": View("/", nothing),
    "search": View("/?q=thunder+storm", found),
    "filters": View("/?q=thunder&no_tag=rain&max_duration=10", filtered),
    "keys": View("/?q=rain", helped),
    "nothing": View("/?q=zzzz+-zzz", nothing_found),
    "tag": View("/#tag", nothing),
    "tags": View("/#tag", tagged),
    "classify": View("/#classify", classified),
    "map": View("/#map", mapped),
    "library": View("/#library", listed),
}


@pytest.fixture(scope="module")
def address(page_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that is looked at."""
    if not REFRESH:
        yield page_address
        return
    with serving(tmp_path_factory.mktemp("demo") / "log") as server:
        yield f"http://127.0.0.1:{server.port}"


@in_browser
@needs_chromium
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VIEWS)
def test_anybody_can_use_it(
    chromium: Browser, address: str, tmp_path: Path, name: str, size: str
) -> None:
    width, height = SIZES[size]
    view = VIEWS[name]
    screen = {"width": width, "height": height}
    with visiting(chromium, address, viewport=screen, reduced_motion="reduce") as (page, _):
        page.goto(view.address)
        view.prepare(page)
        picture = f"page-{name}" + ("-phone" if size == "phone" else "")
        folder = DOCS if REFRESH and name in PICTURES else tmp_path
        page.screenshot(path=folder / f"{picture}.png")
        assert page.evaluate("document.documentElement.scrollWidth") <= width  # nothing sticks out
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            found = Axe().run(page).response["violations"]
            problems = [
                f"{rule['id']}: {[part['html'] for part in rule['nodes']][:3]}" for rule in found
            ]
            assert problems == [], scheme
