"""A library whose index is from before windows were in it serves at once, and is brought over while
it serves; a kill at any moment of that loses nothing."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from earmark.index import library as library_module
from earmark.index.facets import count_facets
from earmark.index.library import SNAPSHOT, Library
from earmark.index.stores.faiss.store import FaissStore
from earmark.index.types import Filter, RowSet, SearchRequest
from earmark.model.embedder import Embedder
from tests.index import made
from tests.index.made import new_clip, vector

DIM, CLIPS, WINDOWS = 16, 12, 6
KILLS = 25
MOMENT = vector(1_003, DIM)  # of window 3 of clip 1


@pytest.fixture
def folder(tmp_path: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of such a library."""
    folder = tmp_path / "library"
    with Library.open(folder, embedder, create=True) as library:
        with library.catalogue.write() as writer:
            for number in range(CLIPS):
                writer.put(long_clip(number))
        store = FaissStore(library.catalogue.meta("library"), DIM)
        store.apply(made.without_windows(library.catalogue.changes(0)))
    made.save_without_windows(store, folder / SNAPSHOT)
    monkeypatch.setattr(library_module, "REBUILD_AT_ONCE", 0)
    return folder


def long_clip(number: int) -> Any:
    """A clip of several windows, unlike its own vector, which is not near to MOMENT."""
    own = vector(number, DIM)
    own -= (own @ MOMENT) * MOMENT
    return new_clip(
        f"clip{number}",
        number,
        vector=own / np.linalg.norm(own),
        windows=np.stack([vector(1_000 * number + place, DIM) for place in range(WINDOWS)]),
        starts=3.0 * np.arange(WINDOWS),
        duration=3.0 * WINDOWS,
    )


def check_facts(library: Library) -> None:
    """What older snapshots do not hold is known all the same."""
    clips = {clip.row for clip in library.catalogue.clips()}
    day = library.catalogue.clips()[0].added_at[:10]
    for where, passing in (
        (Filter(sample_rates=(22_000,), channels=(1,), added_after=day), clips),
        (Filter(sample_rates=(22_000,), members=RowSet(np.array([1, 2]))), {1, 2}),
        (Filter(added_before=day), set()),
        (Filter(min_loudness=-100.0), set()),
        (Filter(categories=("WEATRain",)), set()),
    ):
        assert set(library.passing(where).tolist()) == passing, where
        assert len(library.search("dog", 100, where).hits) == len(passing), where
        facets = count_facets(library, SearchRequest(where=where), 9)
        assert facets.total == len(passing)
        if not where.sample_rates:
            assert facets.sample_rates == (((22_000, len(passing)),) if passing else ())


def nearest(library: Library) -> str:
    """The title of the clip nearest to MOMENT: "clip1", where windows are searched."""
    return library.search_by_vector(MOMENT, 1).hits[0].clip.title


def test_a_steady_writer_does_not_hold_it_up(
    folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Library.open(folder, embedder) as library:
        plain, calls = library_module.catch_up, 0

        def catching_up(*arguments: Any) -> None:
            nonlocal calls
            calls += 1
            assert calls < 5
            plain(*arguments)
            with library.catalogue.write() as writer:
                writer.put(long_clip(CLIPS + calls))

        with monkeypatch.context() as patched:
            patched.setattr(library_module, "catch_up", catching_up)
            assert library.rebuild_store()
        library.refresh()
        assert len(library.store) == CLIPS + calls


def test_it_serves_at_once_and_is_brought_over_while_it_serves(
    folder: Path, embedder: Embedder, caplog: pytest.LogCaptureFixture
) -> None:
    with Library.open(folder, embedder) as library:
        assert "its index is of an older version" in caplog.text
        assert library.store.outdated
        assert nearest(library) != "clip1"
        assert library.search("clip7 dog", 3).hits[0].clip.title == "clip7"
        check_facts(library)
        with library.catalogue.write() as writer:
            writer.put(long_clip(CLIPS))  # of which windows are found
        library.refresh()
        far = vector(1_000 * CLIPS + 2, DIM)
        assert library.search_by_vector(far, 1).hits[0].clip.title == f"clip{CLIPS}"
        assert library.rebuild_store()
        assert not library.store.outdated
        assert nearest(library) == "clip1"
        assert len(library.store) == CLIPS + 1
        check_facts(library)
        assert not library.rebuild_store()  # once is enough
    with Library.open(folder, embedder) as library:
        assert not library.store.outdated
        assert nearest(library) == "clip1"


def test_a_small_one_is_brought_over_when_it_is_opened(
    folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library_module, "REBUILD_AT_ONCE", CLIPS * (WINDOWS + 1))
    with Library.open(folder, embedder) as library:
        assert not library.store.outdated
        assert nearest(library) == "clip1"


def test_closed_meanwhile_it_stays_as_it_was(folder: Path, embedder: Embedder) -> None:
    library = Library.open(folder, embedder)
    library.close()
    assert not library.rebuild_store()
    with Library.open(folder, embedder) as again:
        assert again.store.outdated


def test_closed_amid_it_writes_no_further_chunk(
    folder: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that takes few changes at once, as Milvus does."""
    monkeypatch.setattr(FaissStore, "max_changes", 1)
    library = Library.open(folder, embedder)
    generations: list[int] = []

    class Closing(FaissStore):
        def apply(self, changes: Any) -> None:
            super().apply(changes)
            generations.append(self.generation)
            library._closed = True

    monkeypatch.setattr(
        library_module,
        "open_store",
        lambda catalogue: Closing(catalogue.meta("library"), DIM),
    )
    assert not library.rebuild_store()
    assert len(generations) == 1
    library.close()


def bring_over(folder: Path, embedder: Embedder, last: int) -> int:
    """Bring a library over in this process, which ends with status 9 at the line of ours numbered
    `last`; returns how many there were."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if not frame.f_globals.get("__name__", "").startswith("earmark."):
            return None
        count += 1
        if count == last:
            os._exit(9)
        return trace

    library = Library.open(folder, embedder)
    sys.settrace(trace)
    library.rebuild_store()
    library.close()
    sys.settrace(None)
    return count


def test_a_kill_at_any_moment_loses_nothing(folder: Path, embedder: Embedder) -> None:
    chance, seen = random.Random(0), set()
    old = (folder / SNAPSHOT).read_bytes()
    bring_over(folder, embedder, 0)  # the first time, more lines are run
    (folder / SNAPSHOT).write_bytes(old)
    lines = bring_over(folder, embedder, 0)
    for last in (*chance.sample(range(1, lines), KILLS), *range(lines - 20, lines, 4)):
        (folder / SNAPSHOT).write_bytes(old)
        child = os.fork()
        if child == 0:
            bring_over(folder, embedder, last)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, last
        with Library.open(folder, embedder) as library:
            assert len(library.store) == library.catalogue.count() == CLIPS
            assert library.search("clip3 dog", 3).hits[0].clip.title == "clip3"
            seen.add(library.store.outdated)
            library.rebuild_store()
            assert nearest(library) == "clip1"
    assert seen == {True, False}  # some kills came before the new snapshot, some after
