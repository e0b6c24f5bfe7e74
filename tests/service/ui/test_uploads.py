"""The user's sound on the page: chosen, recorded, tagged, and refused when it is too large."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.service.ui.browser import (
    CHROMIUM,
    FLAGS,
    Watch,
    free_port,
    in_browser,
    needs_chromium,
    position,
    serving,
    until,
    visiting,
)
from tests.service.ui.uploads import (
    DOG,
    MICROPHONE,
    RAIN,
    choose,
    choose_and_tag,
    drop,
    row,
    violations,
)

PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser with a microphone that beeps."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=MICROPHONE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def very_long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten and a half minutes of a tone."""
    path = tmp_path_factory.mktemp("long") / "hum.flac"
    soundfile.write(path, 0.3 * np.sin(0.1 * np.arange(630 * 8_000)), 8_000)
    return path


def _holding(held: list[Route]) -> Callable[[Route], None]:
    """Keeps requests back until they are let go."""

    def hold(route: Route) -> None:
        held.append(route)

    return hold


@in_browser
@needs_chromium
class TestGiving:
    def test_damage_is_told_until_the_next_sound(self, page: Page, tmp_path: Path) -> None:
        whole, cut = tmp_path / "whole.wav", tmp_path / "cut.wav"
        soundfile.write(whole, 0.3 * np.sin(0.1 * np.arange(4 * 8_000)), 8_000)
        cut.write_bytes(whole.read_bytes()[: 44 + 2 * 8_000])
        choose_and_tag(page, cut)
        expect(page.locator("#tag-problem")).to_have_text(
            "This file is damaged: 3.0 s of it cannot be read and are left out."
        )
        assert violations(page) == []
        choose(page, whole)
        expect(page.locator("#sound")).to_contain_text("whole.wav")
        expect(page.locator("#tag-problem")).to_be_empty()

    def test_chosen_file_is_tagged(self, page: Page, long_sound: Path) -> None:
        page.get_by_role("link", name="Tag", exact=True).click()
        choose(page, long_sound)
        expect(page.locator("#less-likely-tags li")).to_have_count(8)
        expect(page.locator("#less-likely-tags li").first).to_contain_text(" %")
        expect(page.locator("#sound")).to_contain_text("long noise.wav")
        expect(page.locator("#sound .time")).to_have_text("0:12")
        expect(page.locator("#sound .outline path")).to_have_count(2)
        tag = page.locator("#less-likely-tags .chip").first.text_content()
        page.locator("#less-likely-tags .chip").first.click()
        expect(page.locator("#query")).to_have_value(tag or "")
        page.go_back()
        expect(page.locator("#less-likely-tags li")).to_have_count(8)

    def test_file_dropped_anywhere_is_tagged(self, page: Page) -> None:
        drop(page, DOG, "#find")
        expect(page).to_have_url("/#tag")
        expect(page.locator("#sound")).to_contain_text(DOG.name)
        expect(page.locator("#tags li").first).to_be_visible()
        page.locator("#sound .play").click()
        until(lambda: position(page) > 0.1)
        drop(page, RAIN, "#tags")
        expect(page.locator("#sound")).to_contain_text(RAIN.name)
        expect(row(page, "rain")).to_be_visible()
        assert position(page) == 0

    def test_recording_is_tagged_played_and_classified(
        self, chromium: Browser, page_address: str
    ) -> None:
        with visiting(
            chromium, page_address, permissions=["microphone"], viewport=PHONE, has_touch=True
        ) as (page, _):
            page.goto("/#tag")
            page.get_by_role("button", name="Record").tap()
            expect(page.get_by_role("timer")).to_have_text("0:01")
            level = page.get_by_role("meter")
            until(lambda: level.get_attribute("aria-valuenow") != "0")  # it beeps once a second
            until(lambda: level.get_attribute("aria-valuenow") == "0")
            assert violations(page) == []
            page.get_by_role("button", name="Stop recording").tap()
            expect(page.locator("#tag-status")).to_contain_text("suggested")
            expect(page.locator("#sound h2")).to_contain_text("Recording 2")
            assert page.locator("html").evaluate("page => page.scrollWidth") == 390
            page.locator("#sound .seek").fill("1")
            page.locator("#sound .play").tap()
            until(lambda: 1 < position(page) < 4)
            page.get_by_role("link", name="Classify").tap()
            page.get_by_role("textbox", name="Your labels").fill("beep, rain")
            page.keyboard.press("Enter")
            expect(page.locator("#classes li")).to_have_count(2)
            page.get_by_role("button", name="Record again").tap()
            page.get_by_role("link", name="Find").tap()  # ends it, and keeps what there is
            page.get_by_role("link", name="Tag").tap()
            expect(page.get_by_role("button", name="Record again")).to_be_visible()

    def test_no_microphone_is_said_kindly(self, chromium: Browser, page_address: str) -> None:
        with visiting(chromium, page_address) as (page, _):
            page.goto("/#tag")
            page.get_by_role("button", name="Record").click()
            expect(page.locator("#record-problem")).to_contain_text("microphone was denied")
            assert violations(page) == []
            choose(page, RAIN)
            expect(page.locator("#record-problem")).to_be_empty()
        with (
            chromium.browser_type.launch(executable_path=CHROMIUM, args=FLAGS) as without,
            visiting(without, page_address, permissions=["microphone"]) as (page, _),
        ):
            page.goto("/#tag")
            page.get_by_role("button", name="Record").click()
            expect(page.locator("#record-problem")).to_contain_text("No microphone was found")


