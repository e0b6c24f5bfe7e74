"""The proxy's configuration with a real HAProxy before two real servers of one library."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.auth.api_keys import KeyFile
from tests.index import made
from tests.index.made import ROOT
from tests.service import sounds
from tests.service.raw_connection import until
from tests.service.server_process import Server, free_port, serving

FILE = ROOT / "docker/proxy/haproxy.cfg"
HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"

pytestmark = pytest.mark.skipif(not Path(HAPROXY).exists(), reason="HAProxy is not installed")


@dataclass(frozen=True)
class Front:
    """Two servers, and the proxy before them as it is seen from this machine, its gateway."""

    client: httpx.Client
    servers: tuple[Server, Server]
    key: str
    log: Path

    def call(self, method: str, path: str, who: str, **more: object) -> httpx.Response:
        """A call as it comes from an address, by a proxy on this machine."""
        headers = {"X-Forwarded-For": f"198.51.100.66, {who}"}
        if more.pop("key", False):
            headers["X-API-Key"] = self.key
        return self.client.request(method, path, headers=headers, **more)

    def servers_of(self, path: str) -> list[str]:
        """Which servers answered calls of this path so far, as the proxy's log tells: one at
        least, which it may write a moment after the answer."""
        line = re.compile(rf"\] (\w+) \S+ \d+ .* {re.escape(path)}$", re.MULTILINE)
        until = time.monotonic() + 60
        while not (found := line.findall(self.log.read_text())):
            assert time.monotonic() < until, f"the proxy did not log {path}"
            time.sleep(0.02)
        return found


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("proxy")
    model = made.save_model(folder / "model")
    Library.open(folder / "library", load_embedder(model), create=True).close()
    key = KeyFile(folder / "keys").add("tests", "write")
    arguments = ("--library", folder / "library", "--model", model)
    settings = {"EARMARK_KEYS": str(folder / "keys"), "EARMARK_PROXIES": "127.0.0.1/32"}
    with ExitStack() as stack:
        one, other = (
            stack.enter_context(serving(folder / name, *arguments, **settings)) for name in "ab"
        )
        port, watch = free_port(), free_port()
        text = FILE.read_text().replace("bind :8000", f"bind 127.0.0.1:{port}")
        text = text.replace("bind :8405", f"bind 127.0.0.1:{watch}")
        lines = "".join(
            f"    server {name} 127.0.0.1:{each.port}\n"
            for name, each in (("a", one), ("b", other))
        )
        text, count = re.subn(r"    server-template .*\n", lines, text)
        assert count == 1
        (folder / "haproxy.cfg").write_text(text)
        log = folder / "haproxy.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [HAPROXY, "-db", "-f", folder / "haproxy.cfg"],
                env=os.environ | {"EARMARK_GATEWAY": "127.0.0.1"}, stdout=out, stderr=out,
            )  # fmt: skip
        stack.callback(process.wait, timeout=60)
        stack.callback(process.kill)
        client = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30))
        until = time.monotonic() + 60
        while not _up(client):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until
            time.sleep(0.05)
        yield Front(client, (one, other), key, log)


def _up(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_file_is_valid_as_it_is() -> None:
    done = subprocess.run(
        [HAPROXY, "-c", "-f", FILE],
        env=os.environ | {"EARMARK_GATEWAY": "172.30.87.1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_a_client_stays_with_its_server_and_clients_are_spread(front: Front) -> None:
    answered = {}
    for number in range(16):
        path = f"/v1/clips/of-{number}"
        for _ in range(3):
            assert front.call("GET", path, f"203.0.113.{number}").status_code == 404
        [answered[number]] = set(front.servers_of(path))
    assert set(answered.values()) == {"a", "b"}


def test_the_service_sees_who_asks_and_believes_no_more_than_the_last_hop(front: Front) -> None:
    assert front.call("GET", "/v1/clips/from-afar", "203.0.113.99").status_code == 404

    def lines() -> list[str]:
        logs = "".join(server.log.read_text() for server in front.servers)
        return [line for line in logs.splitlines() if "from-afar" in line]

    until(lambda: bool(lines()))  # written once the answer is out
    [line] = lines()
    assert '"client": "203.0.113.99"' in line


def test_a_job_is_found_by_whoever_asks_for_it(front: Front) -> None:
    answered = set()
    for number in range(6):
        files = [("file", (f"{number}.wav", sounds.noise(0.5, seed=70 + number)))]
        who = f"203.0.113.{100 + number}"
        begun = front.call("POST", "/v1/jobs", who, files=files, key=number % 2 == 0)
        if number % 2:
            assert begun.status_code == 401  # nobody writes through the proxy without a key
            continue
        path = begun.headers["Location"]
        for asking in range(8):
            assert front.call("GET", path, f"192.0.2.{asking}").status_code == 200
        events = front.call("GET", f"{path}/events", "192.0.2.77")
        assert events.headers["content-type"].startswith("text/event-stream")
        assert "event: done" in events.text
        answered |= set(front.servers_of(path))
    assert answered == {"a", "b"}


def test_a_body_that_is_too_large_is_refused_by_the_service_and_the_reason_comes_through(
    front: Front,
) -> None:
    refused = front.client.post("/v1/tags", files={"file": ("s.wav", bytes(50_000_001))})
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"


def test_figures_of_the_service_are_not_handed_out(front: Front) -> None:
    for path in ("/metrics", "/%6detrics", "/metrics/", "/metrics?a=b"):
        assert front.client.get(path).status_code == 403
    assert front.servers[0].client.get("/metrics").status_code == 200


def test_what_was_searched_for_is_not_logged(front: Front) -> None:
    assert front.call("GET", "/v1/search?q=mysecretword", "203.0.113.5").status_code == 200
    assert front.servers_of("/v1/search")
    assert "mysecretword" not in front.log.read_text()


def test_a_server_that_ends_is_left_out(front: Front) -> None:
    assert front.servers[0].stop() == 0
    for number in range(16):
        path = f"/v1/clips/late-{number}"
        assert front.call("GET", path, f"203.0.113.{number}").status_code == 404
        assert front.servers_of(path) == ["b"]
