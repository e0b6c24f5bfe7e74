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

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from earmark.model.audio.byte_scanner import BinaryFile
from earmark.model.audio.ffmpeg_stream import SLACK_SECONDS, FfmpegStream
from earmark.model.audio.mpeg_frames import holds_more_mpeg, mpeg_structure
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.audio.structure import Structure, structure_of
from earmark.model.core.errors import AudioError
from earmark.model.core.positioned_file import PositionedFile

Samples = npt.NDArray[np.float32]

BLOCK_SECONDS = 20.0
BLOCK_VALUES = 8_000_000  # at most, samples times channels in a block: bounds memory
MIN_DAMAGE = 0.005  # seconds; less is not told
MAX_DAMAGE = 86_400.0  # seconds; more is not believed
MIN_FRAMES = 16_384  # in a block, where fewer are announced
MAX_FRAMES = 2**53  # libsndfile gives more for an unknown length


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


class PartFile(PositionedFile):
    """The bytes from `start` to `end` of a file, as a file. One part is read at a time."""

    def __init__(self, file: BinaryFile, start: int, end: int) -> None:
        super().__init__(max(end - start, 0))
        self._file, self._start = file, start

    def _bytes(self, first: int, end: int) -> bytes:
        self._file.seek(self._start + first)
        return self._file.read(max(min(end, self._size) - first, 0)) or b""


class RawSamples:
    """Reads a file's samples once, from its start to its end; of joined files one after the other.

    `info` holds rate and channels at once, and what is `damaged` at the end; `encoding`:
    libsndfile's name of how the file holds its samples, "" where several files are joined. Raises
    AudioError where no reader knows the file. To be closed.
    """

    def __init__(self, file: BinaryFile, name: str) -> None:
        self._file, self._name = file, name
        structure = structure_of(file)
        size = file.seek(0, io.SEEK_END)
        self._parts = list(pairwise((0, *structure.joined, size)))
        self._lost = 0  # bytes of parts that no reader knows
        self._resources = ExitStack()
        self._first = (
            self._open_first()
            if structure.joined
            else self._resources.enter_context(_Part(file, name, structure))
        )
        self.info = self._first.info
        self.encoding = "" if structure.joined else self._first.encoding

    def __enter__(self) -> RawSamples:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def _open_first(self) -> _Part:
        """The first part that a reader knows."""
        while True:
            start, end = self._parts[0]
            try:
                return self._resources.enter_context(self._open(start, end))
            except AudioError:
                if len(self._parts) == 1:
                    raise
            self._lost += end - start
            del self._parts[0]

    def _open(self, start: int, end: int) -> _Part:
        part = PartFile(self._file, start, end)
        return _Part(part, self._name, structure_of(part))

    def blocks(self) -> Iterator[Samples]:
        """Blocks [n, channels] at the file's rate; the number of channels may change.

        Raises AudioError if most of the sound is broken.
        """
        heard = 0
        for block in self._first.blocks():
            heard += len(block)
            yield block
        for start, end in self._parts[1:]:
            try:
                with self._open(start, end) as part:
                    yield from _at_rate(part.blocks(), part.info.sample_rate, self.info.sample_rate)
                    self.info.damaged += part.info.damaged
            except AudioError:
                self._lost += end - start
        start, end = self._parts[0]  # what was lost is as long as its bytes would be there
        seconds = heard / self.info.sample_rate * self._lost / max(end - start, 1)
        self.info.damaged = round(self.info.damaged + seconds, 3)


class SequentialSoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """A file that is read on from where it is: soundfile would seek after each block to where it
    should be by its samples, which in an Ogg with a gap is elsewhere."""

    def seekable(self) -> bool:
        """False."""
        return False


def open_soundfile(file: BinaryFile, resources: ExitStack) -> SequentialSoundFile | None:
    """The file as libsndfile reads it, which `resources` closes; None where it cannot."""
    file.seek(0)
    # By its descriptor where it has one: libsndfile then reads the disk itself.
    source = file.fileno() if isinstance(file, DiskFile) else file
    try:
        sound: SequentialSoundFile = resources.enter_context(
            SequentialSoundFile(source, closefd=False)
        )
    except soundfile.LibsndfileError:
        return None
    return sound


