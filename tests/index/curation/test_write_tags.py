"""Tags are written into the files of a library: the old file or the new one, and nothing else."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.catalogue.records import Clip
from earmark.index.cli import write_tags as cli
from earmark.index.curation.write_tags import Orders, WriteReport, write_tags
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.audio.file_metadata import FileMetadata, read_file_metadata
from earmark.model.file_tags import fields
from earmark.model.inference.decode_pool import DecodePool
from tests.index import made
from tests.model.audio import tagged


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A folder of three sounds: WAV, FLAC, and CAF, which holds no tags."""
    folder = tmp_path / "sounds"
    folder.mkdir()
    for name in ("a.wav", "a.flac", "a.caf"):
        tagged.encode(folder / name)
    return folder


@pytest.fixture
def filled(library: Library, sounds: Path) -> Library:
    """A library with these sounds, that says something of each."""
    library.add(
        [made.embed_file(library.embedder, SourceFile(path)) for path in sorted(sounds.iterdir())],
        {},
    )
    with library.catalogue.write() as writer:
        for clip in library.catalogue.clips():
            writer.edit(clip.id, {"title": f"Title {clip.path[-3:]}", "tags": ("rain", "roof")})
    return library


def clip_of(library: Library, path: Path) -> Clip:
    return next(clip for clip in library.catalogue.clips() if clip.path == str(path))


@pytest.fixture(scope="module")
def processes() -> Iterator[DecodePool]:
    """One that decodes, for all tests."""
    with DecodePool(None, 1) as pool:
        yield pool


Write = Callable[..., WriteReport]


@pytest.fixture
def write(filled: Library, processes: DecodePool) -> Write:
    """Writes the tags of that library."""
    return lambda **orders: write_tags(filled.catalogue, Orders(**orders), processes)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_files_say_what_the_library_says_and_stay_known(
    filled: Library, sounds: Path, write: Write
) -> None:
    wav, flac, caf = sounds / "a.wav", sounds / "a.flac", sounds / "a.caf"
    wav.chmod(0o640)
    before = wav.read_bytes()
    planned = write(dry_run=True)
    assert wav.read_bytes() == before
    report = write()
    assert report == planned
    assert report.written == {
        str(wav): {"title": "Title wav", "tags": ["rain", "roof"]},
        str(flac): {"title": "Title lac", "tags": ["rain", "roof"]},
    }
    assert report.skipped == {str(caf): "a.caf: its format holds no tags that can be written"}
    assert read_file_metadata(wav).title == "Title wav"
    assert read_file_metadata(flac).tags == ("rain", "roof")
    assert wav.stat().st_mode & 0o777 == 0o640
    assert left(sounds) == ["a.caf", "a.flac", "a.wav"]
    again = bulk.add(filled, [sounds])
    assert (again.unchanged, again.added) == (3, [])
    assert write().unchanged == 2


def test_copies_leave_the_files_alone(sounds: Path, tmp_path: Path, write: Write) -> None:
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sounds.iterdir()}
    os.link(sounds / "a.wav", tmp_path / "other name.wav")
    copies = tmp_path / "copies"
    assert len(write(copies=copies, dry_run=True).written) == 2
    assert not copies.exists()
    write(copies=copies)
    assert read_file_metadata(copies / "a.wav").title == "Title wav"
    assert left(copies) == ["a.flac", "a.wav"]
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in sounds.iterdir()
    }
    again = write(copies=copies)
    assert set(again.failed) == {str(sounds / "a.wav"), str(sounds / "a.flac")}


def test_what_a_file_says_stays_unless_it_is_to_be_overwritten(
    filled: Library, sounds: Path, write: Write
) -> None:
    write()
    wav = sounds / "a.wav"
    with filled.catalogue.write() as writer:
        writer.edit(clip_of(filled, wav).id, {"title": "Another", "tags": ("rain", "barn")})
    report = write()
    assert report.kept == {str(wav): ["title"]}
    assert report.written == {str(wav): {"tags": ["barn"]}}
    assert read_file_metadata(wav).tags == ("rain", "roof", "barn")
    write(overwrite=True)
    found = read_file_metadata(wav)
    assert (found.title, found.tags) == ("Another", ("rain", "barn"))


def test_files_that_must_not_be_replaced_are_left_alone(
    sounds: Path, tmp_path: Path, write: Write
) -> None:
    wav, flac, caf = sounds / "a.wav", sounds / "a.flac", sounds / "a.caf"
    os.link(wav, tmp_path / "other name.wav")
    flac.chmod(0o444)
    caf.unlink()
    assert write().failed == {
        str(wav): "a.wav: has 2 names (hard links), and one alone would be written: "
        "--copies writes elsewhere",
        str(flac): "a.flac: may only be read",
        str(caf): "a.caf: No such file or directory",
    }
    (tmp_path / "other name.wav").unlink()
    with wav.open("ab") as file:
        file.write(b"more")
    flac.rename(tmp_path / "elsewhere.flac")
    flac.symlink_to(tmp_path / "elsewhere.flac")
    report = write()
    assert report.failed[str(wav)] == "a.wav: changed since it was added: add it again"
    assert report.failed[str(flac)] == "a.flac: a link has taken its place"
    assert report.written == {}


