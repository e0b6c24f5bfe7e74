"""`encode` and `similarity`, of every encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from earmark.model.embedder import Embedder
from earmark.model.sound_text_model import SoundTextModel
from tests.model.tiny import WORDS, noise, write

RATE = 44_100  # Hz; other than the encoders', so that sounds are resampled
PHRASES = WORDS[:3]  # known to all


@pytest.fixture(scope="module")
def model(embedder: Embedder) -> SoundTextModel:
    return SoundTextModel(embedder)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return noise(1.5, RATE)


@pytest.fixture(scope="module")
def file(samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("sound") / "a.wav", samples, RATE, subtype="FLOAT")


def test_a_folder_is_loaded(folder: Path, embedder: Embedder) -> None:
    for path in (folder, str(folder)):
        model = SoundTextModel(path)
        assert model.embedder.fingerprint == embedder.fingerprint
        assert model.get_sentence_embedding_dimension() == embedder.dim


def test_a_sound_has_one_vector_in_all_forms_alone_and_among_others(
    model: SoundTextModel, file: Path, samples: np.ndarray
) -> None:
    alone = model.encode(file)
    assert alone.shape == (model.get_sentence_embedding_dimension(),)
    assert alone.dtype == np.float32
    np.testing.assert_array_equal(alone, model.embedder.embed_audio(file).vector)
    others = model.encode(
        [
            {"array": noise(0.5, RATE, 1), "sampling_rate": RATE},
            {"array": samples, "sampling_rate": RATE},
            {"array": np.stack([samples, samples]), "sampling_rate": RATE},
            {"array": torch.from_numpy(samples).double(), "sampling_rate": RATE},
            PHRASES[0],
            file.read_bytes(),
            {"bytes": file.read_bytes(), "path": "a.wav"},
            {"bytes": None, "path": str(file)},
        ]
    )
    for place in (1, 3, 5, 6, 7):
        np.testing.assert_array_equal(others[place], alone)
    np.testing.assert_allclose(others[2], alone, atol=2e-5)  # mixed second by second
    assert not np.allclose(others[0], alone)


def test_phrases_are_those_of_the_encoder_in_batches_of_any_size(
    model: SoundTextModel, file: Path
) -> None:
    embedder = model.embedder
    pieces = [embedder.parse_tags(phrase).pieces for phrase in PHRASES]
    expected = embedder.embed_tags(pieces)
    for size in (1, 2, 32):
        found = model.encode([PHRASES[0], file, *PHRASES[1:]], batch_size=size)
        np.testing.assert_allclose(found[[0, 2, 3]], expected, atol=2e-5)
    np.testing.assert_allclose(model.encode(PHRASES[0]), expected[0], atol=2e-5)


def test_similarity_is_the_cosine(model: SoundTextModel, file: Path) -> None:
    sounds, phrases = model.encode([file]), model.encode(PHRASES)
    cosines = model.similarity(3 * phrases, sounds)
    np.testing.assert_allclose(cosines, phrases @ sounds.T, atol=1e-5)
    pairs = model.similarity_pairwise(phrases, 2 * phrases[::-1])
    np.testing.assert_allclose(pairs, np.diag(phrases @ phrases[::-1].T), atol=1e-5)
