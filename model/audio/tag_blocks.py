"""The metadata in a sound's file as it stands there: texts, and what each of them tells.

`blocks` finds the parts of the file that hold metadata and reads those alone, each up to MAX_BLOCK
bytes; sound is skipped, and so are pictures where the container lets them be. A parser makes texts
of a block in memory: mutagen those of ID3, APEv2 and ASF, wavinfo those of `bext` and iXML. Files
are untrusted: finding and parsing may raise anything (see `model.audio.file_metadata`).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from earmark.model.audio.formats import HEAD, suffix_of

if TYPE_CHECKING:
    from wavinfo import WavInfoReader

Kind = Literal[
    "title",
    "author",
    "originator",
    "genre",
    "keywords",
    "description",
    "licence",
    "copyright",
    "recorded",
    "source",
]
Texts = Iterator[tuple[Kind, str]]
Block = tuple[Callable[[bytes], Texts], bytes]

MAX_BLOCK, MAX_XML = 16 << 20, 1 << 20  # bytes
MAX_TEXT = 100_000  # bytes of one text that are read: over 20,000 characters
MAX_STEPS = 4_000  # chunks, atoms or pages on the way to a block

NAMES: dict[str, Kind] = {  # of Vorbis comments, APEv2, ASF, CAF and free fields, in small letters
    "title": "title",
    "artist": "author",
    "author": "author",
    "genre": "genre",
    "keyword": "keywords",
    "keywords": "keywords",
    "comment": "description",
    "comments": "description",
    "description": "description",
    "licence": "licence",
    "license": "licence",
    "copyright": "copyright",
    "date": "recorded",
    "year": "recorded",
    "record date": "recorded",
    "recorded date": "recorded",
    "recording date": "recorded",
    "source": "source",
}
INFO: dict[bytes, Kind] = {  # of RIFF
    b"INAM": "title",
    b"IART": "author",
    b"IGNR": "genre",
    b"IKEY": "keywords",
    b"ICMT": "description",
    b"ISBJ": "description",
    b"ICOP": "copyright",
    b"ICRD": "recorded",
    b"ISRC": "source",
}
IXML: dict[str, Kind] = {  # of recorders, and of what sound librarians write
    "NOTE": "description",
    "BEXT/BWF_DESCRIPTION": "description",
    "BEXT/BWF_ORIGINATION_DATE": "recorded",
    "ASWG/songTitle": "title",
    "ASWG/fxName": "title",
    "ASWG/artist": "author",
    "ASWG/notes": "description",
    "ASWG/genre": "genre",
    "ASWG/category": "genre",
    "ASWG/subCategory": "genre",
    "ASWG/usageRights": "copyright",
    "USER/TRACKTITLE": "title",
    "USER/FXNAME": "title",
    "USER/ARTIST": "author",
    "USER/DESCRIPTION": "description",
    "USER/KEYWORDS": "keywords",
    "USER/CATEGORY": "genre",
    "USER/SUBCATEGORY": "genre",
}
AIFF: dict[bytes, Kind] = {
    b"NAME": "title",
    b"AUTH": "author",
    b"ANNO": "description",
    b"(c) ": "copyright",
}
ITUNES: dict[bytes, Kind] = {
    b"\xa9nam": "title",
    b"\xa9ART": "author",
    b"\xa9gen": "genre",
    b"catg": "genre",
    b"keyw": "keywords",
    b"\xa9cmt": "description",
    b"desc": "description",
    b"cprt": "copyright",
    b"\xa9day": "recorded",
}
ID3: dict[str, Kind] = {
    "TIT2": "title",
    "TPE1": "author",
    "TCOP": "copyright",
    "WCOP": "copyright",
    "USER": "copyright",
    "TDRC": "recorded",
}
ID3_FRAMES = frozenset(  # with those of older versions, which mutagen turns into the newest
    "TIT2 TT2 TPE1 TP1 TCON TCO COMM COM TCOP TCR WCOP WCP USER TXXX TXX "
    "TDRC TYER TYE TDAT TDA TIME TIM".split()
)
COMMENTS = frozenset(  # what ID3 calls comments that are none of a program
    ("", "comment", "comments", "description", "id3v1 comment")
)
OGG = {b"\x01vorbis": 7, b"OpusHead": 8, b"\x7fFLAC": 4, b"Speex   ": 0}  # → bytes before comments


def blocks(file: BinaryIO) -> Iterator[Block]:
    """The blocks of metadata in a file, each with its parser; the first tells most surely."""
    start = id3_size(_bytes(file, 0, 10))
    if find := _FINDERS.get(suffix_of(_bytes(file, start, HEAD))):
        yield from find(file, start)
    if start:
        yield _id3, _bytes(file, 0, start)
    if find is None:
        yield from _tail_blocks(file, start)


def decoded(data: bytes) -> str:
    """Text of bytes that should be UTF-8, and else are Windows-1252, up to a zero byte."""
    data = data[:MAX_TEXT].partition(b"\0")[0]
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.end == len(data) > MAX_TEXT // 2:  # cut inside a character
            return data[: error.start].decode("utf-8-sig")
        return data.decode("cp1252", errors="replace")


def _bytes(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(min(size, MAX_BLOCK))


def _text(kind: Kind, data: bytes) -> Texts:
    yield kind, decoded(data)


# RIFF, AIFF, CAF


def chunks(
    file: BinaryIO, start: int, order: Literal["little", "big"]
) -> Iterator[tuple[bytes, int, int]]:
    """(Name, start, size) of the chunks from `start` on."""
    whole = 0
    for _ in range(MAX_STEPS):
        header = _bytes(file, start, 8)
        if len(header) < 8:
            return
        name, size = header[:4], int.from_bytes(header[4:], order)
        if name == b"ds64":  # of RF64: the size of `data` is in its second number
            whole = int.from_bytes(_bytes(file, start + 16, 8), order)
        if name == b"data" and size == 0xFFFFFFFF:
            size = whole
        yield name, start + 8, size
        start += 8 + size
        if size % 2 and _bytes(file, start, 1) == b"\0":  # some writers do not pad
            start += 1


def _riff_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    parsers = {b"bext": _bext, b"iXML": _ixml, b"id3 ": _id3, b"ID3 ": _id3}
    for name, start, size in chunks(file, 12, "little"):
        if name == b"LIST" and _bytes(file, start, 4) == b"INFO":
            yield _info, _bytes(file, start + 4, size - 4)
        elif name in parsers:
            limit = MAX_BLOCK if parsers[name] is _id3 else MAX_XML
            yield parsers[name], _bytes(file, start, min(size, limit))


def _info(data: bytes) -> Texts:
    for name, start, size in chunks(io.BytesIO(data), 0, "little"):
        if name in INFO:
            yield INFO[name], decoded(data[start : start + size])


def _wav_info(name: bytes, data: bytes) -> WavInfoReader:
    """What wavinfo reads of a chunk: it is given a file of that chunk alone."""
    from wavinfo import WavInfoReader

    data += b"\0" * (len(data) % 2)
    body = struct.pack("<8sI2H2I2H", b"WAVEfmt ", 16, 1, 1, 8_000, 8_000, 1, 8)
    body += struct.pack("<4sI", name, len(data)) + data + struct.pack("<4sIH", b"data", 2, 0)
    riff = io.BytesIO(struct.pack("<4sI", b"RIFF", len(body)) + body)
    # Latin-1 gives the bytes back.
    return WavInfoReader(riff, info_encoding="latin_1", bext_encoding="latin_1")


def _bext(data: bytes) -> Texts:
    bext = _wav_info(b"bext", data[:MAX_TEXT]).bext
    yield "description", decoded(bext.description.encode("latin_1"))
    yield "originator", decoded(bext.originator.encode("latin_1"))
    yield "recorded", f"{bext.originator_date} {bext.originator_time}"
    yield "recorded", bext.originator_date


def _ixml(data: bytes) -> Texts:
    xml = _wav_info(b"iXML", data).ixml.raw_xml
    for path, kind in IXML.items():
        for element in xml.findall(f"./{path}"):
            yield kind, element.text or ""


def _aiff_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    for name, start, size in chunks(file, 12, "big"):
        if name in AIFF:
            yield partial(_text, AIFF[name]), _bytes(file, start, min(size, MAX_TEXT))
        elif name == b"ID3 ":
            yield _id3, _bytes(file, start, size)


def _caf_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    start = 8
    for _step in range(MAX_STEPS):
        header = _bytes(file, start, 12)
        if len(header) < 12:
            return
        name, size = struct.unpack(">4sq", header)
        if name == b"info":
            yield _caf, _bytes(file, start + 12, size)
        if size < 0:  # up to the end of the file
            return
        start += 12 + size


def _caf(data: bytes) -> Texts:
    texts = data[4:].split(b"\0")
    for name, text in zip(texts[::2], texts[1::2], strict=False):
        yield from _named(decoded(name), decoded(text))


# Vorbis comments, in FLAC and Ogg


def _flac_blocks(file: BinaryIO, start: int) -> Iterator[Block]:
    start += 4
    for _ in range(MAX_STEPS):
        kind, *size = _bytes(file, start, 4)
        if kind & 0x7F == 4:
            # Some writers count too short; the comments know their own lengths.
            yield _vorbis, _bytes(file, start + 4, int.from_bytes(size) + MAX_TEXT)
        if kind & 0x80:
            return
        start += 4 + int.from_bytes(size)


def _ogg_blocks(file: BinaryIO, start: int) -> Iterator[Block]:
    """The comments are the second packet of the first stream of sound; it may span pages."""
    serial, skip, number = b"", 0, 0
    packet = bytearray()
    for _ in range(MAX_STEPS):
        header = _bytes(file, start, 27)
        if len(header) < 27 or header[:4] != b"OggS" or len(packet) > MAX_BLOCK:
            break
        sizes = _bytes(file, start + 27, header[26])
        body = _bytes(file, start + 27 + len(sizes), sum(sizes))
        start += 27 + len(sizes) + len(body)
        first = next((key for key in OGG if body.startswith(key)), None)
        if not serial and first is not None:
            serial, skip = header[14:18], OGG[first]
        if header[14:18] != serial:  # a picture's
            continue
        place = 0
        for size in sizes:
            packet += body[place : place + size]
            place += size
            if size < 255:  # its end
                number += 1
                if number == 2:
                    yield _vorbis, bytes(packet[skip:])
                    return
                packet.clear()
    if number == 1:  # cut
        yield _vorbis, bytes(packet[skip:])


def _vorbis(data: bytes) -> Texts:
    (vendor,) = struct.unpack_from("<I", data)
    (count,) = struct.unpack_from("<I", data, 4 + vendor)
    start = 8 + vendor
    for _ in range(count):
        (size,) = struct.unpack_from("<I", data, start)
        start += 4
        name, _, text = data[start : start + min(size, MAX_TEXT)].partition(b"=")
        yield from _named(decoded(name), decoded(text))
        start += size


def _named(name: str, text: str) -> Texts:
    if kind := NAMES.get(name.casefold()):
        yield kind, text


# MP4


def _atoms(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(Name, start, end) of the atoms in a part of the file, without their headers."""
    for _ in range(MAX_STEPS):
        header = _bytes(file, start, 16)
        if start + 8 > end or len(header) < 8:
            return
        size, name, offset = int.from_bytes(header[:4]), header[4:8], 8
        if size == 1:
            size, offset = int.from_bytes(header[8:]), 16
        size = size or end - start
        if size < offset:
            return
        yield name, start + offset, min(start + size, end)
        start += size