def test_the_command_shows_what_it_would_do(
    filled: Library, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_commands(parser.add_subparsers())
    command = ["write-tags", "--dry-run", "--library", str(filled.folder)]
    options = parser.parse_args(command)
    assert options.run(options) == 0
    out, err = capsys.readouterr()
    assert f"{sounds / 'a.wav'}\n  title: Title wav\n  tags: rain roof\n" in out
    assert out.endswith("would write 2, unchanged 0, skipped 1, failed 0\n")
    assert f"skipped: {sounds / 'a.caf'}: a.caf: its format holds no tags" in err
    (sounds / "a.flac").unlink()
    options = parser.parse_args([*command, "--json"])
    assert options.run(options) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == {str(sounds / "a.flac"): "a.flac: No such file or directory"}


def test_only_unfinished_files_of_old_runs_are_removed(sounds: Path, write: Write) -> None:
    names = (".earmark-0123456789ab.wav", ".earmark-0123456789ab.wav.riff", ".earmark-notes.txt")
    for name in (*names, ".earmark-ba9876543210.wav"):
        (sounds / name).touch()
    for name in names:
        os.utime(sounds / name, (0, 0))
    write()
    hidden = [name for name in left(sounds) if name.startswith(".")]
    assert hidden == [".earmark-ba9876543210.wav", ".earmark-notes.txt"]


@pytest.mark.slow
def test_tags_that_unfold_without_end_cost_their_own_file(
    filled: Library, sounds: Path, processes: DecodePool
) -> None:
    """A compressed frame of ID3 that is a gigabyte and a half: the process that writes is spared,
    and so are the other files."""
    path = sounds / "a.flac"
    block = zlib.compressobj(1)
    piece = block.compress(bytes(16 << 20)) + block.flush(zlib.Z_FULL_FLUSH)
    again = block.compress(bytes(16 << 20)) + block.flush(zlib.Z_FULL_FLUSH)
    packed = piece + again * 95 + b"\x03\0" + bytes(4)
    frame = b"TXXX" + synchsafe(4 + len(packed)) + b"\0\x09" + synchsafe(0x0FFFFFFF) + packed
    tag = b"ID3\x04\0\0" + synchsafe(len(frame)) + frame
    (sounds / "a.wav").write_bytes(tagged.wav(tagged.chunk(b"id3 ", tag)))
    bulk.add(filled, [sounds])
    report = write_tags(filled.catalogue, Orders(), processes)
    assert "a.wav: " in report.failed[str(sounds / "a.wav")]
    assert str(path) in report.written


def synchsafe(number: int) -> bytes:
    """A number as ID3 has it: seven bits in each of four bytes."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


@pytest.mark.parametrize("what", ["sound", "tags"])
def test_a_copy_that_went_wrong_takes_no_place(
    what: str, sounds: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would be another sound, or would not read back, is refused."""

    def spoil(_: DecodePool, path: Path, _name: str, changed: fields.FieldChanges) -> FileMetadata:
        if changed and what == "sound":
            shutil.copy(tagged.encode(sounds.parent / "a.wav", seconds=0.3), path)
        return FileMetadata()

    monkeypatch.setattr(DecodePool, "tag", spoil)
    if what == "sound":
        monkeypatch.setattr(fields.FieldChanges, "is_in", lambda *_: True)
    before = (sounds / "a.wav").read_bytes()
    failed = write().failed[str(sounds / "a.wav")]
    assert ("sound would not stay" if what == "sound" else "not read back") in failed
    assert (sounds / "a.wav").read_bytes() == before
    assert left(sounds) == ["a.caf", "a.flac", "a.wav"]


@pytest.mark.parametrize("what", ["edited", "removed"])
def test_what_has_changed_in_the_library_meanwhile_is_not_written(
    what: str, filled: Library, sounds: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    wav, tag = sounds / "a.wav", DecodePool.tag
    before, clip = wav.read_bytes(), clip_of(filled, wav)

    def tag_meanwhile(
        pool: DecodePool, path: Path, name: str, changed: fields.FieldChanges
    ) -> FileMetadata:
        if changed and name == wav.name and what == "edited":
            filled.edit(clip.id, {"title": "Another"})
        elif changed and name == wav.name:
            filled.remove([clip.id])
        return tag(pool, path, name, changed)

    monkeypatch.setattr(DecodePool, "tag", tag_meanwhile)
    assert write().failed == {str(wav): "a.wav: the library says something else meanwhile"}
    assert wav.read_bytes() == before


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_the_rename_a_file_is_the_old_or_the_new_one(
    moment: str, filled: Library, sounds: Path, write: Write
) -> None:
    wav = sounds / "a.wav"
    old = wav.read_bytes()
    script = f"""
import os, signal, sys
from pathlib import Path
from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.curation.write_tags import Orders, write_tags
rename = Path.replace
def killed(self, target):
    if {moment == "after"}:
        rename(self, target)
    if Path(target).name == "a.wav":
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target) if {moment == "before"} else None
Path.replace = killed
write_tags(Catalogue.open(Path(sys.argv[1])), Orders())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, filled.folder], check=False, env=made.environment()
    )
    assert done.returncode == -signal.SIGKILL
    assert (wav.read_bytes() == old) == (moment == "before")
    clip = clip_of(filled, wav)
    again = bulk.add(filled, [sounds])
    after = clip_of(filled, wav)
    assert again.failed == {}
    assert (after.id, after.title, after.sha256) == (clip.id, clip.title, clip.sha256)
    write()
    assert read_file_metadata(wav).title == "Title wav"
