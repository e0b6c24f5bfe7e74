"""The library view of the page, used as a person does, in a real Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.service.ui.browser import (
    LARGE,
    MARKUP,
    SMALL,
    in_browser,
    needs_chromium,
    played,
    refusing,
    until,
    visiting,
)

pytestmark = [in_browser, needs_chromium]

SIZES = [LARGE, SMALL]


@pytest.fixture(params=SIZES, ids=["large", "small"])
def page(chromium: Browser, page_address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    with visiting(chromium, page_address, viewport=request.param) as (page, _):
        page.goto("/#library")
        expect(page.locator("#library-recent > li")).to_have_count(6)
        yield page


def test_what_is_in_it(page: Page) -> None:
    figures = page.locator("#library-figures > div").all_inner_texts()
    shown = dict(figure.split("\n") for figure in figures)
    assert shown["Sounds"] == "190"
    assert re.fullmatch(r"\d+ minutes", shown["Length"])
    assert int(shown["Different tags"]) > 100
    assert shown["Index"].startswith("flat, exact")
    expect(page.locator("#library-failed")).to_be_hidden()
    expect(page.locator("#library-gone")).to_be_hidden()
    model = page.locator("#library-model")
    expect(model).to_contain_text("starter embeds sounds and words in one space")
    expect(model).to_contain_text(re.compile(r"It can suggest \d{3} tags, and understands"))
    expect(model).to_contain_text("whole phrases in 16 languages (use-multilingual-3): ar, de, en")
    expect(model).to_contain_text("No word is unknown to it.")
    expect(model.get_by_text("window seconds")).to_be_hidden()
    model.get_by_text("All details").click()
    expect(model.get_by_text("window seconds")).to_be_visible()


def test_what_a_model_of_stored_words_makes_of_words(chromium: Browser, page_address: str) -> None:
    with visiting(chromium, page_address, viewport=LARGE) as (page, _):

        def reads_words(route: Route) -> None:
            own = route.fetch().json()
            own |= {"words": 40_000, "sentence_encoder": None, "languages": []}
            route.fulfill(json=own)

        page.route("**/v1/model", reads_words)
        page.goto("/#library")
        expect(page.locator("#library-model")).to_contain_text(
            re.compile(
                r"knows 40.000 search words\. Other words are replaced by a similar spelling"
            )
        )


def test_recent_sounds_play_and_go_on(page: Page) -> None:
    recent = page.locator("#library-recent > li")
    expect(recent.first.get_by_role("heading")).to_have_text(MARKUP)  # text, not markup
    recent.nth(1).get_by_role("button", name="Play").click()
    until(lambda: played(page) > 0.1)
    expect(page.locator("#library-more-state")).to_have_text("6 of 190 sounds")
    page.get_by_role("button", name="Show more").click()
    expect(recent).to_have_count(12)
    expect(recent.nth(6).locator(".play")).to_be_focused()
    assert len(set(recent.locator("h3").all_inner_texts())) > 10
    recent.nth(2).get_by_role("link", name="More like this").click()
    expect(page.locator("#results > li").first).to_be_visible()
    page.go_back()
    expect(recent).to_have_count(12)  # as it was left


@pytest.mark.parametrize("kind", ["tags", "licences", "sources"])
def test_each_name_leads_to_its_sounds(page: Page, kind: str) -> None:
    first = page.locator(f"#library-{kind} li").first
    count = int(first.locator(".times").inner_text())
    name = first.locator("a").inner_text().removesuffix(str(count))
    first.get_by_role("link").click()
    expect(page.locator("#results > li").first).to_be_visible()
    expect(page.locator("#find")).to_contain_text(name)
    if kind == "tags":
        until(lambda: page.mouse.wheel(0, 4_000) or page.locator("#results > li").count() >= count)
        assert page.locator("#results > li").count() == count


def test_any_tag_is_found(page: Page) -> None:
    expect(page.locator("#library-tags li")).to_have_count(60)
    state = page.locator("#library-tags-state")
    expect(state).to_have_text(re.compile(r"The 60 most frequent of \d{3}"))
    total = int(state.inner_text().split()[-1])
    field = page.locator("#library").get_by_label("Tags that contain")
    field.fill("THUND")
    expect(state).to_have_text("1 tag with “thund”")
    expect(page.locator("#library-tags li")).to_have_text(re.compile("^thunder"))
    field.fill("no such")
    expect(state).to_have_text("No tag contains “no such”")
    field.fill("")
    page.get_by_role("button", name="Show all tags").click()
    expect(page.locator("#library-tags li")).to_have_count(total)
    expect(page.get_by_role("heading", name="Tags")).to_be_focused()
    expect(page.get_by_role("button", name="Show all tags")).to_be_hidden()


def test_what_failed_is_told_with_reasons(chromium: Browser, page_address: str) -> None:
    def failing(route: Route) -> None:
        answer = json.loads(route.fetch().text())
        latest = [{"name": "<b>notes.txt", "reason": "not a sound this can read"}] * 50
        route.fulfill(json={**answer, "failures": {"total": 1_234, "latest": latest}})

    with visiting(chromium, page_address) as (page, _):
        page.route("**/v1/library?*", failing)
        page.goto("/#library")
        expect(page.locator("#library-failed-note")).to_have_text("The latest 50 of 1,234 files.")
        expect(page.locator("#library-failures li").first).to_have_text(
            "<b>notes.txtnot a sound this can read"
        )


def test_sounds_without_a_file_are_listed(chromium: Browser, page_address: str) -> None:
    sounds = [{"id": "1", "title": "<b>Owl", "name": "owl.wav"}]
    missing: dict[str, object] = {"total": 1, "first": sounds}

    def lacking(route: Route) -> None:
        route.fulfill(json={**json.loads(route.fetch().text()), "missing": missing})

    with visiting(chromium, page_address) as (page, _):
        page.route("**/v1/library?*", lacking)
        page.goto("/#library")
        expect(page.locator("#library-gone-note")).to_have_text("1 sound")
        expect(page.locator("#library-missing li")).to_have_text("<b>Owlowl.wav")
        missing.update(total=1_234, first=sounds * 50)
        page.goto("/#find")
        page.goto("/#library")  # the library itself has not changed
        expect(page.locator("#library-gone-note")).to_have_text("The first 50 of 1,234 sounds.")
        expect(page.locator("#library-missing li")).to_have_count(50)


def test_trouble_is_said_and_may_pass(chromium: Browser, page_address: str) -> None:
    with visiting(chromium, page_address) as (page, watch):
        watch.failures_expected = True
        page.route("**/v1/library?*", refusing(429))
        page.goto("/#library")
        expect(page.get_by_role("alert").filter(has_text="try again in 7 s")).to_be_visible()
        page.unroute("**/v1/library?*")
        page.route("**/v1/clips?*", refusing(503))
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#library-figures")).to_contain_text("190")
        expect(page.get_by_role("alert").filter(has_text="the disk is full")).to_be_visible()
        page.unroute("**/v1/clips?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#library-recent > li")).to_have_count(6)
        expect(page.get_by_role("alert").filter(has_text="the disk")).to_have_count(0)
