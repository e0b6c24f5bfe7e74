"""Other servers of the same model, to measure beside."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import psutil

from tests.index.made import ROOT, environment
from tests.service.server_process import free_port


@contextlib.contextmanager
def rival(which: str) -> Iterator[int]:
    """The port of one of them, ready: `plain` or `litserve`."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.benchmarks.{which}_server", str(port)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 90
        while True:
            assert process.poll() is None, f"{which} ended by itself"
            assert time.monotonic() < until, f"{which} is not ready"
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200:
                    break
            time.sleep(0.2)
        yield port
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            _, left = psutil.wait_procs(children, timeout=5)
            for each in left:
                each.kill()
        process.kill()
        process.wait()
