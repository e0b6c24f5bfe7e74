"""Clients that send slowly, send floods, send nothing, or never read: the server serves on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from starlette.types import Message, Receive, Scope, Send

from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.service.http.problems import ProblemError
from earmark.service.middleware import body_limit
from earmark.service.middleware.body_limit import BodyLimit
from tests.service import sounds
from tests.service.raw_connection import connected, drip, parts_of, refused, rest, until
from tests.service.server_process import Server, serving

HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
UPLOAD = (
    b"POST /v1/tags HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)
CHUNKED = (
    b"POST /v1/tags HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
)
CHUNK = b"1\r\nx\r\n"
BIG = 40_000_000  # bytes of a sound: far more than sockets hold
SECONDS = 1.0  # what a head, or a reader, may take
PATIENCE = 60.0  # seconds: a machine may be busy; without the limit they would never end


@pytest.fixture(scope="module")
def hasty(
    tmp_path_factory: pytest.TempPathFactory, model_folder: Path, sounds: Path
) -> Iterator[Server]:
    """A server without patience, that has one big sound."""
    folder = tmp_path_factory.mktemp("hasty")
    shutil.copy(sounds / "dog.wav", folder / "big.wav")
    with Library.open(folder / "library", load_embedder(model_folder), create=True) as library:
        assert len(bulk.add(library, [folder / "big.wav"]).added) == 1
    with (folder / "big.wav").open("r+b") as file:
        file.truncate(BIG)
    settings = {
        "EARMARK_HEAD_SECONDS": str(SECONDS),
        "EARMARK_BODY_SECONDS": str(SECONDS),
        "EARMARK_WRITE_SECONDS": str(SECONDS),
        "EARMARK_MAX_CONNECTIONS": "64",
        "EARMARK_MAX_FILES": "10",
        "EARMARK_HOST": "0.0.0.0",
    }
    arguments = ("--library", folder / "library", "--model", model_folder)
    with serving(folder / "log", *arguments, **settings) as server:
        yield server
        assert server.stop() == 0
        said = (folder / "log").read_text()
        assert "Traceback" not in said
        assert "writing from elsewhere is refused, because there are no keys" in said


def test_a_head_that_comes_a_byte_at_a_time(hasty: Server) -> None:
    with connected(hasty) as connection:
        assert SECONDS * 0.9 < drip(connection, HEAD) < PATIENCE
        assert refused(rest(connection), 408) == "/problems/too-slow"
    with connected(hasty) as connection:  # the second one, on a connection that is kept
        connection.sendall(HEAD + b"\r\n")
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200 ")
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
        assert drip(connection, HEAD) < PATIENCE
        assert refused(rest(connection), 408) == "/problems/too-slow"


def test_a_body_that_comes_a_byte_at_a_time(hasty: Server) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for head, byte in (
        (UPLOAD + part, b"-"),
        (CHUNKED + b"%x\r\n%b\r\n" % (len(part), part), CHUNK),
    ):
        with connected(hasty) as connection:
            connection.sendall(head)
            assert SECONDS * 0.9 < drip(connection, byte * 100) < PATIENCE
            assert refused(rest(connection), 408) == "/problems/too-slow"  # and it was closed


def test_a_connection_that_says_nothing_is_closed(hasty: Server) -> None:
    with connected(hasty) as connection:
        started = time.monotonic()
        assert rest(connection) == b""
        assert time.monotonic() - started < PATIENCE
    with connected(hasty) as connection:
        drip(connection, b"\r\n" * 100)
        assert refused(rest(connection), 408) == "/problems/too-slow"


@pytest.mark.parametrize(
    ("head", "again"),
    [
        (HEAD, b"A: b\r\n"),  # many fields
        (HEAD + b"A: ", b"x" * 4_096),  # one without an end
        (b"GET /healthz?", b"x" * 4_096),
        (b"GET /", b"%00" * 4_096),
        (b"", b"\r\n" * 4_096),
    ],
)
def test_a_head_without_end_is_refused_soon(hasty: Server, head: bytes, again: bytes) -> None:
    sent = 0
    with connected(hasty) as connection:
        connection.sendall(head)
        with contextlib.suppress(ConnectionError):
            while sent < 20_000_000:
                sent += connection.send(again)
        assert sent < 20_000_000
    assert hasty.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ("A: b\r\n" * 90, 200),
        ("A: b\r\n" * 200, 431),
        (f"A: {'x' * 30_000}\r\n", 200),
        (f"A: {'x' * 40_000}\r\n", 431),
        ("Upgrade: websocket\r\nConnection: Upgrade\r\n", 200),
        ("Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAM\r\n", 200),
        ("Connection: keep-alive, x\r\n", 200),
        ("A b\r\n", 400),
        (": b\r\n", 400),
        ("A: \0\r\n", 400),
        ("Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: -1\r\n", 400),
    ],
)
def test_heads_that_are_large_or_odd(hasty: Server, fields: str, status: int) -> None:
    with connected(hasty) as connection:
        connection.sendall(HEAD + fields.encode() + b"\r\n")
        answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
        if status != 200:
            name = "headers-too-large" if status == 431 else "bad-request"
            answer += rest(connection)
            assert refused(answer, status) == f"/problems/{name}"
            hasty.problem(httpx.Response(status, **parts_of(answer)), status)


def test_fields_after_a_body_are_dropped_and_bounded(server: Server) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="k"\r\n\r\n1\r\n--x--\r\n'
    start = CHUNKED.replace(b"localhost", b"evil.example") + b"%x\r\n%b\r\n0\r\n" % (
        len(body),
        body,
    )
    with connected(server) as connection:
        connection.sendall(start + b"X-API-Key: em_x\r\n\r\n")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 422 ")
    with connected(server) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(start + b"A: ")
        sent = 0
        while sent < 20_000_000:
            sent += connection.send(b"x" * 65_536)
        raise AssertionError("never too much")


def test_forms_have_few_parts_and_short_fields(hasty: Server) -> None:
    sound = sounds.noise(0.2)
    files = [("file", (f"{number}.wav", sound)) for number in range(11)]
    hasty.problem(hasty.client.post("/v1/tags", files=files), 400, "expected at most 10 files")
    form = {"files": {"file": ("a.wav", sound)}}
    many = {f"a{number}": "x" for number in range(301)}
    refused = hasty.client.post("/v1/tags", **form, data=many)  # type: ignore[arg-type]
    hasty.problem(refused, 400, "expected at most 300 fields")
    long = {"labels": "x" * 100_001}
    refused = hasty.client.post("/v1/classify", **form, data=long)  # type: ignore[arg-type]
    hasty.problem(refused, 400, "expected at most 100000 bytes in a field")
    plain = hasty.client.post("/v1/tags", content=b"x" * 1_100_000)
    hasty.problem(plain, 413, "at most 1000000 bytes")


def ask_for_the_sound(server: Server) -> bytes:
    (hit,) = server.client.get("/v1/search?q=dog").json()["hits"]
    return f"GET {hit['audio']} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_clients_that_never_read_are_cut_off(hasty: Server) -> None:
    request, process = ask_for_the_sound(hasty), psutil.Process(hasty.process.pid)
    many = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 500
    memory = process.memory_info().rss

    def held() -> int:
        states = [each.status for each in process.net_connections()]
        files = [each.path for each in process.open_files() if each.path.endswith("big.wav")]
        return states.count("ESTABLISHED") + len(files)

    with contextlib.ExitStack() as stack:
        for number in range(20):
            connection = stack.enter_context(connected(hasty, window=4_096))
            connection.sendall(request if number else many)
        assert hasty.client.get("/v1/search?q=dog").status_code == 200
        assert process.memory_info().rss < memory + 60e6
        until(lambda: held() <= 2)  # our own client's, which is kept
    assert hasty.client.get("/v1/search?q=dog").status_code == 200


def test_clients_that_ask_for_much_and_leave(hasty: Server) -> None:
    for number in range(20):
        with connected(hasty) as connection:
            connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            if number % 2:
                assert connection.recv(10).startswith(b"HTTP/1.1 2")
    assert hasty.client.get("/healthz").status_code == 200  # and no trace is in the log


def test_clients_that_reset_between_requests(
    tmp_path: Path, model_folder: Path, library_folder: Path
) -> None:
    options = ("--library", library_folder, "--model", model_folder)
    with serving(tmp_path / "log", *options, EARMARK_KEEP_ALIVE_SECONDS="1") as server:
        for _ in range(20):
            with connected(server) as connection:
                connection.sendall(HEAD + b"\r\n")
                assert connection.recv(10).startswith(b"HTTP/1.1 2")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        time.sleep(1.5)  # until the next requests would have been late
        assert "Traceback" not in server.log.read_text()


def test_a_client_that_reads_slowly_gets_it_all(hasty: Server) -> None:
    got, started, head = 0, time.monotonic(), b""
    with connected(hasty, window=65_536) as connection:
        connection.sendall(ask_for_the_sound(hasty))
        while got < BIG:
            if time.monotonic() - started < 3 * SECONDS:
                time.sleep(SECONDS / 10)
            part = connection.recv(100_000)
            assert part, "cut off"
            head = head or part.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            got += len(part)
    assert got == BIG + len(head)
    assert time.monotonic() - started >= 3 * SECONDS


@pytest.fixture
def many_files() -> Iterator[None]:
    """Let this process have enough connections."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(now, 4_096) if most == resource.RLIM_INFINITY else min(max(now, 4_096), most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_idle_connections_do_not_matter(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    files, memory = process.num_fds(), process.memory_info().rss
    with contextlib.ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(connected(server))
        until(lambda: process.num_fds() >= files + 1_000)
        for _ in range(5):
            answer = httpx.get(f"{server.client.base_url}/v1/search?q=dog", timeout=60)
            assert answer.status_code == 200
        assert server.upload(sounds.noise(0.2)).status_code == 200
        assert process.memory_info().rss < memory + 60e6


