"""A file that is cut out holds the samples of the whole, and is what other programs read."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.audio import cut as module
from earmark.model.audio.cut import Cut, Kind
from earmark.model.audio.decode import SoundReader
from earmark.model.audio.raw_samples import MemoryFile, RawSamples
from earmark.model.audio.stretch import Stretch
from earmark.model.core.errors import AudioError, InputError
from tests.model.audio import writers
from tests.model.tiny import noise

RATE = 16_000
START, END = 0.5, 1.25
PLACE = slice(round(START * RATE), round(END * RATE))


def encoded(samples: np.ndarray, subtype: str = "PCM_16", container: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, subtype=subtype, format=container)
    return file.getvalue()


def cut(
    data: bytes, kind: Kind = "wav", start: float = START, end: float = END, within: bool = True
) -> bytes:
    """The file that is cut out, and that its announced size is right."""
    one = Cut(SoundReader(Stretch(data, start, end), RATE, "bark"), kind, is_within=within)
    found = b"".join(one.pieces())
    assert one.size in (None, len(found))
    return found if within else one.head() + found[len(one.head()) :]


def read(data: bytes) -> tuple[np.ndarray, str]:
    """A file's samples [n, channels] in full precision, and their encoding."""
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return file.read(dtype="float64", always_2d=True), file.subtype


