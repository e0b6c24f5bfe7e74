"""Catalogues that cannot be used: none, newer, damaged, another program's, not to be written."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.index.catalogue import schema
from earmark.index.catalogue.catalogue import FILE_NAME, Catalogue
from earmark.index.catalogue.metadata import Metadata
from earmark.index.errors import LibraryError, StorageError
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index.made import NOBODY, new_clip, nobody, public_folder, small_disk


def test_no_library(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=f"made by `earmark add`, got {tmp_path}"):
        Catalogue.open(tmp_path)
    with pytest.raises(LibraryError, match="made by `earmark add`"):
        Catalogue.open(tmp_path / "missing")


def test_a_newer_version_is_refused_and_left_as_it_is(catalogue: Catalogue) -> None:
    catalogue.close()
    with sqlite3.connect(catalogue.file) as db:
        db.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    db.close()
    with pytest.raises(LibraryError, match=f"or older, got version {schema.VERSION + 1}"):
        Catalogue.open(catalogue.file.parent)
    with pytest.raises(LibraryError, match="or older"):
        Catalogue.open_or_create(catalogue.file.parent, "model-1", 4)


def test_another_programs_database_is_refused_and_not_written_to(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    for attempt in (
        lambda: Catalogue.open(tmp_path),
        lambda: Catalogue.open_or_create(tmp_path, "model-1", 4),
        lambda: Catalogue.create(tmp_path, "model-1", 4),
    ):
        with pytest.raises(LibraryError, match="of application 0x0"):
            attempt()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    db.close()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("These are not the tables you are looking for. " * 100)
    with pytest.raises(StorageError, match="damaged"):
        Catalogue.open(tmp_path)
    with pytest.raises(StorageError, match="damaged"):
        Catalogue.open_or_create(tmp_path, "model-1", 4)


def test_a_catalogue_whose_making_was_cut_short_is_made_again(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    catalogue = Catalogue.open_or_create(tmp_path, "model-1", 4)
    assert (catalogue.count(), catalogue.meta("fingerprint")) == (0, "model-1")
    catalogue.close()


def test_creating_twice_keeps_what_is_there(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        writer.put(new_clip("a"))
    again = Catalogue.create(catalogue.file.parent, "model-2", 8)
    assert (again.count(), again.meta("fingerprint"), again.meta("dim")) == (1, "model-1", "4")
    again.close()


def test_damage_inside_is_named_not_a_traceback(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        for number in range(300):
            writer.put(new_clip(f"clip{number}", number))
    catalogue.close()
    data = bytearray(catalogue.file.read_bytes())
    assert len(data) > 20 * 4096
    data[4096 * 2 :] = os.urandom(len(data) - 4096 * 2)
    catalogue.file.write_bytes(data)
    with pytest.raises(StorageError, match=r"library .*: the catalogue is damaged"):
        read_all(catalogue.file.parent)


def test_a_catalogue_cut_short_is_named(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        for number in range(300):
            writer.put(new_clip(f"clip{number}", number))
    catalogue.close()
    os.truncate(catalogue.file, catalogue.file.stat().st_size // 2)
    with pytest.raises(StorageError, match="damaged"):
        read_all(catalogue.file.parent)


def read_all(folder: Path) -> None:
    catalogue = Catalogue.open(folder)
    try:
        catalogue.clips()
        catalogue.changes(0)
    finally:
        catalogue.close()


def test_a_folder_that_may_not_be_written_to() -> None:
    with public_folder() as folder:
        with nobody(), pytest.raises(StorageError, match=f"library {folder}/new: Permission"):
            Catalogue.create(folder / "new", "model-1", 4)
        with nobody(), pytest.raises(StorageError, match=f"library {folder}: unable to open"):
            Catalogue.create(folder, "model-1", 4)
        assert list(folder.iterdir()) == []


def test_a_catalogue_that_may_only_be_read_says_so_when_written() -> None:
    with public_folder() as folder:
        catalogue = Catalogue.create(folder, "model-1", 4)
        with catalogue.write() as writer:  # open: its log files are there, and readable
            writer.put(new_clip("a"))
        with nobody():
            reader = Catalogue.open(folder)
            assert [clip.title for clip in reader.clips()] == ["a"]
            with pytest.raises(StorageError, match="may only be read"), reader.write() as writer:
                writer.put(new_clip("b"))
            reader.close()
        assert catalogue.count() == 1
        catalogue.close()


def test_an_unreadable_file() -> None:
    with public_folder() as folder:
        Catalogue.create(folder, "model-1", 4).close()
        (folder / FILE_NAME).chmod(0o600)
        if os.geteuid() != 0:
            (folder / FILE_NAME).chmod(0)
        with nobody(), pytest.raises(StorageError, match="unable to open"):
            Catalogue.open(folder)


def test_a_library_on_a_read_only_folder_that_its_owner_closes(embedder: Embedder) -> None:
    """Nobody's own folder, made read-only: closing saves no snapshot, and does not fail."""
    with public_folder() as folder:
        Library.open(folder, embedder, create=True).close()
        for path in (folder, *folder.iterdir()):
            if os.geteuid() == 0:
                os.chown(path, NOBODY, NOBODY)
        with nobody():
            library = Library.open(folder, embedder)
            with library.catalogue.write() as writer:
                writer.put(new_clip("a", vector=embedder.embed_tags([["dog"]])[0]))
            folder.chmod(0o555)
            assert len(library.search("dog").hits) == 1
            library.close()
            folder.chmod(0o755)
        assert not (folder / "vectors.snapshot").exists()


