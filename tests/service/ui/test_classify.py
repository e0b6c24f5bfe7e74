"""Classifying a sound by the user's labels on the page, and stored label sets."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.ui.browser import Watch, in_browser, needs_chromium, visiting
from tests.service.ui.uploads import DOG, RAIN, choose, drop, violations


@pytest.fixture
def labelled(page: Page) -> Page:
    """The rain, to be sorted."""
    page.goto("/#classify")
    choose(page, RAIN)
    return page


def _label(page: Page, *labels: str) -> None:
    page.locator("#label").focus()
    for label in labels:
        page.keyboard.type(label)
        page.keyboard.press("Enter")


def _shares(page: Page) -> list[float]:
    meters = page.locator("#classes").get_by_role("meter").all()
    return [float(meter.get_attribute("aria-valuenow") or "nan") for meter in meters]


def _classes(page: Page) -> list[str]:
    return page.locator("#classes .label").all_text_contents()


@in_browser
@needs_chromium
class TestClassifying:
    def test_labels_share_one(self, labelled: Page) -> None:
        page = labelled
        _label(page, "fire")
        page.get_by_role("button", name="Classify").click()
        expect(page.locator("#classify-note")).to_have_text("Enter at least two labels.")
        page.keyboard.type("rain,applause,")  # a comma ends a label as well
        expect(page.locator("#label-chips li")).to_have_count(3)
        expect(page.locator("#classes li")).to_have_count(3)
        expect(page.locator("#classify-note")).to_have_text("Most likely: rain.")
        shares = _shares(page)
        assert sum(shares) == pytest.approx(1, abs=1e-3)
        assert shares == sorted(shares, reverse=True)
        first = page.locator("#classes li").first
        expect(first).to_contain_text(f"{min(99, int(100 * shares[0] + 1e-9))} %")
        page.get_by_role("button", name="Remove fire").click()
        expect(page.locator("#classes li")).to_have_count(2)
        expect(page.get_by_role("button", name="Remove rain")).to_be_focused()

    def test_labels_that_are_taken_otherwise_are_said(self, labelled: Page) -> None:
        page = labelled
        _label(page, "dog", "dogs", "no rain")
        expect(page.locator("#classify-note")).to_contain_text(
            "“no rain”: the model does not understand “no”. "
            "“dog” and “dogs” mean nearly the same to the model."
        )

    def test_several_may_be_true(self, labelled: Page) -> None:
        page = labelled
        _label(page, "rain", "water", "dog")
        expect(page.locator("#classes li")).to_have_count(3)
        exclusive = _shares(page)
        page.get_by_role("switch", name="Several labels can apply").check()
        expect(page.locator("#classify-note")).to_have_text("Each label is scored by itself.")
        several = _shares(page)
        assert several != exclusive
        assert sum(several) != pytest.approx(1, abs=1e-2)

    def test_labels_can_be_described_in_other_words(
        self, labelled: Page, visit: tuple[Page, Watch]
    ) -> None:
        page = labelled
        visit[1].failures_expected = True
        _label(page, "☔", "fire")
        expect(page.locator("#classify-problem")).to_contain_text("does not know “☔”")
        assert violations(page) == []
        page.locator("#label-words").get_by_role("textbox", name="☔").fill("rain, drizzle")
        page.keyboard.press("Enter")
        expect(page.locator("#classify-note")).to_have_text("Most likely: ☔.")
        expect(page.locator("#classify-problem")).to_be_empty()
        page.get_by_role("button", name="Copy as JSON").locator("visible=true").click()
        copied = json.loads(page.evaluate("() => navigator.clipboard.readText()"))
        assert [row["label"] for row in copied["classes"]] == ["☔", "fire"]
        assert copied["sound"] == RAIN.name

    def test_results_stay_and_the_sound_is_shared(self, labelled: Page) -> None:
        page = labelled
        _label(page, "rain", "dog")
        expect(page.locator("#classify-note")).to_have_text("Most likely: rain.")
        page.get_by_role("link", name="Tag", exact=True).click()
        expect(page.locator("#sound")).to_contain_text(RAIN.name)
        expect(page.locator("#tags li").first).to_be_visible()
        page.get_by_role("link", name="Classify").click()
        assert _classes(page) == ["rain", "dog"]
        drop(page, DOG, "#classify")
        expect(page).to_have_url("/#classify")
        expect(page.locator("#classify-note")).to_have_text("Most likely: dog.")

    def test_trouble_loses_nothing(self, visit: tuple[Page, Watch]) -> None:
        page, watch = visit
        watch.failures_expected = True
        page.goto("/#classify")
        _label(page, "rain")
        page.keyboard.type("dog")
        page.get_by_role("button", name="Classify").click()
        expect(page.locator("#classify-note")).to_have_text("Choose a sound first.")
        expect(page.locator("#file")).to_be_focused()
        page.route("**/v1/classify", lambda route: route.abort())
        choose(page, RAIN)
        expect(page.locator("#classify-problem")).to_contain_text("cannot be reached")
        page.unroute("**/v1/classify")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#classify-note")).to_have_text("Most likely: rain.")


@in_browser
@needs_chromium
class TestSets:
    def test_saved_sets_outlive_a_reload(self, labelled: Page) -> None:
        page = labelled
        page.locator("#set-name").fill("weather")
        page.keyboard.press("Enter")
        expect(page.locator("#sets-note")).to_have_text("Enter a label first.")
        _label(page, "rain", "wind")
        page.locator("#describe summary").click()
        page.locator("#label-words").get_by_role("textbox", name="wind").fill("wind, gust")
        page.locator("#set-name").fill("weather")
        page.keyboard.press("Enter")
        expect(page.locator("#sets-note")).to_have_text("Saved “weather”.")
        page.reload()
        choose(page, RAIN)
        page.get_by_role("button", name="Use weather").click()
        expect(page.locator("#classify-note")).to_have_text("Most likely: rain.")
        page.locator("#describe summary").click()
        described = page.locator("#label-words").get_by_role("textbox", name="wind")
        expect(described).to_have_value("wind, gust")
        page.get_by_role("button", name="Delete weather").click()
        expect(page.locator("#set-name")).to_be_focused()
        page.reload()
        expect(page.locator("#sets li")).to_have_count(0)

    def test_without_storage_sets_last_until_the_page_is_closed(
        self, chromium: Browser, page_address: str
    ) -> None:
        with visiting(chromium, page_address) as (page, _):
            page.add_init_script(
                """Object.defineProperty(window, "localStorage",
                { get() { throw new DOMException("refused", "SecurityError"); } });"""
            )
            page.goto("/#classify")
            _label(page, "rain", "dog")
            page.locator("#set-name").fill("pets")
            page.keyboard.press("Enter")
            expect(page.locator("#sets-note")).to_contain_text("until the page is closed")
            page.get_by_role("button", name="Remove rain").click()
            page.get_by_role("button", name="Use pets").click()
            expect(page.locator("#label-chips li")).to_have_count(2)

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
    def test_fits_and_is_accessible(
        self, chromium: Browser, page_address: str, size: tuple[int, int], scheme: str
    ) -> None:
        screen = {"width": size[0], "height": size[1]}
        with visiting(chromium, page_address, viewport=screen, color_scheme=scheme) as (page, _):
            page.goto("/#classify")
            choose(page, RAIN)
            _label(page, "a very long label of many words that goes on and on", "rain", "dog")
            page.locator("#describe summary").click()
            expect(page.locator("#classes li")).to_have_count(3)
            page.locator("#set-name").fill("weather")
            page.keyboard.press("Enter")
            expect(page.locator("#result")).not_to_have_attribute("aria-busy", "true")
            assert violations(page) == []
            assert page.locator("html").evaluate("page => page.scrollWidth") == size[0]
