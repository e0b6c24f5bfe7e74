"""What people do with a sound's tags on the page: decide, refine, keep, add to the library."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.ui.browser import (
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
    RAIN,
    answers_seem_to_take,
    choose_and_tag,
    drop,
    get_json,
    row,
    violations,
)

SIZES = [(1280, 800), (390, 844)]


@pytest.fixture(scope="module")
def own_library(tmp_path_factory: pytest.TempPathFactory, page_library: Path) -> Path:
    """A copy of the library, to write to."""
    return Path(shutil.copytree(page_library, tmp_path_factory.mktemp("own") / "library"))


@pytest.fixture(scope="module")
def own_address(own_library: Path) -> Iterator[str]:
    """A server of it."""
    with serving(own_library, free_port()) as address:
        yield address


@pytest.fixture
def own_visit(chromium: Browser, own_address: str) -> Iterator[tuple[Page, Watch]]:
    """A watched page of that server, with the rain heard."""
    with visiting(
        chromium, own_address, permissions=["clipboard-read", "clipboard-write"]
    ) as opened:
        choose_and_tag(opened[0], RAIN)
        yield opened


@pytest.fixture
def own_page(own_visit: tuple[Page, Watch]) -> Page:
    """That page."""
    return own_visit[0]


def _tags(page: Page, place: str = "#tags") -> list[str]:
    return page.locator(f"{place} .chip").all_text_contents()


def _clipboard(page: Page) -> str:
    return str(page.evaluate("() => navigator.clipboard.readText()"))


def _second(page: Page) -> str:
    """The tag shown after that of the rain."""
    return next(tag for tag in [*_tags(page), *_tags(page, "#less-likely-tags")] if tag != "rain")


def _decide(page: Page) -> str:
    """Accept the rain; the tag that is rejected."""
    rejected = _second(page)
    page.get_by_role("button", name="Accept rain", exact=True).click()
    page.get_by_role("button", name=f"Reject {rejected}", exact=True).click()
    return rejected


@in_browser
@needs_chromium
class TestDeciding:
    def test_what_is_accepted_refines_the_rest(self, own_page: Page) -> None:
        before, less = _tags(own_page), _tags(own_page, "#less-likely-tags")
        assert before[0] == "rain"
        other = row(own_page, _second(own_page))
        score = str(other.text_content())
        assert not set(before) & set(less)
        accept = own_page.get_by_role("button", name="Accept rain", exact=True)
        accept.focus()
        own_page.keyboard.press("Enter")
        expect(accept).to_have_attribute("aria-pressed", "true")
        expect(own_page.locator("#suggestions-note")).to_have_text(
            "The other suggestions take into account: rain."
        )
        expect(row(own_page, "rain")).to_be_visible()
        expect(accept).to_be_focused()
        expect(other).not_to_have_text(score)
        after = _tags(own_page)
        assert after[: len(before)] == before
        assert len(after) <= 8
        own_page.keyboard.press("Enter")  # takes it back
        expect(other).to_have_text(score)
        expect(own_page.locator("#tags li")).to_have_count(len(before))
        assert _tags(own_page) == before
        assert _tags(own_page, "#less-likely-tags") == less

    def test_slow_sounds_are_weighed_anew_when_asked(self, own_page: Page) -> None:
        page = own_page
        answers_seem_to_take(page, 2.6)
        drop(page, DOG, "#tag")
        expect(row(page, "animal")).to_be_visible()
        page.get_by_role("button", name="Accept animal").click()
        anew = page.get_by_role("button", name="Update suggestions")
        expect(anew).to_be_visible()
        page.wait_for_timeout(1000)
        expect(page.locator("#suggestions-note")).to_be_empty()
        anew.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#suggestions-note")).to_contain_text("into account: animal")
        expect(anew).to_be_hidden()
        expect(page.locator("#tag-input")).to_be_focused()

    def test_accept_all_leaves_what_is_rejected(self, own_page: Page) -> None:
        suggested = _tags(own_page)
        assert suggested[0] == "rain"
        other = _second(own_page)
        own_page.get_by_role("button", name=f"Reject {other}", exact=True).click()
        own_page.get_by_role("button", name="Accept all suggested").click()
        for choice, pressed in (("Reject", "true"), ("Accept", "false")):
            expect(
                own_page.get_by_role("button", name=f"{choice} {other}", exact=True)
            ).to_have_attribute("aria-pressed", pressed)
        own_page.get_by_role("button", name="Copy as text").click()
        assert sorted(_clipboard(own_page).split(", ")) == sorted({*suggested} - {other})

    def test_tags_of_ones_own_count_and_signs_are_told(self, own_page: Page) -> None:
        expect(own_page.locator("#vocabulary option[value='waterfall']")).to_be_attached()
        own_page.get_by_role("textbox", name="Your own tags").or_(
            own_page.get_by_role("combobox", name="Your own tags")
        ).fill("Rain, ☔")
        own_page.keyboard.press("Enter")
        expect(own_page.get_by_role("button", name="Accept rain", exact=True)).to_have_attribute(
            "aria-pressed", "true"
        )
        expect(own_page.locator("#suggestions-note")).to_contain_text("but added: ☔.")
        expect(own_page.locator("#added-tags li")).to_have_count(1)
        assert violations(own_page) == []
        own_page.get_by_role("button", name="Copy as JSON").click()
        copied = json.loads(_clipboard(own_page))
        assert copied["sound"] == RAIN.name
        accepted = [row["tag"] for row in copied["tags"] if row["choice"] == "accepted"]
        assert accepted == ["rain", "☔"]
        own_page.get_by_role("button", name="Remove ☔").click()
        expect(own_page.locator("#added-tags li")).to_have_count(0)
        expect(own_page.locator("#tag-input")).to_be_focused()
        expect(own_page.locator("#suggestions-note")).to_have_text(
            "The other suggestions take into account: rain."
        )

    @pytest.mark.parametrize("size", SIZES)
    def test_tags_fit(self, chromium: Browser, own_address: str, size: tuple[int, int]) -> None:
        screen = {"width": size[0], "height": size[1]}
        with visiting(chromium, own_address, viewport=screen, has_touch=True) as (page, _):
            choose_and_tag(page, RAIN)
            page.get_by_role("button", name="Accept rain", exact=True).tap()
            expect(page.locator("#suggestions-note")).to_contain_text("rain")
            expect(page.locator("#sound .marks span")).to_have_count(3)
            page.locator("#less-likely").evaluate("node => { node.open = true; }")
            page.get_by_role("button", name="Add to the library").tap()
            page.get_by_role("button", name="Find similar").tap()
            expect(page.locator("#similar li").first).to_be_visible()
            assert violations(page) == []
            assert page.locator("html").evaluate("page => page.scrollWidth") == size[0]
            small = page.locator("#tag button:visible").evaluate_all(
                """nodes => nodes.map((node) => [node.getBoundingClientRect(), node.outerHTML])
                .filter(([box]) => box.width < 24 || box.height < 24).map(([, text]) => text)"""
            )
            assert small == []


@in_browser
@needs_chromium
class TestKeeping:
    def test_feedback_is_kept_with_the_sound(self, own_page: Page, own_address: str) -> None:
        before = get_json(f"{own_address}/v1/feedback")["total"]
        own_page.get_by_role("button", name="Save feedback").click()
        expect(own_page.locator("#feedback-status")).to_contain_text("Accept or reject a tag first")
        rejected = _decide(own_page)
        own_page.get_by_role("button", name="Save feedback").click()
        expect(own_page.locator("#feedback-status")).to_have_text(
            "Feedback and sound saved. Thank you."
        )
        own_page.get_by_role("button", name="Feedback saved").click()  # once is enough
        listed = get_json(f"{own_address}/v1/feedback")
        assert listed["total"] == before + 1
        newest = listed["feedback"][0]
        assert (newest["accepted"], newest["rejected"]) == (["rain"], [rejected])
        assert newest["title"] == "rain steady 1"
        shown = [*_tags(own_page), *_tags(own_page, "#less-likely-tags")]
        other = next(tag for tag in shown if tag not in ("rain", rejected))
        own_page.get_by_role("button", name=f"Accept {other}", exact=True).click()
        expect(own_page.get_by_role("button", name="Save feedback")).to_be_visible()

    def test_sound_is_added_found_and_removed(self, own_page: Page, own_address: str) -> None:
        total = get_json(f"{own_address}/v1/clips")["total"]
        rejected = _decide(own_page)
        own_page.locator("#tag-input").fill("tin roof")
        own_page.keyboard.press("Enter")
        own_page.get_by_role("button", name="Add to the library").click()
        expect(own_page.locator("#add-title")).to_be_focused()
        expect(own_page.locator("#add-title")).to_have_attribute("placeholder", "rain steady 1")
        expect(own_page.locator("#add-tags")).to_have_value("rain, tin-roof")
        own_page.locator("#add-title").fill("Quokka in the rain")
        own_page.locator("#add-licence").fill("CC0-1.0")
        own_page.locator("#add-author").fill("Ann")
        own_page.keyboard.press("Enter")
        expect(own_page.locator("#added")).to_contain_text("“Quokka in the rain” is in the library")
        expect(own_page.locator("#added")).to_contain_text("identical sound")
        expect(own_page.locator("#feedback-status")).to_have_text("Feedback saved. Thank you.")
        assert violations(own_page) == []
        clip = get_json(f"{own_address}/v1/clips")["clips"][0]
        assert (clip["title"], clip["tags"]) == ("Quokka in the rain", ["rain", "tin-roof"])
        assert (clip["licence"], clip["author"]) == ("CC0-1.0", "Ann")
        newest = get_json(f"{own_address}/v1/feedback")["feedback"][0]
        assert (newest["clip"], newest["rejected"]) == (clip["id"], [rejected])
        when = {"recorded": "2021-05-03T06:30"}
        assert httpx.patch(f"{own_address}/v1/clips/{clip['id']}", json=when).status_code == 200
        own_page.get_by_role("link", name="Find it").click()
        expect(own_page.locator("#results h2").first).to_have_text("Quokka in the rain")
        first = own_page.locator("#results .result").first
        expect(first.locator(".track.drawn")).to_be_visible()  # while it is there
        expect(first).to_contain_text("Ann · CC0-1.0 · recorded 2021-05-03 06:30")
        own_page.go_back()
        own_page.get_by_role("button", name="Remove from the library").click()
        expect(own_page.locator("#added")).to_have_text("Removed from the library.")
        expect(own_page.get_by_role("button", name="Add to the library")).to_be_focused()
        assert get_json(f"{own_address}/v1/clips")["total"] == total

    def test_trouble_keeps_what_was_typed(self, own_visit: tuple[Page, Watch]) -> None:
        page, watch = own_visit
        watch.failures_expected = True
        page.get_by_role("button", name="Add to the library").click()
        page.locator("#add-title").fill("Quokka")
        page.route("**/v1/clips", lambda route: route.abort())
        page.get_by_role("button", name="Add this sound").click()
        expect(page.locator("#add-problem")).to_contain_text("cannot be reached")
        expect(page.locator("#add-title")).to_have_value("Quokka")
        page.unroute("**/v1/clips")
        page.locator("#add-problem").get_by_role("button", name="Try again").click()
        expect(page.locator("#added")).to_contain_text("Quokka")
        page.get_by_role("button", name="Remove from the library").click()
        expect(page.locator("#added")).to_have_text("Removed from the library.")


@in_browser
@needs_chromium
class TestSimilar:
    def test_similar_sounds_are_found_and_played(self, page: Page) -> None:
        choose_and_tag(page, RAIN)
        page.get_by_role("button", name="Find similar").click()
        first = page.locator("#similar li").first
        expect(first.locator("h2")).to_have_text("Steady rain")
        first.locator(".play").click()
        until(lambda: position(page) > 0.1)
        drop(page, DOG, "#tag")
        expect(row(page, "animal")).to_be_visible()
        expect(page.locator("#similar li")).to_have_count(0)
        assert position(page) == 0

    def test_keyboard_alone_suffices(self, own_page: Page) -> None:
        own_page.locator("#file").focus()
        rejected = _second(own_page)

        def tab_to(name: str) -> None:
            button = own_page.get_by_role("button", name=name, exact=True)
            for _ in range(150):
                own_page.keyboard.press("Tab")
                if button.evaluate("node => node === document.activeElement"):
                    return
            raise AssertionError(f"Tab does not lead to {name}")

        tab_to(f"Play {RAIN.name}")
        own_page.keyboard.press("Space")
        until(lambda: position(own_page) > 0.1)
        tab_to("Accept rain")
        own_page.keyboard.press("Space")
        expect(own_page.locator("#sound .marks span")).to_have_count(3)
        tab_to(f"Reject {rejected}")
        own_page.keyboard.press("Enter")
        tab_to("Save feedback")
        own_page.keyboard.press("Enter")
        expect(own_page.locator("#feedback-status")).to_contain_text("saved")
        tab_to("Find similar sounds")
        own_page.keyboard.press("Enter")
        expect(own_page.locator("#similar li").first).to_be_visible()
