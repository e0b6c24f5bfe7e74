"""Sounds with metadata in their files, as programs write it and by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import mutagen
import mutagen.id3
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.asf import ASF
from mutagen.mp4 import MP4
from mutagen.wave import WAVE

from earmark.model.audio.file_metadata import FileMetadata
from tests.model.tiny import noise

# File name → container and codec of FFmpeg.
KINDS = {
    "a.wav": ("wav", "pcm_s16le"),
    "a.aiff": ("aiff", "pcm_s16be"),
    "a.caf": ("caf", "pcm_s16be"),
    "a.flac": ("flac", "flac"),
    "a.ogg": ("ogg", "vorbis"),
    "a.opus": ("ogg", "libopus"),
    "a.oga": ("ogg", "flac"),
    "a.mp3": ("mp3", "libmp3lame"),
    "a.m4a": ("ipod", "aac"),
    "a.m4b": ("mp4", "aac"),
    "a.aac": ("adts", "aac"),
    "a.wma": ("asf", "wmav2"),
    "a.wv": ("wv", "wavpack"),
    "a.tta": ("tta", "tta"),
}
SAYS = FileMetadata(
    title="Rain on a métal roof",
    author="Ann Lee",
    tags=("Field Recording", "Rain"),
    description="Behind the barn",
    licence="CC-BY-4.0",
    recorded="2021-05-03",
)
CC_BY = "http://creativecommons.org/licenses/by/4.0/"
PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


def encode(path: Path, metadata: dict[str, str] | None = None, seconds: float = 0.2) -> Path:
    """A short sound, with metadata that FFmpeg writes."""
    container_format, codec = KINDS[path.name]
    samples = noise(seconds, 48_000)[None]
    with av.open(str(path), "w", format=container_format) as container:
        container.metadata.update(metadata or {})
        stream = container.add_stream(codec, rate=48_000, layout="stereo")
        stream.codec_context.bit_rate = 64_000
        stream.codec_context.options = {"strict": "experimental"}  # for vorbis
        kind = stream.codec_context.format.name
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 48_000
        size = stream.codec_context.frame_size or 1024
        resampler = av.AudioResampler(format=kind, layout="stereo", rate=48_000, frame_size=size)
        for part in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(part))
        # FLAC's last packet has no samples: its header, complete, which Ogg cannot take.
        container.mux([packet for packet in stream.encode(None) if packet.size])
    return path


def tag(path: Path) -> Path:
    """Write what SAYS says to an existing file, with a picture, as mutagen does."""
    if path.suffix in (".m4a", ".m4b"):
        mp4 = MP4(path)
        mp4["\xa9nam"], mp4["\xa9ART"] = SAYS.title, SAYS.author
        mp4["\xa9gen"], mp4["keyw"] = "Field Recording", "Rain"
        mp4["\xa9cmt"], mp4["cprt"], mp4["\xa9day"] = SAYS.description, CC_BY, SAYS.recorded
        mp4["covr"] = [PICTURE]
        mp4.save()
    elif path.suffix == ".wma":
        asf = ASF(path)
        asf["Title"], asf["Author"], asf["WM/Genre"] = SAYS.title, SAYS.author, list(SAYS.tags)
        asf["Description"], asf["Copyright"] = SAYS.description, CC_BY
        asf["WM/Year"] = SAYS.recorded
        asf.save()
    elif path.suffix == ".wv":
        ape = APEv2()
        ape["Title"], ape["Artist"], ape["Genre"] = SAYS.title, SAYS.author, list(SAYS.tags)
        ape["Comment"], ape["Copyright"], ape["Year"] = SAYS.description, CC_BY, SAYS.recorded
        ape.save(path)
    elif path.suffix in (".mp3", ".aac", ".tta", ".wav", ".aiff"):
        _tag_id3(path)
    else:
        file = mutagen.File(path)
        file["title"], file["artist"], file["genre"] = SAYS.title, SAYS.author, list(SAYS.tags)
        file["description"], file["license"] = SAYS.description, CC_BY
        file["date"] = SAYS.recorded
        file.save()
    return path


def _tag_id3(path: Path) -> None:
    frames = id3_frames()
    if path.suffix in (".wav", ".aiff"):
        file = (WAVE if path.suffix == ".wav" else AIFF)(path)
        if file.tags is None:
            file.add_tags()
        for frame in frames:
            file.tags.add(frame)
        file.save()
        return
    tags = mutagen.id3.ID3()
    for frame in frames:
        tags.add(frame)
    tags.save(path)


def id3_frames() -> list[mutagen.id3.Frame]:
    """What SAYS says, and a picture, as ID3 has it."""
    return [
        mutagen.id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="Cover", data=PICTURE),
        mutagen.id3.TIT2(encoding=3, text=SAYS.title),
        mutagen.id3.TPE1(encoding=1, text=SAYS.author),
        mutagen.id3.TCON(encoding=0, text=list(SAYS.tags)),
        mutagen.id3.COMM(encoding=0, lang="eng", desc="", text=SAYS.description),
        mutagen.id3.WCOP(url=CC_BY),
        mutagen.id3.TDRC(encoding=0, text=SAYS.recorded),
    ]


def chunk(name: bytes, data: bytes, *, padded: bool = True) -> bytes:
    """A chunk of RIFF."""
    return struct.pack("<4sI", name, len(data)) + data + b"\0" * (len(data) % 2 and padded)


def wav(*chunks: bytes, before: bool = True, kind: bytes = b"RIFF") -> bytes:
    """A tenth of a second in WAV, with chunks before its samples or behind them."""
    form = struct.pack("<HHIIHH", 1, 1, 8_000, 16_000, 2, 16)
    data = chunk(b"data", (noise(0.1, 8_000) * 20_000).astype("<i2").tobytes())
    others = b"".join(chunks)
    body = b"WAVE" + chunk(b"fmt ", form) + (others + data if before else data + others)
    return kind + struct.pack("<I", len(body)) + body


def info(**fields: bytes) -> bytes:
    """The chunk of RIFF that holds texts."""
    parts = (chunk(name.encode(), text + b"\0") for name, text in fields.items())
    return chunk(b"LIST", b"INFO" + b"".join(parts))


def bext(description: bytes = b"", originator: bytes = b"", date: bytes = b"", time: bytes = b""):
    """The chunk of Broadcast Wave."""
    texts = struct.pack("<256s32s32s10s8s", description, originator, b"REF", date, time)
    return chunk(b"bext", texts + bytes(8 + 2 + 64 + 10 + 180) + b"A=PCM,F=8000\r\n")


def ixml(body: str) -> bytes:
    """The chunk of iXML."""
    text = f'<?xml version="1.0" encoding="UTF-8"?><BWFXML><PROJECT>P</PROJECT>{body}</BWFXML>'
    return chunk(b"iXML", text.encode() + b"\0")


def id3_tag(version: int, *frames: bytes, flags: int = 0) -> bytes:
    """An ID3 tag of frames as they are."""
    data = b"".join(frames)
    size = bytes(len(data) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3" + bytes((version, 0, flags)) + size + data


def id3_frame(name: str, data: bytes, flags: int = 0) -> bytes:
    """A frame of ID3v2.2 (three letters) or ID3v2.3, as it is."""
    if len(name) == 3:
        return name.encode() + len(data).to_bytes(3) + data
    return name.encode() + struct.pack(">IH", len(data), flags) + data


def id3v1(title: str, genre: int) -> bytes:
    """An ID3v1 tag."""
    texts = struct.pack("<30s30s30s4s30s", title.encode("latin-1"), b"Ann Lee", b"", b"1998", b"")
    return b"TAG" + texts + bytes((genre,))
