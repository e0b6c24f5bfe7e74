"""Fixtures of the library's tests: a tiny model, its embedder, an empty library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from earmark.index.catalogue.catalogue import Catalogue
from earmark.index.library import Library
from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.index import made
from tests.index.stores.milvus import server as milvus


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, saved."""
    return made.save_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another tiny model, saved."""
    return made.save_model(tmp_path_factory.mktemp("other-model"), seed=1)


@pytest.fixture(scope="session")
def embedder(model_folder: Path) -> Embedder:
    """The tiny model, loaded."""
    return load_embedder(model_folder)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """An empty catalogue of vectors of 4 dimensions."""
    catalogue = Catalogue.create(tmp_path / "library", "model-1", 4)
    yield catalogue
    catalogue.close()


@pytest.fixture
def library(tmp_path: Path, embedder: Embedder) -> Iterator[Library]:
    """An empty library of the tiny model."""
    with Library.open(tmp_path / "library", embedder, create=True) as library:
        yield library


@pytest.fixture
def milvus_file(tmp_path: Path) -> Iterator[str]:
    """A file for milvus-lite, closed in the end."""
    from milvus_lite.server_manager import server_manager_instance

    uri = str(tmp_path / "lite.db")
    yield uri
    server_manager_instance.release_server(uri)


@pytest.fixture
def milvus_server(tmp_path: Path) -> Iterator[str]:
    """A server that several stores may speak with; a real one where one is named."""
    uri = milvus.named()
    with milvus.cleared(uri) if uri else milvus.in_thread(tmp_path) as server:
        yield server
