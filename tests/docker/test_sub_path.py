"""The service under a path of a real HAProxy, which takes the path off or leaves it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.auth.api_keys import KeyFile
from earmark.service.client.client import Client
from tests.index import made
from tests.service import sounds
from tests.service.raw_connection import until
from tests.service.server_process import free_port, serving

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
ROOT_PATH = "/our/sounds"
RULES = {
    "taken off": rf"""    acl bare path {ROOT_PATH}
    http-request redirect code 308 location {ROOT_PATH}/ if bare
    http-request replace-path ^{ROOT_PATH}(/.*) \1""",
    "left": "",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(HAPROXY).exists(), reason="HAProxy is not installed"),
]


@pytest.fixture(scope="module", params=RULES)
def behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The service's address behind the proxy, without a slash at its end, and a key to write."""
    folder = tmp_path_factory.mktemp("sub-path")
    model = made.save_model(folder / "model")
    Library.open(folder / "library", load_embedder(model), create=True).close()
    settings = {
        "EARMARK_KEYS": str(folder / "keys"),
        "EARMARK_PROXIES": "127.0.0.1/32",
        "EARMARK_ROOT_PATH": ROOT_PATH,
    }
    key = KeyFile(folder / "keys").add("tests", "write")
    with ExitStack() as stack:
        server = stack.enter_context(
            serving(folder / "log", "--library", folder / "library", "--model", model, **settings)
        )
        port = free_port()
        (folder / "haproxy.cfg").write_text(f"""defaults
    mode http
    option forwardfor
    timeout connect 5s
    timeout client 75s
    timeout server 75s
frontend all
    bind 127.0.0.1:{port}
    http-request deny deny_status 404 unless {{ path -m beg {ROOT_PATH} }}
{RULES[request.param]}
    default_backend sounds
backend sounds
    server one 127.0.0.1:{server.port}
""")
        process = subprocess.Popen([HAPROXY, "-db", "-f", folder / "haproxy.cfg"])
        stack.callback(process.wait, timeout=60)
        stack.callback(process.kill)
        address = f"http://127.0.0.1:{port}{ROOT_PATH}"
        until(lambda: _is_up(address))
        yield address, key


def _is_up(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_the_page_and_the_documentation_load_what_they_need(behind: tuple[str, str]) -> None:
    address, _ = behind
    page = httpx.get(address, follow_redirects=True)
    assert str(page.url) == f"{address}/"
    for shown in (page, httpx.get(f"{address}/docs"), httpx.get(f"{address}/redoc")):
        found = re.findall(r"""(?:href|src|spec-url|url)(?:=|: )["']([^"'#?]+)["']""", shown.text)
        assert found
        for link in found:
            assert httpx.get(urljoin(str(shown.url), link)).status_code == 200, link
    document = httpx.get(f"{address}/openapi.json").json()
    server = urljoin(f"{address}/openapi.json", document["servers"][0]["url"])
    assert httpx.get(f"{server}/v1/model").status_code == 200


def test_addresses_in_answers_lead_back(behind: tuple[str, str]) -> None:
    address, key = behind
    headers = {"X-API-Key": key}
    sound = sounds.noise(0.5, seed=60)
    files = {"file": ("Rain.wav", sound)}
    added = httpx.post(f"{address}/v1/clips", files=files, headers=headers)
    assert added.status_code == 201
    assert httpx.get(urljoin(address, added.headers["location"])).json()["title"] == "Rain"
    [hit] = httpx.get(f"{address}/v1/search?q=rain").json()["hits"]
    assert httpx.get(urljoin(address, hit["audio"])).content == sound
    missing = httpx.get(f"{address}/v1/clips/nothing")
    assert httpx.get(urljoin(address, missing.json()["type"])).json()["title"] == "Unknown clip"
    begun = httpx.post(f"{address}/v1/jobs", files=files, headers=headers)
    assert httpx.get(urljoin(address, begun.headers["location"])).status_code == 200
    events = httpx.get(urljoin(address, begun.json()["events"]), timeout=60)
    assert "event: done" in events.text
    slash = httpx.get(f"{address}/v1/model/", follow_redirects=True)
    assert (slash.status_code, str(slash.url)) == (200, f"{address}/v1/model")
    assert httpx.head(urljoin(address, hit["audio"])).status_code == 200


def test_the_client_works_behind_it(behind: tuple[str, str]) -> None:
    with Client(*behind) as client:
        clip = client.upload(sounds.noise(0.4, seed=61), name="Wind.wav")
        assert client.search("wind", k=1).hits[0].id == clip.id
        job = client.submit([sounds.noise(0.3, seed=62)])
        assert [event.kind for event in client.events(job.id)][-1] == "done"
