"""The Milvus store alone: servers that fail, writes that are cut short, limits. On milvus-lite."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
from milvus_lite.adapter.grpc.server import start_server_in_thread
from milvus_lite.server_manager import server_manager_instance
from pymilvus import MilvusClient

from index import milvus_client
from index.errors import LibraryError, StorageError
from index.filters import Filter
from index.milvus_filters import expression, number
from index.milvus_store import MilvusStore
from index.records import Changes
from tests.index import made
from tests.index.made import ROOT, vector
from tests.index.test_vector_stores import DIM, Held, changes

NO_FILE = Path("none")


def some(rows: range, source: str = "") -> dict[int, Held]:
    return {row: Held(row % 13, row / 10, "CC0-1.0", source, ("dog",)) for row in rows}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[str]:
    """A file for milvus-lite, closed in the end."""
    uri = str(tmp_path / "lite.db")
    yield uri
    server_manager_instance.release_server(uri)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A server that several stores may speak with."""
    server, database, port = start_server_in_thread(str(tmp_path / "served"))
    yield f"http://127.0.0.1:{port}"
    server.stop(grace=0).wait()
    database.close()


# Servers that are not there, or do not want us


@pytest.mark.parametrize("package", ["pymilvus", "milvus_lite"])
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LibraryError, match=rf"{package} is missing: pip install 'earmark\[milvus"):
        MilvusStore("mine", DIM, str(tmp_path / "lite.db"))


def test_pymilvus_is_imported_only_when_needed() -> None:
    code = "import sys, index.milvus_store; sys.exit('pymilvus' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_client, "TIMEOUT", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        for _ in ("refuses", "says nothing"):
            began = time.monotonic()
            with pytest.raises(StorageError, match=f"Milvus at http://127.0.0.1:{port}: ") as info:
                MilvusStore("mine", DIM, f"http://127.0.0.1:{port}", "root:secret")
            assert time.monotonic() - began < 8
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


