"""Embedding by Ray: the same library as without it, whatever stops or dies on the way."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.catalogue.embedded_sound import EmbeddedBatch, SourceFile
from earmark.index.errors import EngineError, LibraryError
from earmark.index.ingest import bulk
from earmark.index.ingest import local as pipeline
from earmark.index.ingest.bulk import AddReport
from earmark.index.ingest.ray import engine as ray_engine
from earmark.index.ingest.ray.connection import connected
from earmark.index.ingest.ray.engine import RayEngine
from earmark.index.ingest.ray.shards import ShardFolder
from earmark.index.ingest.walk import Walk
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from tests.index import made
from tests.model import tiny

COUNT = 320  # sounds, where a run is to be stopped amid them: ten batches


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """One Ray for all of the module."""
    os.environ["OMP_NUM_THREADS"] = "1"  # of its processes
    before = signal.getsignal(signal.SIGTERM)
    with connected("local", 2):
        assert signal.getsignal(signal.SIGTERM) == before  # which Ray would end us by
        yield


@pytest.fixture
def engine(_ray: None, model_folder: Path, library: Library) -> RayEngine:
    return RayEngine(model_folder, library.folder / "parts")


@pytest.fixture
def shards(library: Library) -> ShardFolder:
    return ShardFolder(
        (library.folder / "parts").resolve(), library.embedder.fingerprint, library.embedder.dim
    )


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of COUNT sounds."""
    folder = tmp_path_factory.mktemp("many")
    made.write_sounds(folder, COUNT, seconds=0.05)
    return folder


def held(library: Library) -> dict[str, object]:
    """All that a library holds of its clips but for their numbers, times and vectors, by path."""
    return {
        clip.path: replace(clip, row=0, generation=0, added_at="", changed_at="")
        for clip in library.catalogue.clips()
    }


def assert_alike(library: Library, other: Library) -> None:
    assert held(library) == held(other)
    assert library.catalogue.failures() == other.catalogue.failures()
    rows = {clip.path: clip.row for clip in other.catalogue.clips()}
    for clip in library.catalogue.clips():
        row = rows[clip.path]
        vector, expected = library.catalogue.vector(clip.row), other.catalogue.vector(row)
        np.testing.assert_allclose(vector, expected, atol=1e-6)
        windows, expected = (
            each.catalogue.windows([number]).get(number)
            for each, number in ((library, clip.row), (other, row))
        )
        assert (windows is None) == (expected is None)
        for one, two in zip(windows or (), expected or (), strict=True):
            np.testing.assert_allclose(one, two, atol=1e-6)


def spoil(file: Path) -> None:
    """Make a sound unreadable, with the size and time that it had."""
    state = file.stat()
    file.write_bytes(bytes(state.st_size))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def names(folder: Path) -> set[str]:
    """What is in a folder, but for what is being written."""
    return {path.name for path in folder.glob("[!.]*") if path.name != "lock"}


def assert_whole(library: Library, folder: Path, report: AddReport | None = None) -> None:
    """Each sound of the folder is there once, and no part is left."""
    clips = library.catalogue.clips()
    assert sorted(clip.path for clip in clips) == sorted(map(str, folder.iterdir()))
    assert names(library.folder / "parts") == set()
    if report:
        assert (len(report.added), report.failed) == (len(set(report.added)), {})


def test_the_library_is_that_of_the_local_engine(
    library: Library, engine: RayEngine, embedder: Embedder, tmp_path: Path
) -> None:
    folder = tmp_path / "sounds"
    made.write_sounds(folder, 70)
    made.write_sounds(folder, 1, seconds=12.0, first=70)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("This is a text. " * 100)
    (folder / "gone.wav").symlink_to(folder / "nowhere.wav")
    (Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.wav"))).write_bytes(b"")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,tags,title,id\nsounds/noise_003.wav,rain;wind,Räin,own-id\n")

    report = bulk.add(library, [folder, manifest], engine)
    with Library.open(tmp_path / "other", embedder, create=True) as other:
        local = bulk.add(other, [folder, manifest], pipeline.embed)
        assert_alike(library, other)
    assert sorted(report.added) == sorted(local.added)
    assert report.failed == local.failed
    assert len(report.failed) == 4
    assert library.catalogue.clip("own-id").title == "Räin"
    assert names(engine.shards) == set()
    assert bulk.add(library, [folder], engine).unchanged == 71


