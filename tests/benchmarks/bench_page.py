"""The page, fast: `python -m tests.benchmarks.bench_page`. Prints and judges nothing.

A library of 10,000 clips, the starter model, headless Chromium on the same cores. How long until
the page shows results for the query of its address, from the start of the navigation; and how long
from a keystroke until its results are drawn, as somebody types words.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from earmark.model.encoders.load import load_embedder
from earmark.model.model_files import starter_model
from tests.benchmarks.bench_service import fill, queries
from tests.service.server_process import serving
from tests.service.ui.browser import CHROMIUM, FLAGS

CLIPS = 10_000
KEY_MS = 180.0  # between two keystrokes: somebody quick

# Notes how long after a key that changed the words their answer was drawn: sounds, or that there
# are none. Answers that the next key overtakes count from the first key that had none.
WATCH = """
window.keystrokes = [];
addEventListener("DOMContentLoaded", () => {
  let key = 0, since = 0, words = "";
  addEventListener("keydown", (event) => { key = event.timeStamp; }, true);
  addEventListener("input", ({ target }) => {
    if (target.value.trim() !== words) since = since || key;
    words = target.value.trim();
  }, true);
  const drawn = new MutationObserver(() => {
    if (!since) return;
    const begun = since;
    since = 0;
    requestAnimationFrame(() => setTimeout(() => keystrokes.push(performance.now() - begun)));
  });
  for (const part of ["#results", "#found"]) {
    drawn.observe(document.querySelector(part), { childList: true });
  }
});
"""
SHOWN = """() => new Promise((done) => {
  const look = () => document.querySelector("#results > *")
    ? requestAnimationFrame(() => setTimeout(() => done(performance.now())))
    : requestAnimationFrame(look);
  look();
})"""


def print_times(what: str, milliseconds: list[float]) -> None:
    """One line of the table."""
    figures = np.percentile(milliseconds, [50, 95, 100])
    print(f"{what:48} {len(milliseconds):6d} " + " ".join(f"{each:8.0f}" for each in figures))


def first(page: Page, address: str, times: int) -> list[float]:
    """Milliseconds from navigation to results that are drawn, each for another query."""
    ask, taken = queries(), []
    for _ in range(times):
        page.goto(f"{address}/?q={ask().replace(' ', '+')}", wait_until="commit")
        taken.append(float(page.evaluate(SHOWN)))
    return taken


def typed(page: Page, address: str, words: int) -> list[float]:
    """Milliseconds from keystrokes to their results."""
    ask = queries()
    page.goto(address)
    box = page.locator("#query")
    for _ in range(words):
        box.fill("")
        page.wait_for_timeout(500)
        page.evaluate("keystrokes.length = 0")
        box.press_sequentially(ask(), delay=KEY_MS)
        page.wait_for_timeout(500)
        page.evaluate("(window.all ??= []).push(...keystrokes)")
    taken: list[float] = page.evaluate("window.all")
    return taken


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory(prefix="earmark-bench-") as temporary:
        folder = Path(temporary)
        fill(folder / "library", load_embedder(starter_model()), CLIPS)
        arguments = (folder / "log", "--library", folder / "library")
        with serving(*arguments, anew=True) as server, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = chromium.new_page()
            page.add_init_script(WATCH)
            address = f"http://127.0.0.1:{server.port}"
            first(page, address, 3)
            print(f"{'milliseconds':48} {'':6} {'p50':>8} {'p95':>8} {'most':>8}")
            print_times("first paint with results", first(page, address, times))
            print_times("from a keystroke to its results", typed(page, address, times))
            chromium.close()


if __name__ == "__main__":
    main()