@pytest.mark.parametrize(
    ("container", "subtype", "wav", "flac"),
    [
        ("WAV", "PCM_U8", "PCM_U8", "PCM_16"),
        ("AIFF", "PCM_S8", "PCM_U8", "PCM_16"),
        ("WAV", "PCM_16", "PCM_16", "PCM_16"),
        ("WAV", "ULAW", "PCM_16", "PCM_16"),
        ("WAV", "PCM_24", "PCM_24", "PCM_24"),
        ("FLAC", "PCM_24", "PCM_24", "PCM_24"),
        ("CAF", "ALAC_24", "PCM_24", "PCM_24"),
        ("WAV", "PCM_32", "PCM_32", ""),
        ("WAV", "FLOAT", "FLOAT", ""),
        ("WAV", "DOUBLE", "DOUBLE", ""),
        ("OGG", "VORBIS", "FLOAT", ""),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_samples_are_those_of_the_whole(
    container: str, subtype: str, wav: str, flac: str, channels: int
) -> None:
    loud = np.stack([noise(2.0, RATE, seed) for seed in range(channels)], axis=1).astype(float)
    loud[PLACE.start + 7] = 1.0  # full scale, which no integer of a kind holds
    loud[PLACE.start + 9] = -1.0
    data = encoded(loud, subtype, container)
    expected = read(data)[0][PLACE]
    found, encoding = read(cut(data))
    assert encoding == wav
    np.testing.assert_array_equal(found, expected)
    found, encoding = read(cut(data, "flac"))
    assert encoding == (flac or "PCM_24")
    # FLAC rounds floats to 24 bits, and clips them.
    limited = np.clip(expected, -1, 1 - 2.0**-23)
    np.testing.assert_allclose(found, limited, rtol=0, atol=0 if flac else 2.0**-24)


@pytest.mark.parametrize("kind", [kind for kind in writers.FORMATS if kind in writers.BY_PYAV])
def test_what_ffmpeg_reads_is_cut_too(kind: str) -> None:
    written = writers.write(kind, 1.5, 48_000, 2)
    with RawSamples(MemoryFile(written.data), kind) as raw:
        expected = np.concatenate(list(raw.blocks()))[24_000:60_000]
    np.testing.assert_array_equal(read(cut(written.data))[0], expected)


def test_floats_over_full_scale_do_not_wrap() -> None:
    wide = 20.0 * noise(2.0, RATE).astype(np.float64)
    data = encoded(wide, "FLOAT")
    np.testing.assert_array_equal(read(cut(data))[0], read(data)[0][PLACE])
    found = read(cut(data, "flac"))[0]
    expected = np.clip(read(data)[0][PLACE], -1, 1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2.0**-22)
    assert abs(expected).max() == 1


def test_other_programs_read_it(tmp_path: Path) -> None:
    data = encoded(np.stack([noise(2.0, RATE, seed) for seed in (1, 2)], axis=1))
    with wave.open(io.BytesIO(cut(data))) as plain:
        assert plain.getparams()[:4] == (2, 2, RATE, PLACE.stop - PLACE.start)
    for kind in ("wav", "flac"):
        with RawSamples(MemoryFile(cut(data, kind)), "cut") as raw:  # sees no damage
            assert sum(map(len, raw.blocks())) == PLACE.stop - PLACE.start
            assert raw.info.damaged == 0
    import av

    for kind in ("wav", "flac"):
        with av.open(io.BytesIO(cut(data, kind))) as container:
            assert container.duration == pytest.approx(0.75 * av.time_base, rel=1e-4)
            samples = sum(frame.samples for frame in container.decode(audio=0))
            assert samples == PLACE.stop - PLACE.start


def test_an_odd_number_of_bytes_is_padded() -> None:
    data = encoded(noise(1.0, RATE), "PCM_U8")
    found = cut(data, start=0.0, end=101 / RATE)
    assert len(found) % 2 == 0
    assert len(read(found)[0]) == 101


@pytest.mark.parametrize("kind", ["wav", "flac"])
@pytest.mark.parametrize("end", [1.25, 2.0, 500.0, float("inf")])
def test_a_stretch_whose_end_is_not_known(kind: Kind, end: float) -> None:
    """Its head is put right at the end."""
    data = encoded(noise(2.0, RATE))
    found = cut(data, kind, 0.5, end, within=False)
    expected = read(data)[0][PLACE.start : round(min(end, 2.0) * RATE)]
    np.testing.assert_array_equal(read(found)[0], expected)
    with soundfile.SoundFile(io.BytesIO(found)) as file:
        assert file.frames == len(expected)


def test_a_sound_that_ends_too_early_is_not_whole() -> None:
    for kind in ("wav", "flac"):
        with pytest.raises(AudioError, match="bark: expected 24000 samples in the stretch, got"):
            cut(encoded(noise(1.0, RATE)), kind, 0.5, 2.0)
    with pytest.raises(InputError, match="expected a stretch with a sample in it"):
        cut(encoded(noise(1.0, RATE)), start=0.5, end=0.500001)


def test_what_is_too_large_for_wav_is_rf64(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(2.0, RATE))
    monkeypatch.setattr(module, "MAX_RIFF", 10_000)
    for within in (True, False):
        found = cut(data, within=within)
        assert found[:4] == b"RF64"
        np.testing.assert_array_equal(read(found)[0], read(data)[0][PLACE])
        assert read(cut(data, end=0.6, within=within))[0].shape == (1_600, 1)


def test_a_joined_sound_keeps_its_channels() -> None:
    mono, stereo = (writers.write("wav", 1.0, RATE, channels).data for channels in (1, 2))
    found, encoding = read(cut(stereo + mono, start=0.9, end=1.1))
    assert (found.shape, encoding) == ((3_200, 2), "FLOAT")
    np.testing.assert_array_equal(found[1_600:, 0], found[1_600:, 1])
    np.testing.assert_array_equal(found[1_600:, 0], read(mono)[0][:1_600, 0])
    found, _ = read(cut(mono + stereo, start=0.9, end=1.1))
    np.testing.assert_allclose(found[1_600:, 0], read(stereo)[0][:1_600].mean(axis=1), atol=1e-7)


def test_what_flac_cannot_hold() -> None:
    nine = np.stack([noise(1.5, RATE, seed) for seed in range(9)], axis=1)
    with pytest.raises(InputError, match=r"format: FLAC holds at most 8 channels .* has 9 at"):
        cut(encoded(nine), "flac")
    assert read(cut(encoded(nine)))[0].shape == (12_000, 9)


def test_samples_that_are_no_numbers() -> None:
    bad = noise(2.0, RATE)
    bad[PLACE.start + 5] = np.nan
    for kind in ("wav", "flac"):
        with pytest.raises(AudioError, match="bark: holds NaN or infinite samples"):
            cut(encoded(bad, "FLOAT"), kind)


def test_pieces_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(noise(20.0, RATE))
    whole = cut(data, start=1.0, end=19.0)
    monkeypatch.setattr(module, "PIECE_VALUES", 4_096)
    one = Cut(SoundReader(Stretch(data, 1.0, 19.0), RATE, "bark"), "wav", is_within=True)
    pieces = list(one.pieces())
    assert max(map(len, pieces)) < 10_000
    assert b"".join(pieces) == whole
