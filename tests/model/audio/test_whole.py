"""Every file is read whole: joined, unfinished, tagged and cut ones, in every format."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.formats import DEMUXERS, FORMATS, SUFFIXES, format_of, media_type
from earmark.model.audio.mpeg_frames import mpeg_frame_bytes
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.errors import AudioError
from tests.model.audio import writers
from tests.model.audio.writers import apev2, id3v1, id3v2, write

RATE = 32_000
# Encoders add up to this at an end, in seconds: frames of 1,152 or 1,536 samples.
SLACK = 0.06
# Joined files of these keep the silence that encoders put around each part.
PADDED = {"mp3": 0.06, "lame": 0.06, "aac": 0.08, "mp2": 0.06, "ac3": 0.06, "eac3": 0.06}
JOINABLE = (*PADDED, *"wav wavex w64 rf64 aiff au caf flac vorbis opus ogg-opus".split())
# Formats that tell how long they are, so that a cut is known.
ANNOUNCED = "wav wav-float wavex rf64 w64 aiff au caf flac mp3 lame wv tta".split()


def info(source: bytes | Path) -> SoundInfo:
    """What is known after reading a sound to its end."""
    reader = SoundReader(source, RATE)
    for _ in reader.blocks():
        pass
    return reader.info


def seconds_by_pyav(data: bytes) -> float:
    """The length of a full decode by PyAV, with bad packets skipped."""
    seconds = 0.0
    with av.open(io.BytesIO(data), metadata_errors="replace") as container:
        packets = container.demux(container.streams.audio[0])
        while True:
            try:
                for frame in next(packets).decode():
                    seconds += frame.samples / frame.sample_rate
            except StopIteration:
                return seconds
            except av.error.FFmpegError:
                continue


@pytest.mark.parametrize(
    ("name", "seconds", "channels", "damaged"),
    [
        ("a.ogg", 3.0, 1, 0.0),
        ("antiphase-left.wav", 5.0, 1, 0.0),
        ("antiphase.wav", 5.0, 2, 0.0),
        ("chained.opus", 12.0, 2, 0.0),
        ("concat_same.mp3", 6.06, 1, 0.0),
        ("flac-unknown-length.flac", 6.0, 2, 0.0),
        ("junkzeros.mp3", 12.07, 2, 0.26),
        ("latin1-title.m4a", 2.02, 1, 0.0),
        ("path-leak.aac", 6.0, 2, 0.0),
        ("radio_cut.aac", 3.25, 2, 0.03),
        ("trunc_base.flac", 3.9, 2, 2.1),
        ("wav_size0.wav", 6.0, 2, 0.0),
    ],
)
@pytest.mark.parametrize("as_bytes", [False, True], ids=["path", "bytes"])
def test_kept_cases(
    shared: Path, name: str, seconds: float, channels: int, damaged: float, as_bytes: bool
) -> None:
    path = shared / "cases" / name
    found = info(path.read_bytes() if as_bytes else path)
    assert found.duration == pytest.approx(seconds, abs=0.02)
    assert found.channels == channels
    assert found.damaged == pytest.approx(damaged, abs=0.02)


def test_a_tag_without_sound(shared: Path) -> None:
    with pytest.raises(AudioError, match=r"not a sound this can read \(a tag without a sound"):
        info(shared / "cases" / "id3-only.mp3")
    with pytest.raises(AudioError, match="a tag without a sound"):
        info(id3v2(padding=1_000))


def test_channels_out_of_phase_are_heard_as_one_of_them_alone(shared: Path) -> None:
    both, left = (info(shared / "cases" / f"antiphase{end}.wav") for end in ("", "-left"))
    assert both.sha256 == left.sha256


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", writers.FORMATS)
def test_every_format_is_read_whole(kind: str, channels: int) -> None:
    written = write(kind, 0.9, channels=channels)
    found = info(written.data)
    assert found.duration == pytest.approx(written.seconds, abs=SLACK)
    assert (found.channels, found.damaged) == (channels, 0.0)
    if kind in writers.LOSSLESS:
        assert found.frames == written.seconds * written.rate
    assert found.duration == pytest.approx(seconds_by_pyav(written.data), abs=0.05)


@pytest.mark.parametrize("kind", JOINABLE)
def test_joined_files_are_read_to_the_end(kind: str) -> None:
    rate = 32_000 if "ac3" in kind else 22_050
    parts = [write(kind, 0.8, channels=2), write(kind, 0.6, rate, seed=1), write(kind, 0.5, seed=2)]
    found = info(b"".join(part.data for part in parts))
    assert found.duration == pytest.approx(1.9, abs=0.02 + 3 * PADDED.get(kind, 0.0))
    assert (found.sample_rate, found.channels) == (parts[0].rate, 2)
    assert found.damaged < 0.06


def test_of_joined_ogg_and_flac_no_sample_is_lost() -> None:
    for kind in ("flac", "opus", "vorbis"):
        one, other = write(kind, 0.8, 48_000), write(kind, 0.6, 48_000, seed=1)
        frames = info(one.data).frames + info(other.data).frames
        assert info(one.data + other.data).frames == frames, kind
        assert info(3 * one.data).frames == 3 * info(one.data).frames, kind


@pytest.mark.parametrize("kind", ANNOUNCED)
def test_a_cut_file_keeps_what_is_there_and_tells_what_is_not(kind: str) -> None:
    written = write(kind, 3.0, channels=2)
    found = info(written.data[: len(written.data) // 2])
    assert 0.9 < found.duration < 1.6
    assert found.duration + found.damaged == pytest.approx(3.0, abs=SLACK)


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
def test_a_cut_ogg_tells_of_its_last_page(kind: str) -> None:
    data = write(kind, 3.0).data
    assert info(data[: (data.rindex(b"OggS") + len(data)) // 2]).damaged > 0


@pytest.mark.parametrize("kind", ["mp3", "lame", "aac", "flac", "wv", "wav", "vorbis"])
def test_tags_are_no_damage(kind: str) -> None:
    data = write(kind, 0.6).data
    plain = info(data)
    endings = [id3v1(), apev2(), apev2(cover=50_000) + id3v1()]
    for ending in endings if kind != "wav" else endings[:1]:
        found = info(data + ending)
        assert (found.frames, found.damaged) == (plain.frames, 0.0)
    if kind in ("mp3", "lame", "aac", "flac"):
        for title in (
            b"\x00caf\xe9",
            b"\x01\xff\xfec\0a\0",
            b"\x03\xff\xff",
            b"\x00" + b"x" * 5_000,
        ):
            found = info(id3v2(title, padding=2_000) + data + id3v1())
            assert found.duration == pytest.approx(plain.duration, abs=0.001)
            assert found.damaged == 0


@pytest.mark.parametrize("kind", ["mp3", "mp2", "aac"])
@pytest.mark.parametrize("gap", [b"\0" * 5_000, b"\xff" * 3_000, b"no sound " * 500])
def test_a_gap_between_frames_is_told(kind: str, gap: bytes) -> None:
    one, other = write(kind, 1.0, channels=2), write(kind, 1.0, channels=2, seed=1)
    found = info(one.data + gap + other.data)
    assert found.duration == pytest.approx(2.0, abs=0.15)
    assert 0.05 < found.damaged < 0.6


def wav_with_size(size: int) -> bytes:
    """A WAV of 1 s whose header announces `size` bytes of samples."""
    data = write("wav", 1.0).data
    start = data.index(b"data") + 4
    return data[:start] + size.to_bytes(4, "little") + data[start + 4 :]


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000])
def test_a_wav_that_was_never_finished(size: int) -> None:
    found = info(wav_with_size(size))
    assert (found.duration, found.damaged) == (1.0, 0.0)


def test_mostly_broken_sounds_are_refused() -> None:
    data = bytearray(write("m4a", 4.0).data)
    start = data.index(b"mdat") + 4
    end = len(data) - 3_000
    data[start:end] = np.random.default_rng(0).integers(0, 256, end - start, np.uint8).tobytes()
    with pytest.raises(AudioError, match="cannot be decoded"):
        info(bytes(data))


def test_the_formats_are_those_that_the_readers_know() -> None:
    known = {name for names in av.formats_available for name in (names, *names.split(","))}
    demuxers = [name for kind in FORMATS for name in kind.demuxers]
    assert set(demuxers) <= known
    assert ",".join(demuxers) == DEMUXERS
    suffixes = [suffix for kind in FORMATS for suffix in kind.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(SUFFIXES)
    for suffix in ".mka .3gp .m4b .wv .tta .ape .mpc .spx .ac3 .aifc .caf .mp4 .mkv".split():
        assert suffix in SUFFIXES
    assert media_type(".MP3") == "audio/mpeg"
    assert media_type(".txt") == "application/octet-stream"


@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "aiff", "caf", "au", "w64", "voc"])
def test_formats_are_known_by_their_first_bytes(kind: str) -> None:
    found = format_of(write(kind, 0.1).data[:64])
    assert found is not None
    assert kind.upper()[:3] in found.name.upper().replace("WAVE64", "W64").replace("OGG", "VORBIS")


@dataclass(frozen=True)
class Plan:
    """A file to make: parts of one format (seconds, Hz, channels), tags around them, a cut."""

    kind: str
    parts: tuple[tuple[float, int, int], ...]
    before: int
    after: int
    cut: float

    def make(self) -> bytes:
        """The file."""
        data = b"".join(write(self.kind, *part, seed).data for seed, part in enumerate(self.parts))
        if self.kind in ("mp3", "lame", "aac"):
            data = (b"", id3v2(), id3v2(padding=500))[self.before] + data
            data += (b"", id3v1(), apev2(cover=2_000))[self.after]
        return data[: int(len(data) * self.cut)]


PARTS = st.tuples(st.floats(0.2, 0.8), st.sampled_from([32_000, 44_100]), st.integers(1, 2))
PLANS = st.builds(
    Plan,
    st.sampled_from(JOINABLE),
    st.lists(PARTS, min_size=1, max_size=3).map(tuple),
    st.integers(0, 2),
    st.integers(0, 2),
    st.one_of(st.just(1.0), st.floats(0.1, 0.99)),
)


@settings(max_examples=50, deadline=None)
@given(PLANS)
def test_any_chain_is_as_long_as_what_was_written(plan: Plan) -> None:
    data = plan.make()
    try:
        found = info(data)
    except AudioError as error:
        assert plan.cut < 1, "a whole file is read"
        assert os.sep not in str(error)
        return
    if plan.cut == 1:
        expected = sum(seconds for seconds, _, _ in plan.parts)
        assert found.duration == pytest.approx(expected, abs=0.02 + 0.08 * len(plan.parts))
        assert found.damaged < 0.06
        return
    if plan.kind == "au" and len(plan.parts) > 1:
        return  # PyAV hears the second one's header, and its channels, as sound
    try:
        reference = seconds_by_pyav(data)
    except (av.error.FFmpegError, ValueError, IndexError):
        return
    # Of MPEG audio, libmpg123 may have read past two last frames of another kind.
    slack = 0.08 if plan.kind in ("mp2", "mp3", "lame") else 0.05
    assert found.duration > reference - slack or found.damaged > 0


def test_a_joined_part_that_cannot_be_read_is_told() -> None:
    one, other = write("vorbis", 1.0).data, bytearray(write("vorbis", 1.0, seed=1).data)
    other[28:36] = b"nonsense"
    found = info(one + bytes(other))
    assert found.duration == pytest.approx(1.0, abs=0.02)
    assert found.damaged == pytest.approx(1.0, abs=0.2)


def zeroed(data: bytes, begin: float, end: float) -> bytes:
    """The bytes with a stretch of them, in shares of their number, blanked."""
    first, last = int(begin * len(data)), int(end * len(data))
    return data[:first] + bytes(last - first) + data[last:]


@pytest.mark.parametrize("kind", ["vorbis", "opus"])
@pytest.mark.parametrize("seconds", [6.0, 30.0])
def test_after_a_gap_in_an_ogg_nothing_is_heard_twice(kind: str, seconds: float) -> None:
    found = info(zeroed(write(kind, seconds).data, 0.4, 0.5))
    assert 0.7 * seconds < found.duration < 0.96 * seconds
    assert found.duration + found.damaged == pytest.approx(seconds, rel=0.1)


@pytest.mark.parametrize("kind", ["webm", "flv"])
def test_containers_whose_headers_tell_the_length_tell_what_is_lost(kind: str) -> None:
    data = write(kind, 6.0).data
    for damaged in (data[: len(data) * 2 // 3], zeroed(data, 0.5, 0.7)):
        found = info(damaged)
        assert found.duration + found.damaged > 5.7
        assert found.damaged > 0.3


def test_parts_are_read_apart() -> None:
    flac, opus = write("flac", 2.0).data, write("opus", 2.0).data
    endless = flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]
    assert info(endless).duration == 2.0
    assert info(endless + flac).duration == 4.0
    half = info(flac[: len(flac) // 2] + flac)
    assert half.duration + half.damaged == pytest.approx(4.0, abs=0.01)
    assert info(2 * (id3v2(padding=99) + flac)).duration == 4.0
    cut = info(opus[:-100] + opus)
    assert cut.duration + cut.damaged == pytest.approx(4.0, abs=0.2)
    assert cut.duration > 3.5
    bad_first = info(opus[:28] + b"nonsense" + opus[36:] + opus)
    assert (bad_first.duration, bad_first.damaged) == pytest.approx((2.0, 2.0), abs=0.1)


@pytest.mark.parametrize(("kind", "count"), [("wav", 400), ("au", 200), ("flac", 150)])
def test_any_number_of_files_may_be_joined(kind: str, count: int) -> None:
    assert info(count * write(kind, 0.05).data).duration == pytest.approx(0.05 * count, abs=0.01)


def test_damage_is_never_absurd() -> None:
    data = write("aac", 2.0, channels=2).data
    spaced, position = b"", 0
    while position < len(data):
        length = mpeg_frame_bytes(data[position : position + 6])
        spaced += data[position : position + length] + b"\0"
        position += length
    assert info(spaced).damaged < 0.1
    flac = bytearray(write("flac", 1.0).data)
    flac[21] |= 0x0F
    assert info(bytes(flac)).damaged == 0
    pages = write("opus", 8.0).data
    later = pages.index(b"OggS", len(pages) // 2)
    headers = pages[: pages.index(b"OggS", pages.index(b"OpusTags"))]
    assert info(headers + pages[later:]).damaged < 0.1  # tuned in later: nothing is lost


@pytest.mark.parametrize("tag", [b"LYRICSBEGIN", b"ID3\3\0\0\0\0\0\0", b"APETAGEX", b"TAG"])
def test_tags_in_a_row_are_no_sound(tag: bytes) -> None:
    sound = write("mp3", 0.3).data
    found = info(sound + tag * 30_000)
    assert (found.duration, found.damaged) == (pytest.approx(0.3, abs=0.01), 0.0)


@pytest.mark.parametrize("layout", ["5.1", "7.1", "hexadecagonal"])
def test_many_channels_by_ffmpeg(layout: str) -> None:
    file = io.BytesIO()
    count = {"5.1": 6, "7.1": 8, "hexadecagonal": 16}[layout]
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream("pcm_s16le", rate=44_100, layout=layout)
        samples = (writers.tones(0.5, 44_100, count) * 30_000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = 44_100
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    found = info(file.getvalue())
    assert (found.channels, found.frames) == (count, 22_050)


def test_a_stream_that_ffmpeg_loses_count_of() -> None:
    data = bytearray(write("mpegts", 0.5).data)
    data[18], data[336], data[1130] = 0x14, 0x10, 0x81
    try:
        assert info(bytes(data)).duration < 0.6
    except AudioError as error:
        assert "file" in str(error)
