"""Batches of codes: whole clips, heard once where the convolutions stay as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from earmark.model.embedder import Embedder
from earmark.model.encoders.dual import DualEmbedder
from earmark.training.data import dataset
from earmark.training.data.dataset import TrainingSet, clean_tag_sets
from earmark.training.features.cache import FeatureSet
from earmark.training.features.encode_clips import clip_vectors
from tests.model.tiny import checkpoint_of
from tests.training.tiny import QUICK, features_of, tiny_model, tiny_rows, words_of

CONFIG = tiny_model()
CONFIG = replace(CONFIG, features=replace(CONFIG.features, min_seconds=6.0))  # of several windows
PLAIN = QUICK.without_augmentation()
CLIPS, LEFT_OUT = 10, 4
TAGWISE = replace(PLAIN, tagwise_weight=1.0)


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return DualEmbedder(checkpoint_of(CONFIG))


def new_clips() -> TrainingSet:
    """Clips of two windows and a bit, one of which cannot be read."""
    rows = tiny_rows(Path("nowhere"), CLIPS, 0)
    short = features_of(rows, CONFIG.features)
    frames = [np.tile(short.clip(clip), (3, 1))[: 240 + clip] for clip in range(CLIPS)]
    frames[LEFT_OUT] = frames[LEFT_OUT][:0]
    offsets = np.cumsum([0, *map(len, frames)]).astype(np.int64)
    features = FeatureSet(np.concatenate(frames), offsets, {"4": "broken"})
    words = words_of(CONFIG.tags.word_dim)
    return TrainingSet(rows, clean_tag_sets(rows), features, words, CONFIG)


@pytest.fixture(scope="module")
def heard(embedder: Embedder) -> TrainingSet:
    clips = new_clips()
    clips.hear(embedder)
    return clips


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_code_is_the_mean_over_the_whole_clip(heard: TrainingSet, embedder: Embedder) -> None:
    assert heard.codes is not None
    assert heard.codes.shape == (CLIPS, CONFIG.code_dim)
    for clip in (0, 7):
        frames = heard.features.clip(clip).astype(np.float32)
        windows = np.stack([frames[:112], frames[112:224], frames[-112:]])
        expected = embedder.encode(windows).mean(axis=0)
        np.testing.assert_allclose(heard.codes[clip], expected, atol=1e-5)
    assert LEFT_OUT not in heard.indices
    assert not heard.codes[LEFT_OUT].any()


def test_clips_are_heard_in_parts(
    heard: TrainingSet, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "CLIPS_IN_MEMORY", 2)
    clips = new_clips()
    clips.hear(embedder)
    assert clips.codes is not None and heard.codes is not None
    np.testing.assert_allclose(clips.codes, heard.codes, atol=1e-5)


def test_vectors_are_those_of_whole_clips(heard: TrainingSet, embedder: Embedder) -> None:
    indices = heard.indices[[5, 0, 3]]
    expected = clip_vectors(embedder, heard.features, indices.tolist())
    np.testing.assert_allclose(new_clips().vectors(embedder, indices), expected, atol=1e-6)
    np.testing.assert_allclose(heard.vectors(embedder, indices), expected, atol=1e-5)


def test_vectors_come_from_the_codes_where_there_are_any(embedder: Embedder) -> None:
    clips = new_clips()
    clips.codes = generator().standard_normal((CLIPS, CONFIG.code_dim), dtype=np.float32)
    found = clips.vectors(embedder, clips.indices[:2])
    np.testing.assert_array_equal(found, embedder.project(clips.codes[:2]))


def test_batches_hold_codes_in_place_of_windows(heard: TrainingSet) -> None:
    assert heard.codes is not None
    batches = list(heard.batches(replace(QUICK, batch_size=3), (0, 0)))
    assert len(batches) == 3
    rows = set()
    for batch in batches:
        assert batch.log_mel is None and batch.codes is not None
        for code in batch.codes.numpy():
            [row] = np.flatnonzero((heard.codes == code).all(axis=1))
            rows.add(int(row))
    assert rows == set(heard.indices.tolist())
    unheard = new_clips().make_batch(heard.indices[:3], QUICK, generator())
    assert unheard.codes is None and unheard.log_mel is not None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 5, 6]), min_size=1, max_size=6), st.integers(0, 1000))
def test_codes_and_tags_are_of_the_same_clips(
    heard: TrainingSet, indices: list[int], seed: int
) -> None:
    """Also where a recipe mixes clips: codes hold one sound, so that its tags are no other's."""
    assert heard.codes is not None
    chosen = np.array(indices)
    plain = heard.make_batch(chosen, TAGWISE, generator(seed))
    for recipe in (TAGWISE, replace(TAGWISE, mix=1.0)):
        batch = heard.make_batch(chosen, recipe, generator(seed))
        np.testing.assert_array_equal(batch.codes, heard.codes[chosen])
        assert torch.equal(batch.words, plain.words)
        assert torch.equal(batch.has_tag, plain.has_tag)
    windows = new_clips().make_batch(chosen, TAGWISE, generator(seed))
    assert torch.equal(plain.words, windows.words)
    assert torch.equal(plain.has_tag, windows.has_tag)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 2.0), st.integers(0, 1000))
def test_noise_of_a_seed_is_the_same(heard: TrainingSet, noise: float, seed: int) -> None:
    recipe = replace(PLAIN, code_noise=noise)
    one, again, other = (
        heard.make_batch(heard.indices, recipe, generator(number)).codes
        for number in (seed, seed, seed + 1)
    )
    assert one is not None and again is not None and other is not None
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one.dtype == torch.float32


def test_noise_is_measured_in_deviations_of_the_codes(heard: TrainingSet) -> None:
    assert heard.codes is not None
    codes = heard.codes[heard.indices]  # not the zeros of what cannot be read
    deviations = codes.std(axis=0)
    recipe = replace(PLAIN, code_noise=0.3)
    batches = [heard.make_batch(heard.indices, recipe, generator(seed)) for seed in range(300)]
    noise = np.stack([batch.codes.numpy() - codes for batch in batches])
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.3 * deviations, rtol=0.1, atol=1e-7)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0, atol=0.05 * deviations.max())
    plain = heard.make_batch(heard.indices, recipe.without_augmentation(), generator())
    np.testing.assert_array_equal(plain.codes, codes)


@pytest.mark.parametrize("ranks", [1, 3])
def test_the_parts_of_a_batch_are_the_batch(heard: TrainingSet, ranks: int) -> None:
    recipe = replace(QUICK, code_noise=0.5, batch_size=6)
    [whole] = heard.batches(recipe, (3, 5))
    parts = [
        part for rank in range(ranks) for part in heard.batches(recipe, (3, 5), shard=(rank, ranks))
    ]
    for name in ("codes", "words", "mask"):
        joined = torch.cat([getattr(part, name) for part in parts])
        assert torch.equal(joined, getattr(whole, name)), name
