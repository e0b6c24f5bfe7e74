"""Writes tags into the files of each format, in place: by mutagen, and WAV by our own code.

Only what tells of the sound is written; the sound, pictures and all other tags stay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from earmark.model.audio.formats import HEAD, suffix_of
from earmark.model.audio.tag_blocks import id3_size
from earmark.model.core.errors import InputError
from earmark.model.file_tags.dialects import APE, Dialect, Id3, Mp4, Named, apply
from earmark.model.file_tags.fields import FieldChanges
from earmark.model.file_tags.riff import write_riff


def holds_tags(path: Path) -> bool:
    """Whether tags can be written into a file, by its first bytes. Raises OSError."""
    return _suffix(path) in _WRITERS


def write_file_tags(path: Path, changes: FieldChanges) -> None:
    """Write tags into a file, in place.

    Raises InputError where its format holds none, or its tags are too odd for it; OSError.
    """
    writer = _WRITERS.get(_suffix(path))
    if writer is None:
        raise InputError(f"{path.name}: its format holds no tags that can be written")
    try:
        writer(path, changes)
    except (InputError, OSError):
        raise
    except Exception as error:  # whatever wild bytes make a parser raise
        cause = error.__context__  # mutagen's, of a full disk
        if isinstance(cause, OSError):
            raise cause from error
        raise InputError(f"{path.name}: its tags are damaged, or of an unknown kind") from error


def _suffix(path: Path) -> str:
    """The usual suffix of a file's format: FLAC may stand behind an ID3 tag."""
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(id3_size(head))
        behind = suffix_of(file.read(HEAD))
    return behind if behind in (".flac", ".tta", ".aac") else suffix_of(head)


def _save(file: Any, dialect: Callable[[Any], Dialect], changes: FieldChanges) -> None:  # noqa: ANN401 (mutagen's)
    if file.tags is None:
        file.add_tags()
    apply(changes, dialect(file.tags))
    file.save()


def _write_id3(path: Path, changes: FieldChanges) -> None:
    from mutagen import id3

    try:
        tags = id3.ID3(path)
    except id3.ID3NoHeaderError:
        tags = id3.ID3()
    apply(changes, Id3(tags))
    tags.save(path)


def _write_aiff(path: Path, changes: FieldChanges) -> None:
    from mutagen.aiff import AIFF

    _save(AIFF(path), Id3, changes)


def _write_flac(path: Path, changes: FieldChanges) -> None:
    from mutagen.flac import FLAC

    _save(FLAC(path), Named, changes)


def _write_ogg(path: Path, changes: FieldChanges) -> None:
    from mutagen import File
    from mutagen.oggflac import OggFLAC
    from mutagen.oggopus import OggOpus
    from mutagen.oggspeex import OggSpeex
    from mutagen.oggvorbis import OggVorbis

    file = File(path, options=[OggVorbis, OggOpus, OggFLAC, OggSpeex])
    if file is None:
        raise InputError(f"{path.name}: an Ogg without Vorbis, Opus, FLAC or Speex")
    _save(file, Named, changes)


def _write_mp4(path: Path, changes: FieldChanges) -> None:
    from mutagen.mp4 import MP4

    _save(MP4(path), Mp4, changes)


def _write_ape(path: Path, changes: FieldChanges) -> None:
    from mutagen.apev2 import APENoHeaderError, APEv2

    try:
        tags = APEv2(path)
    except APENoHeaderError:
        tags = APEv2()
    apply(changes, Named(tags, APE))
    tags.save(path)


_WRITERS: Mapping[str, Callable[[Path, FieldChanges], None]] = {
    ".wav": write_riff,
    ".aiff": _write_aiff,
    ".mp3": _write_id3,
    ".aac": _write_id3,
    ".tta": _write_id3,
    ".flac": _write_flac,
    ".ogg": _write_ogg,
    ".m4a": _write_mp4,
    ".wv": _write_ape,
    ".ape": _write_ape,
    ".mpc": _write_ape,
}
