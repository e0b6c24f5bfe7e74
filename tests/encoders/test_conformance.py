"""What holds of every encoder (`model.embedder.Embedder`)."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from earmark.model import zero_shot
from earmark.model.audio.decode import SoundReader
from earmark.model.core.errors import AudioError, WordsError
from earmark.model.embedder import AudioEmbedding, Embedder
from earmark.model.encoders.load import load_embedder
from earmark.model.inference.batcher import Batcher
from earmark.model.inference.decode_pool import DecodePool
from earmark.model.inference.encode import encode_sound
from earmark.model.tagging import suggest
from earmark.model.timeline.steps import hear_sound
from earmark.model.timeline.timeline import make_timeline
from tests.model.tiny import noise, write

# "rain" in languages that a model may state.
RAIN = {
    "ar": "مطر", "de": "Regen", "en": "rain", "es": "lluvia", "fr": "pluie", "it": "pioggia",
    "ja": "雨", "ko": "비", "nl": "regen", "pl": "deszcz", "pt": "chuva", "ru": "дождь",
    "th": "ฝน", "tr": "yağmur", "zh": "雨", "zh-TW": "雨",
}  # fmt: skip
WINDOWS = 2.6  # lengths of a window that the sound has
SAME = 2e-5  # what the order of additions in batches of another size may change


@pytest.fixture(scope="module")
def samples(embedder: Embedder) -> np.ndarray:
    front_end = embedder.front_end
    return noise(WINDOWS * front_end.window_seconds, front_end.sample_rate)


@pytest.fixture(scope="module")
def file(embedder: Embedder, samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    return write(path, samples, embedder.front_end.sample_rate, subtype="FLOAT")


@pytest.fixture(scope="module")
def sound(embedder: Embedder, file: Path) -> AudioEmbedding:
    return embedder.embed_audio(file)


def test_it_says_what_it_is(embedder: Embedder) -> None:
    assert embedder.name
    assert re.fullmatch("[0-9a-f]{16}", embedder.fingerprint)
    assert isinstance(embedder.licence, str)
    assert min(embedder.dim, embedder.code_dim, embedder.max_tags, embedder.window_steps) >= 1
    assert embedder.front_end.sample_rate >= 8_000
    assert 0 < embedder.step_seconds <= embedder.front_end.window_seconds
    assert bool(embedder.languages) == bool(embedder.sentence_encoder)
    assert not embedder.on_gpu
    assert len(embedder.calibration.thresholds) == len(embedder.vocabulary)


def test_a_model_has_one_fingerprint_and_another_another(
    embedder: Embedder, other: Embedder, folder: Path
) -> None:
    assert load_embedder(folder).fingerprint == embedder.fingerprint != other.fingerprint


def test_vectors_have_length_one_and_windows_follow_each_other(
    embedder: Embedder, sound: AudioEmbedding, samples: np.ndarray
) -> None:
    assert sound.vector.shape == (embedder.dim,)
    assert sound.code.shape == (embedder.code_dim,)
    assert sound.windows.shape == (len(sound.starts), embedder.dim)
    assert sound.vector.dtype == sound.windows.dtype == sound.code.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(sound.windows, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(sound.vector) == pytest.approx(1, abs=1e-5)
    front_end = embedder.front_end
    assert sound.starts.dtype == np.float64
    assert sound.starts[0] == 0
    assert (np.diff(sound.starts) > 0).all()
    assert (np.diff(sound.starts) <= front_end.window_seconds + 1e-9).all()  # nothing is left out
    assert sound.starts[-1] < sound.info.duration
    assert sound.info.duration - sound.starts[-1] < 2 * front_end.window_seconds


def test_nothing_is_random(embedder: Embedder, sound: AudioEmbedding, file: Path) -> None:
    again = embedder.embed_audio(file.read_bytes())
    np.testing.assert_array_equal(again.vector, sound.vector)
    np.testing.assert_array_equal(again.windows, sound.windows)
    np.testing.assert_array_equal(again.starts, sound.starts)


def test_blocks_of_samples_do_not_matter(embedder: Embedder, samples: np.ndarray) -> None:
    """And the front end can go to another process."""
    front_end = pickle.loads(pickle.dumps(embedder.front_end))
    [(whole, starts)] = front_end.windows([samples], 64)
    third = -(-len(samples) // 3)
    for blocks, size in (
        ([samples], 1),
        ([samples[at : at + third] for at in range(0, len(samples), third)], 2),
    ):
        pieces = list(front_end.windows(blocks, size))
        assert max(len(windows) for windows, _ in pieces) <= size
        np.testing.assert_allclose(np.concatenate([each for each, _ in pieces]), whole, atol=1e-4)
        np.testing.assert_array_equal(np.concatenate([each for _, each in pieces]), starts)


def test_a_window_has_the_same_code_alone_and_in_a_batch(
    embedder: Embedder, samples: np.ndarray
) -> None:
    [(windows, _)] = embedder.front_end.windows([samples], 64)
    together = embedder.encode(np.concatenate([windows, windows[::-1]]))
    alone = np.concatenate([embedder.encode(window[None]) for window in windows])
    scale = np.abs(alone).max()
    np.testing.assert_allclose(together[: len(windows)], alone, atol=SAME * scale)
    np.testing.assert_allclose(together[len(windows) :], alone[::-1], atol=SAME * scale)


def test_a_sound_has_the_same_vector_beside_others(
    embedder: Embedder, sound: AudioEmbedding, file: Path
) -> None:
    """As uploads and bulk adding embed it: decoded in a process, encoded in batches."""
    with DecodePool(embedder.front_end, 1) as readers, Batcher(embedder.encode, 16) as batcher:
        pending = [encode_sound(readers, batcher, file, "a.wav") for _ in range(2)]
        found = [each.embedding(embedder) for each in pending]
    for each in found:
        np.testing.assert_allclose(each.vector, sound.vector, atol=SAME)
        np.testing.assert_allclose(each.windows, sound.windows, atol=SAME)
        np.testing.assert_array_equal(each.starts, sound.starts)
        assert each.info == sound.info


def test_a_short_sound_and_a_silent_one_have_vectors(embedder: Embedder, tmp_path: Path) -> None:
    rate = embedder.front_end.sample_rate
    for name, made in (("short", noise(0.05, rate)), ("silent", np.zeros(rate, np.float32))):
        found = embedder.embed_audio(write(tmp_path / f"{name}.wav", made, rate))
        assert np.isfinite(found.vector).all()
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)


def test_what_is_no_sound_is_refused(embedder: Embedder) -> None:
    with pytest.raises(AudioError):
        embedder.embed_audio(b"no sound at all")


def test_reading_is_bounded(embedder: Embedder, file: Path) -> None:
    with pytest.raises(AudioError, match=r"at most 0\.5 s"):
        embedder.embed_audio(file, "a.wav", max_seconds=0.5)
    reader = SoundReader(file, embedder.front_end.sample_rate)
    assert all(len(windows) <= 64 for windows, _ in embedder.windows(reader))


# Words


def test_words_have_vectors_of_length_one(embedder: Embedder) -> None:
    sets = [embedder.parse_tags(text).pieces for text in ("rain", "dog bark", "car engine rain")]
    vectors = embedder.embed_tags(sets)
    assert vectors.shape == (3, embedder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert embedder.embed_tags([]).shape == (0, embedder.dim)
    raw = embedder.encode_tags(sets)
    np.testing.assert_allclose(raw / np.linalg.norm(raw, axis=1)[:, None], vectors, atol=1e-5)


def test_a_text_has_the_same_vector_alone_and_in_a_batch(embedder: Embedder) -> None:
    texts = ["rain", "wind", "dog bark", "church bell song bird sea wave"]
    sets = [embedder.parse_tags(text).pieces for text in texts]
    together = embedder.embed_tags(sets)
    for vector, pieces in zip(together, sets, strict=True):
        np.testing.assert_allclose(embedder.embed_tags([pieces])[0], vector, atol=SAME)


def test_it_reads_the_languages_that_it_states(embedder: Embedder) -> None:
    for language in embedder.languages:
        parsed = embedder.parse_tags(RAIN[language])
        assert parsed.tags
        assert not parsed.ignored
        assert np.isfinite(embedder.embed_tags([parsed.pieces])).all()


@pytest.mark.parametrize("text", ["", "   ", "!?", "\ud800", "-", "," * 5_000])
def test_texts_without_words_are_nothing(embedder: Embedder, text: str) -> None:
    assert embedder.parse_tags(text).tags == []


def test_no_text_is_too_long(embedder: Embedder) -> None:
    parsed = embedder.parse_tags("rain " * 20_000 + "x" * 100_000)
    assert embedder.embed_tags([parsed.pieces]).shape == (1, embedder.dim)


def test_a_set_without_words_is_refused(embedder: Embedder) -> None:
    with pytest.raises(WordsError, match="tags"):
        embedder.embed_tags([["rain"], []])


def test_the_vocabulary_has_vectors(embedder: Embedder) -> None:
    vectors = embedder.vocabulary_vectors
    assert vectors.shape == (len(embedder.vocabulary), embedder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


# What is built on it


def test_steps_cover_the_sound(embedder: Embedder, file: Path) -> None:
    heard = hear_sound(embedder, file)
    assert heard.codes.shape[1:] == (embedder.code_dim,)
    assert heard.codes.dtype == np.float16
    covered = len(heard.codes) * embedder.step_seconds
    assert covered == pytest.approx(heard.info.duration, abs=embedder.front_end.window_seconds)
    assert make_timeline(embedder, heard, None).duration == heard.info.duration


def test_sounds_are_tagged_and_classified(embedder: Embedder, sound: AudioEmbedding) -> None:
    suggestion = suggest(embedder, sound, 3)
    assert len(suggestion.tags) == min(3, len(embedder.vocabulary))
    labels = zero_shot.embed_labels(embedder, zero_shot.plain_prompts(["rain", "dog"]))
    for multiple in (False, True):
        found = zero_shot.classify(embedder, labels, sound.vector, multiple=multiple)
        assert {each.label for each in found.classes} == {"rain", "dog"}
        assert all(0 <= each.probability <= 1 for each in found.classes)
