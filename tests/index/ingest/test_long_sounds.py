"""Sounds of hours: their progress is told, they hold up no other sound, and memory is bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.index.catalogue.embedded_sound import SourceFile
from earmark.index.ingest import bulk, local
from earmark.index.library import Library
from earmark.model.core import progress
from earmark.model.inference import encode
from tests.conftest import ROOT
from tests.index import made
from tests.model.tiny import noise
from tests.processes import children

RATE = 8_000
PROGRAM = """
import json, sys
from functools import partial
from pathlib import Path
import psutil
from earmark.index.ingest import bulk, local
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.decode_pool import DecodePool

def peak(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

embedder = load_embedder(Path(sys.argv[2]))
with (
    Library.open(Path(sys.argv[1]), embedder, create=True) as library,
    DecodePool(embedder.front_end, 1) as readers,
):
    engine = partial(local.embed, processes=1, readers=readers)
    reports = []
    for sound in sys.argv[3:]:
        report = bulk.add(library, [Path(sound)], engine)
        assert len(report.added) == 1, report
        ours = psutil.Process()
        [decoding] = ours.children()
        reports.append([peak(ours), peak(decoding)])
print(json.dumps(reports))
"""


def silence(path: Path, minutes: int) -> Path:
    """A sound of so many minutes."""
    minute = np.zeros(60 * RATE, np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        for _ in range(minutes):
            file.write(minute)
    return path


def test_a_long_sound_is_told_as_it_is_heard(
    library: Library,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    bulk.add(library, [silence(tmp_path / "night.flac", 2)])
    first, *_, last = capsys.readouterr().err.splitlines()
    assert first.startswith("adding: 0/1 files, night.flac: 0:01:")
    assert first.endswith(" heard")
    assert last.startswith("adding: 1/1 files, ")


def test_what_is_done_does_not_wait_for_it(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "BATCH_SECONDS", 0.01)
    [short] = made.write_sounds(tmp_path, 1)
    long, written = silence(tmp_path / "night.flac", 2), threading.Event()

    def on_heard(file: SourceFile, _seconds: float) -> None:
        if file.path == long:
            assert written.wait(60)

    files = [SourceFile(short), SourceFile(long)]
    with closing(local.embed(library.embedder, files, 1, on_heard=on_heard)) as batches:
        assert [sound.file.path for sound in next(batches).sounds] == [short]
        written.set()
        assert [sound.file.path for sound in next(batches).sounds] == [long]


def test_it_is_embedded_as_it_is_alone(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encode, "GATHERED", 2)  # as of a sound of hours
    path = tmp_path / "night.flac"
    soundfile.write(path, np.tile(noise(20.0, RATE), 9), RATE)
    bulk.add(library, [path])
    [clip] = library.catalogue.clips()
    alone = library.embedder.embed_audio(path)
    np.testing.assert_allclose(library.catalogue.vector(clip.row), alone.vector, atol=1e-6)
    [(starts, windows)] = library.catalogue.windows([clip.row]).values()
    np.testing.assert_array_equal(starts, alone.starts)
    np.testing.assert_allclose(windows, alone.windows, atol=1e-3)


def test_work_that_is_given_up_ends_amid_a_sound(library: Library, tmp_path: Path) -> None:
    heard: list[float] = []

    def on_heard(_file: SourceFile, seconds: float) -> None:
        heard.append(seconds)
        raise KeyboardInterrupt

    files = [SourceFile(silence(tmp_path / "night.flac", 2))]
    batches = local.embed(library.embedder, files, 1, on_heard=on_heard)
    with pytest.raises(KeyboardInterrupt):
        next(batches)
    assert len(heard) == 1
    assert children("earmark.model.inference.decode_pool") == []


@pytest.mark.slow
def test_memory_hardly_grows_with_length(tmp_path: Path, model_folder: Path) -> None:
    """Of adding an hour beside six minutes: in this process, and in the one that decodes."""
    short, long = silence(tmp_path / "short.flac", 6), silence(tmp_path / "long.flac", 60)
    names = [str(name) for name in (tmp_path / "library", model_folder, short, long)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *names],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (ours, decoding), (ours_long, decoding_long) = json.loads(done.stdout)
    assert ours_long < ours + 40  # MB
    assert decoding_long < decoding + 15
