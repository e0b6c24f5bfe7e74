"""The map on the page in all its states, and for axe-core, in a real Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.service import sounds
from tests.service.ui.browser import (
    LARGE,
    SMALL,
    free_port,
    in_browser,
    needs_chromium,
    refusing,
    serving,
    visiting,
)

pytestmark = [in_browser, needs_chromium]

SIZES = pytest.mark.parametrize("viewport", [LARGE, SMALL], ids=["large", "small"])


def step(page: Page, *keys: str) -> str:
    """Press keys on the map; returns the message."""
    page.locator("#map-canvas").focus()
    for key in keys:
        page.keyboard.press(key)
    return page.locator("#map-message").inner_text()


def test_an_empty_library_says_what_to_do(chromium: Browser, tmp_path: Path) -> None:
    Library.open(tmp_path / "none", load_embedder(starter_model()), create=True).close()
    with (
        serving(tmp_path / "none", free_port()) as address,
        visiting(chromium, address) as (page, _),
    ):
        page.goto("/#map")
        expect(page.locator("#map-state")).to_contain_text("holds no sounds")
        expect(page.locator("#map-parts")).to_be_hidden()
        page.get_by_role("link", name="Add the first").click()
        expect(page.get_by_role("heading", level=1, name="Tag a sound")).to_be_visible()
        page.goto("/#library")
        expect(page.locator("#library-more-state")).to_contain_text("holds no sounds")


def test_while_it_is_made_that_is_said_and_then_it_comes(
    chromium: Browser, page_library: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(page_library, tmp_path / "copy"))
    (copy / "map.snapshot").unlink(missing_ok=True)
    with (
        serving(copy, free_port()) as address,
        visiting(chromium, address) as (page, _),
    ):
        requested: list[str] = []
        page.on("request", lambda call: call.url.endswith("/v1/map") and requested.append(call.url))
        page.goto("/#map")
        expect(page.locator("#map-state")).to_contain_text("rough map")
        expect(page.locator("#map-legend button").first).to_be_visible()
        message = step(page, "ArrowRight")
        expect(page.locator("#map-state")).to_have_text("The map is ready: 190 sounds.")
        assert page.locator("#map-message").inner_text() == message  # the focus stays
        assert len(requested) > 1
        requested.clear()
        page.wait_for_timeout(2_000)
        assert requested == []  # there is nothing to ask for any more
        added = {"file": ("new.wav", sounds.noise(1.0, seed=3))}
        httpx.post(f"{address}/v1/clips", files=added, timeout=60).raise_for_status()
        page.get_by_role("link", name="Library", exact=True).click()
        page.get_by_role("link", name="Map", exact=True).click()
        expect(page.locator("#map-state")).to_contain_text("191 sounds")
        expect(page.locator("#map-state")).to_have_text("The map is ready: 191 sounds.")


def test_a_sample_says_so(chromium: Browser, page_address: str) -> None:
    def larger(route: Route) -> None:
        answer = json.loads(route.fetch().text())
        route.fulfill(json={**answer, "total": 1_234_567})

    with visiting(chromium, page_address) as (page, _):
        page.route("**/v1/map", larger)
        page.goto("/#map")
        expect(page.locator("#map-state")).to_contain_text("190 sounds, sampled from 1,234,567")


def test_trouble_is_said_and_may_pass(chromium: Browser, page_address: str) -> None:
    with visiting(chromium, page_address) as (page, watch):
        watch.failures_expected = True
        for status, text in ((429, "try again in 7 s"), (503, "the disk is full")):
            page.route("**/v1/map", refusing(status))
            page.goto("/")
            page.goto("/#map")
            expect(page.get_by_role("alert").filter(has_text=text)).to_be_visible()
            page.unroute("**/v1/map")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#map-legend button").first).to_be_visible()
        page.route("**/v1/search?*", refusing(429))
        page.get_by_label("Words for sounds to highlight").fill("rain")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").filter(has_text="try again in 7 s")).to_be_visible()
        expect(page.get_by_label("Words for sounds to highlight")).to_have_value("rain")
        page.unroute("**/v1/search?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#map-message")).to_contain_text("highlighted")
        page.route("**/v1/clips/*", refusing(503))
        step(page, "ArrowRight", "ArrowLeft", "Enter")
        expect(page.locator("#map-card")).to_contain_text("The service has a problem")
        page.unroute("**/v1/clips/*")
        page.locator("#map-card").get_by_role("button", name="Try again").click()
        expect(page.locator("#map-card h2")).to_be_visible()
