"""A sound of a package → a clip: 24 kHz mono Ogg Opus, the loudest 8 s at most.

The same sound gives the same bytes: the stream's number, which the encoder draws at random, is
set to a fixed one.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earmark.model.audio.decode import Samples, SoundReader
from earmark.model.core.errors import AudioError

SAMPLE_RATE = 24_000  # Hz
SECONDS = 8.0
STEP_SECONDS = 0.1  # between the places where the loudest part may begin
MIN_SECONDS = 0.04
MAX_SECONDS = 600.0
SILENT = 1e-3  # the peak of a sound that nobody hears

OGG_HEADER = 27  # bytes of a page before its table of segments
POLYNOMIAL = 0x04C11DB7


@dataclass(frozen=True)
class Made:
    """A clip that was written, or why none was: `reason` is empty then. `sha256`: of the sound."""

    seconds: float = 0.0
    sha256: str = ""
    reason: str = ""


def make_clip(source: Path, target: Path) -> Made:
    """Write the clip of a sound file."""
    reader = SoundReader(source, SAMPLE_RATE, source.name, MAX_SECONDS)
    try:
        samples = np.concatenate(list(reader.blocks()))
    except AudioError as error:
        too_long = reader.info.duration > MAX_SECONDS
        return Made(reason="longer than 10 min" if too_long else _reason(error, source.name))
    if len(samples) < MIN_SECONDS * SAMPLE_RATE:
        return Made(reason="shorter than 40 ms")
    if np.abs(samples).max() < SILENT:
        return Made(reason="silent")
    clip = loudest(samples)
    target.write_bytes(encode(clip))
    # The number of samples too: an empty sum is not the sum of two silences of other lengths.
    digest = hashlib.sha256(f"{reader.info.sample_rate} {reader.info.sha256}".encode())
    return Made(seconds=len(clip) / SAMPLE_RATE, sha256=digest.hexdigest())


def _reason(error: AudioError, name: str) -> str:
    """Why a sound cannot be read, without its name, so that like can be counted."""
    return str(error).removeprefix(f"{name}: ").split(" (")[0].split(",")[0]


def loudest(samples: Samples) -> Samples:
    """The `SECONDS` of the most energy; all of a shorter sound."""
    size, step = int(SECONDS * SAMPLE_RATE), int(STEP_SECONDS * SAMPLE_RATE)
    if len(samples) <= size:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = np.arange(0, len(samples) - size + 1, step)
    start = int(starts[np.argmax(energy[starts + size] - energy[starts])])
    return samples[start : start + size]


def encode(samples: Samples) -> bytes:
    """Ogg Opus, the same bytes for the same samples."""
    file = io.BytesIO()
    limited = np.clip(samples, -1.0, 1.0)
    soundfile.write(file, limited, SAMPLE_RATE, format="OGG", subtype="OPUS")
    return numbered(file.getvalue(), 1)


def numbered(ogg: bytes, serial: int) -> bytes:
    """An Ogg stream with that number on its pages, and their sums made right again."""
    pages, place = bytearray(ogg), 0
    while place < len(pages):
        segments = pages[place + OGG_HEADER - 1]
        body = place + OGG_HEADER + segments
        end = body + sum(pages[place + OGG_HEADER : body])
        pages[place + 14 : place + 18] = serial.to_bytes(4, "little")
        pages[place + 22 : place + 26] = bytes(4)
        pages[place + 22 : place + 26] = _checksum(pages[place:end]).to_bytes(4, "little")
        place = end
    return bytes(pages)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


TABLE = _table()


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC of 32 bits: most significant bit first, from 0."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ TABLE[(value >> 24) ^ byte]
    return value
