"""Shards are read back as they were written, or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.index.catalogue.embedded_sound import EmbeddedBatch
from earmark.index.errors import LibraryError, StorageError
from earmark.index.ingest.ray.shards import ShardError, ShardFolder
from earmark.model.audio.file_metadata import FileMetadata
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import Embedder
from tests.index import made


@pytest.fixture
def shards(tmp_path: Path, embedder: Embedder) -> ShardFolder:
    folder = tmp_path / "parts"
    folder.mkdir()
    return ShardFolder(folder, embedder.fingerprint, embedder.dim)


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> EmbeddedBatch:
    """A short sound, a long one with window vectors, a file that is no sound."""
    folder = tmp_path_factory.mktemp("sounds")
    short, long = made.write_sounds(folder, 1)[0], made.write_sounds(folder, 1, 11.0, first=1)[0]
    (folder / "bäd.wav").write_text("no sound")
    batch = made.embed_files(embedder, [short, long, folder / "bäd.wav"])
    says = FileMetadata("Regen", tags=("rain", "wind"), recorded="2021")
    told = replace(batch.sounds[0], embedding=replace(batch.sounds[0].embedding, metadata=says))
    return replace(batch, sounds=[told, *batch.sounds[1:]])


def test_a_shard_holds_all_of_a_batch(shards: ShardFolder, batch: EmbeddedBatch) -> None:
    name = shards.write(batch)
    assert shards.names() == [name]
    read = shards.read(name)
    assert read.failed == batch.failed
    for sound, other in zip(read.sounds, batch.sounds, strict=True):
        assert replace(sound, embedding=other.embedding) == other
        assert sound.embedding.info == other.embedding.info
        assert sound.embedding.metadata == other.embedding.metadata
        for array in ("vector", "code", "windows", "starts"):
            got, expected = getattr(sound.embedding, array), getattr(other.embedding, array)
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype
    assert shards.write(batch) == name  # the same sounds make the same shard
    shards.delete(name)
    shards.delete(name)
    assert shards.names() == []


def test_a_batch_of_failures_only(shards: ShardFolder) -> None:
    batch = EmbeddedBatch([], {"/a.wav": "a.wav: empty file"})
    assert shards.read(shards.write(batch)) == batch


def test_damaged_shards_are_never_read(shards: ShardFolder, batch: EmbeddedBatch) -> None:
    path = shards.folder / shards.write(batch)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
        for data in (damaged, whole[: generator.integers(len(whole))]):
            path.write_bytes(data)
            with pytest.raises(ShardError, match="altered since it was written"):
                shards.read(path.name)
    path.unlink()
    with pytest.raises(ShardError, match="No such file"):
        shards.read(path.name)


def test_foreign_shards_are_never_read(shards: ShardFolder, batch: EmbeddedBatch) -> None:
    with pytest.raises(ShardError, match="of another model than another"):
        replace(shards, fingerprint="another").read(shards.write(batch))
    with pytest.raises(ShardError, match=r"not a shard .*vectors of shape"):
        replace(shards, dim=shards.dim + 1).read(shards.write(batch))
    for data in (b"", b"text", bytes(100)):
        name = shards._name(data)
        (shards.folder / name).write_bytes(data)
        with pytest.raises(ShardError, match="not a shard"):
            shards.read(name)


def test_one_run_has_the_folder(shards: ShardFolder) -> None:
    rest = shards.folder / f".{shards.fingerprint}-1.part.99.tmp"
    rest.touch()
    (shards.folder / "notes.txt").touch()
    with shards.locked() as token:
        assert not rest.exists()
        shards.check(token)
        with pytest.raises(LibraryError, match="in use by another earmark add"), shards.locked():
            pass
        shards.check(token)
    with shards.locked() as other, pytest.raises(ConfigError, match="that all machines share"):
        assert other != token
        shards.check(token)
    with pytest.raises(ConfigError, match="that all machines share"):
        replace(shards, folder=shards.folder / "nowhere").check(other)
    assert (shards.folder / "notes.txt").exists()


def test_a_folder_that_cannot_be(shards: ShardFolder, batch: EmbeddedBatch) -> None:
    file = shards.folder / "file"
    file.touch()
    nowhere = replace(shards, folder=file / "parts")
    with pytest.raises(StorageError, match=r"cannot be written or read \(Not a directory"):
        nowhere.write(batch)
    with pytest.raises(StorageError, match="Not a directory"), nowhere.locked():
        pass
