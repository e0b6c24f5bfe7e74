"""Killed at random while adding: nothing acknowledged is lost, and the same command resumes.

`EARMARK_KILLS=20` kills as often as that.
"""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.index.catalogue.catalogue import FILE_NAME
from earmark.index.lexical.stemming import stems
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests import prepared
from tests.index.made import environment
from tests.model import tiny

FILES = 500
KILLS = int(os.environ.get("EARMARK_KILLS", "6"))
TOUCHED = 120  # files that change before each run, so that every run has work to do

pytestmark = pytest.mark.slow


def write_sounds(folder: Path) -> list[Path]:
    """Noise and tones of 0.05 to 0.2 s, all different."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    files = [folder / f"{number:03}.wav" for number in range(FILES)]
    for number, file in enumerate(files):
        seconds = generator.uniform(0.05, 0.2)
        tone = tiny.sine(seconds, generator.uniform(100, 8000))
        soundfile.write(file, tiny.noise(seconds, seed=number) if number % 2 else tone, tiny.RATE)
    return files


def start(sounds: Path, library: Path, model: Path) -> prepared.Process:
    command = ("add", sounds, "--library", library, "--model", model)
    with Path(os.devnull).open("w") as nowhere:
        return prepared.start(command, nowhere, nowhere, environment())


def wait_for_work(process: prepared.Process, library: Path) -> None:
    """Until the process has opened its catalogue (a log file appears) or has ended."""
    while process.poll() is None and not (library / f"{FILE_NAME}-wal").exists():
        time.sleep(0.002)


def working_time(sounds: Path, library: Path, model: Path) -> float:
    """Seconds that an uninterrupted run takes from opening its catalogue to its end."""
    process = start(sounds, library, model)
    wait_for_work(process, library)
    begun = time.monotonic()
    assert process.wait(timeout=120) == 0
    return time.monotonic() - begun


def checked(folder: Path, embedder: Embedder) -> tuple[dict[str, str], int]:
    """Path → id, and the generation, of a library left in whatever state: all of it must work."""
    with Library.open(folder, embedder, create=True) as library:
        clips = library.catalogue.clips()
        listed = {clip.path: clip.id for clip in clips}
        assert len(listed) == len({clip.id for clip in clips}) == len(clips)
        changes = library.catalogue.changes(0)
        assert sorted(changes.rows.tolist()) == [clip.row for clip in clips]
        np.testing.assert_allclose(np.linalg.norm(changes.vectors, axis=1), 1, atol=1e-5)
        assert len(library.store) == library.catalogue.count() == len(clips)
        query = library.embedder.embed_tags([["dog"]])[0]
        assert {
            hit.clip.path for hit in library.search_by_vector(query, FILES).hits
        } == listed.keys()
        assert library.search("dog", 5).hits or not clips
        names = list(stems(" ".join(Path(path).stem for path in listed)))
        found, _ = library.store.match(names, FILES)
        assert set(found.tolist()) == {clip.row for clip in clips}
        return listed, library.generation


def test_kills_lose_nothing(tmp_path: Path, model_folder: Path, embedder: Embedder) -> None:
    files = write_sounds(tmp_path / "sounds")
    seconds = working_time(tmp_path / "sounds", tmp_path / "calm", model_folder)
    calm, _ = checked(tmp_path / "calm", embedder)
    assert len(calm) == FILES

    chance, library, known = random.Random(0), tmp_path / "library", {}
    amid, generations = 0, {0}
    for kill in range(KILLS):
        for file in chance.sample(files, TOUCHED) if kill else []:
            state = file.stat()
            os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000_000))
        process = start(tmp_path / "sounds", library, model_folder)
        wait_for_work(process, library)
        time.sleep(chance.uniform(0, 0.5 * seconds))
        process.send_signal(signal.SIGKILL)
        killed = process.wait() == -signal.SIGKILL
        amid += killed
        now, generation = checked(library, embedder)
        # The machine may be faster or slower than it was: kill earlier or later from now on.
        seconds *= 0.8 if not killed else 1.2 if generation in generations else 1.0
        generations.add(generation)
        assert now.items() >= known.items(), f"kill {kill}: something acknowledged is lost"
        known = now
        print(kill, len(now), generation, process.returncode)

    # The test is worth something: most kills came amid the work, many after some was written.
    assert amid >= KILLS // 2
    assert len(generations) > KILLS // 4
    done = start(tmp_path / "sounds", library, model_folder)
    assert done.wait(timeout=120) == 0
    assert checked(library, embedder)[0] == calm
