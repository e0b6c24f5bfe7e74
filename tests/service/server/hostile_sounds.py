"""Sounds that were made to hurt: damaged, lying about themselves, or far larger than they look.

Every one comes from a seed alone. Fields of formats are set at their offsets by hand: no library
writes what is wrong on purpose.
"""

from __future__ import annotations

import functools
import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

import av
import numpy as np

from tests.model import tiny
from tests.model.audio.writers import BY_PYAV, apev2, id3v1, id3v2, write
from tests.service import sounds

HOURS = 8 * 3600  # seconds that headers claim
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WRONG = (
    b"",
    b"\x00",
    b"\xff" * 3_000,
    b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\n" * 20,
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(600),
    b"GIF89a" + bytes(600),
    b"\x7fELF\x02\x01\x01" + bytes(900),
    b"<html><script>alert(1)</script></html>" * 9,
    b'{"a": [1, 2, 3]}' * 50,
    b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\nhttp://127.0.0.1/x\n",
    b"ffconcat version 1.0\nfile /etc/passwd\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 RTP/AVP 0\n",
    b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>',
    b'<?xml version="1.0"?><MPD><Period><BaseURL>/etc/passwd</BaseURL></Period></MPD>',
    b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x00\x60MTrk\x00\x00\x00\x04\x00\xff\x2f\x00",
    b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(500),
    b"RIFF\x04\x00\x00\x00WEBPVP8 " + bytes(500),
    b"PK\x05\x06" + bytes(18),
    b"[wav]\npath=/etc/passwd\n" * 30,
)


@functools.cache
def good() -> dict[str, bytes]:
    """Short sounds in every format that is common, to be damaged."""
    short, speech = tiny.noise(0.3), tiny.noise(0.3, 48_000)
    made = {
        "wav": sounds.encoded(short),
        "wav24": sounds.encoded(np.stack([short, short], 1), subtype="PCM_24"),
        "float": sounds.encoded(short, subtype="FLOAT"),
        "adpcm": sounds.encoded(short, subtype="MS_ADPCM"),
        "extended": sounds.encoded(short, format="WAVEX"),
        "rf64": sounds.encoded(short, format="RF64"),
        "flac": sounds.encoded(short, format="FLAC"),
        "ogg": sounds.encoded(short, format="OGG", subtype="VORBIS"),
        "opus": sounds.encoded(speech, 48_000, format="OGG", subtype="OPUS"),
        "mp3": sounds.encoded(tiny.noise(0.3, 44_100), 44_100, format="MP3"),
        "aiff": sounds.encoded(short, format="AIFF"),
        "au": sounds.encoded(short, format="AU"),
        "caf": sounds.encoded(short, format="CAF"),
        "w64": sounds.encoded(short, format="W64"),
    }
    for name, form, codec in (("m4a", "mp4", "aac"), ("webm", "webm", "libopus")):
        made[name] = _by_av(speech, form, codec)
    for name in ("aifc-ima", "caf-alac", "voc", *(kind for kind in BY_PYAV if kind not in made)):
        made[name] = write(name, 0.3).data
    return made


