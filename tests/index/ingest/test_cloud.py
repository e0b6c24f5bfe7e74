"""Sounds of a store: listed, read, known again, changed, gone, broken; and no secret is kept."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earmark.index.catalogue.catalogue import FILE_NAME
from earmark.index.curation.write_tags import Orders, write_tags
from earmark.index.files.missing import find_missing, find_prunable, remove_missing
from earmark.index.ingest import bulk, local
from earmark.index.library import Library
from earmark.index.maintenance import relocate
from earmark.model.audio.decode import decode
from earmark.model.cloud import stores
from earmark.model.cloud.cloud_file import BLOCK_BYTES, CloudFile
from earmark.model.core.errors import AudioError, InputError
from earmark.model.inference import decode_pool
from earmark.model.inference.decode_pool import DecodePool
from earmark.service.cli.main import main
from tests import object_store
from tests.index import made
from tests.model import tiny
from tests.object_store import BUCKET, SECRETS, ObjectStore

pytestmark = pytest.mark.slow  # starts a store
SECONDS = 0.3
ONE = partial(local.embed, processes=1)  # as `earmark add` does, in one process


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store.running() as store:
        yield store


@pytest.fixture
def folder(store: ObjectStore, request: pytest.FixtureRequest) -> str:
    """A folder of the test's own in the store."""
    return str(request.node.name)[:40].rstrip("_")


def wav(seed: int, seconds: float = SECONDS, title: str = "") -> bytes:
    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", tiny.RATE, 1, format="WAV") as file:
        if title:
            file.title = title
        file.write(tiny.noise(seconds, seed=seed))
    return out.getvalue()


def add(library: Library, *addresses: str, engine: bulk.EmbeddingEngine = made.embed_here):
    return bulk.add(library, [CloudFile(address) for address in addresses], engine)


def test_a_folder_is_added_and_then_only_what_changed(
    store: ObjectStore, folder: str, library: Library, tmp_path: Path
) -> None:
    first = store.put(f"{folder}/one.wav", wav(1))
    odd = store.put(f"{folder}/deep/50% wet? ::#é.wav", wav(2, title="Brook in June"))
    store.put(f"{folder}/deep/.hidden.wav", wav(3))
    store.put(f"{folder}/.trash/x.wav", wav(3))
    store.put(f"{folder}/notes.txt", b"x")
    store.put(f"{folder}/", b"")  # what some programs put there for a folder
    root = f"s3://{BUCKET}/{folder}"
    report = add(library, root, engine=ONE)
    assert (len(report.added), report.failed, report.passed_over) == (2, {}, {".txt": 1})
    titles = {clip.path: clip.title for clip in library.catalogue.clips()}
    assert titles == {first: "one", odd: "Brook in June"}
    # The very vector of the same bytes on this machine.
    here = tmp_path / "one.wav"
    here.write_bytes(wav(1))
    clip = next(clip for clip in library.catalogue.clips() if clip.path == first)
    vector = library.embedder.embed_audio(here).vector
    np.testing.assert_array_equal(library.catalogue.vector(clip.row), vector)

    store.asked.clear()
    again = add(library, root)
    assert (again.added, again.unchanged) == ([], 2)
    assert [asked for asked in store.asked if asked.path != f"/{BUCKET}"] in (
        [],
        [object_store.Asked("HEAD", f"/{BUCKET}/{folder}", "")],
    ), "listed, and nothing read"

    store.put(f"{folder}/one.wav", wav(4))  # as long, maybe in the same second
    assert len(add(library, root).added) == 1
    changed = next(clip for clip in library.catalogue.clips() if clip.path == first)
    assert (changed.id, changed.sha256 == clip.sha256) == (clip.id, False)
    with closing(sqlite3.connect(library.folder / FILE_NAME)) as db:
        dump = "\n".join(db.iterdump())
    assert f"{root}/one.wav" in dump
    assert not any(secret in dump for secret in SECRETS)


def test_one_object_moves_with_its_clip_and_its_tags_stay_out_of_it(
    store: ObjectStore, folder: str, library: Library
) -> None:
    before = store.put(f"{folder}/before.wav", wav(11))
    (clip_id,) = add(library, before).added
    store.delete(f"{folder}/before.wav")
    store.put(f"{folder}/after.wav", wav(11))
    assert add(library, f"s3://{BUCKET}/{folder}").moved == {clip_id: before}
    clip = library.catalogue.clip(clip_id)
    assert clip.path == f"s3://{BUCKET}/{folder}/after.wav"
    report = write_tags(library.catalogue, Orders(overwrite=True))
    assert report.skipped == {clip.path: "it lies in a store, whose files are only read"}
    assert (report.written, report.failed) == ({}, {})
    store.put(f"{folder}/lost.wav", wav(12))
    store.put(f"{folder}/mount/lost.wav", wav(13))
    lost, away = add(library, f"s3://{BUCKET}/{folder}").added
    for name in ("lost.wav", "mount/lost.wav"):
        store.delete(f"{folder}/{name}")
    assert list(find_missing(library.catalogue)) == [], "no store is asked"
    prunable = find_prunable(library.catalogue)
    assert [sound.id for sound in prunable.files] == [lost]
    ((where, (sound,)),) = prunable.folders.items()
    assert (where, sound.id) == (f"s3://{BUCKET}/{folder}/mount", away)
    store.put(f"{folder}/mount/lost.wav", wav(13))  # it was only away
    assert remove_missing(library.catalogue, [*prunable.files, sound]) == 1
    assert {clip.id for clip in library.catalogue.clips()} == {clip_id, away}