def _mp4_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    start, end = 0, file.seek(0, io.SEEK_END)
    for wanted in (b"moov", b"udta", b"meta", b"ilst"):
        inner = ((*place,) for name, *place in _atoms(file, start, end) if name == wanted)
        start, end = next(inner, (end, end))
        if wanted == b"meta" and _bytes(file, start + 4, 4) != b"hdlr":
            start += 4  # its version
    for name, first, last in _atoms(file, start, end):
        key = b""
        for part, place, stop in _atoms(file, first, last):
            if part == b"name":
                key = _bytes(file, place + 4, min(stop - place - 4, MAX_TEXT))
            elif part == b"data":
                data = _bytes(file, place + 8, min(stop - place - 8, MAX_TEXT))
                if name in ITUNES:
                    yield partial(_text, ITUNES[name]), data
                elif name == b"gnre":
                    yield _genre_number, data
                elif name == b"----":
                    yield partial(_free_field, key), data


def _genre_number(data: bytes) -> Texts:
    from mutagen.id3 import TCON

    yield "genre", TCON.GENRES[int.from_bytes(data) - 1]


def _free_field(name: bytes, data: bytes) -> Texts:
    yield from _named(decoded(name), decoded(data))


# ID3, APEv2, ASF


def id3_size(head: bytes) -> int:
    """The bytes of the ID3 tag that begins so, its header and footer counted; 0 for none."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte
    return 10 + size + (10 if head[5] & 0x10 else 0)


def _id3(data: bytes) -> Texts:
    from mutagen import id3

    if 10 <= len(data) < id3_size(data):  # cut: mutagen wants the size that is there
        size = len(data) - 10
        digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
        data = data[:6] + digits + data[10:]
    every = {**id3.Frames, **id3.Frames_2_2}
    known = {name: frame for name, frame in every.items() if name in ID3_FRAMES}
    tag = id3.ID3(io.BytesIO(data), known_frames=known, load_v1=False)
    for frame in tag.values():
        yield from _frame(frame)


def _frame(frame: Any) -> Texts:  # noqa: ANN401 (each kind has its own fields)
    """The texts of a frame of mutagen's."""
    name, kind = frame.FrameID, ID3.get(frame.FrameID)
    if name == "TCON":
        yield from (("genre", genre) for genre in frame.genres)
    elif name == "TXXX":
        for text in frame.text:
            yield from _named(frame.desc, text)
    elif name == "COMM" and frame.desc.casefold() in COMMENTS:
        yield from (("description", text) for text in frame.text)
    elif kind is not None:
        texts = frame.url if name == "WCOP" else frame.text
        yield from ((kind, str(text)) for text in ([texts] if isinstance(texts, str) else texts))


