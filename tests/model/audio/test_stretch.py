"""A stretch of a sound has the samples of the whole there, in every format, wherever it begins."""

from __future__ import annotations

import functools
import io
import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from earmark.model.audio.decode import SoundReader, decode
from earmark.model.audio.raw_samples import MemoryFile, RawSamples
from earmark.model.audio.stretch import Entry, Stretch
from earmark.model.core.errors import AudioError, InputError
from tests.model.audio import writers
from tests.model.tiny import noise

RATE = 32_000
SECONDS = 3.0
PLACES = ((0.0, 0.5), (0.7501, 1.2503), (2.9, 3.0), (1.0, math.inf), (2.0, 99.0))


def whole(data: bytes) -> np.ndarray:
    """All samples [n, channels], read from start to end."""
    with RawSamples(MemoryFile(data), "bark") as raw:
        return np.concatenate(list(raw.blocks()))


def samples(data: bytes | Path, start: float, end: float, entry: Entry = "plain") -> np.ndarray:
    """The samples [n, channels] of a stretch."""
    with SoundReader(Stretch(data, start, end, entry), RATE, "bark").opened() as raw:
        return np.concatenate(list(raw.blocks()))


def as_wav(samples: np.ndarray, subtype: str) -> bytes:
    """A file of these samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype=subtype, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("kind", writers.FORMATS)
def test_every_format_has_the_samples_of_the_whole(kind: str) -> None:
    written = writers.write(kind, SECONDS, RATE, 2)
    rate, decoded = written.rate, whole(written.data)
    for start, end in PLACES:
        first, last = round(start * rate), round(min(end, 99) * rate)
        for entry in ("plain", "undamaged"):
            found = samples(written.data, start, end, entry)
            np.testing.assert_array_equal(found, decoded[first:last], err_msg=f"{start}-{end}")


@pytest.mark.parametrize("kind", ["vorbis", "opus", "mp3"])
def test_near_is_nearly_the_same(kind: str) -> None:
    written = writers.write(kind, SECONDS, RATE, 2)
    found = samples(written.data, 1.5, 2.5, "near")
    expected = whole(written.data)[round(1.5 * written.rate) : round(2.5 * written.rate)]
    assert len(found) == len(expected)
    correlation = np.corrcoef(found[:, 0], expected[:, 0])[0, 1]
    assert correlation > 0.99


WIDE = [
    (container, subtype)
    for container in soundfile.available_formats()
    for subtype in ("PCM_32", "DOUBLE")
    if container not in ("RAW", "SD2") and soundfile.check_format(container, subtype)
]


@pytest.mark.parametrize(("container", "subtype"), WIDE)
def test_more_bits_than_floats_hold_stay(container: str, subtype: str) -> None:
    file = io.BytesIO()
    values = np.random.default_rng(0).uniform(-1, 1, (RATE, 2))
    soundfile.write(file, values, RATE, subtype=subtype, format=container)
    exact, _ = soundfile.read(io.BytesIO(file.getvalue()), dtype="float64")
    for end in (0.5, 1.0, 99.0, math.inf):
        found = samples(file.getvalue(), 0.25, end)
        np.testing.assert_array_equal(found, exact[8_000 : round(min(end, 1) * RATE)])


@pytest.mark.parametrize(
    ("name", "entry", "seconds"),
    [
        ("a.wav", "plain", 5), ("a.WAV", "near", 5), ("a.flac", "plain", 3_605),
        ("a.flac", "undamaged", 5), ("a.mp3", "undamaged", 3_605), ("a.mp3", "near", 5),
        ("a.m4a", "near", 3_605), ("wav", "near", 3_605),
    ],
)  # fmt: skip
def test_what_is_decoded_for_a_stretch(name: str, entry: Entry, seconds: float) -> None:
    assert Stretch(Path(name), 3_600, 3_605, entry).decoded_seconds == seconds
    assert Stretch(b"", 3_600, 3_605, entry).decoded_seconds == 3_605


@functools.cache
def made(kind: str) -> tuple[bytes, np.ndarray]:
    """A file of noise with clicks, and all its samples."""
    clicks = noise(SECONDS, RATE)
    clicks[:: RATE // 5] = 0.9
    if kind == "m4a-alac":
        data = writers.write(kind, SECONDS, RATE).data
    else:
        container, subtype = writers.BY_SOUNDFILE[kind]
        file = io.BytesIO()
        soundfile.write(file, clicks, RATE, format=container, subtype=subtype)
        data = file.getvalue()
    return data, whole(data)


@given(
    places=st.tuples(st.floats(0, 2.9), st.floats(0.0001, 2)),
    kind=st.sampled_from(("wav", "flac", "vorbis", "m4a-alac")),
)
@example(places=(2.875, 0.125), kind="vorbis")  # in the last page
def test_any_stretch_is_a_slice(places: tuple[float, float], kind: str) -> None:
    data, decoded = made(kind)
    start, end = places[0], places[0] + places[1]
    expected = decoded[round(start * RATE) : round(end * RATE)]
    if len(expected):
        np.testing.assert_array_equal(samples(data, start, end, "undamaged"), expected)


def test_the_end_of_a_long_vorbis_file() -> None:
    """Of more samples than its last page can have."""
    file, rate = io.BytesIO(), 8_000
    with soundfile.SoundFile(file, "w", rate, 1, "VORBIS", format="OGG") as sound:
        for block in np.split(noise(140, rate), 140):  # more at once crashes libsndfile
            sound.write(block)
    decoded = whole(file.getvalue())
    for start in (*np.linspace(0, 139, 8), *np.linspace(139, 139.99, 12)):
        found = samples(file.getvalue(), start, start + 0.01, "undamaged")
        first = round(start * rate)
        np.testing.assert_array_equal(found, decoded[first : round((start + 0.01) * rate)])


def test_a_file_is_read_like_its_bytes(tmp_path: Path) -> None:
    written = writers.write("flac", SECONDS, RATE, 2)
    (tmp_path / "a.flac").write_bytes(written.data)
    found = samples(tmp_path / "a.flac", 1.0, 2.0, "undamaged")
    np.testing.assert_array_equal(found, samples(written.data, 1.0, 2.0))


@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis"])
def test_stretches_of_joined_sounds(kind: str) -> None:
    one, two = (writers.write(kind, 1.0, RATE, seed=seed) for seed in (1, 2))
    joined = one.data + two.data
    decoded = whole(joined)
    assert len(decoded) == pytest.approx(2 * RATE, rel=0.02)
    for start, end in ((0.2, 0.4), (0.5, 1.5), (1.2, 1.4)):
        found = samples(joined, start, end, "plain")
        np.testing.assert_array_equal(found, decoded[round(start * RATE) : round(end * RATE)])


def test_a_stretch_after_damage_is_that_of_the_whole() -> None:
    """Broken frames are left out, so what follows comes earlier than the file's own numbers say."""
    data = bytearray(writers.write("flac", 12.0, RATE).data)
    middle = len(data) // 3
    data[middle : middle + 3_000] = bytes(3_000)
    decoded = whole(bytes(data))
    assert len(decoded) < 12 * RATE
    found = samples(bytes(data), 8.0, 9.0)
    np.testing.assert_array_equal(found, decoded[8 * RATE : 9 * RATE])


