"""Parts: what is written is read again, whole, by whoever has the right model; else not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from earmark.index.catalogue.embedded_sound import Lot, Origin
from earmark.index.errors import LibraryError, StorageError
from earmark.index.ingest import local
from earmark.index.ingest.ray.shards import PartError, Parts
from earmark.model.core.errors import ConfigError
from earmark.model.embedder import Embedder
from tests.index import made


@pytest.fixture
def parts(tmp_path: Path, embedder: Embedder) -> Parts:
    folder = tmp_path / "parts"
    folder.mkdir()
    return Parts(folder, embedder.fingerprint, embedder.dim)


@pytest.fixture(scope="module")
def lot(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Lot:
    """A short sound, a long one with window vectors, one that is none."""
    folder = tmp_path_factory.mktemp("sounds")
    short, long = made.write_sounds(folder, 1)[0], made.write_sounds(folder, 1, 11.0, first=1)[0]
    (folder / "bäd.wav").write_text("no sound")
    [lot] = local.embed(embedder, [Origin(each) for each in (short, long, folder / "bäd.wav")])
    return lot


def test_a_part_holds_all_of_a_lot(parts: Parts, lot: Lot) -> None:
    name = parts.write(lot)
    assert parts.names() == [name]
    read = parts.read(name)
    assert read.failed == lot.failed
    for sound, other in zip(read.sounds, lot.sounds, strict=True):
        assert replace(sound, embedding=other.embedding) == other
        assert sound.embedding.info == other.embedding.info
        for array in ("vector", "code", "windows", "starts"):
            got, expected = getattr(sound.embedding, array), getattr(other.embedding, array)
            np.testing.assert_array_equal(got, expected)
            assert got.dtype == expected.dtype
    assert parts.write(lot) == name  # the same again is the same part
    parts.drop(name)
    parts.drop(name)
    assert parts.names() == []


def test_a_lot_of_failures_only(parts: Parts) -> None:
    lot = Lot([], {"/a.wav": "a.wav: empty file"})
    assert parts.read(parts.write(lot)) == lot


def test_damaged_parts_are_never_read(parts: Parts, lot: Lot) -> None:
    path = parts.folder / parts.write(lot)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[generator.integers(len(whole))] ^= 1 << int(generator.integers(8))
        for data in (damaged, whole[: generator.integers(len(whole))]):
            path.write_bytes(data)
            with pytest.raises(PartError, match="altered since it was written"):
                parts.read(path.name)
    path.unlink()
    with pytest.raises(PartError, match="No such file"):
        parts.read(path.name)


def test_foreign_parts_are_never_read(parts: Parts, lot: Lot) -> None:
    with pytest.raises(PartError, match="of another model than another"):
        replace(parts, fingerprint="another").read(parts.write(lot))
    with pytest.raises(PartError, match=r"not a part .*vectors of shape"):
        replace(parts, dim=parts.dim + 1).read(parts.write(lot))
    for data in (b"", b"text", bytes(100)):
        name = parts._name(data)
        (parts.folder / name).write_bytes(data)
        with pytest.raises(PartError, match="not a part"):
            parts.read(name)


def test_one_run_has_the_folder(parts: Parts) -> None:
    rest = parts.folder / f".{parts.fingerprint}-1.part.99.tmp"
    rest.touch()
    (parts.folder / "notes.txt").touch()
    with parts.held() as token:
        assert not rest.exists()
        parts.check(token)
        with pytest.raises(LibraryError, match="in use by another earmark add"), parts.held():
            pass
        parts.check(token)
    with parts.held() as other, pytest.raises(ConfigError, match="that all machines share"):
        assert other != token
        parts.check(token)
    with pytest.raises(ConfigError, match="that all machines share"):
        replace(parts, folder=parts.folder / "nowhere").check(other)
    assert (parts.folder / "notes.txt").exists()


def test_a_folder_that_cannot_be(parts: Parts, lot: Lot) -> None:
    file = parts.folder / "file"
    file.touch()
    nowhere = replace(parts, folder=file / "parts")
    with pytest.raises(StorageError, match=r"cannot be written or read \(Not a directory"):
        nowhere.write(lot)
    with pytest.raises(StorageError, match="Not a directory"), nowhere.held():
        pass