def test_a_server_that_goes_away(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MilvusStore("mine", DIM, server)
    store.apply(changes(1, some(range(5))))
    store.close()
    for use in (
        lambda: store.search(vector(1), 3),
        lambda: store.passing(Filter()),
        lambda: store.apply(changes(2, {})),
        lambda: len(store),
        store.drop,
    ):
        with pytest.raises(StorageError, match=f"Milvus at {server}: "):
            use()


def test_vectors_of_another_size_are_refused(server: str) -> None:
    store = MilvusStore("mine", DIM, server)
    wrong = made.changes(1, np.array([1]), vector(1, DIM + 1)[None])
    with pytest.raises(LibraryError, match=rf"vectors: expected .*\(1, 4\).*{server}, got \(1, 5"):
        store.apply(wrong)
    store.apply(changes(1, some(range(5))))
    with pytest.raises(LibraryError, match=rf"vector: expected .*\(4,\).*{server}, got \(5,\)"):
        store.search(vector(1, DIM + 1), 3)
    other = MilvusStore("mine", DIM + 1, server)
    assert not other.load(NO_FILE)
    other.apply(wrong)  # the library was embedded anew: its collection is made anew
    assert other.search(vector(1, DIM + 1), 3)[0].tolist() == [1]
    other.close()
    store.close()


# Writes that are cut short


def test_an_apply_that_was_cut_short_is_repeated(file: str) -> None:
    store = MilvusStore("mine", DIM, file)
    store.apply(changes(1, some(range(100))))
    whole = changes(2, some(range(50, 2_550), "new"), range(50))
    short = Changes(**{**vars(whole), "sources": whole.sources[:-1]})  # ends in the third batch
    with pytest.raises(ValueError, match="zip"):
        store.apply(short)
    assert store.generation == 1
    store.close()
    store = MilvusStore("mine", DIM, file)
    assert store.load(NO_FILE)
    assert store.generation == 1
    store.apply(whole)
    assert store.passing(Filter(sources=("new",))).tolist() == list(range(50, 2_550))
    assert (len(store), store.generation) == (2_500, 2)
    store.close()


def test_a_first_apply_that_was_cut_short_leaves_nothing_to_trust(file: str) -> None:
    store = MilvusStore("mine", DIM, file)
    whole = changes(1, some(range(1_500)))
    with pytest.raises(ValueError, match="zip"):
        store.apply(Changes(**{**vars(whole), "tags": whole.tags[:-1]}))
    assert (len(store), store.search(vector(1), 3)[0].tolist()) == (0, [])
    again = MilvusStore("mine", DIM, file)
    assert not again.load(NO_FILE)
    again.apply(changes(2, some(range(1_000, 1_010))))
    assert again.passing(Filter()).tolist() == list(range(1_000, 1_010))
    again.close()
    store.close()


WRITER = """
import sys, itertools
from pathlib import Path
from index.milvus_store import MilvusStore
from tests.index.test_milvus_store import DIM, window
store = MilvusStore("mine", DIM, sys.argv[1])
store.load(Path())
for generation in itertools.count(store.generation + 1):
    store.apply(window(generation))
    print(generation, flush=True)
"""


def window(generation: int) -> Changes:
    """Takes a library from 2,500 clips to 2,500 others that are mostly the same rows."""
    rows = range(100 * generation, 100 * generation + 2_500)
    return changes(generation, some(rows, str(generation)), range(rows.start - 100, rows.start))


def test_a_writer_that_is_killed_loses_nothing(file: str) -> None:
    for delay in (0.0, 0.03, 0.11):
        command = [sys.executable, "-c", WRITER, file]
        with subprocess.Popen(
            command, cwd=ROOT, env=made.environment(), stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout
            first, second = int(writer.stdout.readline()), int(writer.stdout.readline())
            with pytest.raises(StorageError, match="has another process it open"):
                MilvusStore("mine", DIM, file)
            time.sleep(delay)
            writer.kill()
        store = MilvusStore("mine", DIM, file)
        assert store.load(NO_FILE)
        generation = store.generation
        assert generation >= second == first + 1
        store.apply(window(generation + 1))
        start = 100 * (generation + 1)
        assert store.passing(Filter(sources=(str(generation + 1),))).tolist() == [
            *range(start, start + 2_500)
        ]
        assert len(store) == 2_500
        store.close()
        server_manager_instance.release_server(file)


def test_a_store_is_the_same_after_the_server_has_started_anew(file: str) -> None:
    """What milvus-lite keeps in memory goes to its files then."""
    held: dict[int, Held] = {}
    for generation in range(1, 6):
        store = MilvusStore("mine", DIM, file)
        assert store.load(NO_FILE) == (generation > 1)
        put, gone = some(range(generation, 40, generation), str(generation)), {3 * generation}
        store.apply(changes(generation, put, gone - put.keys()))
        held = {row: own for row, own in held.items() if row not in gone} | put
        for source in map(str, range(1, 6)):
            own = sorted(row for row, clip in held.items() if clip.source == source)
            assert store.passing(Filter(sources=(source,))).tolist() == own
        scores = sorted(float(vector(each.seed) @ vector(50)) for each in held.values())[::-1]
        np.testing.assert_allclose(store.search(vector(50), 100)[1], scores, atol=1e-5)
        assert len(store) == len(held)
        store.close()
        server_manager_instance.release_server(file)


# Several stores, and collections that are not as we left them


def test_a_second_server_takes_over_what_the_first_has_written(server: str) -> None:
    first, second = (MilvusStore("mine", DIM, server) for _ in range(2))
    first.apply(changes(1, some(range(10))))
    assert second.load(NO_FILE)
    first.apply(changes(3, some(range(10, 20)), {0}))
    second.apply(changes(2, some(range(10, 12))))  # read from the catalogue before the third
    assert (second.generation, len(second)) == (3, 19)
    second.apply(changes(4, {}, {1}))
    assert first.passing(Filter()).tolist() == list(range(2, 20))
    first.close()
    second.close()


def test_a_collection_that_has_gone_is_built_anew(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (MilvusStore("mine", DIM, server) for _ in range(2))
    first.apply(changes(5, some(range(10))))
    assert second.load(NO_FILE)
    first.drop()
    assert (len(first), first.generation, first.search(vector(1), 3)[0].tolist()) == (0, 0, [])
    with pytest.raises(StorageError, match="Milvus at"):
        second.search(vector(1), 3)
    with caplog.at_level(logging.WARNING):
        second.apply(changes(6, some(range(2))))
    assert second.generation == 0
    assert "was at 5, is at 0" in caplog.text
    second.apply(changes(6, some(range(12))))
    assert second.passing(Filter()).tolist() == list(range(12))
    first.close()
    second.close()


def ours(client: MilvusClient) -> str:
    """The name of the only collection."""
    (name,) = client.list_collections()
    return str(name)


@pytest.mark.parametrize("fields", ["others", "ours, and no index"])
def test_a_collection_that_does_not_fit_is_made_anew(server: str, fields: str) -> None:
    store, client = MilvusStore("mine", DIM, server), MilvusClient(server, dedicated=True)
    store.apply(changes(3, some(range(10))))
    name = ours(client)
    if fields == "others":
        client.drop_collection(name)
        client.create_collection(name, dimension=DIM)
    else:
        client.release_collection(name)
        client.drop_index(name, "vector")
    again = MilvusStore("mine", DIM, server)
    assert not again.load(NO_FILE)
    again.apply(changes(4, some(range(5))))
    assert again.search(vector(1), 1)[0].tolist() == [1]
    for each in (again, store, client):
        each.close()


# Limits and filters


def test_no_more_than_milvus_finds_at_once(server: str) -> None:
    store = MilvusStore("mine", 2, server)
    count = 16_384
    angles = np.linspace(0, 1, count + 6)  # the farther, the less alike
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float64)
    rows = np.arange(1, count + 7)
    store.apply(made.changes(1, rows, vectors.astype(np.float32)))
    query = np.array([1, 0], np.float32)
    _, scores = store.search(query, 10, offset=count - 10)
    np.testing.assert_allclose(scores, np.cos(angles[count - 10 : count]), atol=1e-6)
    for k, offset in ((count + 1, 0), (1, count), (1_000_000, 0)):
        with pytest.raises(LibraryError, match=r"at most 16,384 together.*16,390 clips pass"):
            store.search(query, k, offset=offset)
    least = float(np.cos(angles[count - 1_000]))
    assert len(store.search(query, 20_000, least=least)[0]) == pytest.approx(count - 1_000, abs=9)
    few = Filter(rows=tuple(range(1, count + 1)))
    assert len(store.search(query, 20_000, few)[0]) == count
    assert len(store.search(query, 20_000, few, offset=count - 5)[0]) == 5
    assert len(store.search(query, 20_000, few, offset=20_000)[0]) == 0
    store.close()


def test_tags_past_the_limit_are_not_filtered_by(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MilvusStore("mine", DIM, server)
    many = tuple(f"t{index}" for index in range(5_000))
    store.apply(changes(1, {1: Held(1, 1.0, "", "", many), 2: Held(2, 1.0, "", "", ("t4",))}))
    assert "clip 1 has 5000 tags: filters see its first 4096" in caplog.text
    assert store.passing(Filter(any_tags=("T4095",))).tolist() == [1]
    assert store.passing(Filter(any_tags=("t4096",))).tolist() == []
    assert store.passing(Filter(all_tags=("t4",))).tolist() == [1, 2]
    store.close()


def test_a_filter_holds_numbers_only() -> None:
    odd = ("' or row > 0 --", '"', "\\", "100%", "a\nb", "\0", "🎧", "x" * 10_000, "\ud800")
    where = Filter(odd, odd, odd, 0.1, 1e-7 + 1, odd, odd, (1, 2))
    text = expression(where)
    assert text
    names = {"and", "not", "in", "row", "duration", "licence", "source", "tags",
             "array_contains", "array_contains_any"}  # fmt: skip
    words = "".join(each if each.isalnum() or each == "_" else " " for each in text).split()
    assert {word for word in words if not word.isdigit()} == names
    assert "duration >= 0.10000000149011612" in text
    assert len({number(each) for each in odd}) == len(odd)
    assert all(0 <= number(each) < 2**63 for each in odd)


def test_it_says_what_it_is(server: str, file: str) -> None:
    makers: list[Callable[[], MilvusStore]] = [
        lambda: MilvusStore("mine", DIM, server),
        lambda: MilvusStore("mine", DIM, file),
    ]
    for uri, make in zip((server, file), makers, strict=True):
        store = make()
        assert store.kind().startswith("Milvus milvus_lite-")
        assert store.kind().endswith(f" at {uri}: flat, exact, float32")
        assert store.nbytes() == 0
        store.close()
