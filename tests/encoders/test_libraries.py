"""A library belongs to one model: others are refused, and embed its sounds anew while it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.index.errors import LibraryError
from earmark.index.ingest import bulk
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.encoders.models import KINDS
from tests.index import made
from tests.model.tiny import noise, write


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sounds")
    for number in range(3):
        write(folder / f"rain {number}.wav", noise(2.0, 44_100, seed=number), 44_100)
    return folder


@pytest.fixture(scope="module")
def other_kind(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    """A model of the next kind."""
    names = list(KINDS)
    name = names[(names.index(kind) + 1) % len(names)]
    folder = tmp_path_factory.mktemp("other-kind") / name
    KINDS[name](folder, 2)
    return load_embedder(folder)


def test_a_library_moves_to_another_encoder_while_it_serves(
    embedder: Embedder, other_kind: Embedder, sounds: Path, tmp_path: Path
) -> None:
    with Library.open(tmp_path / "first", embedder, create=True) as first:
        ids = bulk.add(first, [sounds], made.embed_here).added
        with first.catalogue.write() as writer:
            writer.change_tags(ids[0], ["kept"], [])
        assert len(first.search("rain").hits) == 3
        with pytest.raises(LibraryError, match=f"{embedder.fingerprint}.*{other_kind.fingerprint}"):
            Library.open(tmp_path / "first", other_kind)
        with Library.open(tmp_path / "second", other_kind, create=True) as second:
            bulk.add(second, [first.folder], made.embed_here)
            assert {hit.clip.id for hit in second.search("rain").hits} == set(ids)
            assert second.search("kept").hits[0].clip.id == ids[0]
            assert second.info()["dim"] == other_kind.dim
        assert len(first.search("rain").hits) == 3


def test_a_library_refuses_another_model_of_its_kind(
    embedder: Embedder, other: Embedder, tmp_path: Path
) -> None:
    Library.open(tmp_path, embedder, create=True).close()
    with pytest.raises(LibraryError, match=other.fingerprint):
        Library.open(tmp_path, other)
    Library.open(tmp_path, embedder).close()
