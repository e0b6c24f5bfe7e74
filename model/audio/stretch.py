"""A stretch of a sound: a sound itself, with the samples that the whole has there.

Sample i of a sound is at i / rate seconds; a stretch has the samples from round(start · rate) to
before round(end · rate). Where a format cannot be entered in its middle, or what lies before the
stretch may be damaged, it is decoded from the start on and skipped. Axes: n = samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import soundfile

from earmark.model.audio.byte_scanner import BinaryFile
from earmark.model.audio.raw_samples import (
    MAX_FRAMES,
    RawSamples,
    SequentialSoundFile,
    block_frames,
    open_soundfile,
)
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.structure import structure_of
from earmark.model.cloud.cloud_file import StoredFile
from earmark.model.core.errors import InputError

Samples = npt.NDArray[np.floating[Any]]
Entry = Literal["plain", "undamaged", "near"]

# Containers and encodings whose samples all have as many bytes, so that each has a known place.
_PLAIN_FORMATS = frozenset(
    ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "NIST", "IRCAM", "MAT4", "MAT5", "PVF")
)
_PLAIN_ENCODINGS = frozenset(
    ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
)
# Samples that the last page of a Vorbis file has at most: 255 packets, one more that began before.
_LAST_PAGE = 256 * 4_096
_WIDE = frozenset(("PCM_32", "DOUBLE"))  # more than float32 holds
# The same by the usual names of such files, for who does not open them.
_PLAIN_SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"),
    *(".sph", ".nist", ".sf", ".ircam"),
)
_SUFFIXES: dict[Entry, tuple[str, ...]] = {
    "plain": _PLAIN_SUFFIXES,
    "undamaged": (*_PLAIN_SUFFIXES, ".flac", ".fla", ".ogg", ".oga"),
    "near": (*_PLAIN_SUFFIXES, ".flac", ".fla", ".ogg", ".oga", ".opus", ".mp3"),
}


@dataclass(frozen=True)
class Span:
    """The time from `start` to before `end`, in seconds. Raises InputError unless 0 ≤ start < end.

    What is not given is the start or the end of a sound.
    """

    start: float = 0.0
    end: float = math.inf

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and self.start >= 0):
            raise InputError(f"start: expected 0 seconds or more, got {self.start:g}")
        if not self.end > self.start:
            raise InputError(
                f"end: expected seconds after the start, {self.start:g}, got {self.end:g}"
            )

    def frames(self, sample_rate: int) -> tuple[int, int]:
        """(the first sample, the sample before which it ends) at a rate in Hz."""
        first = round(min(self.start * sample_rate, MAX_FRAMES - 1))
        return first, max(round(min(self.end * sample_rate, MAX_FRAMES)), first)


@dataclass(frozen=True)
class Stretch:
    """The stretch from `start` to `end`, in seconds, of the sound in a file or its bytes.

    `entry`: where reading may begin in the middle. "plain": where all samples have as many bytes;
    "undamaged": in FLAC and Vorbis too, for a file that is known to have no damage; "near": in
    Opus and MP3 too, whose samples then differ from those of the whole a little.
    Raises InputError unless 0 ≤ start < end.
    """

    source: StoredFile | bytes
    start: float = 0.0
    end: float = math.inf
    entry: Entry = "plain"

    def __post_init__(self) -> None:
        Span(self.start, self.end)

    def frames(self, sample_rate: int) -> tuple[int, int]:
        """(the first sample, the sample before which it ends) at a rate in Hz."""
        return Span(self.start, self.end).frames(sample_rate)

    @property
    def decoded_seconds(self) -> float:
        """About how much of the sound is decoded for it, in seconds, as the name of its file tells:
        from the start of the sound on where it is not entered."""
        name = "" if isinstance(self.source, bytes) else self.source.name.lower()
        return self.end - self.start if name.endswith(_SUFFIXES[self.entry]) else self.end


class StretchSamples:
    """Reads a stretch of a file's samples once.

    `info` holds rate and channels at once; `encoding`: libsndfile's name of how the file holds its
    samples, "" where several do. Raises AudioError where no reader knows the file. To be closed.
    """

    def __init__(
        self, file: BinaryFile, name: str, stretch: Stretch, on_skip: Callable[[], None]
    ) -> None:
        self._file, self._name, self._stretch, self._on_skip = file, name, stretch, on_skip
        self._resources = ExitStack()
        self._raw: RawSamples | None = None
        self._first = self._last = 0
        self._ahead = 0  # samples that are read before the first
        self._sound = self._enter()
        if self._sound is not None:
            self.info = SoundInfo(self._sound.samplerate, self._sound.channels)
            self.encoding: str = self._sound.subtype
        else:
            self._raw = self._resources.enter_context(RawSamples(file, name))
            self.info, self.encoding = self._raw.info, self._raw.encoding
            self._first, self._last = stretch.frames(self.info.sample_rate)

    def __enter__(self) -> StretchSamples:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _enter(self) -> SequentialSoundFile | None:
        """The file at the stretch's first sample; None where it has to be read from the start."""
        sound = open_soundfile(self._file, self._resources)
        if sound is None or not _can_enter(sound, self._stretch.entry):
            return None
        first, last = self._stretch.frames(sound.samplerate)
        if last > sound.frames and _is_plain(sound) and not structure_of(self._file).joined:
            last = sound.frames
        if not first < last <= sound.frames < MAX_FRAMES:  # what follows may be a joined sound
            return None
        self._first, self._last = first, last
        begin = first
        if sound.subtype == "VORBIS":
            # libsndfile counts wrong into the last page, whose end is cut off to the sound's end.
            begin = min(first, max(0, sound.frames - _LAST_PAGE))
        self._ahead = first - begin
        with suppress(soundfile.LibsndfileError):
            if sound.seek(begin) == begin:
                return sound
        return None

    def blocks(self) -> Iterator[Samples]:
        """Blocks [n, channels] of float32, or of float64 where the file has more bits; the number
        of channels may change. Raises InputError where the sound ends before the stretch."""
        position = self._first
        if self._sound is not None:
            for block in self._entered_blocks(self._sound):
                position += len(block)
                yield block
        if position < self._last:
            yield from self._skipped_blocks(position)

    def _entered_blocks(self, sound: SequentialSoundFile) -> Iterator[Samples]:
        ahead, left, size = self._ahead, self._last - self._first, block_frames(sound)
        kind = "float64" if sound.subtype in _WIDE else "float32"
        with suppress(soundfile.LibsndfileError):
            while ahead and len(block := sound.read(min(size, ahead), kind, always_2d=True)):
                ahead -= len(block)
            while left and len(block := sound.read(min(size, left), kind, always_2d=True)):
                yield block
                left -= len(block)

    def _skipped_blocks(self, begin: int) -> Iterator[Samples]:
        """The blocks from sample `begin` on, read from the start of the sound."""
        raw = self._raw or self._resources.enter_context(RawSamples(self._file, self._name))
        position = 0
        for block in raw.blocks():
            piece = block[max(begin - position, 0) : self._last - position]
            position += len(block)
            if len(piece):
                yield piece
            else:
                self._on_skip()
            if position >= self._last:
                return
        if position <= self._first:
            raise InputError(
                f"start: expected less than the sound's {position / self.info.sample_rate:g} s, "
                f"got {self._stretch.start:g}"
            )


def _is_plain(sound: SequentialSoundFile) -> bool:
    return sound.format in _PLAIN_FORMATS and sound.subtype in _PLAIN_ENCODINGS


def _can_enter(sound: SequentialSoundFile, entry: Entry) -> bool:
    if _is_plain(sound):
        return True
    # Opus and MP3 decoders remember what came before: 1e-7 of full scale, at most.
    is_exact = sound.format == "FLAC" or sound.subtype == "VORBIS"
    return (entry != "plain" and is_exact) or (entry == "near" and sound.format in ("OGG", "MP3"))
