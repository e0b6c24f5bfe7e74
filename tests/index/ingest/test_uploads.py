"""Uploads: their files come and go with their clips, whatever happens in between."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from earmark.index import maintenance
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import Clip
from earmark.index.errors import LibraryError, StorageError
from earmark.index.files.managed_files import StagedFile
from earmark.index.ingest import uploads
from earmark.index.ingest.uploads import AddedClip, Upload
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index import made
from tests.index.made import small_disk
from tests.model import tiny
from tests.service import sounds


def staged(library: Library, sound: bytes) -> StagedFile:
    return library.uploads.stage(io.BytesIO(sound))


def add(library: Library, sound: bytes, said: Metadata | None = None) -> AddedClip:
    """An upload, from its bytes to its clip."""
    own = staged(library, sound)
    try:
        embedding = library.embedder.embed_audio(own.path)
        [added] = uploads.add(library, [Upload(own, said or Metadata(title="Rain"), embedding)])
    finally:
        own.close()
    return added


def tree(folder: Path) -> set[str]:
    """Sounds in a library's folder of uploads, and what is under way there."""
    own = folder / "uploads"
    return {str(each.relative_to(own)) for each in own.rglob("*") if each.is_file()} - {
        ".pending/lock"
    }


def file_of(clip: Clip) -> Path:
    return Path(clip.path)


def test_an_upload_is_a_clip_with_a_file_of_its_own(library: Library) -> None:
    sound = sounds.noise(1.0, seed=3)
    added = add(library, sound, Metadata(title="Rain", tags=("rain", "roof"), author="Ann"))
    clip = added.clip
    assert (clip.title, clip.tags, clip.author, added.duplicate_of) == (
        "Rain",
        ("rain", "roof"),
        "Ann",
        "",
    )
    assert file_of(clip).read_bytes() == sound
    assert file_of(clip).parent == library.folder.resolve() / "uploads"
    assert tree(library.folder) == {file_of(clip).name}
    # Live at once, with the vector that it has anywhere.
    vector = library.embedder.embed_audio(sound).vector
    assert library.search_by_vector(vector, 1).hits[0].clip == clip
    np.testing.assert_array_equal(library.catalogue.vector(clip.row), vector)
    assert library.catalogue.known_files([clip.path])[clip.path].size == len(sound)


def test_the_same_sound_twice_is_two_clips_and_said(library: Library) -> None:
    first, second = (add(library, sounds.noise(0.5)) for _ in range(2))
    assert (first.duplicate_of, second.duplicate_of) == ("", first.clip.id)
    assert len(tree(library.folder)) == 2


def test_a_name_comes_from_the_container(library: Library) -> None:
    noise = tiny.noise(0.3)
    for how, suffix in (
        ({}, ".wav"),
        ({"format": "FLAC"}, ".flac"),
        ({"format": "OGG", "subtype": "VORBIS"}, ".ogg"),
        ({"format": "AIFF"}, ".aiff"),
        ({"format": "AU"}, ".au"),
        ({"format": "CAF"}, ".caf"),
        ({"format": "W64"}, ".w64"),
    ):
        assert file_of(add(library, sounds.encoded(noise, **how)).clip).suffix == suffix
    mp3 = sounds.encoded(tiny.noise(0.3, 44_100), 44_100, format="MP3")
    assert file_of(add(library, mp3).clip).suffix == ".mp3"


@pytest.mark.parametrize("name", ["a.webm", "a.m4a", "a.aac"])
def test_names_of_what_browsers_record(library: Library, tmp_path: Path, name: str) -> None:
    file = tiny.write_sine(tmp_path, name)
    assert file_of(add(library, file.read_bytes()).clip).suffix == file.suffix


