"""The page at `/`, in a real Chromium against a real server with the starter model.

Every visit also checks that the page logged no error and asked nothing of another origin. Answers
are edited in flight only where the service gives them too rarely (busy, a late match).
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from earmark.service.app import UI
from tests.service import server_process
from tests.service.ui.browser import (
    Watch,
    free_port,
    in_browser,
    needs_chromium,
    played,
    proxying,
    refusing,
    serving,
    type_words,
    until,
    visiting,
)


def test_all_of_it_is_small_on_the_wire(page_address: str) -> None:
    sent = 0
    for file in filter(Path.is_file, UI.rglob("*")):
        asked = urllib.request.Request(
            f"{page_address}/{file.relative_to(UI)}", headers={"Accept-Encoding": "gzip"}
        )
        with urllib.request.urlopen(asked) as answer:
            sent += len(answer.read())
    assert 10_000 < sent < 150_000


def test_page_holds_no_inline_code() -> None:
    html = (UI / "index.html").read_text()
    assert "<style" not in html and " style=" not in html and " on" + "click" not in html
    assert html.count("<script") == html.count('<script type="module" src="app.js">') == 1
    scripts = {str(file.relative_to(UI)) for file in UI.rglob("*.js")} - {"app.js"}
    preloaded = re.findall(r'<link rel="modulepreload" href="([a-z/-]+\.js)">', html)
    assert sorted(preloaded) == sorted(scripts)  # all at once, not level by level
    assert not any("innerHTML" in file.read_text() for file in UI.rglob("*.js"))


@pytest.fixture(scope="module")
def rooted_address(page_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of that library which knows that it is under /sounds."""
    log = tmp_path_factory.mktemp("rooted") / "log"
    with server_process.serving(
        log, "--library", page_library, EARMARK_ROOT_PATH="/sounds"
    ) as server:
        yield f"http://127.0.0.1:{server.port}"


def _used_under_a_path(chromium: Browser, address: str) -> None:
    """Search, play and visit the other views of the page at /sounds/."""
    with visiting(chromium, address) as (page, watch):
        page.goto("/sounds/")
        expect(page.locator("#model")).to_contain_text("Model: ")
        type_words(page, "thunder")
        expect(page).to_have_url(f"{address}/sounds/?q=thunder")
        expect(page.locator("#results .track.drawn").first).to_be_visible()
        page.locator("#results .play").first.click()
        until(lambda: played(page) > 0.1)
        download = page.get_by_role("link", name="Download").first.get_attribute("href")
        assert page.request.get(f"{address}/sounds/{download}").ok
        for view in ("Map", "Library", "Find"):
            page.get_by_role("link", name=view, exact=True).click()
        expect(page.locator("#results h2").first).to_be_visible()
        page.get_by_role("link", name="Earmark").click()
        expect(page).to_have_url(f"{address}/sounds/")
        assert [asked for asked in watch.addresses if "/sounds/" not in asked] == []


@in_browser
@needs_chromium
def test_works_under_a_path_of_a_proxy(
    chromium: Browser, page_address: str, rooted_address: str
) -> None:
    for server in (page_address, rooted_address):  # which knows nothing of it, and which does
        with proxying(server, "/sounds/") as (proxy, refused):
            _used_under_a_path(chromium, proxy)
        assert refused == []
    _used_under_a_path(chromium, rooted_address)  # a proxy leaves the path as it is


@in_browser
@needs_chromium
def test_calls_can_be_tried_under_a_path(chromium: Browser, rooted_address: str) -> None:
    with (
        proxying(rooted_address, "/sounds/") as (proxy, refused),
        visiting(chromium, proxy) as (page, _),
    ):
        page.goto("/sounds/docs")
        call = page.locator("#operations-about-model")
        call.get_by_role("button").first.click()
        call.get_by_role("button", name="Try it out").click()
        call.get_by_role("button", name="Execute").click()
        expect(call.locator(".request-url")).to_contain_text(f"{proxy}/sounds/v1/model")
        expect(call.locator(".live-responses-table .response-col_status").last).to_contain_text(
            "200"
        )
    assert refused == []


@in_browser
@needs_chromium
class TestTrouble:
    def test_file_that_is_no_sound(self, visit: tuple[Page, Watch], tmp_path: Path) -> None:
        page, watch = visit
        watch.failures_expected = True
        (tmp_path / "notes.wav").write_text("not a sound at all\n" * 100)
        type_words(page, "thunder")
        expect(page.locator(".result").first).to_be_visible()
        page.get_by_role("link", name="Tag", exact=True).click()
        page.locator("#file").set_input_files(tmp_path / "notes.wav")
        expect(
            page.get_by_role("alert").filter(has_text="could not be read as audio")
        ).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        page.locator("#sound .play").click()
        expect(page.locator("#sound .time")).to_have_text("cannot be played")
        page.get_by_role("link", name="Find", exact=True).click()
        expect(page.locator("#query")).to_have_value("thunder")
        expect(page.locator(".result").first).to_be_visible()

    def test_refusals_are_said_kindly(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto(f"/?q={'dog+' * 200}")
        expect(page.get_by_role("alert")).to_contain_text("String should have at most 500")
        for status, text in ((429, "try again in 7 s"), (503, "the disk is full")):
            page.route("**/v1/search?*", refusing(status))
            page.locator("#query").fill(f"rain {status}")
            expect(page.get_by_role("alert").locator("p").last).to_contain_text(text)
            page.unroute("**/v1/search?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".result").first).to_be_visible()
        expect(page.get_by_role("alert").first).to_be_empty()

    def test_server_goes_and_comes_back(self, chromium: Browser, page_library: Path) -> None:
        port = free_port()
        with visiting(chromium, f"http://127.0.0.1:{port}") as (page, watch):
            watch.failures_expected = True
            with serving(page_library, port):
                page.goto("/")
                type_words(page, "thunder")
                expect(page.locator(".result").first).to_be_visible()
            page.locator("#query").fill("rain")
            expect(page.get_by_role("alert").first).to_contain_text("cannot be reached")
            expect(page.locator("#query")).to_have_value("rain")
            with serving(page_library, port):
                page.get_by_role("button", name="Try again").click()
                expect(page.locator("#find-status")).to_contain_text("“rain”")
