"""A stretch of a sound → the bytes of a WAV or FLAC file, piece by piece.

The file has the sound's own rate and channels, and its samples as exactly as the kind can hold
them: WAV the same integers or floats, FLAC integers of up to 24 bits. What is over full scale is
clipped where integers hold it, never wrapped. Axes: n = samples.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.raw_samples import SequentialSoundFile
from earmark.model.core.errors import AudioError, InputError

Samples = npt.NDArray[np.floating[Any]]
Kind = Literal["wav", "flac"]

PIECE_VALUES = 1 << 18  # samples times channels in a piece: bounds memory
FLAC_CHANNELS, FLAC_RATE = 8, 655_350  # at most
MAX_RIFF = 0xFFFFFFFF - 1_000  # bytes, with their headers; RF64 holds more

# How a file holds its samples (libsndfile's names) → how WAV holds the same; others: as floats.
_ENCODINGS = {
    **{name: name for name in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "DOUBLE")},
    **{"PCM_S8": "PCM_U8", "ULAW": "PCM_16", "ALAW": "PCM_16"},
    **{"ALAC_16": "PCM_16", "ALAC_20": "PCM_24", "ALAC_24": "PCM_24"},
}
_BYTES = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_GUID_TAIL = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"


class _Writer(Protocol):
    """Encodes one file. `size`: of the whole file in bytes, None where that is not known yet."""

    size: int | None

    def add(self, block: Samples) -> bytes:
        """The bytes of a block [n, channels]."""

    def end(self) -> bytes:
        """The last bytes."""

    def head(self) -> bytes:
        """The file's first bytes, as they should be by now, in as many bytes as they had."""


def check_kind(kind: Kind, channels: int, sample_rate: int) -> None:
    """Raise InputError where a kind of file cannot hold such a sound."""
    if kind == "flac" and (channels > FLAC_CHANNELS or sample_rate > FLAC_RATE):
        raise InputError(
            f"format: FLAC holds at most {FLAC_CHANNELS} channels at {FLAC_RATE} Hz, and the sound "
            f"has {channels} at {sample_rate} Hz; expected wav"
        )


class Cut:
    """Cuts out the stretch that a reader reads.

    `is_within`: the sound is known to reach the stretch's end, else it may end before. `size`: the
    bytes of the file where they are known, from the first piece on; `frames`: how many samples
    have been written.
    """

    def __init__(self, reader: SoundReader, kind: Kind, *, is_within: bool) -> None:
        self._reader, self._kind, self._is_within = reader, kind, is_within
        self._writer: _Writer | None = None
        self.frames = 0

    @property
    def size(self) -> int | None:
        """As above."""
        return self._writer.size if self._writer else None

    def pieces(self) -> Iterator[bytes]:
        """The file. Raises AudioError, InputError."""
        channels = expected = 0
        with self._reader.opened() as raw:
            for block in raw.blocks():
                self._reader.check_values(block)
                if self._writer is None:
                    channels, rate = block.shape[1], raw.info.sample_rate
                    expected = self._expected(rate)
                    self._writer = self._open(raw.encoding, rate, channels, expected)
                equal = _with_channels(block, channels)
                step = PIECE_VALUES // channels
                for start in range(0, len(equal), step):
                    yield self._writer.add(equal[start : start + step])
                self.frames += len(equal)
        if self._writer is None:
            raise InputError("start, end: expected a stretch with a sample in it, got none")
        if self._is_within and self.frames < expected:
            raise AudioError(
                f"{self._reader.name}: expected {expected} samples in the stretch, "
                f"got {self.frames}"
            )
        yield self._writer.end()

    def head(self) -> bytes:
        """The file's first bytes once all is written: a stretch whose length was not known begins
        with others."""
        assert self._writer is not None, "after the pieces"
        return self._writer.head()

    def _expected(self, rate: int) -> int:
        """How many samples there are, if the sound reaches the stretch's end."""
        assert self._reader.stretch is not None, "a reader of a stretch"
        first, last = self._reader.stretch.frames(rate)
        return last - first

    def _open(self, encoding: str, rate: int, channels: int, frames: int) -> _Writer:
        check_kind(self._kind, channels, rate)
        known = frames if self._is_within else None
        if self._kind == "flac":
            return _FlacWriter(encoding, rate, channels, known)
        return _WavWriter(_ENCODINGS.get(encoding, "FLOAT"), rate, channels, known)


def _with_channels(block: Samples, channels: int) -> Samples:
    """The block in so many channels: of a joined sound that has others, their mean in each."""
    if block.shape[1] == channels:
        return block
    mean = block.mean(axis=1, keepdims=True)
    return np.asarray(np.repeat(mean, channels, axis=1), dtype=block.dtype)


def _integers(block: Samples, bits: int) -> npt.NDArray[np.int64]:
    """Samples → integers of so many bits, rounded and clipped."""
    full = 1 << (bits - 1)
    scaled = np.rint(np.asarray(block, dtype=np.float64) * full)
    return np.clip(scaled, -full, full - 1).astype(np.int64)