def test_manifests_name_objects_and_archives_move_into_a_store(
    store: ObjectStore, folder: str, library: Library, tmp_path: Path
) -> None:
    address = store.put(f"{folder}/noise_000.wav", wav(0))
    (file,) = made.write_sounds(tmp_path / "archive", 1, SECONDS)
    file.write_bytes(wav(0))
    (clip_id,) = bulk.add(library, [file.parent], made.embed_here).added
    assert relocate(library.folder, file.parent, CloudFile(address.rpartition("/")[0])) == 1
    assert library.catalogue.clip(clip_id).path == address
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"path,tags\n{address},rain roof\n")
    report = bulk.add(library, [manifest], made.embed_here)
    assert (report.added, report.failed) == ([clip_id], {})  # its time is another there
    assert library.catalogue.clip(clip_id).tags == ("rain", "roof")
    (there,) = made.write_sounds(tmp_path / "disc1:", 1, SECONDS)  # a folder, and no store
    manifest.write_text(f"path,tags\ndisc1:/{there.name},dog\n")
    assert bulk.add(library, [manifest], made.embed_here).failed == {}
    assert str(there) in {clip.path for clip in library.catalogue.clips()}
    manifest.write_text("path,tags\ns3://AKID:hunter2@bucket/x.wav,rain\n")
    with pytest.raises(InputError, match="put no password") as caught:
        bulk.add(library, [manifest], made.embed_here)
    assert "hunter2" not in str(caught.value)


def test_what_cannot_be_read_fails_alone_and_is_forgotten_once_it_can_be(
    store: ObjectStore, folder: str, library: Library
) -> None:
    store.put(f"{folder}/good.wav", wav(21))
    broken = store.put(f"{folder}/broken.wav", wav(22))
    store.broken.add(f"/{BUCKET}/{folder}/broken.wav")
    report = add(library, f"s3://{BUCKET}/{folder}")
    assert len(report.added) == 1
    assert list(report.failed) == [broken]
    assert report.failed[broken].startswith("broken.wav: cannot be read (")
    assert library.catalogue.failures() == report.failed
    store.delete(f"{folder}/broken.wav")
    add(library, f"s3://{BUCKET}/{folder}")
    assert library.catalogue.failures() == {}
    with pytest.raises(
        InputError, match=r"cannot be read \(No such file or directory\): s3://no/x"
    ):
        add(library, "s3://no/x")


@pytest.mark.slow
def test_a_store_that_hangs_costs_that_file_alone(
    store: ObjectStore, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = CloudFile(store.put(f"{folder}/a.wav", wav(61)))
    good = CloudFile(store.put(f"{folder}/b.wav", wav(62)))
    with DecodePool(None, 1) as decoders:
        measured = decoders.measure(good, "b.wav")
        store.awake.clear()
        store.silent.add(f"/{BUCKET}/{folder}/a.wav")
        with monkeypatch.context() as hurried:
            hurried.setattr(decode_pool, "SILENT_SECONDS", 0.5)
            with pytest.raises(AudioError, match=r"a.wav: decoding it took over 0.5 s"):
                decoders.measure(hanging, "a.wav")
        store.silent.clear()
        store.awake.set()
        assert decoders.measure(good, "b.wav") == measured


def test_a_long_sound_is_read_by_range_and_only_where_it_is_needed(
    store: ObjectStore, folder: str
) -> None:
    address = store.put(f"{folder}/long.wav", content := wav(31, 120.0))
    assert len(content) > 4 * BLOCK_BYTES
    file = CloudFile(address)
    assert file.read(1_000, 1_010) == content[1_000:1_010]
    assert store.ranges_of(f"{folder}/long.wav") == ["bytes=1000-1009"]
    store.asked.clear()
    decode(file, tiny.RATE, "long.wav")
    fetched = store.ranges_of(f"{folder}/long.wav")
    assert len(fetched) == len(set(fetched)) == -(-len(content) // BLOCK_BYTES)
    listed = CloudFile(address, file.stat())
    store.delete(f"{folder}/long.wav")
    with pytest.raises(AudioError, match=r"long.wav: cannot be read \(No such file"):
        decode(listed, tiny.RATE, "long.wav")


def test_a_store_that_does_not_answer_is_left_alone_for_a_while(
    store: ObjectStore, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = CloudFile(store.put(f"{folder}/x.wav", wav(41)))
    monkeypatch.setattr(stores, "_resting", {})
    store.awake.clear()
    store.silent.add(f"/{BUCKET}/{folder}/x.wav")
    with monkeypatch.context() as hurried:
        hurried.setattr(stores, "ANSWER_SECONDS", 0.2)
        with pytest.raises(TimeoutError, match="the store does not answer"):
            file.stat()
    store.silent.clear()
    store.awake.set()
    store.asked.clear()
    with pytest.raises(TimeoutError, match="the store does not answer"):
        file.stat()
    assert store.asked == []
    monkeypatch.setattr(stores, "_resting", {})
    assert file.stat().st_size == len(wav(41))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((f"s3://AKID:hunter2@{BUCKET}",), "put no password"),
        ((f"s3://{BUCKET}", "--watch"), "--watch: expected files and folders of this machine"),
        (("xyz://a/b",), "expected a store that fsspec knows"),
        (("gs://a/b",), "pip install 'earmark[cloud]' gcsfs"),
        ((".", "--library", "s3://a/b"), "--library: expected a folder of this machine"),
    ],
)
def test_what_the_command_cannot_add_makes_no_library(
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["add", *arguments]) == 2
    printed = capsys.readouterr()
    assert says in printed.err
    assert "hunter2" not in printed.err
    assert list(tmp_path.iterdir()) == []
