"""Moments of long sounds on the page: found, played, selected, asked with, downloaded, looked at.

In a real Chromium, at two sizes, by pointer, by touch and by keyboard alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.service.ui.browser import (
    LARGE,
    MARKUP,
    SMALL,
    free_port,
    in_browser,
    make_library,
    make_minute,
    needs_chromium,
    played,
    position,
    refusing,
    serving,
    titles,
    until,
    visiting,
)
from tests.service.ui.uploads import choose_and_tag, violations

TITLE = f"{MARKUP} evening"
NAMES = ("dog-barking-1", "rain-steady-1", "rooster-crowing-1", "piano-middle-c", "wind-gust-1")
SIZES = {"large": {"viewport": LARGE}, "small": {"viewport": SMALL, "has_touch": True}}


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of noise with dogs and thunder in it."""
    path = tmp_path_factory.mktemp("minute") / "minute.wav"
    make_minute(path)
    return path


@pytest.fixture(scope="module")
def minute_address(minute: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a few demo sounds and that minute, which has markup for a title."""
    folder = tmp_path_factory.mktemp("moments")
    library = make_library(folder, minute, TITLE, tags="forest", names=NAMES)
    with serving(library, free_port()) as address:
        yield address


@pytest.fixture(params=SIZES)
def sized(request: pytest.FixtureRequest, chromium: Browser, minute_address: str) -> Iterator[Page]:
    """A page of either size at the hits for a dog."""
    options: dict[str, Any] = SIZES[request.param]
    with visiting(chromium, minute_address, **options) as (page, _):
        page.goto("/?q=dog+bark")
        expect(page.locator("#find-status")).to_contain_text("“dog bark”")
        yield page


def _minute(page: Page) -> Locator:
    """The hit of a minute, drawn."""
    item = page.locator("#results .result").filter(has=page.get_by_role("heading", name=TITLE))
    expect(item.locator(".track.drawn")).to_be_visible()
    return item


def _select(page: Page, item: Locator, first: float, last: float) -> None:
    """Drag over the outline, from one share of its width to another."""
    track = item.locator(".track")
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + first * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + last * box["width"], y, steps=3)
    page.mouse.up()


def _edges(item: Locator) -> list[float]:
    """Where the selection begins and ends, in seconds."""
    return [
        float(edge.get_attribute("aria-valuenow") or "nan") for edge in item.locator(".edge").all()
    ]


def _paused(page: Page) -> bool:
    return bool(page.locator("#player").evaluate("audio => audio.paused"))


def _now(page: Page) -> float:
    """Seconds into the sound that plays, or that has stopped at the end of a part."""
    return float(page.locator("#player").evaluate("audio => audio.currentTime"))


def _download(page: Page, link: Locator) -> tuple[str, bytes]:
    with page.expect_download() as download:
        link.click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def _press(page: Page, keys: str) -> None:
    for key in keys.split():
        page.keyboard.press(key)


def _tab_to(page: Page, target: Locator) -> None:
    """Go there with the Tab key alone."""
    for _ in range(60):
        if target.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError("the Tab key does not lead there")


@in_browser
@needs_chromium
class TestMoments:
    def test_moment_is_marked_and_played_to_its_end(self, sized: Page) -> None:
        item = _minute(sized)
        moment = item.get_by_role("list", name="Moments").get_by_role("button").first
        [start, end] = [60 * int(m) + int(s) for m, s in re.findall(r"(\d+):(\d\d)", _text(moment))]
        assert start < 24 < end + 2  # where the dogs bark
        track = item.locator(".track")  # where it starts to play is not drawn as played
        assert track.evaluate("track => track.style.getPropertyValue('--done')") == "0%"
        mark = item.locator(".marks span").first
        share = float(mark.evaluate("mark => parseFloat(mark.style.insetInlineStart)"))
        assert share == pytest.approx(100 * start / 60, abs=2)
        moment.click()
        until(lambda: start < _now(sized) <= end)
        sized.locator("#player").evaluate("(audio, end) => { audio.currentTime = end - 1; }", end)
        until(lambda: _paused(sized))
        now = _now(sized)
        assert end - 1 < now <= end
        item.locator(".play").click()  # goes on from there, past the end of the moment
        until(lambda: position(sized) > now + 0.2)

    def test_titles_are_text_in_every_name(self, sized: Page) -> None:
        item = _minute(sized)
        item.get_by_role("button", name=f"Select a part of {TITLE}").click()
        item.get_by_role("button", name=f"What is heard when in {TITLE}").click()
        expect(item.locator(".lane button").first).to_be_visible()
        expect(sized.locator("#results img, #results b")).to_have_count(0)


def _text(locator: Locator) -> str:
    return locator.text_content() or ""


@in_browser
@needs_chromium
class TestParts:
    def test_part_is_selected_played_and_downloaded(self, sized: Page, minute: Path) -> None:
        item = _minute(sized)
        _select(sized, item, 0.6, 0.3)  # from right to left
        start, end = _edges(item)
        assert [start, end] == pytest.approx([18, 36], abs=0.5)
        assert _paused(sized)  # dragging selects, and does not play
        expect(item.get_by_role("status").first).to_contain_text("Selected: 0:1")
        item.get_by_role("button", name="Play this part").click()
        until(lambda: start < _now(sized) <= end)
        name, body = _download(sized, item.get_by_role("link", name="Download this part"))
        assert name.endswith(".wav")
        part, rate = soundfile.read(io.BytesIO(body))
        whole, _ = soundfile.read(minute)
        assert np.array_equal(part, whole[round(start * rate) : round(end * rate)])
        item.get_by_role("button", name="Clear").click()
        expect(item.get_by_role("button", name="Play this part")).to_be_hidden()
        expect(item.locator(".edge").first).to_be_hidden()

    def test_part_is_asked_with_and_shared(self, sized: Page) -> None:
        item = _minute(sized)
        _select(sized, item, 20.5 / 60, 25 / 60)
        start, end = _edges(item)
        item.get_by_role("link", name="More like this part").click()
        expect(sized).to_have_url(re.compile(rf"\?like=[^&]+&start={start:g}&end={end:g}$"))
        heading = sized.get_by_role("heading", name=f"0:20.5–0:25.0 of “{TITLE}”")
        expect(heading).to_be_visible()
        expect(sized.locator("#find-status")).to_contain_text("most similar first")
        assert titles(sized)[0] == "Two dogs barking"
        assert TITLE not in titles(sized)
        sized.reload()
        expect(heading).to_be_visible()
        expect(sized.locator(".result h2").first).to_have_text("Two dogs barking")
        sized.get_by_role("button", name="Remove part").click()  # now with the whole
        expect(sized).to_have_url(re.compile(r"\?like=[^&]+$"))
        sized.go_back()
        expect(heading).to_be_visible()
        sized.go_back()
        expect(sized.locator("#query")).to_have_value("dog bark")

    def test_part_over_the_limit_is_not_asked_with(self, sized: Page) -> None:
        def shorten(route: Route) -> None:
            answer = route.fetch()
            route.fulfill(response=answer, json={**answer.json(), "max_seconds": 12})

        sized.route("**/v1/model", shorten)
        with sized.expect_response("**/v1/model"):
            sized.reload()
        item = _minute(sized)
        link = item.get_by_role("link", name="More like this part")
        _select(sized, item, 0.2, 0.5)
        note = item.get_by_text("Too long to search with: 12 seconds at most")
        expect(note).to_be_visible()
        expect(link).to_be_hidden()
        expect(item.get_by_role("link", name="Download this part")).to_be_visible()
        expect(item.get_by_role("button", name="Select a part")).to_be_hidden()
        item.get_by_role("button", name="Clear").click()
        expect(item.get_by_role("button", name="Select a part")).to_be_focused()
        _select(sized, item, 0.4, 0.5)
        expect(link).to_be_visible()
        expect(note).to_be_hidden()

    def test_edges_are_dragged(self, sized: Page) -> None:
        item = _minute(sized)
        _select(sized, item, 0.2, 0.4)
        _select(sized, item, 0.4, 0.7)  # by its end
        assert _edges(item) == pytest.approx([12, 42], abs=0.6)
        _select(sized, item, 0.2, 0.8)  # its beginning over its end
        assert _edges(item) == pytest.approx([42, 48], abs=0.6)
        _select(sized, item, 0.5, 0.5)  # a click seeks, and leaves the selection
        until(lambda: 29 < position(sized) < 33)
        assert _edges(item) == pytest.approx([42, 48], abs=0.6)

    def test_part_is_selected_by_touch(self, chromium: Browser, minute_address: str) -> None:
        options: dict[str, Any] = SIZES["small"]
        with visiting(chromium, minute_address, **options) as (page, _):
            page.goto("/?q=dog+bark")
            item = _minute(page)
            item.locator(".track").scroll_into_view_if_needed()
            box = item.locator(".track").bounding_box()
            assert box
            touch = page.context.new_cdp_session(page)
            y = box["y"] + box["height"] / 2
            for kind, share in (("Start", 0.25), ("Move", 0.3), ("Move", 0.4), ("Move", 0.5)):
                points = [{"x": box["x"] + share * box["width"], "y": y}]
                touch.send(
                    "Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points}
                )
            touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
            expect(item.get_by_role("button", name="Play this part")).to_be_visible()
            assert _edges(item) == pytest.approx([15, 30], abs=1)
            assert _paused(page)

    def test_part_of_ones_own_sound_is_asked_with(self, sized: Page, minute: Path) -> None:
        choose_and_tag(sized, minute)
        item = sized.locator("#sound")
        expect(item.locator(".track.drawn")).to_be_visible()
        _select(sized, item, 20.5 / 60, 25 / 60)
        item.get_by_role("button", name="Play this part").click()
        until(lambda: 20 < _now(sized) < 25.5)
        sized.get_by_role("button", name="Find similar sounds").click()
        status = sized.locator("#similar-status")
        expect(status).to_contain_text("most similar to 0:20.5–0:25.0 first")
        found = sized.locator("#similar h2").all_text_contents()
        assert set(found[:2]) == {TITLE, "Two dogs barking"}  # it holds this very part


@in_browser
@needs_chromium
class TestKeyboard:
    def test_from_words_to_a_part_and_what_is_like_it(self, sized: Page, minute: Path) -> None:
        sized.goto("/")
        sized.keyboard.type("dog barks")
        expect(sized.locator("#find-status")).to_contain_text("“dog barks”")
        item = _minute(sized)
        sized.keyboard.press("ArrowDown")
        _tab_to(sized, item.get_by_role("list", name="Moments").get_by_role("button").first)
        sized.keyboard.press("Enter")
        until(lambda: _now(sized) > 10)
        _tab_to(sized, item.get_by_role("button", name=f"Select a part of {TITLE}"))
        sized.keyboard.press("Enter")
        beginning = sized.get_by_role("slider", name=f"Beginning of the part of {TITLE}")
        expect(beginning).to_be_focused()
        _press(sized, "Home ArrowRight Tab Home Shift+ArrowRight")
        start, end = _edges(item)
        assert [start, end] == pytest.approx([0.6, 6.61])
        sized.keyboard.press("Tab")
        expect(item.get_by_role("button", name="Play this part")).to_be_focused()
        sized.keyboard.press("Enter")
        until(lambda: start < _now(sized) <= end)
        _press(sized, "Tab Tab")
        expect(item.get_by_role("link", name="Download this part")).to_be_focused()
        with sized.expect_download() as download:
            sized.keyboard.press("Enter")
        info = soundfile.info(download.value.path())
        assert info.duration == pytest.approx(end - start)
        _press(sized, "Shift+Tab Enter")
        expect(sized).to_have_url(re.compile(rf"\?like=[^&]+&start={start:g}&end={end:g}$"))
        expect(sized.locator("#find-status")).to_be_focused()
        expect(sized.locator(".result h2").first).to_be_visible()

    def test_part_by_shift_and_arrows_on_the_outline(self, sized: Page) -> None:
        item = _minute(sized)
        seek = item.locator(".seek")
        seek.focus()
        seek.fill("12")
        _press(sized, "Shift+ArrowRight Shift+ArrowRight Shift+PageUp")
        assert _edges(item) == pytest.approx([12, 19.2])
        _press(sized, "Shift+ArrowLeft Shift+PageDown Shift+PageDown")  # past where it began
        assert _edges(item) == pytest.approx([6.6, 12])
        expect(seek).to_have_value("12")
        sized.keyboard.press("Tab")
        expect(item.get_by_role("slider", name="Beginning of the part")).to_be_focused()
        sized.keyboard.press("Escape")
        expect(seek).to_be_focused()
        expect(item.locator(".edge").first).to_be_hidden()


@in_browser
@needs_chromium
class TestZoom:
    def test_outline_of_a_stretch(self, sized: Page) -> None:
        item = _minute(sized)
        view = item.get_by_role("group", name=f"View of {TITLE}")
        item.locator(".seek").fill("30")
        whole = item.locator(".outline .rest").get_attribute("d")
        with sized.expect_response(re.compile(r"/waveform\?points=\d+&start=22\.5&end=37\.5$")):
            view.get_by_role("button", name="Zoom in").click()
            view.get_by_role("button", name="Zoom in").click()
        expect(view.get_by_role("status")).to_have_text("0:22.5–0:37.5")
        until(lambda: item.locator(".outline .rest").get_attribute("d") != whole)
        _select(sized, item, 0.5, 1)
        assert _edges(item) == pytest.approx([30, 37.5], abs=0.2)
        item.locator(".track").click(position={"x": 1, "y": 10})
        until(lambda: 22 < position(sized) < 30)
        item.locator(".play").click()
        view.get_by_role("button", name="Later").click()
        expect(view.get_by_role("status")).to_have_text("0:34.5–0:49.5")
        view.get_by_role("button", name="All of the sound").click()
        expect(view.get_by_role("status")).to_be_empty()
        expect(item.locator(".outline .rest")).to_have_attribute("d", whole or "")
        assert _edges(item) == pytest.approx([30, 37.5], abs=0.2)

    def test_by_keys(self, sized: Page) -> None:
        item = _minute(sized)
        times = item.get_by_role("group", name="View of").get_by_role("status")
        seek = item.locator(".seek")
        seek.focus()
        seek.fill("0")
        item.locator(".marks").evaluate("marks => marks.replaceChildren()")
        seek.fill("1")
        _press(sized, "+ +")
        expect(times).to_have_text(re.compile("^0:00.8–0:15.8$"))
        for _ in range(102):  # past the end of the view
            sized.keyboard.press("ArrowRight")
        assert float(seek.input_value()) == pytest.approx(16.3)
        expect(times).to_have_text(re.compile("^0:1[0-9]"))
        _press(sized, "- 0")
        expect(times).to_be_empty()
        assert float(seek.input_value()) == pytest.approx(16.3)


@in_browser
@needs_chromium
class TestLanes:
    def test_what_is_heard_when(self, sized: Page) -> None:
        item = _minute(sized)
        button = item.get_by_role("button", name="What is heard when")
        button.click()
        expect(button).to_have_attribute("aria-expanded", "true")
        dog = item.get_by_role("toolbar", name="dog", exact=True).get_by_role("button")
        [label] = [str(dog.first.get_attribute("aria-label"))]
        assert re.fullmatch(r"dog, 0:(19|20)–0:2[67], \d\d %", label), label
        place = float(dog.first.evaluate("node => parseFloat(node.style.insetInlineStart)"))
        assert place == pytest.approx(100 * 20 / 60, abs=3)
        dog.first.click()
        until(lambda: 19 < _now(sized) < 27)
        item.get_by_text("As a list").click()
        thunder = item.get_by_role("button", name="Play thunder, 0:45")
        expect(item.locator(".heard-list dd").first).to_contain_text(" %")
        thunder.first.click()
        until(lambda: 45 < _now(sized) < 50)
        link = item.get_by_role("link", name=f"Save what is heard in {TITLE} as Audacity labels")
        _, labels = _download(sized, link)
        assert re.search(rb"^(19|20)\.\d+\t2\d\.\d+\tdog$", labels, re.MULTILINE)
        button.click()
        expect(dog.first).to_be_hidden()

    def test_by_keyboard(self, sized: Page) -> None:
        item = _minute(sized)
        _tab_to(sized, item.get_by_role("button", name="What is heard when"))
        sized.keyboard.press("Enter")
        events = item.locator(".lane button")
        expect(events.first).to_be_visible()
        _tab_to(sized, events.first)
        first = _focused(sized)
        sized.keyboard.press("ArrowDown")
        second = _focused(sized)
        assert first.split(",")[0] != second.split(",")[0]
        sized.keyboard.press("Enter")
        until(lambda: played(sized) > 0.1)
        _press(sized, "ArrowRight ArrowLeft ArrowUp")
        assert _focused(sized) == first

    def test_lanes_are_few_follow_the_view_and_close_events_are_one(self, sized: Page) -> None:
        spans = [(0, 1), (1.1, 2), (2.2, 3), (40, 41)]  # the first three within few pixels
        events = [{"start": start, "end": end, "score": 0.5} for start, end in spans]
        lanes = [{"tag": f"{MARKUP} {number}", "events": events} for number in range(11)]

        def answer(route: Route) -> None:
            route.fulfill(json={"duration": 60, "tags": [*lanes, {"tag": "none", "events": []}]})

        sized.route("**/timeline", answer)
        item = _minute(sized)
        item.get_by_role("button", name="What is heard when").click()
        expect(item.locator(".lane")).to_have_count(8)
        first = item.locator(".lane").first.get_by_role("button")
        expect(first).to_have_count(2)
        expect(first.first).to_have_accessible_name(f"{MARKUP} 0, 0:00–0:03, 3 times, 50 %")
        item.locator(".seek").fill("0.1")
        for _ in range(4):
            item.get_by_role("button", name="Zoom in").click()
        expect(first).to_have_count(3)
        item.get_by_role("button", name="Show 3 more tags").click()
        expect(item.locator(".lane")).to_have_count(11)
        expect(item.locator(".lane").nth(8).get_by_role("button").first).to_be_focused()
        assert sized.locator("html").evaluate("page => page.scrollWidth <= innerWidth")

    def test_trouble_can_be_tried_again(self, chromium: Browser, minute_address: str) -> None:
        with visiting(chromium, minute_address) as (page, watch):
            watch.failures_expected = True
            page.route("**/timeline", refusing(429))
            page.goto("/?q=dog+bark")
            item = _minute(page)
            item.get_by_role("button", name="What is heard when").click()
            expect(item.get_by_role("alert")).to_contain_text("try again in 7 s")
            page.unroute("**/timeline")
            item.get_by_role("button", name="Try again").click()
            expect(item.locator(".lane button").first).to_be_visible()


def _focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.ariaLabel"))


def _marked(words: list[str | None], **fields: Any) -> Any:
    """Edits answers: the hits have these words of confidence."""

    def mark(route: Route) -> None:
        answer = route.fetch()
        body = answer.json()
        hits = [
            {**hit, "confidence": word, "probability": word and 0.25}
            for hit, word in zip(body["hits"], words, strict=False)
        ]
        route.fulfill(response=answer, json={**body, **fields, "hits": hits})

    return mark


@in_browser
@needs_chromium
class TestConfidence:
    def test_words_and_the_line(self, sized: Page) -> None:
        words = ["sure", "unlikely", "maybe", "unlikely", "unlikely"]
        sized.route("**/v1/search?*", _marked(words, sure=1))
        sized.goto("/?q=rain")
        expect(sized.locator("#results .confidence")).to_have_text(words)
        expect(sized.locator("#find-status")).to_contain_text("5 sounds for “rain”, 1 sure")
        expect(sized.locator("#results > li").nth(3)).to_have_text("Less likely from here")
        expect(sized.locator(".less-likely")).to_have_count(1)
        meter = sized.locator(".result").first.get_by_role("meter", name="Probability")
        expect(meter).to_have_attribute("aria-valuetext", "25 %")
        expect(sized.locator(".result").first).to_contain_text("score: 1.00")
        sized.goto("/?q=rain&sort=title")  # nothing is likelier than what follows it
        expect(sized.locator("#find-status")).to_contain_text("by title")
        expect(sized.locator("#results .confidence").first).to_have_text("sure")
        expect(sized.locator(".less-likely")).to_have_count(0)

    def test_nothing_sounds_like_that(self, sized: Page) -> None:
        sized.route("**/v1/search?*", _marked(["unlikely"] * 3, sure=0))
        sized.goto("/?q=zither")
        expect(sized.locator("#find-status")).to_have_text(
            "Nothing here sounds like that. The nearest 3 sounds for “zither”, best match first. "
        )
        expect(sized.locator(".less-likely")).to_have_count(0)
        sized.locator("#results .play").nth(2).click()
        until(lambda: played(sized) > 0.1)

    def test_nothing_is_said_where_the_model_does_not_tell(self, sized: Page) -> None:
        sized.route("**/v1/search?*", _marked([None] * 3, sure=None))
        sized.goto("/?q=rain")
        expect(sized.locator(".result")).to_have_count(3)
        expect(sized.locator(".confidence, .less-likely")).to_have_count(0)
        expect(sized.get_by_role("meter", name="Score")).to_have_count(3)
        status = sized.locator("#find-status")
        expect(status).to_have_text("3 sounds for “rain”, best match first. ")


@in_browser
@needs_chromium
def test_anybody_can_use_it(sized: Page) -> None:
    item = _minute(sized)
    item.get_by_role("button", name="Select a part").click()
    item.get_by_role("button", name="What is heard when").click()
    expect(item.locator(".lane button").first).to_be_visible()
    item.get_by_text("As a list").click()
    item.get_by_role("button", name="Zoom in").click()
    assert sized.locator("html").evaluate("page => page.scrollWidth <= innerWidth")
    for scheme in ("light", "dark"):
        sized.emulate_media(color_scheme=scheme)
        assert violations(sized) == []