def test_what_an_interrupted_run_embedded_is_taken_in_by_the_next(
    library: Library, engine: RayEngine, shards: ShardFolder, many: Path
) -> None:
    files = list(Walk().sounds(many))
    batches = engine(library.embedder, files)
    yielded = [sound.file.path for sound in next(batches).sounds]
    batches.close()
    written = {
        name: {sound.file.path for sound in shards.read(name).sounds} for name in shards.names()
    }
    # On a fast machine the actors may have embedded all: then one shard gets lost.
    if sum(map(len, written.values())) == COUNT:
        lost = next(name for name, paths in written.items() if not paths & set(yielded))
        shards.delete(lost)
        del written[lost]
    kept = set().union(*written.values())
    assert kept >= set(yielded)

    before = {path: path.read_bytes() for path in kept}
    changed, *same = sorted(kept)
    soundfile.write(changed, tiny.sine(0.2), tiny.RATE)
    for path in same:
        spoil(path)  # so it can only come from its part
    report = bulk.add(library, [many], engine)
    for path, data in before.items():
        path.write_bytes(data)
    assert_whole(library, many, report)
    durations = {clip.path: clip.duration for clip in library.catalogue.clips()}
    assert durations.pop(str(changed)) == pytest.approx(0.2)
    assert set(durations.values()) == {0.05}


def test_what_was_written_is_dropped_once_known(
    library: Library, engine: RayEngine, shards: ShardFolder, tmp_path: Path
) -> None:
    """A run that ended between the transaction and the end of the part."""
    files = [SourceFile(path) for path in made.write_sounds(tmp_path / "sounds", 1)]
    batches = engine(library.embedder, files)
    batch = next(batches)
    library.add(batch.sounds)
    batches.close()
    assert len(shards.names()) == 1
    generation = library.generation
    report = bulk.add(library, [tmp_path / "sounds"], engine)
    assert (report.added, report.unchanged, library.generation) == ([], 1, generation)
    made.write_sounds(tmp_path / "sounds", 1, first=1)
    assert len(bulk.add(library, [tmp_path / "sounds"], engine).added) == 1
    assert shards.names() == []


