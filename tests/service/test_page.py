"""The page at `/`, in a real Chromium against a real server with the starter model.

The library is made by `earmark add` of a few demo sounds and one generated long one. Every
visit also checks that the page logged no error and asked nothing of another origin. Answers
are edited in flight only where the service gives them too rarely (busy, a late match).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from service.app import UI
from tests.service.browsing import (
    CHROMIUM,
    DEMO,
    FLAGS,
    Watch,
    free_port,
    make_library,
    serving,
    until,
    visiting,
)

MARKUP = "<img src=x onerror=alert(1)> dog <b>bold</b>"
in_browser = pytest.mark.browser
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).is_file(), reason=f"no Chromium at {CHROMIUM} (set CHROMIUM)"
)


@pytest.fixture(scope="module")
def long_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds: noise, then a tone."""
    path = tmp_path_factory.mktemp("sounds") / "long noise.wav"
    seconds = np.arange(12 * 8000) / 8000
    noise = np.random.default_rng(0).normal(0, 0.1, len(seconds))
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(path, np.where(seconds < 8, noise, tone), 8000)
    return path


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, long_sound: Path) -> Path:
    """A library of a few demo sounds, and the long one with markup for a title."""
    return make_library(tmp_path_factory.mktemp("page"), long_sound, MARKUP)


@pytest.fixture(scope="module")
def address(library: Path) -> Iterator[str]:
    """A server for all tests."""
    with serving(library, free_port()) as address:
        yield address


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Browser, address: str) -> Iterator[tuple[Page, Watch]]:
    """A watched page at the start."""
    with visiting(chromium, address, permissions=["clipboard-read", "clipboard-write"]) as opened:
        opened[0].goto("/")
        yield opened


@pytest.fixture
def page(visit: tuple[Page, Watch]) -> Page:
    """A page at the start."""
    return visit[0]


def _position(page: Page) -> float:
    return float(page.locator("#player").evaluate("audio => audio.paused ? 0 : audio.currentTime"))


def _type(page: Page, words: str) -> None:
    page.locator("#query").press_sequentially(words, delay=20)


def _refusing(status: int) -> Callable[[Route], None]:
    body = json.dumps({"type": "/problems/unavailable", "detail": "the disk is full"})

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=body, headers={"Retry-After": "7"})

    return refuse


def _titles(page: Page) -> list[str]:
    return page.locator("#results h2").all_text_contents()


def test_page_is_small_and_holds_no_inline_code() -> None:
    assert sum(file.stat().st_size for file in UI.iterdir()) < 40_000
    html = (UI / "index.html").read_text()
    assert "<style" not in html and " style=" not in html and " on" + "click" not in html
    assert html.count("<script") == html.count('<script type="module" src="/app.js">') == 1
    assert not any("innerHTML" in file.read_text() for file in UI.glob("*.js"))


