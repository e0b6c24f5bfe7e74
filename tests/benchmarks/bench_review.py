"""A review on the page by keyboard alone: `python -m tests.benchmarks.bench_review [N] [--tabs T]`.

The demo sounds without their tags, and cuts of them, until N suggestions wait; each of T people in
a tab of their own accepts and rejects in turn. Prints how long it took, and what the service has
kept of it: nothing is judged twice, nothing is lost.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx
import soundfile
from playwright.sync_api import Page, expect, sync_playwright

from tests.service.ui.browser import CHROMIUM, DEMO, FLAGS, earmark, free_port, serving

SHARES = (1.0, 0.8, 0.6)  # of a sound, in its cuts


def fill(folder: Path) -> Path:
    """A library of the demo sounds and their cuts, without tags."""
    sounds = folder / "sounds"
    sounds.mkdir()
    for path in sorted((DEMO / "audio").glob("*.ogg")):
        samples, rate = soundfile.read(path)
        for share in SHARES:
            cut = samples[: int(share * len(samples))]
            soundfile.write(sounds / f"{path.stem}-{100 * share:.0f}.wav", cut, rate)
    library = folder / "library"
    for command in ("add", "suggest"):
        more = (sounds,) if command == "add" else ()
        done = earmark(command, *more, "--library", library)
        assert done.returncode == 0, done.stderr
    return library


def names(page: Page) -> list[str]:
    """What the rows on the page ask."""
    return [
        str(name)
        for name in page.locator(".suggestion .decide.accepted").evaluate_all(
            "all => all.map((button) => button.ariaLabel)"
        )
    ]


def kept(client: httpx.Client) -> int:
    """The verdicts that the service has."""
    tags = client.get("/v1/suggestions/tags").json()["tags"]
    return sum(tag["accepted"] + tag["rejected"] for tag in tags)


def review(pages: list[Page], count: int) -> Counter[str]:
    """Judge at least `count` suggestions, page after page in each tab in turn; what was judged."""
    judged: Counter[str] = Counter()
    while judged.total() < count:
        for page in pages:
            asked = names(page)
            judged.update(asked)
            for place in range(len(asked)):
                page.keyboard.press("x" if place % 3 == 0 else "a")
            expect(page.locator("#review-saved")).to_contain_text("all saved")
            while set(names(page)) & set(asked):
                time.sleep(0.01)
    return judged


def main() -> None:
    """Review, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", nargs="?", type=int, default=1_000)
    parser.add_argument("--tabs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as folder, sync_playwright() as play:
        library = fill(Path(folder))
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        with serving(library, free_port()) as address, httpx.Client(base_url=address) as client:
            pages = [browser.new_context(base_url=address).new_page() for _ in range(options.tabs)]
            for page in pages:
                page.goto("/#review")
                expect(page.locator(".suggestion").first).to_be_visible()
            begun = time.perf_counter()
            judged = review(pages, options.count)
            seconds = time.perf_counter() - begun
            twice = judged.total() - len(judged)
            print(f"{judged.total()} suggestions in {seconds:.1f} s by {options.tabs}")
            print(f"{kept(client)} verdicts kept, {twice} judged twice")
        browser.close()


if __name__ == "__main__":
    main()
