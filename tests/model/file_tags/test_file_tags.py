"""Tags are written into one real file of each format: others read them, the sound stays."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import av
import mutagen
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mutagen.id3 import ID3
from wavinfo import WavInfoReader

from earmark.model.audio.decode import decode
from earmark.model.audio.file_metadata import FileMetadata, read_file_metadata
from earmark.model.audio.tag_blocks import MAX_STEPS
from earmark.model.core.errors import InputError
from earmark.model.file_tags.containers import holds_tags, write_file_tags
from earmark.model.file_tags.fields import changes
from earmark.model.file_tags.riff import MAX_TAGS
from tests.model.audio import tagged

NEW = FileMetadata(
    title="Thunder, far away — ☂",
    author="Bo Ek",
    tags=("thunder", "storm"),
    description="Two strikes,\nthen rain",
    licence="CC-BY-SA-4.0",
    recorded="2024-07-01T18:30:05",
    source="Garden tapes",
)
WRITTEN = [name for name in tagged.KINDS if name not in ("a.caf", "a.wma")]


def write(path: Path, wanted: FileMetadata = NEW, *, overwrite: bool = False) -> FileMetadata:
    """Write what is wanted; returns what the file says then."""
    before = read_file_metadata(path)
    changed = changes(before, wanted, overwrite=overwrite)
    write_file_tags(path, changed)
    after = read_file_metadata(path)
    assert changed.is_in(before, after)
    assert not changes(after, wanted, overwrite=False).new.tags
    return after


def read_by_ffmpeg(path: Path) -> str:
    """All texts that FFmpeg, as ffprobe does, finds in a file."""
    with av.open(str(path)) as container:
        found = dict(container.metadata) | dict(container.streams.audio[0].metadata)
    return "\n".join(found.values())


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written_reads_back(name: str, tmp_path: Path) -> None:
    path = tagged.encode(tmp_path / name)
    samples = decode(path, 48_000)
    assert holds_tags(path)
    assert write(path) == NEW
    assert (decode(path, 48_000) == samples).all()
    # FFmpeg reads no ID3 in TTA; mutagen takes an AAC with a tag for an MP3.
    tags = ID3(path) if name == "a.aac" else mutagen.File(path).tags
    found = str(tags) if name == "a.tta" else read_by_ffmpeg(path)
    assert NEW.title in str(tags)
    for text in (NEW.title, NEW.author, "thunder; storm", NEW.licence):
        assert text in found


@pytest.mark.parametrize("name", WRITTEN)
def test_what_was_there_is_kept_unless_it_is_to_be_overwritten(name: str, tmp_path: Path) -> None:
    path = tagged.tag(tagged.encode(tmp_path / name))
    samples, says = decode(path, 48_000), tagged.SAYS
    kept = write(path)
    assert kept == replace(says, tags=(*says.tags, *NEW.tags), source=NEW.source)
    assert write(path, overwrite=True) == NEW
    assert (decode(path, 48_000) == samples).all()
    if path.suffix in (".mp3", ".m4a"):
        assert tagged.PICTURE in path.read_bytes()


def test_chunks_of_wav_that_are_no_tags_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    marks = tagged.chunk(b"cue ", struct.pack("<I", 0)) + tagged.chunk(b"odd ", b"abc")
    path.write_bytes(
        tagged.wav(
            tagged.bext(b"On the roof", b"ZOOM F8", b"2021-05-03", b"06:30:00"),
            tagged.info(INAM=b"Roof", ISFT=b"a program"),
            marks,
            tagged.ixml("<SCENE>4</SCENE>"),
        )
        + b"junk"
    )
    says = write(path, replace(NEW, recorded=""))
    assert (says.title, says.description) == ("Roof", "On the roof")
    data = path.read_bytes()
    assert marks in data
    assert b"a program" in data
    assert b"<SCENE>4</SCENE>" in data
    assert data.endswith(b"junk")
    wav = WavInfoReader(path)
    assert (wav.info.title, wav.info.artist, wav.info.source) == ("Roof", NEW.author, NEW.source)
    assert wav.bext.description.startswith("On the roof")
    assert wav.bext.originator_time.startswith("06:30:00")
    assert write(path, overwrite=True) == NEW
    wav = WavInfoReader(path, info_encoding="utf-8")
    assert (wav.info.title, wav.bext.originator_date) == (NEW.title, "2024-07-01")
    assert wav.bext.description.startswith("Two strikes")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3"])
def test_texts_that_read_back_otherwise_are_no_failure(name: str, tmp_path: Path) -> None:
    """A licence counts as its identifier, and a few words and codes as nothing."""
    path = tagged.encode(tmp_path / name)
    wanted = FileMetadata("Gong", "Unknown Artist", licence="CC BY 4.0", source="GB-AYE-68-00011")
    assert write(path, wanted) == FileMetadata("Gong", licence="CC-BY-4.0")
    assert not changes(read_file_metadata(path), wanted, overwrite=True)


def test_a_short_ape_tag_is_no_id3v1(tmp_path: Path) -> None:
    """Its name, APETAGEX, begins 131 bytes before the end."""
    path = tagged.encode(tmp_path / "a.wv")
    wanted = FileMetadata(recorded="2024-05-06T07:08:09+02:00")
    assert write(path, wanted) == wanted
    assert path.read_bytes()[-131:-123] == b"APETAGEX"


@pytest.mark.parametrize(
    "data",
    [
        tagged.wav(*[tagged.chunk(b"odd ", b"")] * MAX_STEPS, before=False),
        tagged.wav(tagged.info(**{f"I{number:03}": b"" for number in range(MAX_STEPS)})),
        tagged.wav(tagged.chunk(b"id3 ", bytes(MAX_TAGS + 2))),
    ],
    ids=["chunks", "texts", "size"],
)
def test_what_is_not_read_whole_is_not_written_anew(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"expected less|larger than 16 MiB"):
        write_file_tags(path, changes(FileMetadata(), NEW, overwrite=False))
    assert path.read_bytes() == data


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.caf", b"caff\0\1\0\0" + bytes(60)),
        ("a.wav", b"RF64" + tagged.wav()[4:]),
        ("cut.wav", tagged.wav()[:-100]),
        ("a.flac", b"fLaC" + bytes(80)),
        ("a.ogg", b"OggS" + bytes(80)),
        ("a.m4a", b"\0\0\0\x08ftyp" + bytes(80)),
    ],
)
def test_what_holds_no_tags_is_refused(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError, match=name):
        write_file_tags(path, changes(FileMetadata(), NEW, overwrite=False))
    assert path.read_bytes() == data


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> pytest.TempPathFactory:
    """Makes a folder for each example."""
    return tmp_path_factory


TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=300)


@settings(max_examples=15, deadline=None)
@given(
    title=TEXTS,
    description=TEXTS,
    tags=st.lists(TEXTS.filter(lambda text: len(text) < 50), max_size=4),
    name=st.sampled_from(["a.wav", "a.flac", "a.mp3", "a.m4a"]),
)
def test_any_text_reads_back(
    title: str, description: str, tags: list[str], name: str, folders: pytest.TempPathFactory
) -> None:
    path = tagged.encode(folders.mktemp("tags") / name, seconds=0.1)
    write(path, FileMetadata(title=title, description=description, tags=tuple(tags)))
