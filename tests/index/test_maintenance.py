"""Keeping a library: copies while others write, sounds that move, another vector store."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from earmark.index import maintenance
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.errors import LibraryError, StorageError
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.index.stores.factory import open_store
from earmark.index.stores.milvus.store import MilvusStore
from earmark.model.embedder import Embedder
from tests.index import made
from tests.index.made import new_clip


def stocked(folder: Path, embedder: Embedder, sounds: Path, count: int = 4) -> list[str]:
    """A library of so many sounds; their ids."""
    made.write_sounds(sounds, count)
    with Library.open(folder, embedder, create=True) as library:
        return bulk.add(library, [sounds], made.embed_here).added


def test_a_copy_taken_amid_writes_is_a_library_of_one_instant(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """Each write adds two clips: a copy holds an even number of them, and goes on from there."""
    stop = threading.Event()

    def write() -> None:
        for number in range(10_000):
            if stop.is_set():
                return
            with catalogue.write() as writer:
                writer.put(new_clip(f"a{number}"))
                writer.put(new_clip(f"b{number}"))

    writing = threading.Thread(target=write)
    writing.start()
    counts = []
    try:
        for number in range(5):
            counts.append(maintenance.back_up(catalogue.file.parent, tmp_path / f"copy{number}"))
    finally:
        stop.set()
        writing.join()
    assert counts == sorted(counts)
    for number, count in enumerate(counts):
        with closing(Catalogue.open(tmp_path / f"copy{number}")) as copy:
            assert copy.count() == count
            assert count % 2 == 0
            assert copy.meta("library") == catalogue.meta("library")
            assert [clip.title for clip in copy.clips()] == [
                clip.title for clip in catalogue.clips()[:count]
            ]
            with copy.write() as writer:
                writer.put(new_clip("after"))


def test_a_restored_copy_answers_as_before(tmp_path: Path, embedder: Embedder) -> None:
    ids = stocked(tmp_path / "library", embedder, tmp_path / "sounds")
    assert maintenance.back_up(tmp_path / "library", tmp_path / "copy") == 4
    with Library.open(tmp_path / "library", embedder) as library:
        before = [(hit.clip, hit.score) for hit in library.search("noise", 4).hits]
        library.remove(ids)
    shutil.rmtree(tmp_path / "library")
    (tmp_path / "copy").rename(tmp_path / "library")
    with Library.open(tmp_path / "library", embedder) as library:
        assert [(hit.clip, hit.score) for hit in library.search("noise", 4).hits] == before


def test_a_copy_never_replaces_a_library(catalogue: Catalogue, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="expected a folder without a library"):
        maintenance.back_up(catalogue.file.parent, catalogue.file.parent)
    with pytest.raises(LibraryError, match="made by `earmark add`"):
        maintenance.back_up(tmp_path / "nowhere", tmp_path / "copy")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        maintenance.back_up(catalogue.file.parent, tmp_path / "file")
    (tmp_path / "loop").symlink_to("loop")
    for path in ("loop", "x" * 300, "loop/below"):
        with pytest.raises(StorageError, match=r"Too many levels|too long|File exists"):
            maintenance.back_up(catalogue.file.parent, tmp_path / path)


def test_a_full_disk_leaves_no_half_copy(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        for number in range(2_000):
            writer.put(new_clip(f"clip {number}"))
    with made.small_disk(100) as disk:
        with pytest.raises(StorageError, match="full"):
            maintenance.back_up(catalogue.file.parent, disk / "copy")
        assert not list((disk / "copy").iterdir())


def test_sounds_that_moved(tmp_path: Path, embedder: Embedder) -> None:
    ids = stocked(tmp_path / "library", embedder, tmp_path / "old")
    (tmp_path / "old" / "bad.wav").write_bytes(b"rubbish")
    made.write_sounds(tmp_path / "older", 1, first=9)
    with Library.open(tmp_path / "library", embedder) as library:
        bulk.add(library, [tmp_path / "old", tmp_path / "older"], made.embed_here)
    (tmp_path / "old").rename(tmp_path / "new")
    assert maintenance.relocate(tmp_path / "library", tmp_path / "old", tmp_path / "new") == 4
    with Library.open(tmp_path / "library", embedder) as library:
        report = bulk.add(library, [tmp_path / "new"], made.embed_here)
        assert (report.added, report.unchanged) == ([], 4)
        assert library.catalogue.clip(ids[0]).path == str(tmp_path / "new" / "noise_000.wav")
        assert list(library.catalogue.failures()) == [str(tmp_path / "new" / "bad.wav")]
        paths = {Path(clip.path).parent.name for clip in library.catalogue.clips()}
        assert paths == {"new", "older"}  # whose name only begins alike


def test_moves_that_make_no_sense(tmp_path: Path, embedder: Embedder) -> None:
    stocked(tmp_path / "library", embedder, tmp_path / "sounds")
    strange = tmp_path / os.fsdecode(b"caf\xe9")
    for old, new, name in ((tmp_path / "sounds", strange, "new"), (strange, tmp_path, "old")):
        with pytest.raises(
            LibraryError, match=rf"{name}: expected a path in UTF-8, got .*caf.udce9"
        ):
            maintenance.relocate(tmp_path / "library", old, new)
    with pytest.raises(LibraryError, match="old: expected a folder of sounds"):
        maintenance.relocate(tmp_path / "library", tmp_path / "elsewhere", tmp_path / "new")
    shutil.copytree(tmp_path / "sounds", tmp_path / "more")
    with Library.open(tmp_path / "library", embedder) as library:
        bulk.add(library, [tmp_path / "more"], made.embed_here)
        before = library.catalogue.clips()
        with pytest.raises(LibraryError, match=r"lie under .*sounds already"):
            maintenance.relocate(tmp_path / "library", tmp_path / "more", tmp_path / "sounds")
        assert library.catalogue.clips() == before


def test_a_library_moves_to_milvus_and_back(tmp_path: Path, embedder: Embedder) -> None:
    """Nothing else changes: the same hits, also of what is written on the way."""
    folder, uri = tmp_path / "library", str(tmp_path / "milvus.db")
    ids = stocked(folder, embedder, tmp_path / "sounds", 6)

    def hits() -> list[tuple[str, float]]:
        with Library.open(folder, embedder) as library:
            own = library.catalogue.vector(2)
            assert own is not None
            found = library.search("noise", 10).hits + library.search_by_vector(own, 10).hits
            return [(hit.clip.id, round(hit.cosine or 0, 4)) for hit in found]

    before = hits()
    assert maintenance.migrate(folder, uri) == 6
    with closing(Catalogue.open(folder)) as catalogue:
        assert catalogue.meta("store") == uri
        assert isinstance(open_store(catalogue), MilvusStore)
    assert hits() == before
    with Library.open(folder, embedder) as library:
        assert "Milvus" in library.info()["index"]
        library.remove(ids[:1])
        made.write_sounds(tmp_path / "more", 2, first=20)
        added = bulk.add(library, [tmp_path / "more"], made.embed_here).added
        own = library.catalogue.vector(library.catalogue.clip(added[0]).row)
        assert own is not None
        assert library.search_by_vector(own, 1).hits[0].clip.id == added[0]
    after = hits()
    assert maintenance.migrate(folder, "faiss") == 7
    assert hits() == after
    assert {clip_id for clip_id, _ in after} == {*ids[1:], *added}


def test_a_move_that_fails_leaves_the_library_where_it_was(
    tmp_path: Path, embedder: Embedder
) -> None:
    folder = tmp_path / "library"
    stocked(folder, embedder, tmp_path / "sounds")
    for to, error in (("http://127.0.0.1:9", StorageError), ("nonsense", LibraryError)):
        with pytest.raises(error):
            maintenance.migrate(folder, to)
    with Library.open(folder, embedder) as library:
        assert library.catalogue.meta("store") == "faiss"
        assert len(library.search("noise", 10).hits) == 4


def test_changes_come_in_parts_of_whole_generations(catalogue: Catalogue) -> None:
    for start in range(0, 30, 3):
        with catalogue.write() as writer:
            for number in range(start, start + 3):
                writer.put(new_clip(f"clip {number}", number))
            if start == 15:
                writer.remove(catalogue.clips()[0].id)
    rows: list[int] = []
    removed: list[int] = []
    generation = 0
    while generation < 10:
        part = catalogue.changes(generation, 7)
        assert generation < part.generation <= 10
        assert 7 <= len(part.rows) <= 9 or part.generation == 10
        rows += part.rows.tolist()
        removed += part.removed.tolist()
        generation = part.generation
    assert rows == [clip.row for clip in catalogue.clips()]
    assert removed == [1]
    np.testing.assert_array_equal(catalogue.changes(0, 1_000).rows, catalogue.changes(0).rows)


def test_twins_and_live_writers_do_not_hinder_a_move(catalogue: Catalogue, tmp_path: Path) -> None:
    """Of thirty clips of one vector, any stands for all; what is written meanwhile comes along."""
    with catalogue.write() as writer:
        for number in range(30):
            writer.put(new_clip(f"same {number}", 1))
    folder = catalogue.file.parent
    assert maintenance.migrate(folder, "faiss") == 30
    stop = threading.Event()

    def write() -> None:
        for number in range(2_000):
            if stop.wait(0.02):
                return
            with catalogue.write() as writer:
                writer.put(new_clip(f"new {number}", number))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        assert maintenance.migrate(folder, str(tmp_path / "milvus.db")) >= 30
    finally:
        stop.set()
        writing.join()
    assert catalogue.meta("store") == str(tmp_path / "milvus.db")


def test_the_commands(tmp_path: Path, embedder: Embedder, model_folder: Path) -> None:
    folder = tmp_path / "library"
    stocked(folder, embedder, tmp_path / "old", 2)
    (tmp_path / "old").rename(tmp_path / "new")
    for command, says in (
        (["backup", tmp_path / "copy"], f"2 clips in {tmp_path / 'copy'}\n"),
        (
            ["relocate", tmp_path / "old", tmp_path / "new"],
            f"2 clips lie under {tmp_path / 'new'}\n",
        ),
        (["migrate", "faiss"], "the vectors of 2 clips are kept in faiss\n"),
    ):
        done = made.earmark(*command, "--library", folder)
        assert (done.returncode, done.stdout, done.stderr) == (0, says, "")
    for command, status, says in (
        (["backup", tmp_path / "copy"], 2, "expected a folder without a library"),
        (["relocate", tmp_path / "old", tmp_path / "new"], 2, "old: expected a folder of sounds"),
        (["migrate", "http://127.0.0.1:9"], 1, "127.0.0.1:9"),
    ):
        done = made.earmark(*command, "--library", folder)
        assert (done.returncode, done.stdout) == (status, "")
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
