"""Helpers of the browser tests: a library, a server process, a watched page."""

from __future__ import annotations

import csv
import http.client
import json
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page, Route, expect

from earmark.model.model_files import model_file, starter_model
from tests import prepared
from tests.conftest import ROOT
from tests.index.made import earmark, environment

DEMO = ROOT / "index" / "demo"
MARKUP = "<img src=x onerror=alert(1)> dog <b>bold</b>"  # a title
SMALL = {"width": 390, "height": 844}
LARGE = {"width": 1280, "height": 800}
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-component-update"
    " --disable-background-networking --disable-sync --autoplay-policy=no-user-gesture-required"
).split()

PATIENCE = 120  # seconds: a machine may be busy with something else
expect.set_options(timeout=1_000 * PATIENCE)

in_browser = pytest.mark.browser
needs_chromium = pytest.mark.skipif(
    not Path(CHROMIUM).is_file(), reason=f"no Chromium at {CHROMIUM} (set CHROMIUM)"
)


def make_long_sound(path: Path) -> None:
    """Twelve seconds: noise, then a tone."""
    seconds = np.arange(12 * 8000) / 8000
    noise = np.random.default_rng(0).normal(0, 0.1, len(seconds))
    tone = 0.3 * np.sin(2 * np.pi * 440 * seconds)
    soundfile.write(path, np.where(seconds < 8, noise, tone), 8000)


def make_minute(path: Path) -> None:
    """A minute of faint noise with two dogs that bark from second 20 on, and thunder from 45 on."""
    rate = 24_000
    samples = np.random.default_rng(0).normal(0, 0.002, 60 * rate)
    for name, start in (("dog-barking-1", 20), ("thunder-strike-1", 45)):
        sound, _ = soundfile.read(DEMO / "audio" / f"{name}.ogg", frames=6 * rate)
        samples[start * rate : start * rate + len(sound)] += sound
    soundfile.write(path, samples, rate)


def make_library(
    folder: Path, extra: Path, title: str, *, names: tuple[str, ...] = (), **fields: str
) -> Path:
    """A library in `folder` of the demo sounds with these names, by default of all, and `extra`,
    tagged as a dog unless `fields` of the manifest say otherwise."""
    model_file(starter_model())  # without it nothing here can work: say so
    with (DEMO / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if not names or Path(row["path"]).stem in names]
    for row in rows:
        row["path"] = str(DEMO / row["path"])
    rows.append({**rows[0], "path": str(extra), "title": title, "tags": "dog", **fields})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    made = folder / "library"
    done = earmark("add", "--manifest", folder / "manifest.csv", "--library", made)
    assert done.returncode == 0, done.stderr
    return made


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(library: Path, port: int) -> Iterator[str]:
    """A server process, ready; gone afterwards."""
    log = library.parent / f"server-{port}.log"
    with log.open("wb") as output:
        command = ("serve", "--library", library, "--port", port)
        server = prepared.start(command, output, output, environment())
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def _wait_until_ready(address: str, server: prepared.Process, log: Path) -> None:
    latest = time.monotonic() + 120
    while time.monotonic() < latest:
        assert server.poll() is None, f"the server ended: {log.read_text()}"
        try:
            with urllib.request.urlopen(f"{address}/readyz") as answer:
                assert answer.status == 200
                return
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"the server did not get ready: {log.read_text()}")


@contextmanager
def proxying(address: str, prefix: str) -> Iterator[tuple[str, list[str]]]:
    """A reverse proxy of a server under `prefix`: its address, and the paths that it refused."""
    refused: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(prefix):
                refused.append(self.path)
                self.send_error(404)
                return
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            target = urlsplit(address).netloc
            with closing(http.client.HTTPConnection(target, timeout=PATIENCE)) as server:
                server.request("GET", "/" + self.path.removeprefix(prefix), headers=headers)
                answer = server.getresponse()
                body = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(ConnectionError):  # the browser does not want it any more
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        Thread(target=proxy.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{proxy.server_port}", refused
        finally:
            proxy.shutdown()


@dataclass
class Watch:
    """The errors that a page logged, and the addresses it requested."""

    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    failures_expected: bool = False

    def check(self) -> None:
        """No error but expected failures of requests; all requests to one origin."""
        tolerated = "Failed to load resource" if self.failures_expected else "\0"
        assert [error for error in self.errors if not error.startswith(tolerated)] == []
        parts = [urlsplit(address.removeprefix("blob:")) for address in self.addresses]
        assert len({(part.scheme, part.netloc) for part in parts}) == 1, self.addresses


@contextmanager
def visiting(chromium: Browser, address: str, **options: Any) -> Iterator[tuple[Page, Watch]]:
    """A new page, watched."""
    watch = Watch()
    with chromium.new_context(base_url=address, **options) as context:
        page = context.new_page()
        page.set_default_timeout(1_000 * PATIENCE)
        page.on("request", lambda request: watch.addresses.append(request.url))
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("console", lambda m: m.type == "error" and watch.errors.append(m.text))
        yield page, watch
        page.unroute_all(behavior="ignoreErrors")  # answers that nobody waits for any more
    watch.check()


def until(read: Callable[[], object]) -> None:
    """Wait until what is read is true."""
    latest = time.monotonic() + PATIENCE
    while not read():
        assert time.monotonic() < latest, f"waited {PATIENCE} s in vain"
        time.sleep(0.05)


def position(page: Page) -> float:
    """Seconds into the sound that plays; 0 if none does."""
    return float(page.locator("#player").evaluate("audio => audio.paused ? 0 : audio.currentTime"))


def played(page: Page) -> float:
    """Seconds played of the last sound, which may have ended."""
    ranges = "({played}) => played.length ? played.end(played.length - 1) : 0"
    return float(page.locator("#player").evaluate(ranges))


def type_words(page: Page, words: str) -> None:
    """Type into the search box, key by key."""
    page.locator("#query").press_sequentially(words, delay=20)


def titles(page: Page) -> list[str]:
    """Of the results."""
    return page.locator("#results h2").all_text_contents()


def refusing(status: int) -> Callable[[Route], None]:
    """Answers that there is a problem."""
    body = json.dumps({"type": "/problems/unavailable", "detail": "the disk is full"})

    def refuse(route: Route) -> None:
        route.fulfill(status=status, body=body, headers={"Retry-After": "7"})

    return refuse
