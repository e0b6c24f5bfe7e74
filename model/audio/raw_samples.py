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
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile

from earmark.model.audio.formats import DEMUXERS, HEAD, format_of
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.structure import (
    TAGS,
    Structure,
    first_mpeg_frame,
    holds_more_sound,
    mpeg_frame_bytes,
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


class RawSamples:
    """Reads a file's samples once, from its start to its end.

    `info` holds rate and channels at once, and what is `damaged` at the end. Raises AudioError
    where no reader knows the file. To be closed.
    """

    def __init__(self, file: MemoryFile | DiskFile, name: str) -> None:
        self._file, self._name = file, name
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
        # By its descriptor where it has one: libsndfile then reads the disk itself.
        source = self._file if isinstance(self._file, MemoryFile) else self._file.fileno()
        try:
            return self._resources.enter_context(soundfile.SoundFile(source, closefd=False))
        except soundfile.LibsndfileError:
            return None

    def blocks(self) -> Iterator[Samples]:
        """Blocks [n, channels] at the file's rate. Raises AudioError if it is mostly broken."""
        heard, announced = 0, 0.0
        structure = Structure()
        if self._sound is not None:
            failed = False
            try:
                for block in self._soundfile_blocks(self._sound):
                    heard += len(block)
                    yield block
            except soundfile.LibsndfileError:
                failed = True
            position = self._file.tell()
            structure = structure_of(self._file)
            if self._sound.frames < MAX_FRAMES:
                announced = self._sound.frames / self.info.sample_rate
            more = structure.joined or holds_more_sound(self._file, position)
            short = heard / self.info.sample_rate < announced - SLACK_SECONDS / 2
            if failed or not heard or short or more:
                self._open_stream()
        if self._stream is not None:
            announced = self._stream.exact_seconds or announced
            for block in self._stream.blocks(self.info.sample_rate, skip=heard):
                heard += len(block)
                yield block
        self._finish(heard / self.info.sample_rate, announced, structure)

    def _soundfile_blocks(self, sound: soundfile.SoundFile) -> Iterator[Samples]:
        size = min(int(BLOCK_SECONDS * sound.samplerate), BLOCK_VALUES // sound.channels)
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            yield block

    def _open_stream(self) -> None:
        """Open the file once more, for what libsndfile did not read."""
        with suppress(AudioError):  # a format that only libsndfile knows
            self._stream = self._resources.enter_context(FfmpegStream(self._file, self._name))

    def _finish(self, heard: float, announced: float, structure: Structure) -> None:
        """Tell the damage, in seconds. Raises AudioError where nothing could be decoded."""
        damaged = structure.lost / max(structure.sound, 1) * heard
        if self._stream is not None:
            damaged += self._stream.damaged_seconds(heard)
        if announced - heard > SLACK_SECONDS:
            damaged = max(damaged, announced - heard)
        if damaged >= MIN_DAMAGE:
            self.info.damaged = round(damaged, 3)
        if not heard and damaged:
            raise AudioError(f"{self._name}: broken, none of it can be decoded")


class FfmpegStream:
    """The first audio stream of a file, decoded by FFmpeg. Raises AudioError if there is none.

    `exact_seconds`: the length that its container tells, 0 where it only guesses.
    """

    def __init__(self, file: MemoryFile | DiskFile, name: str) -> None:
        import av
        import av.error

        self._file, self._name = file, name
        self._good_packets = self._bad_packets = 0
        self._bad_seconds = 0.0
        self._frame_bytes = self._junk_bytes = 0  # of streams without a container
        file.seek(0)
        self._head = file.read(HEAD)
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
        self._is_framed = self._container.format.name in FRAMED
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

    def damaged_seconds(self, heard: float) -> float:
        """Seconds that could not be decoded, after `heard` seconds of sound."""
        return self._bad_seconds + self._junk_bytes / max(self._frame_bytes, 1) * heard

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
                if self._is_framed and packet.size:
                    self._count_junk(packet)
                yield from frames

    def _packets(self) -> Iterator[av.packet.Packet]:
        """The packets, as far as the container can be followed: after its end may be a tag."""
        import av.error

        with suppress(av.error.FFmpegError):
            yield from self._container.demux(self._stream)

    def _count_bad(self, packet: av.packet.Packet) -> None:
        self._bad_packets += 1
        if self._bad_packets > max(MIN_BAD_PACKETS, self._good_packets):
            raise AudioError(f"{self._name}: broken, most of it cannot be decoded")
        if packet.duration and packet.time_base:
            self._bad_seconds += float(packet.duration * packet.time_base)
        else:
            self._bad_seconds += MIN_DAMAGE

    def _count_junk(self, packet: av.packet.Packet) -> None:
        """Count the bytes before a packet's frame, tags aside."""
        data = bytes(packet)
        start = first_mpeg_frame(data)
        if not data.startswith(TAGS):
            self._junk_bytes += start
        if not self._frame_bytes:
            self._junk_bytes += self._bytes_before(packet)
        self._frame_bytes += len(data) - start

    def _bytes_before(self, first: av.packet.Packet) -> int:
        """The bytes before the first packet, which are neither a tag nor a frame of its own."""
        is_known = self._head.startswith(TAGS) or mpeg_frame_bytes(self._head)
        return 0 if is_known else first.pos or 0


def _planes(frames: list[av.audio.frame.AudioFrame]) -> Iterator[Samples]:
    for frame in frames:
        yield np.asarray(frame.to_ndarray(), dtype=np.float32).T


def _reason(head: bytes) -> str:
    """Why no reader knows a file that begins with these bytes."""
    kind = format_of(head)
    if head[:3] == b"ID3":
        return "a tag without a sound after it"
    return f"a damaged {kind.name} file" if kind else "no format that it knows"