class _Part:
    """Reads a file that holds one sound. `info`, `encoding`, and what is raised: as of
    RawSamples."""

    def __init__(self, file: BinaryFile, name: str, structure: Structure) -> None:
        self._file, self._name, self._structure = file, name, structure
        self._resources = ExitStack()
        self._stream: FfmpegStream | None = None
        self._sound = open_soundfile(file, self._resources)
        if self._sound is None:
            self._stream = self._resources.enter_context(FfmpegStream(file, name))
            self.info = SoundInfo(self._stream.sample_rate, self._stream.channels)
            self.encoding = self._stream.encoding
        else:
            self.info = SoundInfo(self._sound.samplerate, self._sound.channels)
            self.encoding = self._sound.subtype

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def blocks(self) -> Iterator[Samples]:
        """Blocks [n, channels] at the file's rate; the number of channels may change."""
        heard, announced = 0, 0.0
        if self._sound is not None:
            failed = False
            try:
                for block in _soundfile_blocks(self._sound):
                    heard += len(block)
                    yield block
            except soundfile.LibsndfileError:
                failed = True
            if self._sound.frames < MAX_FRAMES:
                announced = self._sound.frames / self.info.sample_rate
            short = heard / self.info.sample_rate < announced - SLACK_SECONDS / 2
            is_mpeg = self._sound.format == "MP3"
            more = is_mpeg and holds_more_mpeg(self._file, self._file.tell())
            if failed or not heard or short or more:
                self._open_stream()
        if self._stream is not None:
            announced = self._stream.exact_seconds or announced
            for block in self._stream.blocks(self.info.sample_rate, skip=heard):
                if not heard:  # where files were joined, FFmpeg may tell the last one's
                    self.info.channels = block.shape[1]
                heard += len(block)
                yield block
        self._finish(heard / self.info.sample_rate, announced)

    def _open_stream(self) -> None:
        """Open the file once more, for what libsndfile did not read."""
        with suppress(AudioError):  # a format that only libsndfile knows
            self._stream = self._resources.enter_context(FfmpegStream(self._file, self._name))

    def _finish(self, heard: float, announced: float) -> None:
        """Tell the damage, in seconds. Raises AudioError where nothing could be decoded."""
        structure, bad, slack = self._structure, 0.0, SLACK_SECONDS
        if self._stream is not None:
            bad, slack = self._stream.bad_seconds, self._stream.slack
            if self._stream.is_framed:
                structure = mpeg_structure(self._file)
        damaged = bad + structure.lost / max(structure.sound, 1) * heard
        if announced - heard > slack:
            damaged = max(damaged, announced - heard)
        if damaged > MAX_DAMAGE:  # a header that makes no sense
            damaged = bad
        if damaged >= MIN_DAMAGE:
            self.info.damaged = round(damaged, 3)
        if not heard and damaged:
            raise AudioError(f"{self._name}: broken, none of it can be decoded")


def block_frames(sound: soundfile.SoundFile) -> int:
    """How many samples of each channel are read at a time."""
    return min(int(BLOCK_SECONDS * sound.samplerate), BLOCK_VALUES // int(sound.channels))


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[Samples]:
    size = block_frames(sound)
    left = sound.frames if sound.frames < MAX_FRAMES else size
    # Not much more than is there: libsndfile blanks the rest of what it is given.
    while len(
        block := sound.read(min(size, max(left, MIN_FRAMES)), dtype="float32", always_2d=True)
    ):
        yield block
        left -= len(block)


def _at_rate(blocks: Iterator[Samples], rate: int, wanted: int) -> Iterator[Samples]:
    """The blocks [n, channels] at another rate."""
    stream: soxr.ResampleStream | None = None
    channels = 0
    for block in blocks:
        if rate == wanted:
            yield block
            continue
        if stream is None or block.shape[1] != channels:
            yield from _rest(stream, channels)
            channels = block.shape[1]
            stream = soxr.ResampleStream(rate, wanted, num_channels=channels, dtype="float32")
        yield np.asarray(stream.resample_chunk(block), dtype=np.float32)
    yield from _rest(stream, channels)


def _rest(stream: soxr.ResampleStream | None, channels: int) -> Iterator[Samples]:
    """What a resampler still holds."""
    if stream is not None:
        rest = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)
        yield np.asarray(rest, dtype=np.float32).reshape(-1, channels)