def test_a_full_disk_while_creating_and_writing() -> None:
    with small_disk(40) as disk, pytest.raises(StorageError, match="disk is full"):
        Catalogue.create(disk / "library", "model-1", 4)
    with small_disk(1000) as disk:
        catalogue = Catalogue.create(disk / "library", "model-1", 4)
        written = 0
        with pytest.raises(StorageError, match="the disk is full; what was added before is kept"):
            for number in range(1000):
                with catalogue.write() as writer:
                    writer.put(new_clip(f"clip{number}", number))
                written += 1
        assert written > 3
        assert catalogue.count() == written
        catalogue.close()
        again = Catalogue.open(disk / "library")
        assert again.count() == written
        again.close()


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones(5), np.zeros(0), np.full(4, np.nan)])
def test_vectors_of_another_size_or_no_numbers_are_refused(
    catalogue: Catalogue, wrong: np.ndarray
) -> None:
    """Once written, they would keep the whole library from opening."""
    with pytest.raises(LibraryError, match="vector: expected"), catalogue.write() as writer:
        writer.put(new_clip("good"))
        writer.put(new_clip("bad", vector=wrong.astype(np.float32)))
    assert catalogue.count() == 0
    assert len(catalogue.changes(0).rows) == 0
    with pytest.raises(LibraryError, match="windows: expected"), catalogue.write() as writer:
        writer.put(new_clip("bad", windows=np.ones((2, 5), np.float32), starts=np.zeros(2)))
    assert catalogue.count() == 0


ODD_IDS = ["a/b", "../x", "a b", "'; DROP TABLE clips; --", '"', "%2F", "?q=1#x", "лай", "🐕", "\\"]


@pytest.mark.parametrize("clip_id", ODD_IDS)
def test_ids_with_every_kind_of_character(catalogue: Catalogue, clip_id: str) -> None:
    with catalogue.write() as writer:
        assert writer.put(new_clip("a", id=clip_id)) == clip_id
        assert writer.put(new_clip("b", id=clip_id)) == f"{clip_id}-2"
    assert catalogue.clip(clip_id).id == clip_id
    with catalogue.write() as writer:
        writer.remove(clip_id)
    assert [clip.id for clip in catalogue.clips()] == [f"{clip_id}-2"]


@given(clip_id=st.text(max_size=250))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_an_id_or_is_refused_whole(catalogue: Catalogue, clip_id: str) -> None:
    before = catalogue.count()
    try:
        with catalogue.write() as writer:
            kept = writer.put(new_clip(f"sound {before}", id=clip_id))
    except LibraryError as error:
        assert "id: expected at most 200 printable characters" in str(error)
        assert catalogue.count() == before
    else:
        assert catalogue.clip(kept).id == kept


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (Metadata(tags=("x" * 10_000,)), "tag: expected at most 200 characters, got 10000: 'xxx"),
        (Metadata(tags=tuple(map(str, range(1_001)))), "tags: expected at most 1000, got 1001"),
        (Metadata(title="x" * 1_001), "title: expected at most 1000 characters"),
        (Metadata(description="x" * 20_001), "description: expected at most 20000 characters"),
    ],
)
def test_texts_too_long_are_refused_and_nothing_of_the_write_is_kept(
    catalogue: Catalogue, said: Metadata, says: str
) -> None:
    with catalogue.write() as writer:
        writer.put(new_clip("a"))
    with pytest.raises(LibraryError, match=says), catalogue.write() as writer:
        writer.put(new_clip("b"))
        writer.put(replace(new_clip("c"), metadata=said))
    with pytest.raises(LibraryError, match=says), catalogue.write() as writer:
        writer.update_metadata("/sounds/a.wav", said)
    assert [clip.title for clip in catalogue.clips()] == ["a"]


def test_two_writers_at_once(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second waits its time, then says who is in the way; nothing of either is lost."""
    monkeypatch.setattr("earmark.index.catalogue.connection.BUSY_SECONDS", 0.2)
    other = Catalogue.open(catalogue.file.parent)
    with other.write() as first:
        first.put(new_clip("a"))
        begun = time.monotonic()
        says = r"another process has been writing for 0\.2 s"
        with (
            closing(Catalogue.open(catalogue.file.parent)) as too,
            pytest.raises(StorageError, match=says),
            too.write() as second,
        ):
            second.put(new_clip("b"))
        assert time.monotonic() - begun < 60
    with catalogue.write() as third:
        third.put(new_clip("c"))
    assert [clip.title for clip in other.clips()] == ["a", "c"]
    other.close()


def test_texts_from_before_there_were_limits_hinder_nothing(catalogue: Catalogue) -> None:
    with catalogue.write() as writer:
        writer.put(new_clip("a"))
    with closing(sqlite3.connect(catalogue.file)) as db, db:
        db.execute("UPDATE clips SET tags = ?", ("x" * 300,))
    with catalogue.write() as writer:
        writer.put(new_clip("a", 2, title="", tags=()))
        writer.update_metadata("/sounds/a.wav", Metadata(description="by the sea"))
    (clip,) = catalogue.clips()
    assert (clip.tags, clip.description) == (("x" * 300,), "by the sea")
