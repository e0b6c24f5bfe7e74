"""One embedder of each kind, and another one of that kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from earmark.model.embedder import Embedder
from earmark.model.encoders.load import load_embedder
from tests.encoders.models import KINDS

SLOW = {"w2v-128-4h", "w2v-128-mean", "onnx-w2v", "clap"}  # much like others, or slow to import
PARAMS = [pytest.param(kind, marks=pytest.mark.slow) if kind in SLOW else kind for kind in KINDS]


@pytest.fixture(scope="session", params=PARAMS)
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
