"""What is known of a sound once it is decoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SoundInfo:
    """A sound's format; complete once the sound is read to its end.

    `frames`: samples per channel; `sha256`: of the mono samples at the file's rate, equal for the
    same sound in another lossless container; `damaged`: seconds that could not be decoded and are
    left out; `loudness`: in LUFS (`model.audio.loudness`), None where it is not measured.
    """

    sample_rate: int
    channels: int
    frames: int = 0
    sha256: str = ""
    damaged: float = 0.0
    loudness: float | None = None

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate
