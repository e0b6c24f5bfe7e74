"""Audio files or bytes → mono float32 samples at a given rate, in bounded memory.

Samples are float32 in about [-1, 1]; rates in Hz; mono is the mean of the channels, or the louder
one where they cancel each other (`model.audio.mixdown`). What is damaged is left out, and its
length told (`model.audio.raw_samples`). Input is untrusted: lengths in headers are ignored, and
limits act while decoding. Axes: n = samples.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr

from earmark.model.audio.loudness import LoudnessMeter
from earmark.model.audio.mixdown import mix_down
from earmark.model.audio.raw_samples import DiskFile, MemoryFile, RawSamples
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.stretch import Stretch, StretchSamples
from earmark.model.cloud.cloud_file import CloudFile, CloudReader
from earmark.model.core.errors import AudioError, InputError

Samples = npt.NDArray[np.float32]
Source = Path | CloudFile | bytes | Stretch

MIN_SECONDS = 0.005
MAX_CHANNELS = 64
MAX_LEVEL = 1e9  # of a sample, full scale being 1: powers stay finite
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; with max_seconds, MAX_RATE bounds all channels together


class SoundReader:
    """Reads one sound, or a stretch of one, once.

    `info` is complete when `blocks` has been read to its end. `max_seconds`: of what is read;
    `on_skip`: called while what lies before a stretch is decoded, block by block, and while a store
    is read;
    `with_loudness`: it is measured too.
    """

    def __init__(
        self,
        source: Source,
        sample_rate: int,
        name: str = "file",
        max_seconds: float | None = None,
        on_skip: Callable[[], None] = lambda: None,
        *,
        with_loudness: bool = False,
    ) -> None:
        self.stretch = source if isinstance(source, Stretch) else None
        self.source = source.source if isinstance(source, Stretch) else source
        self.sample_rate = sample_rate
        self.name = name
        self.max_seconds = max_seconds
        self.on_skip = on_skip
        self.with_loudness = with_loudness
        self.info = SoundInfo(sample_rate, 1)

    def blocks(self) -> Iterator[Samples]:
        """Mono float32 blocks at `sample_rate`.

        Raises AudioError for input that is not sound, or has no samples, is shorter than 5 ms,
        longer than `max_seconds`, or holds NaN or infinite samples; InputError for a stretch
        beyond the end.
        """
        with self.opened() as raw:
            yield from self._mixed(raw.blocks())

    def _mixed(self, channels: Iterator[npt.NDArray[np.floating[Any]]]) -> Iterator[Samples]:
        """Blocks [n, channels] at the sound's rate → mono blocks at `sample_rate`."""
        single: Iterator[Samples] = (block.astype(np.float32, copy=False) for block in channels)
        if self.with_loudness:
            single = self._measured(single)
        yield from self._resampled(self._checked(mix_down(single, self.info.sample_rate)))
        info = self.info
        if info.duration < MIN_SECONDS:
            raise AudioError(
                f"{self.name}: expected at least {MIN_SECONDS * 1000:g} ms of sound, "
                f"got {info.frames} samples at {info.sample_rate} Hz"
            )

    @contextmanager
    def opened(self) -> Iterator[RawSamples | StretchSamples]:
        """The samples of all channels, as the file has them. Raises AudioError."""
        try:
            with self._opened() as raw:
                yield raw
        except InputError:
            self.check_store()  # it may be what a decoder stumbled over
            raise
        self.check_store()

    def check_store(self) -> None:
        """Raise AudioError where a store did not give all bytes of the file that was asked for."""
        if isinstance(self.source, CloudFile) and (failure := self.source.failure):
            raise AudioError(f"{self.name}: cannot be read ({failure.strerror})") from failure

    @contextmanager
    def _opened(self) -> Iterator[RawSamples | StretchSamples]:
        if isinstance(self.source, Path):
            _check_file(self.source, self.name)
        elif isinstance(self.source, bytes) and not self.source:
            raise AudioError(f"{self.name}: empty, expected the bytes of a sound")
        try:
            with self._open() as file, self._samples(file) as raw:
                self.info = raw.info
                self._check_format(raw.info)
                yield raw
        except OSError as error:
            known = error.errno is not None and error.errno in errno.errorcode
            if isinstance(self.source, CloudFile):
                raise AudioError(f"{self.name}: cannot be read ({error.strerror})") from error
            reason = os.strerror(error.errno or 0) if known else "disk error"
            raise AudioError(f"{self.name}: cannot be read ({reason})") from error

    def check_values(self, block: npt.NDArray[np.floating[Any]]) -> None:
        """Raise AudioError for NaN, infinite and far too large samples."""
        if block.size and not (block.max() <= MAX_LEVEL and block.min() >= -MAX_LEVEL):  # NaN too
            raise AudioError(f"{self.name}: holds NaN or infinite samples, or far too large ones")

    def _samples(self, file: MemoryFile | DiskFile | CloudReader) -> RawSamples | StretchSamples:
        if self.stretch is None:
            return RawSamples(file, self.name)
        return StretchSamples(file, self.name, self.stretch, self.on_skip)

    def _open(self) -> MemoryFile | DiskFile | CloudReader:
        if isinstance(self.source, CloudFile):
            return self.source.reader(self.on_skip)
        return DiskFile(self.source) if isinstance(self.source, Path) else MemoryFile(self.source)

    def _check_format(self, info: SoundInfo) -> None:
        if not MIN_RATE <= info.sample_rate <= MAX_RATE:
            raise AudioError(
                f"{self.name}: sample rate: expected {MIN_RATE} to {MAX_RATE} Hz, "
                f"got {info.sample_rate}"
            )
        if not 1 <= info.channels <= MAX_CHANNELS:
            raise AudioError(
                f"{self.name}: channels: expected 1 to {MAX_CHANNELS}, got {info.channels}"
            )

    def _measured(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        """Measure the loudness of blocks [n, channels] as they pass."""
        meter: LoudnessMeter | None = None
        for block in blocks:
            if meter is None:
                meter = LoudnessMeter(self.info.sample_rate, block.shape[1])
            meter.add(block)
            yield block
        self.info.loudness = meter.loudness() if meter else None

    def _checked(self, native: Iterator[Samples]) -> Iterator[Samples]:
        """Count, hash and check the samples at the file's rate as they pass."""
        digest = hashlib.sha256()
        for block in native:
            self.check_values(block)
            self.info.frames += len(block)
            if self.max_seconds is not None and self.info.duration > self.max_seconds:
                raise AudioError(
                    f"{self.name}: expected at most {self.max_seconds:g} s of sound, got more"
                )
            if self.max_seconds is not None and (
                self.info.frames * self.info.channels > self.max_seconds * MAX_RATE
            ):
                raise AudioError(
                    f"{self.name}: expected at most {self.max_seconds * MAX_RATE:.0f} samples in "
                    f"all channels, got more"
                )
            digest.update(block.tobytes())
            yield block
        self.info.sha256 = digest.hexdigest()

    def _resampled(self, native: Iterator[Samples]) -> Iterator[Samples]:
        if self.info.sample_rate == self.sample_rate:
            yield from native
            return
        stream = soxr.ResampleStream(
            self.info.sample_rate, self.sample_rate, num_channels=1, dtype="float32"
        )
        for block in native:
            yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
        yield np.asarray(
            stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True), dtype=np.float32
        )