def _by_av(samples: np.ndarray, form: str, codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=48_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = 48_000
        for part in (*av.AudioResampler(stream.format, "mono", 48_000).resample(frame), None):
            container.mux(stream.encode(part))
    return file.getvalue()


# Damage


def flipped(seed: random.Random, sound: bytes) -> bytes:
    """A few bits of it, or of its head alone, turned over."""
    data = bytearray(sound)
    limit = seed.choice((64, 512, len(data)))
    for _ in range(seed.choice((1, 3, 20, 200))):
        data[seed.randrange(min(limit, len(data)))] ^= 1 << seed.randrange(8)
    return bytes(data)


def cut(seed: random.Random, sound: bytes) -> bytes:
    """Its beginning, its end, or both without the middle."""
    first, last = sorted(seed.randrange(len(sound)) for _ in range(2))
    return seed.choice((sound[:first], sound[first:], sound[:first] + sound[last:]))


def numbered(seed: random.Random, sound: bytes) -> bytes:
    """Whole numbers of its head replaced by great ones, either way round."""
    data = bytearray(sound)
    for _ in range(seed.choice((1, 2, 8))):
        size, order = seed.choice(((2, "little"), (4, "little"), (4, "big"), (8, "big")))
        place = seed.randrange(min(len(data) - 8, seed.choice((64, 256, 2_000))))
        number = seed.choice((*NUMBERS, HOURS * 48_000)) % (1 << (8 * size))
        data[place : place + size] = number.to_bytes(size, order)
    return bytes(data)


def shuffled(seed: random.Random, sound: bytes) -> bytes:
    """Stretches of it repeated, blanked or moved."""
    first, last = sorted(seed.randrange(len(sound)) for _ in range(2))
    part = sound[first:last]
    return seed.choice(
        (
            sound[:last] + part * seed.choice((1, 5)) + sound[last:],
            sound[:first] + bytes(len(part)) + sound[last:],
            sound[:first] + seed.randbytes(len(part)) + sound[last:],
            sound[last:] + sound[:last],
        )
    )


def joined(seed: random.Random, sound: bytes) -> bytes:
    """Two kinds of file in one: a polyglot."""
    other = seed.choice((*good().values(), *WRONG, zipped(1_000)))
    tag = b"ID3\x04\x00\x00" + seed.choice((b"\x7f\x7f\x7f\x7f", b"\x00\x00\x02\x00")) + other
    return seed.choice((sound + other, other + sound, tag + sound, sound[:44] + other))


def chained(seed: random.Random, sound: bytes) -> bytes:
    """It and another of any kind, perhaps damaged, one after the other."""
    other = seed.choice((sound, sound, *good().values()))
    return b"".join(seed.choice((part, part, cut(seed, part))) for part in (sound, other, sound))


def tagged(seed: random.Random, sound: bytes) -> bytes:
    """It between tags, whole or damaged."""
    before = seed.choice((b"", id3v2(), id3v2(b"\x01\xff\xfe" + seed.randbytes(80), padding=99)))
    after = seed.choice((b"", id3v1(), apev2(), apev2(cover=3_000), apev2() + id3v1()))
    before = seed.choice((before, flipped(seed, before or b"ID3")))
    return before + sound + after[: seed.choice((None, 40))]


# Lies


def lying_wav(seed: random.Random, _: bytes = b"") -> bytes:
    """A WAV file whose chunks and format say what is not so."""
    kind = seed.choice((1, 3, 2, 6, 7, 0x11, 0x31, 0x55, 0xFFFE, 0, 0xFFFF))
    channels = seed.choice((0, 1, 2, 8, 64, 1_024, 65_535))
    rate = seed.choice((0, 1, 999, 8_000, 48_000, 768_000, 0x7FFFFFFF, 0xFFFFFFFF))
    align, bits = seed.choice((0, 1, 2, 4, 65_535)), seed.choice((0, 1, 8, 16, 24, 32, 64, 65_535))
    count = HOURS * 48_000 * 2 & 0xFFFFFFFF
    data = b"data" + struct.pack("<I", seed.choice((0, 1, count, 0xFFFFFFFF))) + bytes(2_000)
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * align & 0xFFFFFFFF, align, bits)
    chunk = b"fmt " + struct.pack("<I", seed.choice((16, 14, 0, 40, 0xFFFFFFF0))) + form
    lists = b"LIST" + struct.pack("<I", seed.choice((0, 4, 0xFFFFFFFF))) + b"INFO"
    parts = [chunk, data, lists * seed.choice((1, 500))]
    if seed.random() < 0.3:
        seed.shuffle(parts)
    whole = b"WAVE" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", seed.choice((len(whole), 0, 0xFFFFFFFF))) + whole


def long_wav() -> bytes:
    """Declares eight hours, holds an instant."""
    form = struct.pack("<HHIIHH", 1, 1, 22_050, 44_100, 2, 16)
    size = HOURS * 44_100
    head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt \x10\x00\x00\x00" + form
    return head + b"data" + struct.pack("<I", size) + bytes(4_000)