@in_browser
@needs_chromium
class TestFinding:
    def test_typing_finds_sounds(self, page: Page) -> None:
        expect(page.locator("#query")).to_be_focused()
        expect(page.locator("#model")).to_contain_text("Model: ")
        _type(page, "thunder")
        first = page.locator(".result").first
        expect(first.locator("h2")).to_contain_text("hunder")
        expect(first).to_contain_text("by words: thunder")
        expect(first.get_by_role("meter", name="Similarity")).to_be_visible()
        expect(page.get_by_role("status").first).to_contain_text("for “thunder”")
        assert page.title() == "thunder – Earmark"

    def test_address_keeps_the_query_and_back_works(self, page: Page) -> None:
        _type(page, "thun")
        expect(page).to_have_url("/?q=thun")
        _type(page, "der")
        expect(page).to_have_url("/?q=thunder")
        page.locator(".result .chip", has_text="storm").first.click()
        expect(page).to_have_url("/?q=storm")
        expect(page.locator("#query")).to_have_value("storm")
        page.go_back()
        expect(page.locator("#query")).to_have_value("thunder")
        expect(page.locator("#found")).to_contain_text("“thunder”")
        page.go_back()  # what was typed in pieces is one step
        expect(page.locator("#examples")).to_be_visible()
        expect(page.locator("#query")).to_have_value("")
        page.goto("/?q=dog+bark")
        expect(page.locator("#found")).to_contain_text("“dog bark”")

    def test_late_answer_to_older_words_is_ignored(self, page: Page) -> None:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/v1/search?q=dog*", hold)
        with page.expect_request("**/v1/search?q=dog*"):
            _type(page, "dog")
        page.locator("#query").fill("thunder")
        expect(page.locator("#found")).to_contain_text("“thunder”")
        held[0].fulfill(json={"hits": [], "understood": [], "ignored": []})
        page.wait_for_timeout(300)
        expect(page.locator("#found")).to_contain_text("“thunder”")

    def test_words_not_understood_and_nothing_found_are_told(self, page: Page) -> None:
        page.goto("/?q=thunder+xqzvbrr")
        expect(page.locator("#found")).to_contain_text("Not used: xqzvbrr.")
        expect(page.locator(".result").first).to_be_visible()
        page.locator("#query").fill("xqzvbrr")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_contain_text("Nothing found for “xqzvbrr”")
        expect(page.locator(".result")).to_have_count(0)

    def test_titles_are_text_not_markup(self, page: Page) -> None:
        page.goto("/?q=bold+dog")
        expect(page.locator("#results h2", has_text="<img src=x")).to_be_visible()
        assert MARKUP in _titles(page)
        expect(page.locator("#results img, #results b")).to_have_count(0)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_fits_a_phone(self, chromium: Browser, address: str, scheme: str) -> None:
        screen = {"width": 390, "height": 844}
        with visiting(chromium, address, viewport=screen, color_scheme=scheme) as (page, _):
            for where in ("/", "/?q=thunder+dog", "/#tag"):
                page.goto(where)
                expect(page.locator("#results > li, #examples, #drop").last).to_be_attached()
                assert page.locator("html").evaluate("page => page.scrollWidth") == 390


@in_browser
@needs_chromium
class TestPlaying:
    def test_one_sound_plays_at_a_time(self, page: Page) -> None:
        page.goto("/?q=thunder+rain")
        buttons = page.locator("#results .play")
        buttons.nth(0).click()
        until(lambda: _position(page) > 0.2)
        expect(buttons.nth(0)).to_have_accessible_name(f"Pause {_titles(page)[0]}")
        buttons.nth(1).click()
        expect(buttons.nth(1)).to_have_attribute("data-state", "playing")
        expect(page.locator(".play[data-state=playing]")).to_have_count(1)
        until(lambda: _position(page) > 0.2)
        expect(page.locator("#results .seek").nth(1)).not_to_have_value("0")
        buttons.nth(1).click()
        expect(page.locator(".play[data-state=playing]")).to_have_count(0)

    def test_starts_where_the_match_is(self, page: Page) -> None:
        def later(route: Route) -> None:
            answer = route.fetch()
            body = answer.json()
            body["hits"] = [{**hit, "start": 9.5} for hit in body["hits"] if hit["duration"] > 10]
            route.fulfill(response=answer, json=body)

        page.route("**/v1/search?*", later)
        page.goto("/?q=dog+bold")
        expect(page.get_by_role("button", name="match at 0:09")).to_be_visible()
        page.locator("#results .play").click()
        until(lambda: _position(page) > 9.6)
        page.locator("#results .seek").fill("2")
        until(lambda: 2 < _position(page) < 9)
        page.get_by_role("button", name="match at 0:09").click()
        until(lambda: _position(page) > 9.5)

    @pytest.mark.parametrize("key", ["Enter", "Space"])
    def test_keyboard_alone_suffices(self, page: Page, key: str) -> None:
        page.keyboard.type("thunder")
        expect(page.locator(".result").first).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.locator("#results .play").first).to_be_focused()
        page.keyboard.press(key)
        until(lambda: _position(page) > 0.1)


