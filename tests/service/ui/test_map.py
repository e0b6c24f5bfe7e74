"""The map of the library on the page, as a person uses it, in a real Chromium."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator

import httpx
import pytest
import soundfile
from playwright.sync_api import Browser, Page, expect

from tests.service.ui.browser import (
    DEMO,
    LARGE,
    MARKUP,
    SMALL,
    Watch,
    in_browser,
    needs_chromium,
    played,
    position,
    until,
    visiting,
)
from tests.service.ui.test_map_states import step

pytestmark = [in_browser, needs_chromium]

INK = """canvas => {
    const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    let full = 0;
    for (let at = 0; at < data.length; at += 4) {
        if (data[at + 3] > 200) { full += 1; colours.add(data.slice(at, at + 3).join(" ")); }
    }
    return [full, colours.size];
}"""


@pytest.fixture
def opened(
    chromium: Browser, page_address: str, request: pytest.FixtureRequest
) -> Iterator[tuple[Page, Watch]]:
    viewport = getattr(request, "param", LARGE)
    with visiting(chromium, page_address, viewport=viewport) as (page, watch):
        page.goto("/#map")
        expect(page.locator("#map-state")).to_have_text(
            re.compile(r"^(The map is ready: )?190 sounds\.$")
        )
        page.reload()  # a map that has just been made still moves
        expect(page.locator("#map-legend button")).to_have_count(8)
        yield page, watch


@pytest.fixture
def page(opened: tuple[Page, Watch]) -> Page:
    return opened[0]


AT_BOTH = pytest.mark.parametrize("opened", [LARGE, SMALL], indirect=True, ids=["large", "small"])


def ink(page: Page) -> tuple[int, int]:
    """Pixels that are drawn, and how many colours they have."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    full, colours = page.locator("#map-canvas").evaluate(INK)
    return full, colours


def place_of_tip(page: Page) -> tuple[float, float]:
    """Where the sound that is pointed at is, in px of the window."""
    left, top = page.locator("#map-tip").evaluate(
        "tip => [parseFloat(tip.style.left), parseFloat(tip.style.top)]"
    )
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    return box["x"] + left, box["y"] + top


def pointed(page: Page) -> tuple[str, float, float]:
    """A sound of over 2 s, well within the map, which the mouse points at: title and place."""
    with (DEMO / "manifest.csv").open(newline="") as file:
        lengths = {
            row["title"]: soundfile.info(DEMO / row["path"]).duration
            for row in csv.DictReader(file)
        }
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 5:
        step(page, key)
        title = page.locator("#map-tip").inner_text()
        if lengths.get(title, 0) > 2:
            break
    page.locator("#map-canvas").scroll_into_view_if_needed()
    x, y = place_of_tip(page)
    page.mouse.move(x, y)
    expect(page.locator("#map-tip")).to_have_text(title)
    return title, x, y


@AT_BOTH
def test_all_sounds_are_drawn_in_colours_that_the_legend_names(page: Page) -> None:
    full, colours = ink(page)
    assert full > 190 * 12
    assert colours > 9
    names = page.locator("#map-legend button")
    expect(names).to_have_count(8)
    name = names.first.inner_text()
    names.first.click()
    expect(names.first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#map-message")).to_contain_text(f"tagged {name}.")
    count = int(page.locator("#map-message").inner_text().split()[0])
    assert 10 < count < 100
    assert ink(page)[0] < full / 2  # the others are faint
    names.first.click()
    expect(names.first).to_have_attribute("aria-pressed", "false")
    assert ink(page)[0] == full


def test_another_tag_can_have_a_colour(page: Page) -> None:
    page.get_by_label("Another tag to colour").fill("Thunder")
    page.keyboard.press("Enter")
    first = page.locator("#map-legend button").first
    expect(first).to_have_text("thunder")
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#map-legend button")).to_have_count(8)
    page.get_by_label("Another tag to colour").fill("no such tag")
    page.keyboard.press("Enter")
    expect(page.locator("#map-message")).to_contain_text("No sound here has the tag")
    expect(page.get_by_label("Another tag to colour")).to_have_value("no such tag")


@AT_BOTH
def test_words_let_their_sounds_stand_out(page: Page) -> None:
    full, _ = ink(page)
    page.get_by_label("Words for sounds to highlight").fill("heavy rain")
    page.keyboard.press("Enter")
    expect(page.locator("#map-message")).to_contain_text("matching “heavy rain” highlighted")
    assert ink(page)[0] < full / 2
    hits = page.request.get("/v1/search?q=heavy+rain&k=100").json()["hits"]
    fitting = {hit["title"] for rank, hit in enumerate(hits) if rank < 20 or hit["why"]["matched"]}
    visited = set()
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp") * 3:
        step(page, key)
        visited.add(page.locator("#map-tip").inner_text())
    assert len(visited) > 1
    assert visited <= {*fitting, ""}  # keys go to those only; none at first
    page.get_by_label("Words for sounds to highlight").fill("")
    expect(page.locator("#map-message")).to_be_empty()
    page.locator("#map-canvas").evaluate("canvas => canvas.blur()")


@AT_BOTH
def test_click_keeps_a_sound_with_its_player_and_ways_on(page: Page) -> None:
    title, x, y = pointed(page)
    page.mouse.click(x, y)
    card = page.get_by_role("group", name="Selected sound")
    expect(card.get_by_role("heading")).to_have_text(title)
    expect(card.locator(".track.drawn")).to_be_visible()
    expect(card.locator(".chip").first).to_be_visible()
    card.get_by_role("button", name=f"Play {title}").click()
    until(lambda: played(page) > 0.1)
    card.get_by_role("button", name="Close").click()
    expect(card).to_be_hidden()
    expect(page.locator("#map-canvas")).to_be_focused()
    assert position(page) == 0
    page.keyboard.press("Enter")
    card.get_by_role("link", name="More like this").click()
    expect(page).to_have_url(re.compile(r"\?like="))
    expect(page.locator("#results > li").first).to_be_visible()
    page.go_back()
    expect(card.get_by_role("heading")).to_have_text(title)


def test_a_sound_is_heard_when_the_pointer_rests_if_that_is_wanted(page: Page) -> None:
    _, x, y = pointed(page)
    page.wait_for_timeout(600)
    assert position(page) == 0  # off by default
    page.get_by_role("switch", name="Play on hover").check()
    page.mouse.move(x, y)
    until(lambda: position(page) > 0.05)
    page.mouse.move(5, 5)
    until(lambda: position(page) == 0)
    page.mouse.move(x, y)
    until(lambda: position(page) > 0.05)
    page.get_by_role("switch", name="Play on hover").uncheck()
    until(lambda: position(page) == 0)


@AT_BOTH
def test_zoom_and_move_by_buttons_wheel_and_drag(page: Page) -> None:
    summary = page.locator("#map-list summary")
    summary.click()
    expect(summary).to_contain_text("190")

    def seen() -> int:
        page.wait_for_timeout(300)
        return int(summary.inner_text().rsplit(" ", 1)[1])

    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="Zoom in").click()
    some = seen()
    assert some < 190
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.locator("#map-canvas").scroll_into_view_if_needed()
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    names = page.locator("#map-list li").all_inner_texts()
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 120, y + 60, steps=5)
    page.mouse.up()
    until(lambda: page.locator("#map-list li").all_inner_texts() != names)
    expect(page.locator("#map-card")).to_be_hidden()  # a drag is no click
    page.mouse.wheel(0, -240)
    assert seen() < some
    before = page.evaluate("scrollY")
    for _ in range(12):
        page.mouse.wheel(0, 240)  # out, and at last the page scrolls again
    assert seen() == 190
    until(lambda: page.evaluate("scrollY") > before)
    page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="All", exact=True).click()
    assert seen() == 190
    expect(page.get_by_role("button", name="Zoom in")).to_be_focused()  # the other can do no more


