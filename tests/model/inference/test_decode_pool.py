"""Reading in processes: the same windows as here; crashes, hangs and floods cost one sound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import psutil
import pytest

from earmark.model.audio.decode import SoundReader
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.audio.sound_info import SoundInfo
from earmark.model.core.errors import AudioError
from earmark.model.inference import decode_pool as readers_file
from earmark.model.inference.decode_pool import Block, DecodePool
from tests.model.audio import tagged
from tests.model.tiny import noise, tiny_config, write
from tests.processes import children


@pytest.fixture(scope="module")
def log_mel() -> LogMel:
    features = tiny_config("starter").features
    return LogMel(features, mel_filters(features))


def read(readers: DecodePool, source: Path | bytes) -> tuple[list[Block], SoundInfo]:
    *blocks, info = readers.read(source, "bark")
    assert isinstance(info, SoundInfo)
    return blocks, info


def reading() -> list[psutil.Process]:
    """The reading processes."""
    return children("earmark.model.inference.decode_pool")


def test_windows_are_those_read_here(log_mel: LogMel, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.tile(noise(10), 30))
    reader = SoundReader(path, log_mel.config.sample_rate)
    here = list(log_mel.windows(reader.blocks(), 64))
    with DecodePool(log_mel, 1) as readers:
        for source in (path, path.read_bytes()):
            blocks, info = read(readers, source)
            assert info == reader.info
            for block, (windows, starts) in zip(blocks, here, strict=True):
                # Another number of BLAS threads adds in another order.
                np.testing.assert_allclose(block.windows, windows, atol=2e-6)
                np.testing.assert_array_equal(block.starts, starts)


def test_a_process_goes_on_after_a_bad_sound(log_mel: LogMel, tmp_path: Path) -> None:
    good = write(tmp_path / "a.wav", noise(1.0))
    with DecodePool(log_mel, 1) as readers:
        read(readers, good)
        (first,) = reading()
        for bad in (b"rubbish", b"", tmp_path / "missing.wav"):
            with pytest.raises(AudioError, match=r"^bark: "):
                read(readers, bad)
        with pytest.raises(AudioError, match=r"expected at most 0\.5 s"):
            list(readers.read(good, "bark", 0.5))
        read(readers, good)
        assert reading() == [first]
    assert not first.is_running() or first.status() == psutil.STATUS_ZOMBIE


def test_a_process_that_is_killed_costs_one_sound(log_mel: LogMel, tmp_path: Path) -> None:
    long = write(tmp_path / "a.wav", np.tile(noise(10), 60))
    with DecodePool(log_mel, 1) as readers:
        messages = readers.read(long, "bark")
        next(messages)
        (process,) = reading()
        process.send_signal(signal.SIGKILL)
        with pytest.raises(AudioError, match="bark: decoding it crashed the decoder"):
            list(messages)
        assert read(readers, long)[1].duration == 600
        # One that dies while nobody reads costs nothing.
        (process,) = reading()
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        assert read(readers, long)[1].duration == 600


def test_a_sound_that_never_ends(
    log_mel: LogMel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "endless.wav")
    good = write(tmp_path / "a.wav", noise(1.0))
    with DecodePool(log_mel, 1) as readers:
        read(readers, good)
        (process,) = reading()
        process.suspend()
        with monkeypatch.context() as brief:  # too brief for the start of another process
            brief.setattr(readers_file, "SILENT_SECONDS", 0.5)
            with pytest.raises(AudioError, match=r"bark: decoding it took over 0\.5 s"):
                read(readers, good)
        read(readers, good)
        with pytest.raises(AudioError, match="no such file"):  # a pipe is not one
            read(readers, tmp_path / "endless.wav")


def test_reading_that_is_given_up_leaves_no_process_at_work(
    log_mel: LogMel, tmp_path: Path
) -> None:
    long = write(tmp_path / "a.wav", np.tile(noise(10), 60))
    with DecodePool(log_mel, 1) as readers:
        messages = readers.read(long, "bark")
        next(messages)
        (process,) = reading()
        messages.close()
        assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        assert read(readers, long)[1].duration == 600


def test_many_threads_share_few_processes(log_mel: LogMel, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{n}.wav", noise(0.5 + 0.1 * n, seed=n)) for n in range(8)]
    found: dict[int, float] = {}
    with DecodePool(log_mel, 2) as readers:

        def work(number: int) -> None:
            found[number] = read(readers, paths[number])[1].duration

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(reading()) <= 2
    assert found == {n: pytest.approx(0.5 + 0.1 * n, abs=1e-3) for n in range(8)}


ASKING = """
import sys, time
from pathlib import Path
from earmark.model.config import FeatureConfig
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.inference.decode_pool import DecodePool

config = FeatureConfig()
readers = DecodePool(LogMel(config, mel_filters(config)), 1)
list(readers.read(Path(sys.argv[1]), "bark"))
print("ready", flush=True)
time.sleep(60)
"""


def test_processes_end_with_whoever_asked(tmp_path: Path) -> None:
    """Also when that one is killed."""
    sound = write(tmp_path / "a.wav", noise(1.0))
    file = tmp_path / "asks.py"
    file.write_text(ASKING)
    command = [sys.executable, file, sound]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "ready\n"
        children = psutil.Process(asking.pid).children(recursive=True)
        assert len(children) == 1
        asking.kill()
    deadline = time.monotonic() + 60
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def metadata_of(readers: DecodePool, path: Path) -> FileMetadata:
    *messages, info = readers.read(path, "rain", with_metadata=True)
    assert isinstance(info, SoundInfo)
    return next((one for one in messages if isinstance(one, FileMetadata)), FileMetadata())


def test_metadata_comes_along_where_it_is_asked_for(log_mel: LogMel, tmp_path: Path) -> None:
    path = tagged.tag(tagged.encode(tmp_path / "a.flac"))
    with DecodePool(log_mel, 1) as readers:
        assert metadata_of(readers, path) == tagged.SAYS
        assert not any(isinstance(one, FileMetadata) for one in readers.read(path, "rain"))
        assert metadata_of(readers, write(tmp_path / "a.wav", noise(0.3))) == FileMetadata()


@pytest.mark.slow
def test_metadata_that_takes_too_much_is_none(
    log_mel: LogMel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A sound is no worse for a tag that takes gigabytes, or minutes, to read."""
    sound = tagged.encode(tmp_path / "a.mp3").read_bytes()
    texts = zlib.compressobj(1)
    bomb = b"".join(texts.compress(bytes(1 << 20)) for _ in range(400)) + texts.flush()
    frames = {
        "bomb": [tagged.id3_frame("TXXX", b"\x3e\x80\0\0" + bomb, flags=0x80)],
        "many": [tagged.id3_frame("TIT2", f"\0{number}".encode()) for number in range(60_000)],
    }
    with DecodePool(log_mel, 1) as readers:
        for name, parts in frames.items():
            path = tmp_path / f"{name}.mp3"
            path.write_bytes(tagged.id3_tag(3, *parts) + sound)
            assert metadata_of(readers, path) == FileMetadata()
        (process,) = reading()
        assert process.memory_info().rss < 300e6
        good = tagged.tag(tagged.encode(tmp_path / "a.flac"))
        assert metadata_of(readers, good) == tagged.SAYS
        assert reading() == [process]
    assert capfd.readouterr() == ("", "")
