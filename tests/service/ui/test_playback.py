"""A bench for ears: spectrograms, loops, speed, level, and sounds that are dragged out.

In a real Chromium, by keyboard where there are keys.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.service.ui.browser import (
    LARGE,
    SMALL,
    Watch,
    in_browser,
    needs_chromium,
    played,
    position,
    until,
    visiting,
)
from tests.service.ui.uploads import violations

LONG = "/?q=bold+dog&min_duration=11&max_duration=13"  # one sound of twelve seconds
SIZES = {"large": {"viewport": LARGE}, "small": {"viewport": SMALL, "has_touch": True}}


def _first(page: Page) -> Locator:
    item = page.locator("#results .result").first
    expect(item.locator(".track.drawn")).to_be_visible()
    return item


def _of_player(page: Page, field: str) -> Any:
    return page.locator("#player").evaluate(f"audio => audio.{field}")


def _width(page: Page) -> int:
    return int(page.locator(".spectrogram img").first.evaluate("picture => picture.naturalWidth"))


@in_browser
@needs_chromium
@pytest.mark.parametrize("size", SIZES)
def test_spectrograms_follow_the_view_and_are_remembered(
    chromium: Browser, page_address: str, size: str
) -> None:
    options: dict[str, Any] = SIZES[size]
    with visiting(chromium, page_address, **options) as (page, watch):
        page.goto(LONG)
        item = _first(page)
        page.get_by_role("button", name="Spectrograms").click()
        picture = item.get_by_role("img", name=re.compile("^Spectrogram of .*, up to 4k Hz"))
        expect(picture.locator("img")).to_be_visible()
        assert _width(page) == (400 if size == "small" else 800)
        item.locator(".seek").fill("9")
        with page.expect_response(
            re.compile(r"/spectrogram\?width=\d+&height=160&start=4\.5&end=10\.5$")
        ):
            item.get_by_role("button", name="Zoom in").click()
        expect(picture.locator("img")).to_have_count(2)  # the whole lies under it
        assert page.locator("html").evaluate("page => page.scrollWidth <= innerWidth")
        item.locator(".play").click()
        until(lambda: position(page) > 9)
        page.get_by_label("Speed").select_option("0.5")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert violations(page) == []
        page.reload()
        expect(picture.locator("img")).to_be_visible()
        page.get_by_role("button", name="Spectrograms").click()
        expect(picture).to_be_hidden()
        whole = [address for address in watch.addresses if address.endswith("&height=160")]
        assert len(whole) == 2  # read once, and once more by the page that was loaded anew


@in_browser
@needs_chromium
def test_trouble_with_a_spectrogram_is_told(visit: tuple[Page, Watch]) -> None:
    page, watch = visit
    watch.failures_expected = True
    page.route("**/spectrogram?*", lambda route: route.fulfill(status=503, body="{}"))
    page.goto(LONG)
    _first(page)
    page.keyboard.press("Tab")
    page.keyboard.press("s")
    expect(page.get_by_text("The spectrogram cannot be read.")).to_be_visible()


@in_browser
@needs_chromium
class TestKeys:
    def test_a_part_plays_in_a_loop(self, page: Page) -> None:
        page.goto(LONG)
        item = _first(page)
        seek = item.locator(".seek")
        seek.focus()
        seek.fill("9")
        page.keyboard.press("Shift+PageUp")  # a tenth of it
        for key in "lr":
            page.keyboard.press(key)
        expect(page.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")
        until(lambda: position(page) > 9.2)
        page.locator("#player").evaluate("audio => { audio.currentTime = 10.1; }")
        until(lambda: 9 <= position(page) < 10)  # from its beginning again
        page.keyboard.press("l")
        page.locator("#player").evaluate("audio => { audio.currentTime = 10.1; }")
        page.wait_for_function("() => document.getElementById('player').paused")
        assert _of_player(page, "currentTime") == pytest.approx(10.2)

    def test_a_whole_sound_plays_in_a_loop(self, page: Page) -> None:
        page.goto(LONG)
        _first(page)
        for key in ("Tab", "n", "l"):
            page.keyboard.press(key)
        until(lambda: played(page) > 0.1)
        page.locator("#player").evaluate("audio => { audio.currentTime = 11.9; }")
        until(lambda: 0 < position(page) < 5)

    def test_speed_pitch_and_level(self, page: Page) -> None:
        page.goto("/?q=thunder")
        _first(page)
        page.keyboard.press("Tab")
        for key in "<<<hdd":
            page.keyboard.press(key)
        expect(page.locator("#playback-note")).to_have_text("Level 80 %")
        page.keyboard.press("n")
        until(lambda: played(page) > 0.05)
        fields = [_of_player(page, name) for name in ("playbackRate", "preservesPitch", "volume")]
        assert fields == [0.25, False, pytest.approx(0.64)]
        for key in ">>>>>>>>huuuu":
            page.keyboard.press(key)
        fields = [_of_player(page, name) for name in ("playbackRate", "preservesPitch", "volume")]
        assert fields == [2, True, 1]
        page.keyboard.press("d")
        page.reload()
        _first(page)
        assert _of_player(page, "volume") == pytest.approx(0.81)  # it stays, the speed does not
        assert _of_player(page, "playbackRate") == 1


@in_browser
@needs_chromium
def test_sounds_and_parts_can_be_dragged_to_other_programs(page: Page, page_address: str) -> None:
    page.goto(LONG)
    item = _first(page)
    item.get_by_role("button", name="Select a part").click()
    for name, suffix in (("Download this part", r"\d s\.wav"), ("Download <img", r"\.wav")):
        link = item.get_by_role("link", name=name)
        with page.expect_response(lambda answer: answer.request.method == "HEAD"):
            link.dispatch_event("pointerdown", {"button": 0})
        page.wait_for_timeout(50)
        carried = link.evaluate(
            """link => { const data = new DataTransfer();
            link.dispatchEvent(new DragEvent("dragstart", {bubbles: true, dataTransfer: data}));
            return [data.getData("DownloadURL"), data.getData("text/uri-list")]; }"""
        )
        address = f"{page_address}/v1/clips/"
        assert re.fullmatch(rf"audio/[\w-]+:[^:]*{suffix}:{address}.*/audio.*", carried[0])
        assert carried[0].endswith(carried[1])
