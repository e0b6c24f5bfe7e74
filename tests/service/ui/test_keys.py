"""API keys on the page: asked for where writing or reading needs one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from earmark.service.auth.api_keys import KeyFile
from tests.service.ui.browser import (
    free_port,
    in_browser,
    needs_chromium,
    played,
    serving,
    until,
    visiting,
)
from tests.service.ui.uploads import DOG, RAIN, choose, choose_and_tag, get_json, violations

ELSEWHERE = {"X-Forwarded-For": "203.0.113.9"}  # so a request does not come from this machine


@pytest.fixture(scope="module")
def keyed(
    tmp_path_factory: pytest.TempPathFactory, page_library: Path
) -> Iterator[tuple[str, KeyFile]]:
    """A server that wants a key for writing, and from elsewhere for reading; and its keys."""
    folder = tmp_path_factory.mktemp("keyed")
    library = Path(shutil.copytree(page_library, folder / "library"))
    keys = KeyFile(folder / "keys")
    keys.add("nobody", "read")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("EARMARK_KEYS", str(keys.path))
        environment.setenv("EARMARK_REQUIRE_KEY", "always")
        environment.setenv("EARMARK_REQUIRE_READ_KEY", "true")
        with serving(library, free_port()) as address:
            yield address, keys


def _enter(page: Page, key: str) -> None:
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type(key)
    page.keyboard.press("Enter")


@in_browser
@needs_chromium
def test_key_is_asked_for_where_writing_needs_one(
    chromium: Browser, keyed: tuple[str, KeyFile]
) -> None:
    address, keys = keyed
    with visiting(chromium, address) as (page, watch):
        watch.failures_expected = True
        choose_and_tag(page, RAIN)
        page.get_by_role("button", name="Accept all suggested").click()
        page.get_by_role("button", name="Save feedback").click()
        expect(page.get_by_label("API key")).to_be_focused()
        assert violations(page) == []
        _enter(page, "no such key")
        expect(page.locator("#key-note")).to_contain_text("rejected this key")
        page.locator("#feedback-problem").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("button", name="Save feedback")).to_be_focused()
        page.keyboard.press("Enter")
        _enter(page, keys.add("ann", "write"))
        expect(page.locator("#feedback-status")).to_contain_text("sound saved.")
        assert get_json(f"{address}/v1/feedback")["feedback"][0]["by"] == "ann"
        page.reload()
        choose(page, DOG)
        page.get_by_role("button", name="Add to the library").click()
        page.keyboard.press("Enter")
        expect(page.locator("#added")).to_contain_text("dog barking 1")
        page.get_by_role("button", name="Remove from the library").click()
        expect(page.locator("#added")).to_have_text("Removed from the library.")
        assert page.evaluate("Object.keys(localStorage)") == []


@in_browser
@needs_chromium
def test_all_can_be_read_with_a_key(chromium: Browser, keyed: tuple[str, KeyFile]) -> None:
    address, keys = keyed
    secret = keys.add("reader", "read")
    with visiting(chromium, address, extra_http_headers=ELSEWHERE) as (page, watch):
        watch.failures_expected = True
        page.goto("/?q=thunder")
        _enter(page, "no such key")
        _enter(page, secret)
        item = page.locator("#results .result").first
        expect(item.locator(".track.drawn")).to_be_visible()
        expect(page.get_by_label("API key")).to_have_count(0)
        page.get_by_role("button", name="Spectrograms").click()
        expect(item.locator(".spectrogram img")).to_be_visible()
        item.locator(".play").click()
        until(lambda: played(page) > 0.2)
        page.locator("#results .play").nth(1).click()  # and another
        until(lambda: played(page) > 0.2)
        link = item.get_by_role("link", name="Download")
        with page.expect_download() as download:
            link.click()
        assert download.value.suggested_filename.endswith(".ogg")
        assert download.value.path().stat().st_size > 1_000
        assert not link.evaluate(
            """link => link.dispatchEvent(new DragEvent(
            "dragstart", {bubbles: true, cancelable: true, dataTransfer: new DataTransfer()}))"""
        )
        page.reload()
        expect(item.locator(".track.drawn")).to_be_visible()
        assert not any(secret in asked for asked in watch.addresses)
        keys.revoke("reader")
        page.reload()
        expect(page.get_by_label("API key")).to_be_focused()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#find-problem")).to_contain_text("expected one to read with")
        page.get_by_role("button", name="Try again").click()
        expect(page.get_by_label("API key")).to_be_focused()


@in_browser
@needs_chromium
def test_what_waits_for_a_key_is_done_once(chromium: Browser, keyed: tuple[str, KeyFile]) -> None:
    address, keys = keyed
    local = f"{address}/v1/collections/favourites/clips"
    with visiting(chromium, address, extra_http_headers={}) as (page, watch):
        watch.failures_expected = True
        page.goto("/?q=thunder")
        stars = page.locator("#results .star")
        stars.nth(0).click()
        expect(page.get_by_label("API key")).to_be_focused()
        stars.nth(1).click()  # while the page asks
        expect(page.get_by_label("API key")).to_be_focused()
        page.locator("#results .select").nth(2).check()
        page.get_by_role("button", name="Edit…").click()
        page.get_by_label("Add tags, comma-separated").fill("checked")
        page.get_by_role("button", name="Change 1 sound").click()
        _enter(page, keys.add("eve", "write"))
        expect(page.locator("#done")).to_contain_text("1 sound changed.")
        expect(page.locator("#done").get_by_role("button", name="Undo")).to_be_visible()
        until(lambda: len(get_json(local)["clips"]) == 2)
