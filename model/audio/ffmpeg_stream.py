"""A sound file as FFmpeg (PyAV) reads it, packet by packet.

What cannot be decoded is skipped and counted. Messages are our own: FFmpeg's may hold paths.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earmark.model.audio.byte_scanner import BinaryFile
from earmark.model.audio.formats import DEMUXERS, HEAD, format_of
from earmark.model.audio.mpeg_frames import mpeg_frame_bytes
from earmark.model.core.errors import AudioError

if TYPE_CHECKING:
    import av.audio.frame
    import av.audio.stream
    import av.container
    import av.packet

Samples = npt.NDArray[np.float32]

MIN_BAD_PACKETS = 50  # more than these, and more than good ones: the sound is refused
BAD_PACKET_SECONDS = 0.005  # of one that does not tell its length
SLACK_SECONDS = 0.1  # encoders announce up to this more than they hold
EXACT_LENGTHS = frozenset(("flac", "mov,mp4,m4a,3gp,3g2,mj2", "wv", "tta", "ape", "mpc8"))
HEADER_LENGTHS = frozenset(("matroska,webm", "asf", "avi", "flv"))
HEADER_SLACK = 0.2  # seconds that those may tell too much
FRAMED = frozenset(("mp3", "aac"))  # streams of frames that follow each other directly


class FfmpegStream:
    """The first audio stream of a file, decoded by FFmpeg. Raises AudioError if there is none.

    `exact_seconds`: the length that its container tells, 0 where it only guesses; `slack`: by how
    much that may be too long; `is_framed`: it has no container, its frames follow each other
    directly; `encoding`: libsndfile's name of how its samples can be held; `bad_seconds`: what
    could not be decoded.
    """

    def __init__(self, file: BinaryFile, name: str) -> None:
        import av
        import av.error

        self._name = name
        self._good_packets = self._bad_packets = 0
        self.bad_seconds = 0.0
        file.seek(0)
        head = file.read(HEAD) or b""
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
            raise AudioError(f"{name}: not a sound this can read ({_reason(head)})") from error
        if not self._container.streams.audio:
            self._container.close()
            raise AudioError(f"{name}: holds no audio stream")
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None:
            self._container.close()
            raise AudioError(f"{name}: its audio codec is not supported")
        self.sample_rate = self._stream.sample_rate or 0
        self.channels = self._stream.channels or 0
        self.encoding = _encoding(self._stream.codec_context)
        self.exact_seconds, self.slack = 0.0, SLACK_SECONDS
        self.is_framed = self._container.format.name in FRAMED
        if self._container.format.name in EXACT_LENGTHS and self._stream.duration:
            self.exact_seconds = float(self._stream.duration * (self._stream.time_base or 0))
        elif (
            self._container.format.name in HEADER_LENGTHS
            and self._container.duration
            and len(self._container.streams) == 1  # else the video may be longer
        ):
            self.exact_seconds = self._container.duration / av.time_base
            self.slack = HEADER_SLACK

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
        import av.error

        kind: tuple[object, ...] | None = None
        resampler: av.AudioResampler | None = None
        with suppress(av.error.FFmpegError):  # a frame that no resampler takes ends the sound
            for frame in self._frames():
                # Joined files may differ; a resampler takes one kind.
                if (found := (frame.format.name, frame.layout.name, frame.sample_rate)) != kind:
                    if resampler is not None:
                        yield from _arrays(resampler.resample(None))
                    kind, resampler = found, av.AudioResampler(format="flt", rate=sample_rate)
                assert resampler is not None, "made with the first frame"
                yield from _arrays(resampler.resample(frame))
            if resampler is not None:
                yield from _arrays(resampler.resample(None))

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

        with suppress(av.error.FFmpegError, IndexError):
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
            self.bad_seconds += BAD_PACKET_SECONDS


def _arrays(frames: list[av.audio.frame.AudioFrame]) -> Iterator[Samples]:
    # Packed: PyAV crashes on planes of more than seven channels.
    for frame in frames:
        samples = np.asarray(frame.to_ndarray(), dtype=np.float32)
        yield samples.reshape(-1, frame.layout.nb_channels)


def _encoding(codec: av.AudioCodecContext) -> str:
    """libsndfile's name of how a decoder's samples can be held: of 24 or 32 bits, as floats."""
    kind = codec.format.name.removesuffix("p") if codec.format else ""
    return {"u8": "PCM_U8", "s16": "PCM_16"}.get(kind, "FLOAT")


def _reason(head: bytes) -> str:
    """Why no reader knows a file that begins with these bytes."""
    kind = format_of(head)
    if head[:3] == b"ID3":
        return "a tag without a sound after it"
    return f"a damaged {kind.name} file" if kind else "no format that it knows"
