"""Sounds as bytes: good ones of odd formats, and what people upload by mistake or malice."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from tests.model import tiny


def encoded(samples: np.ndarray, rate: int = tiny.RATE, **how: str) -> bytes:
    """The bytes of a file with these samples; WAV unless `how` says otherwise."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", **how})
    return file.getvalue()


def noise(seconds: float = 1.0, seed: int = 0) -> bytes:
    """A good sound."""
    return encoded(tiny.noise(seconds, seed=seed))


def odd_but_good() -> dict[str, bytes]:
    """Rare formats that must be taken, by what is odd about them."""
    six = np.stack([tiny.noise(0.5, 96_000, seed) for seed in range(6)], axis=1)
    return {
        "8 kHz, 8 bit": encoded(tiny.noise(0.5, 8_000), 8_000, subtype="PCM_U8"),
        "96 kHz, 24 bit, 6 channels": encoded(six, 96_000, subtype="PCM_24"),
        "flac": encoded(tiny.noise(0.5), format="FLAC"),
        "ogg": encoded(tiny.noise(0.5), format="OGG", subtype="VORBIS"),
        "mp3": encoded(tiny.noise(0.5, 44_100), 44_100, format="MP3"),
        "louder than full scale": encoded(20 * tiny.noise(0.5), subtype="FLOAT"),
        "silence": encoded(np.zeros(9_000)),
    }


def bad() -> dict[str, tuple[bytes, str]]:
    """What is no usable sound, by name, and what an error must say of it."""
    wav = noise(0.5)
    return {
        "text.wav": (b"This is a text, not a sound. " * 50, "not a sound"),
        "empty.wav": (b"", "empty"),
        "no-samples.wav": (encoded(np.zeros(0)), "at least 5 ms of sound, got 0 samples"),
        "one-sample.wav": (encoded(np.zeros(1)), "at least 5 ms of sound, got 1 samples"),
        "nan.wav": (encoded(np.full(9_000, np.nan), subtype="FLOAT"), "NaN or infinite"),
        "infinite.wav": (encoded(np.full(9_000, np.inf), subtype="FLOAT"), "NaN or infinite"),
        "header-only.wav": (wav[:30], ""),
        "zeros.wav": (bytes(5_000), "not a sound"),
        "slow.wav": (encoded(tiny.noise(0.5, 500), 500), "expected 1000 to 768000 Hz, got 500"),
    }