@in_browser
@needs_chromium
class TestListening:
    def test_where_a_tag_was_heard_is_marked_and_played(self, page: Page) -> None:
        choose_and_tag(page, RAIN)
        expect(page.locator("#sound .marks span")).to_have_count(0)
        row(page, "rain").hover()
        expect(page.locator("#sound .marks span")).to_have_count(3)
        moments = row(page, "rain").get_by_role("button", name="Play rain from")
        starts = [int(start.split(":")[1]) for start in moments.all_text_contents()]
        seconds = max(starts)  # the best come first, in no order of time
        assert seconds > 0
        moments.nth(starts.index(seconds)).click()
        until(lambda: position(page) > 0)
        assert seconds <= position(page) < seconds + 2

    def test_short_sounds_show_no_progress(self, page: Page) -> None:
        page.goto("/#tag")
        page.evaluate(
            """() => { window.flickers = 0;
            new MutationObserver(() => { window.flickers += 1; })
              .observe(document.getElementById("tag-progress"), {childList: true}); }"""
        )
        choose(page, RAIN)
        expect(row(page, "rain")).to_be_visible()
        drop(page, DOG, "#tag")
        expect(row(page, "animal")).to_be_visible()
        assert page.evaluate("window.flickers") <= 4  # emptied when done: nothing was put in
        assert page.locator("#tag-progress").text_content() == ""

    def test_progress_is_told_and_can_be_cancelled(self, page: Page, very_long: Path) -> None:
        held: list[Route] = []
        page.goto("/#tag")
        page.route("**/v1/tags?*", _holding(held))
        choose(page, very_long)
        expect(page.locator("#tag-progress")).to_contain_text("…")
        expect(page.locator("#tag-status")).to_have_text("Analysing…")
        assert violations(page) == []
        cancel = page.get_by_role("button", name="Cancel")
        cancel.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#tag-problem")).to_contain_text("Cancelled")
        expect(page.get_by_role("button", name="Try again")).to_be_focused()
        page.unroute("**/v1/tags?*")
        choose(page, RAIN)
        expect(row(page, "rain")).to_be_visible()
        expect(page.locator("#tag-problem")).to_be_empty()

    def test_late_answer_of_another_sound_is_ignored(self, page: Page) -> None:
        held: list[Route] = []
        page.goto("/#tag")
        page.route("**/v1/tags?*", _holding(held))
        with page.expect_request("**/v1/tags?*"):
            choose(page, DOG)
        page.unroute("**/v1/tags?*")
        choose(page, RAIN)
        expect(row(page, "rain")).to_be_visible()
        expect(row(page, "mammal")).to_have_count(0)


@in_browser
@needs_chromium
class TestTrouble:
    def test_too_long_is_told_with_the_limit(
        self, visit: tuple[Page, Watch], very_long: Path
    ) -> None:
        page, _ = visit
        page.goto("/#tag")
        choose(page, very_long)
        expect(page.locator("#tag-problem")).to_contain_text("too long")
        expect(page.locator("#tag-problem")).to_contain_text("The limit is 10:00")
        expect(page.locator("#suggested")).to_be_hidden()

    def test_too_large_is_told_with_the_limit(
        self,
        chromium: Browser,
        page_library: Path,
        very_long: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("EARMARK_MAX_UPLOAD_MB", "0.2")
        assert very_long.stat().st_size > 200_000
        with (
            serving(page_library, free_port()) as address,
            visiting(chromium, address) as (page, watch),
        ):
            watch.failures_expected = True
            page.goto("/#tag")
            choose(page, very_long)
            expect(page.locator("#tag-problem")).to_contain_text("This file is too large.")
            expect(page.locator("#tag-problem")).to_contain_text("The limit is 0.2 MB")

    def test_busy_is_told_and_nothing_is_lost(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto("/#tag")
        body = json.dumps({"type": "/problems/busy", "detail": "32 uploads are waiting"})
        page.route(
            "**/v1/tags?*",
            lambda route: route.fulfill(status=429, body=body, headers={"Retry-After": "7"}),
        )
        choose(page, RAIN)
        expect(page.locator("#tag-problem")).to_contain_text("try again in 7 s")
        assert violations(page) == []
        page.unroute("**/v1/tags?*")
        page.get_by_role("button", name="Try again").click()
        expect(row(page, "rain")).to_be_visible()
        page.locator("#tag-input").fill("tin roof")
        page.route("**/v1/tags?*", lambda route: route.abort())
        page.keyboard.press("Enter")
        expect(page.locator("#tag-problem")).to_contain_text("cannot be reached")
        expect(page.locator("#added-tags")).to_contain_text("tin roof")
        page.unroute("**/v1/tags?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#suggestions-note")).to_contain_text("roof")

    def test_server_that_goes_while_listening(self, chromium: Browser, page_library: Path) -> None:
        port = free_port()
        with visiting(chromium, f"http://127.0.0.1:{port}") as (page, watch):
            watch.failures_expected = True
            with serving(page_library, port):
                choose_and_tag(page, RAIN)
                page.get_by_role("button", name="Accept rain", exact=True).click()
                expect(page.locator("#suggestions-note")).to_contain_text("into account: rain")
            page.get_by_role("button", name="Save feedback").click()
            expect(page.locator("#feedback-problem")).to_contain_text("cannot be reached")
            drop(page, DOG, "#tag")
            expect(page.locator("#tag-problem")).to_contain_text("cannot be reached")
            with serving(page_library, port):
                page.locator("#tag-problem").get_by_role("button", name="Try again").click()
                expect(row(page, "animal")).to_be_visible()