def test_what_fails_leaves_nothing(library: Library) -> None:
    own = staged(library, b"no sound")
    assert len(tree(library.folder)) == 1
    own.close()
    assert tree(library.folder) == set()
    with pytest.raises(LibraryError, match="title: expected at most 1000"):
        add(library, sounds.noise(0.3), Metadata(title="x" * 1_001))
    assert tree(library.folder) == set()
    assert library.catalogue.count() == 0


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_is_on_disk_already_is_adopted(
    library: Library, tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on a file system without them

        def refused(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refused)
    sound = sounds.noise(0.3)
    (tmp_path / "here").write_bytes(sound)
    for given_up in (True, False):
        own = library.uploads.adopt(tmp_path / "here", "stem")
        assert tree(library.folder) == {".pending/stem.part"}
        embedding = library.embedder.embed_audio(own.path)
        if not given_up:
            uploads.add(library, [Upload(own, Metadata(title="Rain"), embedding)])
        own.close()
    assert tree(library.folder) == {"stem.wav"}
    clip = library.folder.resolve() / "uploads/stem.wav"
    assert clip.read_bytes() == (tmp_path / "here").read_bytes() == sound
    assert clip.samefile(tmp_path / "here") == links
    [clip_id] = library.catalogue.ids_by_path([str(clip), "elsewhere.wav"]).values()
    assert library.catalogue.clip(clip_id).title == "Rain"
    with pytest.raises(StorageError, match="uploads: No such file"):
        library.uploads.adopt(tmp_path / "gone", "stem")


def test_without_a_title_it_is_untitled_not_a_random_name(library: Library) -> None:
    assert add(library, sounds.noise(0.3), Metadata()).clip.title == "Untitled"


def test_removing_takes_the_file_of_an_upload_and_no_other(
    library: Library, tmp_path: Path
) -> None:
    from earmark.index.ingest import bulk

    (outside,) = made.write_sounds(tmp_path / "sounds", 1)
    (theirs,) = bulk.add(library, [outside], made.embed_here).added
    own = add(library, sounds.noise(0.4)).clip
    with pytest.raises(LibraryError, match="no clip 'nothing'"):
        library.remove([own.id, "nothing"])
    assert file_of(own).is_file()
    library.remove([own.id, theirs])
    assert tree(library.folder) == set()
    assert outside.is_file()
    assert library.catalogue.count() == 0


def test_another_library_may_not_remove_the_file(
    library: Library, embedder: Embedder, tmp_path: Path
) -> None:
    from earmark.index.ingest import bulk

    own = add(library, sounds.noise(0.4)).clip
    with Library.open(tmp_path / "other", embedder, create=True) as other:
        other.remove(bulk.add(other, [library.folder], made.embed_here).added)
    assert file_of(own).is_file()


def test_uploads_move_with_their_library(embedder: Embedder, tmp_path: Path) -> None:
    with Library.open(tmp_path / "one", embedder, create=True) as library:
        old = add(library, sounds.noise(0.4)).clip
    (tmp_path / "one").rename(tmp_path / "two")
    with Library.open(tmp_path / "two", embedder) as library:
        moved = library.catalogue.clip(old.id)
        assert file_of(moved).parent == tmp_path / "two" / "uploads"
        assert (
            library.search_by_vector(library.embedder.embed_audio(file_of(moved)).vector)
            .hits[0]
            .clip
            == moved
        )
        generation = library.generation
    with Library.open(tmp_path / "two", embedder) as library:
        assert library.generation == generation  # once
        library.remove([old.id])
    assert tree(tmp_path / "two") == set()


def test_a_backup_holds_uploads_of_its_own(embedder: Embedder, tmp_path: Path) -> None:
    with Library.open(tmp_path / "one", embedder, create=True) as library:
        own = add(library, sounds.noise(0.4)).clip
        under_way = staged(library, sounds.noise(0.3))
        maintenance.back_up(library.folder, tmp_path / "copy")
        under_way.close()
        library.remove([own.id])
    with Library.open(tmp_path / "copy", embedder) as copy:
        kept = copy.catalogue.clip(own.id)
        assert file_of(kept).read_bytes() == sounds.noise(0.4)
        assert tree(copy.folder) == {file_of(kept).name}
        assert file_of(kept).parent == tmp_path / "copy" / "uploads"


CRASHING = """
import io, os, signal, sys
from pathlib import Path
from earmark.index.ingest import uploads
from earmark.index.library import Library
from earmark.index.catalogue.metadata import Metadata
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder

folder, model, sound, when = sys.argv[1:]
library = Library.open(Path(folder), load_embedder(Path(model)), create=True)
die = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
staged = library.uploads.stage(io.BytesIO(Path(sound).read_bytes()))
embedding = library.embedder.embed_audio(staged.path)
if when == "staged":
    die()
if when == "placed":
    library.add = die
if when == "added":
    type(staged).commit = die
[added] = uploads.add(library, [uploads.Upload(staged, Metadata(title=when), embedding)])
staged.close()
if when == "forgotten":
    Path.unlink = die
    library.remove([added.clip.id])
"""


@pytest.mark.parametrize("when", ["staged", "placed", "added", "forgotten"])
def test_killed_between_file_and_catalogue_leaves_no_orphan(
    embedder: Embedder, model_folder: Path, tmp_path: Path, when: str
) -> None:
    (sound,) = made.write_sounds(tmp_path / "sounds", 1)
    folder = tmp_path / "library"
    status, said = made.run_program(CRASHING, folder, model_folder, sound, when)
    assert status == -signal.SIGKILL, said
    assert tree(folder) != set()
    with Library.open(folder, embedder) as library:
        kept = {file_of(clip).name for clip in library.catalogue.clips()}
        assert len(kept) == (when == "added")
        assert tree(folder) == kept


def test_what_another_process_has_under_way_is_left_alone(
    library: Library, embedder: Embedder
) -> None:
    own = staged(library, sounds.noise(0.3))
    Library.open(library.folder, embedder).close()
    assert own.path.is_file()
    placed = own.place()
    Library.open(library.folder, embedder).close()
    assert placed.is_file()
    own.close()
    assert tree(library.folder) == set()


def test_a_sound_that_was_put_there_by_hand_is_left_alone(
    library: Library, embedder: Embedder
) -> None:
    add(library, sounds.noise(0.3))
    (library.folder / "uploads" / "mine.wav").write_bytes(b"x")
    Library.open(library.folder, embedder).close()
    assert "mine.wav" in tree(library.folder)


def test_a_full_disk_is_said_and_leaves_room(embedder: Embedder) -> None:
    with (
        small_disk(1_500) as disk,
        Library.open(disk / "library", embedder, create=True) as library,
    ):
        added = add(library, sounds.noise(0.3))
        with pytest.raises(StorageError, match="uploads: No space left"):
            staged(library, bytes(3_000_000))
        assert tree(library.folder) == {file_of(added.clip).name}
        add(library, sounds.noise(0.3, seed=2))
