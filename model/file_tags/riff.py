"""Tags in WAV: the texts of `LIST INFO`, a description and date in `bext` (Broadcast Wave), and an
ID3 chunk, which has room for all.

The file is written anew, chunk by chunk: all others, and the sound, are copied as they are.
"""

from __future__ import annotations

import io
import shutil
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from earmark.model.audio.file_metadata import FileMetadata, licence_of
from earmark.model.audio.tag_blocks import INFO, MAX_STEPS, chunks, decoded
from earmark.model.core.errors import InputError
from earmark.model.file_tags.dialects import Id3, apply
from earmark.model.file_tags.fields import FieldChanges

MAX_SIZE = 2**32 - 1 - 8  # bytes that the head of a file can tell
MAX_TAGS = 16 << 20  # bytes of a chunk of tags
NAMES = {
    "title": b"INAM",
    "author": b"IART",
    "description": b"ICMT",
    "licence": b"ICOP",
    "recorded": b"ICRD",
    "source": b"ISRC",
    "keywords": b"IKEY",
}
BEXT_SIZE, BEXT_TEXT = 602, 256  # bytes; of its description
BEXT_DATE = slice(320, 338)  # the day, then the time of day


@dataclass
class _Chunk:
    """A chunk of a file: where it starts, with its head, and ends; `data`: what it gets instead."""

    name: bytes
    start: int
    end: int
    data: bytes | None = None


def write_riff(path: Path, changes: FieldChanges) -> None:
    """Write tags into a WAV file, in place. Raises InputError for one whose head is damaged, or
    that is too large; OSError."""
    whole = path.with_name(path.name + ".riff")
    try:
        whole.touch(0o600)  # nobody else's, until it has its permissions
        with path.open("rb") as file, whole.open("wb") as out:
            _rewrite(file, out, changes, path.name)
        whole.replace(path)
    finally:
        whole.unlink(missing_ok=True)


def _rewrite(file: BinaryIO, out: BinaryIO, changes: FieldChanges, name: str) -> None:
    parts = _parts(file, name)
    end = parts[-1].end
    _change(file, parts, changes)
    out.write(b"RIFF\0\0\0\0WAVE")
    for part in parts:
        if part.data is None:
            file.seek(part.start)
            _copy(file, out, part.end - part.start)
        elif part.data:
            out.write(part.name + struct.pack("<I", len(part.data)) + part.data)
            out.write(b"\0" * (len(part.data) % 2))
    size = out.tell() - 8
    if size > MAX_SIZE:
        raise InputError(f"{name}: expected room for its tags, but WAV ends at 4 GiB")
    file.seek(end)  # what stands behind belongs to no chunk
    shutil.copyfileobj(file, out)
    out.seek(4)
    out.write(struct.pack("<I", size))


def _copy(file: BinaryIO, out: BinaryIO, count: int) -> None:
    while count:
        data = file.read(min(count, 1 << 20))
        if not data:
            raise InputError("its chunks are longer than the file")
        out.write(data)
        count -= len(data)


def _parts(file: BinaryIO, name: str) -> list[_Chunk]:
    """The chunks of a file, without its head. Raises InputError where they do not fit it."""
    total = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] != b"RIFF":  # RF64, RIFX
        kind = head[:4].decode("latin-1")
        raise InputError(f"{name}: expected a WAV of RIFF, got {kind!r}: no tags are written there")
    told = 8 + int.from_bytes(head[4:8], "little")
    parts: list[_Chunk] = []
    for chunk, start, size in chunks(file, 12, "little"):
        if parts:
            parts[-1].end = start - 8
            if start - 8 >= told:  # behind the end
                break
        if start + size > total or (chunk == b"data" and not size):
            raise InputError(f"{name}: the size of its chunk {chunk!r} is wrong")
        parts.append(_Chunk(chunk, start - 8, start + size))
    if len(parts) == MAX_STEPS:
        raise InputError(f"{name}: expected less than {MAX_STEPS:,} chunks")
    if not {b"fmt ", b"data"} <= {part.name for part in parts}:
        raise InputError(f"{name}: expected a WAV with its format and sound")
    file.seek(parts[-1].end)
    if parts[-1].end % 2 and file.read(1) == b"\0":
        parts[-1].end += 1
    return parts


