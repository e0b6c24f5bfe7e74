"""Sounds are selected, edited, kept, taught and reviewed on the page, in a real Chromium."""

from __future__ import annotations

import json
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.service.ui.browser import (
    MARKUP,
    SMALL,
    Watch,
    free_port,
    in_browser,
    needs_chromium,
    serving,
    titles,
    until,
    visiting,
)
from tests.service.ui.uploads import violations

pytestmark = [in_browser, needs_chromium]


@pytest.fixture(scope="module")
def own_address(page_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of a copy of the page's library."""
    copy = shutil.copytree(page_library, tmp_path_factory.mktemp("curation") / "library")
    with serving(copy, free_port()) as address:
        yield address


@pytest.fixture
def own(chromium: Browser, own_address: str) -> Iterator[tuple[Page, Watch]]:
    """A watched page of it."""
    with visiting(chromium, own_address) as opened:
        yield opened


def call(address: str, path: str, method: str = "GET", body: object = None) -> Any:
    """The answer of the service."""
    asked = urllib.request.Request(f"{address}{path}", method=method)
    if body is not None:
        asked.data = json.dumps(body).encode()
        asked.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(asked) as answer:
        return json.loads(answer.read() or "null")


def found(page: Page, words: str) -> None:
    """Search."""
    page.goto(f"/?q={words}")
    expect(page.locator("#results h2").first).to_be_visible()


def test_a_sound_is_edited_in_place(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    found(page, "thunder")
    item = page.locator(".result").first
    item.locator("h2").click()
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("e")
    expect(item.get_by_label("Title")).to_be_focused()
    item.get_by_label("Title").fill("Thunder at night <b>")
    item.get_by_label("Tags, comma-separated").fill("thunder, tin roof")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_contain_text("“Thunder at night <b>” changed.")
    assert titles(page)[0] == "Thunder at night <b>"
    expect(item.locator(".edit")).to_be_focused()
    expect(item.locator(".result-tag")).to_have_text(["thunder", "tin-roof"])
    item.locator(".edit").click()
    item.get_by_text("History").click()
    expect(item.locator(".history > li")).to_have_count(2)
    expect(item.locator(".history")).to_contain_text("→ thunder, tin-roof")
    page.keyboard.press("Escape")
    page.locator("#done").get_by_role("button", name="Undo").click()
    expect(page.locator("#done")).to_contain_text("Undone: 1 sound as before.")
    until(lambda: titles(page)[0] != "Thunder at night <b>")


def test_a_change_by_another_meanwhile_is_told(own: tuple[Page, Watch], own_address: str) -> None:
    page, watch = own
    watch.failures_expected = True
    [clip] = call(own_address, "/v1/search?q=rooster+crowing&k=1")["hits"]
    found(page, "rooster+crowing")
    item = page.locator(".result").first
    item.locator(".edit").click()
    item.get_by_label("Author").fill("Ann")
    changes = {"title": "Rooster, twice", "licence": "CC0-1.0"}
    call(own_address, f"/v1/clips/{clip['id']}", "PATCH", changes)
    item.get_by_role("button", name="Save").click()
    expect(item.get_by_role("alert")).to_contain_text("Someone else has changed this sound")
    expect(item.get_by_role("alert")).to_contain_text("Rooster, twice")
    item.get_by_role("button", name="Save").click()
    expect(page.locator("#done")).to_contain_text("changed")
    now = call(own_address, f"/v1/clips/{clip['id']}")
    assert (now["author"], now["title"]) == ("Ann", "Rooster, twice")  # both are kept
    page.locator("#done").get_by_role("button", name="Close").click()


def test_selected_sounds_are_edited_at_once_and_undone(
    own: tuple[Page, Watch], own_address: str
) -> None:
    page, _ = own
    found(page, "rain")
    boxes = page.locator("#results .select")
    boxes.nth(0).check()
    boxes.nth(2).click(modifiers=["Shift"])
    expect(page.locator("#selection-count")).to_have_text("3 sounds selected")
    page.get_by_role("button", name="Edit…").click()
    page.get_by_label("Add tags, comma-separated").fill("checked")
    page.get_by_role("dialog").get_by_label("Licence", exact=True).fill("CC-BY-4.0")
    page.get_by_role("button", name="Change 3 sounds").click()
    expect(page.locator("#done")).to_contain_text("3 sounds changed.")
    assert call(own_address, "/v1/clips?tag=checked&licence=CC-BY-4.0")["total"] == 3
    page.locator("#done").get_by_role("button", name="Undo").click()
    expect(page.locator("#done")).to_contain_text("Undone: 3 sounds as before.")
    assert call(own_address, "/v1/clips?tag=checked")["total"] == 0


def test_all_of_a_search_are_edited_also_what_is_not_on_the_page(
    own: tuple[Page, Watch], own_address: str
) -> None:
    page, _ = own
    page.goto("/?max_duration=1")
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Select all of this search").click()
    page.get_by_role("button", name="Edit…").click()
    total = call(own_address, "/v1/clips?max_duration=1")["total"]
    assert total > 20
    page.get_by_label("Add tags, comma-separated").fill("short")
    page.get_by_role("button", name=f"Change {total} sounds").click()
    expect(page.locator("#done")).to_contain_text(f"{total} sounds changed.")
    assert call(own_address, "/v1/clips?tag=short")["total"] == total
    page.locator("#done").get_by_role("button", name="Undo").click()
    expect(page.locator("#done")).to_contain_text(f"Undone: {total} sounds as before.")
    words = "heavy rain on a roof"  # some sounds hold one of them, and are of something else
    total = call(own_address, f"/v1/facets?q={words.replace(' ', '+')}")["total"]
    body = {"where": {"q": words}, "add_tags": ["counted"]}
    done = call(own_address, "/v1/clips", "PATCH", body)
    assert done["changed"] == total
    call(own_address, f"/v1/edits/{done['number']}/undo", "POST")


def test_sounds_are_kept_in_collections(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    found(page, "thunder")
    page.locator(".result").nth(1).hover()
    page.locator(".star").nth(1).click()
    expect(page.locator(".star").nth(1)).to_have_attribute("aria-pressed", "true")
    for place in (0, 1):
        page.locator("#results .select").nth(place).check()
    page.keyboard.press("c")
    page.get_by_label("Name of a new collection").fill("Storms")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#done")).to_contain_text("2 sounds added to “Storms”.")
    first, second = titles(page)[:2]
    page.goto("/#library")
    page.get_by_role("link", name="Storms").click()
    expect(page.get_by_role("heading", name="Storms")).to_be_visible()
    until(lambda: titles(page) == [first, second])
    page.get_by_role("button", name=f"Move {first} down").click()
    until(lambda: titles(page) == [second, first])
    page.reload()
    until(lambda: titles(page) == [second, first])
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as ZIP").click()
    assert download.value.suggested_filename == "Storms.zip"
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Remove from this collection").click()
    until(lambda: titles(page) == [first])
    favourites = call(own_address, "/v1/collections/favourites/clips")["clips"]
    assert [clip["title"] for clip in favourites] == [second]
    page.locator("#active-filters .remove").first.click()
    page.locator("#query").fill("thunder")
    star = page.get_by_role("button", name=f"Favourite: {second}")
    expect(star).to_have_attribute("aria-pressed", "true")
    page.get_by_role("checkbox", name=f"Select {first}").check()
    page.keyboard.press("c")
    page.get_by_role("dialog").get_by_role("button", name="Favourites").click()
    other = page.get_by_role("button", name=f"Favourite: {first}")
    expect(other).to_have_attribute("aria-pressed", "true")


def test_a_search_is_kept_and_follows(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    page.goto("/?tag=dog&max_duration=10")
    page.get_by_role("button", name="Keep this search…").click()
    page.get_by_label("Name", exact=True).fill("Short dogs")
    page.get_by_role("button", name="Keep", exact=True).click()
    expect(page.locator("#collection")).to_contain_text("Follows a search")
    expect(page).to_have_url("/?collection=short-dogs")
    kept = call(own_address, "/v1/collections/short-dogs")
    assert kept["follows"]["tag"] == ["dog"] and kept["follows"]["max_duration"] == 10


def test_facets_narrow_a_search(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    page.goto("/?tag=animal")
    page.get_by_role("button", name="Filters").click()
    rows = page.locator("#facet-tags li")
    tag, times = (rows.nth(1).locator("span").nth(place).text_content() for place in (0, 1))
    rows.nth(1).get_by_role("checkbox").check()
    expect(page).to_have_url(f"/?tag=animal&tag={tag}")
    expect(rows.first.locator(".times")).to_have_text(str(times))  # so many have both
    page.locator("#facet-channels summary").click()
    page.get_by_label("mono").check()
    expect(page.get_by_role("button", name="Remove 1 channel")).to_be_visible()
    assert violations(page) == []


def test_a_sound_is_taught_by_keyboard(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    found(page, "dog")
    page.get_by_role("button", name="Teach a sound…").click()
    page.get_by_label("Name of the sound").fill("a bark")
    page.keyboard.press("Enter")
    expect(page.locator("#teaching")).to_contain_text("Teaching “a bark”: 0 yes, 0 no.")
    until(lambda: page.locator(".this-is-it").count() == 10)
    before = titles(page)
    page.locator("#results .play").first.focus()
    for title in before:
        page.keyboard.press("1" if "bark" in title else "2")
        page.keyboard.press("j")
    until(lambda: titles(page) and not set(titles(page)) & set(before))  # it asks for others
    taught = call(own_address, "/v1/classifiers/a-bark")
    assert taught["positives"] + taught["negatives"] == 10
    page.get_by_role("link", name="Ranking").click()
    until(lambda: "bark" in "".join(titles(page)[:2]))
    found(page, "storm")  # as well in any search
    expect(page.locator(".this-is-not").first).to_be_visible()
    page.get_by_role("button", name="Stop teaching").click()
    expect(page.locator(".this-is-not")).to_have_count(0)


def suggest_all(page: Page, reviewer: str = "") -> None:
    if reviewer:  # the same as in another test, which has leased some
        page.add_init_script(f"sessionStorage.setItem('reviewer', '{reviewer}')")
    page.goto("/#review")
    until(lambda: page.locator("#suggest-all:visible, .suggestion").count())
    if page.get_by_role("button", name="Suggest tags for all sounds").is_visible():
        page.get_by_role("button", name="Suggest tags for all sounds").click()
    expect(page.locator(".suggestion").first).to_be_visible()


def test_two_review_at_once_by_keyboard_and_lose_nothing(
    chromium: Browser, own: tuple[Page, Watch], own_address: str
) -> None:
    mine, _ = own
    suggest_all(mine)
    until(lambda: call(own_address, "/v1/suggestions/progress")["state"] == "ready")
    with visiting(chromium, own_address) as (other, _):
        suggest_all(other)
        judged: list[tuple[str, ...]] = []
        for page in (mine, other, mine):
            names = page.locator(".suggestion .decide.accepted").evaluate_all(
                "all => all.map((button) => button.ariaLabel)"
            )
            judged += [tuple(names)]
            for place in range(len(names)):
                page.keyboard.press("x" if place % 3 == 0 else "a")
            expect(page.locator("#review-saved")).to_contain_text("all saved")
            until(lambda page=page, name=names[0]: name not in page.content())
        given = [name for names in judged for name in names]
        assert len(set(given)) == len(given)  # nobody got what the other had
        tags = call(own_address, "/v1/suggestions/tags")["tags"]
        kept = sum(tag["accepted"] + tag["rejected"] for tag in tags)
        assert kept == len(given)
        mine.keyboard.press("z")
        until(
            lambda: (
                sum(
                    tag["accepted"] + tag["rejected"]
                    for tag in call(own_address, "/v1/suggestions/tags")["tags"]
                )
                == kept - 1
            )
        )


def violations_in_both(page: Page) -> list[str]:
    """What axe finds in light and in dark."""
    both = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        both += violations(page)
    return both


def test_all_of_it_on_a_phone_for_axe(chromium: Browser, own_address: str) -> None:
    with visiting(chromium, own_address, viewport=SMALL, has_touch=True) as (page, _):
        suggest_all(page, "one")
        assert violations_in_both(page) == []
        found(page, "thunder")
        page.locator("#results .select").first.check()
        page.locator(".result .edit").first.click()
        expect(page.locator(".editor").get_by_label("Title")).to_be_visible()
        assert violations_in_both(page) == []
        page.get_by_role("button", name="Add to a collection…").click()
        expect(page.locator(".choices button").first).to_be_visible()
        assert violations_in_both(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= SMALL["width"]


def test_titles_are_text_everywhere(own: tuple[Page, Watch]) -> None:
    page, _ = own
    page.goto("/?min_duration=11")
    expect(page.locator(".result h2")).to_have_text(MARKUP)
    page.locator(".edit").click()
    expect(page.locator(".editor").get_by_label("Title")).to_have_value(MARKUP)


def test_what_is_only_ranked_is_not_edited_as_a_whole(
    own: tuple[Page, Watch], own_address: str
) -> None:
    page, _ = own
    clips = call(own_address, "/v1/clips?k=25")["clips"]
    page.goto(f"/?like={clips[0]['id']}")
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Select all", exact=True).click()
    expect(page.locator("#selection-count")).to_have_text("20 sounds selected")
    body = {"name": "Many", "clips": [clip["id"] for clip in clips]}
    many = call(own_address, "/v1/collections", "POST", body)["id"]
    page.goto(f"/?collection={many}")
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Select all of this search").click()
    page.get_by_role("button", name="Edit…").click()
    expect(page.get_by_role("button", name="Change 25 sounds")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#results .select").nth(1).uncheck()  # all but one is not all
    expect(page.locator("#selection-count")).to_have_text(re.compile(r"^(19|24) sounds selected"))
    page.get_by_role("button", name="Select all of this search").click()
    page.locator("#query").fill("rain")
    expect(page.locator("#find-status")).to_contain_text("for “rain”")
    expect(page.locator("#selection-count")).not_to_contain_text("All of this search")
    found(page, "thunder")
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Select all that are likely").click()
    unlikely = page.locator(".result", has=page.locator("[data-confidence=unlikely]"))
    assert 0 < unlikely.count() < 20
    expect(page.locator("#results .select:checked")).to_have_count(20 - unlikely.count())
    expect(unlikely.locator(".select:checked")).to_have_count(0)
    call(own_address, f"/v1/collections/{many}", "DELETE")


def test_the_focus_and_what_is_typed_stay(own: tuple[Page, Watch]) -> None:
    page, _ = own
    found(page, "thunder")
    items = page.locator("#results > .result")
    items.nth(2).locator(".edit").click()
    description = items.nth(2).get_by_label("Description")
    description.fill("Heard at night")
    items.nth(0).locator(".edit").click()
    items.nth(0).get_by_label("Author").fill("Ann")
    page.keyboard.press("Enter")
    done = page.locator("#done")
    done.get_by_role("button", name="Undo").press("Enter")
    expect(done.get_by_role("button", name="Redo")).to_be_focused()
    expect(description).to_have_value("Heard at night")  # the results were drawn anew
    description.press("Escape")
    expect(description).to_have_value("Heard at night")
    description.press("Escape")
    expect(items.nth(2).locator(".edit")).to_be_focused()
    page.locator("#results .select").first.check()
    page.get_by_role("button", name="Select none").press("Enter")
    expect(page.locator("#find-status")).to_be_focused()
    page.get_by_role("button", name="Filters").click()
    tag = page.locator("#facet-tags input").nth(1)
    tag.press("Space")
    expect(page.locator(".active-filter")).to_have_count(1)
    expect(page.locator("#facet-tags input:focus")).to_be_checked()


def test_a_sound_that_was_moved_is_the_one_that_is_edited(
    own: tuple[Page, Watch], own_address: str
) -> None:
    page, _ = own
    ids = [clip["id"] for clip in call(own_address, "/v1/search?q=bell&k=3")["hits"]]
    made = call(own_address, "/v1/collections", "POST", {"name": "Three", "clips": ids})["id"]
    page.goto(f"/?collection={made}")
    until(lambda: len(titles(page)) == 3)
    first, second, third = titles(page)
    down = page.get_by_role("button", name=f"Move {first} down")
    down.click()
    down.click()  # while the first move may be on its way
    until(lambda: titles(page) == [second, third, first])
    page.get_by_role("button", name=f"Edit {first}").click()
    page.locator(".editor").get_by_label("Author").fill("Ann")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_contain_text(f"“{first}” changed.")
    assert titles(page) == [second, third, first]
    call(own_address, f"/v1/collections/{made}", "DELETE")


def test_labels_of_moments_are_taken_back(own: tuple[Page, Watch], own_address: str) -> None:
    page, _ = own
    made = call(own_address, "/v1/classifiers", "POST", {"name": "a hum"})["id"]
    [clip] = call(own_address, "/v1/clips?min_duration=11")["clips"]

    def labels() -> list[tuple[object, ...]]:
        given = call(own_address, f"/v1/classifiers/{made}/labels")["labels"]
        return sorted((one["is"], one["start"], one["end"]) for one in given)

    given = [{"clip": clip["id"], "is": True, "start": 1.0, "end": 2.0}]
    call(own_address, f"/v1/classifiers/{made}/labels", "POST", {"labels": given})
    page.goto(f"/?taught={made}&min_duration=11")
    yes, no = page.locator(".this-is-it"), page.locator(".this-is-not")
    expect(yes).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Select a part").click()
    page.get_by_role("slider", name="Beginning of the part").press("Home")
    page.get_by_role("slider", name="End of the part").press("End")
    no.click()  # the selected part is not the sound: it has what is said to be
    expect(yes).to_have_attribute("aria-pressed", "false")
    until(lambda: [label[0] for label in labels()] == [False])
    page.reload()
    expect(no).to_have_attribute("aria-pressed", "true")
    no.click()
    until(lambda: labels() == [])
    page.get_by_role("button", name="Stop teaching").click()
    expect(page.locator("#teaching")).to_be_hidden()
    expect(page).to_have_url("/")
    call(own_address, f"/v1/classifiers/{made}", "DELETE")


def test_keys_of_a_review_judge_once_and_can_be_switched_off(
    own: tuple[Page, Watch], own_address: str
) -> None:
    page, _ = own
    suggest_all(page, "one")
    rows = page.locator(".suggestion")
    page.evaluate(
        """for (const options of [{key: "A"}, {key: "a", repeat: true}]) {
        document.body.dispatchEvent(new KeyboardEvent("keydown", {...options, bubbles: true}));
        }"""
    )  # Caps Lock, and a key held down
    expect(page.locator(".suggestion[data-choice=accepted]")).to_have_count(1)
    page.keyboard.press("z")
    expect(page.locator("#review-saved")).to_have_text("")
    page.goto("/?q=dog")
    page.get_by_role("button", name="Keyboard shortcuts").click()
    page.get_by_label("Use single-key shortcuts").uncheck()
    page.keyboard.press("Escape")
    page.goto("/#review")
    expect(rows.first).to_be_visible()
    page.keyboard.press("a")
    expect(page.locator(".suggestion[data-choice=accepted]")).to_have_count(0)