@in_browser
@needs_chromium
class TestTagging:
    def test_chosen_file_is_tagged(self, page: Page, long_sound: Path) -> None:
        page.get_by_role("link", name="Tag a sound").click()
        page.locator("#file").set_input_files(long_sound)
        expect(page.locator("#tags li")).to_have_count(10)
        expect(page.locator("#tags li").first).to_contain_text(" %")
        expect(page.locator("#sound")).to_contain_text("long noise.wav")
        tags = page.locator("#tags .chip").all_text_contents()
        page.get_by_role("button", name="Copy tags").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("() => navigator.clipboard.readText()") == ", ".join(tags)
        page.locator("#tags").get_by_role("button", name="Play from").first.click()
        until(lambda: _position(page) > 0)
        page.locator("#tags .chip").first.click()
        expect(page.locator("#query")).to_have_value(tags[0])
        assert _position(page) == 0
        page.go_back()
        expect(page.locator("#tags li")).to_have_count(10)

    def test_file_dropped_anywhere_is_tagged(self, page: Page) -> None:
        data = list((DEMO / "audio" / "dog-barking-1.ogg").read_bytes())
        files = page.evaluate_handle(
            """data => { const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(data)], "dropped.ogg"));
            return carried; }""",
            data,
        )
        page.dispatch_event("#find", "dragover", {"dataTransfer": files})
        page.dispatch_event("#find", "drop", {"dataTransfer": files})
        expect(page).to_have_url("/#tag")
        expect(page.locator("#sound")).to_contain_text("dropped.ogg")
        expect(page.locator("#tags li")).to_have_count(10)
        page.locator("#sound .play").click()
        until(lambda: _position(page) > 0.1)

    def test_own_labels_share_one(self, page: Page, long_sound: Path) -> None:
        page.goto("/#tag")
        page.locator("#file").set_input_files(long_sound)
        page.get_by_label("Your own labels").fill("dog,")
        page.keyboard.press("Enter")
        expect(page.locator("#own-note")).to_contain_text("At least two")
        page.get_by_label("Your own labels").fill("dog, rain, siren")
        page.keyboard.press("Enter")
        meters = page.locator("#classes").get_by_role("meter")
        expect(meters).to_have_count(3)
        shares = [float(each.get_attribute("aria-valuenow") or "nan") for each in meters.all()]
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert shares == sorted(shares, reverse=True)
        expect(page.locator("#classes li").first).to_contain_text(f"{round(100 * shares[0])} %")


@in_browser
@needs_chromium
class TestTrouble:
    def test_file_that_is_no_sound(self, visit: tuple[Page, Watch], tmp_path: Path) -> None:
        page, watch = visit
        watch.failures_expected = True
        (tmp_path / "notes.wav").write_text("not a sound at all\n" * 100)
        _type(page, "thunder")
        expect(page.locator(".result").first).to_be_visible()
        page.get_by_role("link", name="Tag a sound").click()
        page.locator("#file").set_input_files(tmp_path / "notes.wav")
        expect(page.get_by_role("alert").filter(has_text="could not be heard")).to_be_visible()
        expect(page.get_by_role("button", name="Try again")).to_have_count(0)
        page.locator("#sound .play").click()
        expect(page.locator("#sound .time")).to_have_text("cannot be played")
        page.get_by_role("link", name="Find sounds").click()
        expect(page.locator("#query")).to_have_value("thunder")
        expect(page.locator(".result").first).to_be_visible()

    def test_refusals_are_said_kindly(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto(f"/?q={'dog+' * 200}")
        expect(page.get_by_role("alert")).to_contain_text("String should have at most 500")
        for status, said in ((429, "try again in 7 s"), (503, "the disk is full")):
            page.route("**/v1/search?*", _refusing(status))
            page.locator("#query").fill(f"rain {status}")
            expect(page.get_by_role("alert").locator("p").last).to_contain_text(said)
            page.unroute("**/v1/search?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".result").first).to_be_visible()
        expect(page.get_by_role("alert").first).to_be_empty()

    def test_server_goes_and_comes_back(self, chromium: Browser, library: Path) -> None:
        port = free_port()
        with visiting(chromium, f"http://127.0.0.1:{port}") as (page, watch):
            watch.failures_expected = True
            with serving(library, port):
                page.goto("/")
                _type(page, "thunder")
                expect(page.locator(".result").first).to_be_visible()
            page.locator("#query").fill("rain")
            expect(page.get_by_role("alert").first).to_contain_text("cannot be reached")
            expect(page.locator("#query")).to_have_value("rain")
            with serving(library, port):
                page.get_by_role("button", name="Try again").click()
                expect(page.locator("#found")).to_contain_text("“rain”")