def test_it_is_embedded_as_the_sound_that_it_is() -> None:
    """The same mono samples as those of a file that holds nothing else."""
    left = noise(SECONDS, RATE)
    stereo = np.stack([left, -left], axis=1)  # each channel cancels the other
    data, alone = as_wav(stereo, "FLOAT"), as_wav(stereo[24_000:60_000], "FLOAT")
    part = decode(Stretch(data, 0.75, 1.875), 22_050)
    np.testing.assert_array_equal(part, decode(alone, 22_050))


def test_what_is_before_is_told_while_it_is_skipped() -> None:
    skipped: list[None] = []
    minute = writers.write("flac", 90.0, 8_000)
    stretch = Stretch(minute.data, 80.0, 81.0)
    reader = SoundReader(stretch, 8_000, on_skip=lambda: skipped.append(None))
    assert sum(map(len, reader.blocks())) == 8_000
    assert len(skipped) >= 3


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        (-1.0, 2.0, "start: expected 0 seconds or more, got -1"),
        (math.nan, 2.0, "start: expected 0 seconds or more, got nan"),
        (math.inf, math.inf, "start: expected 0 seconds or more, got inf"),
        (2.0, 2.0, "end: expected seconds after the start, 2, got 2"),
        (2.0, 1.0, "end: expected seconds after the start, 2, got 1"),
        (0.0, math.nan, "end: expected seconds after the start, 0, got nan"),
    ],
)
def test_times_that_are_no_stretch(start: float, end: float, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Stretch(b"", start, end)


@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "m4a"])
def test_a_stretch_behind_the_end(kind: str) -> None:
    data = writers.write(kind, SECONDS, RATE).data
    for start in (3.2, 50.0, 1e300):
        with pytest.raises(InputError, match=r"start: expected less than the sound's 3"):
            decode(Stretch(data, start), RATE)


def test_limits_count_the_stretch() -> None:
    data = writers.write("wav", SECONDS, RATE).data
    assert sum(map(len, SoundReader(Stretch(data, 2, 3), RATE, max_seconds=1).blocks())) == RATE
    for stretch, says in (
        (Stretch(data, 1, 3), r"bark: expected at most 1 s of sound, got more"),
        (Stretch(data, 1, 1.001), r"bark: expected at least 5 ms of sound, got 32 samples"),
        (Stretch(b"no sound", 1, 2), r"bark: not a sound"),
    ):
        with pytest.raises(AudioError, match=says):
            list(SoundReader(stretch, RATE, "bark", 1).blocks())
