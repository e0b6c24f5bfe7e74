"""A sound file → its samples, all channels: libsndfile first, FFmpeg for what it does not read.

libsndfile reads wav, flac, ogg, mp3 and more. FFmpeg (PyAV) reads the other formats, and goes on
where libsndfile fails, gives nothing, or ends before what the file announces: joined files, files
of unknown length, broken ones. What cannot be decoded is left out, and its length told.

Messages are our own: a decoder's may hold paths. Axes: n = samples.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earmark.model.audio.formats import DEMUXERS, HEAD, format_of
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.structure import (
    BinaryFile,
    holds_more_mpeg,
    mpeg_frame_bytes,
    mpeg_structure,
    next_flac,
    structure_of,
)
from earmark.model.core.errors import AudioError

if TYPE_CHECKING:
    import av.audio.frame
    import av.audio.stream
    import av.container
    import av.packet

Samples = npt.NDArray[np.float32]

BLOCK_SECONDS = 20.0
BLOCK_VALUES = 8_000_000  # at most, samples times channels in a block: bounds memory
MAX_POSITION = 2**62
MIN_BAD_PACKETS = 50  # more than these, and more than good ones: the sound is refused
SLACK_SECONDS = 0.1  # encoders announce up to this more than they hold
MIN_DAMAGE = 0.005  # seconds; less is not told
MAX_FRAMES = 2**53  # libsndfile gives more for an unknown length
EXACT_LENGTHS = frozenset(("flac", "mov,mp4,m4a,3gp,3g2,mj2", "wv", "tta", "ape", "mpc8"))
FRAMED = frozenset(("mp3", "aac"))  # streams of frames that follow each other directly


class MemoryFile(io.BytesIO):
    """Bytes as a file whose position stays where it is after an impossible seek.

    libsndfile and FFmpeg follow the offsets of broken files and cannot handle an exception.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