def test_damaged_and_foreign_parts_are_embedded_again(
    library: Library,
    engine: RayEngine,
    shards: ShardFolder,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    files = made.write_sounds(tmp_path / "sounds", 6)
    batch = made.embed_files(library.embedder, files)
    shards.folder.mkdir()
    halves = [EmbeddedBatch(batch.sounds[:2]), EmbeddedBatch(batch.sounds[2:4])]
    damaged = shards.folder / shards.write(halves[0])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    foreign = replace(shards, fingerprint="0" * 16).write(halves[1])
    nonsense = shards.folder / "nonsense.part"
    nonsense.write_bytes(b"nonsense")
    (shards.folder / "notes.txt").touch()
    with caplog.at_level(logging.WARNING):
        report = bulk.add(library, [tmp_path / "sounds"], engine)
    assert len(report.added) == 6
    assert names(shards.folder) == {"notes.txt"}
    said = [
        each.getMessage()
        for each in caplog.records
        if each.name == "earmark.index.ingest.ray.engine"
    ]
    assert len(said) == 3
    for name, problem in ((damaged.name, "altered"), (foreign, "of another model")):
        [message] = [each for each in said if name in each]
        assert problem in message
        assert message.endswith("its sounds are embedded again")


def test_a_part_that_is_damaged_meanwhile_is_embedded_again(
    library: Library, engine: RayEngine, shards: ShardFolder, many: Path
) -> None:
    spoilt: set[str] = set()
    taken = 0
    for batch in engine(library.embedder, list(Walk().sounds(many))):
        library.add(batch.sounds)
        taken += len(batch)
        for name in shards.names()[: 2 * (not spoilt)]:
            (shards.folder / name).write_bytes(b"")
            spoilt.add(name)
    assert spoilt
    assert taken == COUNT
    assert_whole(library, many)


def actors() -> list[psutil.Process]:
    """The processes of Ray that hold the model."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "_Actor" in "".join(child.cmdline()):
                found.append(child)
    return found


def test_an_actor_that_is_killed_loses_nothing(
    library: Library, engine: RayEngine, many: Path
) -> None:
    killed = 0
    for _ in range(5):  # on a fast machine all may be embedded before an actor is killed
        for batch in engine(library.embedder, list(Walk().sounds(many))):
            assert not batch.failed
            library.add(batch.sounds)
            if not killed:
                for actor in actors():
                    actor.kill()
                    killed += 1
        assert_whole(library, many)
        if killed:
            return
    raise AssertionError("no actor was at work when the first batch came")


def test_what_an_actor_cannot_do_is_told(
    library: Library, engine: RayEngine, shards: ShardFolder, other_model: Path, tmp_path: Path
) -> None:
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    with pytest.raises(EngineError, match="model: replaced since"):
        bulk.add(library, [file], replace(engine, model=other_model))
    model = (engine.model / "model.safetensors").read_bytes()
    remaining = {str(file): SourceFile(file)}
    for args, problem in (
        (ray_engine.ActorArgs(model, shards, "another"), "a file system that all machines share"),
        (
            ray_engine.ActorArgs(b"", shards, shards.folder.joinpath("lock").read_text()),
            "not a model file",
        ),
    ):
        with pytest.raises(EngineError, match=problem):
            list(engine._embed(remaining, args))
    assert library.catalogue.count() == 0
    assert library.catalogue.failures() == {}


def test_a_sound_that_only_this_machine_has_is_no_failure(
    library: Library, engine: RayEngine, shards: ShardFolder, tmp_path: Path
) -> None:
    [file] = made.write_sounds(tmp_path / "sounds", 1)
    shards.folder.mkdir()
    name = shards.write(EmbeddedBatch([], {str(file): f"{file.name}: No such file or directory"}))
    with pytest.raises(EngineError, match=f"{file} is here, but not on a machine"):
        list(ray_engine._read_shard(shards, name, {str(file): SourceFile(file)}))


def test_one_run_at_a_time(
    library: Library, engine: RayEngine, shards: ShardFolder, tmp_path: Path
) -> None:
    made.write_sounds(tmp_path / "sounds", 1)
    with shards.locked(), pytest.raises(LibraryError, match="in use by another earmark add"):
        bulk.add(library, [tmp_path / "sounds"], engine)


def start(many: Path, folder: Path, model: Path) -> subprocess.Popen[str]:
    command = ["add", many, "--library", folder, "--model", model, "--engine", "ray"]
    return subprocess.Popen(
        [sys.executable, "-m", "earmark.service.cli.main", *map(str, command)],
        cwd=made.ROOT,
        env=made.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def count(folder: Path) -> int:
    """How many clips a library holds; 0 where it is not there yet."""
    with contextlib.suppress(LibraryError), contextlib.closing(Catalogue.open(folder)) as found:
        return found.count()
    return 0


@pytest.mark.slow
def test_processes_that_are_stopped_lose_nothing(
    many: Path, model_folder: Path, embedder: Embedder, tmp_path: Path, _ray: None
) -> None:
    folder, known, enough = tmp_path / "library", set(), 0
    for stop in (signal.SIGKILL, signal.SIGINT):
        process = start(many, folder, model_folder)
        while process.poll() is None and count(folder) <= enough:
            time.sleep(0.01)
        if stop == signal.SIGKILL:
            process.kill()  # its actors go on for a moment
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, stop)  # as a terminal does
        try:
            _, err = process.communicate(timeout=240)
        finally:
            process.kill()
        # On a busy machine it may have come to its end before.
        if stop == signal.SIGINT and process.returncode:
            assert (process.returncode, err.splitlines()[-1]) == (130, "earmark add: interrupted")
        with Library.open(folder, embedder, create=True) as library:
            now = set(held(library))
            assert now >= known
            known = now
        shards = ShardFolder(folder / "parts", embedder.fingerprint, embedder.dim)
        left = sum(len(shards.read(name)) for name in shards.names())
        enough = len(known) + left  # the next run must have embedded some itself
    with Library.open(folder, embedder) as library:
        report = bulk.add(library, [many], RayEngine(model_folder, shards.folder))
        assert len(report.added) == COUNT - len(known)
        assert_whole(library, many, report)
