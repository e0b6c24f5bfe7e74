"""Several processes that follow one catalogue into one Milvus, at the same moment."""

from __future__ import annotations

import fcntl
import io
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest

from earmark.index import maintenance
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.errors import StorageError
from earmark.index.ingest import uploads
from earmark.index.ingest.uploads import Upload
from earmark.index.library import Library
from earmark.index.stores import factory
from earmark.index.stores.factory import LOCK, catch_up, open_store
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter
from tests.index import made
from tests.index.stores.milvus import server
from tests.service import sounds

PATIENCE = 0.5  # seconds that a call is held for another one, which may never come

Handler = grpc.RpcMethodHandler


class Order(grpc.ServerInterceptor):
    """Counts calls, and holds some until others are done: what bad luck does by itself.

    `holds`: for the Nth call of a kind (from 1), the kind and number that it waits for.
    """

    def __init__(self) -> None:
        self.holds: dict[tuple[str, int], tuple[str, int]] = {}
        self.done: list[tuple[str, int]] = []
        self.counts: dict[str, int] = {}
        self.changed = threading.Condition()

    def wait_for(self, call: tuple[str, int], begun: bool = False) -> bool:
        """Whether it was done, or has begun, within a while."""
        with self.changed:
            return self.changed.wait_for(
                lambda: call in self.done or (begun and self.counts.get(call[0], 0) >= call[1]),
                PATIENCE,
            )

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Handler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = continuation(handler_call_details)
        method = str(handler_call_details.method).rpartition("/")[2]
        if handler is None or method not in ("Upsert", "CreateCollection", "DropCollection"):
            return handler
        behave = handler.unary_unary
        assert behave is not None

        def ordered(request: Any, context: grpc.ServicerContext) -> Any:
            kind = f"{method} {getattr(request, 'partition_name', '')}".strip()
            with self.changed:
                self.counts[kind] = self.counts.get(kind, 0) + 1
                own = (kind, self.counts[kind])
                self.changed.notify_all()
            if own in self.holds:
                self.wait_for(self.holds[own])
            answer = behave(request, context)
            with self.changed:
                self.done.append(own)
                self.changed.notify_all()
            return answer

        return grpc.unary_unary_rpc_method_handler(
            ordered,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


@pytest.fixture
def order() -> Order:
    return Order()


@pytest.fixture
def folder(tmp_path: Path, order: Order) -> Iterator[Path]:
    """A library of two clips, kept in a Milvus."""
    folder = tmp_path / "library"
    with closing(Catalogue.create(folder, "model", 4)) as catalogue, catalogue.write() as writer:
        for seed in (1, 2):
            writer.put(made.new_clip(str(seed), seed, id=f"c{seed}"))
    with server.in_thread(tmp_path, order) as uri:
        maintenance.migrate(folder, uri)
        order.counts.clear()
        order.done.clear()
        yield folder


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Catalogue, MilvusStore]]:
    """As a process of its own has it."""
    with closing(Catalogue.open(folder)) as catalogue, closing(open_store(catalogue)) as store:
        assert isinstance(store, MilvusStore)
        store.load(folder / "none")
        yield catalogue, store


def tag(catalogue: Catalogue, name: str) -> None:
    with catalogue.write() as writer:
        writer.edit("c1", {"tags": (name,)})


def test_what_is_late_does_not_take_the_place_of_what_is_newer(
    folder: Path, order: Order, caplog: pytest.LogCaptureFixture
) -> None:
    """One is held up in the middle of writing while the other writes what comes after."""
    order.holds = {
        ("Upsert clips", 1): ("Upsert clips", 2),
        ("Upsert state", 1): ("Upsert state", 2),
    }
    with opened(folder) as (catalogue, one), opened(folder) as (other_catalogue, other):
        tag(catalogue, "older")
        late = threading.Thread(target=catch_up, args=(one, catalogue))
        late.start()
        assert order.wait_for(("Upsert clips", 1), begun=True)
        tag(other_catalogue, "newer")
        with caplog.at_level(logging.WARNING):
            catch_up(other, other_catalogue)
            late.join()
            for store, own in ((one, catalogue), (other, other_catalogue)):
                catch_up(store, own)
                assert store.generation == int(own.meta("generation"))
        for store in (one, other):
            assert store.passing(Filter(any_tags=("newer",))).tolist() == [1]
            assert store.passing(Filter(any_tags=("older",))).tolist() == []
        assert "taking up from there" not in caplog.text


def test_a_collection_that_was_lost_is_built_by_one_alone(folder: Path, order: Order) -> None:
    with ExitStack() as stack:
        pairs = [stack.enter_context(opened(folder)) for _ in range(3)]
        pairs[0][1].drop()
        tag(pairs[0][0], "again")
        for _, store in pairs[1:]:
            assert not store.load(folder / "none")
        order.counts.clear()
        threads = [threading.Thread(target=catch_up, args=(store, own)) for own, store in pairs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert order.counts["CreateCollection"] == 1
        for _, store in pairs:
            assert len(store) == 2
            assert store.passing(Filter(any_tags=("again",))).tolist() == [1]


def test_nobody_waits_long_for_another_who_is_writing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "WAIT_SECONDS", 0.2)
    with opened(folder) as (catalogue, store):
        catch_up(store, catalogue)
        before = store.generation
        tag(catalogue, "waiting")
        with (folder / LOCK).open("wb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            began = time.monotonic()
            catch_up(store, catalogue)
            assert 0.1 < time.monotonic() - began < 60
            assert store.generation == before
            assert len(store.search(made.vector(1), 2)[0]) == 2  # it answers all the same
        catch_up(store, catalogue)
        assert store.generation == before + 1


def test_a_collection_of_a_newer_copy_of_the_catalogue_is_built_anew(
    folder: Path, tmp_path: Path
) -> None:
    maintenance.back_up(folder, tmp_path / "copy")
    with opened(folder) as (catalogue, store):
        tag(catalogue, "lost")
        catch_up(store, catalogue)
    with closing(Catalogue.open(tmp_path / "copy")) as copy, closing(open_store(copy)) as store:
        catch_up(store, copy)  # as the library does for one that it finds to be ahead
        assert store.generation == int(copy.meta("generation"))
        assert store.passing(Filter(any_tags=("lost",))).tolist() == []
        assert len(store.passing(Filter())) == 2


def test_a_write_stands_while_milvus_is_away(library: Library, tmp_path: Path) -> None:
    """It is not told as a failure, or whoever tries again makes a twin; it is found later."""
    folder, embedder = library.folder, library.embedder
    library.close()
    with server.process(tmp_path) as uri:
        maintenance.migrate(folder, uri)
        moved = Library.open(folder, embedder)
    with moved:
        own = moved.uploads.stage(io.BytesIO(sounds.noise(0.5, seed=9)))
        embedding = embedder.embed_audio(own.path)
        [added] = uploads.add(moved, [Upload(own, Metadata(title="Rain"), embedding)])
        own.close()
        assert Path(added.clip.path).exists()
        with pytest.raises(StorageError, match="Milvus"):
            moved.search_by_vector(embedding.vector, 1)
        with server.process(tmp_path, int(uri.rpartition(":")[2])):
            hits, until = [], time.monotonic() + 60
            while not hits and time.monotonic() < until:  # a connection tries again after a while
                with suppress(StorageError):
                    hits = moved.search_by_vector(embedding.vector, 1).hits
        assert [hit.clip.id for hit in hits] == [added.clip.id]
