"""`encode` and `similarity`: kinds of inputs and of results, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from earmark.model.core.errors import AudioError, CheckpointError, InputError, WordsError
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.sound_text_model import SoundTextModel
from tests.model.tiny import checkpoint_of, noise, tiny_config

SOUND = {"array": noise(0.3), "sampling_rate": 22_000}


@pytest.fixture(scope="module")
def model() -> SoundTextModel:
    return SoundTextModel(DualEmbedder(checkpoint_of(tiny_config())))


def test_results_are_arrays_tensors_or_lists_of_tensors(model: SoundTextModel) -> None:
    inputs = ["rain", SOUND]
    array = model.encode(inputs, normalize_embeddings=False)
    np.testing.assert_allclose(np.linalg.norm(array, axis=1), 1, atol=1e-5)
    tensor = model.encode(inputs, convert_to_tensor=True)
    assert isinstance(tensor, torch.Tensor)
    np.testing.assert_array_equal(tensor.numpy(), array)
    rows = model.encode(inputs, convert_to_numpy=False)
    assert [row.shape for row in rows] == [(16,), (16,)]
    assert isinstance(model.encode("rain", convert_to_numpy=False), torch.Tensor)
    for first, second in ((tensor, array), (array, tensor), (tensor, tensor)):
        cosines = model.similarity(first, second)
        assert isinstance(cosines, torch.Tensor)
        np.testing.assert_allclose(cosines.diagonal(), 1, atol=1e-5)
    assert isinstance(model.similarity(array, array), np.ndarray)
    assert model.similarity(array[0], array).shape == (1, 2)
    assert model.similarity_pairwise(tensor[0], array[0]).shape == (1,)


def test_nothing_gives_no_vectors(model: SoundTextModel) -> None:
    assert model.encode([]).shape == (0, 16)
    assert model.encode((), convert_to_tensor=True).shape == (0, 16)


def test_a_text_is_a_phrase_also_where_a_file_has_that_name(
    model: SoundTextModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rain").write_bytes(b"no sound")
    assert model.encode("rain").shape == (16,)
    with pytest.raises(AudioError, match="input 0"):
        model.encode(Path("rain"))


def test_progress_is_shown_on_request(
    model: SoundTextModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model.encode(["rain"])
    assert capsys.readouterr().err == ""
    model.encode(["rain"], show_progress_bar=True)
    assert "encoding: 1/1 inputs" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "error", "message"),
    [
        (["rain", 3], InputError, 'input 1: expected a phrase .*"sampling_rate".*, got int'),
        (np.zeros(8), InputError, "input 0: expected a phrase .*, got ndarray"),
        ({"array": np.zeros(800)}, InputError, "input 0: expected a phrase .*, got dict"),
        (["rain", "xyzzy qqq"], WordsError, "expected phrases with words .*'xyzzy qqq'"),
        (Path("absent.wav"), AudioError, "input 0: no such file"),
        (b"no sound", AudioError, "input 0"),
        (SOUND | {"array": np.zeros(800, np.int16)}, AudioError, "expected floating .* int16"),
        (SOUND | {"array": np.zeros((1, 1, 800))}, AudioError, r"got float64 of shape \(1, 1, 800"),
        (SOUND | {"array": np.zeros((800, 2))}, AudioError, "channels: expected 1 to 64, got 800"),
        (SOUND | {"array": np.zeros(8)}, AudioError, "expected at least 5 ms"),
        (SOUND | {"array": np.zeros(0)}, AudioError, "expected at least 5 ms"),
        (SOUND | {"array": np.full(800, np.nan)}, AudioError, "NaN"),
        (SOUND | {"array": np.full(800, 1e300)}, AudioError, "far too large"),
        (SOUND | {"array": [[0.1, 0.2], [0.3]]}, InputError, "expected an array .*, got a list of"),
        (SOUND | {"sampling_rate": 10}, AudioError, "sample rate: expected 1000 to 768000 Hz"),
        (SOUND | {"sampling_rate": "1"}, AudioError, "expected a whole number of Hz, got '1'"),
        (SOUND | {"sampling_rate": None}, AudioError, "expected a whole number of Hz, got None"),
        (SOUND | {"sampling_rate": 22_050.5}, AudioError, "expected a whole number of Hz, got 2"),
        (SOUND | {"sampling_rate": np.nan}, AudioError, "expected a whole number of Hz, got nan"),
        ({"bytes": None, "path": None}, InputError, "input 0: expected a phrase .*, got dict"),
    ],
)
def test_what_is_refused(
    model: SoundTextModel, inputs: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.encode(inputs)


def test_short_numbers_are_computed_with_as_long_ones(model: SoundTextModel) -> None:
    tensor = 300 * torch.ones(2, 16)
    for short in (tensor.half(), tensor.bfloat16(), tensor.half().numpy(), tensor.int()):
        np.testing.assert_allclose(model.similarity(short, short), 1, atol=1e-5)
    samples = torch.from_numpy(noise(0.3)).bfloat16()
    found, same = model.encode([{**SOUND, "array": samples}, {**SOUND, "array": samples.float()}])
    np.testing.assert_array_equal(found, same)
    both = {**SOUND, "bytes": None, "path": None}  # as datasets may give it
    np.testing.assert_array_equal(model.encode(both), model.encode(SOUND))


def test_shapes_and_sizes_are_checked(model: SoundTextModel) -> None:
    with pytest.raises(InputError, match="batch_size: expected 1 or more, got 0"):
        model.encode(["rain"], batch_size=0)
    with pytest.raises(InputError, match="second: expected vectors of the same size"):
        model.similarity(np.zeros((2, 16)), np.zeros((2, 8)))
    with pytest.raises(InputError, match="second: expected as many vectors, 2, got 3"):
        model.similarity_pairwise(np.zeros((2, 16)), np.zeros((3, 16)))
    with pytest.raises(InputError, match="first: expected vectors of numbers, got <U4"):
        model.similarity("rain", np.zeros((3, 16)))
    with pytest.raises(CheckpointError, match="expected a model file or its folder"):
        SoundTextModel("no/such/model")
