"""HEAR's API: the model that ships, devices, and what an import brings.

tests/encoders/test_hear.py has the rules of the API, of every encoder.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

from earmark import hear
from earmark.model.checkpoint import save
from earmark.model.core.errors import CheckpointError, ConfigError
from tests.model.tiny import checkpoint_of, noise, tiny_config
from tests.source_tree import PACKAGES, imports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save(folder, checkpoint_of(tiny_config()))
    return folder


def test_no_path_is_the_model_that_ships() -> None:
    for model in (hear.load_model(), hear.load_model("")):
        assert model.embedder.name == "starter"
        assert model.sample_rate == 48_000
        assert model.scene_embedding_size == model.timestamp_embedding_size == 384
    audio = torch.from_numpy(noise(1.0, 48_000)[None])
    embeddings, timestamps = hear.get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (1, 22, 384)
    assert float(timestamps[0, 1]) == pytest.approx(320 / 7, abs=1e-3)


def test_a_missing_model_is_told() -> None:
    with pytest.raises(CheckpointError, match="expected a model file or its folder, got no/model"):
        hear.load_model("no/model")


def test_the_web_service_is_not_imported() -> None:
    source = Path(hear.__file__).read_text(encoding="utf-8")
    tops = {found.module.split(".")[0] for found in imports(ast.parse(source))}
    assert tops & set(PACKAGES) == {"model"}


def test_a_device_that_cannot_be_used_is_told(folder: Path) -> None:
    model = hear.load_model(str(folder)).to("meta")  # which torch has everywhere
    with pytest.raises(ConfigError, match="device: expected cpu, cuda or cuda:N, got 'meta'"):
        hear.get_scene_embeddings(torch.zeros(1, 9_000), model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_used_where_the_model_is_there(folder: Path) -> None:
    model = hear.load_model(str(folder))
    audio = torch.from_numpy(noise(1.0, model.sample_rate)[None])
    expected = hear.get_scene_embeddings(audio, model)
    found = hear.get_scene_embeddings(audio.cuda(), model.cuda())
    assert model.embedder.on_gpu
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, atol=1e-3, rtol=1e-3)
