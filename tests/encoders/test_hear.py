"""The rules of HEAR's validator (hearbenchmark/hear-validator), and more, of every encoder."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.hear import HearModel
from earmark.model.core.errors import AudioError, InputError
from earmark.model.embedder import Embedder
from tests.model.tiny import noise, write

pytestmark = pytest.mark.slow  # computes seconds of sound over and over
HEAR = importlib.import_module("earmark.hear")  # as the validator does
SAMPLE_RATES = (16_000, 22_050, 44_100, 48_000)
LENGTHS = (1.07, 1.98, 4.0)  # seconds


@pytest.fixture(scope="module")
def model(folder: Path) -> HearModel:
    return HEAR.load_model(str(folder))


def white(sounds: int, seconds: float, model: HearModel) -> torch.Tensor:
    """Noise between -1 and 1."""
    return torch.rand(sounds, int(seconds * model.sample_rate)) * 2 - 1


def test_a_model_is_a_module_of_torch_with_a_rate_and_sizes(model: HearModel) -> None:
    assert isinstance(model, torch.nn.Module)
    assert model.to("cpu") is model
    assert model.sample_rate in SAMPLE_RATES
    assert isinstance(model.scene_embedding_size, int)
    assert isinstance(model.timestamp_embedding_size, int)
    for function, arguments in (
        ("load_model", ["model_file_path"]),
        ("get_scene_embeddings", ["audio", "model"]),
        ("get_timestamp_embeddings", ["audio", "model"]),
    ):
        assert list(inspect.signature(getattr(HEAR, function)).parameters) == arguments


@pytest.mark.parametrize("seconds", LENGTHS)
def test_timestamps_are_regular_from_the_start_to_the_end(model: HearModel, seconds: float) -> None:
    embeddings, timestamps = HEAR.get_timestamp_embeddings(white(2, seconds, model), model)
    assert embeddings.dtype == timestamps.dtype == torch.float32
    assert embeddings.shape == (2, timestamps.shape[1], model.timestamp_embedding_size)
    assert timestamps.shape[0] == 2
    assert torch.isfinite(embeddings).all()
    assert torch.equal(timestamps[0], timestamps[1])
    steps = np.diff(timestamps.numpy().astype(np.float64))
    assert (steps > 0).all()
    interval = steps.mean()
    assert np.abs(steps - interval).max() <= 1
    # Where the encoder has short steps; others are only warned of by the validator.
    assert interval <= 50 or interval == pytest.approx(model.embedder.step_seconds * 125, abs=0.1)
    assert timestamps.min() == 0
    assert 1_000 * seconds - interval <= timestamps.max() <= 1_000 * seconds


def test_scenes_have_one_embedding_each(model: HearModel) -> None:
    embeddings = HEAR.get_scene_embeddings(white(4, 2.74, model), model)
    assert embeddings.dtype == torch.float32
    assert embeddings.shape == (4, model.scene_embedding_size)
    assert torch.isfinite(embeddings).all()


def test_a_sound_has_the_same_embeddings_alone_in_a_batch_and_again(model: HearModel) -> None:
    audio = white(2, 1.3, model)
    scenes = HEAR.get_scene_embeddings(audio, model)
    steps, _ = HEAR.get_timestamp_embeddings(audio, model)
    assert not torch.allclose(scenes[0], scenes[1])
    for number in range(2):
        alone = audio[number : number + 1].clone().requires_grad_()
        assert torch.equal(HEAR.get_scene_embeddings(alone, model)[0], scenes[number])
        assert torch.equal(HEAR.get_timestamp_embeddings(alone, model)[0][0], steps[number])


def test_a_scene_is_the_code_of_the_same_file(
    model: HearModel, embedder: Embedder, tmp_path: Path
) -> None:
    samples = noise(1.5, model.sample_rate)
    file = write(tmp_path / "a.wav", samples, model.sample_rate, subtype="FLOAT")
    [scene] = HEAR.get_scene_embeddings(torch.from_numpy(samples[None]), model)
    np.testing.assert_array_equal(scene.numpy(), embedder.embed_audio(file).code)


def test_a_code_is_of_what_is_heard_around_its_time(model: HearModel) -> None:
    """Two sounds that differ in one place differ most around it."""
    seconds = 2 * model.embedder.front_end.window_seconds
    audio = 1e-3 * white(1, seconds, model).repeat(2, 1)
    start, end = (round(share * audio.shape[1]) for share in (0.60, 0.65))
    audio[1, start:end] = torch.from_numpy(noise(1, end - start))[: end - start]
    (quiet, loud), timestamps = HEAR.get_timestamp_embeddings(audio, model)
    nearest = timestamps[0, (quiet - loud).norm(dim=1).argmax()] / 1_000
    assert float(nearest) == pytest.approx(0.625 * seconds, abs=0.25 * seconds)


@pytest.mark.parametrize("sounds", [0, 1])
def test_few_and_short_sounds(model: HearModel, sounds: int) -> None:
    audio = white(sounds, 0.01, model)
    embeddings, timestamps = HEAR.get_timestamp_embeddings(audio, model)
    assert embeddings.shape == (sounds, 1, model.timestamp_embedding_size)
    assert timestamps.tolist() == [[0.0]] * sounds
    scenes = HEAR.get_scene_embeddings(audio, model)
    assert scenes.shape == (sounds, model.scene_embedding_size)


def test_what_is_refused(model: HearModel) -> None:
    for function in (HEAR.get_scene_embeddings, HEAR.get_timestamp_embeddings):
        for audio in (torch.zeros(9_000), torch.zeros(1, 9_000, dtype=torch.int16)):
            with pytest.raises(InputError, match="audio: expected floating samples, n_sounds x"):
                function(audio, model)
        with pytest.raises(InputError, match="audio: expected a tensor, got ndarray"):
            function(np.zeros((1, 9_000), np.float32), model)
        with pytest.raises(AudioError, match="sound 1: holds NaN"):
            function(torch.stack([torch.zeros(9_000), torch.full((9_000,), torch.nan)]), model)
        with pytest.raises(AudioError, match="sound 0: expected at least 5 ms"):
            function(torch.zeros(1, 0), model)
