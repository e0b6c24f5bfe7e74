"""The pictures of the page in docs/: `python -m tests.service.ui.screenshots [FOLDER]`.

The demo library with the starter model, and once with a long sound besides, in Chromium, at two
sizes. Each picture waits for what it shows.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from earmark.index.ingest.bulk import add
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.service.ui.browser import (
    CHROMIUM,
    DEMO,
    FLAGS,
    ROOT,
    free_port,
    make_library,
    make_minute,
    serving,
    visiting,
)
from tests.service.ui.uploads import RAIN, choose, choose_and_tag

SIZES = {"": (1280, 800), "-phone": (390, 844)}
LABELS = ("rain", "dog", "engine", "music")


def search(page: Page) -> None:
    page.goto("/?q=thunder+storm")
    expect(page.locator("#results h2").first).to_be_visible()


def filters(page: Page) -> None:
    page.goto("/?q=thunder&no_tag=rain&max_duration=10")
    expect(page.locator("#results h2").first).to_be_visible()
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("#facets details").first).to_be_visible()


def moments(page: Page) -> None:
    page.goto("/?q=thunder+storm&min_duration=30")
    item = page.locator(".result").first
    expect(item.locator(".track.drawn")).to_be_visible()
    item.get_by_role("button", name="Select a part").click()
    item.get_by_role("button", name="What is heard when").click()
    expect(item.locator(".lane button").first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")


def spectrogram(page: Page) -> None:
    page.goto("/?q=thunder+storm&min_duration=30")
    page.get_by_role("button", name="Spectrograms").click()
    item = page.locator(".result").first
    item.get_by_role("button", name="Select a part").click()
    expect(item.locator(".spectrogram img")).to_have_count(1)
    for _ in range(2):
        item.get_by_role("button", name="Zoom in").click()
    expect(item.locator(".spectrogram img")).to_have_count(2)
    item.get_by_role("button", name="Play this part").click()
    page.get_by_role("button", name="Loop").click()
    page.get_by_label("Speed").select_option("0.5")
    expect(item.locator(".play")).to_have_attribute("data-state", "playing")
    page.evaluate("scrollTo(0, 0)")


def editing(page: Page) -> None:
    page.goto("/?q=dog")
    page.locator("#results .select").nth(0).check()
    page.locator("#results .select").nth(2).click(modifiers=["Shift"])
    item = page.locator(".result").first
    item.locator(".edit").click()
    expect(item.get_by_label("Title")).to_be_focused()
    page.evaluate("scrollTo(0, 0)")


def collection(page: Page) -> None:
    hits = page.request.get("/v1/search?q=thunder&k=3").json()["hits"]
    body = {"name": "Storms", "clips": [hit["id"] for hit in hits]}
    page.request.post("/v1/collections", data=body)  # of the second size it is there already
    page.goto("/?collection=storms")
    expect(page.locator("#results.ordered h2")).to_have_count(3)


def teaching(page: Page) -> None:
    page.request.post("/v1/classifiers", data={"name": "barking dog"})
    page.goto("/?taught=barking-dog&asked=true")
    expect(page.locator(".this-is-it")).to_have_count(10)
    for place in range(3):
        item = page.locator("#results > .result").nth(place)
        is_it = "bark" in (item.locator("h2").text_content() or "")
        item.locator(".this-is-it" if is_it else ".this-is-not").click()
    page.evaluate("document.activeElement.blur()")
    page.evaluate("scrollTo(0, 0)")
    expect(page.locator("#teaching")).not_to_contain_text(" 0 yes, 0 no")


def review(page: Page) -> None:
    page.goto("/#review")
    begin = page.get_by_role("button", name="Suggest tags for all sounds")
    expect(begin.or_(page.locator(".suggestion").first)).to_be_visible()
    if begin.is_visible():
        begin.click()
    expect(page.locator("#review-state")).to_be_empty()
    expect(page.locator(".review-tag").first).to_be_visible()
    page.locator(".review-tag").first.click()
    expect(page.locator("#review-note")).to_contain_text("that may be")
    expect(page.locator("#suggestions .track.drawn").nth(1)).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("x")
    expect(page.locator("#review-saved")).to_contain_text("all saved")
    page.evaluate("scrollTo(0, 0)")


def tags(page: Page) -> None:
    choose_and_tag(page, RAIN)


def classify(page: Page) -> None:
    page.goto("/#classify")
    choose(page, RAIN)
    page.locator("#label").focus()
    for label in LABELS:
        page.keyboard.type(f"{label},")
    page.get_by_role("button", name="Classify").click()
    expect(page.locator("#classes li")).to_have_count(len(LABELS))


def whole_map(page: Page) -> None:
    page.goto("/#map")
    expect(page.locator("#map-state")).to_have_text(
        re.compile(r"^(The map is ready: )?\d+ sounds\.$")
    )
    page.reload()  # a map that has just been made still moves
    expect(page.locator("#map-legend button")).to_have_count(8)
    page.wait_for_timeout(1_000)  # its points come one after the other


def library(page: Page) -> None:
    page.goto("/#library")
    expect(page.get_by_role("heading", name="Licences")).to_be_visible()


VIEWS: dict[str, Callable[[Page], None]] = {
    "search": search,
    "filters": filters,
    "editing": editing,
    "collection": collection,
    "teaching": teaching,
    "review": review,
    "tags": tags,
    "classify": classify,
    "map": whole_map,
    "library": library,
}
LONG_SOUND = "Evening before the storm"


def make_libraries(folder: Path) -> tuple[Path, Path]:
    """The demo library, and one with a long sound besides."""
    demo = folder / "demo"
    with Library.open(demo, load_embedder(starter_model()), create=True) as made:
        add(made, [DEMO / "manifest.csv"])
    make_minute(folder / "minute.wav")
    nobody = {"author": "", "source": "", "licence": ""}
    extended = make_library(
        folder, folder / "minute.wav", LONG_SOUND, tags="forest storm", **nobody
    )
    return demo, extended


def take(browser: Browser, library: Path, views: dict[str, Callable[[Page], None]]) -> None:
    """The pictures of these views of a library, at both sizes."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    with serving(library, free_port()) as address:
        for size, (width, height) in SIZES.items():
            viewport = {"width": width, "height": height}
            for view, show in views.items():
                with visiting(browser, address, viewport=viewport) as (page, _):
                    show(page)
                    page.wait_for_load_state("networkidle")
                    file = target / f"page-{view}{size}.png"
                    page.screenshot(path=file)
                    print(file)


def main() -> None:
    """Draw them all."""
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        demo, extended = make_libraries(Path(name))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        take(browser, demo, VIEWS)
        take(browser, extended, {"moments": moments, "spectrogram": spectrogram})
        browser.close()


if __name__ == "__main__":
    main()
