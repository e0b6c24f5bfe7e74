"""A sound of an hour, or of `EARMARK_HOURS`, is embedded in the memory of a short one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.model.checkpoint import save
from earmark.model.config import preset
from tests.conftest import ROOT
from tests.model.tiny import checkpoint_of, noise, tiny_config

RATE = 8_000
HOURS = int(os.environ.get("EARMARK_HOURS", "1"))
PROGRAM = """
import json, resource, sys
from pathlib import Path
from earmark.model.encoders.load import load_embedder

embedder = load_embedder(Path(sys.argv[1]))
embedder.embed_audio(Path(sys.argv[2]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = embedder.embed_audio(Path(sys.argv[3]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"windows": len(found.windows), "seconds": found.info.duration,
                  "last": found.starts[-1], "grown_mb": (after - before) / 1024}))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    save(tmp_path, checkpoint_of(tiny_config("starter")))
    soundfile.write(tmp_path / "short.flac", noise(30, RATE), RATE)
    minute = np.zeros(60 * RATE, np.int16)
    with soundfile.SoundFile(tmp_path / "long.flac", "w", RATE, 1, "PCM_16") as file:
        for _ in range(HOURS * 60):
            file.write(minute)
    names = [str(tmp_path / name) for name in ("model.safetensors", "short.flac", "long.flac")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *names],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["seconds"] == HOURS * 3600
    features = preset("starter").features
    samples = HOURS * 3600 * features.sample_rate - 1  # after pre-emphasis
    frames = samples // features.hop + 1
    assert found["windows"] == -(-frames // features.frames)
    assert found["last"] == pytest.approx(HOURS * 3600 - features.window_seconds, abs=0.03)
    assert found["grown_mb"] < 150


CUTTING = """
import json, sys
from pathlib import Path
import psutil
from earmark.model.audio.log_mel import LogMel, mel_filters
from earmark.model.audio.stretch import Stretch
from earmark.model.config import FeatureConfig
from earmark.model.inference.decode_pool import DecodePool

def peak(process):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

config = FeatureConfig()
with DecodePool(LogMel(config, mel_filters(config)), 1) as readers:
    peaks = []
    for path, end in zip(sys.argv[1::2], map(float, sys.argv[2::2])):
        for entry in ("plain", "undamaged"):
            stretch = Stretch(Path(path), 60.0, end, entry)
            nbytes = sum(len(piece.data) for piece in readers.cut(stretch, "sound", "wav"))
            assert nbytes == 44 + 2 * 8_000 * (end - 60), nbytes
            drawn = readers.waveform(stretch, "sound", 240, 8_000)
            assert drawn.info.duration == end - 60
        [decoding] = psutil.Process().children()
        peaks.append([peak(psutil.Process()), peak(decoding)])
print(json.dumps(peaks))
"""


@pytest.mark.slow
def test_cutting_and_drawing_take_no_more_memory_for_an_hour(tmp_path: Path) -> None:
    minute = np.zeros(60 * RATE, np.int16)
    arguments = []
    for minutes in (6, 60):
        path = tmp_path / f"{minutes}.flac"
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
            for _ in range(minutes):
                file.write(minute)
        arguments += [str(path), str(minutes * 60 - 1)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CUTTING, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (ours, decoding), (ours_long, decoding_long) = json.loads(done.stdout)
    assert ours_long < ours + 10  # MB
    assert decoding_long < decoding + 10
