"""Cuts a sound of a package to a clip: 24 kHz mono Ogg Opus, the loudest 8 s at most.

The same sound gives the same bytes: the stream's serial number, which the encoder draws at random,
is set to a fixed one.
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

CLIP_SAMPLE_RATE = 24_000  # Hz
SECONDS = 8.0
STEP_SECONDS = 0.1  # between candidate starts of the loudest part
MIN_SECONDS = 0.04
MAX_SECONDS = 600.0
SILENT_PEAK = 1e-3  # inaudible

OGG_HEADER = 27  # bytes of a page before its table of segments
POLYNOMIAL = 0x04C11DB7


@dataclass(frozen=True)
class ClipResult:
    """A written clip and the SHA-256 of its sound, or the `reason` why none was written."""

    seconds: float = 0.0
    sha256: str = ""
    reason: str = ""


def make_clip(source: Path, target: Path) -> ClipResult:
    """Write the clip of a sound file to `target`."""
    reader = SoundReader(source, CLIP_SAMPLE_RATE, source.name, MAX_SECONDS)
    try:
        samples = np.concatenate(list(reader.blocks()))
    except AudioError as error:
        too_long = reader.info.duration > MAX_SECONDS
        return ClipResult(reason="longer than 10 min" if too_long else _reason(error, source.name))
    if len(samples) < MIN_SECONDS * CLIP_SAMPLE_RATE:
        return ClipResult(reason="shorter than 40 ms")
    if np.abs(samples).max() < SILENT_PEAK:
        return ClipResult(reason="silent")
    clip = loudest_part(samples)
    target.write_bytes(encode_opus(clip))
    # The number of samples too: an empty sum is not the sum of two silences of other lengths.
    digest = hashlib.sha256(f"{reader.info.sample_rate} {reader.info.sha256}".encode())
    return ClipResult(seconds=len(clip) / CLIP_SAMPLE_RATE, sha256=digest.hexdigest())


def _reason(error: AudioError, name: str) -> str:
    """Why a sound cannot be read, without its name, so that equal reasons can be counted."""
    return str(error).removeprefix(f"{name}: ").split(" (")[0].split(",")[0]


def loudest_part(samples: Samples) -> Samples:
    """The `SECONDS` with the most energy; all of a shorter sound."""
    size, step = int(SECONDS * CLIP_SAMPLE_RATE), int(STEP_SECONDS * CLIP_SAMPLE_RATE)
    if len(samples) <= size:
        return samples
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = np.arange(0, len(samples) - size + 1, step)
    start = int(starts[np.argmax(energy[starts + size] - energy[starts])])
    return samples[start : start + size]


def encode_opus(samples: Samples) -> bytes:
    """Encode as Ogg Opus; the same samples give the same bytes."""
    file = io.BytesIO()
    limited = np.clip(samples, -1.0, 1.0)
    soundfile.write(file, limited, CLIP_SAMPLE_RATE, format="OGG", subtype="OPUS")
    return with_serial(file.getvalue(), 1)


def with_serial(ogg: bytes, serial: int) -> bytes:
    """Set the serial number of an Ogg stream's pages, and recompute their checksums."""
    pages, start = bytearray(ogg), 0
    while start < len(pages):
        segments = pages[start + OGG_HEADER - 1]
        body = start + OGG_HEADER + segments
        end = body + sum(pages[start + OGG_HEADER : body])
        pages[start + 14 : start + 18] = serial.to_bytes(4, "little")
        pages[start + 22 : start + 26] = bytes(4)
        pages[start + 22 : start + 26] = _checksum(pages[start:end]).to_bytes(4, "little")
        start = end
    return bytes(pages)


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (POLYNOMIAL if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return table


CRC_TABLE = _crc_table()


def _checksum(page: bytes | bytearray) -> int:
    """Ogg's CRC-32: most significant bit first, initial value 0."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFFFFFF) ^ CRC_TABLE[(value >> 24) ^ byte]
    return value
