"""The work of a job: no sound is lost and none is added twice, wherever a run of it ends."""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from earmark.index.errors import StorageError
from earmark.index.library import Library
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.workers import add_parts as module
from earmark.service.workers.add_parts import add_parts
from earmark.service.workers.job_store import FailedPart, JobStore, RunningJob
from tests.service import sounds

SOUNDS = [
    (sounds.noise(0.3, seed=1), "Rain on a roof.wav"),
    (b"no sound", "notes.txt"),
    (sounds.noise(0.3, seed=2), "wind.wav"),
    (sounds.noise(0.3, seed=1), "again.wav"),
]


@pytest.fixture
def library(tmp_path: Path, model_folder: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", load_embedder(model_folder), create=True) as library:
        yield library


@pytest.fixture
def readers(library: Library) -> Iterator[DecodePool]:
    readers = DecodePool(library.embedder.front_end, 1)
    yield readers
    readers.close()


@pytest.fixture
def store(library: Library) -> Iterator[JobStore]:
    """The jobs of the library: one, of four sounds."""
    store = JobStore(library.folder)
    metadata = {"tags": ("field", "tape"), "licence": "CC0-1.0"}
    files = [(io.BytesIO(sound), name) for sound, name in SOUNDS]
    store.create(files, metadata, max_waiting=8, max_over=100)
    yield store
    store.close()


def claim(store: JobStore) -> RunningJob:
    job = store.claim()
    assert job is not None
    return job


def check(library: Library, store: JobStore) -> None:
    """All of the job is done, once."""
    status = store.status(1)
    assert status is not None
    clips = [library.catalogue.clip(clip_id) for clip_id in status.added]
    assert [clip.title for clip in clips] == ["Rain on a roof", "wind", "again"]
    assert {clip.tags for clip in clips} == {("field", "tape")}
    assert {clip.licence for clip in clips} == {"CC0-1.0"}
    assert [Path(clip.path).read_bytes() for clip in clips] == [
        sound for sound, name in SOUNDS if name.endswith(".wav")
    ]
    assert status.duplicates == {clips[2].id: clips[0].id}
    [failed] = status.failed
    assert (failed.part, failed.name) == (1, "notes.txt")
    assert failed.reason.startswith("not a sound")
    assert library.catalogue.count() == 3
    uploads = library.folder / "uploads"
    assert len([path for path in uploads.iterdir() if path.is_file()]) == 3
    assert [path.name for path in (uploads / ".pending").iterdir()] == ["lock"]


def test_all_parts_become_clips_or_failures(
    library: Library, store: JobStore, readers: DecodePool
) -> None:
    job = claim(store)
    add_parts(job, library=library, readers=readers, max_seconds=None)
    check(library, store)
    job.release()
    status = store.status(1)
    assert status is not None
    assert status.state == "done"
    assert not list((library.folder / "jobs").iterdir())
    check(library, store)  # the clips' files stay


def test_what_was_added_but_not_recorded_is_not_added_again(
    library: Library, store: JobStore, readers: DecodePool
) -> None:
    work = partial(add_parts, library=library, readers=readers, max_seconds=None)
    job = claim(store)
    with sqlite3.connect(library.folder / "jobs.sqlite") as db:
        refuse = "SELECT RAISE(ABORT, 'the disk is gone')"
        db.execute(f"CREATE TRIGGER gone BEFORE UPDATE ON parts BEGIN {refuse}; END")
    with pytest.raises(StorageError, match="the disk is gone"):
        work(job)
    assert library.catalogue.count() > 0  # a batch, on slow machines less than all
    status = store.status(1)
    assert status is not None
    assert status.added == ()
    os.close(job._lock)  # as the system does for a process that ends
    with sqlite3.connect(library.folder / "jobs.sqlite") as db:
        db.execute("DROP TRIGGER gone")
    job = claim(store)
    assert job.resumed
    work(job)
    job.release()
    check(library, store)


def test_a_long_sound_is_told_and_stopped_amid(
    library: Library,
    readers: DecodePool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "TELL_SECONDS", 0.0)
    caplog.set_level("INFO", logger=module.__name__)
    jobs: list[RunningJob] = []

    def on_change(_number: int) -> None:
        if jobs:  # told: the service stops just now
            jobs[0].pausing = True

    store = JobStore(library.folder, on_change)
    minutes = sounds.encoded(np.zeros(150 * 8_000), 8_000, format="FLAC")
    files = [(io.BytesIO(minutes), "night.flac")]
    store.create(files, {"tags": ()}, max_waiting=8, max_over=100)
    jobs.append(claim(store))
    add_parts(jobs[0], library=library, readers=readers, max_seconds=None)
    jobs.pop().release()
    assert library.catalogue.count() == 0
    told = [event for event in store.events(1, 0)[0] if event.kind == "heard"]
    assert [event.data["name"] for event in told] == ["night.flac"]
    assert 60 < told[0].data["seconds"] < 100
    assert caplog.messages[0].startswith("job 1: part 0: 0:01:")
    job = claim(store)
    add_parts(job, library=library, readers=readers, max_seconds=None)
    job.release()
    status = store.status(1)
    assert status is not None
    assert (status.state, len(status.added)) == ("done", 1)
    store.close()


def test_a_sound_that_has_gone_fails_alone(
    library: Library, store: JobStore, readers: DecodePool
) -> None:
    job = claim(store)
    job.parts[2].path.unlink()
    add_parts(job, library=library, readers=readers, max_seconds=None)
    status = store.status(1)
    assert status is not None
    assert len(status.added) == 2
    assert status.failed[1] == FailedPart(2, "wind.wav", "No such file or directory")


def test_a_job_that_is_stopping_adds_nothing_more(
    library: Library, store: JobStore, readers: DecodePool
) -> None:
    job = claim(store)
    job.pausing = True
    add_parts(job, library=library, readers=readers, max_seconds=None)
    job.release()
    status = store.status(1)
    assert status is not None
    assert (status.state, status.added) == ("waiting", ())
    job = claim(store)
    store.cancel(1)
    add_parts(job, library=library, readers=readers, max_seconds=None)
    job.release()
    status = store.status(1)
    assert status is not None
    assert (status.state, status.added) == ("cancelled", ())
    assert library.catalogue.count() == 0
