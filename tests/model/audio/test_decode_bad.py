"""Decoding what is no sound, or broken: an AudioError that says so, or a result; nothing else."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from earmark.model.audio.decode import SoundReader, decode
from earmark.model.core.errors import AudioError
from tests.model.tiny import ALL_KINDS, RATE, sine, write_sine


def test_text_named_wav(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_text("this is no sound\n" * 100)
    with pytest.raises(AudioError, match=r"^bark: not a sound this can read"):
        decode(path, RATE, "bark")
    with pytest.raises(AudioError, match=r"^file: not a sound this can read"):
        decode(path.read_bytes(), RATE)


def test_missing_file_folder_and_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    with pytest.raises(AudioError, match=r"^bark: no such file$"):
        decode(tmp_path / "none.wav", RATE, "bark")
    with pytest.raises(AudioError, match="no such file"):
        decode(tmp_path, RATE)
    with pytest.raises(AudioError, match=r"^bark: empty file$"):
        decode(tmp_path / "empty.wav", RATE, "bark")
    with pytest.raises(AudioError, match="empty, expected the bytes of a sound"):
        decode(b"", RATE)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_unreadable_file(tmp_path: Path) -> None:
    path = write_sine(tmp_path, "a.wav")
    path.chmod(0)
    with pytest.raises(AudioError, match="no permission to read it"):
        decode(path, RATE)


@pytest.mark.parametrize("count", [0, 1, 50])
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_next_to_no_samples(tmp_path: Path, count: int, kind: str) -> None:
    path = tmp_path / "a"
    soundfile.write(path, np.zeros(count), 44_100, format=kind)
    empty = path.stat().st_size == 0  # what libsndfile makes of a FLAC without samples
    reason = "empty" if empty else f"expected at least 5 ms of sound, got {count} samples"
    with pytest.raises(AudioError, match=reason):
        decode(path, RATE)


def test_five_milliseconds_are_enough(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(110), RATE)
    assert len(decode(tmp_path / "a.wav", RATE)) == 110


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -3e9])
def test_nan_and_infinite_samples(tmp_path: Path, value: float) -> None:
    samples = sine(0.5)
    samples[3000] = value
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match="holds NaN or infinite samples"):
        decode(tmp_path / "a.wav", RATE)


def wav(rate: int, channels: int, data: bytes) -> bytes:
    """A 16-bit PCM wav with whatever header."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("rate", [100, 2_000_000])
def test_impossible_rates(rate: int) -> None:
    with pytest.raises(AudioError, match=f"sample rate: expected 1000 to 768000 Hz, got {rate}"):
        decode(wav(rate, 1, bytes(20_000)), RATE)


def test_too_many_channels() -> None:
    with pytest.raises(AudioError, match="channels: expected 1 to 64, got 65"):
        decode(wav(44_100, 65, bytes(65 * 2 * 1000)), RATE)


def test_a_declared_length_is_not_believed() -> None:
    honest = wav(RATE, 1, sine(0.5).astype("<f2").tobytes())
    lying = honest.replace(
        b"data" + struct.pack("<I", 22_000), b"data" + struct.pack("<I", 2**31 - 2)
    )
    assert lying != honest
    np.testing.assert_array_equal(decode(lying, RATE), decode(honest, RATE))


def test_samples_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"\x01\x02" * 5000)
    with pytest.raises(AudioError, match="not a sound this can read"):
        decode(path, RATE)


def test_a_bomb_of_many_channels_is_bounded_as_its_seconds_are() -> None:
    silence = io.BytesIO()
    soundfile.write(silence, np.zeros((192_000 * 2, 8), np.float32), 192_000, format="FLAC")
    bomb = silence.getvalue()
    assert len(bomb) < 10_000
    with pytest.raises(AudioError, match="at most 1536000 samples in all channels, got more"):
        list(SoundReader(bomb, RATE, "file", max_seconds=2.0).blocks())
    assert len(decode(bomb, RATE)) == 2 * RATE  # without a limit all is read


def test_offsets_to_nowhere_are_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    sound = io.BytesIO()
    soundfile.write(sound, sine(0.5), RATE, format="AIFF")
    data = bytearray(sound.getvalue())
    data[27:30], data[38:40] = bytes(3), b"\x01\x00"  # the sound's chunk is not found
    data[56:120] = bytes(64)
    for offset in range(40, 64):
        for wrong in (b"\xff\xff\xff\xff", b"\x80\x00\x00\x00", b"\x00\x00\x00\x01"):
            broken = bytes(data[:offset] + wrong + data[offset + 4 :])
            try_decode(broken)
    assert "Traceback" not in capfd.readouterr().err


def test_a_playlist_fetches_nothing(tmp_path: Path) -> None:
    secret = write_sine(tmp_path, "a.m4a")
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n"
    path = tmp_path / "list.m3u8"
    path.write_text(text)
    for source in (path, text.encode(), f"ffconcat version 1.0\nfile {secret}\n".encode()):
        with pytest.raises(AudioError, match="not a sound this can read"):
            decode(source, RATE)


def test_an_unknown_codec_in_a_known_container(tmp_path: Path) -> None:
    data = write_sine(tmp_path, "a.webm").read_bytes()
    with pytest.raises(AudioError, match="its audio codec is not supported"):
        decode(data.replace(b"A_OPUS", b"A_XPUS"), RATE)
    with pytest.raises(AudioError, match="broken, most of it cannot be decoded"):
        decode(data.replace(b"A_OPUS", b"A_FLAC"), RATE)


def try_decode(data: bytes) -> int:
    """Samples decoded, or 0 where it is refused; any other exception fails the test."""
    try:
        samples = decode(data, RATE)
    except AudioError as error:
        assert "\n" not in str(error)
        return 0
    assert np.isfinite(samples).all()
    return len(samples)


@pytest.mark.parametrize("name", ALL_KINDS)
def test_truncated_files(tmp_path: Path, name: str) -> None:
    data = write_sine(tmp_path, name).read_bytes()
    whole = try_decode(data)
    assert whole >= 0.9 * RATE
    cuts = np.unique(np.linspace(1, len(data) - 1, 40).astype(int))
    assert all(try_decode(data[:cut]) <= whole + 1 for cut in cuts)


MAGIC = [
    b"",
    b"RIFF\x24\x00\x00\x00WAVEfmt ",
    b"fLaC\x00\x00\x00\x22",
    b"OggS\x00\x02",
    b"ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x64",
    b"\xff\xf1\x50\x80",
    b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01",
    b"\x00\x00\x00\x1cftypM4A \x00\x00\x02\x00",
    b"FORM\x00\x00\x00\x20AIFFCOMM",
    b"caff\x00\x01\x00\x00desc",
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MAGIC), st.binary(max_size=2000))
def test_random_bytes(magic: bytes, rest: bytes) -> None:
    try_decode(magic + rest)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sounds")
    return [write_sine(folder, name, 0.3).read_bytes() for name in ALL_KINDS]


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    which=st.integers(0, len(ALL_KINDS) - 1),
    flips=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.booleans()), max_size=8),
    keep=st.floats(0.05, 1),
)
def test_damaged_files(
    files: list[bytes], which: int, flips: list[tuple[float, int, bool]], keep: float
) -> None:
    data = bytearray(files[which])
    for offset, value, in_header in flips:
        size = min(len(data), 200) if in_header else len(data)
        data[int(offset * (size - 1))] = value
    try_decode(bytes(data[: max(1, int(keep * len(data)))]))
