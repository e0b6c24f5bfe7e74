"""Collections of older layouts (1: no windows): searched and written until a new one is built."""

from __future__ import annotations

from pathlib import Path

from pymilvus import DataType, MilvusClient

from earmark.index.catalogue.records import Changes
from earmark.index.stores.milvus import schema
from earmark.index.stores.milvus.store import MilvusStore
from earmark.index.types import Filter
from tests.index.made import vector
from tests.index.stores.clip_model import DIM, Held, changes, some

NO_FILE = Path("none")


def make_older(store: MilvusStore, uri: str, layout: int, written: Changes) -> None:
    """A collection as it was made before windows, or before it held facts of files."""
    name, has_windows = store._names[layout], layout > 1
    client = MilvusClient(uri)
    fields = client.create_schema(auto_id=False, enable_dynamic_field=False)
    if has_windows:
        fields.add_field(schema.KEY, DataType.INT64, is_primary=True)
    fields.add_field("row", DataType.INT64, is_primary=not has_windows)
    fields.add_field("vector", DataType.FLOAT_VECTOR, dim=DIM)
    fields.add_field("weights", DataType.SPARSE_FLOAT_VECTOR)
    fields.add_field("duration", DataType.FLOAT)
    for field in ("generation", *schema.NUMBERS):
        fields.add_field(field, DataType.INT64)
    for field in schema.LISTS:
        fields.add_field(field, DataType.ARRAY, element_type=DataType.INT64, max_capacity=4_096)
    client.create_collection(name, schema=fields, consistency_level="Strong")
    for partition in (schema.CLIPS, schema.STATE, *([schema.WINDOWS] if has_windows else [])):
        client.create_partition(name, partition)
    indexes = client.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="IP")
    indexes.add_index("weights", index_type="SPARSE_INVERTED_INDEX", metric_type="IP")
    client.create_index(name, indexes)
    rows = [schema.clip_row(written, number) for number in range(len(written.rows))]
    for partition, own in (
        (schema.CLIPS, rows), (schema.STATE, [schema.state(written.generation, DIM)]),
    ):  # fmt: skip
        for row in own:
            for field in schema.missing(layout):
                del row[field]
        client.upsert(name, own, partition_name=partition)
    client.close()


def test_it_is_searched_and_written_until_another_is_built(milvus_server: str) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    make_older(store, milvus_server, 1, changes(3, some(range(1, 31))))
    assert not store.load(NO_FILE)
    assert store.load(NO_FILE, outdated=True)
    assert (store.outdated, len(store), store.generation) == (True, 30, 3)
    assert store.search(vector(7), 1)[0].tolist() == [7]
    long = Held(90, 60.0, "", "", ("rain",), windows=(91, 92))
    later = changes(4, {40: long, 7: Held(95, 1.0, "", "", ())}, [8])
    store.apply(later)
    assert (len(store), store.generation) == (30, 4)
    assert store.search(vector(90), 1)[0].tolist() == [40]
    assert store.passing(Filter(any_tags=("rain",))).tolist() == [40]

    new = MilvusStore("mine", DIM, milvus_server)
    assert not new.load(NO_FILE)
    new.apply(changes(2, some(range(1, 11))))  # and its process ends
    new.close()
    new = MilvusStore("mine", DIM, milvus_server)
    assert new.load(NO_FILE, outdated=True)
    assert (new.outdated, len(new)) == (True, 30)  # the old one goes on serving
    new.close()
    new = MilvusStore("mine", DIM, milvus_server)
    assert new.load(NO_FILE)  # and the new one is taken up
    assert (new.outdated, new.generation) == (False, 2)
    held = {row: clip for row, clip in some(range(1, 31)).items() if row not in (7, 8)}
    new.apply(changes(4, {**held, 40: long, 7: Held(95, 1.0, "", "", ())}, [8]))
    assert (new.outdated, len(new)) == (False, 30)
    assert new.search(vector(92), 1)[0].tolist() == [40]
    assert store.search(vector(90), 1)[0].tolist() == [40]  # who has it open goes on
    again = MilvusStore("mine", DIM, milvus_server)
    assert again.load(NO_FILE, outdated=True)
    assert not again.outdated
    for each in (store, new, again):
        each.close()


def test_an_old_collection_that_was_never_whole_or_is_dropped_is_not_written(
    milvus_server: str,
) -> None:
    store = MilvusStore("mine", DIM, milvus_server)
    make_older(store, milvus_server, 2, changes(3, some(range(1, 31))))
    client = MilvusClient(milvus_server)
    client.delete(store._names[2], filter="row == -1", partition_name=schema.STATE)
    assert not store.load(NO_FILE, outdated=True)
    assert not store.outdated
    store.apply(changes(1, some(range(1, 6))))
    assert (store.outdated, len(store)) == (False, 5)
    store.drop()
    client.drop_collection(store._names[2])
    make_older(store, milvus_server, 2, changes(3, some(range(1, 31))))
    assert store.load(NO_FILE, outdated=True)
    client.drop_collection(store._names[2])
    store.apply(changes(4, some(range(40, 42))))  # finds out that it is gone
    assert (store.generation, store.outdated) == (0, True)
    store.apply(changes(4, some(range(1, 8))))
    assert (store.outdated, len(store), store.generation) == (False, 7, 4)
    store.close()
    client.close()