class DiskFile(io.FileIO):
    """A file on disk, with the same seek."""

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position."""
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError, OSError):
            return self.tell()


class PartFile(io.RawIOBase):
    """The bytes from `start` to `end` of a file, as a file. One part is read at a time."""

    def __init__(self, file: BinaryFile, start: int, end: int) -> None:
        self._file, self._start, self._size = file, start, max(end - start, 0)
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """The new position; the old one after an impossible seek."""
        base = (0, self._position, self._size)[whence]
        if 0 <= base + offset <= MAX_POSITION:
            self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 (any buffer)
        """Read into a buffer; returns the bytes read."""
        view = memoryview(buffer).cast("B")
        count = min(len(view), max(self._size - self._position, 0))
        self._file.seek(self._start + self._position)
        data = self._file.read(count) or b""
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


class RawSamples:
    """Reads a file's samples once, from its start to its end.

    `info` holds rate and channels at once, and what is `damaged` at the end. Raises AudioError
    where no reader knows the file. To be closed.
    """

    def __init__(self, file: BinaryFile, name: str) -> None:
        self._whole, self._name = file, name
        self._structure = structure_of(file)
        self._joined = self._structure.joined
        if self._joined:  # libsndfile or FFmpeg may refuse it, or read a part of it
            file = PartFile(file, 0, self._joined[0])
            self._structure = structure_of(file)
        self._file = file
        self._resources = ExitStack()
        self._stream: FfmpegStream | None = None
        self._sound = self._open_soundfile()
        if self._sound is None:
            self._stream = self._resources.enter_context(FfmpegStream(file, name))
            self.info = SoundInfo(self._stream.sample_rate, self._stream.channels)
        else:
            self.info = SoundInfo(self._sound.samplerate, self._sound.channels)

    def __enter__(self) -> RawSamples:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _open_soundfile(self) -> soundfile.SoundFile | None:
        self._file.seek(0)
        # By its descriptor where it has one: libsndfile then reads the disk itself.
        source = self._file.fileno() if isinstance(self._file, DiskFile) else self._file
        try:
            return self._resources.enter_context(soundfile.SoundFile(source, closefd=False))
        except soundfile.LibsndfileError:
            return None

    def blocks(self) -> Iterator[Samples]:
        """Blocks [n, channels] at the file's rate; the number of channels may change.

        Raises AudioError if most of the sound is broken.
        """
        heard, announced = 0, 0.0
        if self._sound is not None:
            failed = False
            try:
                for block in _soundfile_blocks(self._sound):
                    heard += len(block)
                    yield block
            except soundfile.LibsndfileError:
                failed = True
            position = self._file.tell()
            if (flac := next_flac(self._file, position)) is not None:
                self._joined = (flac,)
            if self._sound.frames < MAX_FRAMES:
                announced = self._sound.frames / self.info.sample_rate
            short = heard / self.info.sample_rate < announced - SLACK_SECONDS / 2
            if failed or not heard or short or holds_more_mpeg(self._file, position):
                self._open_stream()
        if self._stream is not None:
            announced = self._stream.exact_seconds or announced
            for block in self._stream.blocks(self.info.sample_rate, skip=heard):
                if not heard:  # where files were joined, FFmpeg may tell the last one's
                    self.info.channels = block.shape[1]
                heard += len(block)
                yield block
        self._finish(heard / self.info.sample_rate, announced)
        if self._joined:
            yield from self._joined_blocks(heard / self.info.sample_rate)

    def _open_stream(self) -> None:
        """Open the file once more, for what libsndfile did not read."""
        with suppress(AudioError):  # a format that only libsndfile knows
            self._stream = self._resources.enter_context(FfmpegStream(self._file, self._name))

    def _finish(self, heard: float, announced: float) -> None:
        """Tell the damage, in seconds. Raises AudioError where nothing could be decoded."""
        structure, bad = self._structure, 0.0
        if self._stream is not None:
            bad = self._stream.bad_seconds
            if self._stream.is_framed:
                structure = mpeg_structure(self._file)
        damaged = bad + structure.lost / max(structure.sound, 1) * heard
        if announced - heard > SLACK_SECONDS:
            damaged = max(damaged, announced - heard)
        if damaged >= MIN_DAMAGE:
            self.info.damaged += round(damaged, 3)
        if not heard and damaged:
            raise AudioError(f"{self._name}: broken, none of it can be decoded")

    def _joined_blocks(self, heard: float) -> Iterator[Samples]:
        """The blocks of further files that were joined to this one, at this one's rate; `heard`:
        this one's seconds."""
        size = self._whole.seek(0, io.SEEK_END)
        for start, end in pairwise((*self._joined, size)):
            try:
                with RawSamples(PartFile(self._whole, start, end), self._name) as part:
                    yield from _at_rate(part.blocks(), part.info.sample_rate, self.info.sample_rate)
                    self.info.damaged += part.info.damaged
            except AudioError:  # as long as its bytes would be in the first one
                self.info.damaged += round(heard * (end - start) / self._joined[0], 3)


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    size = min(int(BLOCK_SECONDS * sound.samplerate), BLOCK_VALUES // sound.channels)
    while len(block := sound.read(size, dtype="float32", always_2d=True)):
        yield block


def _at_rate(blocks: Iterator[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    """The blocks [n, channels] at another rate."""
    stream: soxr.ResampleStream | None = None
    channels = 0
    for block in blocks:
        if rate == wanted:
            yield block
            continue
        if stream is None or block.shape[1] != channels:
            channels = block.shape[1]
            stream = soxr.ResampleStream(rate, wanted, num_channels=channels, dtype="float32")
        yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
    if stream is not None:
        rest = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
        yield np.asarray(rest, dtype=np.float32).reshape(-1, channels)


class FfmpegStream:
    """The first audio stream of a file, decoded by FFmpeg. Raises AudioError if there is none.

    `exact_seconds`: the length that its container tells, 0 where it only guesses; `is_framed`: it
    has no container, its frames follow each other directly; `bad_seconds`: what could not be
    decoded.
    """

    def __init__(self, file: BinaryFile, name: str) -> None:
        import av
        import av.error

        self._file, self._name = file, name
        self._good_packets = self._bad_packets = 0
        self.bad_seconds = 0.0
        file.seek(0)
        self._head = file.read(HEAD) or b""
        file.seek(0)
        try:
            # Only containers, read from an open file: a playlist must not open what it names.
            self._container = av.open(
                file,
                mode="r",
                options={"format_whitelist": DEMUXERS, "protocol_whitelist": "none"},
                metadata_errors="replace",
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise AudioError(
                f"{name}: not a sound this can read ({_reason(self._head)})"
            ) from error
        if not self._container.streams.audio:
            self._container.close()
            raise AudioError(f"{name}: holds no audio stream")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise AudioError(f"{name}: its audio codec is not supported")
        self.sample_rate = self._stream.sample_rate or 0
        self.channels = self._stream.channels or 0
        self.exact_seconds = 0.0
        self.is_framed = self._container.format.name in FRAMED
        if self._container.format.name in EXACT_LENGTHS and self._stream.duration:
            self.exact_seconds = float(self._stream.duration * (self._stream.time_base or 0))

    def __enter__(self) -> FfmpegStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def blocks(self, sample_rate: int, skip: int = 0) -> Iterator[Samples]:
        """Blocks [n, channels] at a rate in Hz, of about a second, without the first `skip`
        samples. The number of channels may change. Raises AudioError if most of it is broken."""
        gathered: list[Samples] = []
        count = 0
        for block in self._resampled(sample_rate):
            piece = block[min(skip, len(block)) :]
            skip -= len(block) - len(piece)
            if gathered and (count >= sample_rate or piece.shape[1] != gathered[0].shape[1]):
                yield np.concatenate(gathered)
                gathered, count = [], 0
            if len(piece):
                gathered.append(piece)
                count += len(piece)
        if gathered:
            yield np.concatenate(gathered)

    def _resampled(self, sample_rate: int) -> Iterator[Samples]:
        import av

        kind: tuple[object, ...] | None = None
        resampler: av.AudioResampler | None = None
        for frame in self._frames():
            # Joined files may differ; a resampler takes one kind.
            if (found := (frame.format.name, frame.layout.name, frame.sample_rate)) != kind:
                if resampler is not None:
                    yield from _planes(resampler.resample(None))
                kind, resampler = found, av.AudioResampler(format="fltp", rate=sample_rate)
            assert resampler is not None, "made with the first frame"
            yield from _planes(resampler.resample(frame))
        if resampler is not None:
            yield from _planes(resampler.resample(None))

    def _frames(self) -> Iterator[av.audio.frame.AudioFrame]:
        import av.error

        for packet in self._packets():
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                self._count_bad(packet)
            else:
                self._good_packets += 1
                yield from frames

    def _packets(self) -> Iterator[av.packet.Packet[av.audio.stream.AudioStream]]:
        """The packets, as far as the container can be followed: after its end may be a tag."""
        import av.error

        with suppress(av.error.FFmpegError):
            yield from self._container.demux(self._stream)

    def _count_bad(self, packet: av.packet.Packet[av.audio.stream.AudioStream]) -> None:
        self._bad_packets += 1
        if self._bad_packets > max(MIN_BAD_PACKETS, self._good_packets):
            raise AudioError(f"{self._name}: broken, most of it cannot be decoded")
        if self.is_framed and not mpeg_frame_bytes(bytes(packet)[:6]):
            return  # no frame: `mpeg_structure` counts it
        if packet.duration and packet.time_base:
            self.bad_seconds += float(packet.duration * packet.time_base)
        else:
            self.bad_seconds += MIN_DAMAGE


def _planes(frames: list[av.audio.frame.AudioFrame]) -> Iterator[Samples]:
    for frame in frames:
        yield np.asarray(frame.to_ndarray(), dtype=np.float32).T


def _reason(head: bytes) -> str:
    """Why no reader knows a file that begins with these bytes."""
    kind = format_of(head)
    if head[:3] == b"ID3":
        return "a tag without a sound after it"
    return f"a damaged {kind.name} file" if kind else "no format that it knows"