def _change(file: BinaryIO, parts: list[_Chunk], changes: FieldChanges) -> None:
    """Give the chunks of tags their new data; those that are missing come before the sound."""
    infos = [part for part in parts if part.name == b"LIST" and _list_kind(file, part) == b"INFO"]
    texts = [item for part in infos for item in _info(_data(file, part)[4:])]
    tags = [part for part in parts if part.name in (b"id3 ", b"ID3 ")]
    bext = [part for part in parts if part.name == b"bext"]
    new = {
        b"LIST": (infos, _new_info(texts, changes)),
        b"bext": (bext, _new_bext(_data(file, bext[0]) if bext else b"", changes.new)),
        b"id3 ": (tags, _new_id3(_data(file, tags[0]) if tags else b"", changes)),
    }
    for chunk, (old, data) in new.items():
        if not old and data:
            place = next(number for number, part in enumerate(parts) if part.name == b"data")
            parts.insert(place, _Chunk(chunk, 0, 0, data))
        elif old:
            old[0].data = data
            for more in old[1:]:
                if chunk == b"LIST":  # its texts stand in the first one now
                    more.data = b""


def _list_kind(file: BinaryIO, part: _Chunk) -> bytes:
    file.seek(part.start + 8)
    return file.read(4)


def _data(file: BinaryIO, part: _Chunk) -> bytes:
    """A chunk of tags. Raises InputError for one that is too large to be written anew."""
    file.seek(part.start + 4)
    (size,) = struct.unpack("<I", file.read(4))
    if size > MAX_TAGS:
        raise InputError(f"its chunk {part.name!r} is larger than {MAX_TAGS >> 20} MiB")
    return file.read(size)


def _info(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    for count, (name, start, size) in enumerate(chunks(io.BytesIO(data), 0, "little"), 1):
        if count == MAX_STEPS:
            raise InputError(f"expected less than {MAX_STEPS:,} texts in a LIST")
        yield name, data[start : start + size]


class _Info:
    """The texts of `LIST INFO`."""

    def __init__(self, texts: list[tuple[bytes, bytes]]) -> None:
        self.texts = texts

    def drop(self, kind: str) -> None:
        """Take out all texts of a kind."""
        self.texts = [
            (name, data)
            for name, data in self.texts
            if INFO.get(name) != kind
            and not (kind == "licence" and name == b"ICOP" and licence_of(decoded(data)))
        ]

    def put(self, kind: str, text: str) -> None:
        """Put in the text of a kind. A licence without an identifier would count as a notice."""
        if kind != "licence" or licence_of(text):
            self.texts.append((NAMES[kind], text.encode() + b"\0"))

    def keywords(self) -> Sequence[str]:
        """The texts of keywords that are there."""
        return [decoded(data) for name, data in self.texts if INFO.get(name) == "keywords"]


def _new_info(texts: list[tuple[bytes, bytes]], changes: FieldChanges) -> bytes:
    info = _Info(texts)
    apply(changes, info)
    body = b"".join(
        name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        for name, data in info.texts
    )
    return b"INFO" + body if body else b""


def _new_bext(data: bytes, new: FileMetadata) -> bytes:
    """The chunk of Broadcast Wave; a new one only for a description that it has room for."""
    text = new.description.encode()
    fits = new.description.isascii() and len(text) <= BEXT_TEXT
    if not data and not (text and fits):
        return b""
    chunk = bytearray(data.ljust(BEXT_SIZE, b"\0"))
    if text:  # none rather than an older one, or half of it
        chunk[:BEXT_TEXT] = (text if fits else b"").ljust(BEXT_TEXT, b"\0")
    if new.recorded:
        day, _, time = new.recorded.partition("T")
        both = (day if len(day) == 10 else "").ljust(10, "\0") + time[:8]
        chunk[BEXT_DATE] = both.encode().ljust(18, b"\0")
    return bytes(chunk)


def _new_id3(data: bytes, changes: FieldChanges) -> bytes:
    from mutagen import id3

    tags = id3.ID3(io.BytesIO(data)) if data else id3.ID3()
    apply(changes, Id3(tags))
    out = io.BytesIO()
    tags.save(out, padding=lambda _: 0)
    return out.getvalue()