class ArrayReader(SoundReader):
    """Reads one sound whose samples lie in memory, once.

    `samples`: floating, in about [-1, 1], [n] or [channels, n], at `rate` Hz, a whole number.
    Raises AudioError for others.
    """

    def __init__(
        self,
        samples: npt.NDArray[np.floating[Any]],
        rate: int,
        sample_rate: int,
        name: str = "array",
    ) -> None:
        super().__init__(b"", sample_rate, name)
        if samples.ndim not in (1, 2) or not np.issubdtype(samples.dtype, np.floating):
            raise AudioError(
                f"{name}: expected floating samples, [n] or [channels, n], "
                f"got {samples.dtype} of shape {samples.shape}"
            )
        if not isinstance(rate, int | float | np.number) or rate % 1:
            raise AudioError(f"{name}: sample rate: expected a whole number of Hz, got {rate!r}")
        self._channels = np.atleast_2d(samples)
        self._rate = rate

    def blocks(self) -> Iterator[Samples]:
        """As `SoundReader.blocks`."""
        self.info = SoundInfo(self._rate, len(self._channels))
        self._check_format(self.info)
        with np.errstate(over="ignore"):  # what becomes infinite is refused
            samples = self._channels.T.astype(np.float32, copy=False)
        yield from self._mixed(iter([samples]))


def _check_file(path: Path, name: str) -> None:
    try:
        if not path.is_file():
            raise AudioError(f"{name}: no such file")
        if path.stat().st_size == 0:
            raise AudioError(f"{name}: empty file")
        with path.open("rb"):
            pass
    except PermissionError as error:
        raise AudioError(f"{name}: no permission to read it") from error
    except OSError as error:
        raise AudioError(f"{name[:60]}: {error.strerror}") from error


def decode(source: Source, sample_rate: int, name: str = "file") -> Samples:
    """The whole sound at once, mono float32 at `sample_rate`. Raises AudioError."""
    return np.concatenate(list(SoundReader(source, sample_rate, name).blocks()))
