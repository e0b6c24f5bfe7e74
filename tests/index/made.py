"""Small made-up clips, sounds, models and disks for the tests. Times in seconds, rates in Hz."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from earmark.index.catalogue.embedded_sound import EmbeddedBatch, EmbeddedSound, SourceFile
from earmark.index.catalogue.metadata import Metadata
from earmark.index.catalogue.records import Changes, NewClip
from earmark.index.ingest import local
from earmark.index.stores import snapshot
from earmark.index.stores.faiss.store import FaissStore
from earmark.model import checkpoint
from earmark.model.core.errors import AudioError
from earmark.model.embedder import Embedder
from tests import prepared
from tests.model import tiny

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534


def save_model(folder: Path, seed: int = 0) -> Path:
    """A tiny model with random weights that hears every sound to its end."""
    checkpoint.save(folder, tiny.checkpoint_of(tiny.tiny_config(tail="align"), seed, 12))
    return folder


def vector(seed: int, dim: int = 4) -> np.ndarray:
    """A random unit vector [dim]."""
    values = np.random.default_rng(seed).standard_normal(dim)
    return (values / np.linalg.norm(values)).astype(np.float32)


def new_clip(name: str = "a", seed: int = 0, **changes: object) -> NewClip:
    """A clip as ingest would make it: path from its name, sum and vector from its seed."""
    clip = NewClip(
        path=f"/sounds/{name}.wav",
        id="",
        metadata=Metadata(title=name, tags=("dog", "bark")),
        size=100,
        mtime_ns=1,
        sha256=f"{seed:064x}"[::-1],
        duration=1.0,
        sample_rate=22_000,
        channels=1,
        damaged=0.0,
        vector=vector(seed),
        windows=np.zeros((0, 4), np.float32),
        starts=np.zeros(0),
    )
    fields = {name: changes.pop(name) for name in list(changes) if hasattr(clip.metadata, name)}
    return replace(clip, metadata=replace(clip.metadata, **fields), **changes)


def changes(
    generation: int,
    rows: np.ndarray,
    vectors: np.ndarray,
    removed: Sequence[int] = (),
    tags: Sequence[str] | None = None,
) -> Changes:
    """What a catalogue would hand out; of durations row / 10 seconds, two licences, two sources."""
    own = rows.tolist()
    return Changes(
        rows=rows,
        vectors=vectors,
        ends=np.arange(1, len(rows) + 1),
        durations=np.array(rows / 10, dtype=np.float32),
        loudness=np.where(rows % 7, -rows % 40, np.nan).astype(np.float32),
        added=np.array(20_000 + rows % 500, dtype=np.int32),
        sample_rates=[48_000 if row % 2 else 44_100 for row in own],
        channels=[1 + row % 2 for row in own],
        licences=["CC0-1.0" if row % 2 else "CC-BY-4.0" for row in own],
        categories=["WEATRain" if row % 4 else "" for row in own],
        sources=["one" if row % 3 else "two" for row in own],
        tags=list(tags) if tags is not None else ["Dog bark" if row % 5 else "rain" for row in own],
        titles=[f"clip {row}" for row in own],
        descriptions=["heard in the morning" if row % 4 else "" for row in own],
        removed=np.array(removed, dtype=np.int64),
        generation=generation,
    )


def without_windows(changes: Changes) -> Changes:
    """The same with the clips' own vectors alone."""
    own = np.concatenate([[0], changes.ends[:-1]])
    ends = np.arange(1, len(changes.rows) + 1)
    return replace(changes, vectors=changes.vectors[own], ends=ends)


def save_without_windows(store: FaissStore, file: Path) -> None:
    """Save a snapshot in the layout before windows and facts of files, of a store without any."""
    write = snapshot.write

    def write_layout_1(file: Path, header: dict[str, Any], arrays: snapshot.Arrays) -> None:
        later = {"ends", "loudness", "added", "sample_rates", "channels", "categories"}
        kept = [name for name in arrays if later.isdisjoint(name.split(".")[1:2])]
        older = {name: value for name, value in header.items() if name != "layout"}
        write(file, older, {name: arrays[name] for name in kept})

    with pytest.MonkeyPatch.context() as before:
        before.setattr(snapshot, "write", write_layout_1)
        store.save(file)


def write_sounds(folder: Path, count: int, seconds: float = 0.3, first: int = 0) -> list[Path]:
    """Files `noise_000.wav` and so on, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"noise_{number:03}.wav" for number in range(first, first + count)]
    for number, file in enumerate(files, start=first):
        soundfile.write(file, tiny.noise(seconds, seed=number), tiny.RATE)
    return files


def embed_files(embedder: Embedder, paths: Sequence[Path]) -> EmbeddedBatch:
    """The files' sounds in one batch, however long it takes."""
    batches = list(local.embed(embedder, map(SourceFile, paths), 1))
    return EmbeddedBatch(
        [sound for batch in batches for sound in batch.sounds],
        {path: reason for batch in batches for path, reason in batch.failed.items()},
    )


def embed_file(embedder: Embedder, file: SourceFile) -> EmbeddedSound:
    """A file, embedded in this process: no pool is started for it. Raises AudioError."""
    state = file.path.stat()
    embedding = embedder.embed_audio(file.path, file.path.name)
    return EmbeddedSound(file, embedding, state.st_size, state.st_mtime_ns)


def embed_here(
    embedder: Embedder, files: Sequence[SourceFile], *, on_heard: local.OnHeard
) -> Generator[EmbeddedBatch]:
    """An embedding engine that starts no process."""
    batch = EmbeddedBatch()
    for file in files:
        try:
            batch.append(file, embed_file(embedder, file))
        except AudioError as error:
            batch.append(file, error)
    yield batch


def environment(**more: str) -> dict[str, str]:
    """The environment of processes that tests start: one thread each, no user's data touched."""
    data = Path(tempfile.gettempdir()) / f"earmark-tests-{os.getuid()}"
    return {**os.environ, "OMP_NUM_THREADS": "1", "XDG_DATA_HOME": str(data), **more}


def earmark(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = prepared.start(arguments, out, err, environment(**more))
        try:
            status = process.wait(120)
        finally:
            process.kill()
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, status, out.read(), err.read())


def run_program(text: str, *arguments: object) -> tuple[int, str]:
    """Run a program with arguments to its end; its exit status and what it printed."""
    with tempfile.TemporaryFile("w+") as out:
        process = prepared.start(arguments, out, out, environment(), program=text)
        try:
            status = process.wait(120)
        finally:
            process.kill()
        out.seek(0)
        return status, out.read()


def bound_by_permissions() -> list[str]:
    """The beginning of a command that runs Python so that permissions bind it, also root's."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return [*(bound if os.geteuid() == 0 else []), sys.executable]


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Inside, this process has the rights of the user "nobody", where it had root's."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A temporary folder that every user may enter (pytest's own may not be)."""
    folder = Path(tempfile.mkdtemp(prefix="earmark-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextlib.contextmanager
def small_disk(kilobytes: int) -> Iterator[Path]:
    """A disk of its own of that size. The test is skipped where it cannot be mounted."""
    with public_folder() as folder:
        options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
        mounted = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        if mounted.returncode:
            pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", str(folder)], check=True)


def enlarge(disk: Path, kilobytes: int) -> None:
    """Give a `small_disk` more room."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True)
