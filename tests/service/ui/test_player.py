"""Playing sounds on the page, by pointer and by keyboard, in a real Chromium."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.service.ui.browser import in_browser, needs_chromium, played, position, titles, until


def _late(route: Route) -> None:
    """Only long sounds, with moments in their midst."""
    answer = route.fetch()
    body = answer.json()
    moments = [{"start": 9.5, "end": 11, "score": 0.5}, {"start": 3, "end": 4.5, "score": 0.4}]
    body["hits"] = [
        {**hit, "start": 9.5, "moments": moments} for hit in body["hits"] if hit["duration"] > 10
    ]
    route.fulfill(response=answer, json=body)


def _focused(page: Page, place: int) -> None:
    expect(page.locator("#results .play").nth(place)).to_be_focused()


@in_browser
@needs_chromium
class TestPlaying:
    def test_one_sound_plays_at_a_time(self, page: Page) -> None:
        page.goto("/?q=thunder+rain")
        buttons = page.locator("#results .play")
        buttons.nth(0).click()
        until(lambda: played(page) > 0.1)
        expect(buttons.nth(0)).to_have_accessible_name(f"Pause {titles(page)[0]}")
        buttons.nth(1).click()
        expect(buttons.nth(1)).to_have_attribute("data-state", "playing")
        expect(page.locator(".play[data-state=playing]")).to_have_count(1)
        until(lambda: played(page) > 0.1)
        expect(page.locator("#results .seek").nth(1)).not_to_have_value("0")
        buttons.nth(1).click()
        expect(page.locator(".play[data-state=playing]")).to_have_count(0)

    def test_click_on_the_outline_seeks(self, page: Page) -> None:
        page.goto("/?q=bold+dog&min_duration=11&max_duration=13")
        track = page.locator("#results .track").first
        box = track.bounding_box()
        assert box
        track.click(position={"x": box["width"] * 0.75, "y": box["height"] / 2})
        until(lambda: 9 < position(page) < 11)
        seek = page.locator("#results .seek").first
        expect(seek).to_be_focused()
        seek.press("Home")  # keys seek as well
        until(lambda: 0 < position(page) < 8)

    def test_starts_where_the_match_is(self, page: Page) -> None:
        page.route("**/v1/search?*", _late)
        page.goto("/?q=dog+bold")
        moments = page.get_by_role("list", name="Moments").first.get_by_role("button")
        expect(moments).to_have_text(["0:09–0:11", "0:03–0:05"])
        mark = page.locator("#results .marks span").first
        start = float(mark.evaluate("mark => parseFloat(mark.style.insetInlineStart)"))
        assert start == pytest.approx(100 * 9.5 / 12, abs=0.5)
        page.locator("#results .play").first.click()
        until(lambda: position(page) > 9.6)
        page.locator("#results .seek").first.fill("2")
        until(lambda: 2 < position(page) < 9)
        moments.first.click()
        until(lambda: position(page) > 9.5)
        page.wait_for_function("() => document.getElementById('player').paused")
        assert page.locator("#player").evaluate("audio => audio.currentTime") == 11

    def test_sound_goes_on_while_one_types(self, page: Page) -> None:
        page.goto("/?q=bold+dog&min_duration=11&max_duration=13")
        page.locator("#results .play").first.click()
        until(lambda: played(page) > 0.1)
        page.locator("#query").fill("bold")
        expect(page.locator("#find-status")).to_contain_text("“bold”")
        until(lambda: position(page) > 1)
        page.locator("#query").fill("thunder")  # it is not among these
        page.wait_for_function("() => document.getElementById('player').paused")


@in_browser
@needs_chromium
class TestKeys:
    @pytest.mark.parametrize("key", ["Enter", "Space"])
    def test_from_the_box_to_a_sound_that_plays(self, page: Page, key: str) -> None:
        page.keyboard.type("thunder")
        expect(page.locator("#find-status")).to_contain_text("“thunder”")  # not those of "thunde"
        page.keyboard.press("ArrowDown")
        _focused(page, 0)
        page.keyboard.press(key)
        until(lambda: played(page) > 0.1)
        page.keyboard.press(key)
        until(lambda: position(page) == 0)

    def test_moving_among_sounds(self, page: Page) -> None:
        page.goto("/?q=thunder")
        expect(page.locator(".result").first).to_be_visible()
        page.locator("#find-status").click()
        for key, place in (("j", 0), ("j", 1), ("ArrowDown", 2), ("k", 1), ("ArrowUp", 0)):
            page.keyboard.press(key)
            _focused(page, place)
        for _ in range(30):  # past the first page
            page.keyboard.press("j")
            page.wait_for_timeout(30)
        focused = page.evaluate(
            "[...document.querySelectorAll('.play')].indexOf(document.activeElement)"
        )
        assert focused >= 19
        box = page.locator(":focus").bounding_box()
        assert box and 90 < box["y"] < 720  # seen, and not behind the search box
        page.keyboard.press("/")
        expect(page.locator("#query")).to_be_focused()

    def test_next_previous_pause_and_seek(self, page: Page) -> None:
        page.goto("/?q=bold+dog&min_duration=5")
        expect(page.locator(".result").first).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("n")
        _focused(page, 0)
        until(lambda: played(page) > 0.1)
        page.keyboard.press("n")
        _focused(page, 1)
        expect(page.locator("#results .play").nth(1)).to_have_attribute("data-state", "playing")
        page.keyboard.press("p")
        _focused(page, 0)
        until(lambda: played(page) > 0.1)
        page.keyboard.press("Space")
        until(lambda: position(page) == 0)
        seek = page.locator("#results .seek").first
        before = float(seek.input_value())
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert float(seek.input_value()) > before + 0.4
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert float(seek.input_value()) == pytest.approx(before, abs=0.05)

    def test_keys_are_left_to_what_has_the_focus(self, page: Page) -> None:
        page.keyboard.type("jkn p/?")
        expect(page.locator("#query")).to_have_value("jkn p/?")
        expect(page.locator("dialog")).to_have_count(0)
        page.goto("/?q=thunder")
        seek = page.locator("#results .seek").nth(1)
        seek.focus()
        page.keyboard.press("ArrowRight")
        assert 0 < float(seek.input_value()) < 1
        expect(seek).to_be_focused()
        page.keyboard.press("Control+j")
        expect(seek).to_be_focused()
        page.get_by_role("button", name="Filters").click()
        page.locator("#filters").get_by_label("Order").focus()
        page.keyboard.press("n")  # chooses "Newest first"
        expect(page).to_have_url("/?q=thunder&sort=newest")
        assert position(page) == 0

    def test_other_views_are_left_alone(self, page: Page) -> None:
        page.goto("/?q=rain")
        page.locator("#results .play").first.click()
        until(lambda: played(page) > 0.1)
        page.get_by_role("link", name="Library").click()
        expect(page.locator("#library")).to_be_visible()
        assert position(page) == 0
        page.locator("#library-title").focus()
        for key in ("Space", "ArrowRight"):
            page.keyboard.press(key)
        page.wait_for_timeout(200)
        assert position(page) == 0
        page.keyboard.press("/")
        expect(page.locator("#query")).to_be_focused()
        assert page.title() == "rain – Earmark"

    def test_help_and_switching_keys_off(self, page: Page) -> None:
        page.goto("/?q=thunder")
        page.locator("#results .play").first.focus()
        page.keyboard.press("?")
        dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
        expect(dialog).to_contain_text("play the next sound")
        page.keyboard.press("j")  # meant for nobody
        dialog.get_by_label("Use single-key shortcuts").uncheck()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        _focused(page, 0)
        page.keyboard.press("j")
        _focused(page, 0)
        page.keyboard.press("ArrowDown")
        _focused(page, 1)
        page.reload()
        page.get_by_role("button", name="Keyboard shortcuts").click()
        expect(dialog.get_by_label("Use single-key shortcuts")).not_to_be_checked()
        dialog.get_by_role("button", name="Close").click()
        expect(page.get_by_role("button", name="Keyboard shortcuts")).to_be_focused()