def _tail_blocks(file: BinaryIO, start: int) -> Iterator[Block]:
    """APEv2 and ID3v1, which stand at the end. ID3v1 cuts texts short: it is read only alone."""
    end = file.seek(0, io.SEEK_END)
    tail = _bytes(file, max(0, end - 160), 160)
    # A short APEv2 may begin there: APETAGEX.
    is_old = tail[-128:-125] == b"TAG" and tail[-131:-128] != b"APE"
    old = tail[-128:] if is_old else b""
    footer = tail[-32 - len(old) :][:32]
    if footer[:8] == b"APETAGEX":
        size = 32 + int.from_bytes(footer[12:16], "little")  # with a header
        first = max(0, end - len(old) - size)
        yield _ape, _bytes(file, first, end - len(old) - first)
    elif old and not start:
        yield _id3v1, old


def _ape(data: bytes) -> Texts:
    from mutagen.apev2 import TEXT, APEv2

    for name, value in APEv2(io.BytesIO(data)).items():
        if value.kind == TEXT:
            for text in value:
                yield from _named(name, text)


def _id3v1(data: bytes) -> Texts:
    from mutagen.id3 import ParseID3v1

    for frame in (ParseID3v1(data) or {}).values():
        # Genre 0, Blues, is what writers leave that know of none.
        if frame.FrameID != "TCON" or frame.text != ["0"]:
            yield from _frame(frame)


def _dsf_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    start = int.from_bytes(_bytes(file, 20, 8), "little")
    yield _id3, _bytes(file, start, id3_size(_bytes(file, start, 10)))


def _asf_blocks(file: BinaryIO, _: int) -> Iterator[Block]:
    yield _asf, _bytes(file, 0, int.from_bytes(_bytes(file, 16, 8), "little"))


def _asf(data: bytes) -> Texts:
    from mutagen.asf import ASF

    for name, value in ASF(io.BytesIO(data)).tags or ():
        yield from _named(name.casefold().removeprefix("wm/"), str(value))


_FINDERS: Mapping[str, Callable[[BinaryIO, int], Iterator[Block]]] = {
    ".wav": _riff_blocks,
    ".aiff": _aiff_blocks,
    ".caf": _caf_blocks,
    ".flac": _flac_blocks,
    ".ogg": _ogg_blocks,
    ".m4a": _mp4_blocks,
    ".wma": _asf_blocks,
    ".dsf": _dsf_blocks,
}
