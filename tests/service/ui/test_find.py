"""Finding sounds on the page, as a person does, in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.service.ui.browser import (
    MARKUP,
    SMALL,
    Watch,
    in_browser,
    needs_chromium,
    refusing,
    titles,
    type_words,
    until,
    visiting,
)

TAGS = "#results .result-tag a"


def _ids(page: Page) -> list[str]:
    links = page.locator("#results .actions a[download]").all()
    return [link.get_attribute("href") or "" for link in links]


def _holding(page: Page, pattern: str) -> list[Route]:
    """Holds answers back, and lists them."""
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(pattern, hold)
    return held


def _scroll_until(page: Page, enough: Callable[[], object]) -> None:
    def scrolled() -> object:
        page.mouse.wheel(0, 3000)
        return enough()

    until(scrolled)


def _shows(page: Page, words: str) -> None:
    expect(page.locator("#find-status")).to_contain_text(f"“{words}”")


@in_browser
@needs_chromium
class TestFinding:
    def test_typing_finds_sounds(self, page: Page) -> None:
        expect(page.locator("#query")).to_be_focused()
        expect(page.locator("#model")).to_contain_text("Model: ")
        type_words(page, "thunder")
        first = page.locator(".result").first
        expect(first.locator("h2")).to_contain_text("hunder")
        expect(first).to_contain_text("words: thunder")
        expect(first.get_by_role("meter", name="Probability")).to_be_visible()
        expect(first.locator(".outline .rest")).to_be_attached()
        expect(page.get_by_role("status").filter(has_text="for “thunder”")).to_be_visible()
        assert page.title() == "thunder – Earmark"

    def test_address_keeps_the_query_and_back_works(self, page: Page) -> None:
        type_words(page, "thun")
        expect(page).to_have_url("/?q=thun")
        type_words(page, "der")
        expect(page).to_have_url("/?q=thunder")
        page.locator(TAGS, has_text="storm").first.click()
        expect(page).to_have_url("/?q=storm")
        expect(page.locator("#query")).to_have_value("storm")
        page.go_back()
        expect(page.locator("#query")).to_have_value("thunder")
        _shows(page, "thunder")
        page.go_back()  # what was typed in pieces is one step
        expect(page.locator("#examples")).to_be_visible()
        expect(page.locator("#query")).to_have_value("")
        page.goto("/?q=dog+bark")
        _shows(page, "dog bark")

    def test_late_answer_to_older_words_is_ignored(self, page: Page) -> None:
        held = _holding(page, "**/v1/search?q=dog*")
        with page.expect_request("**/v1/search?q=dog*"):
            type_words(page, "dog")
        page.locator("#query").fill("thunder")
        _shows(page, "thunder")
        held[-1].fulfill(json={"hits": [], "understood": [], "ignored": []})
        page.wait_for_timeout(500)
        _shows(page, "thunder")

    def test_slow_answer_is_announced(self, page: Page) -> None:
        held = _holding(page, "**/v1/search?q=dog*")
        page.goto("/?q=dog")
        expect(page.locator("#find-status")).to_have_text("Searching…")
        held[0].continue_()
        _shows(page, "dog")

    def test_words_of_any_language_find_and_signs_are_ignored(self, page: Page) -> None:
        page.goto("/?q=Hund+bellt+…")
        expect(page.locator("#find-status")).to_contain_text("sounds for “Hund bellt …”")
        expect(page.locator("#find-status")).to_contain_text("Ignored: ….")
        expect(page.locator(".result").first).to_be_visible()
        page.locator("#query").fill("…")
        page.keyboard.press("Enter")
        expect(page.locator("#find-status")).to_contain_text("Nothing found for “…”")
        expect(page.locator(".result")).to_have_count(0)

    def test_words_guessed_are_told(self, page: Page) -> None:
        held = _holding(page, "**/v1/search?q=thunderstrom*")
        page.goto("/?q=thunderstrom")
        expect(page.locator("#find-status")).to_have_text("Searching…")
        guessed = {"thunderstrom": "thunderstorm"}
        held[0].fulfill(json={"hits": [], "guessed": guessed, "ignored": []})
        expect(page.locator("#find-status")).to_contain_text(
            "Searched for “thunderstorm” instead of “thunderstrom”."
        )

    def test_word_half_typed_is_told_until_it_is_whole(self, page: Page) -> None:
        guess = "Searched for “thunder” instead of “thund”."
        status = page.locator("#find-status")
        type_words(page, "thund")
        expect(status).to_contain_text(guess)
        expect(page.locator(".result h2").first).to_contain_text("hunder")
        page.keyboard.press("Enter")
        expect(status).not_to_contain_text(guess)
        type_words(page, "e")
        expect(status).to_contain_text("“thunde”")
        with page.expect_request(re.compile(r"/v1/search\?q=thunde&k=20$")):
            page.keyboard.press("Space")
        with page.expect_request(re.compile(r"/v1/search\?q=thunde\+s&typing=true&k=20$")):
            page.keyboard.press("s")

    def test_titles_are_text_not_markup(self, page: Page) -> None:
        page.goto("/?q=bold+dog")
        expect(page.locator("#results h2", has_text="<img src=x")).to_be_visible()
        assert MARKUP in titles(page)
        expect(page.locator("#results img, #results b")).to_have_count(0)

    def test_sound_can_be_kept(self, page: Page) -> None:
        page.goto("/?q=thunder")
        link = page.get_by_role("link", name="Download").first
        with page.expect_download() as download:
            link.click()
        assert download.value.path().stat().st_size > 1000
        assert download.value.suggested_filename.startswith(titles(page)[0])

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_fits_a_phone(self, chromium: Browser, page_address: str, scheme: str) -> None:
        with visiting(chromium, page_address, viewport=SMALL, color_scheme=scheme) as (page, _):
            for where in ("/", "/?q=thunder+dog&no_tag=cat&max_duration=10&distinct=true", "/#tag"):
                page.goto(where)
                expect(page.locator("#results > li, #examples, #drop").last).to_be_attached()
                if "?" in where:
                    page.get_by_role("button", name="Filters").click()
                assert page.locator("html").evaluate("page => page.scrollWidth") == SMALL["width"]


@in_browser
@needs_chromium
class TestMoreLikeThis:
    def test_sounds_like_one(self, page: Page) -> None:
        page.goto("/?q=steady+rain&max_duration=60")
        _shows(page, "steady rain")
        title = titles(page)[0]
        page.get_by_role("link", name=f"More like this: {title}").click()
        expect(page.get_by_role("heading", name=f"Sounds like “{title}”")).to_be_visible()
        expect(page.locator("#find-status")).to_contain_text("most similar first")
        expect(page.locator("#query")).to_have_value("")
        expect(page.get_by_role("button", name="Remove under")).to_have_count(0)
        expect(page.get_by_role("button", name="Remove up to 60 s")).to_be_visible()
        assert title not in titles(page)
        assert page.title() == f"Sounds like “{title}” – Earmark"
        page.reload()
        expect(page.get_by_role("heading", name=f"Sounds like “{title}”")).to_be_visible()
        type_words(page, "dog")  # words take the place of the sound
        expect(page).to_have_url("/?q=dog&max_duration=60")
        page.go_back()
        expect(page.get_by_role("heading", name=f"Sounds like “{title}”")).to_be_visible()

    def test_sound_that_has_gone(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto("/?like=nobody")
        expect(page.get_by_role("alert").first).to_contain_text("no longer in the library")


@in_browser
@needs_chromium
class TestMore:
    def test_scrolling_goes_on_to_the_end(self, page: Page) -> None:
        page.goto("/?q=water&no_tag=music")
        results = page.locator(".result")
        expect(results).to_have_count(20)
        _scroll_until(page, lambda: results.count() >= 100)
        page.mouse.wheel(0, 9000)
        page.wait_for_timeout(500)
        expect(results).to_have_count(100)  # enough by scrolling alone
        page.get_by_role("button", name="Show more").click()
        _scroll_until(page, lambda: page.locator("#results-note", has_text="are shown").count())
        found = _ids(page)
        assert len(found) > 120
        assert len(set(found)) == len(found)
        expect(page.locator("#results-note")).to_have_text(f"All {len(found)} sounds are shown.")

    def test_more_by_keyboard(self, chromium: Browser, page_address: str) -> None:
        with visiting(chromium, page_address) as (page, _):
            page.add_init_script(
                "delete window.IntersectionObserver.prototype.observe;"
                "IntersectionObserver.prototype.observe = () => {};"
            )
            page.goto("/?q=water")
            page.get_by_role("button", name="Show more").focus()
            page.keyboard.press("Enter")
            expect(page.locator("#results .play").nth(20)).to_be_focused()
            expect(page.locator("#results-note")).to_contain_text("40 sounds so far")

    def test_back_comes_to_the_same_place(self, page: Page) -> None:
        page.goto("/?q=water")
        _scroll_until(page, lambda: page.locator(".result").count() >= 60)
        link = page.get_by_role("link", name="More like this").nth(45)
        link.scroll_into_view_if_needed()
        title, place = titles(page)[45], page.evaluate("scrollY")
        assert place > 3000
        link.click()
        expect(page.locator("#find-status")).to_contain_text("most similar first")
        assert page.evaluate("scrollY") == 0
        page.go_back()
        _shows(page, "water")
        expect(page.get_by_role("heading", name=title, exact=True)).to_be_in_viewport()
        assert page.evaluate("scrollY") == pytest.approx(place, abs=50)
        assert page.locator(".result").count() >= 60

    def test_next_page_that_fails_can_be_had_again(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.route("**/v1/search?*cursor=*", refusing(429))
        page.goto("/?q=water")
        _scroll_until(page, lambda: page.locator("#results-problem .notice").count())
        expect(page.locator("#results-problem")).to_contain_text("try again in 7 s")
        expect(page.locator(".result")).to_have_count(20)
        page.unroute("**/v1/search?*cursor=*")
        page.locator("#results-problem").get_by_role("button", name="Try again").click()
        expect(page.locator(".result").nth(39)).to_be_attached()
        expect(page.locator("#results-problem")).to_be_empty()


@in_browser
@needs_chromium
class TestTrouble:
    def test_what_is_typed_stays_and_comes_back(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto("/?q=thunder&max_duration=10")
        page.context.set_offline(True)
        page.locator("#query").fill("rain")
        expect(page.get_by_role("alert").first).to_contain_text("cannot be reached")
        expect(page.locator("#query")).to_have_value("rain")
        page.context.set_offline(False)  # and it goes on by itself
        _shows(page, "rain")
        expect(page.get_by_role("alert").first).to_be_empty()
        expect(page).to_have_url("/?q=rain&max_duration=10")

    def test_overload(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.route("**/v1/search?*", refusing(429))
        page.locator("#query").fill("thunder")
        expect(page.get_by_role("alert").first).to_contain_text("is busy")
        page.unroute("**/v1/search?*")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator(".result").first).to_be_visible()
