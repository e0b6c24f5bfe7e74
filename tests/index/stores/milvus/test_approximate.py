"""A Milvus whose index does not find all: real ones look into some of their lists only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from earmark.index.stores.milvus import rerank
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter
from tests.index.made import vector
from tests.index.stores.clip_model import DIM, Held, changes
from tests.index.stores.milvus import server

COUNT = 300
THIRD = list(range(3, COUNT + 1, 3))
RARE = [row for row in range(1, COUNT + 1) if row % 50 in (1, 2)]


class Forgetful(grpc.ServerInterceptor):
    """Lets searches by vector find every third clip only."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        handler = continuation(handler_call_details)
        if handler is None or not str(handler_call_details.method).endswith("/Search"):
            return handler

        def searched(request: Any, context: grpc.ServicerContext) -> Any:
            asked = {each.key: each.value for each in request.search_params}
            if asked["anns_field"] == "vector":
                own = f"row in {THIRD}"
                request.dsl = f"({request.dsl}) and {own}" if request.dsl else own
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            searched,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MilvusStore]:
    """Clips of which few have a tag."""
    with server.in_thread(tmp_path, Forgetful()) as uri:
        store = MilvusStore("mine", DIM, uri)
        clips = {
            row: Held(row, 1.0, "", "", ("rare",) if row in RARE else ("rain",))
            for row in range(1, COUNT + 1)
        }
        store.apply(changes(1, clips))
        yield store
        store.close()


def test_all_of_the_few_that_pass_are_found_and_in_order(store: MilvusStore) -> None:
    scores = {row: float(vector(row) @ vector(7)) for row in RARE}
    order = sorted(RARE, key=lambda row: -scores[row])
    where = Filter(any_tags=("rare",))
    for k, offset in ((50, 0), (len(RARE), 0), (len(RARE) - 1, 0), (3, 5), (50, 9)):
        rows, found = store.search(vector(7), k, where, offset=offset)
        assert rows.tolist() == order[offset : offset + k]
        np.testing.assert_allclose(found, [scores[row] for row in rows.tolist()], atol=1e-6)
    least = scores[order[4]] - 1e-6
    assert store.search(vector(7), 50, where, min_score=least)[0].tolist() == order[:5]


def test_all_of_the_few_that_hold_a_word_are_found_and_in_order(store: MilvusStore) -> None:
    order = sorted(RARE, key=lambda row: -float(vector(row) @ vector(9)))
    for where in (None, Filter(no_tags=("rain",))):
        assert store.match(["rare"], 50, where, vector(9))[0].tolist() == order
    few = Filter(any_tags=("rare",), up_to=100)
    own = [row for row in order if row <= 100]
    assert store.match(["rare"], 50, few, vector(9))[0].tolist() == own


def test_all_of_a_small_library_is_found(store: MilvusStore) -> None:
    assert sorted(store.search(vector(1), 1_000)[0].tolist()) == list(range(1, COUNT + 1))


def test_of_many_those_that_the_index_finds(
    store: MilvusStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(store.search(vector(1), 20)[0].tolist()) <= set(THIRD)
    monkeypatch.setattr(rerank, "MAX_VECTORS", COUNT - 1)
    assert len(store.search(vector(1), 1_000)[0]) == COUNT // 3