class _WavWriter:
    """WAV, or RF64 where it may get too large for that."""

    def __init__(self, encoding: str, rate: int, channels: int, frames: int | None) -> None:
        self._encoding, self._rate, self._channels = encoding, rate, channels
        self._width = _BYTES[encoding] * channels
        self._written = 0
        # The place for large sizes is kept where the length is not known.
        self._is_wide = frames is None or frames * self._width > MAX_RIFF
        self._begin = self._head(frames or 0)
        self.size = None if frames is None else len(self._begin) + self._padded(frames)

    def add(self, block: Samples) -> bytes:
        self._written += len(block)
        begin, self._begin = self._begin, b""
        return begin + self._encode(block)

    def end(self) -> bytes:
        return bytes(self._padded(self._written) - self._written * self._width)

    def head(self) -> bytes:
        return self._head(self._written)

    def _padded(self, frames: int) -> int:
        return frames * self._width + frames * self._width % 2

    def _encode(self, block: Samples) -> bytes:
        if self._encoding in ("FLOAT", "DOUBLE"):
            return block.astype("<f4" if self._encoding == "FLOAT" else "<f8").tobytes()
        size = _BYTES[self._encoding]
        whole = _integers(block, 8 * size)
        if size == 1:
            return (whole + 128).astype("u1").tobytes()
        little = whole.astype("<i4").reshape(-1, 1).view("u1")
        return np.ascontiguousarray(little[:, :size]).tobytes()

    def _head(self, frames: int) -> bytes:
        is_float = self._encoding in ("FLOAT", "DOUBLE")
        bits, code = 8 * _BYTES[self._encoding], 3 if is_float else 1
        many = self._channels > 2
        form = struct.pack(
            "<HHIIHH",
            *(0xFFFE if many else code, self._channels, self._rate),
            *(self._rate * self._width, self._width, bits),
        )
        if many:  # which channel is which is unknown
            form += struct.pack("<HHIH", 22, bits, 0, code) + _GUID_TAIL
        elif is_float:
            form += struct.pack("<H", 0)
        chunks = struct.pack("<4sI", b"fmt ", len(form)) + form
        if is_float:
            chunks += struct.pack("<4sII", b"fact", 4, min(frames, 0xFFFFFFFF))
        data = self._padded(frames)
        riff = 4 + 36 * self._is_wide + len(chunks) + 8 + data
        is_large = self._is_wide and riff > MAX_RIFF
        if self._is_wide:
            sizes = struct.pack("<QQQI", riff, frames * self._width, frames, 0)
            name = b"ds64" if is_large else b"JUNK"
            chunks = struct.pack("<4sI", name, 28) + (sizes if is_large else bytes(28)) + chunks
        first = b"RF64" if is_large else b"RIFF"
        sizes_in_head = (0xFFFFFFFF, 0xFFFFFFFF) if is_large else (riff, frames * self._width)
        begin = struct.pack("<4sI4s", first, sizes_in_head[0], b"WAVE")
        return begin + chunks + struct.pack("<4sI", b"data", sizes_in_head[1])


class _FlacWriter:
    """FLAC, by libsndfile."""

    def __init__(self, encoding: str, rate: int, channels: int, frames: int | None) -> None:
        self._bits = 16 if _ENCODINGS.get(encoding) in ("PCM_U8", "PCM_16") else 24
        self._sink, self._frames = _Sink(), frames
        self._sound = SequentialSoundFile(
            self._sink, "w", rate, channels, f"PCM_{self._bits}", format="FLAC"
        )
        self.size: int | None = None

    def add(self, block: Samples) -> bytes:
        whole = _integers(block, self._bits) << (32 - self._bits)
        self._sound.write(whole.astype(np.int32))
        data = self._sink.take()
        if self._frames is not None and len(data) >= len(_Sink.EMPTY) and data[:4] == b"fLaC":
            # The count of samples, 36 bits: the encoder adds it at the end, when it has been sent.
            data[21] |= self._frames >> 32
            data[22:26] = struct.pack(">I", self._frames & 0xFFFFFFFF)
        return bytes(data)

    def end(self) -> bytes:
        self._sound.close()
        return bytes(self._sink.take())

    def head(self) -> bytes:
        return bytes(self._sink.head)


class _Sink(io.RawIOBase):
    """A file that is written from start to end, and handed on meanwhile. What the encoder changes
    in the head later is in `head` only."""

    EMPTY = bytes(42)

    def __init__(self) -> None:
        self.head = bytearray(self.EMPTY)
        self._new = bytearray()
        self._position = self._size = 0

    def take(self) -> bytearray:
        """What was written since."""
        new, self._new = self._new, bytearray()
        return new

    def write(self, data: Any, /) -> int:  # noqa: ANN401 (any buffer)
        """Append the data, or change the head."""
        data = bytes(data)
        first = self.head[self._position : self._position + len(data)]
        self.head[self._position : self._position + len(first)] = data[: len(first)]
        self._new += data[max(self._size - self._position, 0) :]
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position."""
        self._position = max((0, self._position, self._size)[whence] + offset, 0)
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, _buffer: Any, /) -> int:  # noqa: ANN401 (any buffer)
        """Nothing."""
        return 0
