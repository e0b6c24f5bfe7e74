"""The Milvus store alone: writes that are cut short, many servers, limits.

On milvus-lite, or on a real Milvus where EARMARK_TEST_MILVUS names it, but for what is of a file.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from milvus_lite.server_manager import server_manager_instance
from pymilvus import DataType, MilvusClient

from earmark.index.catalogue.records import Changes
from earmark.index.errors import LibraryError, StorageError
from earmark.index.lexical.terms import query_terms
from earmark.index.stores.milvus.filters import expression, number
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter, RowSet
from tests.index import made
from tests.index.made import ROOT, vector
from tests.index.stores.clip_model import DIM, Held, changes, some
from tests.index.stores.milvus import server

NO_FILE = Path("none")


# Writes that are cut short


def test_an_apply_that_was_cut_short_is_repeated(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    store.apply(changes(1, some(range(100))))
    whole = changes(2, some(range(50, 2_550), "new"), range(50))
    short = Changes(**{**vars(whole), "sources": whole.sources[:-1]})  # ends in the third batch
    with pytest.raises(IndexError):
        store.apply(short)
    assert store.generation == 1
    store.close()
    store = MilvusStore("mine", DIM, milvus_server)
    assert store.load(NO_FILE)
    assert store.generation == 1
    store.apply(whole)
    assert store.passing(Filter(sources=("new",))).tolist() == list(range(50, 2_550))
    assert (len(store), store.generation) == (2_500, 2)
    store.close()


def test_a_first_apply_that_was_cut_short_leaves_nothing_to_trust(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    whole = changes(1, some(range(1_500)))
    with pytest.raises(IndexError):
        store.apply(Changes(**{**vars(whole), "tags": whole.tags[:-1]}))
    assert (len(store), store.search(vector(1), 3)[0].tolist()) == (0, [])
    again = MilvusStore("mine", DIM, milvus_server)
    assert not again.load(NO_FILE)
    again.apply(changes(2, some(range(1_000, 1_010))))
    assert again.passing(Filter()).tolist() == list(range(1_000, 1_010))
    again.close()
    store.close()


def test_a_collection_of_names_as_they_were_spelt_is_made_anew(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    client, name = store._client, store._name
    older = client.create_schema(auto_id=False, enable_dynamic_field=False)
    kinds = {"row": DataType.INT64, "said": DataType.SPARSE_FLOAT_VECTOR}
    for field, kind in kinds.items():
        older.add_field(field, kind, is_primary=field == "row")
    client.create_collection(name, schema=older)
    assert not store.load(NO_FILE)
    store.apply(changes(3, some(range(5), "Straße")))
    assert store.passing(Filter(sources=("STRASSE",))).tolist() == list(range(5))
    store.close()


WRITER = """
import sys, itertools
from pathlib import Path
from earmark.index.stores.milvus.store import MilvusStore
from tests.index.stores.milvus.test_store import DIM, window
store = MilvusStore("mine", DIM, sys.argv[1])
store.load(Path())
for generation in itertools.count(store.generation + 1):
    store.apply(window(generation))
    print(generation, flush=True)
