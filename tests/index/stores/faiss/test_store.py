"""The FAISS store: equal to brute force after any writes; snapshots that are trusted or not."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.index.catalogue.records import Changes
from earmark.index.stores import snapshot
from earmark.index.stores.faiss import store as store_module
from earmark.index.stores.faiss.store import FaissStore
from tests.index import made
from tests.index.made import small_disk, vector

DIM = 4


def changes(generation: int, put: dict[int, np.ndarray], removed: list[int]) -> Changes:
    vectors = np.array(list(put.values()), dtype=np.float32).reshape(-1, DIM)
    return made.changes(generation, np.array(list(put), dtype=np.int64), vectors, removed)


def filled(count: int = 30, library: str = "mine") -> FaissStore:
    store = FaissStore(library, DIM)
    store.apply(changes(7, {row: vector(row) for row in range(1, count + 1)}, []))
    return store


def assert_like_brute_force(store: FaissStore, model: dict[int, np.ndarray], k: int) -> None:
    query = vector(12_345)
    rows, scores = store.search(query, k)
    exact = {row: float(own @ query) for row, own in model.items()}
    assert len(store) == len(model)
    assert len(rows) == len(set(rows.tolist())) == min(k, len(model))
    np.testing.assert_allclose(scores, sorted(exact.values(), reverse=True)[:k], atol=1e-6)
    np.testing.assert_allclose(scores, [exact[row] for row in rows.tolist()], atol=1e-6)
    assert (np.diff(scores) <= 0).all()


_ROWS = st.integers(1, 12)
_STEP = st.tuples(st.dictionaries(_ROWS, st.integers(0, 10_000), max_size=6), st.sets(_ROWS))


def followed(
    store: FaissStore, steps: list[tuple[dict[int, int], set[int]]]
) -> dict[int, np.ndarray]:
    """Let a store take in steps of (row → seed, rows removed); what it must hold then."""
    model: dict[int, np.ndarray] = {}
    for generation, (seeds, gone) in enumerate(steps, start=1):
        put = {row: vector(seed) for row, seed in seeds.items() if row not in gone}
        store.apply(changes(generation, put, sorted(gone)))
        for row in gone:
            model.pop(row, None)
        model.update(put)
        assert store.generation == generation
    return model


@settings(max_examples=120, deadline=None)
@given(steps=st.lists(_STEP, max_size=12), k=st.integers(1, 20))
def test_equals_brute_force_after_any_adding_replacing_and_removing(
    steps: list[tuple[dict[int, int], set[int]]], k: int
) -> None:
    store = FaissStore("mine", DIM)
    model = followed(store, steps)
    assert_like_brute_force(store, model, k)


def test_many_vectors_equal_brute_force() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((3000, 32)).astype(np.float32)
    store = FaissStore("mine", 32)
    store.apply(made.changes(1, np.arange(1, 3001), vectors))
    for query in generator.standard_normal((5, 32)).astype(np.float32):
        rows, _ = store.search(query, 25)
        assert rows.tolist() == (np.argsort(-(vectors @ query))[:25] + 1).tolist()


def test_an_empty_store_finds_nothing_and_more_than_there_are_finds_all() -> None:
    rows, scores = FaissStore("mine", DIM).search(vector(1), 10)
    assert (rows.shape, scores.shape, rows.dtype, scores.dtype) == (
        (0,), (0,), np.int64, np.float32,
    )  # fmt: skip
    rows, _ = filled(5).search(vector(1), 1_000_000)
    assert sorted(rows.tolist()) == [1, 2, 3, 4, 5]


def test_changes_of_an_older_generation_are_not_taken_twice() -> None:
    store = filled(3)
    store.apply(changes(6, {1: vector(99)}, [2]))
    assert (store.generation, len(store)) == (7, 3)
    assert store.search(vector(1), 1)[0].tolist() == [1]


def test_a_search_keeps_its_generation_while_the_next_is_swapped_in() -> None:
    """Readers never see half a change: every answer holds only one of the two sets of rows."""
    store, stop, seen = FaissStore("mine", DIM), threading.Event(), []
    old, new = list(range(1, 41)), list(range(101, 141))
    store.apply(changes(1, {row: vector(row) for row in old}, []))

    def read() -> None:
        while not stop.is_set():
            seen.append({row > 100 for row in store.search(vector(0), 40)[0].tolist()})

    reader = threading.Thread(target=read)
    reader.start()
    for generation in range(2, 60):
        here, gone = (new, old) if generation % 2 == 0 else (old, new)
        store.apply(changes(generation, {row: vector(row) for row in here}, gone))
    stop.set()
    reader.join()
    assert seen
    assert all(len(kinds) == 1 for kinds in seen)


def test_a_snapshot_gives_back_the_same_store(tmp_path: Path) -> None:
    store, file = filled(), tmp_path / "snapshot"
    store.save(file)
    again = FaissStore("mine", DIM)
    assert again.load(file)
    assert (again.generation, len(again)) == (7, 30)
    for own, loaded in zip(store.search(vector(50), 30), again.search(vector(50), 30), strict=True):
        np.testing.assert_array_equal(own, loaded)
    again.apply(changes(8, {1: vector(77)}, [2]))  # and it can be written to
    expected = {row: vector(row) for row in range(3, 31)} | {1: vector(77)}
    assert_like_brute_force(again, expected, 10)
    assert list(tmp_path.iterdir()) == [file]


def test_no_snapshot_is_no_matter(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert not FaissStore("mine", DIM).load(tmp_path / "snapshot")
    assert not caplog.records


def refused(file: Path, caplog: pytest.LogCaptureFixture, library: str = "mine") -> None:
    """The snapshot is not taken, the log says so, and the store is as good as new."""
    caplog.clear()
    store = FaissStore(library, DIM)
    with caplog.at_level(logging.WARNING):
        assert not store.load(file)
    assert "building anew" in caplog.text
    assert (store.generation, len(store)) == (0, 0)


def test_snapshots_cut_short_zeroed_or_grown_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "snapshot"
    filled().save(file)
    data = file.read_bytes()
    for length in (0, 1, 8, 11, 12, 40, 200, len(data) // 2, len(data) - 1):
        file.write_bytes(data[:length])
        refused(file, caplog)
    for start in (0, 12, len(data) // 2):
        file.write_bytes(data[:start] + bytes(len(data) - start))
        refused(file, caplog)
    file.write_bytes(data + b"\0")
    refused(file, caplog)
    file.write_bytes(b"not a snapshot at all, but long enough to look like one")
    refused(file, caplog)
    file.unlink()
    file.mkdir()
    refused(file, caplog)


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int
) -> None:
    file = tmp_path_factory.mktemp("flip", numbered=True) / "snapshot"
    filled(5).save(file)
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    file.write_bytes(data)
    assert not FaissStore("mine", DIM).load(file)


@pytest.mark.slow
def test_bits_all_over_the_header_count(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    filled(2).save(file)
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + size])["__metadata__"]
    assert json.loads(metadata["header"])["generation"] == 7
    for position in range(0, 8 + size, 3):
        flipped = bytearray(data)
        flipped[position] ^= 1 << (position % 8)
        file.write_bytes(flipped)
        assert not FaissStore("mine", DIM).load(file), position


def test_a_snapshot_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    file = tmp_path / "snapshot"
    filled(2).save(file)
    tensors = safetensors.numpy.load_file(file)
    assert tensors["recent.durations"].shape == (2,)


def test_snapshots_of_another_library_size_or_format_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "snapshot"
    filled().save(file)
    refused(file, caplog, library="another")
    assert not FaissStore("mine", DIM + 1).load(file)
    with monkeypatch.context() as later:
        later.setattr(snapshot, "VERSION", "4")
        filled().save(file)
    refused(file, caplog)
    with monkeypatch.context() as earlier:
        earlier.setattr(store_module, "FORM", {**store_module.FORM, "texts": 1})
        filled().save(file)
    refused(file, caplog)
    safetensors.numpy.save_file({"gone": np.zeros(3, np.bool_)}, file)
    refused(file, caplog)
    safetensors.numpy.save_file({"gone": np.zeros(3, np.bool_)}, file, {"sha256": "0" * 64})
    refused(file, caplog)


def test_saving_while_others_load_never_shows_them_half_a_snapshot(tmp_path: Path) -> None:
    file, store, stop, loaded = tmp_path / "snapshot", filled(500), threading.Event(), []
    store.save(file)

    def load() -> None:
        while not stop.is_set():
            loaded.append(FaissStore("mine", DIM).load(file))

    reader = threading.Thread(target=load)
    reader.start()
    for _ in range(30):
        store.save(file)
    stop.set()
    reader.join()
    assert loaded
    assert all(loaded)


def test_a_full_disk_leaves_the_snapshot_before_it() -> None:
    with small_disk(64) as disk:
        filled(20).save(disk / "snapshot")
        with pytest.raises(OSError, match="No space left"):
            filled(20_000).save(disk / "snapshot")
        again = FaissStore("mine", DIM)
        assert again.load(disk / "snapshot")
        assert len(again) == 20
        assert [path.name for path in disk.iterdir()] == ["snapshot"]
