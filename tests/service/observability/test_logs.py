"""The log: one JSON object a line, whose request it belongs to, and what must never be in it."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx
import pytest

from earmark.service.app import create_app
from earmark.service.auth.api_keys import KeyFile
from earmark.service.observability import logs
from earmark.service.settings import Settings
from tests.model import tiny
from tests.service import sounds
from tests.service.server_process import Server

log = logging.getLogger("service.something")


def lines(server: Server) -> list[dict[str, Any]]:
    """All of the log: each line must be one object."""
    whole = server.log.read_text().rpartition("\n")[0]  # the last may be half written
    found = [json.loads(line) for line in whole.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in found)
    return found


def line_of(server: Server, response: httpx.Response) -> dict[str, Any]:
    """The access line of an answer."""
    request_id, until = response.headers["x-request-id"], time.monotonic() + 60
    while True:  # it is written when the answer has gone out
        found = [line for line in lines(server) if line.get("request_id") == request_id]
        found = [line for line in found if line["logger"] == "earmark.access"]
        assert len(found) <= 1
        if found:
            return found[0]
        assert time.monotonic() < until
        time.sleep(0.01)


def test_each_request_has_its_line(server: Server) -> None:
    response = server.client.get("/v1/clips/not-there?x=1")
    line = line_of(server, response)
    assert line["message"] == "GET /v1/clips/not-there 404"
    assert (line["level"], line["method"], line["status"]) == ("INFO", "GET", 404)
    assert line["route"] == "/v1/clips/{clip_id}"
    assert line["client"] == "127.0.0.1"
    assert 0 < line["duration_ms"] < 60_000
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    upload = server.upload(sounds.noise(0.5))
    assert line_of(server, upload)["message"] == "POST /v1/tags 200"


def test_decoders_have_no_lines_of_their_own(server: Server) -> None:
    cut = sounds.encoded(tiny.noise(0.1, 44_100), 44_100, format="MP3")[:900]
    response = server.upload(cut)  # of which libmpg123 has something to say
    assert response.status_code == 422
    assert line_of(server, response)["status"] == 422  # among lines that are all JSON


def test_a_well_formed_request_id_is_taken_over(server: Server) -> None:
    request_id = f"Proxy_1.{uuid.uuid4()}"
    response = server.client.get("/v1/model", headers={"X-Request-ID": request_id})
    assert response.headers.get_list("x-request-id") == [request_id]
    assert line_of(server, response)["request_id"] == request_id


@pytest.mark.parametrize(
    "sent", ["", "a b", "x" * 65, 'a"b', "a;b", "a\tb", "é", "{}", "../x", "<script>"]
)
def test_any_other_request_id_is_replaced(server: Server, sent: str) -> None:
    headers = [(b"X-Request-ID", sent.encode())]
    response = server.client.get("/healthz", headers=headers)
    assert re.fullmatch(r"[0-9a-f]{32}", response.headers["x-request-id"])


def test_refusals_and_faults_have_ids_too(server: Server) -> None:
    for response in (
        server.client.get("/nothing"),
        server.client.delete("/v1/model"),
        server.client.post("/v1/tags", content=b"no form"),
    ):
        assert response.status_code >= 400
        line = line_of(server, response)
        assert line["status"] == response.status_code


def test_what_was_searched_for_stands_there_at_debug_only(server: Server, traced: Server) -> None:
    word = f"zq{uuid.uuid4().hex}"
    for target in (server, traced):
        assert target.client.get(f"/v1/search?q={word}").status_code == 200
        refused = target.client.get(f"/v1/search?k=1000&q={word}")
        line_of(target, refused)
    assert word not in server.log.read_text()
    assert line_of(traced, refused)["query"] == f"k=1000&q={word}"


def test_probes_are_told_at_debug_only(server: Server, traced: Server) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        for target in (server, traced):
            response = target.client.get(path)
            assert response.status_code == 200
        assert line_of(traced, response)["level"] == "DEBUG"
        assert f"GET {path} 200" not in server.log.read_text()


def test_keys_are_never_logged(traced: Server) -> None:
    secret = f"em_{uuid.uuid4().hex}"
    for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
        response = traced.client.get("/v1/search?q=dog", headers=headers)
        line_of(traced, response)
    assert secret not in traced.log.read_text()


@pytest.mark.parametrize(
    "path", ["/v1/clips/a%0d%0a%7b%22forged%22%3a1%7d", "/%1b%5b31m", "/%e2%80%a8x", "/%00"]
)
def test_an_address_forges_no_line(server: Server, path: str) -> None:
    response = server.client.get(path)
    line = line_of(server, response)  # all lines were objects
    assert line["message"] == f"GET {path} {response.status_code}"


@pytest.mark.parametrize("form", ["json", "text"])
def test_control_characters_are_written_out(
    form: logs.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(form, "info")
    log.warning("named %s", "a\r\nb\x1b[31m\u2028\x00\udcff")
    log.debug("not this")
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert written[:-1].isprintable()
    assert "a\\r\\nb" in written
    assert "not this" not in written


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", "info")
    logs.request_id.set("abc")
    log.info("found %d", 3)
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("failed")
    written = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\S+Z INFO service.something: found 3 \[abc\]", written[0])
    assert written[1].endswith("ERROR service.something: failed [abc]")
    assert written[-1] == "ValueError: broken"
    logs.request_id.set("")


def test_a_traceback_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("failed")
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "ERROR"
    assert line["exc_info"].endswith("ValueError: broken")


def test_what_threads_say_belongs_to_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")

    async def request(number: int) -> None:
        logs.request_id.set(f"request-{number}")
        await anyio.to_thread.run_sync(log.info, f"from {number}")

    async def both() -> None:
        await asyncio.gather(request(1), request(2))

    asyncio.run(both())
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    ids = {line["message"]: line["request_id"] for line in found}
    assert ids == {"from 1": "request-1", "from 2": "request-2"}


def test_a_fault_is_a_problem_that_tells_nothing_and_logged_once_with_its_id(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("json", "info")
    app = create_app(Settings(library=tmp_path))

    @app.get("/broken", include_in_schema=False)
    def broken() -> None:
        raise RuntimeError("secret path /srv/x")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get("/broken")

    response = asyncio.run(ask())
    assert response.status_code == 500
    assert response.json()["type"] == "/problems/internal"
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    request_id = response.headers["x-request-id"]
    found = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found = [line for line in found if line["logger"] != "httpx"]
    assert {line["request_id"] for line in found} == {request_id}
    fault, access = found
    assert "RuntimeError: secret path" in fault["exc_info"]
    assert (access["status"], access["route"]) == (500, "/broken")


def test_a_key_is_logged_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "debug")
    keys = tmp_path / "keys"
    secret = KeyFile(keys).add("archive", "read")
    app = create_app(Settings(library=tmp_path, keys=keys))

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/v1/nothing", headers={"X-API-Key": secret})

    asyncio.run(ask())
    written = capsys.readouterr().err
    assert '"key": "archive"' in written
    assert secret not in written
