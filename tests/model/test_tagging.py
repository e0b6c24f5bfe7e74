"""Suggested tags: probabilities, thresholds, lifts, windows, and tags that are known already."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.audio.sound_info import SoundInfo
from earmark.model.background import Background
from earmark.model.embedder import AudioEmbedding, Embedder, unit
from earmark.model.encoders.dual import DualEmbedder
from earmark.model.tagging import LOGIT_WEIGHT, MAX_WINDOWS, MIN_DISTANCE, suggest
from tests.model.tiny import checkpoint_of, tiny_config

TAGS = 6
CALIBRATION = {
    "temperature": 0.1,
    "slope": 6.0,
    "crowd": -5.0,
    "intercepts": [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5],
    "thresholds": [0.5, 0.4, 0.3, 0.2, 0.1, 0.05],
    "rates": [0.3, 0.2, 0.1, 0.05, 0.02, 0.01],
}
COMPANY = {"own": 0.8, "near": 3.0, "intercept": -0.5}


def embedder_of(**card: object) -> Embedder:
    checkpoint = checkpoint_of(tiny_config(), vocabulary=TAGS)
    checkpoint.card |= card
    return DualEmbedder(checkpoint)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return embedder_of(calibration=CALIBRATION, company=COMPANY)


@pytest.fixture(scope="module")
def telling() -> Embedder:
    """The same model with a background of sounds that lie around a direction."""
    checkpoint = checkpoint_of(tiny_config(), vocabulary=TAGS)
    checkpoint.card |= {"calibration": CALIBRATION, "company": COMPANY}
    generator = np.random.default_rng(5)
    sounds = generator.standard_normal((200, 16)) + 2 * generator.standard_normal(16)
    checkpoint.background = Background.of(unit(sounds.astype(np.float32)))
    return DualEmbedder(checkpoint)


def sound_of(embedder: Embedder, windows: int = 8, seed: int = 0) -> AudioEmbedding:
    """Random vectors; windows start every quarter of their length, and the sound ends in the last
    window."""
    draws = np.random.default_rng(seed).standard_normal((windows + 1, embedder.dim))
    vectors = unit(draws.astype(np.float32))
    length = embedder.front_end.window_seconds
    starts = 0.25 * length * np.arange(windows)
    frames = int((starts[-1] + 0.5 * length) * 1_000)
    code = np.zeros(4, np.float32)
    return AudioEmbedding(vectors[0], code, vectors[1:], starts, SoundInfo(1_000, 1, frames))


def test_tags_have_calibrated_probabilities_in_descending_order(embedder: Embedder) -> None:
    sound = sound_of(embedder)
    cosines = embedder.vocabulary_vectors @ sound.vector
    expected = embedder.calibration.probabilities(cosines)
    result = suggest(embedder, sound, TAGS)
    assert sorted(tag.tag for tag in result.tags) == sorted(embedder.vocabulary)
    scores = [tag.score for tag in result.tags]
    assert scores == sorted(scores, reverse=True)
    for tag in result.tags:
        number = embedder.vocabulary.index(tag.tag)
        assert tag.score == pytest.approx(float(expected[number]), rel=1e-5)
        assert tag.suggested == (tag.score >= CALIBRATION["thresholds"][number])
        assert tag.lift == pytest.approx(tag.score / CALIBRATION["rates"][number], rel=1e-5)
    assert {tag.suggested for tag in result.tags} == {True, False}
    assert (result.duration, result.known, result.ignored) == (sound.info.duration, [], [])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_the_most_telling_come_first_where_sounds_at_large_are_known(
    telling: Embedder, seed: int
) -> None:
    """By standard score and logit; what a tag's score says stays its probability."""
    assert telling.background is not None
    sound = sound_of(telling, seed=seed)
    standard = telling.background.standard_scores(telling.vocabulary_vectors, sound.vector)
    result = suggest(telling, sound, TAGS)
    ranks = []
    for tag in result.tags:
        number = telling.vocabulary.index(tag.tag)
        cosines = telling.vocabulary_vectors @ sound.vector
        expected = float(telling.calibration.probabilities(cosines)[number])
        assert tag.score == pytest.approx(expected, rel=1e-5)
        ranks.append(standard[number] + LOGIT_WEIGHT * np.log(expected / (1 - expected)))
    assert (np.diff(ranks) < 1e-4).all()


def test_what_is_probable_of_all_sounds_does_not_come_first(telling: Embedder) -> None:
    """A tag that stands out goes before one that is more probable."""
    orders = [
        [tag.score for tag in suggest(telling, sound_of(telling, seed=seed), TAGS).tags]
        for seed in range(10)
    ]
    assert any(scores != sorted(scores, reverse=True) for scores in orders)


