"""The Milvus store where Milvus is missing, silent, refusing or gone: errors in our words."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
from milvus_lite.adapter.grpc.server import start_server_in_thread
from pymilvus.grpc_gen import milvus_pb2

from earmark.index.errors import LibraryError, StorageError
from earmark.index.stores.milvus import client, schema
from earmark.index.stores.milvus import store as milvus_store
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter
from tests.index import made
from tests.index.made import ROOT, vector
from tests.index.stores.clip_model import DIM, changes, some

NO_FILE = Path("none")


@pytest.mark.parametrize("package", ["pymilvus", "milvus_lite"])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    command = r"pip install 'earmark\[milvus-lite\]'"
    with pytest.raises(LibraryError, match=f"{package} is missing: {command}"):
        MilvusStore("mine", DIM, str(tmp_path / "lite.db"))


def test_pymilvus_is_imported_only_when_needed() -> None:
    code = "import sys, earmark.index.stores.milvus.store; sys.exit('pymilvus' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TIMEOUT", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for _ in ("refuses", "says nothing"):
            began = time.monotonic()
            with pytest.raises(StorageError, match=f"Milvus at http://127.0.0.1:{port}: ") as info:
                MilvusStore("mine", DIM, f"http://127.0.0.1:{port}", "root:secret")
            assert time.monotonic() - began < 60
            assert "secret" not in str(info.value)
            assert "\n" not in str(info.value)
            silent.listen()


class Refusing(grpc.GenericRpcHandler):
    """Answers as a cluster does to a wrong token."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
        )


def test_a_token_that_is_refused() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1), [Refusing()])
    uri = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with pytest.raises(LibraryError, match=f"Milvus at {uri}: the token was refused") as info:
        MilvusStore("mine", DIM, uri, "root:secret")
    assert "secret" not in str(info.value)
    server.stop(grace=0).wait()


class Old(grpc.GenericRpcHandler):
    """Says its version as a cluster does, and nothing else."""

    def __init__(self, version: str) -> None:
        self.answers = {
            "Connect": milvus_pb2.ConnectResponse(),
            "GetVersion": milvus_pb2.GetVersionResponse(version=version),
        }

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = self.answers.get(details.method.rpartition("/")[2])
        if answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda *_: answer.SerializeToString())


@pytest.mark.parametrize(
    ("version", "enough"),
    [
        ("v2.3.5-lite", False),
        ("2.2.16", False),
        ("1.1.1", False),
        ("v2.4.0", True),
        ("v2.10.1", True),
        ("v3.0.0-beta", True),
        ("milvus_lite-3.2.2", True),
        ("Zilliz Cloud Vector Database", True),
    ],
)
def test_a_version_that_is_too_old(version: str, enough: bool) -> None:
    server = grpc.server(futures.ThreadPoolExecutor(1), [Old(version)])
    uri = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    if enough:
        store = MilvusStore("mine", DIM, uri)
        assert version in store.description()
        store.close()
    else:
        with pytest.raises(
            LibraryError, match=f"Milvus at {uri}: expected version 2.4 or newer, got {version}$"
        ):
            MilvusStore("mine", DIM, uri)
    server.stop(grace=0).wait()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("ftp://host", "ftp://host is illegal"),
        ("no/such/folder/lite.db", "no/such/folder"),
        ("http://root:secret@host:19530", "Milvus at host:19530: expected a URI without"),
        ("root:secret@host", "Milvus at host: expected a URI without"),
    ],
)
def test_a_uri_that_is_none(uri: str, says: str) -> None:
    with pytest.raises(LibraryError, match=says) as info:
        MilvusStore("mine", DIM, uri, "token-secret")
    assert "secret" not in str(info.value)


def uses(store: MilvusStore) -> list[Callable[[], object]]:
    return [
        lambda: store.search(vector(1), 3),
        lambda: store.match(["dog"], 3),
        lambda: store.passing(Filter()),
        lambda: store.apply(changes(2, {})),
        lambda: len(store),
        lambda: store.load(NO_FILE),
    ]


def test_a_closed_store(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    store.apply(changes(1, some(range(5))))
    store.close()
    store.close()
    for use in (*uses(store), store.drop):
        with pytest.raises(StorageError, match=f"Milvus at {milvus_server}: "):
            use()


def test_a_server_that_goes_away_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (client, schema, milvus_store):
        monkeypatch.setattr(module, "TIMEOUT", 1)
    server, database, port = start_server_in_thread(str(tmp_path / "served"))
    store = MilvusStore("mine", DIM, f"http://127.0.0.1:{port}")
    store.apply(changes(1, some(range(5))))
    server.stop(grace=0).wait()
    database.close()
    for use in uses(store):
        began = time.monotonic()
        with pytest.raises(StorageError, match=f"Milvus at http://127.0.0.1:{port}: "):
            use()
        assert time.monotonic() - began < 60
    assert store.generation == 1
    server, database, port = start_server_in_thread(str(tmp_path / "served"), port=port)
    for _ in range(100):  # gRPC does not try again at once
        with contextlib.suppress(StorageError):
            assert store.load(NO_FILE)  # which a cluster need not be asked for
            break
        time.sleep(0.1)
    assert store.search(vector(1), 1)[0].tolist() == [1]
    store.close()
    server.stop(grace=0).wait()
    database.close()


def test_vectors_of_another_size_are_refused(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    wrong = made.changes(1, np.array([1]), vector(1, DIM + 1)[None])
    with pytest.raises(
        LibraryError, match=rf"vectors: expected .*\(1, 4\).*{milvus_server}, got \(1, 5"
    ):
        store.apply(wrong)
    store.apply(changes(1, some(range(5))))
    with pytest.raises(
        LibraryError, match=rf"vector: expected .*\(4,\).*{milvus_server}, got \(5,\)"
    ):
        store.search(vector(1, DIM + 1), 3)
    other = MilvusStore("mine", DIM + 1, milvus_server)
    assert not other.load(NO_FILE)
    other.apply(wrong)  # the library was embedded anew: its collection is made anew
    assert other.search(vector(1, DIM + 1), 3)[0].tolist() == [1]
    other.close()
    store.close()