def test_pinching_zooms(chromium: Browser, page_address: str) -> None:
    with visiting(chromium, page_address, viewport=SMALL, has_touch=True) as (page, _):
        page.goto("/#map")
        expect(page.locator("#map-legend button").first).to_be_visible()
        box = page.locator("#map-canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + 150
        touches = page.context.new_cdp_session(page)

        def touch(kind: str, *distances: float) -> None:
            points = [
                {"x": x + side * distance, "y": y, "id": number}
                for distance in distances
                for number, side in enumerate((-1, 1))
            ]
            touches.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

        touch("touchStart", 30)
        for distance in (45, 70, 100):
            touch("touchMove", distance)
        touch("touchEnd")
        expect(page.get_by_role("button", name="Zoom out")).to_be_enabled()
        expect(page.locator("#map-canvas")).to_have_class(re.compile("zoomed"))
        expect(page.locator("#map-card")).to_be_hidden()


@AT_BOTH
def test_by_keyboard_alone(page: Page) -> None:
    page.get_by_label("Map of 190 sounds").focus()
    first = step(page, "ArrowRight")
    assert first
    assert step(page, "ArrowRight") != first
    none = "No more sounds in that direction."
    keys = {"ArrowDown": (0, 1), "ArrowLeft": (-1, 0), "ArrowUp": (0, -1), "ArrowRight": (1, 0)}
    for key, (right, down) in list(keys.items()) * 2:
        x, y = place_of_tip(page)
        message = step(page, key)
        left, top = place_of_tip(page)
        ahead = (left - x) * right + (top - y) * down
        assert ahead == 0 if message == none else ahead > 0
    assert none in (step(page, "ArrowRight") for _ in range(190))
    title = page.locator("#map-tip").inner_text()
    step(page, "Space")
    until(lambda: played(page) > 0)
    step(page, "Space")
    until(lambda: position(page) == 0)
    step(page, "+", "+")
    expect(page.get_by_role("button", name="Zoom out")).to_be_enabled()
    step(page, "Enter")
    expect(page.locator("#map-card h2")).to_have_text(title)
    step(page, "Escape")
    expect(page.locator("#map-card")).to_be_hidden()
    step(page, "0")
    expect(page.get_by_role("button", name="Zoom out")).to_be_disabled()


@AT_BOTH
def test_the_list_holds_what_is_seen_and_leads_to_each(page: Page) -> None:
    page.locator("#map-list summary").click()
    items = page.locator("#map-list li")
    expect(items).to_have_count(61)
    expect(items.last).to_have_text("and 130 more: zoom in to see them")
    title = items.nth(3).inner_text()
    items.nth(3).get_by_role("button").click()
    expect(page.locator("#map-card h2")).to_have_text(title)
    expect(page.locator("#map-card")).to_be_focused()


def test_titles_are_text(page: Page) -> None:
    page.get_by_label("Words for sounds to highlight").fill("bold dog alert")
    page.keyboard.press("Enter")
    expect(page.locator("#map-message")).to_contain_text("highlighted")
    page.locator("#map-list summary").click()
    for _ in range(4):
        page.get_by_role("button", name="Zoom in").click()
    page.get_by_role("button", name="All", exact=True).click()
    found = httpx.get(f"{page.url.split('#')[0]}v1/search", params={"q": "bold alert"}).json()
    assert found["hits"][0]["title"] == MARKUP
    assert page.locator("#map-parts b, #map-parts img").count() == 0