"""


def window(generation: int) -> Changes:
    """Takes a library from 1,200 clips to 1,200 others that are mostly the same rows."""
    rows = range(100 * generation, 100 * generation + 1_200)
    return changes(generation, some(rows, str(generation)), range(rows.start - 100, rows.start))


def test_a_writer_that_is_killed_loses_nothing(milvus_file: str) -> None:
    for delay in (0.01, 0.06):
        command = [sys.executable, "-c", WRITER, milvus_file]
        with subprocess.Popen(
            command, cwd=ROOT, env=made.environment(), stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout
            first, second = int(writer.stdout.readline()), int(writer.stdout.readline())
            with pytest.raises(StorageError, match="has another process it open"):
                MilvusStore("mine", DIM, milvus_file)
            time.sleep(delay)
            writer.kill()
        store = MilvusStore("mine", DIM, milvus_file)
        assert store.load(NO_FILE)
        generation = store.generation
        assert generation >= second == first + 1
        store.apply(window(generation + 1))
        start = 100 * (generation + 1)
        assert store.passing(Filter(sources=(str(generation + 1),))).tolist() == [
            *range(start, start + 1_200)
        ]
        assert len(store) == 1_200
        store.close()
        server_manager_instance.release_server(milvus_file)


def test_a_store_is_the_same_after_the_server_has_started_anew(milvus_file: str) -> None:
    """What milvus-lite keeps in memory goes to its files then."""
    held: dict[int, Held] = {}
    for generation in range(1, 6):
        store = MilvusStore("mine", DIM, milvus_file)
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
        server_manager_instance.release_server(milvus_file)


# Several stores, and collections that are not as we left them


def test_a_second_server_takes_over_what_the_first_has_written(milvus_server: str) -> None:
    first, second = (MilvusStore("mine", DIM, milvus_server) for _ in range(2))
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
    milvus_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = (MilvusStore("mine", DIM, milvus_server) for _ in range(2))
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
def test_a_collection_that_does_not_fit_is_made_anew(milvus_server: str, fields: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    client = MilvusClient(milvus_server, dedicated=True)
    store.apply(changes(3, some(range(10))))
    name = ours(client)
    if fields == "others":
        client.drop_collection(name)
        client.create_collection(name, dimension=DIM)
    else:
        client.release_collection(name)
        client.drop_index(name, "vector")
    again = MilvusStore("mine", DIM, milvus_server)
    assert not again.load(NO_FILE)
    again.apply(changes(4, some(range(5))))
    assert again.search(vector(1), 1)[0].tolist() == [1]
    for each in (again, store, client):
        each.close()


# Limits and filters


@pytest.mark.skipif(bool(server.named()), reason="an approximate index does not reach so deep")
def test_no_more_than_milvus_finds_at_once(milvus_server: str) -> None:
    store = MilvusStore("mine", 2, milvus_server)
    count = 16_384
    angles = np.linspace(0, 1, count + 6)  # the farther, the less alike
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float64)
    rows = np.arange(1, count + 7)
    store.apply(made.changes(1, rows, vectors.astype(np.float32)))
    query = np.array([1, 0], np.float32)
    _, scores = store.search(query, 10, offset=count - 10)
    np.testing.assert_allclose(scores, np.cos(angles[count - 10 : count]), atol=1e-6)
    with pytest.raises(LibraryError, match=r"at most 16,384 together.*16,390 clips pass"):
        store.search(query, 1, offset=count)
    least = float(np.cos(angles[count - 1_000]))
    assert len(store.search(query, 20_000, min_score=least)[0]) == pytest.approx(
        count - 1_000, abs=9
    )
    few = Filter(max_duration=count / 10)
    assert len(store.search(query, 20_000, few)[0]) == count
    assert len(store.search(query, 5, few, offset=20_000)[0]) == 0
    store.close()


def test_a_sentence_without_spaces_takes_few_queries(
    milvus_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    title = "昨日の夜に山の上で雷が鳴り雨が激しく降って"
    clips = {row: Held(row, 1.0, "", "", (), title=title[: 2 + row % 9]) for row in range(1, 700)}
    store = MilvusStore("sentences", DIM, milvus_server)
    store.apply(changes(2, clips))
    asked: list[object] = []
    for name in ("query", "search"):
        plain = getattr(store._client, name)

        def counted(*args: object, plain: Any = plain, **options: object) -> Any:
            asked.append(options.get("limit"))
            return plain(*args, **options)

        monkeypatch.setattr(store._client, name, counted)
    rows, shares = store.match(tuple(query_terms(title)), 100)
    assert len(asked) <= 6
    assert max(limit for limit in asked if isinstance(limit, int)) == 400
    longest = [row for row in clips if row % 9 == 8]
    assert (rows[: len(longest)].tolist(), shares[0]) == (longest, shares[len(longest) - 1])


def test_tags_past_the_limit_are_not_filtered_by(
    milvus_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    many = tuple(f"t{index}" for index in range(5_000))
    store.apply(changes(1, {1: Held(1, 1.0, "", "", many), 2: Held(2, 1.0, "", "", ("t4",))}))
    assert "clip 1 has 5000 tags: found by 4096 only" in caplog.text
    assert store.passing(Filter(any_tags=("T4095",))).tolist() == [1]
    assert store.passing(Filter(any_tags=("t4096",))).tolist() == []
    assert store.passing(Filter(all_tags=("t4",))).tolist() == [1, 2]
    store.close()


def test_a_filter_holds_numbers_only() -> None:
    odd = ("' or row > 0 --", '"', "\\", "100%", "a\nb", "\0", "🎧", "x" * 10_000, "\ud800")
    where = Filter(
        *(odd, odd, odd, 0.1, 1e-7 + 1, odd, odd),
        sample_rates=(8_000,),
        channels=(1, 2),
        min_loudness=-30.0,
        max_loudness=0.0,
        added_after="2025",
        added_before="2026",
        categories=odd,
        rows=(1, 2),
        up_to=9,
        but=3,
        collections=odd,
        classifiers=odd,
        members=RowSet(np.array([1, 2])),
    )
    # All conditions there are; names of collections and classifiers are members here.
    assert all(getattr(where, field.name) not in (None, (), "") for field in fields(where))
    text = expression(where)
    assert text
    names = {"and", "not", "in", "row", "duration", "licence", "source", "tags", "category",
             "sample_rate", "channels", "loudness", "added",
             "array_contains_all", "array_contains_any"}  # fmt: skip
    words = "".join(each if each.isalnum() or each == "_" else " " for each in text).split()
    assert {word for word in words if not word.isdigit()} == names
    assert "duration >= 0.10000000149011612" in text
    assert len({number(each) for each in odd}) == len(odd)
    assert all(0 <= number(each) < 2**63 for each in odd)


def test_it_says_what_it_is(milvus_server: str, milvus_file: str) -> None:
    for uri in (milvus_server, milvus_file):
        store = MilvusStore("mine", DIM, uri)
        lite = uri != server.named()
        assert store.description().startswith("Milvus milvus_lite-" if lite else "Milvus v")
        index = "flat, exact, float32" if lite else "its automatic index"
        assert store.description().endswith(f" at {uri}: {index}")
        assert store.nbytes() == 0
        store.close()
