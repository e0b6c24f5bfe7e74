"""A service under a path of a proxy, which takes the path off or leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from pydantic import ValidationError

from earmark.service.client.client import Client
from earmark.service.settings import Settings
from tests.service import sounds
from tests.service.raw_connection import connected, rest
from tests.service.server_process import Server, serving
from tests.service.ui.browser import proxying

ROOT_PATH = "/our/sounds"


@pytest.fixture(scope="module")
def rooted(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, library_folder: Path
) -> Iterator[Server]:
    """A server under a path, which asks for a key to read from elsewhere."""
    log = tmp_path_factory.mktemp("rooted") / "log"
    settings = {"EARMARK_ROOT_PATH": f"{ROOT_PATH}/", "EARMARK_RATE_LOOPBACK": "true"}
    with serving(log, "--library", library_folder, "--model", model_folder, **settings) as server:
        yield server
        assert server.stop() == 0
        assert "Traceback" not in log.read_text()


@pytest.fixture(params=["stripped", "left"])
def prefix(request: pytest.FixtureRequest) -> str:
    """What stands before a path when it arrives."""
    return "" if request.param == "stripped" else ROOT_PATH


def test_addresses_in_answers_lead_back(rooted: Server, prefix: str) -> None:
    hit = rooted.client.get(f"{prefix}/v1/search?q=church+bell").json()["hits"][0]
    listed = rooted.client.get(f"{prefix}/v1/clips?k=1").json()["clips"][0]
    for clip in (hit, listed):
        assert clip["audio"].startswith(f"{ROOT_PATH}/v1/clips/")
    alike = rooted.client.get(hit["audio"].replace("/audio", "/similar"))
    assert alike.json()["hits"][0]["audio"].startswith(f"{ROOT_PATH}/v1/")
    audio = rooted.client.get(hit["audio"])
    assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/wav")
    by_sound = rooted.client.post(f"{prefix}/v1/search/audio", files={"file": sounds.noise(0.5)})
    assert by_sound.json()["hits"][0]["audio"].startswith(f"{ROOT_PATH}/v1/")


def test_problems_describe_themselves(rooted: Server, prefix: str) -> None:
    for answer in (
        rooted.client.get(f"{prefix}/v1/clips/nothing"),
        rooted.client.get(f"{prefix}/nothing"),
        rooted.client.post(f"{prefix}/v1/tags", content=b"x" * 2_000_000),
        rooted.client.get(f"{prefix}/v1/search"),
    ):
        body = answer.json()
        assert body["type"].startswith(f"{ROOT_PATH}/problems/")
        described = rooted.client.get(body["type"])
        assert (described.status_code, described.json()["title"]) == (200, body["title"])


def test_what_is_refused_before_the_application_too(rooted: Server) -> None:
    with connected(rooted) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        assert f'"type":"{ROOT_PATH}/problems/bad-request"'.encode() in rest(connection)


def test_the_document_names_the_path(rooted: Server, prefix: str) -> None:
    document = rooted.client.get(f"{prefix}/openapi.json").json()
    assert document["servers"][0]["url"] == ROOT_PATH
    assert (
        f"{ROOT_PATH}/problems/busy"
        in document["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]
    )


@pytest.mark.parametrize("page", ["/docs", "/redoc", "/"])
def test_pages_have_relative_addresses(rooted: Server, prefix: str, page: str) -> None:
    html = rooted.client.get(prefix + page).text
    assert not any(start in html for start in ('src="/', 'href="/', "url: '/", 'spec-url="/'))
    if page != "/":
        base = f"{ROOT_PATH}{page}"
        assert rooted.client.get(urljoin(base, "openapi.json")).status_code == 200
        assert rooted.client.get(urljoin(base, "static-offline-docs/favicon.png")).is_success
        assert "script-src" in rooted.client.get(prefix + page).headers["content-security-policy"]


def test_redirects_stay_under_the_path(rooted: Server, prefix: str) -> None:
    moved = rooted.client.get(f"{prefix}/v1/model/?a=b")
    assert (moved.status_code, moved.headers["location"]) == (307, f"{ROOT_PATH}/v1/model?a=b")
    bare = rooted.client.get(f"{ROOT_PATH}?q=rain")  # the page's own addresses need the slash
    assert (bare.status_code, bare.headers["location"]) == (307, f"{ROOT_PATH}/?q=rain")


def test_rules_hold_under_the_path(rooted: Server, prefix: str) -> None:
    """Rates, keys, sizes and health checks go by the path behind it."""
    assert rooted.client.get(f"{prefix}/healthz").json() == {"status": "alive"}
    searched = rooted.client.get(f"{prefix}/v1/search?q=bell")
    assert searched.headers["ratelimit-policy"].startswith('"searches"')
    read = rooted.client.post(f"{prefix}/v1/tags", files={"file": sounds.noise(0.5)})
    assert read.headers["ratelimit-policy"].startswith('"uploads"')
    from_elsewhere = {"X-Forwarded-For": "192.0.2.1"}
    refused = rooted.client.delete(f"{prefix}/v1/clips/x", headers=from_elsewhere)
    assert refused.status_code == 401
    assert 'route="/v1/search"' in rooted.client.get(f"{prefix}/metrics").text


def test_a_longer_name_is_another_path(rooted: Server) -> None:
    assert rooted.client.get(f"{ROOT_PATH}er/v1/model").status_code == 404


def test_the_client_takes_an_address_with_a_path(rooted: Server) -> None:
    with (
        proxying(f"http://127.0.0.1:{rooted.port}", f"{ROOT_PATH}/") as (proxy, _),
        Client(proxy + ROOT_PATH) as behind,
        Client(f"http://127.0.0.1:{rooted.port}{ROOT_PATH}/") as before,
    ):
        for client in (behind, before):
            [hit] = client.search("church bell", k=1).hits
            assert hit.audio.startswith(f"{ROOT_PATH}/v1/clips/")
            assert len(client.audio(hit.id)) > 1_000


@pytest.mark.parametrize(
    ("given", "path"),
    [("", ""), ("/", ""), ("/sounds", "/sounds"), ("/a/b-c_d.e~1/", "/a/b-c_d.e~1")],
)
def test_a_path_is_taken_with_or_without_its_slash(given: str, path: str) -> None:
    assert Settings(root_path=given).root_path == path


@pytest.mark.parametrize("given", ["sounds", "//x", "/a//b", "/a b", "/../x", "/a?b", "http://x/a"])
def test_what_is_no_path_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="expected a path such as /sounds"):
        Settings(root_path=given)
