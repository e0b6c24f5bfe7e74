"""What people leave empty is read from the sounds' files, and never over what people say."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from mutagen.flac import FLAC

from earmark.index.catalogue.embedded_sound import SourceFile, metadata_in_file
from earmark.index.catalogue.metadata import MAX_CHARACTERS, MAX_TAGS, Metadata
from earmark.index.catalogue.records import Clip
from earmark.index.ingest import bulk, local, uploads
from earmark.index.ingest.uploads import Upload
from earmark.index.library import Library
from earmark.model.audio import file_metadata
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.core.errors import ManifestError
from earmark.model.embedder import Embedder
from earmark.model.inference.decode_pool import DecodePool
from tests.index import made
from tests.model.audio import tagged

IN_FILE = Metadata(
    title="Rain on a métal roof",
    tags=("Field-Recording", "Rain"),
    author="Ann Lee",
    licence="CC-BY-4.0",
    description="Behind the barn",
    recorded="2021-05-03",
)


@pytest.fixture(scope="module")
def readers(embedder: Embedder) -> Iterator[DecodePool]:
    with DecodePool(embedder.front_end, 1) as readers:
        yield readers


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A sound whose file says what IN_FILE says."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    path = tagged.tag(tagged.encode(folder / "a.flac", seconds=0.5))
    return path.rename(folder / "my_rain-01.flac")


def add(library: Library, readers: DecodePool, path: Path) -> Clip:
    """The clip of a path's only sound, added now."""
    engine = partial(local.embed, processes=1, readers=readers)
    report = bulk.add(library, [path], engine)
    assert (len(report.added), report.failed) == (1, {})
    return library.catalogue.clip(report.added[0])


def retag(path: Path, **fields: str) -> None:
    file = FLAC(path)
    file.update(fields)
    file.save()
    os.utime(path, ns=(1, 1))


def test_a_file_says_what_nobody_else_does(
    library: Library, readers: DecodePool, sound: Path
) -> None:
    assert add(library, readers, sound.parent).metadata == IN_FILE
    library.refresh()
    assert library.search("behind the barn").hits


def test_a_manifest_is_believed_first(library: Library, readers: DecodePool, sound: Path) -> None:
    manifest = sound.with_name("manifest.csv")
    manifest.write_text(f"path,tags,title,recorded\n{sound.name},hail,Hail,2020-01\n")
    clip = add(library, readers, manifest)
    assert (clip.title, clip.tags, clip.recorded) == ("Hail", ("hail",), "2020-01")
    assert (clip.author, clip.licence) == ("Ann Lee", "CC-BY-4.0")


def test_what_the_catalogue_holds_outlives_a_changed_file(
    library: Library, readers: DecodePool, sound: Path
) -> None:
    before = add(library, readers, sound)
    library.edit(before.id, {"title": "My rain", "tags": ("hail",), "author": ""})
    retag(sound, title="Another", genre="Other rain", artist="Bob", description="Elsewhere")
    clip = add(library, readers, sound)
    assert clip.id == before.id
    assert (clip.title, clip.tags, clip.description) == ("My rain", ("hail",), "Behind the barn")
    assert clip.author == "Bob"  # was empty


def test_a_title_made_of_the_files_name_is_nobodys(
    library: Library, readers: DecodePool, sound: Path
) -> None:
    file = FLAC(sound)
    file.delete()
    file.save()
    assert add(library, readers, sound).metadata == Metadata(title="my rain 01")
    retag(sound, title="Rain at last")
    assert add(library, readers, sound).title == "Rain at last"


def test_another_library_is_believed_first(
    library: Library, embedder: Embedder, readers: DecodePool, sound: Path, tmp_path: Path
) -> None:
    clip = add(library, readers, sound)
    library.edit(clip.id, {"title": "My rain", "licence": ""})
    with Library.open(tmp_path / "next", embedder, create=True) as other:
        moved = add(other, readers, library.folder)
    assert (moved.title, moved.licence) == ("My rain", "CC-BY-4.0")


@pytest.mark.parametrize(
    ("said", "name", "in_file", "title"),
    [
        (Metadata(title="Mine"), "their_name.flac", "Theirs", "Mine"),
        (Metadata(), "their_name.flac", "Theirs", "Theirs"),
        (Metadata(), "their_name.flac", "", "their name"),
        (Metadata(), "", "", "Untitled"),
    ],
)
def test_titles_of_uploads(
    library: Library, said: Metadata, name: str, in_file: str, title: str
) -> None:
    file = made.write_sounds(library.folder, 1)[0]
    sound = made.embed_file(library.embedder, SourceFile(file))
    embedding = replace(sound.embedding, metadata=FileMetadata(title=in_file, author="Ann"))
    staged = library.uploads.stage(io.BytesIO(file.read_bytes()))
    try:
        [added] = uploads.add(library, [Upload(staged, said, embedding, name)])
    finally:
        staged.close()
    assert (added.clip.title, added.clip.author) == (title, "Ann")


def test_files_keep_to_the_limits_of_the_catalogue() -> None:
    assert file_metadata.MAX_TEXT == MAX_CHARACTERS["title"] == MAX_CHARACTERS["author"]
    assert MAX_CHARACTERS["licence"] == file_metadata.MAX_TEXT
    assert MAX_CHARACTERS["description"] == file_metadata.MAX_DESCRIPTION
    assert (MAX_CHARACTERS["tags"], MAX_TAGS) == (file_metadata.MAX_TAG, file_metadata.MAX_TAGS)
    grows = "\u0958"  # two characters in NFC
    found = metadata_in_file(
        FileMetadata(grows * 1_000, "a\0b\u202e", (grows * 200, "a b"), grows * 20_000, "", "x")
    )
    assert found.problem() is None
    assert (len(found.title), found.author, found.tags) == (1_000, "a b", ("a-b",))
    assert (len(found.description), found.recorded) == (20_000, "")


@pytest.mark.parametrize(
    "date",
    [
        *("2021", "2021-05", "2021-05-03", "2021-05-03T06:30", "2021-05-03T06:30:01.25Z"),
        *("2021-05-03T06:30:01+02:00", ""),
    ],
)
def test_dates_that_are_taken(date: str) -> None:
    assert Metadata(recorded=date).problem() is None


@pytest.mark.parametrize(
    "date", ["0000", "21", "2021-13", "2021-02-30", "2021-5-3", "3.5.2021", "2021-05-03 06:30",
             "2021-05T06:30", "20210503", "٢٠٢١", "2021-05-03T25:00", "x"]
)  # fmt: skip
def test_dates_that_are_refused(library: Library, sound: Path, date: str) -> None:
    problem = Metadata(recorded=date).problem()
    assert problem is not None
    assert problem.startswith("recorded: expected a date such as 2026, ")
    assert problem.endswith(f"got {date!r}")
    manifest = sound.with_name("manifest.csv")
    manifest.write_text(f"path,tags,recorded\n{sound.name},hail,{date}\n")
    with pytest.raises(ManifestError, match="recorded: expected a date"):
        bulk.add(library, [manifest])
