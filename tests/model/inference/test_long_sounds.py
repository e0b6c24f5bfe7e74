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
from earmark.model.embedder import Embedder

embedder = Embedder.load(Path(sys.argv[1]))
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
