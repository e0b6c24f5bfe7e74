"""What people say of sounds: manifests edited later, re-read files, ids that move along."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from earmark.index.catalogue.catalogue import FILE_NAME
from earmark.index.ingest import bulk
from earmark.index.library import SNAPSHOT, Library
from earmark.model.embedder import Embedder
from tests.index import made


def write_manifest(folder: Path, line: str) -> Path:
    manifest = folder / "manifest.csv"
    manifest.write_text(f"path,tags,title,author,source,licence\n{line}\n")
    return manifest


def test_an_edited_manifest_is_taken_in_without_embedding_again(
    library: Library, tmp_path: Path
) -> None:
    (file,) = made.write_sounds(tmp_path, 1)
    bulk.add(
        library,
        [write_manifest(tmp_path, f"{file.name},rain,Rain,Ann,Field,CC0-1.0")],
        made.embed_here,
    )
    before = library.catalogue.clips()[0]
    report = bulk.add(
        library,
        [write_manifest(tmp_path, f"{file.name},hail storm,Hail,Ann,Field,CC0-1.0")],
        made.embed_here,
    )
    assert (report.added, report.described, report.unchanged) == ([], 1, 0)
    (clip,) = library.catalogue.clips()
    assert (clip.title, clip.tags, clip.author) == ("Hail", ("hail", "storm"), "Ann")
    assert (clip.id, clip.added_at, clip.row) == (before.id, before.added_at, before.row)
    library.refresh()
    assert library.store.match(["hail"], 5)[0].tolist() == [clip.row]
    assert not len(library.store.match(["rain"], 5)[0])
    assert len(library.store) == 1


def test_the_same_manifest_again_changes_nothing(library: Library, tmp_path: Path) -> None:
    (file,) = made.write_sounds(tmp_path, 1)
    manifest = write_manifest(tmp_path, f"{file.name},rain,Rain,Ann,Field,CC0-1.0")
    bulk.add(library, [manifest], made.embed_here)
    generation = library.generation
    report = bulk.add(library, [manifest], made.embed_here)
    assert (report.added, report.described, report.unchanged) == ([], 0, 1)
    assert library.generation == generation


def test_a_path_without_words_takes_nothing_away(library: Library, tmp_path: Path) -> None:
    (file,) = made.write_sounds(tmp_path, 1)
    bulk.add(
        library,
        [write_manifest(tmp_path, f"{file.name},rain,Rain,Ann,Field,CC-BY-3.0")],
        made.embed_here,
    )
    assert bulk.add(library, [file], made.embed_here).unchanged == 1
    os.utime(file, ns=(1, 1))  # touched: it is read again, but nobody said anything new
    assert len(bulk.add(library, [file], made.embed_here).added) == 1
    (clip,) = library.catalogue.clips()
    assert (clip.title, clip.tags) == ("Rain", ("rain",))
    assert (clip.author, clip.source, clip.licence) == ("Ann", "Field", "CC-BY-3.0")


def test_ids_move_along_into_another_library(
    library: Library, embedder: Embedder, tmp_path: Path
) -> None:
    files = made.write_sounds(tmp_path / "sounds", 2)
    bulk.add(library, files, made.embed_here)
    shutil.copy(made.write_sounds(tmp_path / "more", 1, first=7)[0], files[0])
    bulk.add(library, files, made.embed_here)  # replaced: another sound under the id it had
    ids = {clip.path: clip.id for clip in library.catalogue.clips()}
    with Library.open(tmp_path / "next", embedder, create=True) as other:
        bulk.add(other, [library.folder], made.embed_here)
        assert {clip.path: clip.id for clip in other.catalogue.clips()} == ids


def test_a_restored_backup_never_meets_the_snapshot_of_its_future(
    embedder: Embedder, tmp_path: Path
) -> None:
    folder, files = tmp_path / "library", made.write_sounds(tmp_path / "sounds", 5)
    with Library.open(folder, embedder, create=True) as library:
        bulk.add(library, files[:1], made.embed_here)
    backup = (folder / FILE_NAME).read_bytes()
    with Library.open(folder, embedder) as library:
        bulk.add(library, [files[1]], made.embed_here)
        bulk.add(library, [files[2]], made.embed_here)
    assert (folder / SNAPSHOT).exists()
    for part in folder.glob(f"{FILE_NAME}*"):
        part.unlink()
    (folder / FILE_NAME).write_bytes(backup)
    library = Library.open(folder, embedder)
    for file in files[3:]:
        bulk.add(library, [file], made.embed_here)
    library.catalogue.close()  # as after a kill: no new snapshot
    with Library.open(folder, embedder) as library:
        for clip in library.catalogue.clips():
            vector = library.catalogue.vector(clip.row)
            assert vector is not None
            assert library.search_by_vector(vector, 1).hits[0].clip == clip


def test_a_search_does_not_wait_for_a_refresh(library: Library, tmp_path: Path) -> None:
    files = made.write_sounds(tmp_path / "sounds", 2)
    bulk.add(library, files[:1], made.embed_here)
    library.refresh()
    bulk.add(library, files[1:], made.embed_here)
    answers: list[int] = []
    vector = library.embedder.embed_audio(files[0]).vector
    with library._refreshing:  # as while another thread takes in the change
        asking = threading.Thread(
            target=lambda: answers.append(len(library.search_by_vector(vector, 5).hits))
        )
        asking.start()
        asking.join(timeout=60)
        assert answers == [1]  # the generation before
    assert len(library.search_by_vector(vector, 5).hits) == 2
