"""A real server process, and what every answer of it must hold."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.index.made import ROOT, environment
from tests.prepared import COMMAND, Process, start

START_SECONDS = 90.0
NEVER = ("Traceback", 'File "', str(ROOT), "/tmp/", "site-packages", "sqlite")


@dataclass(frozen=True)
class Server:
    """A running server, a client of it, and its log."""

    process: subprocess.Popen[bytes] | Process
    client: httpx.Client
    port: int
    log: Path

    def stop(self) -> int:
        """Ask it to stop, as an operator would; its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def upload(self, sound: bytes, path: str = "/v1/tags", **data: object) -> httpx.Response:
        """Send a sound to one of the calls that take one."""
        return self.client.post(path, files={"file": ("sound.wav", sound)}, data=data)

    def problem(self, response: httpx.Response, status: int, says: str = "") -> dict[str, object]:
        """The error's body, checked to be a problem whose type describes itself."""
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        body: dict[str, Any] = response.json()
        error = body.pop("error", None)  # of those addresses that have OpenAI's form
        assert error is None or error.pop("message") == body["detail"]
        assert body.keys() == {"type", "title", "status", "detail"}
        assert body["status"] == status
        assert says in str(body["detail"])
        assert "\n" not in str(body["detail"])
        for secret in NEVER:
            assert secret not in json.dumps(body)
        kind = self.client.get(str(body["type"]))
        assert kind.status_code == 200
        assert kind.json()["title"] == body["title"]
        assert kind.json()["status"] == status
        return body


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(log: Path, *arguments: object, anew: bool = False, **settings: str) -> Iterator[Server]:
    """`earmark serve` with these arguments, ready to answer; stopped in the end.

    `anew`: by a Python that is started for it, not by one that has all imported.
    """
    port = free_port()
    command = ("serve", "--port", port, *arguments)
    process: subprocess.Popen[bytes] | Process
    with log.open("wb") as out:
        if anew:
            process = subprocess.Popen(
                [sys.executable, "-m", COMMAND, *map(str, command)],
                cwd=ROOT,
                env=environment(**settings),
                stdout=out,
                stderr=out,
            )
        else:
            process = start(command, out, out, environment(**settings))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_until_ready(process, client, log)
            yield Server(process, client, port, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=60)


def wait_until_ready(
    process: subprocess.Popen[bytes] | Process, client: httpx.Client, log: Path
) -> None:
    """Wait until a server that has just been started answers searches."""
    until = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, f"the server ended by itself: {log.read_text()}"
        assert time.monotonic() < until, f"the server is not ready: {log.read_text()}"
        with contextlib.suppress(httpx.TransportError):
            if client.get("/readyz").status_code == 200:
                return
        time.sleep(0.05)
