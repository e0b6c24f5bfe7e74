"""Sound files in every format that can be written here, joined, cut and tagged."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
import soundfile

Samples = npt.NDArray[np.float32]

# Format → how soundfile writes it: format, subtype.
BY_SOUNDFILE = {
    "wav": ("WAV", "PCM_16"),
    "wav-float": ("WAV", "FLOAT"),
    "wavex": ("WAVEX", "PCM_24"),
    "rf64": ("RF64", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "aifc-ima": ("AIFF", "IMA_ADPCM"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "caf-alac": ("CAF", "ALAC_16"),
    "voc": ("VOC", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
# Format → how PyAV writes it: container, codec.
BY_PYAV = {
    "m4a": ("mp4", "aac"),
    "m4a-alac": ("mp4", "alac"),
    "mov": ("mov", "pcm_s16le"),
    "3gp": ("3gp", "aac"),
    "aac": ("adts", "aac"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "pcm_s16le"),
    "wma": ("asf", "wmav2"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
    "ac3": ("ac3", "ac3"),
    "eac3": ("eac3", "eac3"),
    "mp2": ("mp2", "mp2"),
    "lame": ("mp3", "libmp3lame"),
    "ogg-opus": ("ogg", "libopus"),
    "avi": ("avi", "pcm_s16le"),
    "flv": ("flv", "aac"),
    "mpegts": ("mpegts", "mp2"),
}
FORMATS = (*BY_SOUNDFILE, *BY_PYAV)
LOSSLESS = frozenset(
    "wav wav-float wavex rf64 w64 aiff au caf caf-alac voc flac m4a-alac mov mka wv tta avi"
    .split()
)  # fmt: skip
OPUS = frozenset(("opus", "webm", "ogg-opus"))  # at 48 kHz always


@dataclass(frozen=True)
class Written:
    """A file's bytes, and what was written: seconds, Hz, channels."""

    data: bytes
    seconds: float
    rate: int
    channels: int


def tones(seconds: float, rate: int, channels: int, seed: int = 0) -> Samples:
    """[n, channels] of tones and a little noise, different in each channel."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    hertz = 300 + 90 * np.arange(channels) + 40 * (seed % 7)
    wave = 0.3 * np.sin(2 * np.pi * time[:, None] * hertz)
    return (wave + 0.01 * rng.standard_normal(wave.shape)).astype(np.float32)


def write(
    kind: str, seconds: float, rate: int = 44_100, channels: int = 1, seed: int = 0
) -> Written:
    """A file of a format, with `seconds` of tones."""
    if kind in OPUS:
        rate = 48_000
    samples = tones(seconds, rate, channels, seed)
    file = io.BytesIO()
    if kind in BY_SOUNDFILE:
        container, subtype = BY_SOUNDFILE[kind]
        soundfile.write(file, samples, rate, format=container, subtype=subtype)
    else:
        _write_by_pyav(file, samples, rate, *BY_PYAV[kind])
    return Written(file.getvalue(), len(samples) / rate, rate, channels)


def _write_by_pyav(
    file: io.BytesIO, samples: Samples, rate: int, container: str, codec: str
) -> None:
    layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.bit_rate = 128_000
        stream.codec_context.format = stream.codec.audio_formats[0]
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def id3v2(title: bytes = b"\x00caf\xe9", *, padding: int = 0) -> bytes:
    """An ID3v2.3 tag with a title, whose first byte is its encoding."""
    frame = b"TIT2" + struct.pack(">I", len(title)) + b"\0\0" + title
    size = len(frame) + padding
    length = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\3\0\0" + length + frame + bytes(padding)


def id3v1() -> bytes:
    """An ID3v1 tag, which ends a file."""
    return b"TAG" + b"a title".ljust(124, b"\0") + b"\x0c"


def apev2(cover: int = 0) -> bytes:
    """An APEv2 tag, which ends a file, with a picture of so many bytes (many of them 0xFF)."""
    picture = bytes(np.random.default_rng(1).integers(250, 256, cover, dtype=np.uint8))
    item = struct.pack("<II", len(picture), 2) + b"Cover Art (Front)\0" + picture
    rest = struct.pack("<IIII", 2_000, len(item) + 32, 1, 0) + bytes(8)
    return b"APETAGEX" + rest[:12] + b"\0\0\0\xa0" + bytes(8) + item + b"APETAGEX" + rest
