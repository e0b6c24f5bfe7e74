"""Steps that tests of uploads on the page share."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.service.ui.browser import DEMO, FLAGS

RAIN = DEMO / "audio" / "rain-steady-1.ogg"
DOG = DEMO / "audio" / "dog-barking-1.ogg"
MICROPHONE = [*FLAGS, "--use-fake-device-for-media-stream"]  # it beeps


def answers_seem_to_take(page: Page, seconds: float) -> None:
    """Let the page measure this for every answer, however busy the machine is.

    It asks again by itself after quick answers, and offers a button after slow ones.
    """
    page.evaluate(
        "step => { let now = 0; performance.now = () => (now += step); }", 1_000 * seconds
    )


def choose(page: Page, file: Path) -> None:
    """Choose a file in the browser's dialogue; its answers seem quick to the page."""
    answers_seem_to_take(page, 0.1)
    with page.expect_file_chooser() as chooser:
        page.locator("#drop").click()
    chooser.value.set_files(file)


def choose_and_tag(page: Page, file: Path) -> None:
    """Choose a file, and wait for its tags."""
    page.goto("/#tag")
    choose(page, file)
    expect(page.locator("#tag-status")).to_contain_text("suggested")


def drop(page: Page, file: Path, place: str) -> None:
    """Drop a file somewhere."""
    files = page.evaluate_handle(
        """([name, data]) => { const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(data)], name));
        return carried; }""",
        [file.name, list(file.read_bytes())],
    )
    page.dispatch_event(place, "dragover", {"dataTransfer": files})
    page.dispatch_event(place, "drop", {"dataTransfer": files})


def record(page: Page, seconds: float) -> None:
    """Record from the browser's microphone."""
    page.get_by_role("button", name="Record").click()
    expect(page.get_by_role("button", name="Stop recording")).to_be_focused()
    page.wait_for_timeout(1_000 * seconds)
    page.get_by_role("button", name="Stop recording").click()


def row(page: Page, tag: str) -> Locator:
    """The line of a tag."""
    return page.locator(f"#suggested li[data-tag='{tag}']")


def violations(page: Page) -> list[str]:
    """The accessibility violations that axe finds."""
    found = Axe().run(page).response["violations"]
    return [f"{rule['id']}: {rule['nodes'][0]['failureSummary']}" for rule in found]


def get_json(address: str) -> Any:
    """The JSON of an answer."""
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)