def test_idle_connections_make_room_and_busy_ones_stay(hasty: Server) -> None:
    request = ask_for_the_sound(hasty)
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(connected(hasty, window=65_536))
        busy.sendall(request)
        assert busy.recv(10).startswith(b"HTTP/1.1 2")
        for _ in range(200):
            stack.enter_context(connected(hasty))
        process = psutil.Process(hasty.process.pid)
        until(lambda: len(process.net_connections()) <= 66)
        for _ in range(3):
            assert httpx.get(f"{hasty.client.base_url}/healthz", timeout=60).status_code == 200
        assert len(busy.recv(1_000)) > 0


def test_a_body_must_keep_a_least_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limit, "GRACE_SECONDS", 0.2)
    got: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            got.append(message["body"])
            more = message["more_body"]

    async def send(message: Message) -> None:
        raise AssertionError(message)

    async def ask(size: int) -> None:
        async def receive() -> Message:
            await asyncio.sleep(0.05)
            return {"type": "http.request", "body": b"x" * size, "more_body": len(got) < 11}

        got.clear()
        scope = {"type": "http", "path": "/v1/clips", "headers": []}
        await BodyLimit(app, max_bytes=10_000, seconds=60)(scope, receive, send)

    asyncio.run(ask(200))  # 4 kB/s
    assert len(got) == 12
    with pytest.raises(ProblemError, match="body: expected within 0 s") as caught:
        asyncio.run(ask(20))
    assert caught.value.name == "too-slow"
    assert len(got) < 8
