"""Audio files or bytes → mono float32 samples at a given rate, in bounded memory.

Samples are float32 in about [-1, 1]; rates in Hz; mono is the mean of the channels. soundfile reads
wav, flac, ogg, opus, mp3 and more; PyAV reads the formats that it does not know (webm, m4a, aac and
other browser recordings). Input is untrusted: lengths in headers are ignored, and limits act while
decoding. Axes: n = samples.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earmark.model.core.errors import AudioError

if TYPE_CHECKING:
    import av.audio.stream
    import av.container

Samples = npt.NDArray[np.float32]
Source = Path | bytes

BLOCK_SECONDS = 20.0
BLOCK_VALUES = 8_000_000  # at most, samples times channels in a block: bounds memory
MIN_SECONDS = 0.005
AV_FORMATS = (
    "matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,aac,loas,ac3,eac3,dts,mp3,ogg,flac,wav,w64,aiff,caf,au,"
    "asf,amr,amrnb,amrwb,ape,tta,wv,mpc,mpc8,flv,live_flv,avi,mpeg,mpegts"
)
MAX_CHANNELS = 64
MIN_RATE, MAX_RATE = 1_000, 768_000  # Hz; with max_seconds, MAX_RATE bounds all channels together


@dataclass
class SoundInfo:
    """A sound's format; complete once the sound is read to its end.

    `frames`: samples per channel; `sha256`: of the mono samples at the file's rate, equal for the
    same sound in another lossless container; `damaged`: seconds that could not be decoded and are
    left out.
    """

    sample_rate: int
    channels: int
    frames: int = 0
    sha256: str = ""
    damaged: float = 0.0

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate


def _mono(block: npt.NDArray[np.float32]) -> Samples:
    """Mean of the channels: [n, channels] → [n]."""
    return np.ascontiguousarray(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))


def _soundfile_blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    size = min(int(BLOCK_SECONDS * file.samplerate), BLOCK_VALUES // file.channels)
    while True:
        block = file.read(size, dtype="float32", always_2d=True)
        if not len(block):
            return
        yield _mono(block)


def _av_blocks(
    container: av.container.InputContainer, stream: av.audio.stream.AudioStream, rate: int
) -> Iterator[Samples]:
    import av

    resampler = av.AudioResampler(format="fltp", rate=rate)
    for packet in container.demux(stream):
        for frame in packet.decode():
            for out in resampler.resample(frame):
                yield _mono(np.asarray(out.to_ndarray(), dtype=np.float32).T)
    for out in resampler.resample(None):
        yield _mono(np.asarray(out.to_ndarray(), dtype=np.float32).T)


class _Bytes(io.BytesIO):
    """Bytes as a file whose position stays where it is after an impossible seek.

    libsndfile and FFmpeg follow the offsets of broken files and cannot handle an exception.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


class _File(io.FileIO):
    """A file on disk, with the same seek."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError, OSError):
            return self.tell()


@contextmanager
def _open(source: Source, name: str) -> Iterator[tuple[SoundInfo, Iterator[Samples]]]:
    """The sound's format and its mono blocks at the file's rate, from soundfile or PyAV."""
    try:
        file = soundfile.SoundFile(_Bytes(source) if isinstance(source, bytes) else source)
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).rstrip(".")
    except TypeError:  # soundfile raises it for a file named .raw
        reason = "samples without a header"
    else:
        with file:
            yield SoundInfo(file.samplerate, file.channels), _soundfile_blocks(file)
        return

    import av
    import av.error

    # Only containers, read from an open file: a playlist must not open the files that it names.
    options = {"format_whitelist": AV_FORMATS, "protocol_whitelist": "none"}
    with ExitStack() as stack:
        file = stack.enter_context(_Bytes(source) if isinstance(source, bytes) else _File(source))
        try:
            container = stack.enter_context(av.open(file, mode="r", options=options))
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioError(f"{name}: not a sound this can read ({reason})") from error
        if not container.streams.audio:
            raise AudioError(f"{name}: holds no audio stream")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise AudioError(f"{name}: its audio codec is not supported")
        info = SoundInfo(stream.sample_rate or 0, stream.channels or 0)
        try:
            yield info, _av_blocks(container, stream, info.sample_rate)
        except av.error.FFmpegError as error:
            raise AudioError(f"{name}: broken while reading ({error})") from error


class SoundReader:
    """Reads one sound once, in blocks of mono samples at `sample_rate`.

    `info` is complete when `blocks` has been read to its end.
    """

    def __init__(
        self,
        source: Source,
        sample_rate: int,
        name: str = "file",
        max_seconds: float | None = None,
    ) -> None:
        self.source = source
        self.sample_rate = sample_rate
        self.name = name
        self.max_seconds = max_seconds
        self.info = SoundInfo(sample_rate, 1)

    def blocks(self) -> Iterator[Samples]:
        """Mono float32 blocks at `sample_rate`.

        Raises AudioError for input that is not sound, or has no samples, is shorter than 5 ms,
        longer than `max_seconds`, or holds NaN or infinite samples.
        """
        if isinstance(self.source, Path):
            _check_file(self.source, self.name)
        elif not self.source:
            raise AudioError(f"{self.name}: empty, expected the bytes of a sound")
        try:
            with _open(self.source, self.name) as (info, native):
                self.info = info
                self._check_format(info)
                yield from self._resampled(self._checked(native))
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioError(f"{self.name}: broken while reading ({error})") from error
        if info.duration < MIN_SECONDS:
            raise AudioError(
                f"{self.name}: expected at least {MIN_SECONDS * 1000:g} ms of sound, "
                f"got {info.frames} samples at {info.sample_rate} Hz"
            )

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

    def _checked(self, native: Iterator[Samples]) -> Iterator[Samples]:
        """Count, hash and check the samples at the file's rate as they pass."""
        digest = hashlib.sha256()
        for block in native:
            if not np.isfinite(block).all():
                raise AudioError(f"{self.name}: holds NaN or infinite samples")
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