def test_known_tags_condition_the_order(telling: Embedder) -> None:
    """What is both more probable beside them and stands out more comes first."""
    assert telling.background is not None
    for seed in range(10):
        sound, known = sound_of(telling, seed=seed), telling.vocabulary[seed % TAGS]
        standard = telling.background.standard_scores(telling.vocabulary_vectors, sound.vector)
        tags = suggest(telling, sound, TAGS, [known]).tags
        pairs = [(tag.score, float(standard[telling.vocabulary.index(tag.tag)])) for tag in tags]
        for at, (score, stands_out) in enumerate(pairs):
            assert not any(b > score and c > stands_out for b, c in pairs[at + 1 :])
        unknown = suggest(telling, sound, TAGS, ["xyzzyx"])  # which condition nothing
        assert unknown.tags == suggest(telling, sound, TAGS).tags


def test_known_tags_make_the_probability_count_in_full(telling: Embedder) -> None:
    assert telling.background is not None
    for seed in range(10):
        sound, known = sound_of(telling, seed=seed), telling.vocabulary[seed % TAGS]
        standard = telling.background.standard_scores(telling.vocabulary_vectors, sound.vector)
        tags = suggest(telling, sound, TAGS, [known]).tags
        ranks = [
            standard[telling.vocabulary.index(tag.tag)] + np.log(tag.score / (1 - tag.score))
            for tag in tags
        ]
        assert (np.diff(ranks) < 1e-3).all()


def test_certain_tags_have_a_rank_too() -> None:
    checkpoint = checkpoint_of(tiny_config(), vocabulary=TAGS)
    steep = {**CALIBRATION, "slope": 0.0, "intercepts": [200.0, -200.0, 200.0, -200.0, 0.0, 200.0]}
    checkpoint.card |= {"calibration": steep}
    checkpoint.background = Background(np.zeros(16, np.float32), np.zeros((16, 16), np.float32))
    embedder = DualEmbedder(checkpoint)
    tags = suggest(embedder, sound_of(embedder), TAGS).tags
    assert {tag.score for tag in tags} >= {1.0}
    assert sorted(tag.tag for tag in tags) == sorted(embedder.vocabulary)


def test_moments_are_those_of_the_vocabulary(embedder: Embedder, telling: Embedder) -> None:
    assert embedder.vocabulary_moments is None
    assert telling.background is not None and telling.vocabulary_moments is not None
    expected = telling.background.moments(telling.vocabulary_vectors)
    for values, others in zip(telling.vocabulary_moments, expected, strict=True):
        assert values.shape == (TAGS,)
        np.testing.assert_array_equal(values, others)


@pytest.mark.parametrize("k", [0, 1, 3, TAGS, 100])
def test_k_cuts_the_list(embedder: Embedder, k: int) -> None:
    sound = sound_of(embedder)
    assert suggest(embedder, sound, k).tags == suggest(embedder, sound, TAGS).tags[:k]


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_the_best_that_lie_apart(embedder: Embedder, seed: int) -> None:
    sound = sound_of(embedder, seed=seed)
    length = embedder.front_end.window_seconds
    by_window = embedder.calibration.probabilities(sound.windows @ embedder.vocabulary_vectors.T)
    for tag in suggest(embedder, sound, TAGS).tags:
        scores = by_window[:, embedder.vocabulary.index(tag.tag)].tolist()
        left = dict(zip(sound.starts.tolist(), scores, strict=True))
        assert 1 < len(tag.windows) <= MAX_WINDOWS
        for window in tag.windows:
            start = max(left, key=left.__getitem__)
            assert (window.start, window.score) == (start, pytest.approx(left[start]))
            assert window.end == pytest.approx(min(start + length, sound.info.duration))
            left = {
                other: score
                for other, score in left.items()
                if abs(other - start) >= MIN_DISTANCE * length
            }


def test_known_tags_condition_the_others(embedder: Embedder) -> None:
    sound, known = sound_of(embedder), embedder.vocabulary[2]
    alone = {tag.tag: tag for tag in suggest(embedder, sound, TAGS).tags}
    result = suggest(embedder, sound, TAGS, [known, "xyzzyx"])
    assert (result.known, result.ignored) == ([known], ["xyzzyx"])
    assert {tag.tag for tag in result.tags} == set(embedder.vocabulary) - {known}
    for tag in result.tags:
        pair = embedder.embed_tags([[tag.tag], [known]])
        before = alone[tag.tag].score
        logit = 0.8 * np.log(before / (1 - before)) + 3.0 * float(pair[0] @ pair[1]) - 0.5
        assert tag.score == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-3)
        assert len(tag.windows) == len(alone[tag.tag].windows)


def test_a_model_without_calibration_suggests_from_a_half_and_knows_no_lift() -> None:
    embedder = embedder_of()
    sound = sound_of(embedder)
    for tag in suggest(embedder, sound, TAGS).tags:
        cosine = float(embedder.embed_tags([[tag.tag]])[0] @ sound.vector)
        assert tag.score == pytest.approx((1 + cosine) / 2, abs=1e-6)
        assert tag.suggested == (tag.score >= 0.5)
        assert tag.lift is None


def test_a_window_never_ends_after_the_sound_nor_before_its_start(embedder: Embedder) -> None:
    sound = replace(sound_of(embedder, 1), starts=np.array([2.0]))
    short = replace(sound, info=SoundInfo(1_000, 1, 500))
    (window,) = suggest(embedder, short, 1).tags[0].windows
    assert (window.start, window.end) == (2.0, 2.0)