def long_flac() -> bytes:
    """Declares as many samples as it can."""
    data = bytearray(good()["flac"])
    data[21] |= 0x0F  # the upper bits of the 36 that count samples
    data[22:26] = b"\xff\xff\xff\xff"
    return bytes(data)


def long_ogg(name: str) -> bytes:
    """Its last page says that eight hours lie before it; with the right checksum."""
    data = bytearray(good()[name])
    page = data.rfind(b"OggS")
    data[page + 6 : page + 14] = struct.pack("<q", HOURS * 48_000)
    data[page + 22 : page + 26] = bytes(4)
    data[page + 22 : page + 26] = struct.pack("<I", _ogg_sum(bytes(data[page:])))
    return bytes(data)


def _ogg_sum(page: bytes) -> int:
    total = 0
    for byte in page:
        total ^= byte << 24
        for _ in range(8):
            total = (total << 1 ^ (0x04C11DB7 if total & 0x80000000 else 0)) & 0xFFFFFFFF
    return total


def lying_box(seed: random.Random, _: bytes = b"") -> bytes:
    """An m4a or webm file in which a field after a known name claims a lot."""
    name = seed.choice(("m4a", "webm"))
    data = bytearray(good()[name])
    marks = {
        "m4a": (b"mvhd", b"mdhd", b"stts", b"stsz", b"stsc", b"stco", b"esds", b"mp4a", b"moov"),
        "webm": (b"\x1a\x45\xdf\xa3", b"\x44\x89", b"\x18\x53\x80\x67", b"\xb5", b"\xa3", b"\xbb"),
    }[name]
    place = data.find(seed.choice(marks))
    for _ in range(seed.choice((1, 2, 4))):
        offset = max(0, place + seed.randrange(-4, 32))
        number = struct.pack(seed.choice((">I", "<I")), seed.choice(NUMBERS))
        data[offset : offset + 4] = seed.choice((number, struct.pack(">f", HOURS * 1e3)))
    return bytes(data)


# Bombs


def zipped(size: int) -> bytes:
    """A zip file of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", bytes(size))
    return file.getvalue()


@functools.cache
def bombs() -> dict[str, bytes]:
    """Little that becomes a lot."""
    silence = np.zeros((65_535 * 12, 8), dtype=np.float32)
    flac = sounds.encoded(silence, 192_000, format="FLAC")
    silent = sounds.encoded(np.zeros(80_000), 8_000, format="MP3")
    frames = silent[silent.find(silent[:2], 2) :]  # without the first, which counts them
    hours = frames * (HOURS // 10)
    declared = struct.pack(">I", 0x7FFFFFFF)
    inner = declared + zlib.compress(b"\x00\x00\x00\x08moov" * 100_000)
    packed = b"".join(_box(*part) for part in ((b"dcom", b"zlib"), (b"cmvd", inner)))
    nested = b""
    for _ in range(3_000):
        nested = _box(b"moov", nested)
    return {
        "zip": zipped(20_000_000),
        "gzip": gzip.compress(long_wav() + bytes(20_000_000)),
        "flac": flac,
        "mp3": hours,
        "cmov": _box(b"ftyp", b"qt  \x00\x00\x00\x00") + _box(b"moov", _box(b"cmov", packed)),
        "nested": _box(b"ftyp", b"M4A \x00\x00\x00\x00") + nested,
    }


def _box(name: bytes, inside: bytes) -> bytes:
    return struct.pack(">I", len(inside) + 8) + name + inside


DAMAGE: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flipped, cut, numbered, shuffled, joined, chained, tagged, lying_wav, lying_box
)  # fmt: skip


@functools.cache
def fixed() -> list[bytes]:
    """Those that no chance is in."""
    lies = [long_wav(), long_flac(), long_ogg("ogg"), long_ogg("opus")]
    return [*WRONG, *lies, *bombs().values()]


def made(number: int) -> bytes:
    """The hostile sound of that number: first all the fixed ones, then others for ever."""
    first = fixed()
    if number < len(first):
        return first[number]
    seed = random.Random(number)
    data = seed.choice(list(good().values()))
    for _ in range(seed.choice((1, 1, 1, 2))):
        data = seed.choice(DAMAGE)(seed, data) if len(data) > 16 else data
    return data
