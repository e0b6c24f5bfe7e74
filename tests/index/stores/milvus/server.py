"""A Milvus for tests: the one that EARMARK_TEST_MILVUS names, or milvus-lite behind a port."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest

URI = "EARMARK_TEST_MILVUS"  # of one that holds no libraries; they would be removed
OURS = "earmark_"  # how the names of libraries' collections begin
START_SECONDS = 30.0
MESSAGE_BYTES = 64_000_000  # that a Milvus takes


def named() -> str:
    """The Milvus that tests are to use, "http://host:19530"; empty for milvus-lite."""
    return os.environ.get(URI, "")


@contextlib.contextmanager
def cleared(uri: str) -> Iterator[str]:
    """That Milvus, holding no libraries before and after."""
    from pymilvus import MilvusClient

    with contextlib.closing(MilvusClient(uri, timeout=10, dedicated=True)) as client:
        if there := _libraries(client.list_collections()):
            pytest.fail(f"{URI}: expected a Milvus without libraries, got one with {there}")
        try:
            yield uri
        finally:
            for name in _libraries(client.list_collections()):
                client.drop_collection(name)


def _libraries(names: list[str]) -> list[str]:
    return [name for name in names if name.startswith(OURS)]


@contextlib.contextmanager
def in_thread(folder: Path, *interceptors: grpc.ServerInterceptor) -> Iterator[str]:
    """milvus-lite in a thread of this process; interceptors see each call first."""
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from pymilvus.grpc_gen import milvus_pb2_grpc

    database = MilvusLite(str(folder / "served"))
    server = grpc.server(
        futures.ThreadPoolExecutor(10),
        interceptors=interceptors,
        options=[("grpc.max_receive_message_length", MESSAGE_BYTES)],
    )
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(database), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop(grace=0).wait()
    database.close()


@contextlib.contextmanager
def process(folder: Path, port: int = 0) -> Iterator[str]:
    """milvus-lite in a process of its own, for any number of others; `port` 0: any that is free."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    where = ["--data-dir", str(folder / "served"), "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "milvus.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "milvus_lite.cmdline", "server", *where],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            assert server.poll() is None, f"milvus-lite ended by itself: {log.read_text()}"
            assert time.monotonic() < until, f"milvus-lite does not listen: {log.read_text()}"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()  # it ends in good order for Ctrl-C only, and slowly
        server.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
