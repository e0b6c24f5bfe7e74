"""One embedder of each kind, and another one of that kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.encoders.models import KINDS


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def folder(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / kind
    KINDS[kind](folder, 0)
    return folder


@pytest.fixture(scope="session")
def embedder(folder: Path) -> Embedder:
    return load_embedder(folder)


@pytest.fixture(scope="session")
def other(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tmp_path_factory.mktemp("other-model") / kind
    KINDS[kind](folder, 1)
    return load_embedder(folder)
