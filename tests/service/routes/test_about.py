"""What the service tells about itself, and that its errors and pages stand on their own."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from earmark.model.encoders.load import load_embedder
from earmark.service.http.problems import PROBLEMS
from tests.service.server_process import Server


def test_probes(server: Server) -> None:
    assert server.client.get("/healthz").json() == {"status": "alive"}
    assert server.client.get("/readyz").json() == {"status": "ready"}


def test_the_model_card(server: Server, model_folder: Path) -> None:
    card = server.client.get("/v1/model").json()
    embedder = load_embedder(model_folder)
    assert card["fingerprint"] == embedder.fingerprint
    assert (card["dim"], card["words"]) == (16, len(embedder.words))
    assert (card["vocabulary"], card["max_tags"], card["sample_rate"]) == (12, 10, 22_000)
    assert card["max_seconds"] == 600
    assert card["window_seconds"] == pytest.approx(2.234, abs=1e-3)
    assert card["card"] == {"seed": 0}


@pytest.mark.parametrize("name", PROBLEMS)
def test_each_type_of_problem_describes_itself(server: Server, name: str) -> None:
    body = server.client.get(f"/problems/{name}").json()
    kind = PROBLEMS[name]
    assert body == {"title": kind.title, "status": kind.status, "description": kind.description}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing.html", 404),
        ("GET", "/problems/nothing", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/%00", 404),
        ("PUT", "/v1/search?q=dog", 405),
        ("DELETE", "/v1/model", 405),
        ("GET", "/v1/tags", 405),
        ("GET", "/v1/classify", 405),
        ("PUT", "/", 405),
        ("POST", "/v1/nothing", 405),
    ],
)
def test_wrong_addresses_and_methods_are_problems(
    server: Server, method: str, path: str, status: int
) -> None:
    response = server.client.request(method, path)
    server.problem(response, status)
    if status == 405 and path.startswith("/v1/") and "nothing" not in path:
        assert set(response.headers["allow"].split(", ")) <= {"GET", "HEAD", "POST"}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_documentation_needs_nobody_elses_server(server: Server, page: str) -> None:
    html = server.client.get(page)
    assert html.status_code == 200
    assert html.headers["content-type"].startswith("text/html")
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", html.text)
    assert len(addresses) >= 3
    for address in addresses:
        assert not address.startswith("/"), f"{page} asks {address}"  # which would leave a sub-path
        assert server.client.get(urljoin(page, address)).status_code == 200
    assert not re.search(r"https?://", html.text)


@pytest.mark.parametrize("asked", ["bytes=abc", "bytes=5-2", "bytes=9999999-"])
def test_small_files_are_sent_whole_whatever_is_asked(server: Server, asked: str) -> None:
    for path in ("/static-offline-docs/favicon.png", "/icon.svg"):
        answer = server.client.get(path, headers={"Range": asked})
        assert (answer.status_code, len(answer.content) > 100) == (200, True)


def test_the_api_is_described(server: Server) -> None:
    described = server.client.get("/openapi.json").json()
    assert described["openapi"].startswith("3.")
    assert described["info"]["title"] == "Earmark"
    for path, method in (
        ("/v1/search", "get"),
        ("/v1/tags", "post"),
        ("/v1/classify", "post"),
        ("/v1/clips/{clip_id}", "get"),
        ("/v1/clips/{clip_id}/audio", "get"),
        ("/v1/model", "get"),
    ):
        call = described["paths"][path][method]
        assert call["summary"]
        assert call["description"]
        assert call["responses"]["401"] == {"$ref": "#/components/responses/unauthorized"}


def test_every_answer_forbids_sniffing_and_pages_forbid_strange_scripts(server: Server) -> None:
    for path in ("/", "/v1/model", "/v1/nothing", "/docs"):
        headers = server.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
    assert "default-src 'self'" in server.client.get("/").headers["content-security-policy"]
