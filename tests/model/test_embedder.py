"""Sounds and tags to unit vectors: the same every time, alone or beside others."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from earmark.model.audio.decode import SoundReader
from earmark.model.core.errors import AudioError, ConfigError, WordsError
from earmark.model.embedder import Embedder, ParsedTags, unit
from earmark.model.encoders.base import WINDOW_BATCH
from earmark.model.encoders.device import select_device
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.encoders.earmark import pad_words
from tests.model.tiny import (
    RATE,
    checkpoint_of,
    noise,
    sentence_config,
    sine,
    tiny_config,
    write,
    write_av,
)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return DualEmbedder(checkpoint_of(tiny_config("first-starter", log_offset=1e-4)))


def test_vectors_have_length_one_and_say_where(embedder: Embedder, tmp_path: Path) -> None:
    found = embedder.embed_audio(write(tmp_path / "a.wav", noise(7.0)))
    assert found.vector.shape == (embedder.dim,) == (16,)
    assert found.vector.dtype == found.windows.dtype == np.float32
    assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.windows, axis=1), 1, atol=1e-6)
    features = embedder.config.features
    frames = 1 + int(7.0 * features.sample_rate) // features.hop
    starts = np.array([0, 112, frames - 112])
    np.testing.assert_allclose(found.starts, starts * features.hop / features.sample_rate)
    assert found.windows.shape == (3, 16)
    assert found.info.duration == pytest.approx(7.0)


def test_different_sounds_differ(embedder: Embedder, tmp_path: Path) -> None:
    one, other, tone = (
        embedder.embed_audio(write(tmp_path / "x.wav", samples)).vector
        for samples in (noise(3, seed=1), noise(3, seed=2), sine(3))
    )
    assert one @ other < 0.995
    assert one @ tone < 0.9


def test_the_same_file_gives_the_same_vector(embedder: Embedder, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(5.3))
    alone = [embedder.embed_audio(path) for _ in range(5)]
    for found in (*alone, embedder.embed_audio(path.read_bytes())):
        np.testing.assert_allclose(found.vector, alone[0].vector, atol=1e-6)
        np.testing.assert_allclose(found.windows, alone[0].windows, atol=1e-6)
        np.testing.assert_array_equal(found.starts, alone[0].starts)
        assert found.info == alone[0].info


def test_copies_of_a_sound_are_neighbours(embedder: Embedder, tmp_path: Path) -> None:
    samples = noise(4.0, 48_000, seed=5)
    low = np.asarray(
        soundfile.SoundFile(write(tmp_path / "48.wav", samples, 48_000)).read(dtype="float32")
    )
    stereo = np.stack([low, low], axis=1)
    original = embedder.embed_audio(tmp_path / "48.wav").vector
    copies = [
        write(tmp_path / "a.flac", low, 48_000, subtype="PCM_24"),
        write(tmp_path / "stereo.wav", stereo, 48_000),
        write(tmp_path / "float.wav", low, 48_000, subtype="FLOAT"),
        write(tmp_path / "a.ogg", low, 48_000),
        write_av(tmp_path / "a.webm", low, 48_000, "libopus", "webm"),
    ]
    cosines = [float(embedder.embed_audio(copy).vector @ original) for copy in copies]
    assert min(cosines[:3]) >= 0.999
    stranger = embedder.embed_audio(write(tmp_path / "x.wav", noise(4, seed=9))).vector
    assert stranger @ original < min(cosines[3:])


def test_a_resampled_copy_is_a_neighbour(embedder: Embedder, tmp_path: Path) -> None:
    tones = sum(sine(4, hertz, 48_000, 0.1) for hertz in (300, 700, 1900, 4000))
    same = sum(sine(4, hertz, RATE, 0.1) for hertz in (300, 700, 1900, 4000))
    one = embedder.embed_audio(write(tmp_path / "48.wav", tones, 48_000)).vector
    other = embedder.embed_audio(write(tmp_path / "22.wav", same)).vector
    assert one @ other >= 0.999


def test_the_vector_is_of_the_mean_code(embedder: Embedder, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(9.0))
    found = embedder.embed_audio(path)
    windows = embedder.windows(SoundReader(path, embedder.front_end.sample_rate))
    codes = np.concatenate([embedder.encode(block) for block, _ in windows])
    by_hand = embedder.project(codes.mean(axis=0, keepdims=True))[0]
    np.testing.assert_allclose(found.vector, by_hand, atol=1e-6)
    np.testing.assert_allclose(found.windows, embedder.project(codes), atol=1e-6)


def test_more_windows_than_a_batch(embedder: Embedder, tmp_path: Path) -> None:
    seconds = (WINDOW_BATCH + 6) * embedder.front_end.window_seconds
    path = write(tmp_path / "a.wav", np.tile(noise(10), 30)[: int(seconds * RATE)])
    found = embedder.embed_audio(path)
    assert len(found.windows) == len(found.starts) > WINDOW_BATCH
    assert (np.diff(found.starts) > 0).all()


def test_threads_share_an_embedder(embedder: Embedder, tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{seed}.wav", noise(3, seed=seed)) for seed in range(4)]
    expected = [embedder.embed_audio(path).vector for path in paths]
    found: dict[int, np.ndarray] = {}

    def work(number: int) -> None:
        found[number] = embedder.embed_audio(paths[number % 4]).vector

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for number, vector in found.items():
        np.testing.assert_allclose(vector, expected[number % 4], atol=1e-6)


def test_bad_sounds_are_named(embedder: Embedder, tmp_path: Path) -> None:
    good = write(tmp_path / "a.wav", noise(1.0))
    with pytest.raises(AudioError, match=r"^bark: not a sound"):
        embedder.embed_audio(b"rubbish", "bark")
    with pytest.raises(AudioError, match=r"expected at most 0\.5 s"):
        embedder.embed_audio(good, max_seconds=0.5)


def test_tags_become_unit_vectors_in_any_order(embedder: Embedder) -> None:
    sets = [["rain"], ["dog", "bark"], ["bark", "dog"], ["rain", "sea", "wave", "wind"]]
    vectors = embedder.embed_tags(sets)
    assert vectors.shape == (4, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors[1], vectors[2], atol=1e-6)
    assert vectors[0] @ vectors[1] < 0.99
    for row, tags in enumerate(sets):
        np.testing.assert_allclose(embedder.embed_tags([tags])[0], vectors[row], atol=1e-6)
    assert embedder.embed_tags([]).shape == (0, 16)


def test_unknown_tags_are_skipped_until_none_is_left(embedder: Embedder) -> None:
    with_unknown = embedder.embed_tags([["xyzzyx", "dog", "qwrtpl"]])
    np.testing.assert_allclose(with_unknown, embedder.embed_tags([["dog"]]), atol=1e-6)
    with pytest.raises(WordsError, match="none of these words is understood: 'xyzzyx qwrtpl'"):
        embedder.embed_tags([["dog"], ["xyzzyx", "qwrtpl"]])
    with pytest.raises(WordsError, match="none of these words is understood"):
        embedder.embed_tags([[]])


def test_understand_reports_what_it_ignores(embedder: Embedder) -> None:
    found = embedder.parse_tags("The sound of DOGS and xyzzyx in the rain, 🐶 doorbel")
    assert found.tags[:2] == ["dog", "rain"]
    assert "xyzzyx" in found.ignored
    assert embedder.parse_tags(["dogs", "Rain"]).tags == ["dog", "rain"]
    assert embedder.parse_tags(tag for tag in ("dogs", "Rain")).tags == ["dog", "rain"]
    empty = embedder.parse_tags("")
    assert (empty.tags, empty.ignored) == ([], [])


def test_parse_tags_takes_at_most_max_tags(embedder: Embedder) -> None:
    max_tags = embedder.max_tags
    found = embedder.parse_tags(embedder.words.words)
    assert found.tags == embedder.words.words[:max_tags]
    assert found.ignored == embedder.words.words[max_tags:]
    vector = embedder.embed_tags([embedder.words.words])
    np.testing.assert_allclose(vector, embedder.embed_tags([found.tags]), atol=1e-6)


def test_parse_tags_survives_long_words(embedder: Embedder) -> None:
    found = embedder.parse_tags("x" * 10_000 + " rain")
    assert found.tags == ["rain"]
    assert len(found.ignored) == 1


def test_vocabulary_vectors(embedder: Embedder) -> None:
    assert embedder.vocabulary_vectors.shape == (6, 16)
    expected = embedder.embed_tags([[tag] for tag in embedder.vocabulary])
    np.testing.assert_array_equal(embedder.vocabulary_vectors, expected)
    bare = DualEmbedder(checkpoint_of(tiny_config(), vocabulary=0))
    assert bare.vocabulary_vectors.shape == (0, 16)


def test_tag_probabilities() -> None:
    checkpoint = checkpoint_of(tiny_config())
    cosines = np.array([-1.0, 0.0, 1.0], np.float32)
    assert DualEmbedder(checkpoint).calibration.probabilities(cosines).tolist() == [0.0, 0.5, 1.0]
    checkpoint.card["calibration"] = {"slope": 4.0, "intercept": -1.0}
    expected = 1 / (1 + np.exp(-(4 * cosines - 1)))
    np.testing.assert_allclose(
        DualEmbedder(checkpoint).calibration.probabilities(cosines), expected, rtol=1e-6
    )


def test_devices() -> None:
    assert select_device("cpu").type == "cpu"
    with pytest.raises(ConfigError, match="expected cpu, cuda or cuda:N, got 'toaster'"):
        select_device("toaster")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_no_silent_fall_back_to_the_cpu(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is not available: no GPU can be used"):
        DualEmbedder(checkpoint_of(tiny_config()), name)


def test_unit_and_padding() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-20, 0]], np.float32)
    scaled = unit(rows)
    np.testing.assert_allclose(scaled[0], [0.6, 0.8])
    assert np.isfinite(scaled).all()
    assert scaled[1].tolist() == [0, 0]
    words, mask = pad_words([np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32)], 4)
    assert words.shape == (2, 4, 3)
    assert mask.tolist() == [[True, True, False, False], [False] * 4]
    assert words.sum() == 6


@pytest.fixture(scope="module")
def everyday() -> Embedder:
    """A model that reads whole phrases."""
    return DualEmbedder(checkpoint_of(sentence_config()))


def test_a_phrase_is_embedded_as_a_whole(everyday: Embedder) -> None:
    found = everyday.parse_tags("The dog barks, 🐶 loudly")
    assert found == ParsedTags(
        ["dog", "barks", "loudly"], ["🐶"], {}, phrase="the dog barks loudly"
    )
    assert found.pieces == ["the dog barks loudly"]
    assert everyday.parse_tags("Rain").pieces == ["rain"]
    assert everyday.parse_tags(["Dog", "bark"]).pieces == ["dog bark"]
    assert everyday.parse_tags(iter(["rain"])).pieces == ["rain"]
    for empty in ("", "🐶", []):
        assert everyday.parse_tags(empty).pieces == []
    words = ParsedTags(["dog"], [], {})
    assert words.pieces == words.tags


def test_nothing_is_unknown_to_a_model_of_phrases(everyday: Embedder) -> None:
    texts = ["xyzzyx", "Hund bellt", "狗叫", "a\ud800b", "x" * 10_000, "dog " * 2_500]
    vectors = everyday.embed_tags([everyday.parse_tags(text).pieces for text in texts])
    assert vectors.shape == (6, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(WordsError, match="none of these words is understood"):
        everyday.embed_tags([["dog"], everyday.parse_tags("🐶").pieces])


def test_phrases_are_embedded_alike_alone_and_in_a_batch(everyday: Embedder) -> None:
    sets = [everyday.parse_tags(text).pieces for text in ("rain", "a dog barks", "Wind und Regen")]
    together = everyday.encode_tags(sets)
    for row, pieces in enumerate(sets):
        np.testing.assert_allclose(everyday.encode_tags([pieces])[0], together[row], atol=1e-5)
        np.testing.assert_allclose(
            everyday.encode_tags([pieces[::-1]])[0], together[row], atol=1e-5
        )
    assert everyday.encode_tags([]).shape == (0, 16)


def test_of_many_words_the_first_count_and_the_phrase(everyday: Embedder) -> None:
    count = everyday.config.tags.max_tags
    many = everyday.parse_tags(" ".join(everyday.words.words))
    assert many.tags == everyday.words.words
    assert many.ignored == []  # the phrase has them all
    np.testing.assert_allclose(
        everyday.embed_tags([many.pieces]), everyday.embed_tags([many.pieces[:count]]), atol=1e-6
    )


def test_words_that_do_not_count_cost_nothing() -> None:
    embedder = DualEmbedder(checkpoint_of(sentence_config()))
    embedder.embed_tags([[f"word {number}" for number in range(60)]])
    assert len(embedder.words._cache) == embedder.max_tags


def test_a_model_of_phrases_hears_sounds_of_any_length(everyday: Embedder, tmp_path: Path) -> None:
    for number, count in enumerate([160, 20_000, 70_000]):
        path = write(tmp_path / f"{number}.wav", noise(3.0, 32_000)[:count], 32_000)
        found = everyday.embed_audio(path)
        assert np.linalg.norm(found.vector) == pytest.approx(1, abs=1e-5)
        assert found.code.shape == (everyday.config.code_dim,)
        frames = 1 + (max(count, 63 * 320 + 1) - 1) // 320
        assert len(found.windows) == -(-frames // 64)
