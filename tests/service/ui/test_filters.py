"""Narrowing a search on the page: signed tags and filters, in a real Chromium."""

from __future__ import annotations

from playwright.sync_api import Browser, Page, expect

from tests.service.ui.browser import (
    SMALL,
    in_browser,
    needs_chromium,
    titles,
    type_words,
    until,
    visiting,
)

TAGS = "#results .result-tag a"


def _tags(page: Page) -> list[set[str]]:
    """The tags of each result."""
    tags = page.locator("#results > li").evaluate_all(
        """all => all.map(item =>
        [...item.querySelectorAll('.result-tag a')].map(link => link.textContent))"""
    )
    return [set(names) for names in tags]


def _active(page: Page) -> list[str]:
    """The accessible names of the active filters."""
    names = page.locator("#active-filters button").evaluate_all(
        "all => all.map((button) => button.ariaLabel ?? button.textContent)"
    )
    return [str(name) for name in names]


@in_browser
@needs_chromium
class TestTags:
    def test_tag_of_a_result_is_left_out(self, page: Page) -> None:
        page.goto("/?q=thunder")
        until(lambda: any("storm" in tags for tags in _tags(page)))
        page.get_by_role("button", name="Without storm").first.click()
        expect(page).to_have_url("/?q=thunder&no_tag=storm")
        until(lambda: page.locator(TAGS).count() and not any("storm" in t for t in _tags(page)))
        expect(page.locator("#find-status")).to_be_focused()
        assert _active(page) == ["Without storm; change to with", "Remove storm"]

    def test_sign_is_turned_and_tag_removed(self, page: Page) -> None:
        page.goto("/?q=water&no_tag=rain")
        page.get_by_role("button", name="Without rain; change to with").click()
        expect(page).to_have_url("/?q=water&tag=rain")
        until(lambda: page.locator(TAGS).count() and all("rain" in t for t in _tags(page)))
        expect(page.get_by_role("button", name="With rain; change to without")).to_be_focused()
        page.get_by_role("button", name="Remove rain").click()
        expect(page).to_have_url("/?q=water")
        expect(page.locator("#query")).to_be_focused()
        until(lambda: not all("rain" in tags for tags in _tags(page)))

    def test_typed_signs_become_chips(self, page: Page) -> None:
        type_words(page, "storm +thunder -rain")
        expect(page.locator("#query")).to_have_value("storm -rain")  # it is still being typed
        page.keyboard.press("Enter")
        expect(page.locator("#query")).to_have_value("storm")
        expect(page).to_have_url("/?q=storm&tag=thunder&no_tag=rain")
        assert len(_active(page)) == 5
        until(lambda: page.locator(TAGS).count())
        until(lambda: all("thunder" in t and "rain" not in t for t in _tags(page)))
        page.get_by_role("button", name="Clear all").click()
        expect(page).to_have_url("/?q=storm")

    def test_signs_in_an_address_are_understood(self, page: Page) -> None:
        page.goto("/?q=storm+%2Bthunder+-rain")
        expect(page.locator("#query")).to_have_value("storm")
        assert len(_active(page)) == 5

    def test_tags_alone_are_enough(self, page: Page) -> None:
        page.goto("/?tag=rain")
        until(lambda: page.locator(TAGS).count() and all("rain" in t for t in _tags(page)))
        page.goto("/?no_tag=rain")
        expect(page.locator("#find-status")).to_contain_text("newest first")
        expect(page.locator(".result")).to_have_count(20)

    def test_nothing_found_because_of_filters(self, page: Page) -> None:
        page.goto("/?q=thunder&tag=piano&max_duration=0.01")
        expect(page.locator("#find-status")).to_contain_text("Nothing found")
        page.get_by_role("button", name="Search without tags and filters").click()
        expect(page).to_have_url("/?q=thunder")
        expect(page.locator(".result").first).to_be_visible()


@in_browser
@needs_chromium
class TestFilters:
    def test_durations(self, page: Page) -> None:
        page.goto("/?q=water")
        page.get_by_role("button", name="Filters").click()
        page.get_by_role("button", name="2 to 10 s").click()
        expect(page).to_have_url("/?q=water&min_duration=2&max_duration=10")
        expect(page.get_by_label("Shortest, in seconds")).to_have_value("2")
        page.get_by_label("Longest, in seconds").fill("1")
        expect(page.locator("#length-note")).to_contain_text("must not exceed")
        page.get_by_label("Longest, in seconds").fill("2.5")
        expect(page).to_have_url("/?q=water&min_duration=2&max_duration=2.5")
        expect(page.locator("#find-status")).to_contain_text("“water”")
        lengths = page.locator("#results .seek").evaluate_all("all => all.map(seek => seek.max)")
        assert lengths and all(2 <= float(length) <= 2.5 for length in lengths)
        page.get_by_role("button", name="Remove 2 to 2.5 s").click()
        expect(page).to_have_url("/?q=water")
        expect(page.get_by_label("Shortest, in seconds")).to_have_value("")

    def test_licence_and_source_are_the_librarys(self, page: Page) -> None:
        page.goto("/?q=game")
        page.get_by_role("button", name="Filters").click()
        page.locator("#facet-licences").get_by_label("CC0-1.0").check()
        expect(page).to_have_url("/?q=game&licence=CC0-1.0")
        page.locator("#facet-sources").get_by_label("arcade").check()
        expect(page).to_have_url("/?q=game&licence=CC0-1.0&source=arcade")
        until(lambda: set(page.locator(".result .small > :last-child").all_text_contents()))
        expect(page.locator(".result .small", has_text="openclonk-data")).to_have_count(0)
        expect(page.locator(".result .small", has_text="arcade").first).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Filters").click()
        expect(page.locator("#facet-sources").get_by_label("arcade")).to_be_checked()

    def test_order_and_folding(self, page: Page) -> None:
        page.goto("/?q=water")
        page.get_by_role("button", name="Filters").click()
        page.locator("#filters").get_by_label("Order").select_option("Shortest first")
        expect(page).to_have_url("/?q=water&sort=shortest")
        expect(page.locator("#find-status")).to_contain_text("shortest first")
        maxima = page.locator("#results .seek").evaluate_all("all => all.map(seek => +seek.max)")
        assert maxima == sorted(maxima)
        page.get_by_label("Hide near-duplicates").check()
        expect(page).to_have_url("/?q=water&sort=shortest&distinct=true")
        page.get_by_role("button", name="Remove near-duplicates hidden").click()
        expect(page.get_by_label("Hide near-duplicates")).not_to_be_checked()

    def test_shared_address_shows_the_same(
        self, page: Page, chromium: Browser, page_address: str
    ) -> None:
        page.goto("/?q=water")
        page.get_by_role("button", name="Without rain").first.click()
        page.get_by_role("button", name="Filters").click()
        page.get_by_role("button", name="2 to 10 s").click()
        expect(page).to_have_url("/?q=water&min_duration=2&max_duration=10&no_tag=rain")
        until(lambda: "rain" not in set().union(*_tags(page)))
        page.wait_for_load_state("networkidle")
        with visiting(chromium, page_address, viewport=SMALL) as (other, _):
            other.goto(page.url)
            expect(other.locator(".result").first).to_be_visible()
            assert titles(other)[:10] == titles(page)[:10]
            assert _active(other) == _active(page)
